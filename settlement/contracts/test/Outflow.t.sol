// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Setups} from "./support/Setups.sol";
import {Stranded} from "./support/Stranded.sol";

/// @dev how much `claim` pays in an hour and a day; approval and exits know no limit
contract OutflowTest is Stranded {
    uint64 private constant HOUR = 1_000_000e6;
    uint64 private constant DAY = 10_000_000e6;
    uint256 private constant PATH = Setups.DELAY + Setups.WINDOW + 30 + 72 hours;

    /// @dev a final withdrawal of alice
    function approved(uint64 amount) private returns (uint64 id) {
        fund(alice, 2, amount > MINIMUM ? amount : MINIMUM);
        vm.prank(alice);
        id = vault.requestWithdraw(2, amount);
        postApproval(amount);
        finalizeAll();
    }

    function refuseClaim(uint64 id) private {
        vm.expectRevert(ISettlementTypes.OutflowLimit.selector);
        vault.claim(one(id), address(0), "");
    }

    function pay(uint64 id) private {
        vault.claim(one(id), address(0), "");
    }

    /// @dev by the last post: the compiler takes the block's time for a constant
    function nextHour() private {
        vm.warp((vault.lastPost() / 1 hours + 1) * 1 hours);
    }

    function test_an_hour_has_a_limit() public {
        nextHour();
        uint64 first = approved(HOUR);
        uint64 second = approved(1);
        pay(first);
        refuseClaim(second);
        (uint256 today, uint256 thisHour) = vault.outflowLeft();
        eq(today, DAY - HOUR);
        eq(thisHour, 0);
        nextHour();
        pay(second);
    }

    function test_a_day_has_a_limit() public {
        uint256 day = START / 1 days + 1;
        vm.warp(day * 1 days);
        for (uint256 i = 0; i < 10; ++i) {
            uint64 id = approved(HOUR);
            pay(id);
            nextHour();
        }
        uint64 last = approved(1);
        refuseClaim(last);
        vm.warp((day + 1) * 1 days);
        pay(last);
    }

    function test_limits_grow_with_the_final_cash() public {
        fund(bob, 3, 500_000_000e6);
        post(word(vault.reqHead(), 0), EMPTY);
        finalizeAll();
        nextHour();
        uint64 id = approved(5 * HOUR);
        (uint256 today, uint256 thisHour) = vault.outflowLeft();
        yes(today >= 50_000_000e6 && thisHour >= 5_000_000e6);
        pay(id);
    }

    function test_a_large_claim_waits_and_is_then_paid_whole() public {
        uint64 id = approved(DAY + 1);
        uint256 asked = vault.request(id).time;
        vm.warp(asked + PATH - 1);
        refuseClaim(id);
        vm.warp(asked + PATH);
        pay(id);
        eq(token.balanceOf(alice), DAY + 1);
    }

    function test_behind_a_freeze_there_is_no_limit() public {
        uint64 id = approved(DAY + 1);
        refuseClaim(id);
        freeze();
        pay(id);
        eq(token.balanceOf(alice), DAY + 1);
    }
}
