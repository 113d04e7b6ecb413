// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {BatchCells} from "./libraries/BatchCells.sol";
import {TreeFold} from "./libraries/TreeFold.sol";
import {Reverts} from "./Reverts.sol";

/// @title What every answer to a challenge needs: the open question, the batch it is about, the trees it is proven in
abstract contract Challenges is Reverts {
    using BatchCells for BatchCells.Cells;

    function _liveHash(uint64 seq, Header calldata header) internal view returns (bytes32 hash) {
        hash = keccak256(abi.encode(header));
        require(seq > 0 && seq <= _head.head && hash == _batchHash[seq], BadHeader());
    }

    function _isLive(Challenge memory asked) internal view returns (bool) {
        return asked.seq <= _head.head && _batchHash[asked.seq] == asked.batchHash;
    }

    function _openChallenge(bytes32 id) internal view returns (Challenge memory asked) {
        asked = _challenges[id];
        require(asked.isOpen && _isLive(asked), NotOpen());
    }

    function _closeChallenge(bytes32 id, Challenge memory asked, address holder) internal {
        _challenges[id].isOpen = false;
        _openChallenges[asked.batchHash] -= 1;
        _credit(holder, asked.bond);
    }

    /// @param indices strictly ascending; both arrays are used up
    function _checkRoot(uint256[] memory indices, bytes32[] memory hashes, bytes memory siblings, bytes32 root)
        internal
        pure
    {
        require(indices[indices.length - 1] < 1 << TreeFold.DEPTH, BadLeaves());
        uint256 at;
        assembly ("memory-safe") {
            at := add(siblings, 32)
        }
        (bytes32 folded, uint256 used) = TreeFold.fold(indices, hashes, at);
        require(folded == root && used == at + siblings.length, BadLeaves());
    }

    /// @dev an account that is not listed has no delta; data that is not canonical is F1's
    /// @param instrs ascending; rows without lots are passed over
    function _isPosted(uint32 acct, uint32[] memory instrs, int256[] memory lots, int256 cash, bytes memory data)
        internal
        pure
        returns (bool)
    {
        uint256 at;
        assembly ("memory-safe") {
            at := add(data, 32)
        }
        (BatchCells.Cells memory cells,) = BatchCells.read(at);
        uint256 local = cells.find(acct);
        uint256 from;
        uint256 to;
        int256 posted;
        if (local < cells.accounts) {
            (, posted) = cells.account(local);
            (from, to) = cells.cellsOf(local);
        }
        for (uint256 i = 0; i < instrs.length; ++i) {
            if (lots[i] == 0) continue;
            if (from == to) return false;
            (uint32 instr, int256 delta) = BatchCells.cellAt(from);
            if (instr != instrs[i] || delta != lots[i]) return false;
            from += 16;
        }
        return from == to && posted == cash;
    }
}
