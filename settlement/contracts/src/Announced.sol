// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {Storage} from "./Storage.sol";

/// @title Calls that only the timelock may make, and only as it announced them
/// @dev `timelockDelay` exceeds the longest exit (`Parameters`): who asks at the announcement is out before the change.
abstract contract Announced is Storage {
    uint40 internal constant NOTICE_LIFE = 14 days;
    uint32 private constant NO_ACCOUNTS = 2;

    modifier announced() {
        _useNotice();
        _;
    }

    function _useNotice() internal {
        require(msg.sender == ISettlement(address(this)).timelock(), NotTimelock());
        if (_final.nextAccount == NO_ACCOUNTS) return;
        bytes32 callHash = keccak256(msg.data);
        (uint40 from, uint64 fromBlock) = _ripeFrom(callHash);
        require(from != 0 && block.timestamp < from + NOTICE_LIFE, NotAnnounced());
        require(block.timestamp >= from && block.number >= fromBlock, NoticeTooEarly(from, fromBlock));
        delete _notices[callHash];
    }

    /// @dev a revert puts requests back into the queue: their exit begins anew, and so does the notice
    function _ripeFrom(bytes32 callHash) internal view returns (uint40 time, uint64 blockNumber) {
        NoticeRow memory row = _notices[callHash];
        if (row.time == 0) return (0, 0);
        uint40 resetAt = _collateral.resetAt;
        time = (row.time < resetAt ? resetAt : row.time) + ISettlement(address(this)).timelockDelay();
        blockNumber = row.blockNumber + ISettlement(address(this)).finalityBlocks();
    }
}
