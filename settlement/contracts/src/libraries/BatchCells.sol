// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Position deltas of a batch, account by account, and whether its data is the one encoding
/// @dev `post` has checked lengths, counts, order and sums; here the entries are judged. A cell is 16 bytes,
/// instr u32 | delta i96; the cells of one account lie together, instruments ascending.
library BatchCells {
    /// @param at memory offset of the account rows, 12 bytes each
    /// @param tail memory offset after the last instrument: the approved amounts
    /// @param base memory offset of the first cell
    /// @param ends memory offset of one word per account: the offset after its last cell
    struct Cells {
        uint256 accounts;
        uint256 at;
        uint256 tail;
        uint256 base;
        uint256 ends;
    }

    uint256 private constant CELL = 16;

    function read(uint256 data) internal pure returns (Cells memory cells, bool canonical) {
        uint256 head = _load(data) >> 232;
        uint256 instruments = head >> 16;
        cells.accounts = head & 0xffff;
        cells.at = data + 3;
        cells.ends = _allocate(cells.accounts * 32);
        uint256 first = cells.at + cells.accounts * 12;
        uint256 at = first;
        uint256 faults;
        for (uint256 i = 0; i < instruments && faults == 0; ++i) {
            (faults, at) = _count(at, cells.accounts, cells.ends);
        }
        if (faults != 0) return (cells, false);
        cells.tail = at;
        _place(cells);
        at = first;
        for (uint256 i = 0; i < instruments; ++i) {
            at = _fill(at, cells.ends);
        }
        return (cells, true);
    }

    function account(Cells memory cells, uint256 local) internal pure returns (uint256 index, int256 cash) {
        uint256 row = _load(cells.at + 12 * local);
        index = row >> 224;
        uint256 z = (row >> 160) & 0xffffffffffffffff;
        cash = int256(z >> 1) ^ -int256(z & 1);
    }

    function cellsOf(Cells memory cells, uint256 local) internal pure returns (uint256 from, uint256 to) {
        from = local == 0 ? cells.base : _load(cells.ends + 32 * (local - 1));
        to = _load(cells.ends + 32 * local);
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

    /// @dev counts the cells of each account in bytes and judges the entries of one instrument
    function _count(uint256 at, uint256 accounts, uint256 ends) private pure returns (uint256 faults, uint256 next) {
        uint256 head = _load(at);
        uint256 narrow = (head >> 208) & 0xffff;
        uint256 wide = (head >> 192) & 0xffff;
        uint256 seen;
        (faults, seen) = _countNarrow(at + 8, narrow, accounts, ends);
        if (faults == 0) faults = _countWide(at + 8 + 4 * narrow, wide, accounts, ends, seen);
        if (narrow | wide == 0) faults = 1;
        next = at + 8 + 4 * narrow + 8 * wide;
    }

    function _countNarrow(uint256 at, uint256 count, uint256 accounts, uint256 ends)
        private
        pure
        returns (uint256 faults, uint256 seen)
    {
        assembly ("memory-safe") {
            let used := at
            let above := 0
            for { let end := add(at, shl(2, count)) } lt(at, end) { at := add(at, 4) } {
                let entry := shr(224, mload(at))
                if entry {
                    let local := shr(22, entry)
                    // padding before it, no delta, out of order, or nobody's
                    faults := or(xor(at, used), iszero(and(entry, 0x3fffff)))
                    faults := or(faults, or(lt(local, above), iszero(lt(local, accounts))))
                    if faults { break }
                    used := add(used, 4)
                    above := add(local, 1)
                    seen := or(seen, shl(local, 1))
                    let slot := add(ends, shl(5, local))
                    mstore(slot, add(mload(slot), CELL))
                }
            }
            if iszero(faults) { faults := gt(sub(at, used), 28) }
        }
    }

    function _countWide(uint256 at, uint256 count, uint256 accounts, uint256 ends, uint256 seen)
        private
        pure
        returns (uint256 faults)
    {
        assembly ("memory-safe") {
            let used := at
            let above := 0
            for { let end := add(at, shl(3, count)) } lt(at, end) { at := add(at, 8) } {
                let entry := shr(192, mload(at))
                if entry {
                    let local := shr(48, entry)
                    // padding before it, a delta that the narrow form holds, out of order, or nobody's
                    faults := or(xor(at, used), lt(and(entry, 0xffffffffffff), 0x400000))
                    faults := or(faults, or(lt(local, above), iszero(lt(local, accounts))))
                    faults := or(faults, and(shr(local, seen), 1))
                    if faults { break }
                    used := add(used, 8)
                    above := add(local, 1)
                    let slot := add(ends, shl(5, local))
                    mstore(slot, add(mload(slot), CELL))
                }
            }
            if iszero(faults) { faults := gt(sub(at, used), 24) }
        }
    }

    /// @dev turns counts into the offset of each account's first cell; `_fill` moves it to the end
    function _place(Cells memory cells) private pure {
        uint256 total;
        for (uint256 i = 0; i < cells.accounts; ++i) {
            total += _load(cells.ends + 32 * i);
        }
        uint256 next = _allocate(total);
        cells.base = next;
        for (uint256 i = 0; i < cells.accounts; ++i) {
            uint256 slot = cells.ends + 32 * i;
            uint256 size = _load(slot);
            _store(slot, next);
            next += size;
        }
    }

    function _fill(uint256 at, uint256 ends) private pure returns (uint256 next) {
        assembly ("memory-safe") {
            function put(slot, instr, z) {
                let to := mload(slot)
                let delta := xor(shr(1, z), sub(0, and(z, 1)))
                let cell := or(shl(224, instr), shl(128, and(delta, 0xffffffffffffffffffffffff)))
                // the next account's first cell may lie in the other half of this word
                mstore(to, or(cell, and(mload(to), 0xffffffffffffffffffffffffffffffff)))
                mstore(slot, add(to, CELL))
            }
            let head := mload(at)
            let instr := shr(224, head)
            let end := add(add(at, 8), shl(2, and(shr(208, head), 0xffff)))
            next := add(at, 8)
            for {} lt(next, end) { next := add(next, 4) } {
                let entry := shr(224, mload(next))
                if entry { put(add(ends, shl(5, shr(22, entry))), instr, and(entry, 0x3fffff)) }
            }
            end := add(next, shl(3, and(shr(192, head), 0xffff)))
            for {} lt(next, end) { next := add(next, 8) } {
                let entry := shr(192, mload(next))
                if entry { put(add(ends, shl(5, shr(48, entry))), instr, and(entry, 0xffffffffffff)) }
            }
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
