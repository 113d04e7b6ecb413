// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";
import {Setups} from "./support/Setups.sol";

/// @dev threat "request flood": somebody fills the queue
contract FloodTest is Fixture {
    uint64 private constant FLOOD = 10_000;
    address private constant STRANGER = address(0xF100D);

    /// @dev a withdrawal behind alice's and bob's deposits, then ten thousand deposits of a stranger
    function flood() private returns (uint64 id) {
        vm.prank(alice);
        id = vault.requestWithdraw(2, 5e6);
        token.mint(STRANGER, uint256(FLOOD) * MINIMUM);
        vm.prank(STRANGER);
        token.approve(address(vault), type(uint256).max);
        for (uint64 i = 0; i < FLOOD; ++i) {
            vm.prank(STRANGER);
            vault.deposit(2, MINIMUM); // anyone may pay in: no limit of open requests
        }
    }

    function test_ten_thousand_requests_stop_no_post_and_the_oldest_go_first() public {
        uint64 id = flood();
        vm.warp(START + DELAY + 1);
        refuse(ISettlementTypes.RequestOverdue.selector, 1, word(63, 0), bytes.concat(EMPTY, abi.encodePacked(uint64(5e6))));
        refuse(ISettlementTypes.BadQueue.selector, 1, word(65, 0), bytes.concat(EMPTY, abi.encodePacked(uint64(5e6))));
        post(word(64, 0), bytes.concat(EMPTY, abi.encodePacked(uint64(5e6))));
        eq(vault.request(id).aux, uint256(5e6) << 40 | 1);
        uint64 last = FLOOD + 3;
        eq(vault.reqHead(), last);
        uint64 posts = 1;
        while (vault.reqDone() < last) {
            uint64 upTo = vault.reqDone() + 64 < last ? vault.reqDone() + 64 : last;
            uint64 seq = vault.head() + 1;
            byKey(OPERATOR);
            vault.post(seq, 0, 0, Packed.h(upTo, 0, START + DELAY + 1, START + DELAY + 1, 0), EMPTY);
            ++posts;
        }
        eq(posts, 157); // 64 each, without a pause between them
        vm.warp(START + DELAY + 1 + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        vault.finalize(1, headers[1]);
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 5e6);
    }

    /// @dev every other kind needs an account of one's own for each open request
    function test_one_owner_cannot_flood_the_queue_with_requests() public {
        post(word(2, 0), EMPTY);
        vm.startPrank(alice);
        vault.requestWithdraw(2, 1);
        vault.cancelAll(2);
        vault.lockTrading(2);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 3));
        vault.requestWithdraw(2, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 4));
        vault.cancelAll(2);
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 5));
        vault.lockTrading(2);
        vm.stopPrank();
    }
}
