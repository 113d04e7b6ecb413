// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {BatchData} from "../../src/libraries/BatchData.sol";
import {BatchCells} from "../../src/libraries/BatchCells.sol";
import {Packed} from "../support/Packed.sol";
import {Checks} from "../support/Vm.sol";

/// @dev proofs for all inputs of a shape, by halmos: `python -m tests.symbolic`. A reverted path proves nothing there,
/// so what must hold is asserted.
contract CodecSymbolic is Checks {
    using BatchCells for BatchCells.Cells;

    function narrow(bytes calldata words) external pure returns (int256) {
        return BatchData.narrowSum(_offset(words), words.length / 4);
    }

    function wide(bytes calldata words) external pure returns (int256) {
        return BatchData.wideSum(_offset(words), words.length / 8);
    }

    function check_unzigzag_inverts_zigzag(int64 value) external pure {
        assert(BatchData.unzigzag(Packed.zz(value)) == value);
    }

    function check_zigzag_inverts_unzigzag(uint64 code) external pure {
        assert(Packed.zz(BatchData.unzigzag(code)) == code);
    }

    function check_sum_of_a_narrow_word_is_the_plain_sum(uint256 word) external view {
        (int256 sum, uint256 packed, uint256 rest) = _lanes(word, 32, 22);
        _divide(packed, rest, 32);
        assert(this.narrow(abi.encode(word)) == sum);
    }

    function check_sum_of_a_wide_word_is_the_plain_sum(uint256 word) external view {
        (int256 sum, uint256 packed, uint256 rest) = _lanes(word, 64, 48);
        _divide(packed, rest, 64);
        assert(this.wide(abi.encode(word)) == sum);
    }

    function check_sum_of_two_wide_words_is_the_plain_sum(uint256 word, uint256 other) external view {
        (int256 sum, uint256 packed, uint256 rest) = _lanes(word, 64, 48);
        (int256 sum2, uint256 packed2, uint256 rest2) = _lanes(other, 64, 48);
        _divide(packed + packed2, rest + rest2, 64);
        assert(this.wide(abi.encode(word, other)) == sum + sum2);
    }

    /// @dev two encodings of a batch of two accounts and one instrument that are both canonical and mean the same
    function check_narrow_cells_have_one_encoding(uint256 a, uint256 b, uint256 rest, uint256 c, uint256 d, uint256 more)
        external
        pure
    {
        _oneEncoding(_narrowWord(a, b, rest), _narrowWord(c, d, more), 8, 0);
    }

    function check_wide_cells_have_one_encoding(uint48 a, uint48 b, uint128 rest, uint48 c, uint48 d, uint128 more)
        external
        pure
    {
        _oneEncoding(_wideWord(a, b, rest), _wideWord(c, d, more), 0, 4);
    }

    /// @dev a delta that the narrow form holds is refused in the wide one
    function check_a_delta_has_one_form(uint48 a, uint48 b) external pure {
        (, bool isCanonical) = _read(_wideWord(a, b, 0), 0, 4);
        assert(!isCanonical || (a >= 1 << 22 && b >= 1 << 22));
    }

    function check_what_is_read_is_what_was_written(uint256 a, uint256 b) external pure {
        (BatchCells.Cells memory cells, bool isCanonical) = _read(_narrowWord(a, b, 0), 8, 0);
        if (!isCanonical) return;
        assert(_delta(cells, 0) == BatchData.unzigzag(a & 0x3fffff));
        assert(_delta(cells, 1) == BatchData.unzigzag(b & 0x3fffff));
    }

    function _oneEncoding(uint256 word, uint256 other, uint256 nS, uint256 nW) private pure {
        (BatchCells.Cells memory one, bool first) = _read(word, nS, nW);
        (BatchCells.Cells memory two, bool second) = _read(other, nS, nW);
        if (!first || !second) return;
        if (_delta(one, 0) == _delta(two, 0) && _delta(one, 1) == _delta(two, 1)) assert(word == other);
    }

    function _read(uint256 word, uint256 nS, uint256 nW) private pure returns (BatchCells.Cells memory, bool) {
        bytes memory data = abi.encodePacked(
            uint8(1), uint16(2), uint32(2), uint64(0), uint32(3), uint64(0), uint32(7), uint16(nS), uint16(nW), word
        );
        uint256 place;
        assembly {
            place := add(data, 32)
        }
        return BatchCells.read(place);
    }

    function _delta(BatchCells.Cells memory cells, uint256 local) private pure returns (int256 delta) {
        (uint256 from,) = cells.cellsOf(local);
        (, delta) = BatchCells.cellAt(from);
    }

    /// @dev entries of the accounts 0 and 1, six more of any content
    function _narrowWord(uint256 a, uint256 b, uint256 rest) private pure returns (uint256) {
        return (a & 0x3fffff) << 224 | (1 << 22 | b & 0x3fffff) << 192 | rest & type(uint192).max;
    }

    function _wideWord(uint48 a, uint48 b, uint128 rest) private pure returns (uint256) {
        return uint256(a) << 192 | (1 << 48 | uint256(b)) << 128 | rest;
    }

    /// @return sum of the deltas, one by one
    /// @return packed the biased deltas, each in its lane
    /// @return rest their sum
    function _lanes(uint256 word, uint256 size, uint256 bits)
        private
        pure
        returns (int256 sum, uint256 packed, uint256 rest)
    {
        unchecked {
            for (uint256 shift = 0; shift < 256; shift += size) {
                uint256 z = (word >> shift) & ((1 << bits) - 1);
                int256 delta = int256(z >> 1) ^ -int256(z & 1);
                uint256 lane = uint256(delta) + (1 << (bits - 1));
                sum += delta;
                packed += lane << shift;
                rest += lane;
            }
        }
    }

    /// @dev the one thing that is handed to the solver, which cannot divide 256 bits: 2^size is 1 modulo 2^size - 1, so
    /// lanes with a sum below that leave it as their rest
    function _divide(uint256 packed, uint256 rest, uint256 size) private pure {
        assert(rest < (1 << size) - 1);
        vm.assume(packed % ((1 << size) - 1) == rest);
    }

    function _offset(bytes calldata words) private pure returns (uint256 offset) {
        assembly {
            offset := words.offset
        }
    }
}
