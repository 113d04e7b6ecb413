// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IAuthority} from "../src/interfaces/IAuthority.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Challenged} from "./support/Challenged.sol";
import {Packed} from "./support/Packed.sol";
import {Setups} from "./support/Setups.sol";

/// @dev F2 with orders
contract AuthorityTest is Challenged {
    uint256 private constant KEY_SECRET = 0x5E55;

    // --------------------------------------------------------------- challenges

    function test_refuses_challenges_out_of_place() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        authority.challenge(seq, none, 2, 0, 0);
        vm.expectRevert(ISettlementTypes.BadChallenge.selector);
        authority.challenge(seq, headers[seq], 9, 0, 0);
        vm.expectRevert(ISettlementTypes.BadReliance.selector);
        authority.challenge(seq, headers[seq], 2, 1, 0);
        ask(seq, 0, 0);
        vm.expectRevert(ISettlementTypes.BadChallenge.selector);
        vm.prank(ASKER);
        authority.challenge(seq, headers[seq], 2, 0, 0);
        vm.warp(START + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        vm.expectRevert(ISettlementTypes.BadChallenge.selector);
        vm.prank(ASKER);
        authority.challenge(seq, headers[seq], 3, 0, 0);
    }

    function test_refuses_reliance_on_what_the_batch_did_not_consume() public {
        vm.prank(alice);
        uint64 cancel = vault.cancelAll(2);
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postWith(word(2, 1500), dataOf(e), leafOf(e), bytes32(uint256(7)));
        vm.expectRevert(ISettlementTypes.BadReliance.selector);
        authority.challenge(seq, headers[seq], 2, cancel, 0);
        seq = postWith(word(cancel, 0), EMPTY, 0, 0);
        vm.expectRevert(ISettlementTypes.BadReliance.selector);
        authority.challenge(seq, headers[seq], 2, 0, cancel); // not a LOCK
        vm.expectRevert(ISettlementTypes.BadReliance.selector);
        authority.challenge(seq, headers[seq], 3, cancel, 0); // not bob's
        ask(seq, cancel, 0);
    }

    function test_an_open_challenge_holds_finality_and_a_good_answer_ends_it() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        bytes32 id = ask(seq, 0, 0);
        vm.warp(START + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        vm.expectRevert(ISettlementTypes.ChallengeOpen.selector);
        vault.finalize(seq, headers[seq]);
        respond(id, seq, e);
        eq(vault.credit(address(this)), 20e6);
        (uint64 lots, bool isLive) = authority.fillOf(digest(e), seq);
        yes(lots == 5 && isLive);
        vault.finalize(seq, headers[seq]);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority.slashUnanswered(id, headers[seq - 1], headers[seq]);
    }

    /// @dev threat "forged or altered order ...": silent operator slashed after the answer window
    function test_silence_is_slashed_after_the_answer_window() public {
        uint64 seq = postTrade(signed(order(10), ALICE_KEY));
        bytes32 id = ask(seq, 0, 0);
        vm.warp(START + 30);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority.slashUnanswered(id, none, headers[seq]);
        vm.warp(START + 31);
        authority.slashUnanswered(id, none, headers[seq]);
        eq(vault.head(), 0);
        eq(vault.credit(ASKER), 20e6 + BOND / 2);
        eq(vault.operator(), address(0));
    }

    function test_bond_returns_when_the_batch_falls_for_something_else() public {
        uint64 seq = postTrade(signed(order(10), ALICE_KEY));
        bytes32 first = ask(seq, 0, 0);
        vm.prank(ASKER);
        bytes32 second = authority.challenge(seq, headers[seq], 3, 0, 0);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority.refundChallenge(first);
        vm.warp(START + 31);
        authority.slashUnanswered(first, none, headers[seq]);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority.slashUnanswered(second, none, headers[seq]);
        authority.refundChallenge(second);
        eq(vault.credit(ASKER), 40e6 + BOND / 2);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority.refundChallenge(second);
    }

    // ------------------------------------------------------------------ answers

    /// @dev threat "forged or altered order, price worse than limit, overfill, fee above cap": one row per reason
    function test_refuses_unauthorized_leaves() public {
        post(word(2, 0), EMPTY);
        uint64 seq = postTrade(signed(order(10), ALICE_KEY));
        bytes32 id = ask(seq, 0, 0);
        for (uint8 row = 0; row < 22; ++row) {
            (ISettlementTypes.OrderEvidence memory e, uint8 reason) = altered(row);
            refusedAnswer(notAuthorized(reason), id, seq, e);
        }
    }

    function altered(uint8 row) private view returns (ISettlementTypes.OrderEvidence memory e, uint8) {
        e = order(10);
        uint256 key = ALICE_KEY;
        uint8 reason;
        if (row == 0) (e.action.subaccountId, reason) = (BASE + 3, 2);
        if (row == 1) (e.action.owner, e.action.signer, key, reason) = (bob, bob, BOB_KEY, 2);
        if (row == 2) (e.data, reason) = (terms(OPTIONS, CALL, 100e18, 10, 2e16, BASE + 3, true), 2);
        if (row == 3) (e.action.module, reason) = (ActionHash.WITHDRAW_MODULE, 3);
        if (row == 4) (e.data, reason) = (bytes.concat(e.data, hex"00"), 3);
        if (row == 5) (e.action.signer, key, reason) = (bob, BOB_KEY, 4);
        if (row == 6) (key, reason) = (BOB_KEY, 5);
        if (row == 7) (e.action.expiry, reason) = (START - 2, 6);
        if (row == 8) (e.instr, reason) = (2, 8);
        if (row == 9) (e.spec.lotE18, reason) = (1, 8);
        if (row == 10) (e.data, reason) = (terms(address(1), CALL, 100e18, 10, 2e16, BASE + 2, true), 8);
        if (row == 11) (e.data, reason) = (terms(OPTIONS, CALL + 1, 100e18, 10, 2e16, BASE + 2, true), 8);
        if (row == 12) (e.data, reason) = (terms(OPTIONS, CALL, 100e18, 10, 2e16, BASE + 2, false), 9);
        if (row == 13) (e.pos, reason) = (0, 9);
        if (row == 14) (e.data, reason) = (terms(OPTIONS, CALL, 100e18, 4, 2e16, BASE + 2, true), 10);
        if (row == 15) (e.notional, reason) = (5e6 + 1, 11);
        if (row == 16) (e.pos, e.notional, e.data, reason) =
            (-5, 5e6 - 1, terms(OPTIONS, CALL, 100e18, 10, 2e16, BASE + 2, false), 11);
        if (row == 17) (e.fee, reason) = (1001, 12);
        if (row == 18) (e.fee, reason) = (-5001, 13);
        if (row == 19) (e.data, reason) = (terms(OPTIONS, CALL, -1, 10, 2e16, BASE + 2, true), 11);
        if (row == 20) (e.isSepolia, reason) = (true, 4);
        if (row == 21) (e.action.module, reason) = (ActionHash.MASS_QUOTE_MODULE, 3);
        return (signed(e, key), reason);
    }

    function terms(address asset, uint96 subId, int256 limit, uint256 lots, uint256 fee, uint256 to, bool isBid)
        private
        pure
        returns (bytes memory)
    {
        return abi.encode(asset, uint256(subId), limit, int256(lots * LOT), fee, to, isBid);
    }

    function test_bounds_themselves_are_allowed() public {
        post(word(2, 0), EMPTY);
        ISettlementTypes.OrderEvidence memory e = order(5);
        (e.fee, e.notional) = (1000, 5e6);
        e.action.expiry = START;
        e = signed(e, ALICE_KEY);
        uint64 seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
    }

    function test_refuses_a_malleable_signature() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        bytes32 id = ask(seq, 0, 0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ALICE_KEY, digest(e));
        uint256 high = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s);
        e.sig = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        refusedAnswer(notAuthorized(5), id, seq, e);
    }

    function test_refuses_leaves_that_are_not_in_the_tree() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        bytes32 id = ask(seq, 0, 0);
        e.notional -= 1; // within the limit, but not what the tree says
        refusedAnswer(abi.encodeWithSelector(ISettlementTypes.BadLeaves.selector), id, seq, e);
    }

    function test_refuses_an_answer_that_is_not_the_delta() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        bytes memory more = trade(6, -5e6 - 1000, 1500);
        uint64 seq = postWith(word(2, 1500), more, leafOf(e), bytes32(uint256(7)));
        bytes32 id = ask(seq, 0, 0);
        vm.expectRevert(ISettlementTypes.NotTheDelta.selector);
        authority.answer(id, headers[seq], fresh, list(e), siblings(bytes32(uint256(7))), more);
        vm.expectRevert(ISettlementTypes.NotTheDelta.selector);
        authority.answer(id, headers[seq], fresh, new ISettlementTypes.OrderEvidence[](0), "", more);
        vm.expectRevert(ISettlementTypes.BadProof.selector);
        authority.answer(id, headers[seq], fresh, list(e), siblings(bytes32(uint256(7))), dataOf(e));
        bytes memory cash = trade(5, -5e6 - 1001, 1500);
        seq = postWith(word(2, 1500), cash, leafOf(e), bytes32(uint256(7)));
        id = ask(seq, 0, 0);
        vm.expectRevert(ISettlementTypes.NotTheDelta.selector);
        authority.answer(id, headers[seq], fresh, list(e), siblings(bytes32(uint256(7))), cash);
    }

    function test_an_account_without_delta_needs_no_order() public {
        uint64 seq = post(word(2, 0), EMPTY);
        authority.answer(ask(seq, 0, 0), headers[seq], fresh, new ISettlementTypes.OrderEvidence[](0), "", EMPTY);
    }

    function test_two_parts_of_one_sender() public {
        ISettlementTypes.OrderEvidence memory a = signed(order(10), ALICE_KEY);
        ISettlementTypes.OrderEvidence memory b = order(10);
        (b.pos, b.notional, b.fee, b.action.nonce) = (3, 3e6, 10, START * 1e9 + 2);
        b = signed(b, ALICE_KEY);
        if (digest(a) > digest(b)) (a, b) = (b, a);
        (a.leafIndex, b.leafIndex) = (0, 1);
        bytes memory data = trade(8, -8e6 - 1010, 1500);
        uint64 seq = postWith(word(2, 1500), data, leafOf(a), leafOf(b));
        bytes32 id = ask(seq, 0, 0);
        authority.answer(id, headers[seq], fresh, list(a), siblings(leafOf(b)), "");
        ISettlementTypes.AnswerState memory state = stateAfter(a);
        bytes memory right = siblings(leafOf(a));
        bytes memory left = siblings(leafOf(b));
        vm.expectRevert(ISettlementTypes.BadState.selector);
        authority.answer(id, headers[seq], fresh, list(b), right, data);
        vm.expectRevert(ISettlementTypes.BadLeaves.selector);
        authority.answer(id, headers[seq], state, list(a), left, data); // the same leaf again
        vm.expectRevert(ISettlementTypes.BadState.selector);
        vm.prank(ASKER);
        authority.answer(id, headers[seq], state, list(b), right, data); // another's parts
        authority.answer(id, headers[seq], state, list(b), right, data);
        eq(vault.credit(address(this)), 20e6);
    }

    /// @dev threat "same order or transfer used ... twice in one": both leaves are in the tree, one order authorizes one
    function test_refuses_one_order_twice_in_a_batch() public {
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        bytes memory data = trade(10, -10e6 - 2000, 1500);
        uint64 seq = postWith(word(2, 1500), data, leafOf(e), leafOf(e));
        bytes32 id = ask(seq, 0, 0);
        ISettlementTypes.OrderEvidence[] memory leaves = new ISettlementTypes.OrderEvidence[](2);
        (leaves[0], leaves[1]) = (e, signed(order(10), ALICE_KEY));
        leaves[1].leafIndex = 1;
        bytes32 empty;
        bytes memory above;
        for (uint256 level = 1; level < 20; ++level) {
            empty = keccak256(abi.encode(empty, empty));
            above = bytes.concat(above, empty);
        }
        vm.expectRevert(ISettlementTypes.BadLeaves.selector);
        authority.answer(id, headers[seq], fresh, leaves, above, data);
    }

    function stateAfter(ISettlementTypes.OrderEvidence memory a)
        private
        view
        returns (ISettlementTypes.AnswerState memory state)
    {
        (state.nextLeaf, state.lastRef) = (1, digest(a));
        state.cash = -int256(uint256(a.notional)) - a.fee;
        state.instrs = new uint32[](1);
        state.lots = new int256[](1);
        (state.instrs[0], state.lots[0]) = (OPTION, a.pos);
    }

    // ---------------------------------------------------------- keys, cancel, lock

    function register(uint32 scopes, uint32[] memory accts) private returns (address key) {
        key = vm.addr(KEY_SECRET);
        vm.prank(alice);
        vault.setSessionKey(key, uint40(START + 1 days), scopes, accts);
    }

    function byKey() private view returns (ISettlementTypes.OrderEvidence memory e) {
        e = order(10);
        e.action.signer = vm.addr(KEY_SECRET);
        return signed(e, KEY_SECRET);
    }

    function one32(uint32 acct) private pure returns (uint32[] memory accts) {
        accts = new uint32[](1);
        accts[0] = acct;
    }

    function test_session_key_signs_within_its_row() public {
        register(1 << 6, one32(2));
        ISettlementTypes.OrderEvidence memory e = byKey();
        uint64 seq = postTrade(e);
        bytes32 id = ask(seq, 0, 0);
        refusedAnswer(notAuthorized(4), id, seq, e); // the list is not shown
        e.keyAccts = one32(3);
        refusedAnswer(notAuthorized(4), id, seq, e);
        e.keyAccts = one32(2);
        respond(id, seq, e);
    }

    /// @dev the chain's clock may run a minute ahead of the exchange's
    function test_key_signs_nothing_matched_before_its_registration() public {
        vm.warp(START + 61);
        register(1 << 6, new uint32[](0));
        ISettlementTypes.OrderEvidence memory e = byKey();
        uint64 early = postWith(Packed.h(3, 0, START, START, 1500), dataOf(e), leafOf(e), bytes32(uint256(7)));
        uint64 seq = postWith(Packed.h(3, 0, START, START + 1, 1500), dataOf(e), leafOf(e), bytes32(uint256(7)));
        refusedAnswer(notAuthorized(4), ask(early, 0, 0), early, e);
        respond(ask(seq, 0, 0), seq, e);
    }

    function test_session_key_of_another_kind_signs_nothing() public {
        register(1 << 5, new uint32[](0)); // perpetuals alone
        ISettlementTypes.OrderEvidence memory e = byKey();
        uint64 seq = postTrade(e);
        refusedAnswer(notAuthorized(4), ask(seq, 0, 0), seq, e);
    }

    /// @dev threat "replay of an old order, after cancel or key revoke"
    function test_revoked_key_signs_nothing_matched_after_its_end() public {
        address key = register(1 << 2, new uint32[](0));
        vm.prank(alice);
        vault.setSessionKey(key, 0, 0, new uint32[](0));
        ISettlementTypes.OrderEvidence memory e = byKey();
        uint64 fine = postWith(Packed.h(4, 0, START, START, 1500), dataOf(e), leafOf(e), bytes32(uint256(7)));
        vm.warp(START + 10 minutes + 1);
        uint256 late = Packed.h(4, 0, START + 10 minutes + 1, START + 10 minutes + 1, 1500);
        uint64 seq = postWith(late, dataOf(e), leafOf(e), bytes32(uint256(7)));
        refusedAnswer(notAuthorized(4), ask(seq, 0, 0), seq, e);
        bytes32 id = ask(fine, 0, 0); // its window in blocks is open
        respond(id, fine, e);
    }

    /// @dev an order counts as older when it is so by more than the clocks may differ
    function test_cancel_all_ends_older_orders() public {
        vm.warp(START + 65);
        vm.prank(alice);
        uint64 cancel = vault.cancelAll(2);
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        refusedAnswer(notAuthorized(7), ask(seq, cancel, 0), seq, e);
        e.action.nonce = (START + 5) * 1e9;
        e = signed(e, ALICE_KEY);
        seq = postTrade(e);
        refusedAnswer(notAuthorized(7), ask(seq, cancel, 0), seq, e);
        e.action.nonce = (START + 5) * 1e9 + 1;
        e = signed(e, ALICE_KEY);
        seq = postTrade(e);
        respond(ask(seq, cancel, 0), seq, e);
    }

    function test_lock_ends_all_orders() public {
        vm.prank(alice);
        uint64 lock = vault.lockTrading(2);
        ISettlementTypes.OrderEvidence memory e = signed(order(10), ALICE_KEY);
        uint64 seq = postTrade(e);
        refusedAnswer(notAuthorized(1), ask(seq, 0, lock), seq, e);
    }

    // ----------------------------------------------------------------- overfills

    /// @dev threat "same order or transfer used in two batches": 6 + 6 of 10 lots
    function test_six_and_six_of_ten_lots_is_reverted() public {
        ISettlementTypes.OrderEvidence memory e = order(10);
        (e.pos, e.notional) = (6, 6e6);
        uint64 a = postTrade(e);
        uint64 b = postTrade(e);
        shown(a, e);
        overfill(two(a, b), e, ISettlementTypes.NotOverfilled.selector); // b is not on record
        shown(b, e);
        shown(b, e);
        overfill(one(b), e, ISettlementTypes.NotOverfilled.selector);
        overfill(two(b, b), e, ISettlementTypes.BadSeq.selector);
        ISettlementTypes.OrderEvidence memory wide = order(12);
        overfill(two(a, b), wide, ISettlementTypes.NotOverfilled.selector); // another order
        overfill(two(a, b), e, 0);
        eq(vault.head(), a);
        eq(vault.credit(ASKER), BOND / 2);
    }

    function test_ten_of_ten_lots_is_no_overfill() public {
        ISettlementTypes.OrderEvidence memory e = order(10);
        uint64 a = postTrade(e);
        uint64 b = postTrade(e);
        shown(a, e);
        shown(b, e);
        overfill(two(a, b), e, ISettlementTypes.NotOverfilled.selector);
    }

    /// @dev threat "honest answer counted twice": challenge, answer, revert, re-post, challenge: no slash
    function test_a_posted_again_batch_counts_once() public {
        ISettlementTypes.OrderEvidence memory e = order(10);
        (e.pos, e.notional) = (6, 6e6);
        e = signed(e, ALICE_KEY);
        ripen(abi.encodeCall(bonds().registerSuccessor, (bob)));
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(bob);
        token.mint(bob, BOND);
        vm.prank(bob);
        token.approve(address(vault), BOND);
        vm.prank(bob);
        bonds().depositBond(BOND);
        uint64 seq = post(word(2, 0), EMPTY);
        seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
        vm.prank(ASKER);
        bytes32 silent = authority.challenge(1, headers[1], 3, 0, 0);
        vm.warp(START + 31);
        authority.slashUnanswered(silent, none, headers[1]);
        (, bool isLive) = authority.fillOf(digest(e), 2);
        yes(!isLive);
        seq = postTrade(e);
        eq(seq, 1);
        respond(ask(seq, 0, 0), seq, e);
        postWith(word(2, 0), EMPTY, 0, 0);
        (, isLive) = authority.fillOf(digest(e), 2);
        yes(!isLive); // another batch stands at seq 2
        overfill(one(1), e, ISettlementTypes.NotOverfilled.selector);
        overfill(two(1, 2), e, ISettlementTypes.NotOverfilled.selector);
    }
}
