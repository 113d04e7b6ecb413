// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";
import {Setups} from "./support/Setups.sol";

/// @dev every rule of `post` and `finalize`, refusals first
contract PostTest is Fixture {
    function trade(int256 cash, int256 lots) private pure returns (bytes memory) {
        return bytes.concat(
            Packed.head(1, 2), Packed.account(2, cash), Packed.account(3, -cash), Packed.pair(1, lots, false)
        );
    }

    function test_refuses_a_stranger() public {
        uint256 h = word(2, 0);
        vm.expectRevert(ISettlementTypes.NotOperator.selector);
        byKey(alice);
        vault.post(1, 0, 0, h, EMPTY);
    }

    /// @dev threat "data withheld": whoever reads the transaction reads what was posted
    function test_refuses_a_post_from_inside_another_call() public {
        uint256 h = word(2, 0);
        bytes4 bad = ISettlementTypes.NotDirect.selector;
        vm.expectRevert(bad);
        vm.prank(OPERATOR); // a transaction of somebody else reaches the operator's contract
        vault.post(1, 0, 0, h, EMPTY);
        vm.expectRevert(bad);
        vm.prank(OPERATOR, alice);
        vault.post(1, 0, 0, h, EMPTY);
        vm.etch(OPERATOR, abi.encodePacked(hex"ef0100", alice)); // its own, through the code it delegates to
        vm.expectRevert(bad);
        byKey(OPERATOR);
        vault.post(1, 0, 0, h, EMPTY);
        vm.etch(OPERATOR, "");
        byKey(OPERATOR);
        vault.post(1, 0, 0, h, EMPTY);
        eq(vault.head(), 1);
    }

    function test_refuses_a_wrong_sequence() public {
        eq(bytes32(ISettlementTypes.BadSeq.selector), bytes32(bytes4(0xd21fff71)));
        refuse(0xd21fff71, 0, word(2, 0), EMPTY);
        refuse(0xd21fff71, 2, word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        refuse(0xd21fff71, 1, word(2, 0), EMPTY);
    }

    function test_refuses_an_oracle_round() public {
        refuse(ISettlementTypes.BadRound.selector, 1, Packed.h(2, 1, 0, START, 0), EMPTY);
    }

    function test_refuses_times_out_of_order() public {
        bytes4 bad = ISettlementTypes.BadTime.selector;
        refuse(bad, 1, Packed.h(2, 0, 0, START + 1, 0), EMPTY);
        refuse(bad, 1, Packed.h(2, 0, START, START - 1, 0), EMPTY);
        refuse(bad, 1, Packed.h(2, 0, 0, START - 24 hours - 1, 0), EMPTY);
        post(Packed.h(2, 0, 0, START - 24 hours, 0), EMPTY);
        refuse(bad, 2, Packed.h(2, 0, START - 24 hours - 1, START, 0), EMPTY);
    }

    /// @dev the journal fixed these batches before the stop: refusing them for ever would lock all money
    function test_takes_what_was_matched_before_a_long_stop() public {
        post(word(2, 0), EMPTY);
        vm.warp(START + 5 days);
        uint256 late = Packed.h(2, 0, START, START + 9, 0);
        post(late, EMPTY);
        vm.warp(START + 6 days);
        post(Packed.h(2, 0, START + 9, START + 10, 0), EMPTY);
        eq(vault.head(), 3);
    }

    function test_a_long_stop_opens_one_day_only() public {
        post(word(2, 0), EMPTY);
        vm.warp(START + 5 days);
        post(Packed.h(2, 0, START, START, 0), EMPTY);
        vm.warp(START + 5 days + 23 hours);
        post(Packed.h(2, 0, START, START, 0), EMPTY);
        vm.warp(START + 6 days + 1);
        refuse(ISettlementTypes.BadTime.selector, 4, Packed.h(2, 0, START, START, 0), EMPTY);
        vm.warp(START + 6 days + 22 hours);
        refuse(ISettlementTypes.BadTime.selector, 4, Packed.h(2, 0, START, START, 0), EMPTY);
        post(Packed.h(2, 0, START, START + 6 days, 0), EMPTY);
    }

    /// @dev what is fixed in the journal cannot take a request in; what is matched later must
    function test_a_batch_answers_for_the_queue_at_its_own_time() public {
        post(word(2, 0), EMPTY);
        vm.prank(alice);
        vault.requestWithdraw(2, 50e6);
        vm.warp(START + DELAY + 9);
        post(Packed.h(2, 0, START, START + DELAY, 0), EMPTY);
        refuse(ISettlementTypes.RequestOverdue.selector, 3, Packed.h(2, 0, START + DELAY, START + DELAY + 1, 0), EMPTY);
        postApproval(50e6);
    }

    function test_after_a_long_stop_only_new_matches_must_consume_the_queue() public {
        post(word(2, 0), EMPTY);
        vm.prank(alice);
        vault.requestWithdraw(2, 50e6);
        vm.warp(START + 5 days);
        post(Packed.h(2, 0, START, START + 3 days, 0), EMPTY);
        eq(vault.resumedAt(), START + 5 days);
        vm.warp(START + 5 days + 1);
        post(Packed.h(2, 0, START + 3 days, START + 5 days, 0), EMPTY);
        uint256 fresh = Packed.h(2, 0, START + 5 days, START + 5 days + 1, 0);
        refuse(ISettlementTypes.RequestOverdue.selector, 4, fresh, EMPTY);
        postApproval(50e6);
    }

    function test_refuses_a_queue_jump() public {
        refuse(ISettlementTypes.BadQueue.selector, 1, word(3, 0), EMPTY);
        post(word(2, 0), EMPTY);
        refuse(ISettlementTypes.BadQueue.selector, 2, word(1, 0), EMPTY);
        for (uint256 i = 0; i < 65; ++i) {
            fund(alice, 2, MINIMUM);
        }
        refuse(ISettlementTypes.BadQueue.selector, 2, word(67, 0), EMPTY);
        post(word(66, 0), EMPTY);
    }

    function test_refuses_to_leave_an_overdue_request() public {
        vm.warp(START + DELAY);
        post(word(0, 0), EMPTY);
        vm.warp(START + DELAY + 1);
        refuse(ISettlementTypes.RequestOverdue.selector, 2, word(1, 0), EMPTY);
        post(word(2, 0), EMPTY);
    }

    function test_a_full_share_of_requests_is_enough() public {
        for (uint256 i = 0; i < 70; ++i) {
            fund(alice, 2, MINIMUM);
        }
        vm.warp(START + DELAY + 1);
        refuse(ISettlementTypes.RequestOverdue.selector, 1, word(63, 0), EMPTY);
        post(word(64, 0), EMPTY);
    }

    function test_refuses_accounts_out_of_order() public {
        bytes4 bad = ISettlementTypes.BadOrder.selector;
        bytes memory fund_ = bytes.concat(Packed.head(0, 1), Packed.account(1, 0));
        refuse(bad, 1, word(2, 0), fund_);
        refuse(bad, 1, word(2, 0), bytes.concat(Packed.head(0, 2), Packed.account(3, 0), Packed.account(2, 0)));
        refuse(bad, 1, word(2, 0), bytes.concat(Packed.head(0, 2), Packed.account(3, 0), Packed.account(3, 0)));
    }

    function test_refuses_instruments_out_of_order() public {
        bytes memory two = bytes.concat(Packed.head(2, 2), Packed.account(2, 0), Packed.account(3, 0));
        bytes memory row = Packed.pair(7, 1, false);
        refuse(ISettlementTypes.BadOrder.selector, 1, word(2, 0), bytes.concat(two, row, row));
        refuse(ISettlementTypes.BadOrder.selector, 1, word(2, 0), bytes.concat(two, row, Packed.pair(6, 1, true)));
        refuse(ISettlementTypes.BadOrder.selector, 1, word(2, 0), bytes.concat(two, Packed.pair(0, 1, true), row));
    }

    function test_refuses_unequal_deltas() public {
        int256[] memory deltas = new int256[](2);
        (deltas[0], deltas[1]) = (5, -4);
        bytes memory accounts = bytes.concat(Packed.head(1, 2), Packed.account(2, 0), Packed.account(3, 0));
        bytes4 bad = ISettlementTypes.NotZeroSum.selector;
        refuse(bad, 1, word(2, 0), bytes.concat(accounts, Packed.instrument(1, deltas, false)));
        refuse(bad, 1, word(2, 0), bytes.concat(accounts, Packed.instrument(1, deltas, true)));
    }

    function test_refuses_cash_that_is_not_minus_the_fee() public {
        refuse(ISettlementTypes.BadCash.selector, 1, word(2, 1), EMPTY);
        refuse(ISettlementTypes.BadCash.selector, 1, word(2, -1), trade(0, 5));
        bytes memory printed = bytes.concat(Packed.head(0, 1), Packed.account(2, 1));
        refuse(ISettlementTypes.BadCash.selector, 1, word(2, 0), printed);
        refuse(ISettlementTypes.BadCash.selector, 1, word(2, 1), printed);
        post(word(2, -1), printed);
    }

    function test_refuses_wrong_length() public {
        bytes memory data = trade(7, 5);
        refuse(ISettlementTypes.BadLength.selector, 1, word(2, 0), bytes.concat(data, hex"00"));
        refuse(ISettlementTypes.BadLength.selector, 1, word(2, 0), "");
        bytes memory cut = new bytes(data.length - 1);
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = data[i];
        }
        refuse(ISettlementTypes.BadLength.selector, 1, word(2, 0), cut);
    }

    function test_refuses_sizes_above_the_caps() public {
        bytes memory accounts = Packed.head(0, 103);
        for (uint256 i = 2; i < 105; ++i) {
            accounts = bytes.concat(accounts, Packed.account(i, 0));
        }
        bytes4 bad = ISettlementTypes.BadSize.selector;
        refuse(bad, 1, word(2, 0), accounts);
        refuse(bad, 1, word(2, 0), new bytes(28_673));
        refuse(bad, 1, word(2, 0), bytes.concat(hex"010000", hex"0000000100070000"));
        refuse(bad, 1, word(2, 0), bytes.concat(hex"010000", hex"0000000100000002"));
        refuse(bad, 1, word(2, 0), bytes.concat(hex"010000", hex"0000000100880000"));
        refuse(bad, 1, word(2, 0), bytes.concat(hex"010000", hex"0000000100000084"));
    }

    function test_refuses_an_approval_above_the_request() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 50e6);
        bytes memory data = bytes.concat(EMPTY, abi.encodePacked(uint64(50e6 + 1)));
        refuse(ISettlementTypes.BadApproval.selector, 1, word(3, 0), data);
    }

    function test_refuses_an_approval_above_the_collateral() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 3_000e6);
        bytes memory data = bytes.concat(EMPTY, abi.encodePacked(uint64(2_000e6 + 1)));
        refuse(ISettlementTypes.BadApproval.selector, 1, word(3, 0), data);
        postApproval(2_000e6);
        eq(vault.collateral(), 0);
    }

    function test_post_chains_the_batch() public {
        bytes memory data = trade(-501, 5);
        uint64 seq = post(word(2, 0), data);
        eq(seq, vault.head());
        eq(vault.root(), headers[1].newRoot);
        eq(vault.batchHash(1), keccak256(abi.encode(headers[1])));
        eq(headers[1].prevBatchHash, bytes32(0));
        eq(vault.collateral(), 2_000e6);
        eq(vault.reqDone(), 2);
        eq(vault.lastMatchTo(), START);
        post(word(2, 0), EMPTY);
        eq(headers[2].prevBatchHash, vault.batchHash(1));
    }

    function test_post_notes_the_approval_in_its_row() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 50e6);
        postApproval(40e6);
        eq(vault.request(3).aux, uint256(40e6) << 40 | 1);
        eq(vault.collateral(), 1_960e6);
    }

    function test_finalize_refuses_what_is_not_next() public {
        post(word(2, 0), EMPTY);
        post(word(2, 0), EMPTY);
        ripen();
        vm.expectRevert(ISettlementTypes.BadSeq.selector);
        vault.finalize(2, headers[2]);
        vault.finalize(1, headers[1]);
        vault.finalize(2, headers[2]);
        vm.expectRevert(ISettlementTypes.BadSeq.selector);
        vault.finalize(3, headers[2]);
    }

    function test_finalize_refuses_another_header() public {
        post(word(2, 0), EMPTY);
        ripen();
        ISettlementTypes.Header memory header = headers[1];
        header.collateral += 1;
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        vault.finalize(1, header);
    }

    function test_finalize_refuses_before_the_window_ends() public {
        post(word(2, 0), EMPTY);
        ripen();
        vm.warp(START + WINDOW - 1);
        vm.expectRevert(ISettlementTypes.WindowOpen.selector);
        vault.finalize(1, headers[1]);
        vm.warp(START + WINDOW);
        vm.prank(bob);
        vault.finalize(1, headers[1]);
        eq(vault.finalized(), 1);
        eq(vault.reqFinal(), 2);
        eq(vault.collateralFinal(), 2_000e6);
    }

    /// @dev threat "L2 sequencer stalls": a window in time alone would pass without a block to dispute in
    function test_finalize_waits_for_blocks_too() public {
        post(word(2, 0), EMPTY);
        vm.warp(START + 48 hours);
        vm.roll(block.number + Setups.BLOCKS - 1);
        vm.expectRevert(ISettlementTypes.WindowOpen.selector);
        vault.finalize(1, headers[1]);
        vm.roll(block.number + 1);
        vault.finalize(1, headers[1]);
    }

    function ripen() private {
        vm.warp(START + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
    }
}
