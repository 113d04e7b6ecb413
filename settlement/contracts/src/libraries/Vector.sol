// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Layout of an oracle vector, big endian
/// @dev   nO u16 | nP u16 | nU u16 | nE u16
///        nO x (instr u32 | mark u64 | settled u8)                  options: bit 31 of instr clear
///        nP x (instr u32 | mark u64 | settled u8 | fundIdx i64)    perpetuals: bit 31 set
///        nU x (underlying u32 | price u64)
///        nE x (underlying u32 | expiry u40 | price u64)
/// Every group ascends strictly by its key. mark is in 1e-6 USDC per lot, price in 1e-6 USDC per unit, fundIdx in
/// 1e-12 USDC per lot. An instrument whose row is settled becomes cash at its payoff, which stands in the place of the
/// mark and is in 1e-12 USDC per lot.
library Vector {
    uint256 internal constant MAX_ROWS = 2_048;
    uint256 internal constant HEAD = 8;
    uint256 internal constant OPTION_ROW = 13;
    uint256 internal constant PERP_ROW = 21;
    uint256 internal constant PRICE_ROW = 12;
    uint256 internal constant EXPIRY_ROW = 17;

    function isCanonical(bytes calldata vector) internal pure returns (bool good) {
        if (vector.length < HEAD) return false;
        uint256 head = uint64(bytes8(vector[:HEAD]));
        (uint256 nO, uint256 nP, uint256 nU, uint256 nE) =
            (uint16(head >> 48), uint16(head >> 32), uint16(head >> 16), uint16(head));
        if (nO + nP + nU + nE > MAX_ROWS) return false;
        if (vector.length != HEAD + nO * OPTION_ROW + nP * PERP_ROW + nU * PRICE_ROW + nE * EXPIRY_ROW) return false;
        uint256 at;
        assembly ("memory-safe") {
            at := add(vector.offset, 8)
        }
        uint256 faults;
        (faults, at) = _rows(at, nO, OPTION_ROW, 224);
        // options end below bit 31, perpetuals start at it
        if (nO > 0) faults |= _word(at - OPTION_ROW) >> 255;
        if (nP > 0) faults |= 1 ^ (_word(at) >> 255);
        faults |= _settledFlags(at - nO * OPTION_ROW, nO, OPTION_ROW);
        faults |= _settledFlags(at, nP, PERP_ROW);
        uint256 more;
        (more, at) = _rows(at, nP, PERP_ROW, 224);
        faults |= more;
        (more, at) = _rows(at, nU, PRICE_ROW, 224);
        faults |= more;
        (more, at) = _rows(at, nE, EXPIRY_ROW, 184);
        return faults | more == 0;
    }

    /// @dev keys are the words' top bits, `shift` takes off the rest
    function _rows(uint256 at, uint256 count, uint256 size, uint256 shift)
        private
        pure
        returns (uint256 faults, uint256 next)
    {
        assembly ("memory-safe") {
            next := add(at, mul(count, size))
            // a key of 0 is refused: no instrument, underlying or expiry has it
            let previous := 0
            for {} lt(at, next) { at := add(at, size) } {
                let key := shr(shift, calldataload(at))
                faults := or(faults, iszero(gt(key, previous)))
                previous := key
            }
        }
    }

    function _settledFlags(uint256 at, uint256 count, uint256 size) private pure returns (uint256 faults) {
        assembly ("memory-safe") {
            for { let end := add(at, mul(count, size)) } lt(at, end) { at := add(at, size) } {
                faults := or(faults, gt(and(shr(152, calldataload(at)), 0xff), 1))
            }
        }
    }

    function _word(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(at)
        }
    }
}
