// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title Storage of the settlement contract and the views over it
/// @dev One struct per slot, in a fixed order: a struct always opens a slot, so a later field can join its struct
/// without moving another one.
abstract contract Ledger is ISettlement {
    struct HeadSlot {
        address operator;
        uint48 head;
        uint48 finalized;
    }

    struct ProgressSlot {
        uint8 halted;
        uint40 lastPost;
        uint40 lastMatchTo;
        uint48 lastRound;
        uint56 reqHead;
        uint56 reqDone;
    }

    struct CollateralSlot {
        uint96 atHead;
        uint40 resumedAt;
    }

    struct FinalSlot {
        uint96 collateral;
        uint64 reqFinal;
        uint32 nextAccount;
    }

    struct Account {
        address owner;
        uint40 created;
    }

    HeadSlot internal _head;
    bytes32 internal _root;
    ProgressSlot internal _progress;
    CollateralSlot internal _collateral;
    FinalSlot internal _final;
    mapping(uint256 seq => bytes32) internal _batchHash;
    mapping(uint256 id => Request) internal _requests;
    mapping(uint256 index => Account) internal _accounts;
    mapping(address owner => uint32[]) internal _accountsOf;
    mapping(bytes32 digest => bool) internal _usedAction;
    mapping(address owner => mapping(address key => SessionKey)) internal _sessions;
    mapping(uint256 id => address) internal _payee;
    mapping(uint256 acct => mapping(uint8 kind => uint64)) internal _lastRequest;

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

    function usedAction(bytes32 digest) external view returns (bool) {
        return _usedAction[digest];
    }
}
