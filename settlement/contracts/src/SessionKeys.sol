// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Queue} from "./Queue.sol";

/// @title Keys that may sign orders for an owner
/// @dev A row is written once and can only be shortened, so the answer to a late question "could this key sign then?"
/// never changes.
abstract contract SessionKeys is Queue {
    uint40 internal constant REVOKE_DELAY = 10 minutes;
    uint32 internal constant SCOPE_MASK = (1 << 17) - 1;
    uint256 internal constant MAX_LIST = 64;

    function setSessionKey(address key, uint40 validTo, uint32 scopes, uint32[] calldata accts)
        external
        returns (uint64 id)
    {
        return _setSessionKey(msg.sender, key, validTo, scopes, accts);
    }

    function _setSessionKey(address owner, address key, uint40 validTo, uint32 scopes, uint32[] memory accts)
        internal
        returns (uint64)
    {
        require(_accountsOf[owner].length > 0, NoAccount());
        return validTo == 0 ? _revokeKey(owner, key) : _registerKey(owner, key, validTo, scopes, accts);
    }

    function _registerKey(address owner, address key, uint40 validTo, uint32 scopes, uint32[] memory accts)
        private
        returns (uint64 id)
    {
        require(key != address(0) && key != owner && _sessions[owner][key].validFrom == 0, BadKey());
        require(validTo > block.timestamp, BadExpiry());
        require(scopes & ~SCOPE_MASK == 0, BadScope());
        uint40 validFrom = uint40(block.timestamp);
        _sessions[owner][key] = SessionKey(validFrom, validTo, scopes, _listHash(owner, accts));
        id = _enqueueOnce(_accountsOf[owner][0], Kind.SET_KEY, _keyHigh(key), _keyLow(key));
        emit SessionKeySet(id, owner, key, validFrom, validTo, scopes, accts, false);
    }

    /// @dev exempt from the one-open-request rule: an open registration must not delay a revoke, and a key has one
    function _revokeKey(address owner, address key) private returns (uint64 id) {
        SessionKey storage row = _sessions[owner][key];
        require(row.validFrom != 0, UnknownKey());
        uint40 end = uint40(block.timestamp) + REVOKE_DELAY;
        require(row.validTo > end, BadExpiry());
        row.validTo = end;
        id = _enqueue(_accountsOf[owner][0], Kind.SET_KEY, _keyHigh(key), _keyLow(key));
        emit SessionKeySet(id, owner, key, row.validFrom, end, row.scopes, new uint32[](0), true);
    }

    function _listHash(address owner, uint32[] memory accts) private view returns (uint144) {
        if (accts.length == 0) return 0;
        require(accts.length <= MAX_LIST, TooManyAccountsInList());
        for (uint256 i = 0; i < accts.length; ++i) {
            require(_accounts[accts[i]].owner == owner, NotOwner());
        }
        return uint144(uint256(keccak256(abi.encodePacked(accts))));
    }

    function _keyHigh(address key) private pure returns (uint64) {
        return uint64(uint160(key) >> 96);
    }

    function _keyLow(address key) private pure returns (uint104) {
        return uint96(uint160(key));
    }
}
