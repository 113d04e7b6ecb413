// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {MarkTable} from "./MarkTable.sol";
import {Positions} from "./Positions.sol";

/// @title What a leaf is worth at the marks of one round, funding and expiry included
library Equity {
    uint256 internal constant LEAF_HEAD = 36;
    uint256 private constant U64 = 0xffffffffffffffff;
    int256 private constant MILLION = 1_000_000;

    /// @param leaf owner[20] | cash int128 | entries
    /// @param vector memory offset of a canonical vector, 0 for none
    /// @return equity in 1e-6 USDC; no sum of 128 entries leaves 137 bits
    function worth(bytes memory leaf, uint256 vector) internal pure returns (int256 equity) {
        uint256 at;
        assembly ("memory-safe") {
            at := add(leaf, 32)
        }
        uint256 end = at + leaf.length;
        equity = int128(uint128(_load(at + 20) >> 128));
        for (at += LEAF_HEAD; at < end;) {
            uint256 entry = _load(at);
            equity += _value(entry, MarkTable.search(vector, entry >> 224));
            at += entry >> 255 == 1 ? 20 : 12;
        }
    }

    function _value(uint256 entry, uint256 row) private pure returns (int256 value) {
        if (row == 0) return 0;
        int256 lots = int64(uint64(entry >> 160));
        int256 mark = int256((row >> 64) & U64);
        if (entry >> 255 == 1) {
            int256 moved = int256(int64(uint64(row))) - int64(uint64(entry >> 96));
            value = Positions.floorDivide(-lots * moved, MILLION);
        }
        // a settled row holds a payoff in 1e-12 USDC in the place of the mark
        bool isSettled = (row >> 128) & 0xff == 1;
        value += isSettled ? Positions.floorDivide(lots * mark, MILLION) : lots * mark;
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
