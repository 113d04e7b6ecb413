// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {DemoUSDC} from "../../src/DemoUSDC.sol";
import {Escape} from "../../src/Escape.sol";
import {Checks} from "../support/Vm.sol";

/// @dev the escape behind its claim period, with the claims that a case wants
contract Frozen is Escape(address(0)) {
    address public token;

    constructor(address token_, uint96 final_, uint64 bond_, uint64 pot_) {
        token = token_;
        (_final.collateral, _final.pot, _collateral.bond) = (final_, pot_, bond_);
        _escape.claimsEnd = 1;
    }

    function add(uint32 acct, uint240 amount, bool isLate) external {
        _accounts[acct].owner = address(uint160(0x1000) + acct);
        _escapeRows[acct] = EscapeRow(amount, isLate, false);
        if (!isLate) _escapeTotal += amount;
    }
}

/// @dev pro rata. Where money is short amounts are cut to four bits (eight with one claim
/// in time), since a solver cannot divide wide words
contract EscapeSymbolic is Checks {
    uint256 private constant REST = 1000;

    DemoUSDC private token;

    function setUp() public {
        vm.warp(1_800_000_000);
        token = new DemoUSDC();
    }

    function check_claims_share_what_is_there(uint96 assets, uint240 a, uint240 b) external {
        (assets, a, b) = (assets & 15, a & 15, b & 15);
        if (a == 0 || b == 0 || assets >= a + b) return;
        (Frozen frozen, uint256 paid) = _payBoth(assets, a, b, false);
        assert(paid <= assets);
        assert(token.balanceOf(address(frozen)) == REST + uint256(assets) - paid);
    }

    function check_a_late_claim_takes_what_is_left(uint96 assets, uint240 a, uint240 b) external {
        (assets, a, b) = (assets & 255, a & 255, b & 255);
        (, uint256 paid) = _payBoth(assets, a, b, true);
        assert(paid <= assets && paid <= uint256(a) + b);
        if (a <= assets) assert(token.balanceOf(address(0x1002)) == a);
    }

    function check_claims_are_paid_whole_where_money_is_there(uint96 assets, uint128 a, uint128 b) external {
        vm.assume(a > 0 && b > 0 && assets >= uint256(a) + b);
        (, uint256 paid) = _payBoth(assets, a, b, false);
        assert(paid == uint256(a) + b);
        assert(token.balanceOf(address(0x1002)) == a);
    }

    function _payBoth(uint96 assets, uint240 a, uint240 b, bool isLate) private returns (Frozen frozen, uint256 paid) {
        frozen = _frozen(assets);
        frozen.add(2, a, false);
        frozen.add(3, b, isLate);
        _pay(frozen, 3);
        _pay(frozen, 2);
        paid = token.balanceOf(address(0x1002)) + token.balanceOf(address(0x1003));
    }

    /// @dev more tokens than the assets are there, of deposits that are refunded: what is paid too much would not revert
    function _frozen(uint96 assets) private returns (Frozen frozen) {
        frozen = new Frozen(address(token), assets, 0, 0);
        token.mint(address(frozen), REST + uint256(assets));
    }

    function _pay(Frozen frozen, uint32 acct) private {
        try frozen.escapePay(acct) {} catch {}
    }
}
