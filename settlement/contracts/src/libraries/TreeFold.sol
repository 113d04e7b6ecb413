// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Root of a tree of depth 20 from some leaves and the siblings that they lack
library TreeFold {
    uint256 internal constant DEPTH = 20;

    /// @param indices strictly ascending, below 2^20; both arrays are used up
    /// @param at memory offset of the siblings, level by level from the leaves, left to right
    /// @return root of the tree
    /// @return next memory offset after the last sibling used
    function fold(uint256[] memory indices, bytes32[] memory hashes, uint256 at)
        internal
        pure
        returns (bytes32 root, uint256 next)
    {
        uint256 count = indices.length;
        for (uint256 level = 0; level < DEPTH; ++level) {
            (count, at) = _foldLevel(indices, hashes, count, at);
        }
        return (hashes[0], at);
    }

    function _foldLevel(uint256[] memory indices, bytes32[] memory hashes, uint256 count, uint256 at)
        private
        pure
        returns (uint256 kept, uint256 next)
    {
        assembly ("memory-safe") {
            next := at
            let end := add(add(indices, 32), shl(5, count))
            let apart := sub(hashes, indices)
            let to := add(indices, 32)
            for { let from := to } lt(from, end) {} {
                let index := mload(from)
                let node := mload(add(from, apart))
                let other := 0
                from := add(from, 32)
                let paired := and(iszero(and(index, 1)), and(lt(from, end), eq(mload(from), add(index, 1))))
                switch paired
                case 1 {
                    other := mload(add(from, apart))
                    from := add(from, 32)
                }
                default {
                    other := mload(next)
                    next := add(next, 32)
                }
                let side := shl(5, and(index, 1))
                mstore(side, node)
                mstore(xor(side, 32), other)
                mstore(to, shr(1, index))
                mstore(add(to, apart), keccak256(0, 64))
                to := add(to, 32)
                kept := add(kept, 1)
            }
        }
    }
}
