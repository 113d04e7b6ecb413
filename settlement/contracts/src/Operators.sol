// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";

/// @title Who posts next, and what is owed to whom
abstract contract Operators is Storage {
    /// @dev the first registered successor with a full bond posts from head + 1 on; nobody does when there is none, and
    /// nobody puts a bond behind a contract that is frozen
    function _installSuccessor(uint64 minimum) internal returns (bool found) {
        uint256 count = _successors.length;
        uint256 place;
        while (place < count && _successors[place].bond < minimum) ++place;
        found = place < count && _progress.halted != FROZEN;
        Successor memory next = found ? _successors[place] : Successor(address(0), 0);
        if (found) _dropSuccessor(place);
        _head.operator = next.operator;
        _collateral.bond = next.bond;
        _backing.from = _head.head + 1;
        emit OperatorInstalled(next.operator, _head.head + 1, next.bond);
    }

    /// @dev keeps the order of the others
    function _dropSuccessor(uint256 place) internal {
        emit SuccessorChanged(_successors[place].operator, false);
        uint256 last = _successors.length - 1;
        for (; place < last; ++place) {
            _successors[place] = _successors[place + 1];
        }
        _successors.pop();
    }

    function _credit(address holder, uint256 amount) internal {
        if (amount == 0) return;
        _credits[holder] += amount;
        emit Credited(holder, amount);
    }
}
