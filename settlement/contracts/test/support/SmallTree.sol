// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @dev a state tree of depth 20 whose first eight accounts may have leaves
library SmallTree {
    uint256 internal constant LEAVES = 8;
    uint256 private constant LOW = 3;
    uint256 private constant DEPTH = 20;

    function root(bytes[8] memory leaves) internal pure returns (bytes32 node) {
        bytes32[] memory level = hashes(leaves);
        for (uint256 i = 0; i < LOW; ++i) {
            level = above(level);
        }
        node = level[0];
        for (uint256 i = LOW; i < DEPTH; ++i) {
            node = keccak256(abi.encode(node, empty(i)));
        }
    }

    function path(bytes[8] memory leaves, uint256 index) internal pure returns (bytes memory out) {
        bytes32[] memory level = hashes(leaves);
        for (uint256 i = 0; i < LOW; ++i) {
            out = bytes.concat(out, level[index ^ 1]);
            level = above(level);
            index >>= 1;
        }
        for (uint256 i = LOW; i < DEPTH; ++i) {
            out = bytes.concat(out, empty(i));
        }
    }

    function hashes(bytes[8] memory leaves) private pure returns (bytes32[] memory out) {
        out = new bytes32[](LEAVES);
        for (uint256 i = 0; i < LEAVES; ++i) {
            if (leaves[i].length > 0) out[i] = keccak256(leaves[i]);
        }
    }

    function above(bytes32[] memory level) private pure returns (bytes32[] memory out) {
        out = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = keccak256(abi.encode(level[2 * i], level[2 * i + 1]));
        }
    }

    /// @dev root of an empty subtree of this height
    function empty(uint256 height) private pure returns (bytes32 node) {
        for (uint256 i = 0; i < height; ++i) {
            node = keccak256(abi.encode(node, node));
        }
    }
}
