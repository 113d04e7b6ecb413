// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {OddToken} from "./support/OddToken.sol";
import {Setups} from "./support/Setups.sol";

/// @dev deployment bounds, deposits, withdrawal requests, odd tokens
contract QueueTest is Fixture {
    function test_refuses_missing_addresses() public {
        ISettlementTypes.Setup memory s = good();
        s.token = address(0);
        refuseDeployment(s);
        s = good();
        s.operator = address(0);
        refuseDeployment(s);
        s = good();
        s.timelock = address(0);
        refuseDeployment(s);
        s = good();
        s.nextPart = address(0xABCD);
        refuseDeployment(s);
        s = good();
        s.subaccountBase = type(uint64).max;
        refuseDeployment(s);
    }

    function test_refuses_windows_out_of_bounds() public {
        refuseWindows(0, 5, 30, DELAY, 1800);
        refuseWindows(30 days + 1, 5, 30, DELAY, 1800);
        refuseWindows(WINDOW, 0, 30, DELAY, 1800);
        refuseWindows(WINDOW, 2_592_001, 30, DELAY, 1800);
        refuseWindows(WINDOW, 5, 0, DELAY, 1800);
        refuseWindows(WINDOW, 5, 7 days + 1, DELAY, 1800);
        refuseWindows(WINDOW, 5, 30, 0, 1800);
        refuseWindows(WINDOW, 5, 30, 7 days + 1, 8 days);
        refuseWindows(WINDOW, 5, 30, DELAY, DELAY);
        refuseWindows(WINDOW, 5, 30, DELAY, 30 days + 1);
        new Settlement(good());
    }

    function test_refuses_amounts_out_of_bounds() public {
        refuseAmounts(0, BOND, 20e6);
        refuseAmounts(1_000e6 + 1, BOND, 20e6);
        refuseAmounts(MINIMUM, 0, 20e6);
        refuseAmounts(MINIMUM, 100_000_000e6 + 1, 20e6);
        refuseAmounts(MINIMUM, BOND, 0);
        refuseAmounts(MINIMUM, BOND, 2_000e6 + 1);
    }

    function test_refuses_feeds_out_of_order_or_too_few() public {
        ISettlementTypes.Setup memory s = good();
        s.feedSigners = new address[](2);
        (s.feedSigners[0], s.feedSigners[1]) = (address(5), address(5));
        refuseDeployment(s);
        s.feedSigners[1] = address(6);
        s.feedThreshold = 3;
        refuseDeployment(s);
        s.feedThreshold = 2;
        new Settlement(s);
    }

    function good() private view returns (ISettlementTypes.Setup memory) {
        return Setups.standard(address(token), Setups.OPERATOR, vault.nextPart());
    }

    function refuseWindows(uint40 window, uint40 blocks, uint40 answer, uint40 delay, uint40 escape) private {
        ISettlementTypes.Setup memory s = good();
        (s.finalityWindow, s.finalityBlocks, s.answerWindow) = (window, blocks, answer);
        (s.forceDelay, s.escapeDelay) = (delay, escape);
        s.timelockDelay = 90 days;
        refuseDeployment(s);
    }

    function refuseAmounts(uint64 least, uint64 bond, uint64 challenge) private {
        ISettlementTypes.Setup memory s = good();
        (s.minimumDeposit, s.minimumBond, s.challengeBond) = (least, bond, challenge);
        refuseDeployment(s);
    }

    function refuseDeployment(ISettlementTypes.Setup memory s) private {
        vm.expectRevert(ISettlementTypes.BadParameter.selector);
        new Settlement(s);
    }

    function test_refuses_a_deposit_to_nobody() public {
        vm.expectRevert(ISettlementTypes.NoAccount.selector);
        vault.deposit(1, MINIMUM);
        vm.expectRevert(ISettlementTypes.NoAccount.selector);
        vault.deposit(4, MINIMUM);
    }

    function test_refuses_a_small_deposit() public {
        token.mint(address(this), MINIMUM);
        token.approve(address(vault), MINIMUM);
        vm.expectRevert(ISettlementTypes.BadAmount.selector);
        vault.deposit(0, MINIMUM - 1);
        vault.deposit(0, MINIMUM);
    }

    function test_refuses_a_stranger_s_withdrawal() public {
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        vm.prank(bob);
        vault.requestWithdraw(2, 1);
    }

    function test_refuses_a_withdrawal_of_nothing() public {
        vm.expectRevert(ISettlementTypes.ZeroAmount.selector);
        vm.prank(alice);
        vault.requestWithdraw(2, 0);
    }

    function test_owner_s_requests_are_his_and_one_per_kind() public {
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        vault.cancelAll(2);
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        vault.lockTrading(2);
        vm.expectRevert(ISettlementTypes.NoOracle.selector);
        vm.prank(alice);
        vault.requestClose(2);
        vm.prank(alice);
        eq(vault.cancelAll(2), 3);
        vm.prank(alice);
        eq(vault.lockTrading(2), 4);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 3));
        vm.prank(alice);
        vault.cancelAll(2);
        eq(vault.request(4).kind, uint8(ISettlementTypes.Kind.LOCK));
    }

    function test_refuses_a_second_open_withdrawal() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 1e6);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 3));
        vm.prank(alice);
        vault.requestWithdraw(2, 1e6);
        postApproval(0);
        vm.prank(alice);
        eq(vault.requestWithdraw(2, 1e6), 4);
    }

    function test_accounts_count_from_two() public view {
        eq(vault.accountOwner(2), alice);
        eq(vault.accountOwner(3), bob);
        eq(vault.accountOwner(0), address(0));
        eq(vault.nextAccount(), 4);
        eq(vault.accountsOf(bob)[0], 3);
    }

    function test_anyone_may_deposit_for_another() public {
        fund(bob, 2, 20e6);
        ISettlementTypes.Request memory row = vault.request(3);
        eq(row.acct, 2);
        eq(row.kind, uint8(ISettlementTypes.Kind.DEPOSIT));
        eq(row.amount, 20e6);
        eq(row.time, START);
    }

    function test_collateral_counts_a_deposit_when_consumed() public {
        eq(vault.collateral(), 0);
        post(word(1, 0), EMPTY);
        eq(vault.collateral(), 1_000e6);
        post(word(2, 0), EMPTY);
        eq(vault.collateral(), 2_000e6);
    }

    function test_deposit_with_permit() public {
        token.mint(alice, 30e6);
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                alice,
                address(vault),
                30e6,
                0,
                START
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), permit));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ALICE_KEY, digest);
        token.permit(alice, address(vault), 30e6, START, v, r, s); // a stranger spends it first
        vm.prank(alice);
        vault.depositWithPermit(2, 30e6, START, v, r, s);
        eq(vault.request(3).amount, 30e6);
    }

    function odd(OddToken.Mode mode) private returns (OddToken coin, Settlement other) {
        coin = new OddToken(mode);
        other = deploy(address(coin));
        coin.mint(address(this), 100e6);
        coin.approve(address(other), 100e6);
    }

    function test_fee_on_transfer_is_the_depositor_s() public {
        (OddToken coin, Settlement other) = odd(OddToken.Mode.FEE);
        other.deposit(0, 100e6);
        eq(other.request(1).amount, 99e6);
        eq(coin.balanceOf(address(other)), 99e6);
    }

    function test_a_token_that_answers_false_is_refused() public {
        (OddToken coin, Settlement other) = odd(OddToken.Mode.FALSE);
        vm.expectRevert(abi.encodeWithSignature("SafeERC20FailedOperation(address)", address(coin)));
        other.deposit(0, 100e6);
    }

    function test_a_token_that_calls_back_is_refused() public {
        (, Settlement other) = odd(OddToken.Mode.REENTER);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        other.deposit(0, 100e6);
    }
}
