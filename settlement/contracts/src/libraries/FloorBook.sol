// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../interfaces/ISettlementTypes.sol";
import {BatchCells} from "./BatchCells.sol";
import {LinearBounds} from "./LinearBounds.sol";
import {MarkTable} from "./MarkTable.sol";
import {PriceRows} from "./PriceRows.sol";

/// @title What F3 adds up of one account: its worth behind a batch at two rounds, and what the batch's deltas did
/// @dev Whatever is rounded or not known counts for the account. Lots are int64 or int96 and marks u64, so that no
/// product leaves 160 bits and no sum of 383 of them 169.
library FloorBook {
    /// @param covered cash and perpetuals
    /// @param options at their marks, all of them known
    /// @param isUnmarked a perpetual has no mark
    /// @param isOpaque an option has no mark
    struct Standing {
        int256 covered;
        int256 options;
        uint256 low;
        bool isUnmarked;
        bool isOpaque;
    }

    /// @param opening,closing memory offsets of vectors, 0 for none
    /// @param cell,cellsEnd memory range of the posted deltas that are left
    /// @param moved posted cash delta
    /// @param perpetuals,options what the posted lots are worth
    /// @param need what the account must hold for its positions, less what it had to before the deltas
    /// @param band more than any honest price can lose on the deltas
    /// @param isOpaque an option of the deltas has no mark, or its underlying no price
    struct Book {
        uint256 opening;
        uint256 closing;
        uint256 cell;
        uint256 cellsEnd;
        int256 moved;
        int256 perpetuals;
        int256 options;
        int256 need;
        uint256 band;
        bool isOpaque;
        Standing then;
        Standing now_;
    }

    uint256 private constant U64 = 0xffffffffffffffff;
    uint256 private constant MILLION = 1_000_000;
    uint256 private constant CELL = 16;

    function begin(Book memory book, int256 cash) internal pure {
        (book.then.covered, book.now_.covered) = (cash, cash);
    }

    /// @param from,to memory range of the entries that are left
    /// @return instr the lower one of the next entry and the next delta
    /// @return lots of the entry, 0 when it is another instrument's
    /// @return delta of the instrument, 0 when there is none
    /// @return behind memory offset of the entry after it
    function next(Book memory book, uint256 from, uint256 to)
        internal
        pure
        returns (uint256 instr, int256 lots, int256 delta, uint256 behind)
    {
        uint256 entry = from < to ? _load(from) : type(uint256).max;
        uint32 moved = type(uint32).max;
        int256 by;
        if (book.cell < book.cellsEnd) (moved, by) = BatchCells.cellAt(book.cell);
        bool hasCell = book.cell < book.cellsEnd;
        bool isEntry = from < to && (!hasCell || entry >> 224 <= moved);
        instr = isEntry ? entry >> 224 : moved;
        behind = from;
        if (isEntry) {
            lots = int64(uint64(entry >> 160));
            behind = from + (entry >> 255 == 1 ? 20 : 12);
        }
        if (hasCell && instr == moved) {
            delta = by;
            book.cell += CELL;
        }
    }

    /// @param lots behind the batch
    /// @param spec read for perpetuals and where `delta` is not 0
    function add(
        Book memory book,
        uint256 instr,
        int256 lots,
        int256 delta,
        ISettlementTypes.InstrumentSpec memory spec
    ) internal pure {
        uint256 row = MarkTable.search(book.closing, instr);
        if (lots != 0) {
            _stand(book.now_, instr, lots, row, spec);
            _stand(book.then, instr, lots, MarkTable.search(book.opening, instr), spec);
        }
        if (delta != 0) _trade(book, lots, delta, row, spec);
    }

    function isBroken(Book memory book) internal pure returns (bool) {
        int256 before = book.now_.covered - book.moved - book.perpetuals;
        if (before < 0) before = 0;
        int256 room = before / 2;
        if (!_isBelow(book.now_, room)) return false;
        if (book.opening != 0 && !book.then.isUnmarked && !_isBelow(book.then, room)) return false;
        if (book.need > 0) return true;
        int256 loss = -(book.moved + book.perpetuals + book.options);
        return !book.isOpaque && loss > int256(book.band) + before + room;
    }

    function _isBelow(Standing memory row, int256 room) private pure returns (bool) {
        int256 least = row.covered;
        if (!row.isOpaque && row.options < 0) least += row.options;
        return least < int256(row.low) - room;
    }

    function _stand(
        Standing memory standing,
        uint256 instr,
        int256 lots,
        uint256 row,
        ISettlementTypes.InstrumentSpec memory spec
    ) private pure {
        if (instr >> 31 == 0) {
            if (row == 0) standing.isOpaque = true;
            standing.options += _value(lots, row);
        } else if ((row >> 64) & U64 == 0) {
            standing.isUnmarked = true;
        } else {
            standing.covered += _value(lots, row);
            standing.low += LinearBounds.low(spec, lots, _mark(row));
        }
    }

    function _trade(
        Book memory book,
        int256 lots,
        int256 delta,
        uint256 row,
        ISettlementTypes.InstrumentSpec memory spec
    ) private pure {
        book.need += _need(spec, lots, row) - _need(spec, lots - delta, row);
        uint256 index;
        if (spec.isPerp) {
            book.perpetuals += _value(delta, row);
        } else {
            bool found;
            (found, index) = PriceRows.find(book.closing, spec.underlying);
            if (row == 0 || !found) book.isOpaque = true;
            book.options += _value(delta, row);
        }
        book.band += LinearBounds.high(spec, delta < 0 ? delta : -delta, _mark(row), index);
    }

    /// @dev `low` of a perpetual, the value of a long option
    function _need(ISettlementTypes.InstrumentSpec memory spec, int256 lots, uint256 row)
        private
        pure
        returns (int256)
    {
        if (spec.isPerp) return int256(LinearBounds.low(spec, lots, _mark(row)));
        return lots > 0 ? lots * int256(_mark(row)) : int256(0);
    }

    /// @dev marks were rounded down, so that long lots count a unit more
    function _value(int256 lots, uint256 row) private pure returns (int256) {
        return lots * int256(lots > 0 ? _mark(row) + 1 : _mark(row));
    }

    /// @dev a settled row holds a payoff in 1e-12 USDC in the place of the mark
    function _mark(uint256 row) private pure returns (uint256 mark) {
        mark = (row >> 64) & U64;
        if ((row >> 128) & 0xff == 1) mark /= MILLION;
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
