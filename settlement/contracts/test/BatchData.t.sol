// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {BatchData} from "../src/libraries/BatchData.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";

/// @dev fuzz: word-wide sums against plain loops, and what a changed bit does to a valid batch
contract BatchDataTest is Fixture {
    struct Shape {
        bytes data;
        int256 fee;
        uint256 accounts;
        uint256 rows;
        bool wide;
    }

    function narrow(bytes calldata words) external pure returns (int256) {
        return BatchData.narrowSum(offsetOf(words), words.length / 4);
    }

    function wide(bytes calldata words) external pure returns (int256) {
        return BatchData.wideSum(offsetOf(words), words.length / 8);
    }

    function offsetOf(bytes calldata words) private pure returns (uint256 offset) {
        assembly {
            offset := words.offset
        }
    }

    function plainSum(bytes memory words, uint256 size, uint256 bits) private pure returns (int256 sum) {
        for (uint256 i = 0; i < words.length; i += size) {
            uint256 entry;
            for (uint256 j = 0; j < size; ++j) {
                entry = entry << 8 | uint8(words[i + j]);
            }
            uint256 z = entry & ((1 << bits) - 1);
            sum += z & 1 == 0 ? int256(z >> 1) : -int256(z >> 1) - 1;
        }
    }

    function noise(uint256 seed, uint256 length) private pure returns (bytes memory out) {
        for (uint256 i = 0; i < length / 32; ++i) {
            out = bytes.concat(out, keccak256(abi.encode(seed, i)));
        }
    }

    function testFuzz_zigzag_round_trip(int64 v) public pure {
        yes(BatchData.unzigzag(Packed.zz(v)) == v);
    }

    function testFuzz_narrow_sum_is_the_plain_sum(uint256 seed, uint256 words) public view {
        bytes memory entries = noise(seed, within(words, 0, 16) * 32);
        yes(this.narrow(entries) == plainSum(entries, 4, 22));
    }

    function testFuzz_wide_sum_is_the_plain_sum(uint256 seed, uint256 words) public view {
        bytes memory entries = noise(seed, within(words, 0, 32) * 32);
        yes(this.wide(entries) == plainSum(entries, 8, 48));
    }

    function test_sums_at_the_ends_of_the_range() public view {
        for (uint256 fill = 0; fill < 2; ++fill) {
            bytes memory entries = new bytes(512);
            for (uint256 i = 0; i < 512; ++i) {
                entries[i] = i % 4 == 3 && fill == 1 ? bytes1(0xfe) : bytes1(0xff);
            }
            yes(this.narrow(entries) == plainSum(entries, 4, 22));
            entries = bytes.concat(entries, entries);
            yes(this.wide(entries) == plainSum(entries, 8, 48));
        }
    }

    /// @dev a random balanced batch whose instruments all list every account
    function shape(uint256 seed) private pure returns (Shape memory s) {
        s.accounts = within(uint256(keccak256(abi.encode(seed, "a"))), 2, 20);
        s.rows = within(uint256(keccak256(abi.encode(seed, "i"))), 1, 4);
        s.wide = seed % 2 == 0;
        s.data = Packed.head(s.rows, s.accounts);
        for (uint256 i = 0; i < s.accounts; ++i) {
            int256 cash = int64(uint64(uint256(keccak256(abi.encode(seed, "c", i))))) / 64;
            s.fee -= cash;
            s.data = bytes.concat(s.data, Packed.account(2 + i * 3, cash));
        }
        for (uint256 i = 1; i <= s.rows; ++i) {
            s.data = bytes.concat(s.data, Packed.instrument(i, balanced(seed, i, s.accounts), s.wide));
        }
    }

    function balanced(uint256 seed, uint256 row, uint256 n) private pure returns (int256[] memory deltas) {
        deltas = new int256[](n);
        for (uint256 i = 0; i + 1 < n; ++i) {
            deltas[i] = int256(uint256(keccak256(abi.encode(seed, row, i))) % 200_000) - 100_000;
            deltas[n - 1] -= deltas[i];
        }
    }

    function testFuzz_balanced_batch_is_accepted(uint256 seed) public {
        Shape memory s = shape(seed);
        post(word(2, s.fee), s.data);
    }

    function testFuzz_changed_fee_reverts(uint256 seed, int32 change) public {
        vm.assume(change != 0);
        Shape memory s = shape(seed);
        refuseAny(word(2, s.fee + change), s.data);
    }

    function testFuzz_changed_length_reverts(uint256 seed, uint256 cut) public {
        Shape memory s = shape(seed);
        uint256 h = word(2, s.fee);
        bytes memory data = s.data;
        refuseAny(h, bytes.concat(data, new bytes(within(cut, 1, 40))));
        uint256 shorter = within(cut, 0, data.length - 1);
        assembly {
            mstore(data, shorter)
        }
        refuseAny(h, data);
    }

    function testFuzz_flipped_cash_bit_reverts(uint256 seed, uint256 account, uint256 bit) public {
        Shape memory s = shape(seed);
        uint256 start = 3 + 12 * within(account, 0, s.accounts - 1) + 4;
        flip(s.data, start * 8 + within(bit, 0, 63));
        refuseAny(word(2, s.fee), s.data);
    }

    /// @dev padding entries count too: a delta hidden there would not be summed off chain
    function testFuzz_flipped_delta_bit_reverts(uint256 seed, uint256 row, uint256 entry, uint256 bit) public {
        Shape memory s = shape(seed);
        (uint256 per, uint256 size, uint256 bits) = s.wide ? (uint256(4), uint256(8), uint256(48)) : (8, 4, 22);
        uint256 count = (s.accounts + per - 1) / per * per;
        uint256 start = 3 + 12 * s.accounts + (8 + count * size) * within(row, 0, s.rows - 1) + 8;
        uint256 last = start * 8 + (within(entry, 0, count - 1) + 1) * size * 8;
        flip(s.data, last - bits + within(bit, 0, bits - 1));
        refuseAny(word(2, s.fee), s.data);
    }

    function flip(bytes memory data, uint256 bit) private pure {
        data[bit / 8] ^= bytes1(uint8(0x80 >> (bit % 8)));
    }

    function refuseAny(uint256 h, bytes memory data) private {
        byKey(OPERATOR);
        try vault.post(1, 0, 0, h, data) {
            yes(false);
        } catch (bytes memory reason) {
            eq(reason.length, 4); // one of our errors, never a panic
        }
    }
}
