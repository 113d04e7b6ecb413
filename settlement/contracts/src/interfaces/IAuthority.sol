// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title F2, answered at the settlement contract's address: every delta follows from orders that its account signed
/// @notice A leaf of the orders tree (depth 20, sorted by account and ref) is keccak256 of
///   type u8 | acct u32 | instr u32 | ref bytes32 | pos int64 | notional u64 | fee int64
/// with type 1 for an order, whose ref is its EIP-712 digest, and type 8 for one side of a mass quote, whose ref is
/// keccak256(digest of the call, line u8, side u8), and type 9 for one leg of a block, whose ref is keccak256(digest of the
/// maker's or the taker's action, leg u8). Types 2, 4 and 5 are `IForced`'s; no other type authorizes anything.
interface IAuthority is ISettlementTypes {
    struct ShownLeaf {
        uint8 kind;
        uint32 leafIndex;
        uint32 acct;
        uint32 instr;
        bytes32 ref;
        int64 pos;
        uint64 notional;
        int64 fee;
    }

    /// @notice Asks for the orders behind the delta of `acct` in batch `seq`, for a bond of `challengeBond()`. Only in
    /// the batch's own window; each question (batch, account, requests relied on) once, for ever.
    /// @param cancelReq CANCEL_ALL that the batch or an earlier one consumed: older orders do not count; 0 = none
    /// @param lockReq LOCK that was consumed: no order counts; 0 = none
    function challenge(uint64 seq, Header calldata header, uint32 acct, uint64 cancelReq, uint64 lockReq)
        external
        returns (bytes32 id);

    /// @notice Shows orders, in one part or several of one sender; the part with `data` is the last one and must
    /// complete the delta. The challenger's bond becomes the credit of who does.
    /// @param state zeros for the first part, then what the parts before have summed up to
    /// @param leaves leaf indices and refs strictly ascending, over all parts
    /// @param siblings that the leaves of this part lack, level by level, left to right
    function answer(
        bytes32 id,
        Header calldata header,
        AnswerState calldata state,
        OrderEvidence[] calldata leaves,
        bytes calldata siblings,
        bytes calldata data
    ) external;

    /// @notice Reverts the batch of a challenge that nobody answered in time; challenger: bond back and reward.
    function slashUnanswered(bytes32 id, Header calldata previous, Header calldata header) external;

    /// @notice Gives the bond of a challenge back whose batch was reverted for something else.
    function refundChallenge(bytes32 id) external;

    /// @notice Puts on record what an order filled in a batch. Anyone, no bond; answers do the same.
    function showFill(uint64 seq, Header calldata header, ShownLeaf calldata leaf, bytes calldata siblings) external;

    /// @notice Reverts the last of `seqs` when the fills on record in these batches exceed the signed amount.
    /// @param order `action`, `data`, `line`, `lines`, `isSepolia`, `instr` and `spec` are read
    /// @param previous,header headers of the last of `seqs`
    function proveOverfill(
        OrderEvidence calldata order,
        uint64[] calldata seqs,
        Header calldata previous,
        Header calldata header
    ) external;

    function challengeOf(bytes32 id) external view returns (Challenge memory);
    /// @notice keccak256 of the abi.encoded `AnswerState` that the parts of `who` have come to; 0 before the first.
    function answerOf(bytes32 id, address who) external view returns (bytes32);
    /// @notice Lots of `ref` on record for batch `seq`; live while that very batch stands.
    function fillOf(bytes32 ref, uint64 seq) external view returns (uint64 lots, bool isLive);
}
