// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {OddToken} from "./support/OddToken.sol";
import {Setups} from "./support/Setups.sol";
import {SmallTree} from "./support/SmallTree.sol";
import {Stranded} from "./support/Stranded.sol";

/// @dev marks, claims, payments and refunds of a frozen contract
contract EscapeTest is Stranded {
    address private carol = address(0xCA01);
    address private dave = address(0xDA7E);

    /// @dev 2,000 USDC of alice and bob, and what else an account has is another's loss
    function strand(int128 hers, int128 his) private {
        leaves[0] = leaf(address(0), 2_000e6 - hers - his, "");
        leaves[2] = leaf(alice, hers, "");
        leaves[3] = leaf(bob, his, "");
        settle(0);
        freeze();
    }

    function open() private {
        exit().loadMarks("");
    }

    function paidTo(address who, uint32 acct) private returns (uint256) {
        uint256 before = token.balanceOf(who);
        exit().escapePay(acct);
        return token.balanceOf(who) - before;
    }

    function test_refuses_marks_while_posting_goes_on_or_a_window_is_open() public {
        vm.expectRevert(ISettlementTypes.EscapeNotOpen.selector);
        exit().loadMarks("");
        post(word(2, 0), EMPTY);
        freeze();
        vm.expectRevert(ISettlementTypes.EscapeNotOpen.selector);
        exit().loadMarks("");
        vm.expectRevert(ISettlementTypes.EscapeNotOpen.selector);
        exit().escapeRefund(1);
    }

    function test_refuses_other_marks_and_a_second_load() public {
        bytes memory vector = abi.encodePacked(uint64(1) << 48, uint32(7), uint64(5e6), uint8(0));
        uint64 round = publish(vector);
        settle(round);
        publish(abi.encodePacked(uint64(1) << 48, uint32(7), uint64(9e6), uint8(0)));
        freeze();
        eq(state().round, round);
        vm.expectRevert(ISettlementTypes.BadProof.selector);
        exit().loadMarks("");
        vm.expectRevert(ISettlementTypes.BadProof.selector);
        exit().loadMarks(abi.encodePacked(uint64(1) << 48, uint32(7), uint64(9e6), uint8(0)));
        exit().loadMarks(vector);
        eq(exit().escapeMarks()[0].code.length, vector.length + 1);
        vm.expectRevert(ISettlementTypes.BadMarks.selector);
        exit().loadMarks(vector);
    }

    function test_refuses_claims_before_the_marks() public {
        strand(900e6, 1_100e6);
        refuseClaim(code(ISettlementTypes.BadMarks.selector), 2, leaves[2], 2);
    }

    function test_refuses_what_is_not_the_leaf_of_the_account() public {
        strand(900e6, 1_100e6);
        open();
        bytes memory fault = code(ISettlementTypes.BadProof.selector);
        refuseClaim(fault, 2, leaf(alice, 901e6, ""), 2);
        refuseClaim(fault, 3, leaves[2], 2);
        refuseClaim(fault, 2, leaves[2], 3);
        refuseClaim(fault, 2, "", 2);
        vm.expectRevert(fault);
        exit().escapeClaim(2, leaves[2], "");
        bytes memory long = bytes.concat(SmallTree.path(leaves, 2), bytes32(0));
        vm.expectRevert(fault);
        exit().escapeClaim(2, leaves[2], long);
    }

    function test_refuses_funds_and_accounts_of_nobody() public {
        fund(TIMELOCK, 0, 100e6);
        leaves[4] = leaf(TIMELOCK, 100e6, "");
        strand(900e6, 1_000e6);
        open();
        bytes memory fault = code(ISettlementTypes.NotClaimant.selector);
        refuseClaim(fault, 0, leaves[0], 0);
        refuseClaim(fault, 1, leaves[0], 1);
        refuseClaim(fault, 4, leaves[4], 4);
        refuseClaim(fault, 5, leaves[2], 5);
    }

    function test_refuses_an_account_without_equity() public {
        strand(2_001e6, -1e6);
        open();
        refuseClaim(abi.encodeWithSelector(ISettlementTypes.NoEquity.selector, -1e6), 3, leaves[3], 3);
    }

    function test_refuses_to_claim_or_pay_twice() public {
        strand(900e6, 1_100e6);
        open();
        claim(2);
        refuseClaim(code(ISettlementTypes.AlreadyClaimed.selector), 2, leaves[2], 2);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.ClaimsOpen.selector, state().claimsEnd));
        exit().escapePay(2);
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        exit().escapePay(3);
        later(CLAIMS);
        eq(paidTo(alice, 2), 900e6);
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        exit().escapePay(2);
        refuseClaim(code(ISettlementTypes.AlreadyClaimed.selector), 2, leaves[2], 2);
    }

    function test_everybody_is_paid_in_full_where_nobody_is_bankrupt() public {
        strand(900e6, 1_100e6);
        open();
        claim(3);
        claim(2);
        later(CLAIMS);
        eq(paidTo(bob, 3), 1_100e6);
        eq(paidTo(alice, 2), 900e6);
        eq(state().paid, 2_000e6);
        eq(state().assets, 2_000e6 + BOND); // the bond was not needed
    }

    function test_the_bond_serves_a_shortfall() public {
        strand(2_300e6, -300e6);
        open();
        claim(2);
        later(CLAIMS);
        (, uint256 due,,) = exit().escapeClaimOf(2);
        eq(due, 2_300e6);
        eq(paidTo(alice, 2), 2_300e6);
        eq(token.balanceOf(address(vault)), BOND - 300e6);
        eq(vault.bond(), 0);
    }

    function test_a_shortfall_beyond_the_bond_is_shared() public {
        fund(carol, 0, 500e6);
        leaves[4] = leaf(carol, -1_500e6, "");
        leaves[2] = leaf(alice, 1_000e6, "");
        leaves[3] = leaf(bob, 3_000e6, "");
        settle(0);
        freeze();
        open();
        claim(2);
        claim(3);
        later(CLAIMS);
        // 2,500 of collateral and 500 of bond for 4,000
        eq(paidTo(bob, 3), 2_250e6);
        eq(paidTo(alice, 2), 750e6);
        eq(token.balanceOf(address(vault)), 0);
    }

    function test_a_late_claim_is_paid_from_what_is_left() public {
        strand(900e6, 1_100e6);
        open();
        claim(2);
        later(CLAIMS + 365 days);
        claim(3);
        (uint256 amount, uint256 due, bool isLate, bool isPaid) = exit().escapeClaimOf(3);
        yes(amount == 1_100e6 && due == 1_100e6 && isLate && !isPaid);
        eq(paidTo(bob, 3), 1_100e6);
        eq(paidTo(alice, 2), 900e6); // whoever claimed in time loses nothing by it
    }

    function test_a_late_claim_takes_nothing_from_those_in_time() public {
        fund(carol, 0, 500e6);
        leaves[4] = leaf(carol, -1_500e6, "");
        leaves[2] = leaf(alice, 3_000e6, "");
        leaves[3] = leaf(bob, 1_000e6, "");
        settle(0);
        freeze();
        open();
        claim(2);
        later(CLAIMS);
        claim(3);
        vm.expectRevert(ISettlementTypes.NothingThere.selector);
        exit().escapePay(3);
        eq(paidTo(alice, 2), 3_000e6);
    }

    /// @dev threat "operator vanishes": an option that ended without its row, or was never marked, is nobody's gain or
    /// loss: both sides keep their cash to the unit, and nobody waits for a settlement that nobody publishes
    function test_an_option_without_a_row_counts_nothing_on_either_side() public {
        bytes memory vector = hex"0000000000000000";
        uint64 round = publish(vector);
        leaves[2] = leaf(alice, 1_300e6, option(9, 1_000));
        leaves[3] = leaf(bob, 700e6, option(9, -1_000));
        settle(round);
        freeze();
        exit().loadMarks(vector);
        claim(2);
        claim(3);
        later(CLAIMS);
        eq(paidTo(alice, 2), 1_300e6);
        eq(paidTo(bob, 3), 700e6);
    }

    function test_marks_funding_and_payoffs_make_the_equity() public {
        // option 7 at 5, option 8 settled at 2.5, perpetual 1 at 100 with index 3, no row for option 9
        bytes memory options = abi.encodePacked(uint32(7), uint64(5e6), uint8(0), uint32(8), uint64(2_500_000e6), uint8(1));
        bytes memory perps = abi.encodePacked(uint32(0x80000001), uint64(100e6), uint8(0), int64(3_000_000_000_001));
        bytes memory vector = bytes.concat(abi.encodePacked(uint16(2), uint16(1), uint32(0)), options, perps);
        uint64 round = publish(vector);
        bytes memory hers = bytes.concat(option(7, 10), option(8, -4), option(9, 1_000), perpetual(1, -2, 0));
        bytes memory his = bytes.concat(option(7, -10), option(8, 4), option(9, -1_000), perpetual(1, 2, 0));
        leaves[2] = leaf(alice, 1_200e6, hers);
        leaves[3] = leaf(bob, 800e6, his);
        settle(round);
        freeze();
        exit().loadMarks(vector);
        claim(2);
        claim(3);
        (uint256 amount,,,) = exit().escapeClaimOf(2);
        eq(amount, 1_200e6 + 50e6 - 10e6 - 200e6 + 6_000_000); // 2 x 3.000000000001, rounded down
        (amount,,,) = exit().escapeClaimOf(3);
        eq(amount, 800e6 - 50e6 + 10e6 + 200e6 - 6_000_001);
    }

    /// @dev the caps: 2,048 rows, 128 positions
    function test_the_largest_vector_and_leaf_fit_a_transaction() public {
        bytes memory vector = abi.encodePacked(uint16(0), uint16(2_048), uint32(0));
        bytes memory entries;
        for (uint32 i = 0; i < 2_048; i += 128) {
            bytes memory rows; // joined in parts: memory costs its square
            for (uint32 j = i + 1; j <= i + 128; ++j) {
                rows = bytes.concat(rows, abi.encodePacked(0x80000000 | j, uint64(j) * 1e6, uint8(0), int64(1e12)));
                if (j % 16 == 0) entries = bytes.concat(entries, perpetual(j, int64(uint64(j)), 0));
            }
            vector = bytes.concat(vector, rows);
        }
        uint64 round = publish(vector);
        leaves[2] = leaf(alice, 1_000e6, entries);
        settle(round);
        freeze();
        uint256 before = gasleft();
        exit().loadMarks(vector);
        yes(before - gasleft() < 10_000_000);
        bytes memory path = SmallTree.path(leaves, 2);
        before = gasleft();
        exit().escapeClaim(2, leaves[2], path);
        yes(before - gasleft() < 1_000_000);
        (uint256 amount,,,) = exit().escapeClaimOf(2);
        uint256 expected = 1_000e6;
        for (uint256 i = 16; i <= 2_048; i += 16) {
            expected += i * i * 1e6 - i * 1e6;
        }
        eq(amount, expected);
    }

    function test_deposits_that_no_batch_took_go_back_whole() public {
        leaves[2] = leaf(alice, 1_000e6, "");
        leaves[3] = leaf(bob, 1_000e6, "");
        settle(0);
        fund(carol, 0, 77e6);
        vm.prank(alice);
        vault.requestWithdraw(2, 10e6);
        freeze();
        exit().escapeRefund(3);
        eq(token.balanceOf(carol), 77e6);
        for (uint64 id = 0; id < 6; ++id) {
            vm.expectRevert(ISettlementTypes.NothingThere.selector); // consumed, refunded, of another kind, unknown
            exit().escapeRefund(id);
        }
        eq(token.balanceOf(address(vault)), 2_000e6 + BOND);
    }

    function test_before_the_first_batch_all_deposits_go_back() public {
        freeze();
        exit().escapeRefund(2);
        exit().escapeRefund(1);
        eq(token.balanceOf(alice), 1_000e6);
        eq(token.balanceOf(bob), 1_000e6);
        open();
        refuseClaim(code(ISettlementTypes.BadProof.selector), 2, leaf(alice, 1_000e6, ""), 2);
    }

    function test_a_pot_is_there_for_a_shortfall() public {
        post(word(0, 0), EMPTY);
        ripen(abi.encodeCall(bonds().registerSuccessor, (dave)));
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(dave);
        token.mint(dave, BOND);
        vm.prank(dave);
        token.approve(address(vault), BOND);
        vm.prank(dave);
        bonds().depositBond(BOND);
        vm.prank(carol);
        accuse(1);
        strand(1_000e6, 1_000e6);
        yes(vault.pot() == BOND / 2);
        eq(state().assets, 2_000e6 + BOND + BOND / 2);
    }

    function accuse(uint64 seq) private {
        (bool ok,) = address(vault).call(
            abi.encodeWithSignature(
                "accuse(uint64,(bytes32,bytes32,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint96),(bytes32,bytes32,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint96))",
                seq,
                headers[seq - 1],
                headers[seq]
            )
        );
        yes(ok);
    }

    function test_an_owner_whom_the_token_blocks_holds_nobody_up() public {
        OddToken coin = new OddToken(OddToken.Mode.BLOCK);
        vault = deploy(address(coin));
        coin.mint(address(this), BOND);
        coin.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
        for (uint256 i = 0; i < 2; ++i) {
            address who = i == 0 ? alice : bob;
            coin.mint(who, 1_000e6);
            vm.prank(who);
            coin.approve(address(vault), 1_000e6);
            vm.prank(who);
            vault.deposit(0, 1_000e6);
        }
        strand(900e6, 1_100e6);
        open();
        claim(2);
        claim(3);
        later(CLAIMS);
        coin.block_(alice);
        vm.expectRevert(OddToken.Blocked.selector);
        exit().escapePay(2);
        exit().escapePay(3);
        eq(coin.balanceOf(bob), 1_100e6);
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        exit().escapePayTo(2, carol);
        vm.prank(alice);
        exit().escapePayTo(2, carol);
        eq(coin.balanceOf(carol), 900e6);
    }

    /// @dev equities, orders and times as they come: never more than there is, the same to everybody in any order
    function testFuzz_claims_pay_the_same_in_any_order(uint256 seed, int64[6] memory wanted) public {
        uint256 total = 2_000e6;
        for (uint32 acct = 4; acct < 8; ++acct) {
            fund(address(uint160(0xACC0 + acct)), 0, 100e6);
            total += 100e6;
        }
        int128 rest = int128(int256(total));
        for (uint32 acct = 2; acct < 8; ++acct) {
            int128 cash = int128(int256(within(uint64(wanted[acct - 2]), 0, 2_000e6))) - 800e6;
            rest -= cash;
            leaves[acct] = leaf(vault.accountOwner(acct), cash, "");
        }
        leaves[0] = leaf(address(0), rest, "");
        settle(0);
        freeze();
        open();
        (uint256 claims, uint256 assets) = (0, total + BOND);
        for (uint256 i = 0; i < 6; ++i) {
            uint32 acct = place(seed, i);
            int128 cash = int128(uint128(bytes16(bytes32(slice(leaves[acct])))));
            if (cash <= 0) continue;
            claims += uint128(cash);
            claim(acct);
        }
        later(CLAIMS);
        uint256 paid;
        for (uint256 i = 0; i < 6; ++i) {
            uint32 acct = place(seed >> 100, i);
            (uint256 amount,,,) = exit().escapeClaimOf(acct);
            if (amount == 0) continue;
            uint256 got = paidTo(vault.accountOwner(acct), acct);
            eq(got, claims <= assets ? amount : amount * assets / claims);
            paid += got;
        }
        yes(paid <= assets);
        yes(paid + 6 > (claims < assets ? claims : assets));
        eq(state().paid, paid);
        eq(token.balanceOf(address(vault)), assets - paid);
    }

    /// @dev a rotation of 2 .. 7 by the seed, in steps of 1 or 5
    function place(uint256 seed, uint256 i) private pure returns (uint32) {
        return uint32(2 + (seed % 6 + i * (seed & 64 == 0 ? 1 : 5)) % 6);
    }

    function slice(bytes memory shown) private pure returns (bytes32 cash) {
        assembly ("memory-safe") {
            cash := mload(add(shown, 52))
        }
    }
}
