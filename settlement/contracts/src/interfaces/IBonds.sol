// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Bonds, successors and rotation, answered at the settlement contract's address
interface IBonds is ISettlementTypes {
    /// @notice Adds to the operator's bond; anyone may pay.
    function topUpBond(uint64 amount) external;
    /// @notice Adds to the caller's bond as a registered successor.
    function depositBond(uint64 amount) external;
    /// @notice Timelock, announced: one more, at most four. He takes over when he is the first with a bond of `minimumBond()`.
    function registerSuccessor(address successor) external;
    /// @notice Timelock, announced, or anyone once frozen: takes a successor off the list; his bond becomes his credit.
    function removeSuccessor(address successor) external;
    /// @notice Timelock, announced: the first bonded successor becomes the operator. The old bond backs the old batches on.
    function rotateOperator() external;
    /// @notice Credits a rotated operator's bond once all his batches are final.
    function releaseBond() external;
    /// @notice Queues the pot as a DEPOSIT of account 0 once a batch of the operator of today is final.
    function sweepPot() external returns (uint64 id);
    /// @notice Pays the caller's credit (rewards, bonds) to `to`.
    function takeCredit(address to) external;

    /// @notice Stops `post` for `duration` seconds, at most 48 h; guardian only, and not within 7 days of the end that
    /// was announced last. Nothing else stops, no clock either. The first `post` behind the end goes on.
    function pausePosting(uint40 duration) external;
    /// @notice Ends the pause now; guardian only.
    function resumePosting() external;
}
