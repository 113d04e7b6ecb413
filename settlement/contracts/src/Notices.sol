// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Announced} from "./Announced.sol";
import {INotices} from "./interfaces/INotices.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Parts} from "./Parts.sol";

/// @title The timelock's announcements, for everybody to read
contract Notices is Announced, INotices, Parts {
    constructor(address nextPart_) Parts(nextPart_) {}

    modifier onlyTimelock() {
        require(msg.sender == ISettlement(address(this)).timelock(), NotTimelock());
        _;
    }

    function announce(bytes calldata call) external onlyTimelock returns (bytes32 callHash) {
        callHash = keccak256(call);
        _notices[callHash] = NoticeRow(uint40(block.timestamp), uint64(block.number));
        (uint40 time, uint64 blockNumber) = _ripeFrom(callHash);
        emit CallAnnounced(callHash, call, time, blockNumber);
    }

    function withdrawNotice(bytes32 callHash) external onlyTimelock {
        require(_notices[callHash].time != 0, NotAnnounced());
        delete _notices[callHash];
        emit NoticeWithdrawn(callHash);
    }

    function noticeFrom(bytes32 callHash) external view returns (uint40 time, uint64 blockNumber) {
        (time, blockNumber) = _ripeFrom(callHash);
        if (block.timestamp >= uint256(time) + NOTICE_LIFE) return (0, 0);
    }
}
