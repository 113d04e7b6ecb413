// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title F5 and a part of F3, answered at the settlement contract's address: a withdrawal that the account can cover
/// is not refused, and none is approved that it cannot cover
interface IRefusals is ISettlementTypes {
    /// @param id the WITHDRAW request, consumed by the batch with less than it asked for
    /// @param vector of the batch's round, with which it begins; empty for round 0
    /// @param leaf preimage of the account's leaf before the batch; empty for an account that the batch opens
    /// @param path siblings of the leaf, 32 bytes each, from the leaf up
    /// @param specs over-approval: empty; refusal: one for each entry of the leaf that is neither settled by the round nor a long option, in order
    struct RefusalProof {
        uint64 id;
        bytes vector;
        bytes leaf;
        bytes path;
        InstrumentSpec[] specs;
    }

    /// @notice F5: reverts batch `seq` when its request `id` was approved for less than asked although the account,
    /// with what earlier requests of the batch brought, its funding and payoffs of the round taken, and the approved
    /// amount gone, still had more than `LinearBounds.high` at the round's marks, and the collateral was not used up.
    /// Trades of the batch come later and do not count, long options are worth nothing, no position is closed.
    /// A position that the round has no mark for, or whose underlying has no price there, cannot be judged: NoFraud.
    function proveWrongRefusal(
        uint64 seq,
        Header calldata previous,
        Header calldata header,
        RefusalProof calldata proof
    ) external;

    /// @notice F3, third cause: reverts batch `seq` when its request `id` was approved for anything although behind it,
    /// in the same state as above, cash and perpetuals are below zero at the round's marks, or cash, perpetuals and
    /// options where the round has the marks of all its options; or although it has a perpetual without a mark there.
    function proveOverApproval(
        uint64 seq,
        Header calldata previous,
        Header calldata header,
        RefusalProof calldata proof
    ) external;
}
