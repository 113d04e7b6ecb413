// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {MarkTable} from "./libraries/MarkTable.sol";
import {Positions} from "./libraries/Positions.sol";
import {TreeFold} from "./libraries/TreeFold.sol";
import {Challenges} from "./Challenges.sol";

/// @title Whether a venue may have closed an account as it did: its leaf before the batch, the round's marks, its leaves
/// @dev Marks and payoffs are rounded down to a unit per lot, so a price may be off by a unit per lot and one more.
abstract contract ForcedRules is Challenges {
    /// @param instrs,lots,marks positions after expiry, ascending; the mark is `MarkTable.search`'s row, 0 = none
    /// @param moved lots of the leaves so far
    /// @param cash of the leaves so far
    /// @param equity before the batch, at its marks
    /// @param high equity from which on nobody may close the account
    /// @param hasShortOption nothing is known of the margin of one: then `high` does not count
    /// @param isPaidByOthers the fund paid, or a counterparty gave way at a price better than the mark
    struct Book {
        uint32[] instrs;
        int256[] lots;
        uint256[] marks;
        int256[] moved;
        int256 cash;
        int256 equity;
        uint256 high;
        bool hasShortOption;
        bool isPaidByOthers;
    }

    struct Row {
        uint8 kind;
        uint32 instr;
        bytes32 ref;
        int64 pos;
        uint64 notional;
        int64 fee;
    }

    uint8 internal constant LIQUIDATION = 2;
    uint8 internal constant ADL = 4;
    uint8 internal constant FUND = 5;

    uint8 internal constant FEE_TOO_HIGH = 12;
    uint8 internal constant WRONG_KIND = 14;
    uint8 internal constant GROWS = 15;
    uint8 internal constant NO_MARK = 16;
    uint8 internal constant BEYOND_BOUND = 17;
    uint8 internal constant NOT_BANKRUPT = 18;
    uint8 internal constant BAD_PAYMENT = 19;
    uint8 internal constant TOO_RICH = 20;
    uint8 internal constant DEPOSITED = 21;
    uint8 internal constant NO_COUNTERPART = 22;

    uint256 internal constant ROW = 61;
    uint256 internal constant LEAF_HEAD = 36;
    /// @dev the engine knows it as LIQUIDATION_PRICE_PPM
    uint256 internal constant PRICE_BOUND_PPM = 50_000;
    uint256 internal constant FEE_BOUND_PPM = 25_000;
    /// @dev above the maintenance fraction of every tier
    uint256 internal constant HIGH_PPM = 250_000;
    uint256 internal constant PPM = 1_000_000;

    /// @dev the account as the batch found it; what `MarkTable` and `Positions` do in F1
    function _open(uint32 acct, bytes memory leaf, bytes memory path, bytes memory vector, Header calldata header)
        internal
        view
        returns (Book memory book)
    {
        _checkLeaf(acct, leaf, path, header.prevRoot);
        uint256 round = uint48(header.h >> 144);
        if (round == 0) require(vector.length == 0, BadProof());
        else require(uint256(keccak256(vector)) >> 40 == _oracle[round] >> 40, BadProof());
        uint256 at;
        uint256 table;
        assembly ("memory-safe") {
            at := add(leaf, 32)
            table := mul(add(vector, 32), iszero(iszero(mload(vector))))
        }
        Positions.Walk memory walk;
        (walk.from, walk.to) = (at + LEAF_HEAD, at + leaf.length);
        bytes memory space = new bytes(leaf.length + 32);
        uint256 out;
        assembly ("memory-safe") {
            out := add(space, 32)
        }
        walk.out = out;
        Positions.settleAndMove(walk, MarkTable.build(table));
        book.equity = int128(uint128(_load(at + 20) >> 128)) + walk.derived;
        _readEntries(book, out, walk.out, walk.count, table);
    }

    function _checkLeaf(uint32 acct, bytes memory leaf, bytes memory path, bytes32 root) internal pure {
        require(acct < 1 << TreeFold.DEPTH && leaf.length >= LEAF_HEAD && path.length == 32 * TreeFold.DEPTH, BadProof());
        uint256[] memory indices = new uint256[](1);
        bytes32[] memory hashes = new bytes32[](1);
        (indices[0], hashes[0]) = (acct, keccak256(leaf));
        uint256 at;
        assembly ("memory-safe") {
            at := add(path, 32)
        }
        (bytes32 folded,) = TreeFold.fold(indices, hashes, at);
        require(folded == root, BadProof());
    }

    function _readEntries(Book memory book, uint256 from, uint256 to, uint256 count, uint256 vector) private pure {
        (book.instrs, book.lots) = _entries(from, to, count);
        (book.marks, book.moved) = (new uint256[](count), new int256[](count));
        for (uint256 i = 0; i < count; ++i) {
            (uint32 instr, int256 lots) = (book.instrs[i], book.lots[i]);
            book.marks[i] = MarkTable.search(vector, instr);
            int256 value = lots * int256(_markOf(book.marks[i]));
            book.equity += value;
            if (instr >> 31 == 1) book.high += uint256(value < 0 ? -value : value) * HIGH_PPM / PPM;
            else if (lots > 0) book.high += uint256(value);
            else book.hasShortOption = true;
        }
    }

    /// @param count of the entries between `from` and `to`
    function _entries(uint256 from, uint256 to, uint256 count)
        internal
        pure
        returns (uint32[] memory instrs, int256[] memory lots)
    {
        (instrs, lots) = (new uint32[](count), new int256[](count));
        for (uint256 i = 0; i < count && from < to; ++i) {
            uint256 word = _load(from);
            (instrs[i], lots[i]) = (uint32(word >> 224), int64(uint64(word >> 160)));
            from += word >> 255 == 1 ? 20 : 12;
        }
    }

    /// @return reason 0 when the leaf is allowed; its lots and cash are added to the book
    function _judge(Book memory book, Row memory row) internal pure returns (uint8 reason) {
        uint8 by = uint8(uint256(row.ref) >> 248);
        if (row.kind == FUND) return by == FUND ? _judgePayment(book, row) : WRONG_KIND;
        if (row.kind != LIQUIDATION || (by != LIQUIDATION && by != ADL)) return WRONG_KIND;
        uint256 place = _place(book.instrs, row.instr);
        if (place == book.instrs.length || row.pos == 0 || (row.pos > 0) == (book.lots[place] > 0)) return GROWS;
        book.moved[place] += row.pos;
        if (_size(book.moved[place]) > _size(book.lots[place])) return GROWS;
        uint256 mark = book.marks[place];
        if (mark == 0) return NO_MARK;
        if (row.fee < 0 || (by == ADL && row.fee != 0)) return FEE_TOO_HIGH;
        if (uint256(uint64(row.fee)) * PPM > uint256(row.notional) * FEE_BOUND_PPM) return FEE_TOO_HIGH;
        _add(book, row);
        return _judgePrice(book, row, _markOf(mark), by == ADL);
    }

    /// @dev on the book somebody signed the other side, so only a price that is bad for the account is a question
    function _judgePrice(Book memory book, Row memory row, uint256 mark, bool isDeleveraged)
        private
        pure
        returns (uint8)
    {
        uint256 lots = _size(row.pos);
        uint256 paid = uint256(row.notional) * PPM;
        uint256 slack = (lots + 1) * PPM;
        uint256 value = lots * mark * PPM;
        uint256 bound = isDeleveraged ? 0 : lots * mark * PRICE_BOUND_PPM;
        bool sells = row.pos < 0;
        if (sells ? paid + slack + bound < value : paid > value + bound + slack) return BEYOND_BOUND;
        if (isDeleveraged && (sells ? paid > value + slack : paid + slack < value)) book.isPaidByOthers = true;
        return 0;
    }

    function _judgePayment(Book memory book, Row memory row) private pure returns (uint8) {
        if (row.instr != 0 || row.pos != 0 || row.notional != 0 || row.fee >= 0) return BAD_PAYMENT;
        book.isPaidByOthers = true;
        _add(book, row);
        return 0;
    }

    function _add(Book memory book, Row memory row) internal pure {
        int256 notional = int256(uint256(row.notional));
        book.cash += (row.pos > 0 ? -notional : notional) - row.fee;
    }

    /// @param leaves number of rows: each may be rounded by a unit
    /// @return reason 0 when the account was poor enough for what was done to it
    function _judgeEquity(Book memory book, uint256 leaves) internal pure returns (uint8 reason) {
        if (!book.hasShortOption && book.equity >= int256(book.high)) return TOO_RICH;
        if (!book.isPaidByOthers) return 0;
        int256 after_ = book.equity + book.cash;
        uint256 slack = leaves + 4 * (book.instrs.length + 1);
        for (uint256 i = 0; i < book.instrs.length; ++i) {
            after_ += book.moved[i] * int256(_markOf(book.marks[i]));
            slack += _size(book.lots[i]);
        }
        return after_ > int256(slack) ? NOT_BANKRUPT : 0;
    }

    /// @return number of instruments when it is none of them
    function _place(uint32[] memory instrs, uint32 instr) internal pure returns (uint256) {
        uint256 low = 0;
        uint256 high = instrs.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (instrs[middle] < instr) low = middle + 1;
            else high = middle;
        }
        return low < instrs.length && instrs[low] == instr ? low : instrs.length;
    }

    function _readRow(bytes calldata rows, uint256 number) internal pure returns (Row memory row) {
        bytes calldata one = rows[number * ROW:(number + 1) * ROW];
        (row.kind, row.instr, row.ref) = (uint8(one[0]), uint32(bytes4(one[1:5])), bytes32(one[5:37]));
        row.pos = int64(uint64(bytes8(one[37:45])));
        (row.notional, row.fee) = (uint64(bytes8(one[45:53])), int64(uint64(bytes8(one[53:61]))));
    }

    function _markOf(uint256 row) internal pure returns (uint256) {
        return (row >> 64) & 0xffffffffffffffff;
    }

    function _size(int256 lots) internal pure returns (uint256) {
        return uint256(lots < 0 ? -lots : lots);
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
