// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {MarkTable} from "./MarkTable.sol";

/// @title Positions of one account through the steps of a batch
/// @dev Entries are those of a leaf: instr u32 | lots i64, and fundIdx i64 for a perpetual, instruments ascending.
library Positions {
    using MarkTable for MarkTable.Table;

    /// @param from,to memory range of the entries that are read
    /// @param cell,cellsEnd memory range of the posted deltas
    /// @param out memory offset of the next entry that is written
    /// @param cash what the account gains
    /// @param derived what of it comes from funding and expiry: account 1 pays it
    /// @param count entries written
    /// @param overflow a position left int64
    struct Walk {
        uint256 from;
        uint256 to;
        uint256 cell;
        uint256 cellsEnd;
        uint256 out;
        int256 cash;
        int256 derived;
        uint256 count;
        bool overflow;
    }

    uint256 internal constant MOST = 128;
    uint256 internal constant PENALTY_PPM = 10_000;
    uint256 internal constant CLOSE_FLOOR_PPM = 20_000;
    uint256 private constant NONE = 1 << 32;
    uint256 private constant U64 = 0xffffffffffffffff;
    int256 private constant MILLION = 1_000_000;

    /// @dev expiry and funding of what is there, then the posted deltas; doing it twice is doing it once
    function settleAndMove(Walk memory walk, MarkTable.Table memory table) internal pure {
        unchecked {
            uint256 held = _next(walk.from, walk.to);
            uint256 moved = _next(walk.cell, walk.cellsEnd);
            while (held != moved || held != NONE) {
                uint256 instr = held < moved ? held : moved;
                uint256 row = table.find(instr);
                uint256 index = row & U64;
                int256 lots = 0;
                if (held == instr) {
                    (lots, index) = _settle(walk, row, instr);
                    held = _next(walk.from, walk.to);
                }
                if (moved == instr) {
                    lots += _delta(walk.cell);
                    walk.cell += 16;
                    moved = _next(walk.cell, walk.cellsEnd);
                }
                if (lots != 0) _put(walk, instr, lots, index);
            }
        }
    }

    function _settle(Walk memory walk, uint256 row, uint256 instr) private pure returns (int256 lots, uint256 index) {
        unchecked {
            uint256 entry = _load(walk.from);
            lots = int64(uint64(entry >> 160));
            int256 gain = 0;
            if (instr >> 31 == 1) {
                walk.from += 20;
                index = (entry >> 96) & U64;
                if (row != 0) {
                    gain = floorDivide(lots * (int256(int64(uint64(index))) - int64(uint64(row))), MILLION);
                    index = row & U64;
                }
            } else {
                walk.from += 12;
            }
            if ((row >> 128) & 0xff != 0) {
                gain += lots * int256((row >> 64) & U64);
                lots = 0;
            }
            walk.cash += gain;
            walk.derived += gain;
        }
    }

    function _put(Walk memory walk, uint256 instr, int256 lots, uint256 index) private pure {
        unchecked {
            if (lots != int64(lots)) walk.overflow = true;
            uint256 word = (instr << 224) | ((uint256(lots) & U64) << 160);
            uint256 at = walk.out;
            bool perp = instr >> 31 == 1;
            if (perp) word |= index << 96;
            assembly ("memory-safe") {
                mstore(at, word)
            }
            walk.out = at + (perp ? 20 : 12);
            walk.count += 1;
        }
    }

    /// @return equity without cash, and the sum of |lots| x mark
    function worth(uint256 from, uint256 to, MarkTable.Table memory table)
        internal
        pure
        returns (int256 equity, uint256 gross)
    {
        unchecked {
            while (from < to) {
                uint256 entry = _load(from);
                uint256 instr = entry >> 224;
                int256 value = int64(uint64(entry >> 160));
                value *= int256((table.find(instr) >> 64) & U64);
                equity += value;
                gross += uint256(value < 0 ? -value : value);
                from += instr >> 31 == 1 ? 20 : 12;
            }
        }
    }

    /// @dev account and fund walk together: what has a mark goes to the fund at mark less the penalty, as far as the
    /// fund has room; `fund.count` counts its entries from the start, `fund.cash` what it pays
    function close(Walk memory walk, Walk memory fund, MarkTable.Table memory table) internal pure {
        unchecked {
            uint256 own = _next(walk.from, walk.to);
            uint256 his = _next(fund.from, fund.to);
            while (own != his || own != NONE) {
                if (own > his) {
                    _copy(fund, his);
                } else {
                    _closeOne(walk, fund, table, own, his);
                    own = _next(walk.from, walk.to);
                }
                his = _next(fund.from, fund.to);
            }
        }
    }

    function _closeOne(Walk memory walk, Walk memory fund, MarkTable.Table memory table, uint256 own, uint256 his)
        private
        pure
    {
        unchecked {
            uint256 row = table.find(own);
            int256 lots = int64(uint64(_load(walk.from) >> 160));
            int256 taken = lots + (his == own ? int256(int64(uint64(_load(fund.from) >> 160))) : int256(0));
            if (row == 0 || taken != int64(taken) || (his != own && fund.count >= MOST)) {
                _copy(walk, own);
                walk.count += 1;
                if (his == own) _copy(fund, his);
                return;
            }
            int256 price = closingValue(lots, (row >> 64) & U64);
            walk.cash += price;
            fund.cash -= price;
            walk.from += own >> 31 == 1 ? 20 : 12;
            if (his == own) {
                fund.from += own >> 31 == 1 ? 20 : 12;
                fund.count -= 1;
            }
            if (taken != 0) _put(fund, own, taken, row & U64);
        }
    }

    /// @dev lots at mark less the penalty, floored against the account
    function closingValue(int256 lots, uint256 mark) internal pure returns (int256) {
        unchecked {
            int256 value = lots * int256(mark);
            int256 penalty = (value < 0 ? -value : value) * int256(PENALTY_PPM);
            return floorDivide(value * MILLION - penalty, MILLION);
        }
    }

    function _copy(Walk memory walk, uint256 instr) private pure {
        unchecked {
            uint256 size = instr >> 31 == 1 ? 20 : 12;
            uint256 entry = _load(walk.from);
            uint256 at = walk.out;
            assembly ("memory-safe") {
                mstore(at, entry)
            }
            walk.from += size;
            walk.out = at + size;
        }
    }

    /// @dev rounds down, never toward zero
    function floorDivide(int256 value, int256 by) internal pure returns (int256 quotient) {
        unchecked {
            quotient = value / by;
            if (value % by < 0) quotient -= 1;
        }
    }

    function _next(uint256 at, uint256 end) private pure returns (uint256) {
        return at < end ? _load(at) >> 224 : NONE;
    }

    function _delta(uint256 cell) private pure returns (int256 delta) {
        assembly ("memory-safe") {
            delta := signextend(11, shr(128, mload(cell)))
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
