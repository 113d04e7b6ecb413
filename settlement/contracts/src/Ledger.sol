// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {Storage} from "./Storage.sol";

/// @title Views over the storage
abstract contract Ledger is Storage, ISettlement {
    function operator() external view returns (address) {
        return _head.operator;
    }

    function head() external view returns (uint64) {
        return _head.head;
    }

    function finalized() external view returns (uint64) {
        return _head.finalized;
    }

    function root() external view returns (bytes32) {
        return _root;
    }

    function batchHash(uint64 seq) external view returns (bytes32) {
        return _batchHash[seq];
    }

    function collateral() external view returns (uint96) {
        return _collateral.atHead;
    }

    function collateralFinal() external view returns (uint96) {
        return _final.collateral;
    }

    function lastMatchTo() external view returns (uint40) {
        return _progress.lastMatchTo;
    }

    function lastPost() external view returns (uint40) {
        return _progress.lastPost;
    }

    function resumedAt() external view returns (uint40) {
        return _collateral.resumedAt;
    }

    function reqHead() external view returns (uint64) {
        return _progress.reqHead;
    }

    function reqDone() external view returns (uint64) {
        return _progress.reqDone;
    }

    function reqFinal() external view returns (uint64) {
        return _final.reqFinal;
    }

    function request(uint64 id) external view returns (Request memory) {
        return _requests[id];
    }

    function payee(uint64 id) external view returns (address) {
        return _payee[id];
    }

    function lastRequest(uint32 acct, Kind kind) external view returns (uint64) {
        return _lastRequest[acct][uint8(kind)];
    }

    function nextAccount() external view returns (uint32) {
        return _final.nextAccount;
    }

    function accountOwner(uint32 index) external view returns (address) {
        return _accounts[index].owner;
    }

    function accountsOf(address owner) external view returns (uint32[] memory) {
        return _accountsOf[owner];
    }

    function sessionKey(address owner, address key) external view returns (SessionKey memory) {
        return _sessions[owner][key];
    }

    function bond() external view returns (uint64) {
        return _collateral.bond;
    }

    function epoch() external view returns (uint16) {
        return _collateral.epoch;
    }

    function resetAt() external view returns (uint40) {
        return _collateral.resetAt;
    }

    function pot() external view returns (uint64) {
        return _final.pot;
    }

    function halted() external view returns (uint8) {
        return _progress.halted;
    }

    function lastRound() external view returns (uint64) {
        return _progress.lastRound;
    }

    function backing() external view returns (uint64 from, address retired, uint64 retiredBond, uint64 retiredTo) {
        BackingSlot memory row = _backing;
        return (row.from, _retiredOperator, row.retiredBond, row.retiredTo);
    }

    function successors() external view returns (Successor[] memory) {
        return _successors;
    }

    function credit(address holder) external view returns (uint256) {
        return _credits[holder];
    }

    function usedAction(bytes32 digest) external view returns (bool) {
        return _usedAction[digest];
    }
}
