// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Disputes, answered at the settlement contract's address
/// @notice A proof takes the headers of the batch and of the one before it (zeros before batch 1). What is proven
/// reverts the batch and all behind it, and pays the caller (`takeCredit`).
///
/// Proof of a wrong root:
///   dataSize u32 | vectorSize u32 | leavesSize u32 | data | vector | leaves | siblings, 32 bytes each
///   vector: of the batch's own round, with which it begins; empty for round 0
///   leaves: of accounts 0, 1 and every listed one, in order: size u16 | preimage, size 0 for an empty account
///   siblings: level by level from the leaves, left to right, each that the leaves lack, once
interface IDisputes is ISettlementTypes {
    /// @notice F1: reverts batch `seq` unless its root is what its data, requests and round lead to.
    function proveWrongRoot(uint64 seq, Header calldata previous, Header calldata header, bytes calldata proof)
        external;

    /// @notice `proveWrongRoot` with the bytes that the caller staged under `nonce`.
    function proveWrongRootStaged(uint64 seq, Header calldata previous, Header calldata header, uint256 nonce)
        external;

    /// @notice Appends to the caller's bytes under `nonce`; only he can. At most 24,575 bytes per chunk.
    function stageProof(uint256 nonce, bytes calldata chunk) external;

    /// @notice Addresses whose code, after its first byte, is what `who` staged under `nonce`.
    function stagedChunks(address who, uint256 nonce) external view returns (address[] memory);
}
