// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {INotices} from "../src/interfaces/INotices.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../src/Markets.sol";
import {Notices} from "../src/Notices.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {RevertPart} from "./support/RevertPart.sol";
import {Setups} from "./support/Setups.sol";

/// @dev threat "guardian or timelock abuse": what the timelock changes, everybody could leave before
contract NoticesTest is Fixture {
    uint40 private constant DELAY_OF_LOCK = Setups.TIMELOCK_DELAY;
    address private constant NEXT = address(0x5EC0);

    function part() internal override returns (address) {
        return address(new RevertPart(address(new Bonds(address(new Markets(address(new Notices(address(0)))))))));
    }

    function notices() private view returns (INotices) {
        return INotices(address(vault));
    }

    function registering() private view returns (bytes memory) {
        return abi.encodeCall(bonds().registerSuccessor, (NEXT));
    }

    function announce(bytes memory call) private returns (bytes32 callHash) {
        vm.prank(TIMELOCK);
        return notices().announce(call);
    }

    function register() private {
        vm.prank(TIMELOCK);
        bonds().registerSuccessor(NEXT);
    }

    function refusedRegister(bytes memory fault) private {
        vm.expectRevert(fault);
        register();
    }

    function early(uint256 time, uint256 blockNumber) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlementTypes.NoticeTooEarly.selector, time, blockNumber);
    }

    function code(bytes4 selector) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    function test_refuses_a_delay_that_an_exit_can_outlast() public {
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, part());
        uint40[5] memory longer = [setup.escapeDelay, setup.freezeGap, setup.finalityWindow, setup.answerWindow, 72 hours];
        uint256 exit;
        for (uint256 i = 0; i < longer.length; ++i) {
            exit += longer[i];
        }
        eq(setup.timelockDelay, exit);
        new Settlement(setup);
        setup.timelockDelay = uint40(exit) - 1;
        vm.expectRevert(ISettlementTypes.BadParameter.selector);
        new Settlement(setup);
        setup.timelockDelay = 90 days + 1;
        vm.expectRevert(ISettlementTypes.BadParameter.selector);
        new Settlement(setup);
    }

    function test_nobody_else_announces_or_takes_back() public {
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        notices().announce(registering());
        bytes32 callHash = announce(registering());
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        notices().withdrawNotice(callHash);
    }

    function test_refuses_every_call_that_was_not_announced() public {
        bytes[4] memory calls = [
            registering(),
            abi.encodeCall(bonds().removeSuccessor, (NEXT)),
            abi.encodeCall(bonds().rotateOperator, ()),
            abi.encodeCall(IMarkets.setFeedSigner, (NEXT, true))
        ];
        announce(abi.encodeCall(bonds().registerSuccessor, (alice))); // another one
        vm.warp(START + DELAY_OF_LOCK);
        vm.roll(block.number + Setups.BLOCKS);
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(TIMELOCK);
            (bool ok, bytes memory fault) = address(vault).call(calls[i]);
            yes(!ok);
            eq(keccak256(fault), keccak256(code(ISettlementTypes.NotAnnounced.selector)));
        }
    }

    function test_an_announcement_is_early_for_time_and_for_blocks() public {
        uint256 fromBlock = block.number + Setups.BLOCKS;
        bytes32 callHash = announce(registering());
        (uint40 from, uint64 fromBlock_) = notices().noticeFrom(callHash);
        eq(from, START + DELAY_OF_LOCK);
        eq(fromBlock_, fromBlock);
        refusedRegister(early(from, fromBlock));
        vm.warp(from - 1);
        vm.roll(fromBlock);
        refusedRegister(early(from, fromBlock));
        vm.warp(from);
        vm.roll(fromBlock - 1);
        refusedRegister(early(from, fromBlock));
        vm.roll(fromBlock);
        register();
        eq(vault.successors().length, 1);
    }

    function test_an_announcement_serves_once_lapses_and_can_be_taken_back() public {
        vm.roll(100);
        bytes32 callHash = announce(registering());
        vm.roll(200);
        vm.warp(START + DELAY_OF_LOCK + 14 days);
        refusedRegister(code(ISettlementTypes.NotAnnounced.selector));
        (uint40 from,) = notices().noticeFrom(callHash);
        eq(from, 0);
        announce(registering());
        vm.prank(TIMELOCK);
        notices().withdrawNotice(callHash);
        vm.expectRevert(ISettlementTypes.NotAnnounced.selector);
        vm.prank(TIMELOCK);
        notices().withdrawNotice(callHash);
        ripen(registering());
        register();
        refusedRegister(code(ISettlementTypes.NotAnnounced.selector));
    }

    function test_announcing_again_begins_anew() public {
        announce(registering());
        vm.warp(START + DELAY_OF_LOCK - 1);
        announce(registering());
        vm.warp(START + DELAY_OF_LOCK);
        refusedRegister(early(START + 2 * DELAY_OF_LOCK - 1, block.number + Setups.BLOCKS));
    }

    function test_a_revert_begins_the_notice_anew() public {
        vm.roll(100);
        announce(registering());
        post(word(2, 0), EMPTY);
        vm.warp(START + 50);
        RevertPart(address(vault)).accuse(1, headers[0], headers[1]);
        vm.roll(200);
        vm.warp(START + DELAY_OF_LOCK);
        refusedRegister(early(START + 50 + DELAY_OF_LOCK, 100 + Setups.BLOCKS));
        vm.warp(START + 50 + DELAY_OF_LOCK);
        register();
    }

    function test_before_the_first_account_nobody_is_told() public {
        vault = deploy(address(token));
        register();
        eq(vault.successors().length, 1);
    }

    function test_a_new_asset_needs_no_announcement_and_changes_none() public {
        ISettlementTypes.AssetRow memory row = ISettlementTypes.AssetRow(true, true, 1, 1e15, 100, 1);
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(NEXT, row);
        vm.expectRevert(ISettlementTypes.BadAsset.selector);
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(NEXT, row);
    }

    /// @dev the slowest honest path: the operator waits as long as he may without a freeze, the last challenge is
    /// answered at its end, the outflow limit is used up by others until it no longer counts
    function test_who_asks_at_the_announcement_is_out_before_the_change() public {
        fund(alice, 2, 20_000_000e6);
        vm.roll(100);
        vm.prank(alice);
        uint64 id = vault.requestWithdraw(2, 11_000_000e6);
        announce(registering());
        vm.warp(START + Setups.ESCAPE + Setups.GAP);
        postApproval(11_000_000e6);
        vm.warp(START + Setups.ESCAPE + Setups.GAP + WINDOW + 30);
        vm.roll(100 + Setups.BLOCKS);
        vault.finalize(1, headers[1]);
        vm.expectRevert(ISettlementTypes.OutflowLimit.selector);
        vault.claim(one(id), address(0), "");
        vm.warp(START + DELAY_OF_LOCK - 1);
        refusedRegister(early(START + DELAY_OF_LOCK, 100 + Setups.BLOCKS));
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(alice), 11_000_000e6);
        vm.warp(START + DELAY_OF_LOCK);
        register();
    }

    function testFuzz_no_delay_below_the_exit_is_accepted(uint40 escape, uint40 gap, uint40 window, uint40 answer, uint40 delay)
        public
    {
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, part());
        setup.escapeDelay = uint40(within(escape, DELAY + 1, 30 days));
        setup.freezeGap = uint40(within(gap, 1, 7 days));
        setup.finalityWindow = uint40(within(window, 1, 30 days));
        setup.answerWindow = uint40(within(answer, 1, 7 days));
        setup.timelockDelay = delay;
        uint256 exit = uint256(setup.escapeDelay) + setup.freezeGap + setup.finalityWindow + setup.answerWindow + 72 hours;
        bool fits = delay >= exit && delay <= 90 days;
        try new Settlement(setup) {
            yes(fits);
        } catch {
            yes(!fits);
        }
    }
}
