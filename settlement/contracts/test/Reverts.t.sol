// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";
import {RevertPart} from "./support/RevertPart.sol";
import {Setups} from "./support/Setups.sol";

/// @dev what follows a proven fraud: bonds, successors, queue, clocks
contract RevertsTest is Fixture {
    address private constant PROVER = address(0xF00D);
    address private next = vm.addr(0x5EC0);
    ISettlementTypes.Header private none;

    function accuse(uint64 seq) private {
        vm.prank(PROVER);
        RevertPart(address(vault)).accuse(seq, headers[seq - 1], headers[seq]);
    }

    function accusationFails(bytes4 selector, uint64 seq, ISettlementTypes.Header memory previous) private {
        vm.expectRevert(selector);
        RevertPart(address(vault)).accuse(seq, previous, headers[seq]);
    }

    /// @dev behind a revert the announcement would begin anew, which is not what these tests are about
    function register(address who, uint64 bond) private {
        if (vault.resetAt() == 0) {
            ripen(abi.encodeCall(bonds().registerSuccessor, (who)));
            vm.prank(TIMELOCK);
            bonds().registerSuccessor(who);
        } else {
            RevertPart(address(vault)).enlist(who);
        }
        if (bond == 0) return;
        token.mint(who, bond);
        vm.prank(who);
        token.approve(address(vault), bond);
        vm.prank(who);
        bonds().depositBond(bond);
    }

    function postAs(address who, uint256 h, bytes memory data) private {
        eq(vault.operator(), who);
        uint64 seq = vault.head() + 1;
        postHeader(headerOf(seq, keccak256(abi.encode(who, seq)), 0, h), data);
    }

    /// @dev money of the vault = what it owes, to the unit
    function balanced(uint256 unconsumed, uint256 unpaid) private view {
        uint256 owed = vault.collateral() + unconsumed + unpaid + vault.bond() + vault.pot() + vault.credit(PROVER);
        (, address retired, uint64 retiredBond,) = vault.backing();
        owed += retiredBond + vault.credit(OPERATOR) + (retired == next ? 0 : vault.credit(next));
        ISettlementTypes.Successor[] memory rows = vault.successors();
        for (uint256 i = 0; i < rows.length; ++i) {
            owed += rows[i].bond;
        }
        eq(token.balanceOf(address(vault)), owed);
    }

    function test_refuses_to_post_without_a_full_bond() public {
        vault = deploy(address(token));
        token.mint(address(this), BOND);
        token.approve(address(vault), BOND);
        bonds().topUpBond(BOND - 1);
        refuse(ISettlementTypes.BondTooLow.selector, 1, word(0, 0), EMPTY);
        bonds().topUpBond(1);
        post(word(0, 0), EMPTY);
    }

    function test_refuses_an_accusation_of_a_final_or_missing_batch() public {
        post(word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        accusationFails(ISettlementTypes.NotDisputable.selector, 3, headers[2]);
        vm.warp(block.timestamp + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        vault.finalize(1, headers[1]);
        accusationFails(ISettlementTypes.NotDisputable.selector, 1, none);
        accuse(2);
    }

    function test_refuses_other_headers() public {
        post(word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        accusationFails(ISettlementTypes.BadHeader.selector, 2, none);
        headers[2].newRoot = bytes32(uint256(1));
        accusationFails(ISettlementTypes.BadHeader.selector, 2, headers[1]);
    }

    function test_refuses_strangers_at_the_bonds() public {
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        bonds().registerSuccessor(next);
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        bonds().removeSuccessor(next);
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        bonds().rotateOperator();
        vm.expectRevert(ISettlementTypes.NotSuccessor.selector);
        bonds().depositBond(1);
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        bonds().takeCredit(address(this));
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        bonds().sweepPot();
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        bonds().releaseBond();
    }

    function test_refuses_a_fifth_successor_and_doubles() public {
        bytes4 bad = ISettlementTypes.BadSuccessor.selector;
        address[3] memory wrong = [address(0), OPERATOR, next];
        register(next, 0);
        for (uint256 i = 0; i < 3; ++i) {
            ripen(abi.encodeCall(bonds().registerSuccessor, (wrong[i])));
            vm.expectRevert(bad);
            vm.prank(TIMELOCK);
            bonds().registerSuccessor(wrong[i]);
        }
        for (uint160 i = 1; i < 4; ++i) {
            register(address(i), 0);
        }
        ripen(abi.encodeCall(bonds().registerSuccessor, (address(9))));
        vm.expectRevert(bad);
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(address(9));
    }

    function test_revert_restores_the_state_before_the_batch() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 50e6);
        post(word(2, 0), EMPTY);
        vm.warp(START + 10);
        postApproval(50e6);
        post(word(3, 0), EMPTY);
        vm.warp(START + 20);
        accuse(2);
        eq(vault.head(), 1);
        eq(vault.root(), headers[1].newRoot);
        eq(vault.reqDone(), 2);
        eq(vault.collateral(), 2_000e6);
        eq(vault.lastMatchTo(), START);
        eq(vault.lastPost(), START + 20);
        eq(vault.epoch(), 1);
        eq(vault.resetAt(), START + 20);
        balanced(0, 0);
    }

    function test_revert_of_the_first_batch_gives_the_empty_state() public {
        bytes32 empty = vault.root();
        post(word(2, 0), EMPTY);
        accuse(1);
        eq(vault.root(), empty);
        eq(vault.reqDone() + vault.lastMatchTo() + vault.collateral() + vault.head(), 0);
        balanced(2_000e6, 0);
    }

    function test_slash_pays_half_and_installs_the_first_bonded_successor() public {
        register(address(7), BOND - 1);
        register(next, BOND);
        post(word(2, 0), EMPTY);
        accuse(1);
        eq(vault.operator(), next);
        eq(vault.bond(), BOND);
        eq(vault.credit(PROVER), BOND / 2);
        eq(vault.pot(), BOND / 2);
        eq(vault.successors().length, 1);
        eq(vault.successors()[0].operator, address(7));
        balanced(2_000e6, 0);
        vm.prank(PROVER);
        bonds().takeCredit(PROVER);
        eq(token.balanceOf(PROVER), BOND / 2);
        postAs(next, word(2, 0), EMPTY);
    }

    function test_without_successor_nobody_posts() public {
        post(word(2, 0), EMPTY);
        accuse(1);
        eq(vault.operator(), address(0));
        refuse(ISettlementTypes.NotOperator.selector, 1, word(2, 0), EMPTY);
        vm.expectRevert(ISettlementTypes.NotOperator.selector);
        bonds().topUpBond(BOND);
        register(next, BOND);
        vm.warp(START + Setups.TIMELOCK_DELAY);
        ripen(abi.encodeCall(bonds().rotateOperator, ()));
        vm.prank(TIMELOCK);
        bonds().rotateOperator();
        postAs(next, word(2, 0), EMPTY);
    }

    /// @dev threat "two frauds open at once, empty bond": both revert, both are paid, the sums are equal
    function test_two_frauds_prove_nine_then_five() public {
        register(next, BOND);
        for (uint256 i = 0; i < 10; ++i) {
            post(word(2, 0), EMPTY);
        }
        accuse(9);
        eq(vault.head(), 8);
        accuse(5);
        eq(vault.head(), 4);
        eq(vault.credit(PROVER), BOND / 2 + BOND / 4);
        eq(vault.pot(), BOND / 4);
        eq(vault.operator(), next); // who did not post batch 5
        eq(vault.bond(), BOND);
        balanced(0, 0);
        postAs(next, word(2, 0), EMPTY);
        accuse(5); // now it is his
        eq(vault.bond(), 0);
        eq(vault.operator(), address(0));
        eq(vault.pot(), BOND / 4 + BOND / 2);
    }

    function test_a_proof_reverts_with_nothing_left_to_pay() public {
        post(word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        accuse(3);
        accuse(2);
        accuse(1);
        eq(vault.head(), 0);
        eq(vault.credit(PROVER) + vault.pot(), BOND);
    }

    function test_rotated_bond_backs_its_batches_until_they_are_final() public {
        register(next, BOND);
        post(word(2, 0), EMPTY);
        ripen(abi.encodeCall(bonds().rotateOperator, ()));
        vm.prank(TIMELOCK);
        bonds().rotateOperator();
        postAs(next, word(2, 0), EMPTY);
        vm.expectRevert(ISettlementTypes.BondBacksBatches.selector);
        bonds().releaseBond();
        register(address(8), BOND);
        vm.expectRevert(ISettlementTypes.BondBacksBatches.selector);
        ripen(abi.encodeCall(bonds().rotateOperator, ()));
        vm.prank(TIMELOCK);
        bonds().rotateOperator();
        finalizeAll();
        bonds().releaseBond();
        eq(vault.credit(OPERATOR), BOND);
        balanced(0, 0);
    }

    function test_fraud_of_a_rotated_operator_costs_his_bond() public {
        register(next, BOND);
        post(word(2, 0), EMPTY);
        ripen(abi.encodeCall(bonds().rotateOperator, ()));
        vm.prank(TIMELOCK);
        bonds().rotateOperator();
        postAs(next, word(2, 0), EMPTY);
        accuse(1);
        eq(vault.operator(), next);
        eq(vault.bond(), BOND);
        eq(vault.credit(PROVER), BOND / 2);
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        bonds().releaseBond();
        postAs(next, word(2, 0), EMPTY); // seq 1 again, backed by the successor
        accuse(1);
        eq(vault.bond(), 0);
        balanced(2_000e6, 0);
    }

    function test_pot_becomes_a_deposit_of_the_fund_once_a_successor_is_final() public {
        register(next, BOND);
        post(word(2, 0), EMPTY);
        accuse(1);
        vm.expectRevert(ISettlementTypes.BondBacksBatches.selector);
        bonds().sweepPot();
        postAs(next, word(2, 0), EMPTY);
        finalizeAll();
        uint64 id = bonds().sweepPot();
        eq(vault.pot(), 0);
        eq(vault.request(id).acct, 0);
        eq(vault.request(id).amount, BOND / 2);
        postAs(next, word(id, 0), EMPTY);
        eq(vault.collateral(), 2_000e6 + BOND / 2);
        balanced(0, 0);
    }

    /// @dev threat "revert makes honest requests overdue": the same requests are paid once
    function test_requests_return_to_the_queue_and_are_paid_once() public {
        register(next, BOND);
        vm.prank(alice);
        uint64 id = vault.requestWithdraw(2, 50e6);
        postApproval(50e6);
        vm.warp(START + DELAY + 100);
        vm.prank(alice);
        uint64 again = vault.requestWithdraw(2, 30e6);
        accuse(1);
        // younger than the revert, so an empty batch may come first
        postAs(next, Packed.h(0, 0, 0, block.timestamp, 0), EMPTY);
        bytes memory both = bytes.concat(EMPTY, abi.encodePacked(uint64(40e6), uint64(0)));
        postAs(next, word(again, 0), both);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 40e6);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NothingToClaim.selector, id));
        vault.claim(one(id), address(0), "");
        balanced(0, 0);
    }

    function test_queue_clock_starts_at_the_revert() public {
        register(next, BOND);
        post(word(0, 0), EMPTY);
        vm.warp(START + DELAY);
        post(word(0, 0), EMPTY);
        accuse(2);
        vm.warp(START + 2 * DELAY);
        postAs(next, word(0, 0), EMPTY);
        vm.warp(START + 2 * DELAY + 1);
        uint256 h = word(0, 0);
        vm.expectRevert(ISettlementTypes.RequestOverdue.selector);
        byKey(next);
        vault.post(3, 0, 0, h, EMPTY);
    }

    function test_old_trades_are_posted_again_after_a_revert() public {
        register(next, BOND);
        post(word(2, 0), EMPTY);
        vm.warp(START + 23 hours);
        post(Packed.h(2, 0, START, START + 1, 0), EMPTY);
        vm.warp(START + 25 hours + 30 minutes);
        accuse(2);
        vm.warp(START + 26 hours);
        postAs(next, Packed.h(2, 0, START, START + 1, 0), EMPTY);
        vm.warp(START + 26 hours + 1);
        uint256 h = Packed.h(2, 0, START + 1, START + 2, 0);
        vm.expectRevert(ISettlementTypes.BadTime.selector);
        byKey(next);
        vault.post(3, 0, 0, h, EMPTY);
    }

    /// @dev threat "time lag in the operator's favour": what is matched behind a revert is posted within a day as ever
    function test_the_lag_rule_rests_for_what_was_matched_before_a_revert() public {
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), OPERATOR, part());
        (setup.escapeDelay, setup.timelockDelay) = (72 hours, 12 days);
        vault = new Settlement(setup);
        token.mint(address(this), BOND);
        token.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
        register(next, BOND);
        post(word(0, 0), EMPTY);
        vm.warp(START + 1 hours);
        accuse(1);
        vm.warp(START + 21 hours);
        postAs(next, Packed.h(0, 0, START, START, 0), EMPTY);
        vm.warp(START + 41 hours);
        refuse(ISettlementTypes.BadTime.selector, 2, Packed.h(0, 0, START, START + 1 hours + 1, 0), EMPTY);
        refuse(ISettlementTypes.BadTime.selector, 2, Packed.h(0, 0, START, START + 17 hours - 1, 0), EMPTY);
        postAs(next, Packed.h(0, 0, START, START + 1 hours, 0), EMPTY);
        postAs(next, Packed.h(0, 0, START + 1 hours, START + 17 hours, 0), EMPTY);
        eq(vault.head(), 3);
    }

    function test_clocks_start_anew_at_most_five_times() public {
        for (uint160 i = 0; i < 6; ++i) {
            register(address(100 + i), BOND);
            vm.warp(START + 10 * (i + 1));
            postAs(vault.operator(), word(0, 0), EMPTY);
            accuse(1);
            eq(vault.resetAt(), START + 10 * (i < 5 ? i + 1 : 5));
        }
        eq(vault.epoch(), 6);
    }
}
