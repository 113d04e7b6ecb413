// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {Storage} from "./Storage.sol";

/// @title When posting has ended for ever
abstract contract Freezes is Storage {
    /// @dev a notice counts while what makes the freeze right today made it right then: an operator that posts after a
    /// long outage takes the reason away, and with it the notice
    function _freeze() internal {
        require(_progress.halted != FROZEN, IsFrozen());
        if (msg.sender == _head.operator) return _setFrozen();
        uint40 stalledFrom = _stalledFrom();
        require(block.timestamp >= stalledFrom, NotStalled(stalledFrom));
        uint40 from = _freezeFrom(stalledFrom);
        if (from == 0) {
            _escape.noticeAt = uint40(block.timestamp);
            emit FreezeNoticed(msg.sender, _freezeFrom(stalledFrom));
            return;
        }
        require(block.timestamp >= from, FreezeTooEarly(from));
        _setFrozen();
    }

    /// @dev the older of the oldest unconsumed request and the last post; a revert starts both anew
    function _stalledFrom() internal view returns (uint40) {
        ProgressSlot memory progress = _progress;
        uint40 since = progress.lastPost;
        if (progress.reqDone < progress.reqHead) {
            uint40 asked = _requests[uint256(progress.reqDone) + 1].time;
            uint40 resetAt = _collateral.resetAt;
            if (asked < resetAt) asked = resetAt;
            if (asked < since) since = asked;
        }
        return since + ISettlement(address(this)).escapeDelay();
    }

    /// @return 0 when the next call is the first one
    function _freezeFrom(uint40 stalledFrom) internal view returns (uint40) {
        uint40 notice = _escape.noticeAt;
        return notice == 0 || notice < stalledFrom ? 0 : notice + ISettlement(address(this)).freezeGap();
    }

    /// @dev nothing can move the root any more once every batch is final
    function _isOpen() internal view returns (bool) {
        return _progress.halted == FROZEN && _head.head == _head.finalized;
    }

    function _setFrozen() private {
        _progress.halted = FROZEN;
        _escape.frozenAt = uint40(block.timestamp);
        emit Frozen(msg.sender);
    }
}
