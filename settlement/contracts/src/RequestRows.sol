// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Storage} from "./Storage.sol";

/// @title Money that comes in, and rows that join the queue
abstract contract RequestRows is Storage {
    using SafeERC20 for IERC20;

    function _enqueue(uint32 acct, Kind kind, uint64 amount, uint104 aux) internal returns (uint64 id) {
        require(_progress.halted != FROZEN, IsFrozen());
        id = _progress.reqHead + 1;
        _progress.reqHead = uint56(id);
        _requests[id] = Request(acct, uint8(kind), amount, uint40(block.timestamp), aux);
        emit Requested(id, acct, kind, kind == Kind.SET_KEY ? 0 : amount, _accounts[acct].owner);
    }

    /// @dev counts what arrived, so a fee on transfer is the sender's
    function _receive(IERC20 coin, uint64 amount) internal returns (uint64) {
        uint256 before = coin.balanceOf(address(this));
        coin.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = coin.balanceOf(address(this)) - before;
        require(received > 0 && received <= type(uint64).max, BadAmount());
        return uint64(received);
    }
}
