// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Vector} from "./Vector.sol";

/// @title Rows of an oracle vector by instrument
/// @dev Open addressing. Who lists instruments could choose ids that collide, so the hash has a seed that he could not
/// know. A row is one word: instr u32 | settled u8 | mark u64 | fundIdx u64, in the low 168 bits; 0 = no row.
library MarkTable {
    struct Table {
        uint256 at;
        uint256 seed;
    }

    /// @dev twice the most rows that a vector has
    uint256 private constant SLOTS = 4_096;

    /// @param vector memory offset of a canonical vector, 0 for the round before the first
    /// @param all whether options that are not settled are in it: they have a mark and no effect
    function build(uint256 vector, bool all) internal view returns (Table memory table) {
        uint256 head = vector == 0 ? 0 : _load(vector);
        uint256 options = head >> 240;
        uint256 perps = (head >> 224) & 0xffff;
        table.seed = uint256(keccak256(abi.encode(block.prevrandao, blockhash(block.number - 1), msg.sender))) | 1;
        bytes memory space = new bytes(32 * SLOTS);
        assembly ("memory-safe") {
            mstore(table, add(space, 32))
        }
        uint256 at = vector + Vector.HEAD;
        _insert(table, at, options, Vector.OPTION_ROW, !all);
        _insert(table, at + options * Vector.OPTION_ROW, perps, Vector.PERP_ROW, false);
    }

    function find(Table memory table, uint256 instr) internal pure returns (uint256 row) {
        assembly ("memory-safe") {
            let base := mload(table)
            let place := shr(244, mul(instr, mload(add(table, 32))))
            for {} 1 { place := and(add(place, 1), 0xfff) } {
                row := mload(add(base, shl(5, place)))
                if or(iszero(row), eq(shr(136, row), instr)) { break }
            }
        }
    }

    /// @dev a row of the vector is instr u32 | mark u64 | settled u8, and fundIdx u64 for a perpetual
    function _insert(Table memory table, uint256 at, uint256 count, uint256 size, bool settledOnly) private pure {
        assembly ("memory-safe") {
            let base := mload(table)
            let seed := mload(add(table, 32))
            for { let end := add(at, mul(count, size)) } lt(at, end) { at := add(at, size) } {
                let word := mload(at)
                let settled := and(shr(152, word), 0xff)
                if iszero(and(settledOnly, iszero(settled))) {
                    let row := or(shl(136, shr(224, word)), or(shl(128, settled), shl(64, shr(192, shl(32, word)))))
                    // an option's row ends here, what follows is the next one's
                    if shr(255, word) { row := or(row, shr(192, shl(104, word))) }
                    let place := shr(244, mul(shr(224, word), seed))
                    for {} mload(add(base, shl(5, place))) { place := and(add(place, 1), 0xfff) } {}
                    mstore(add(base, shl(5, place)), row)
                }
            }
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
