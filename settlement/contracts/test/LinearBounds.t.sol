// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {LinearBounds} from "../src/libraries/LinearBounds.sol";
import {Checks} from "./support/Vm.sol";

/// @dev the examples of tests/property/test_linear_bounds.py: mark 100 USDC per lot, index 50,000 USDC
contract LinearBoundsTest is Checks {
    uint256 private constant MARK = 100e6;
    uint256 private constant INDEX = 50_000e6;

    function spec(bool isPerp, uint128 lotE18, uint8 class)
        private
        pure
        returns (ISettlementTypes.InstrumentSpec memory row)
    {
        (row.isPerp, row.lotE18, row.class) = (isPerp, lotE18, class);
    }

    function checkHigh(bool isPerp, uint128 lotE18, uint8 class, int256 lots, uint256 high) private pure {
        eq(LinearBounds.high(spec(isPerp, lotE18, class), lots, MARK, INDEX), high);
    }

    function test_high_is_rounded_against_the_account() public pure {
        checkHigh(true, 1e15, 1, 1_000, 25_000_000_250);
        checkHigh(true, 1e15, 2, -1_000, 42_000_000_420);
        checkHigh(false, 1e16, 1, -3, 360_000_001);
    }

    function test_a_long_option_needs_one_unit() public pure {
        checkHigh(false, 1e16, 1, 3, 1);
    }

    function test_an_unknown_class_needs_everything_and_nothing() public pure {
        checkHigh(true, 1e15, 9, 1, MARK + 1);
        eq(LinearBounds.low(spec(true, 1e15, 9), 1, MARK), 0);
    }

    function test_low_asks_nothing_of_options() public pure {
        eq(LinearBounds.low(spec(true, 1e15, 1), 1_000, MARK), 1_000e6);
        eq(LinearBounds.low(spec(true, 1e15, 2), -1_000, MARK), 2_500e6);
        eq(LinearBounds.low(spec(false, 1e16, 1), -3, MARK), 0);
    }

    function test_shorts_are_worth_a_unit_less_per_lot() public pure {
        yes(LinearBounds.worth(true, 1_000, MARK) == 100_000e6);
        yes(LinearBounds.worth(true, -1_000, MARK) == -100_000e6 - 1_000);
        yes(LinearBounds.worth(false, -3, MARK) == -300e6 - 3);
        yes(LinearBounds.worth(false, 3, MARK) == 0);
    }

    function testFuzz_low_is_below_high(uint8 class, int64 lots, uint64 mark, uint64 index) public pure {
        vm.assume(lots != 0);
        ISettlementTypes.InstrumentSpec memory row = spec(true, 1e18, class);
        yes(LinearBounds.low(row, lots, mark) < LinearBounds.high(row, lots, mark, index));
    }
}
