// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Parser of the packed batch data
/// @dev Sums are taken over whole words. Of a lane with zigzag value z, s = its lowest bit and m = (z - s) / 2; with
/// `bits` wide deltas, m xor (s * (2^bits - 1)) xor 2^(bits - 1) is the delta plus 2^(bits - 1), a number that never
/// borrows from the next lane. Lanes of all words are added, mod (2^lane - 1) adds the lanes of the result, and the
/// biases are taken off once per instrument. Counts of at most 128 keep every lane and the final sum in range.
library BatchData {
    uint256 internal constant BAD_ORDER = 1;
    uint256 internal constant NOT_ZERO_SUM = 2;
    uint256 internal constant BAD_COUNT = 4;

    uint256 private constant NARROW_ONE = 0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant NARROW_MASK = 0x003fffff003fffff003fffff003fffff003fffff003fffff003fffff003fffff;
    uint256 private constant NARROW_BIAS = 0x0020000000200000002000000020000000200000002000000020000000200000;
    uint256 private constant WIDE_ONE = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant WIDE_MASK = 0x0000ffffffffffff0000ffffffffffff0000ffffffffffff0000ffffffffffff;
    uint256 private constant WIDE_BIAS = 0x0000800000000000000080000000000000008000000000000000800000000000;

    /// @dev inverse of zigzag for a value that fills at most 255 bits
    function unzigzag(uint256 z) internal pure returns (int256 v) {
        assembly ("memory-safe") {
            v := xor(shr(1, z), sub(0, and(z, 1)))
        }
    }

    /// @return accounts nA
    /// @return cash sum of the cash deltas
    /// @return next calldata offset after the accounts
    /// @return faults BAD_ORDER or 0
    function readAccounts(bytes calldata data)
        internal
        pure
        returns (uint256 accounts, int256 cash, uint256 next, uint256 faults)
    {
        assembly ("memory-safe") {
            next := add(data.offset, 3)
            accounts := and(shr(232, calldataload(data.offset)), 0xffff)
            let previous := 1
            for { let end := add(next, mul(accounts, 12)) } lt(next, end) { next := add(next, 12) } {
                let word := calldataload(next)
                let acct := shr(224, word)
                faults := or(faults, iszero(gt(acct, previous)))
                previous := acct
                let z := and(shr(160, word), 0xffffffffffffffff)
                cash := add(cash, xor(shr(1, z), sub(0, and(z, 1))))
            }
        }
    }

    /// @param offset calldata offset of the first instrument
    /// @return next calldata offset after the last instrument
    /// @return faults any of the three bits, or 0
    function checkInstruments(bytes calldata data, uint256 offset) internal pure returns (uint256 next, uint256 faults) {
        uint256 instruments;
        assembly ("memory-safe") {
            instruments := shr(248, calldataload(data.offset))
        }
        uint256 previous = 0;
        for (uint256 i = 0; i < instruments; ++i) {
            uint256 instr;
            uint256 narrow;
            uint256 wide;
            assembly ("memory-safe") {
                let word := calldataload(offset)
                instr := shr(224, word)
                narrow := and(shr(208, word), 0xffff)
                wide := and(shr(192, word), 0xffff)
                faults := or(faults, iszero(gt(instr, previous)))
                let count := or(and(narrow, 7), and(wide, 3))
                count := or(count, or(gt(narrow, 128), gt(wide, 128)))
                faults := or(faults, shl(2, iszero(iszero(count))))
            }
            previous = instr;
            if (faults & BAD_COUNT != 0) return (offset, faults);
            int256 sum = narrowSum(offset + 8, narrow);
            if (wide != 0) sum += wideSum(offset + 8 + narrow * 4, wide);
            if (sum != 0) faults |= NOT_ZERO_SUM;
            offset += 8 + narrow * 4 + wide * 8;
        }
        return (offset, faults);
    }

    /// @dev sum of `count` narrow deltas, count a multiple of 8 and at most 128
    function narrowSum(uint256 offset, uint256 count) internal pure returns (int256 sum) {
        assembly ("memory-safe") {
            let lanes := 0
            for { let end := add(offset, shl(2, count)) } lt(offset, end) { offset := add(offset, 32) } {
                let z := and(calldataload(offset), NARROW_MASK)
                let s := and(z, NARROW_ONE)
                lanes := add(lanes, xor(xor(shr(1, xor(z, s)), mul(s, 0x3fffff)), NARROW_BIAS))
            }
            sum := sub(mod(lanes, 0xffffffff), shl(21, count))
        }
    }

    /// @dev sum of `count` wide deltas, count a multiple of 4 and at most 128
    function wideSum(uint256 offset, uint256 count) internal pure returns (int256 sum) {
        assembly ("memory-safe") {
            let lanes := 0
            for { let end := add(offset, shl(3, count)) } lt(offset, end) { offset := add(offset, 32) } {
                let z := and(calldataload(offset), WIDE_MASK)
                let s := and(z, WIDE_ONE)
                lanes := add(lanes, xor(xor(shr(1, xor(z, s)), mul(s, 0xffffffffffff)), WIDE_BIAS))
            }
            sum := sub(mod(lanes, 0xffffffffffffffff), shl(47, count))
        }
    }
}
