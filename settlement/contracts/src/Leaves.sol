// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {TreeFold} from "./libraries/TreeFold.sol";
import {Reverts} from "./Reverts.sol";

/// @title What proofs about one account show: its leaf under a root, and the vector of a round
abstract contract Leaves is Reverts {
    uint256 private constant HEAD = 36;

    /// @return at memory offset of the vector, 0 for round 0
    function _vectorOf(bytes memory vector, uint256 round) internal view returns (uint256 at) {
        if (round == 0) {
            require(vector.length == 0, BadProof());
            return 0;
        }
        require(uint256(keccak256(vector)) >> 40 == _oracle[round] >> 40, BadProof());
        assembly ("memory-safe") {
            at := add(vector, 32)
        }
    }

    /// @param leaf preimage, empty for an account that does not exist yet
    /// @param path siblings from the leaf up
    /// @return cash of the account; its entries stand in memory at [from, to)
    function _leafOf(uint32 acct, bytes memory leaf, bytes memory path, bytes32 root)
        internal
        pure
        returns (int256 cash, uint256 from, uint256 to)
    {
        require(leaf.length == 0 || leaf.length >= HEAD, BadProof());
        require(acct < 1 << TreeFold.DEPTH, BadProof());
        _checkPath(acct, leaf.length == 0 ? bytes32(0) : keccak256(leaf), path, root);
        if (leaf.length == 0) return (0, 0, 0);
        assembly ("memory-safe") {
            cash := sar(128, mload(add(leaf, 52)))
            from := add(leaf, 68)
            to := add(add(leaf, 32), mload(leaf))
        }
    }

    function _checkPath(uint32 acct, bytes32 hash, bytes memory path, bytes32 root) private pure {
        uint256[] memory indices = new uint256[](1);
        bytes32[] memory hashes = new bytes32[](1);
        (indices[0], hashes[0]) = (acct, hash);
        uint256 at;
        assembly ("memory-safe") {
            at := add(path, 32)
        }
        (bytes32 folded, uint256 used) = TreeFold.fold(indices, hashes, at);
        require(folded == root && used == at + path.length, BadProof());
    }
}
