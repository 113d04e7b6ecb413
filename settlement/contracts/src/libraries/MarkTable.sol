// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Vector} from "./Vector.sol";

/// @title Rows of an oracle vector by instrument: a table of those with an effect, and a search among all
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
    /// @return table of the rows with an effect: perpetuals, and options that are settled
    function build(uint256 vector) internal view returns (Table memory table) {
        uint256 head = vector == 0 ? 0 : _load(vector);
        uint256 options = head >> 240;
        uint256 perps = (head >> 224) & 0xffff;
        table.seed = uint256(keccak256(abi.encode(block.prevrandao, blockhash(block.number - 1), msg.sender))) | 1;
        bytes memory space = new bytes(32 * SLOTS);
        assembly ("memory-safe") {
            mstore(table, add(space, 32))
        }
        uint256 at = vector + Vector.HEAD;
        _insert(table, at, options, Vector.OPTION_ROW, true);
        _insert(table, at + options * Vector.OPTION_ROW, perps, Vector.PERP_ROW, false);
    }

    /// @dev few rows are looked for by mark: searching the vector itself costs the same whatever ids and seed are
    /// @param vector memory offset of a canonical vector, 0 for the round before the first
    /// @return found the row of `instr` as in a table, 0 = none
    function search(uint256 vector, uint256 instr) internal pure returns (uint256 found) {
        if (vector == 0) return 0;
        assembly ("memory-safe") {
            let count := shr(240, mload(vector))
            let base := add(vector, 8)
            let size := 13
            if shr(31, instr) {
                base := add(base, mul(13, count))
                count := and(shr(224, mload(vector)), 0xffff)
                size := 21
            }
            let low := 0
            for { let high := count } lt(low, high) {} {
                let middle := shr(1, add(low, high))
                switch lt(shr(224, mload(add(base, mul(size, middle)))), instr)
                case 1 { low := add(middle, 1) }
                default { high := middle }
            }
            if lt(low, count) {
                let word := mload(add(base, mul(size, low)))
                if eq(shr(224, word), instr) {
                    found := or(shl(136, instr), shl(128, and(shr(152, word), 0xff)))
                    found := or(found, shl(64, shr(192, shl(32, word))))
                    if shr(31, instr) { found := or(found, shr(192, shl(104, word))) }
                }
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
                    let place := mul(shr(224, word), seed)
                    place := shr(244, mul(xor(place, shr(128, place)), seed))
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
