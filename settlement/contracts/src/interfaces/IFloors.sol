// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title F3 for trades, answered at the settlement contract's address: nobody opens risk, or gives money away, with
/// less than `LinearBounds.low` behind it
interface IFloors is ISettlementTypes {
    /// @param acct account behind the batch, 2 or above
    /// @param data of the batch
    /// @param leaf preimage of the account's leaf after the batch
    /// @param path siblings of the leaf under the batch's new root, 32 bytes each, from the leaf up
    /// @param opening vector of the round of the batch before; empty where that is round 0 or the batch's own
    /// @param closing vector of the batch's own round
    /// @param specs one for each perpetual of the leaf or of the account's deltas, and one for each option of the
    /// deltas, by ascending id
    struct FloorProof {
        uint32 acct;
        bytes data;
        bytes leaf;
        bytes path;
        bytes opening;
        bytes closing;
        InstrumentSpec[] specs;
    }

    /// @notice Reverts batch `seq` when it leaves an account below its floor and is itself the cause.
    /// Below: at the marks of the batch's round, and at those of the batch before it where these know every perpetual
    /// held, cash and perpetuals are worth less than `low` of the perpetuals (less half of what they were worth before
    /// the posted deltas), or they and all options are, where the round has every option's mark. Marks count a unit in
    /// the account's favor. A perpetual without a mark in the batch's own round covers nothing.
    /// Cause: `low` of the perpetuals and the value of long options rose by the posted deltas; or these lost more
    /// against the marks than `high` of them and one and a half times what the account had.
    /// A leaf above zero, a batch whose deltas do not name the account, or marks that are missing: NoFraud.
    function proveInsolvent(uint64 seq, Header calldata previous, Header calldata header, FloorProof calldata proof)
        external;

    /// @notice The same with a proof that is too large for a transaction: the abi encoding of a `FloorProof`, in chunks
    /// that the caller has staged under `nonce` (`stageProof`). Nobody else's chunks count.
    function proveInsolventStaged(uint64 seq, Header calldata previous, Header calldata header, uint256 nonce)
        external;
}
