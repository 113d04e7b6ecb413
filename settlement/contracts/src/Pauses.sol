// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {Storage} from "./Storage.sol";

/// @title What the guardian can do: stop posting, or fast payments, for at most 48 hours, then not again for 7 days
/// @dev A pause stops `post` or `fastPay` and nothing else. It stops no clock: requests grow old, windows run, proofs
/// count.
abstract contract Pauses is Storage {
    uint40 internal constant MAX_PAUSE = 48 hours;
    uint40 internal constant PAUSE_REST = 7 days;

    function _pausePosting(uint40 duration) internal {
        require(msg.sender == ISettlement(address(this)).guardian(), NotGuardian());
        require(duration > 0 && duration <= MAX_PAUSE, BadPause());
        require(_progress.halted == NOT_HALTED && block.timestamp >= _pause.allowedFrom, BadPause());
        uint40 until = uint40(block.timestamp) + duration;
        _pause = PauseSlot(until, until + PAUSE_REST);
        _progress.halted = PAUSED;
        emit PostingPaused(until);
    }

    /// @dev the rest counts from what was announced: ending early buys no further pause
    function _resumePosting() internal {
        require(msg.sender == ISettlement(address(this)).guardian(), NotGuardian());
        require(_progress.halted == PAUSED && block.timestamp < _pause.until, BadPause());
        _pause.until = uint40(block.timestamp);
        emit PostingPaused(uint40(block.timestamp));
    }

    function _pauseFast(uint40 duration) internal {
        require(msg.sender == ISettlement(address(this)).guardian(), NotGuardian());
        require(duration > 0 && duration <= MAX_PAUSE, BadPause());
        require(block.timestamp >= _fastPause.allowedFrom, BadPause());
        uint40 until = uint40(block.timestamp) + duration;
        _fastPause = PauseSlot(until, until + PAUSE_REST);
        emit FastPaymentsPaused(until);
    }

    /// @dev the rest counts from what was announced, as above
    function _resumeFast() internal {
        require(msg.sender == ISettlement(address(this)).guardian(), NotGuardian());
        require(block.timestamp < _fastPause.until, BadPause());
        _fastPause.until = uint40(block.timestamp);
        emit FastPaymentsPaused(uint40(block.timestamp));
    }
}
