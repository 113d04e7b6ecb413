// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Parameters} from "./Parameters.sol";
import {RequestRows} from "./RequestRows.sol";

/// @title Deposits and withdrawal requests: rows of the queue that every batch must consume in order
abstract contract Queue is Parameters, RequestRows, ReentrancyGuardTransient {
    function deposit(uint32 acct, uint64 amount) external nonReentrant returns (uint32 index, uint64 id) {
        return _deposit(acct, amount);
    }

    function depositWithPermit(uint32 acct, uint64 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
        returns (uint32 index, uint64 id)
    {
        // a stranger can spend the permit first; the allowance is then there already
        try IERC20Permit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        return _deposit(acct, amount);
    }

    function requestWithdraw(uint32 acct, uint64 amount) external returns (uint64 id) {
        require(_accounts[acct].owner == msg.sender, NotOwner());
        return _queueWithdraw(acct, amount);
    }

    function requestClose(uint32 acct) external returns (uint64 id) {
        require(feedThreshold > 0, NoOracle());
        return _queueByOwner(acct, Kind.CLOSE_ALL);
    }

    function cancelAll(uint32 acct) external returns (uint64 id) {
        return _queueByOwner(acct, Kind.CANCEL_ALL);
    }

    function lockTrading(uint32 acct) external returns (uint64 id) {
        return _queueByOwner(acct, Kind.LOCK);
    }

    function _queueByOwner(uint32 acct, Kind kind) private returns (uint64) {
        require(_accounts[acct].owner == msg.sender, NotOwner());
        return _enqueueOnce(acct, kind, 0, 0);
    }

    function _queueWithdraw(uint32 acct, uint64 amount) internal returns (uint64) {
        require(amount > 0, ZeroAmount());
        return _enqueueOnce(acct, Kind.WITHDRAW, amount, 0);
    }

    /// @dev one open request per (account, kind): a flood needs many funded accounts
    function _enqueueOnce(uint32 acct, Kind kind, uint64 amount, uint104 aux) internal returns (uint64 id) {
        uint64 last = _lastRequest[acct][uint8(kind)];
        require(last <= _progress.reqDone, RequestOpen(last));
        id = _enqueue(acct, kind, amount, aux);
        _lastRequest[acct][uint8(kind)] = id;
    }

    function _deposit(uint32 acct, uint64 amount) private returns (uint32 index, uint64 id) {
        require(acct == 0 || _accounts[acct].owner != address(0), NoAccount());
        uint64 received = _receive(IERC20(token), amount);
        require(received >= minimumDeposit, BadAmount());
        index = acct == 0 ? _openAccount(msg.sender) : acct;
        id = _enqueue(index, Kind.DEPOSIT, received, 0);
    }

    function _openAccount(address owner) private returns (uint32 index) {
        index = _final.nextAccount;
        require(index < MAX_ACCOUNTS, TooManyAccounts());
        _final.nextAccount = index + 1;
        _accounts[index] = Account(owner, uint40(block.timestamp));
        _accountsOf[owner].push(index);
    }
}
