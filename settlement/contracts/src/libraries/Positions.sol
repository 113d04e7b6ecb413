// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {MarkTable} from "./MarkTable.sol";

/// @title Positions of one account through the steps of a batch
/// @dev Entries are those of a leaf: instr u32 | lots i64, and fundIdx i64 for a perpetual, instruments ascending.
library Positions {
    /// @param from,to memory range of the entries that are read
    /// @param cell,cellsEnd memory range of the posted deltas
    /// @param out memory offset of the next entry that is written
    /// @param cash of the account, funding and expiry apart
    /// @param derived what funding and expiry add to it: account 1 pays that
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

    /// @dev expiry and funding of what is there, then the posted deltas; doing it twice is doing it once. This loop is
    /// the cost of a proof at the caps: up to 16,000 entries, hence assembly
    /// @param table of the rows with an effect: perpetuals, and what is settled
    function settleAndMove(Walk memory walk, MarkTable.Table memory table) internal pure {
        assembly ("memory-safe") {
            // instrument of the next cell, 2^32 behind the last
            function nextMoved(w, at) -> instr {
                instr := 0x100000000
                if lt(at, mload(add(w, 96))) { instr := shr(224, mload(at)) }
            }

            let from := mload(walk)
            let cell := mload(add(walk, 64))
            let out := mload(add(walk, 128))
            let count := 0
            let moved := nextMoved(walk, cell)
            // few variables, so that all stay on the stack
            for {} 1 {} {
                // most entries are options that nothing happens to
                for { let to := mload(add(walk, 32)) } lt(from, to) {} {
                    let word := mload(from)
                    if iszero(lt(shr(224, word), moved)) { break }
                    if shr(255, word) { break }
                    let slot := mul(shr(224, word), mload(add(table, 32)))
                    slot := shl(5, shr(244, mul(xor(slot, shr(128, slot)), mload(add(table, 32)))))
                    if mload(add(mload(table), slot)) { break }
                    mstore(out, word)
                    from := add(from, 12)
                    out := add(out, 12)
                    count := add(count, 1)
                }
                // perpetuals that only pay funding
                for { let to := mload(add(walk, 32)) } lt(from, to) {} {
                    let word := mload(from)
                    if iszero(lt(shr(224, word), moved)) { break }
                    if iszero(shr(255, word)) { break }
                    let slot := mul(shr(224, word), mload(add(table, 32)))
                    slot := shl(5, shr(244, mul(xor(slot, shr(128, slot)), mload(add(table, 32)))))
                    let row := mload(add(mload(table), slot))
                    // another instrument's row, none, or one that is settled
                    if xor(shr(128, row), shl(8, shr(224, word))) { break }
                    mstore(out, or(shl(160, shr(160, word)), shr(96, shl(192, row))))
                    row := sub(signextend(7, shr(96, word)), signextend(7, row))
                    row := mul(signextend(7, shr(160, word)), row)
                    // floored, not rounded toward zero
                    row := sub(sdiv(row, 1000000), slt(smod(row, 1000000), 0))
                    mstore(add(walk, 192), add(mload(add(walk, 192)), row))
                    from := add(from, 20)
                    out := add(out, 20)
                    count := add(count, 1)
                }
                let instr := 0x100000000
                if lt(from, mload(add(walk, 32))) { instr := shr(224, mload(from)) }
                let lots := 0
                switch lt(moved, instr)
                case 1 { instr := moved }
                default {
                    if shr(32, instr) { break }
                    lots := signextend(7, shr(160, mload(from)))
                }
                let row := 0
                {
                    let place := mul(instr, mload(add(table, 32)))
                    place := shr(244, mul(xor(place, shr(128, place)), mload(add(table, 32))))
                    for {} 1 { place := and(add(place, 1), 0xfff) } {
                        row := mload(add(mload(table), shl(5, place)))
                        if or(iszero(row), eq(shr(136, row), instr)) { break }
                    }
                }
                let index := row
                if lots {
                    if shr(31, instr) {
                        index := shr(96, mload(from))
                        from := add(from, 8)
                        if row {
                            index := mul(lots, sub(signextend(7, index), signextend(7, row)))
                            index := sub(sdiv(index, 1000000), slt(smod(index, 1000000), 0))
                            mstore(add(walk, 192), add(mload(add(walk, 192)), index))
                            index := row
                        }
                    }
                    from := add(from, 12)
                    if and(shr(128, row), 0xff) {
                        // a payoff, 1e-12 USDC per lot
                        lots := mul(lots, and(shr(64, row), 0xffffffffffffffff))
                        lots := sub(sdiv(lots, 1000000), slt(smod(lots, 1000000), 0))
                        mstore(add(walk, 192), add(mload(add(walk, 192)), lots))
                        lots := 0
                    }
                }
                if eq(moved, instr) {
                    lots := add(lots, signextend(11, shr(128, mload(cell))))
                    cell := add(cell, 16)
                    moved := nextMoved(walk, cell)
                }
                if lots {
                    // the upper half counts what leaves int64
                    count := add(count, add(1, shl(128, iszero(eq(lots, signextend(7, lots))))))
                    mstore(out, or(shl(224, instr), or(shr(32, shl(192, lots)), shr(96, shl(192, index)))))
                    out := add(out, add(12, shl(3, shr(31, instr))))
                }
            }
            mstore(add(walk, 128), out)
            mstore(add(walk, 224), add(mload(add(walk, 224)), and(count, 0xffffffff)))
            if shr(128, count) { mstore(add(walk, 256), 1) }
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
    function worth(uint256 from, uint256 to, uint256 vector)
        internal
        pure
        returns (int256 equity, uint256 gross)
    {
        unchecked {
            while (from < to) {
                uint256 entry = _load(from);
                uint256 instr = entry >> 224;
                int256 value = int256(int64(uint64(entry >> 160))) * int256((MarkTable.search(vector, instr) >> 64) & U64);
                equity += value;
                gross += uint256(value < 0 ? -value : value);
                from += instr >> 31 == 1 ? 20 : 12;
            }
        }
    }

    /// @dev account and fund walk together: what has a mark goes to the fund at mark less the penalty, as far as the
    /// fund has room; `fund.count` counts its entries from the start, `fund.cash` what it pays
    function close(Walk memory walk, Walk memory fund, uint256 vector) internal pure {
        unchecked {
            uint256 own = _next(walk.from, walk.to);
            uint256 his = _next(fund.from, fund.to);
            while (own != his || own != NONE) {
                if (own > his) {
                    _copy(fund, his);
                } else {
                    _closeOne(walk, fund, vector, own, his);
                    own = _next(walk.from, walk.to);
                }
                his = _next(fund.from, fund.to);
            }
        }
    }

    function _closeOne(Walk memory walk, Walk memory fund, uint256 vector, uint256 own, uint256 his)
        private
        pure
    {
        unchecked {
            uint256 row = MarkTable.search(vector, own);
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

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
