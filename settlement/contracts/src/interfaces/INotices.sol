// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title What the timelock is about to change, said longer before than an exit takes
/// @notice The timelock may call `registerSuccessor`, `removeSuccessor`, `rotateOperator` and `setFeedSigner`, each only
/// as announced, and `setAsset` at any time, which adds an asset that nobody holds yet and changes none. Nothing else
/// can be changed by anybody. Before the first account exists nobody has to be told.
interface INotices is ISettlementTypes {
    /// @notice Timelock: announces a call to this contract by its whole calldata; announced again, its time begins anew.
    /// It is accepted from `noticeFrom` on, and for 14 days, once.
    function announce(bytes calldata call) external returns (bytes32 callHash);
    /// @notice Timelock: takes an announcement back.
    function withdrawNotice(bytes32 callHash) external;
    /// @notice From when on the announced call is accepted, 0 if it was not announced or has lapsed: `timelockDelay` after
    /// the announcement, or after the last revert if that was later, and `finalityBlocks` blocks behind it.
    function noticeFrom(bytes32 callHash) external view returns (uint40 time, uint64 blockNumber);
}
