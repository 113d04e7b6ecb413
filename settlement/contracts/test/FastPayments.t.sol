// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {Escape} from "../src/Escape.sol";
import {FastPayments} from "../src/FastPayments.sol";
import {IEscape} from "../src/interfaces/IEscape.sol";
import {IFastPayments} from "../src/interfaces/IFastPayments.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Fixture} from "./support/Fixture.sol";
import {OddToken} from "./support/OddToken.sol";
import {RevertPart} from "./support/RevertPart.sol";

/// @dev withdrawals paid at once, out of the payer's own money
contract FastPaymentsTest is Fixture {
    address private constant PAYER = address(0xFA57);
    address private constant OTHER = address(0xCAFE);
    address private constant GUARDIAN = address(0x6A);

    function part() internal override returns (address) {
        return address(new RevertPart(address(new Bonds(address(new FastPayments(address(new Escape(address(0)))))))));
    }

    function setUp() public override {
        super.setUp();
        token.mint(PAYER, 1_000e6);
        vm.prank(PAYER);
        token.approve(address(vault), 1_000e6);
    }

    function fast() private view returns (IFastPayments) {
        return IFastPayments(address(vault));
    }

    function asked(uint64 amount) private returns (uint64 id) {
        vm.prank(alice);
        id = vault.requestWithdraw(2, amount);
    }

    /// @dev alice's withdrawal, approved and not final; she allows a fee
    function approved(uint64 amount, uint64 allowed) private returns (uint64 id) {
        id = asked(amount);
        vm.prank(alice);
        fast().allowFee(id, allowed);
        postApproval(amount);
    }

    /// @dev the same by a signed action of 2 USDC at most
    function relayed(address recipient, uint256 maxFeeE18) private returns (uint64 id) {
        ISettlementTypes.Action memory a = ISettlementTypes.Action(
            BASE + 2, START * 1e9 + 7, ActionHash.WITHDRAW_MODULE, START + 100, alice, alice
        );
        bytes memory data = abi.encode(vault.settlementAsset(), maxFeeE18, recipient, 50e6, false);
        id = vault.relayRequest(a, data, signature(ALICE_KEY, vault.actionDigest(a, data)));
        postApproval(50e6);
    }

    function pay(uint64 id, uint64 fee) private {
        bytes32 batch = vault.batchHash(vault.head());
        vm.prank(PAYER);
        fast().fastPay(id, batch, fee);
    }

    function refusedPay(bytes memory fault, uint64 id, bytes32 batch, uint64 fee) private {
        vm.expectRevert(fault);
        vm.prank(PAYER);
        fast().fastPay(id, batch, fee);
    }

    function code(bytes4 selector) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    function about(bytes4 selector, uint64 id) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, id);
    }

    // ---------------------------------------------------------------- refusals

    function test_refuses_what_is_not_an_approved_withdrawal() public {
        uint64 id = asked(50e6);
        refusedPay(about(ISettlementTypes.NotClaimable.selector, id), id, vault.batchHash(0), 0); // waits
        refusedPay(about(ISettlementTypes.NotClaimable.selector, 99), 99, 0, 0);
        postApproval(0);
        bytes32 batch = vault.batchHash(1);
        refusedPay(about(ISettlementTypes.NotClaimable.selector, 1), 1, batch, 0); // a deposit
        refusedPay(about(ISettlementTypes.NothingToClaim.selector, id), id, batch, 0); // refused
    }

    /// @dev what a payer gave is the whole request, so whatever a later batch approves is no more than he is owed
    function test_refuses_a_part_of_what_was_asked_for() public {
        uint64 id = asked(50e6);
        postApproval(50e6 - 1);
        refusedPay(about(ISettlementTypes.NotClaimable.selector, id), id, vault.batchHash(1), 0);
    }

    function test_refuses_what_was_claimed() public {
        uint64 id = approved(50e6, 0);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        refusedPay(about(ISettlementTypes.NothingToClaim.selector, id), id, vault.batchHash(1), 0);
    }

    function test_refuses_a_second_payer() public {
        uint64 id = approved(50e6, 0);
        pay(id, 0);
        refusedPay(about(ISettlementTypes.AlreadyPaid.selector, id), id, vault.batchHash(1), 0);
        vm.expectRevert(about(ISettlementTypes.AlreadyPaid.selector, id));
        vm.prank(alice);
        fast().allowFee(id, 1);
    }

    function test_refuses_another_batch_than_the_one_that_the_payer_saw() public {
        uint64 id = approved(50e6, 0);
        refusedPay(code(ISettlementTypes.BatchReplaced.selector), id, keccak256("another chain"), 0);
        refusedPay(code(ISettlementTypes.BatchReplaced.selector), id, 0, 0);
    }

    function test_refuses_a_fee_that_nobody_allowed() public {
        uint64 id = approved(50e6, 1e6);
        bytes32 batch = vault.batchHash(1);
        refusedPay(code(ISettlementTypes.FeeTooHigh.selector), id, batch, 1e6 + 1);
        pay(id, 1e6);
    }

    function test_refuses_a_fee_that_takes_everything() public {
        uint64 id = relayed(OTHER, 100e18);
        refusedPay(code(ISettlementTypes.FeeTooHigh.selector), id, vault.batchHash(1), 50e6);
        pay(id, 50e6 - 1);
        eq(token.balanceOf(OTHER), 1);
    }

    function test_refuses_the_recipient_as_payer() public {
        uint64 id = approved(50e6, 0);
        bytes32 batch = vault.batchHash(1);
        vm.expectRevert(ISettlementTypes.NotPayer.selector);
        vm.prank(alice);
        fast().fastPay(id, batch, 0);
    }

    function test_only_the_owner_allows_a_fee_and_not_for_a_named_recipient() public {
        uint64 id = relayed(OTHER, 1e18);
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        fast().allowFee(id, 2e6);
        vm.expectRevert(ISettlementTypes.NotPayer.selector);
        vm.prank(alice);
        fast().allowFee(id, 2e6);
        vm.expectRevert(about(ISettlementTypes.NotClaimable.selector, 1));
        vm.prank(alice);
        fast().allowFee(1, 2e6);
    }

    function test_refuses_behind_a_freeze() public {
        uint64 id = approved(50e6, 0);
        vm.prank(OPERATOR);
        IEscape(address(vault)).freeze();
        refusedPay(code(ISettlementTypes.IsFrozen.selector), id, vault.batchHash(1), 0);
    }

    function test_refuses_without_the_payer_s_money() public {
        uint64 id = approved(50e6, 0);
        uint256 held = token.balanceOf(address(vault));
        bytes32 batch = vault.batchHash(1);
        vm.expectRevert();
        vm.prank(OTHER);
        fast().fastPay(id, batch, 0);
        eq(token.balanceOf(address(vault)), held);
    }

    function test_a_token_that_takes_a_fee_is_refused() public {
        OddToken coin = new OddToken(OddToken.Mode.FEE);
        vault = deploy(address(coin));
        coin.mint(address(this), 2 * BOND);
        coin.approve(address(vault), 2 * BOND);
        bonds().topUpBond(2 * BOND);
        coin.mint(alice, 100e6);
        vm.prank(alice);
        coin.approve(address(vault), 100e6);
        vm.prank(alice);
        vault.deposit(0, 100e6);
        uint64 id = approved(40e6, 0);
        coin.mint(PAYER, 100e6);
        vm.prank(PAYER);
        coin.approve(address(vault), 100e6);
        refusedPay(code(ISettlementTypes.BadAmount.selector), id, vault.batchHash(1), 0);
    }

    // ------------------------------------------------------------------- pause

    function pause(uint40 duration) private {
        vm.prank(GUARDIAN);
        fast().pauseFast(duration);
    }

    function refusedPause(uint40 duration) private {
        vm.expectRevert(ISettlementTypes.BadPause.selector);
        pause(duration);
    }

    function test_only_the_guardian_pauses_fast_payments() public {
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        fast().pauseFast(1);
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        vm.prank(TIMELOCK);
        fast().pauseFast(1);
        pause(100);
        vm.expectRevert(ISettlementTypes.NotGuardian.selector);
        fast().resumeFast();
    }

    function test_a_pause_of_fast_payments_is_bounded_and_followed_by_rest() public {
        refusedPause(0);
        refusedPause(48 hours + 1);
        pause(48 hours);
        refusedPause(1);
        vm.prank(GUARDIAN);
        fast().resumeFast(); // an early end saves no rest
        vm.warp(START + 48 hours + 7 days - 1);
        refusedPause(1);
        vm.warp(START + 48 hours + 7 days);
        pause(1);
    }

    /// @dev threat "guardian or timelock abuse": who was paid stays paid, who paid is owed it, posting and exits go on
    function test_a_pause_of_fast_payments_stops_nothing_else() public {
        uint64 paid = approved(50e6, 0);
        pay(paid, 0);
        pause(48 hours);
        vm.prank(bob);
        uint64 other = vault.requestWithdraw(3, 7e6);
        postApproval(7e6);
        refusedPay(code(ISettlementTypes.FastPaused.selector), other, vault.batchHash(2), 0);
        finalizeAll();
        vault.claim(one(paid), address(0), "");
        vault.claim(one(other), address(0), "");
        eq(token.balanceOf(PAYER), 1_000e6);
        eq(token.balanceOf(bob), 7e6);
    }

    function test_a_pause_of_fast_payments_ends_by_itself() public {
        uint64 id = approved(50e6, 0);
        pause(100);
        vm.warp(START + 99);
        refusedPay(code(ISettlementTypes.FastPaused.selector), id, vault.batchHash(1), 0);
        vm.warp(START + 100);
        pay(id, 0);
    }

    // ----------------------------------------------------------------- success

    function test_pays_the_owner_at_once_and_the_payer_when_it_is_final() public {
        uint64 id = approved(50e6, 2e6);
        uint256 held = token.balanceOf(address(vault));
        pay(id, 1e6);
        eq(token.balanceOf(alice), 49e6);
        eq(token.balanceOf(PAYER), 951e6);
        eq(token.balanceOf(address(vault)), held); // not a unit of the vault's, bond included
        eq(vault.bond(), BOND);
        (uint64 allowed, address payer) = fast().fastPayment(id);
        eq(allowed, 2e6);
        eq(payer, PAYER);
        vm.expectRevert(about(ISettlementTypes.NotClaimable.selector, id));
        vault.claim(one(id), address(0), "");
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(PAYER), 1_001e6);
        eq(token.balanceOf(alice), 49e6);
    }

    function test_a_signed_fee_and_recipient_count() public {
        uint64 id = relayed(OTHER, 2e18 + 1e12 - 1); // rounded down
        refusedPay(code(ISettlementTypes.FeeTooHigh.selector), id, vault.batchHash(1), 2e6 + 1);
        pay(id, 2e6);
        eq(token.balanceOf(OTHER), 48e6);
        eq(vault.payee(id), PAYER);
    }

    function test_an_owner_cannot_redirect_what_he_was_paid() public {
        uint64 id = approved(50e6, 0);
        pay(id, 0);
        finalizeAll();
        vault.claim(one(id), OTHER, signature(ALICE_KEY, vault.claimDigest(one(id), OTHER)));
        eq(token.balanceOf(OTHER), 0);
        eq(token.balanceOf(PAYER), 1_000e6);
    }

    /// @dev a successor with a bond, before the operator falls
    function enlist() private {
        address next = address(0x5EC0);
        RevertPart(address(vault)).enlist(next);
        token.mint(next, BOND);
        vm.prank(next);
        token.approve(address(vault), BOND);
        vm.prank(next);
        bonds().depositBond(BOND);
    }

    /// @dev a stolen key approves one unit, its thief pays it, and the batch falls: the next one's approval is the owner's
    function test_a_unit_paid_before_a_revert_buys_no_withdrawal() public {
        uint64 id = asked(50e6);
        postApproval(1);
        bytes32 batch = vault.batchHash(1);
        vm.prank(PAYER);
        try fast().fastPay(id, batch, 0) {} catch {}
        enlist();
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        postApproval(50e6);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 50e6);
        eq(token.balanceOf(PAYER), 1_000e6);
    }

    /// @dev the payer waits for the next batch and bears what it approves; nobody is paid twice
    function test_after_a_revert_the_payer_bears_a_smaller_approval() public {
        uint64 id = approved(50e6, 0);
        bytes32 batch = vault.batchHash(1);
        pay(id, 0);
        enlist();
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        refusedPay(about(ISettlementTypes.NotClaimable.selector, id), id, batch, 0);
        postApproval(30e6);
        refusedPay(about(ISettlementTypes.AlreadyPaid.selector, id), id, vault.batchHash(1), 0);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(PAYER), 980e6);
        eq(token.balanceOf(alice), 50e6);
    }

    function test_an_old_approval_of_a_void_batch_cannot_be_paid() public {
        uint64 id = approved(50e6, 0);
        bytes32 old = vault.batchHash(1);
        enlist();
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        vm.warp(block.timestamp + 1);
        postApproval(50e6);
        refusedPay(code(ISettlementTypes.BatchReplaced.selector), id, old, 0);
        pay(id, 0);
        eq(token.balanceOf(alice), 50e6);
    }

    function testFuzz_no_unit_is_made_or_lost(uint64 amount, uint64 allowed, uint64 fee) public {
        amount = uint64(within(amount, 1, 900e6));
        fee = uint64(within(fee, 0, amount - 1));
        allowed = uint64(within(allowed, fee, type(uint64).max - 1));
        uint64 id = approved(amount, allowed);
        uint256 held = token.balanceOf(address(vault));
        pay(id, fee);
        eq(token.balanceOf(alice), amount - fee);
        eq(token.balanceOf(address(vault)), held);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(PAYER), 1_000e6 + fee);
        eq(token.balanceOf(address(vault)), held - amount);
    }
}
