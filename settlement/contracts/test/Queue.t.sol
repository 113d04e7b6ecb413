// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {OddToken} from "./support/OddToken.sol";

/// @dev deployment bounds, deposits, withdrawal requests, odd tokens
contract QueueTest is Fixture {
    function test_refuses_parameters_out_of_bounds() public {
        refuseDeployment(address(0), address(this), BASE, WINDOW, DELAY, MINIMUM);
        refuseDeployment(address(token), address(0), BASE, WINDOW, DELAY, MINIMUM);
        refuseDeployment(address(token), address(this), type(uint64).max, WINDOW, DELAY, MINIMUM);
        refuseDeployment(address(token), address(this), BASE, 0, DELAY, MINIMUM);
        refuseDeployment(address(token), address(this), BASE, 30 days + 1, DELAY, MINIMUM);
        refuseDeployment(address(token), address(this), BASE, WINDOW, 0, MINIMUM);
        refuseDeployment(address(token), address(this), BASE, WINDOW, 7 days + 1, MINIMUM);
        refuseDeployment(address(token), address(this), BASE, WINDOW, DELAY, 0);
        refuseDeployment(address(token), address(this), BASE, WINDOW, DELAY, 1_000e6 + 1);
    }

    function refuseDeployment(address coin, address op, uint64 base, uint40 window, uint40 delay, uint96 least) private {
        vm.expectRevert(ISettlement.BadParameter.selector);
        new Settlement(IERC20(coin), op, base, window, delay, least);
    }

    function test_refuses_a_deposit_to_nobody() public {
        vm.expectRevert(ISettlement.NoAccount.selector);
        vault.deposit(1, MINIMUM);
        vm.expectRevert(ISettlement.NoAccount.selector);
        vault.deposit(4, MINIMUM);
    }

    function test_refuses_a_small_deposit() public {
        token.mint(address(this), MINIMUM);
        token.approve(address(vault), MINIMUM);
        vm.expectRevert(ISettlement.BadAmount.selector);
        vault.deposit(0, MINIMUM - 1);
        vault.deposit(0, MINIMUM);
    }

    function test_refuses_a_stranger_s_withdrawal() public {
        vm.expectRevert(ISettlement.NotOwner.selector);
        vm.prank(bob);
        vault.requestWithdraw(2, 1);
    }

    function test_refuses_a_withdrawal_of_nothing() public {
        vm.expectRevert(ISettlement.ZeroAmount.selector);
        vm.prank(alice);
        vault.requestWithdraw(2, 0);
    }

    function test_refuses_a_second_open_withdrawal() public {
        vm.prank(alice);
        vault.requestWithdraw(2, 1e6);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.RequestOpen.selector, 3));
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
        ISettlement.Request memory row = vault.request(3);
        eq(row.acct, 2);
        eq(row.kind, uint8(ISettlement.Kind.DEPOSIT));
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
        other = new Settlement(IERC20(address(coin)), address(this), BASE, WINDOW, DELAY, MINIMUM);
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
