// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IAuthority} from "../src/interfaces/IAuthority.sol";
import {IForced} from "../src/interfaces/IForced.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Challenged} from "./support/Challenged.sol";
import {Packed} from "./support/Packed.sol";

/// @dev F2 without signatures: alice is long 10 lots at a mark of 100 USDC, bob is short; alice has 20 USDC left
contract ForcedTest is Challenged {
    struct Step {
        int128 cash;
        int64 lots;
        uint8 kind;
        uint8 by;
        uint32 instr;
        int64 pos;
        uint64 notional;
        int64 fee;
        uint64 mark;
    }

    uint32 private constant PERP = 0x80000001;
    IForced private forced;

    function setUp() public override {
        super.setUp();
        forced = IForced(address(vault));
    }

    // ------------------------------------------------------------------- steps

    /// @dev an order on the book: 4 of 10 lots at 98, with 1 USDC of fee
    function onBook() private pure returns (Step memory) {
        return Step(-980e6, 10, 2, 2, PERP, -4, 392e6, 1e6, 100e6);
    }

    /// @dev all 10 lots to bob; alice owes 50
    function deleveraging() private pure returns (Step memory) {
        return Step(-1_050e6, 10, 2, 4, PERP, -10, 1_050e6, 0, 100e6);
    }

    /// @dev the fund pays what alice owes
    function payment() private pure returns (Step memory) {
        return Step(-1_050e6, 10, 5, 5, 0, 0, 0, -50e6, 100e6);
    }

    function test_refuses_what_a_venue_may_not_do_on_the_book() public {
        Step memory s = onBook();
        s.kind = 3;
        refused(14, s);
        s = onBook();
        s.by = 5;
        refused(14, s);
        s = onBook();
        s.lots = 0;
        refused(15, s);
        s = onBook();
        (s.lots, s.cash) = (-10, 1_020e6);
        refused(15, s); // grows
        s = onBook();
        (s.pos, s.notional) = (-11, 1_100e6);
        refused(15, s); // changes its sign
        s = onBook();
        s.mark = 0;
        refused(16, s);
        s = onBook();
        s.notional = 380e6 - 6; // 5 % of 400 below it, a unit per lot and one more
        refused(17, s);
        s = onBook();
        s.fee = 9_800_001;
        refused(12, s);
        s = onBook();
        s.fee = -1;
        refused(12, s);
        s = onBook();
        s.cash = -750e6; // 250 of equity with 1,000 of notional
        refused(20, s);
    }

    function test_refuses_what_a_venue_may_not_let_others_pay() public {
        Step memory s = deleveraging();
        s.fee = 1;
        refused(12, s);
        s = deleveraging();
        (s.cash, s.notional) = (-980e6, 1_000e6 - 12);
        refused(17, s); // worse than the mark
        s = deleveraging();
        (s.cash, s.notional) = (-980e6, 1_000e6 + 12);
        refused(18, s); // better than the mark, for an account that is worth something
        s = deleveraging();
        s.notional = 1_050e6 + 20;
        refused(18, s);
        s = payment();
        s.fee = 1;
        refused(19, s);
        s = payment();
        (s.instr, s.pos) = (PERP, -1);
        refused(19, s);
        s = payment();
        s.fee = -50e6 - 20;
        refused(18, s);
    }

    function test_bounds_themselves_are_allowed() public {
        Step memory s = onBook();
        s.notional = 380e6 - 5;
        allowed(s);
        s = onBook();
        s.fee = 9_800_000;
        allowed(s);
        s = onBook();
        s.cash = -750e6 - 1;
        allowed(s);
        s = onBook();
        (s.lots, s.cash, s.pos, s.notional) = (-10, 1_020e6, 4, 420e6 + 5);
        allowed(s);
        s = deleveraging();
        (s.cash, s.notional) = (-980e6, 1_000e6 - 11);
        allowed(s);
        allowed(deleveraging());
        allowed(payment());
    }

    function test_refuses_a_liquidation_beside_a_deposit() public {
        Step memory s = onBook();
        open(s);
        fund(alice, 2, 50e6);
        uint64 seq = move(s, vault.reqHead());
        bytes32 id = ask(seq, 0, 0);
        IForced.ForcedProof memory proof = proofOf(seq, s);
        vm.expectRevert(notAuthorized(21));
        forced.answerForced(id, headers[seq], proof);
    }

    function test_refuses_proofs_of_something_else() public {
        Step memory s = onBook();
        uint64 seq = posted(s);
        IForced.ForcedProof memory proof = proofOf(seq, s);
        proof.leaf = leafBefore(alice, -979e6, 10);
        fails(ISettlementTypes.BadProof.selector, seq, proof);
        proof = proofOf(seq, s);
        proof.vector = vectorOf(101e6);
        fails(ISettlementTypes.BadProof.selector, seq, proof);
        proof = proofOf(seq, s);
        proof.data = EMPTY;
        fails(ISettlementTypes.BadProof.selector, seq, proof);
        proof = proofOf(seq, s);
        proof.previous = headers[seq];
        fails(ISettlementTypes.BadHeader.selector, seq, proof);
        proof = proofOf(seq, s);
        proof.firstLeaf = 1;
        fails(ISettlementTypes.BadLeaves.selector, seq, proof);
        proof = proofOf(seq, s);
        proof.rows = "";
        fails(ISettlementTypes.BadLeaves.selector, seq, proof);
        vm.expectRevert(ISettlementTypes.BadProof.selector);
        forced.showForced(seq, headers[seq], 2 + (1 << 20), proofOf(seq, s));
    }

    function test_refuses_leaves_that_are_not_the_delta() public {
        Step memory s = onBook();
        open(s);
        Step memory more = onBook();
        more.notional = 400e6;
        bytes32 left = keccak256(abi.encodePacked(rowOf(s)[0], uint32(2), tail(rowOf(s))));
        uint64 seq = postWith(h(more, 2), dataFor(more), left, givers(s));
        IForced.ForcedProof memory proof = proofOf(seq, s);
        proof.data = dataFor(more);
        fails(ISettlementTypes.NotTheDelta.selector, seq, proof);
    }

    function test_the_other_side_gives_way_once_the_account_is_on_record() public {
        Step memory s = deleveraging();
        uint64 seq = posted(s);
        vm.prank(ASKER);
        bytes32 id = IAuthority(address(vault)).challenge(seq, headers[seq], 3, 0, 0);
        IForced.DeleveragedProof memory proof = givingProof(s);
        vm.expectRevert(notAuthorized(22));
        forced.answerDeleveraged(id, headers[seq], proof);
        forced.showForced(seq, headers[seq], 2, proofOf(seq, s));
        yes(forced.forcedShown(vault.batchHash(seq), 2));
        proof.others = new IForced.Counterpart[](0);
        failsGiving(ISettlementTypes.BadLeaves.selector, id, seq, proof);
        proof = givingProof(s);
        proof.leaf = leafBefore(bob, 3_000e6, -9);
        failsGiving(ISettlementTypes.BadProof.selector, id, seq, proof);
        forced.answerDeleveraged(id, headers[seq], givingProof(s));
        yes(!authority.challengeOf(id).isOpen);
    }

    function test_a_liquidation_without_an_answer_is_slashed() public {
        Step memory s = onBook();
        s.notional = 200e6;
        uint64 seq = posted(s);
        bytes32 id = ask(seq, 0, 0);
        IForced.ForcedProof memory proof = proofOf(seq, s);
        vm.expectRevert(notAuthorized(17));
        forced.answerForced(id, headers[seq], proof);
        vm.warp(block.timestamp + 31);
        authority.slashUnanswered(id, headers[seq - 1], headers[seq]);
        eq(vault.head(), seq - 1);
        eq(vault.bond(), 0);
    }

    // ------------------------------------------------------------------- parts

    function refused(uint8 reason, Step memory s) private {
        uint64 seq = posted(s);
        bytes32 id = ask(seq, 0, 0);
        IForced.ForcedProof memory proof = proofOf(seq, s);
        vm.expectRevert(notAuthorized(reason));
        forced.answerForced(id, headers[seq], proof);
    }

    function allowed(Step memory s) private {
        uint64 seq = posted(s);
        bytes32 id = ask(seq, 0, 0);
        forced.answerForced(id, headers[seq], proofOf(seq, s));
        yes(!authority.challengeOf(id).isOpen);
    }

    function fails(bytes4 selector, uint64 seq, IForced.ForcedProof memory proof) private {
        vm.expectRevert(selector);
        forced.showForced(seq, headers[seq], 2, proof);
    }

    function failsGiving(bytes4 selector, bytes32 id, uint64 seq, IForced.DeleveragedProof memory proof) private {
        vm.expectRevert(selector);
        forced.answerDeleveraged(id, headers[seq], proof);
    }

    /// @dev a batch that leaves the two as the step finds them, then the round of its marks, then the step's batch
    function posted(Step memory s) private returns (uint64) {
        open(s);
        return move(s, vault.reqHead());
    }

    function open(Step memory s) private {
        vm.warp(block.timestamp + 1);
        uint64 seq = vault.head() + 1;
        IMarkets markets = IMarkets(address(vault));
        uint256 first = Packed.h(vault.reqHead(), markets.oracleHead(), vault.lastMatchTo(), block.timestamp, 0);
        postHeader(headerOf(seq, rootBefore(s), 0, first), EMPTY);
        uint64 round = markets.oracleHead() + 1;
        byKey(OPERATOR);
        markets.postOracle(round, vectorOf(s.mark), uint40(block.timestamp), "");
    }

    function move(Step memory s, uint256 upTo) private returns (uint64) {
        bytes memory row = rowOf(s);
        return postWith(h(s, upTo), dataFor(s), keccak256(abi.encodePacked(row[0], uint32(2), tail(row))), givers(s));
    }

    function h(Step memory s, uint256 upTo) private view returns (uint256) {
        return Packed.h(upTo, IMarkets(address(vault)).oracleHead(), vault.lastMatchTo(), block.timestamp, s.fee);
    }

    /// @dev a mark of 0 stands for a round that does not know the instrument
    function vectorOf(uint64 mark) private pure returns (bytes memory) {
        if (mark == 0) return hex"0000000000000000";
        return abi.encodePacked(uint16(0), uint16(1), uint32(0), PERP, mark, uint8(0), int64(0));
    }

    function leafBefore(address owner, int128 cash, int64 lots) private pure returns (bytes memory) {
        if (lots == 0) return abi.encodePacked(owner, cash);
        return abi.encodePacked(owner, cash, PERP, lots, int64(0));
    }

    function bobBefore(Step memory s) private view returns (bytes memory) {
        return leafBefore(bob, 3_000e6, -s.lots);
    }

    function rootBefore(Step memory s) private view returns (bytes32 node) {
        bytes32 empty = keccak256(abi.encode(0, 0));
        node = keccak256(abi.encode(keccak256(leafBefore(alice, s.cash, s.lots)), keccak256(bobBefore(s))));
        node = keccak256(abi.encode(empty, node));
        for (uint256 level = 2; level < 20; ++level) {
            empty = keccak256(abi.encode(empty, empty));
            node = keccak256(abi.encode(node, empty));
        }
    }

    function pathBeside(bytes memory leaf) private pure returns (bytes memory) {
        return siblings(keccak256(leaf));
    }

    function rowOf(Step memory s) private pure returns (bytes memory) {
        return abi.encodePacked(s.kind, s.instr, s.by, uint248(1), s.pos, s.notional, s.fee);
    }

    function giverRow(Step memory s) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(4), s.instr, s.by, uint248(1), -s.pos, s.notional, int64(0));
    }

    /// @dev bob's leaf
    function givers(Step memory s) private pure returns (bytes32) {
        bytes memory row = giverRow(s);
        return keccak256(abi.encodePacked(row[0], uint32(3), tail(row)));
    }

    function tail(bytes memory row) private pure returns (bytes memory out) {
        out = new bytes(60);
        for (uint256 i = 0; i < 60; ++i) out[i] = row[i + 1];
    }

    function dataFor(Step memory s) private pure returns (bytes memory) {
        int256 notional = int256(uint256(s.notional));
        int256 cash = (s.pos > 0 ? -notional : notional) - s.fee;
        bytes memory accounts = bytes.concat(Packed.account(2, cash), Packed.account(3, -cash - s.fee));
        if (s.pos == 0) return bytes.concat(Packed.head(0, 2), accounts);
        return bytes.concat(Packed.head(1, 2), accounts, Packed.pair(s.instr, s.pos, false));
    }

    function proofOf(uint64 seq, Step memory s) private view returns (IForced.ForcedProof memory proof) {
        proof.previous = headers[seq - 1];
        (proof.vector, proof.leaf) = (vectorOf(s.mark), leafBefore(alice, s.cash, s.lots));
        (proof.path, proof.rows) = (pathBeside(bobBefore(s)), rowOf(s));
        (proof.siblings, proof.data) = (siblings(givers(s)), dataFor(s));
    }

    function givingProof(Step memory s) private view returns (IForced.DeleveragedProof memory proof) {
        bytes memory row = rowOf(s);
        bytes32 other = keccak256(abi.encodePacked(row[0], uint32(2), tail(row)));
        (proof.leaf, proof.path) = (bobBefore(s), pathBeside(leafBefore(alice, s.cash, s.lots)));
        (proof.firstLeaf, proof.rows, proof.siblings) = (1, giverRow(s), siblings(other));
        proof.others = new IForced.Counterpart[](1);
        proof.others[0] = IForced.Counterpart(2, 0, 0);
        (proof.otherSiblings, proof.data) = (siblings(givers(s)), dataFor(s));
    }
}
