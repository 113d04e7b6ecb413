// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {OddToken} from "./support/OddToken.sol";

/// @dev payment of final withdrawals
contract ClaimsTest is Fixture {
    address private constant OTHER = address(0xCAFE);

    function withdraw(address who, uint32 acct, uint64 amount) private returns (uint64 id) {
        vm.prank(who);
        id = vault.requestWithdraw(acct, amount);
        postApproval(amount);
    }

    function two(uint64 a, uint64 b) private pure returns (uint64[] memory ids) {
        ids = new uint64[](2);
        (ids[0], ids[1]) = (a, b);
    }

    function test_refuses_before_finality() public {
        uint64 id = withdraw(alice, 2, 5e6);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NotClaimable.selector, id));
        vault.claim(one(id), address(0), "");
    }

    function test_refuses_other_kinds_and_unknown_ids() public {
        post(word(2, 0), EMPTY);
        finalizeAll();
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NotClaimable.selector, 1));
        vault.claim(one(1), address(0), "");
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NotClaimable.selector, 9));
        vault.claim(one(9), address(0), "");
    }

    function test_refuses_a_second_payment() public {
        uint64 id = withdraw(alice, 2, 5e6);
        finalizeAll();
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NothingToClaim.selector, id));
        vault.claim(two(id, id), address(0), "");
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 5e6);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.NothingToClaim.selector, id));
        vault.claim(one(id), address(0), "");
    }

    function test_refuses_a_redirect_without_the_owner() public {
        uint64 id = withdraw(alice, 2, 5e6);
        finalizeAll();
        bytes memory sig = signature(BOB_KEY, vault.claimDigest(one(id), OTHER));
        vm.expectRevert(ISettlementTypes.BadSignature.selector);
        vault.claim(one(id), OTHER, sig);
        vm.expectRevert(ISettlementTypes.NoAccount.selector);
        vault.claim(new uint64[](0), OTHER, sig);
        vm.expectRevert(ISettlementTypes.NoAccount.selector);
        vault.claim(one(99), OTHER, sig);
    }

    function test_refuses_to_redirect_a_stranger_s_request() public {
        uint64 mine = withdraw(alice, 2, 5e6);
        uint64 his = withdraw(bob, 3, 5e6);
        finalizeAll();
        bytes memory sig = signature(ALICE_KEY, vault.claimDigest(two(mine, his), OTHER));
        vm.expectRevert(ISettlementTypes.NotOwner.selector);
        vault.claim(two(mine, his), OTHER, sig);
    }

    function test_pays_owners_for_anyone() public {
        uint64 mine = withdraw(alice, 2, 5e6);
        uint64 his = withdraw(bob, 3, 6e6);
        finalizeAll();
        vm.prank(OTHER);
        vault.claim(two(his, mine), address(0), "");
        eq(token.balanceOf(alice), 5e6);
        eq(token.balanceOf(bob), 6e6);
        eq(vault.request(mine).aux, 1); // the seq stays
    }

    function test_blocked_owner_redirects() public {
        OddToken coin = new OddToken(OddToken.Mode.BLOCK);
        vault = deploy(address(coin));
        coin.mint(address(this), BOND);
        coin.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
        coin.mint(alice, 100e6);
        vm.prank(alice);
        coin.approve(address(vault), 100e6);
        vm.prank(alice);
        vault.deposit(0, 100e6);
        uint64 id = withdraw(alice, 2, 40e6);
        finalizeAll();
        coin.block_(alice);
        vm.expectRevert(OddToken.Blocked.selector);
        vault.claim(one(id), address(0), "");
        vault.claim(one(id), OTHER, signature(ALICE_KEY, vault.claimDigest(one(id), OTHER)));
        eq(coin.balanceOf(OTHER), 40e6);
    }
}
