// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Vector} from "./Vector.sol";

/// @title Rows of an oracle vector by instrument
/// @dev Open addressing. Who lists instruments could choose ids that collide, so the hash has a seed that he could not
/// know. A row is one word: instr u32 | settled u8 | mark u64 | fundIdx u64, in the low 168 bits; 0 = no row.
library MarkTable {
    struct Table {
        uint256 at;
        uint256 mask;
        uint256 shift;
        uint256 seed;
    }

    /// @param vector memory offset of a canonical vector, 0 for the round before the first
    function build(uint256 vector) internal view returns (Table memory table) {
        uint256 head = vector == 0 ? 0 : _load(vector);
        uint256 options = head >> 240;
        uint256 perps = (head >> 224) & 0xffff;
        uint256 bits = 1;
        while (1 << bits < 2 * (options + perps)) ++bits;
        table.mask = (1 << bits) - 1;
        table.shift = 256 - bits;
        table.seed = uint256(keccak256(abi.encode(block.prevrandao, blockhash(block.number - 1), msg.sender))) | 1;
        bytes memory space = new bytes(32 << bits);
        assembly ("memory-safe") {
            mstore(table, add(space, 32))
        }
        uint256 at = vector + Vector.HEAD;
        for (uint256 i = 0; i < options; ++i) {
            _insert(table, (_load(at) >> 152) << 64);
            at += Vector.OPTION_ROW;
        }
        for (uint256 i = 0; i < perps; ++i) {
            _insert(table, _load(at) >> 88);
            at += Vector.PERP_ROW;
        }
    }

    function find(Table memory table, uint256 instr) internal pure returns (uint256 row) {
        assembly ("memory-safe") {
            let base := mload(table)
            let mask := mload(add(table, 32))
            let place := shr(mload(add(table, 64)), mul(instr, mload(add(table, 96))))
            for {} 1 { place := and(add(place, 1), mask) } {
                row := mload(add(base, shl(5, place)))
                if or(iszero(row), eq(shr(136, row), instr)) { break }
            }
        }
    }

    /// @param word instr u32 | mark u64 | settled u8 | fundIdx u64, as the vector has it
    function _insert(Table memory table, uint256 word) private pure {
        assembly ("memory-safe") {
            let instr := shr(136, word)
            let mark := and(shr(72, word), 0xffffffffffffffff)
            let row := or(shl(136, instr), or(shl(128, and(shr(64, word), 0xff)), shl(64, mark)))
            row := or(row, and(word, 0xffffffffffffffff))
            let base := mload(table)
            let mask := mload(add(table, 32))
            let place := shr(mload(add(table, 64)), mul(instr, mload(add(table, 96))))
            for {} mload(add(base, shl(5, place))) { place := and(add(place, 1), mask) } {}
            mstore(add(base, shl(5, place)), row)
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
