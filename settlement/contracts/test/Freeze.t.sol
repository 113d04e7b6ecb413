// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Packed} from "./support/Packed.sol";
import {RevertPart} from "./support/RevertPart.sol";
import {Setups} from "./support/Setups.sol";
import {Stranded} from "./support/Stranded.sol";

/// @dev who may end posting, when, and what goes on behind it
contract FreezeTest is Stranded {
    address private constant GUARDIAN = address(0x6A);
    address private stranger = address(0x5712);

    function tryFreeze() private {
        vm.prank(stranger);
        exit().freeze();
    }

    function refuseFreeze(bytes4 selector, uint256 time) private {
        vm.expectRevert(abi.encodeWithSelector(selector, uint40(time)));
        tryFreeze();
    }

    function isFrozen() private view returns (bool) {
        return vault.halted() == 2;
    }

    function test_refuses_while_requests_and_last_post_are_young() public {
        vm.warp(START + ESCAPE - 1);
        refuseFreeze(ISettlementTypes.NotStalled.selector, START + ESCAPE);
        eq(state().stalledFrom, START + ESCAPE);
        eq(state().freezeFrom, 0);
    }

    function test_refuses_a_second_call_before_the_gap() public {
        vm.warp(START + ESCAPE);
        tryFreeze();
        eq(state().freezeFrom, START + ESCAPE + GAP);
        vm.warp(START + ESCAPE + GAP - 1);
        refuseFreeze(ISettlementTypes.FreezeTooEarly.selector, START + ESCAPE + GAP);
        yes(!isFrozen());
    }

    function test_refuses_the_third_call() public {
        freeze();
        vm.expectRevert(ISettlementTypes.IsFrozen.selector);
        tryFreeze();
        address operator = vault.operator();
        vm.expectRevert(ISettlementTypes.IsFrozen.selector);
        vm.prank(operator);
        exit().freeze();
    }

    function test_two_calls_of_anyone_freeze() public {
        vm.warp(START + ESCAPE);
        tryFreeze();
        vm.warp(START + ESCAPE + GAP);
        exit().freeze();
        yes(isFrozen());
        eq(state().frozenAt, START + ESCAPE + GAP);
    }

    function test_the_operator_freezes_at_once() public {
        freeze();
        yes(isFrozen());
    }

    /// @dev threat "chain outage, then instant freeze": the operator posts first, the second call fails
    function test_an_operator_that_comes_back_takes_the_notice_away() public {
        vm.warp(START + 80 hours);
        tryFreeze();
        post(word(2, 0), EMPTY);
        vm.warp(START + 80 hours + GAP);
        refuseFreeze(ISettlementTypes.NotStalled.selector, START + 80 hours + ESCAPE);
        vm.warp(START + 80 hours + ESCAPE);
        tryFreeze(); // the next outage begins with a notice of its own
        yes(!isFrozen());
        refuseFreeze(ISettlementTypes.FreezeTooEarly.selector, START + 80 hours + ESCAPE + GAP);
    }

    function test_posting_without_the_oldest_request_takes_nothing_away() public {
        post(word(0, 0), EMPTY);
        vm.warp(START + ESCAPE);
        tryFreeze();
        post(Packed.h(0, 0, START, START, 0), EMPTY);
        vm.warp(START + ESCAPE + GAP);
        tryFreeze();
        yes(isFrozen());
    }

    function test_a_request_that_waits_is_enough() public {
        post(word(2, 0), EMPTY);
        vm.prank(alice);
        vault.requestWithdraw(2, 5e6);
        eq(state().stalledFrom, START + ESCAPE);
        vm.warp(START + 100);
        post(Packed.h(2, 0, START, START + 100, 0), EMPTY);
        eq(state().stalledFrom, START + ESCAPE);
        vm.warp(START + 200);
        postApproval(5e6);
        eq(state().stalledFrom, START + 200 + ESCAPE);
    }

    /// @dev threat "revert makes honest requests overdue, no operator in time"
    function test_a_revert_starts_the_clocks_anew() public {
        post(word(2, 0), EMPTY);
        vm.warp(START + ESCAPE);
        tryFreeze();
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        vm.warp(START + ESCAPE + GAP);
        refuseFreeze(ISettlementTypes.NotStalled.selector, START + 2 * ESCAPE);
        vm.warp(START + 2 * ESCAPE);
        tryFreeze();
        vm.warp(START + 2 * ESCAPE + GAP);
        tryFreeze();
        yes(isFrozen());
    }

    function test_a_pause_does_not_hold_a_freeze_up() public {
        vm.warp(START + ESCAPE - 1);
        vm.prank(GUARDIAN);
        bonds().pausePosting(48 hours);
        vm.warp(START + ESCAPE);
        tryFreeze();
        vm.warp(START + ESCAPE + GAP);
        tryFreeze();
        yes(isFrozen());
        vm.expectRevert(ISettlementTypes.BadPause.selector);
        vm.prank(GUARDIAN);
        bonds().resumePosting();
    }

    function test_nothing_comes_in_behind_a_freeze() public {
        freeze();
        refuse(ISettlementTypes.Halted.selector, 1, word(2, 0), EMPTY);
        token.mint(alice, 50e6);
        vm.prank(alice);
        token.approve(address(vault), 50e6);
        refused(alice, abi.encodeCall(vault.deposit, (2, 50e6)));
        refused(alice, abi.encodeCall(vault.requestWithdraw, (2, 1e6)));
        refused(alice, abi.encodeCall(vault.cancelAll, (2)));
        refused(alice, abi.encodeCall(vault.lockTrading, (2)));
        refused(alice, abi.encodeCall(bonds().topUpBond, (1)));
        refused(TIMELOCK, abi.encodeCall(bonds().registerSuccessor, (alice)));
        refused(TIMELOCK, abi.encodeCall(bonds().rotateOperator, ()));
    }

    function refused(address who, bytes memory call) private {
        vm.prank(who);
        (bool ok, bytes memory fault) = address(vault).call(call);
        yes(!ok);
        eq(keccak256(fault), keccak256(abi.encodeWithSelector(ISettlementTypes.IsFrozen.selector)));
    }

    function test_windows_and_withdrawals_go_on_behind_a_freeze() public {
        vm.prank(alice);
        uint64 id = vault.requestWithdraw(2, 40e6);
        postApproval(40e6);
        freeze();
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 40e6);
    }

    function test_a_proof_behind_a_freeze_installs_nobody() public {
        address next = address(0x5EC0);
        ripen(abi.encodeCall(bonds().registerSuccessor, (next)));
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(next);
        token.mint(next, BOND);
        vm.prank(next);
        token.approve(address(vault), BOND);
        vm.prank(next);
        bonds().depositBond(BOND);
        post(word(2, 0), EMPTY);
        freeze();
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        eq(vault.operator(), address(0));
        eq(vault.successors().length, 1);
        vm.prank(stranger);
        bonds().removeSuccessor(next); // his bond backs nothing, and the timelock may be gone too
        vm.prank(next);
        bonds().takeCredit(next);
        eq(token.balanceOf(next), BOND);
    }

    function test_only_the_timelock_removes_a_successor_while_posting_goes_on() public {
        ripen(abi.encodeCall(bonds().registerSuccessor, (bob)));
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(bob);
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        bonds().removeSuccessor(bob);
    }
}
