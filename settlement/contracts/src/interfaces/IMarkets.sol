// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Oracle rounds and instruments, answered at the settlement contract's address
interface IMarkets is ISettlementTypes {
    /// @notice Publishes the next oracle round with the whole vector (layout: `Vector`) in calldata of its own
    /// transaction. Any plain key may call, no contract and no key that delegates to code (`NotDirect`).
    /// With `feedThreshold()` 0 the operator alone may, without signatures.
    /// @param timestamp not before the round before, not in the future
    /// @param sigs signatures of `roundDigest`, 65 bytes each, by at least `feedThreshold()` feeds, signers ascending
    function postOracle(uint64 round, bytes calldata vector, uint40 timestamp, bytes calldata sigs) external;

    /// @notice What a feed signs.
    function roundDigest(uint64 round, uint40 timestamp, bytes32 vectorHash) external view returns (bytes32);

    /// @notice Timelock: admits or removes a feed; never fewer than `feedThreshold()` remain.
    function setFeedSigner(address signer, bool allowed) external;

    /// @notice Timelock: what instruments of `asset` are made of, once for ever. Its class is 1 (large caps) or 2: the
    /// bounds of margin know no other, and what they do not know would have no floor.
    function setAsset(address asset, AssetRow calldata row) external;

    /// @notice Operator: gives instruments their ids, for ever. One id per (asset, subId); bit 31 marks perpetuals.
    function listInstruments(uint32[] calldata ids, address[] calldata assets, uint96[] calldata subIds) external;

    /// @notice The upper 216 bits of keccak256(vector) and the time of a round; zeros for one that does not exist.
    function oracle(uint64 round) external view returns (bytes32 hashHigh, uint40 timestamp);
    /// @notice Last published round.
    function oracleHead() external view returns (uint64);
    function feedSigner(address signer) external view returns (bool);
    function feedCount() external view returns (uint256);
    function asset(address asset_) external view returns (AssetRow memory);
    /// @notice keccak256 of the abi-encoded spec, 0 when the id is free.
    function instrument(uint32 id) external view returns (bytes32);
    /// @notice 0 when it is not listed.
    function instrumentOf(address asset_, uint96 subId) external view returns (uint32);
}
