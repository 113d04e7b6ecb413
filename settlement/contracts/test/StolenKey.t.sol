// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {FastPayments} from "../src/FastPayments.sol";
import {IFastPayments} from "../src/interfaces/IFastPayments.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {RevertPart} from "./support/RevertPart.sol";
import {Setups} from "./support/Setups.sol";

/// @dev threat "operator key theft": the drill from the theft to everybody's money; that a proof of the thief's batch is
/// accepted is shown where the proofs are, here `RevertPart` takes it for proven
contract StolenKeyTest is Fixture {
    address private constant GUARDIAN = address(0x6A);
    address private constant NEXT = address(0x5EC0);
    uint256 private constant MALLORY_KEY = 0xBAD;
    address private mallory = vm.addr(MALLORY_KEY);
    address private thief;

    function part() internal override returns (address) {
        return address(new RevertPart(address(new Bonds(address(new FastPayments(address(0)))))));
    }

    function setUp() public override {
        super.setUp();
        thief = OPERATOR; // he signs as the operator from here on
        fund(mallory, 0, 10e6);
        ripen(abi.encodeCall(bonds().registerSuccessor, (NEXT)));
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(NEXT);
        token.mint(NEXT, BOND);
        vm.prank(NEXT);
        token.approve(address(vault), BOND);
        vm.prank(NEXT);
        bonds().depositBond(BOND);
    }

    function test_a_stolen_key_takes_nothing_but_the_bond() public {
        vm.prank(mallory);
        uint64 loot = vault.requestWithdraw(4, 2_000e6);
        vm.prank(alice);
        uint64 hers = vault.requestWithdraw(2, 1_000e6);
        // 1. the thief approves everybody's money for himself
        post(word(5, 0), bytes.concat(EMPTY, abi.encodePacked(uint64(2_000e6), uint64(0))));
        // 2. nothing leaves inside the window, and no key but the guardian's is needed to stop more batches
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NotClaimable.selector, loot));
        vault.claim(one(loot), address(0), "");
        vm.prank(GUARDIAN);
        bonds().pausePosting(1 hours);
        vm.prank(GUARDIAN);
        IFastPayments(address(vault)).pauseFast(1 hours);
        refuse(ISettlementTypes.Halted.selector, 2, word(5, 0), EMPTY);
        // 3. anybody proves it: half of the bond is his, the successor that waited posts from here on
        vm.prank(bob);
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        eq(vault.credit(bob), BOND / 2);
        eq(vault.operator(), NEXT);
        vm.warp(START + 1 hours);
        uint256 h = word(5, 0);
        vm.expectRevert(ISettlementTypes.NotOperator.selector);
        byKey(thief);
        vault.post(1, 0, 0, h, EMPTY);
        // 4. the same requests, approved as they should be, are paid once
        post(word(5, 0), bytes.concat(EMPTY, abi.encodePacked(uint64(0), uint64(1_000e6))));
        vm.warp(START + 1 hours + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        vault.finalize(1, headers[1]);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NothingToClaim.selector, loot));
        vault.claim(one(loot), address(0), "");
        vault.claim(one(hers), address(0), "");
        eq(token.balanceOf(alice), 1_000e6);
        eq(token.balanceOf(mallory), 0);
        // 5. what is left is what is owed: bob's and mallory's deposits, bond, pot and reward
        eq(token.balanceOf(address(vault)), 1_010e6 + BOND + vault.pot() + vault.credit(bob));
    }
}
