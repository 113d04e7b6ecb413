// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Authority} from "../src/Authority.sol";
import {Bonds} from "../src/Bonds.sol";
import {IAuthority} from "../src/interfaces/IAuthority.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {Setups} from "./support/Setups.sol";

/// @dev threats "operator self-challenges or late challenges delay finality" and "answer load", with the windows of real
/// money: a thousand challenges of one batch, all in the last second in which one can be made
contract ManyChallengesTest is Fixture {
    uint256 private constant MANY = 1_000;
    uint32 private constant FIRST = 4;
    address private constant ASKER = address(0xA5C);
    bytes32[] private ids;
    ISettlementTypes.Header private none;

    function setUp() public override {
        super.setUp();
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, part());
        (setup.finalityWindow, setup.finalityBlocks, setup.answerWindow) = (48 hours, 86_400, 24 hours);
        (setup.forceDelay, setup.escapeDelay, setup.freezeGap) = (24 hours, 72 hours, 6 hours);
        setup.timelockDelay = 10 days;
        vault = new Settlement(setup);
        token.mint(address(this), BOND);
        token.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
        for (uint256 i = 0; i < MANY + 2; ++i) {
            fund(alice, 0, MINIMUM);
        }
        token.mint(ASKER, MANY * vault.challengeBond());
        vm.prank(ASKER);
        token.approve(address(vault), type(uint256).max);
        post(word(0, 0), EMPTY);
        vm.warp(START + 48 hours - 1);
        for (uint32 i = 0; i < MANY; ++i) {
            vm.prank(ASKER);
            ids.push(authority().challenge(1, headers[1], FIRST + i - 1, 0, 0));
        }
    }

    function part() internal override returns (address) {
        return address(new Authority(address(new Bonds(address(0)))));
    }

    function authority() private view returns (IAuthority) {
        return IAuthority(address(vault));
    }

    function refusedFinal() private {
        vm.expectRevert(ISettlementTypes.ChallengeOpen.selector);
        vault.finalize(1, headers[1]);
    }

    /// @dev an answer per block of two seconds; final within 72 h of the batch, and each bond is the answerer's
    function test_a_thousand_late_challenges_are_answered_and_end_within_72_hours() public {
        vm.warp(START + 48 hours);
        vm.roll(block.number + 86_400);
        vm.expectRevert(ISettlementTypes.BadChallenge.selector);
        vm.prank(ASKER);
        authority().challenge(1, headers[1], 2, 0, 0);
        for (uint256 i = 0; i < MANY; ++i) {
            refusedFinal();
            vm.warp(START + 48 hours + 2 * i);
            authority().answer(ids[i], headers[1], emptyState(), new ISettlementTypes.OrderEvidence[](0), "", EMPTY);
        }
        yes(vm.getBlockTimestamp() < START + 72 hours);
        vault.finalize(1, headers[1]);
        eq(vault.credit(address(this)), MANY * vault.challengeBond());
    }

    /// @dev silence: the last answer is due 72 h behind the batch, and from then on anyone ends it
    function test_a_thousand_unanswered_challenges_end_after_72_hours_by_one_call() public {
        vm.warp(START + 72 hours - 1);
        vm.roll(block.number + 86_400);
        vm.expectRevert(ISettlementTypes.NotOpen.selector);
        authority().slashUnanswered(ids[MANY - 1], none, headers[1]);
        refusedFinal();
        vm.warp(START + 72 hours);
        authority().slashUnanswered(ids[MANY - 1], none, headers[1]);
        eq(vault.head(), 0);
        for (uint256 i = 0; i + 1 < MANY; ++i) {
            authority().refundChallenge(ids[i]);
        }
        eq(vault.credit(ASKER), MANY * vault.challengeBond() + BOND / 2);
    }

    function emptyState() private pure returns (ISettlementTypes.AnswerState memory state) {}
}
