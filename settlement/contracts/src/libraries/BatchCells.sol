// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Position deltas of a batch, account by account, and whether its data is the one encoding
/// @dev `post` has checked lengths, counts, order and sums; here the entries are judged. A cell is 16 bytes,
/// instr u32 | delta i96; the cells of one account lie together, instruments ascending. Each account has room for a
/// cell of every instrument, so one pass is enough.
library BatchCells {
    /// @param at memory offset of the account rows, 12 bytes each
    /// @param tail memory offset after the last instrument: the approved amounts
    /// @param base memory offset of the first account's cells
    /// @param stride bytes from one account's cells to the next one's
    /// @param ends memory offset of one word per account: the offset after its last cell
    struct Cells {
        uint256 accounts;
        uint256 at;
        uint256 tail;
        uint256 base;
        uint256 stride;
        uint256 ends;
    }

    uint256 private constant CELL = 16;

    function read(uint256 data) internal pure returns (Cells memory cells, bool canonical) {
        uint256 head = _load(data) >> 232;
        uint256 instruments = head >> 16;
        cells.accounts = head & 0xffff;
        cells.at = data + 3;
        // two cells are written at a time: the word behind the last one is room for a wrong half
        cells.stride = (instruments + 1) * CELL;
        cells.base = _allocate(cells.accounts * cells.stride);
        cells.ends = _allocate(cells.accounts * 32);
        for (uint256 i = 0; i < cells.accounts; ++i) {
            _store(cells.ends + 32 * i, cells.base + i * cells.stride);
        }
        uint256 at = cells.at + cells.accounts * 12;
        uint256 faults;
        for (uint256 i = 0; i < instruments && faults == 0; ++i) {
            (faults, at) = _readInstrument(at, cells.accounts, cells.ends);
        }
        cells.tail = at;
        return (cells, faults == 0);
    }

    function account(Cells memory cells, uint256 local) internal pure returns (uint256 index, int256 cash) {
        uint256 row = _load(cells.at + 12 * local);
        index = row >> 224;
        uint256 z = (row >> 160) & 0xffffffffffffffff;
        cash = int256(z >> 1) ^ -int256(z & 1);
    }

    function cellsOf(Cells memory cells, uint256 local) internal pure returns (uint256 from, uint256 to) {
        from = cells.base + local * cells.stride;
        to = _load(cells.ends + 32 * local);
    }

    function cellAt(uint256 at) internal pure returns (uint32 instr, int256 delta) {
        uint256 word = _load(at);
        return (uint32(word >> 224), int96(uint96(word >> 128)));
    }

    /// @return local index of the account, or the number of accounts when it is not listed
    function find(Cells memory cells, uint256 index) internal pure returns (uint256) {
        uint256 low = 0;
        uint256 high = cells.accounts;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_load(cells.at + 12 * middle) >> 224 < index) low = middle + 1;
            else high = middle;
        }
        return low < cells.accounts && _load(cells.at + 12 * low) >> 224 == index ? low : cells.accounts;
    }

    function _readInstrument(uint256 at, uint256 accounts, uint256 ends)
        private
        pure
        returns (uint256 faults, uint256 next)
    {
        uint256 head = _load(at);
        uint256 narrow = (head >> 208) & 0xffff;
        uint256 wide = (head >> 192) & 0xffff;
        uint256 seen;
        (faults, seen) = _readNarrow(at + 8, narrow, accounts, ends, head >> 224 << 224);
        if (faults == 0) faults = _readWide(at + 8 + 4 * narrow, wide, ends, head >> 224 << 224, accounts << 128, seen);
        if (narrow | wide == 0) faults = 1;
        next = at + 8 + 4 * narrow + 8 * wide;
    }

    function _readNarrow(uint256 at, uint256 count, uint256 accounts, uint256 ends, uint256 instr)
        private
        pure
        returns (uint256 faults, uint256 seen)
    {
        assembly ("memory-safe") {
            let end := add(at, shl(2, count))
            let above := 0
            for {} lt(at, end) { at := add(at, 4) } {
                let entry := shr(224, mload(at))
                if iszero(entry) { break }
                let local := shr(22, entry)
                // no delta, out of order, or nobody's
                if or(iszero(and(entry, 0x3fffff)), or(lt(local, above), iszero(lt(local, accounts)))) {
                    faults := 1
                    break
                }
                above := add(local, 1)
                seen := or(seen, shl(local, 1))
                local := add(ends, shl(5, local))
                let to := mload(local)
                entry := and(entry, 0x3fffff)
                // sign and size of the zigzag value; 96 bits of the delta, the rest is cut off
                entry := xor(shr(1, entry), sub(0, and(entry, 1)))
                mstore(to, or(instr, shr(32, shl(160, entry))))
                mstore(local, add(to, CELL))
            }
            // what is left is padding: less than a word, all zero
            if gt(sub(end, at), 28) { faults := 1 }
            if lt(at, end) { if shr(sub(256, shl(3, sub(end, at))), mload(at)) { faults := 1 } }
        }
    }

    /// @param bounds number of accounts << 128
    function _readWide(uint256 at, uint256 count, uint256 ends, uint256 instr, uint256 bounds, uint256 seen)
        private
        pure
        returns (uint256 faults)
    {
        assembly ("memory-safe") {
            let end := add(at, shl(3, count))
            let above := 0
            for {} lt(at, end) { at := add(at, 8) } {
                let entry := shr(192, mload(at))
                if iszero(entry) { break }
                let local := shr(48, entry)
                entry := and(entry, 0xffffffffffff)
                // a delta that the narrow form holds, out of order, nobody's, or narrow as well
                faults := or(lt(entry, 0x400000), or(lt(local, above), iszero(lt(local, shr(128, bounds)))))
                if or(faults, and(shr(local, seen), 1)) {
                    faults := 1
                    break
                }
                above := add(local, 1)
                local := add(ends, shl(5, local))
                let to := mload(local)
                entry := xor(shr(1, entry), sub(0, and(entry, 1)))
                mstore(to, or(instr, shr(32, shl(160, entry))))
                mstore(local, add(to, CELL))
            }
            if gt(sub(end, at), 24) { faults := 1 }
            if lt(at, end) { if shr(sub(256, shl(3, sub(end, at))), mload(at)) { faults := 1 } }
        }
    }

    /// @dev zeroed, with a spare word behind it
    function _allocate(uint256 size) private pure returns (uint256 at) {
        bytes memory space = new bytes(size + 32);
        assembly ("memory-safe") {
            at := add(space, 32)
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }

    function _store(uint256 at, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(at, word)
        }
    }
}
