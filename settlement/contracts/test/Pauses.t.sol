// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";
import {RevertPart} from "./support/RevertPart.sol";

/// @dev the guardian's one power and its bounds
contract PausesTest is Fixture {
    address private constant GUARDIAN = address(0x6A);

    function pause(uint40 duration) private {
        vm.prank(GUARDIAN);
        bonds().pausePosting(duration);
    }

    function refusedPause(uint40 duration) private {
        vm.expectRevert(ISettlementTypes.BadPause.selector);
        pause(duration);
    }

    function test_only_the_guardian_pauses_and_resumes() public {
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        bonds().pausePosting(1);
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        vm.prank(TIMELOCK);
        bonds().pausePosting(1);
        pause(100);
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        bonds().resumePosting();
    }

    function test_a_pause_is_bounded_and_followed_by_rest() public {
        refusedPause(0);
        refusedPause(48 hours + 1);
        pause(48 hours);
        refusedPause(1); // none on top of another
        vm.warp(START + 48 hours);
        post(word(2, 0), EMPTY);
        refusedPause(1);
        vm.warp(START + 48 hours + 7 days - 1);
        refusedPause(1);
        vm.warp(START + 48 hours + 7 days);
        pause(1);
    }

    function test_a_pause_that_nobody_posted_after_cannot_be_prolonged() public {
        pause(100);
        vm.warp(START + 9 days);
        refusedPause(48 hours); // `post` has not ended it: it is over all the same
        post(word(2, 0), EMPTY);
        pause(48 hours);
    }

    function test_posting_waits_for_the_end_of_the_pause() public {
        pause(100);
        refuse(ISettlementTypes.Halted.selector, 1, word(2, 0), EMPTY);
        vm.warp(START + 99);
        refuse(ISettlementTypes.Halted.selector, 1, word(2, 0), EMPTY);
        vm.warp(START + 100);
        eq(post(word(2, 0), EMPTY), 1);
        eq(vault.halted(), 0);
    }

    function test_an_early_end_saves_no_rest() public {
        pause(48 hours);
        vm.prank(GUARDIAN);
        bonds().resumePosting();
        vm.expectRevert(ISettlementTypes.BadPause.selector);
        vm.prank(GUARDIAN);
        bonds().resumePosting();
        post(word(2, 0), EMPTY);
        vm.warp(START + 7 days);
        refusedPause(1);
        vm.warp(START + 48 hours + 7 days);
        pause(1);
    }

    function test_trades_of_before_a_long_pause_can_be_posted_after_it() public {
        pause(48 hours);
        uint256 matched = START;
        vm.warp(START + 48 hours);
        post(Packed.h(2, 0, matched, matched, 0), EMPTY);
    }

    /// @dev threat "guardian or timelock abuse": every exit works in every pause state
    function test_no_pause_stops_an_exit() public {
        vm.prank(alice);
        uint64 id = vault.requestWithdraw(2, 100e6);
        postApproval(100e6);
        pause(48 hours);
        vm.prank(bob);
        vault.requestWithdraw(3, 5e6);
        vm.prank(bob);
        vault.cancelAll(3);
        fund(alice, 2, 10e6);
        vm.warp(START + WINDOW);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 100e6);
        vm.warp(START + 10 days);
        vm.prank(bob);
        vault.lockTrading(3);
    }

    /// @dev what a proof does, it does in a pause too
    function test_a_revert_in_a_pause_keeps_it() public {
        post(word(2, 0), EMPTY);
        pause(100);
        vm.prank(bob);
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        eq(vault.head(), 0);
        eq(vault.halted(), 1);
        eq(vault.credit(bob), BOND / 2);
    }
}
