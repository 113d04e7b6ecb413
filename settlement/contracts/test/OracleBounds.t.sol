// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {Disputes} from "../src/Disputes.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {IOracleBounds} from "../src/interfaces/IOracleBounds.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../src/Markets.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";

/// @dev F4. Batch 1 begins with round 1, batch 2 nine seconds later with round 2: ten seconds count. The underlying is
/// at 50,000 USDC, a lot of the perpetual is 0.002 of it, a lot of the option, a call at 100,000, is 0.01.
contract OracleBoundsTest is Fixture {
    uint32 private constant OPTION = 1;
    uint32 private constant PERP = 0x80000001;
    address private constant OPTIONS = address(0x0771);
    address private constant PERPS = address(0x9E49);
    uint40 private constant EXPIRY = 1_900_000_000;
    uint96 private constant CALL = (1 << 95) | (100_000e8 << 32) | EXPIRY;
    uint64 private constant INDEX = 50_000e6;
    /// @dev 50,000.000001 x 0.002 USDC x 10 ppm x 10 s, in 1e-12 USDC
    int64 private constant MOST_FUNDING = 10_000_000_000;
    IOracleBounds private disputes;
    bytes private holderLeaf;

    /// @dev a vector: rows of OPTION, of PERP, of the index and of the expiry, each left out where its flag is off
    struct Rows {
        bool hasOption;
        uint64 option;
        uint8 settled;
        bool hasPerp;
        int64 fundIdx;
        uint64 index;
        uint64 settlement;
    }

    function setUp() public override {
        super.setUp();
        disputes = IOracleBounds(address(vault));
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(OPTIONS, ISettlementTypes.AssetRow(true, false, 1, 1e16, 10, 1));
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 2e15, 100, 1));
        list(OPTION, OPTIONS, CALL);
        list(PERP, PERPS, 0);
    }

    function part() internal override returns (address) {
        return address(new Disputes(address(new Bonds(address(new Markets(address(0)))))));
    }

    function list(uint32 id, address asset, uint96 subId) private {
        uint32[] memory ids = new uint32[](1);
        address[] memory assets = new address[](1);
        uint96[] memory subIds = new uint96[](1);
        (ids[0], assets[0], subIds[0]) = (id, asset, subId);
        vm.prank(OPERATOR);
        IMarkets(address(vault)).listInstruments(ids, assets, subIds);
    }

    // -------------------------------------------------------------------- rounds

    function usual() private pure returns (Rows memory) {
        return Rows(true, 10e6, 0, true, 0, INDEX, 0);
    }

    function encoded(Rows memory r) private pure returns (bytes memory out) {
        out = abi.encodePacked(
            uint16(r.hasOption ? 1 : 0),
            uint16(r.hasPerp ? 1 : 0),
            uint16(r.index == 0 ? 0 : 1),
            uint16(r.settlement == 0 ? 0 : 1)
        );
        if (r.hasOption) out = bytes.concat(out, abi.encodePacked(OPTION, r.option, r.settled));
        if (r.hasPerp) out = bytes.concat(out, abi.encodePacked(PERP, uint64(100e6), uint8(0), r.fundIdx));
        if (r.index != 0) out = bytes.concat(out, abi.encodePacked(uint32(1), r.index));
        if (r.settlement != 0) out = bytes.concat(out, abi.encodePacked(uint32(1), EXPIRY, r.settlement));
    }

    function publish(uint64 round, Rows memory rows) private {
        byKey(OPERATOR);
        IMarkets(address(vault)).postOracle(round, encoded(rows), uint40(block.timestamp), "");
    }

    function postWith(uint64 round, bytes32 root) private {
        uint256 h = Packed.h(2, round, block.timestamp, block.timestamp, 0);
        postHeader(headerOf(vault.head() + 1, root, 0, h), EMPTY);
    }

    /// @dev behind batch 1 the tree has the leaf of account 2 alone
    function postTwo(Rows memory before, Rows memory after_) private {
        publish(1, before);
        postWith(1, rootOf(holderLeaf));
        vm.warp(block.timestamp + 9);
        publish(2, after_);
        postWith(2, keccak256("second"));
    }

    function path() private pure returns (bytes memory out) {
        bytes32 empty;
        for (uint256 level = 0; level < 20; ++level) {
            out = bytes.concat(out, empty);
            empty = keccak256(abi.encode(empty, empty));
        }
    }

    function rootOf(bytes memory raw) private pure returns (bytes32 node) {
        bytes32 empty;
        node = raw.length == 0 ? bytes32(0) : keccak256(raw);
        for (uint256 level = 0; level < 20; ++level) {
            node = level == 1 ? keccak256(abi.encode(empty, node)) : keccak256(abi.encode(node, empty));
            empty = keccak256(abi.encode(empty, empty));
        }
    }

    // -------------------------------------------------------------------- proofs

    function proofOf(uint32 instr, Rows memory before, Rows memory after_)
        private
        view
        returns (IOracleBounds.BoundProof memory proof)
    {
        (proof.instr, proof.before, proof.after_) = (instr, encoded(before), encoded(after_));
        proof.spec = instr == PERP
            ? ISettlementTypes.InstrumentSpec(PERPS, 0, true, false, 1, 0, 0, 2e15, 100, 1)
            : ISettlementTypes.InstrumentSpec(OPTIONS, CALL, false, true, 1, EXPIRY, 100_000e8, 1e16, 10, 1);
        (proof.holder, proof.leaf, proof.path) = (2, holderLeaf, path());
    }

    function prove(IOracleBounds.BoundProof memory proof, bytes4 refusal) private {
        if (refusal != 0) vm.expectRevert(refusal);
        vm.prank(bob);
        disputes.proveOracleBound(2, headers[1], headers[2], proof);
    }

    function honest(uint32 instr, Rows memory before, Rows memory after_) private {
        postTwo(before, after_);
        prove(proofOf(instr, before, after_), ISettlementTypes.NoFraud.selector);
    }

    function fraud(uint32 instr, Rows memory before, Rows memory after_) private {
        postTwo(before, after_);
        prove(proofOf(instr, before, after_), 0);
        eq(vault.head(), 1);
        eq(vault.credit(bob), BOND / 2);
    }

    // ------------------------------------------------------------------- refusals

    function test_refuses_what_is_not_pinned() public {
        Rows memory wrong = usual();
        wrong.fundIdx = MOST_FUNDING * 2;
        postTwo(usual(), wrong);
        IOracleBounds.BoundProof memory proof = proofOf(PERP, usual(), usual());
        prove(proof, ISettlementTypes.BadProof.selector);
        proof = proofOf(PERP, wrong, wrong);
        prove(proof, ISettlementTypes.BadProof.selector);
        proof = proofOf(PERP, usual(), wrong);
        proof.spec.lotE18 = 1;
        prove(proof, ISettlementTypes.BadInstrument.selector);
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        disputes.proveOracleBound(2, headers[2], headers[2], proof);
        finalizeAll();
        prove(proofOf(PERP, usual(), wrong), ISettlementTypes.NotDisputable.selector);
    }

    function test_the_first_round_has_none_before_it() public {
        publish(1, usual());
        postWith(1, keccak256("first"));
        IOracleBounds.BoundProof memory proof = proofOf(0, usual(), usual());
        vm.expectRevert(ISettlementTypes.NoFraud.selector);
        disputes.proveOracleBound(1, headers[0], headers[1], proof);
        postWith(1, keccak256("second"));
        prove(proof, ISettlementTypes.NoFraud.selector);
    }

    function test_round_zero_bounds_nothing() public {
        postWith(0, keccak256("first"));
        publish(1, usual());
        postWith(1, keccak256("second"));
        prove(proofOf(0, usual(), usual()), ISettlementTypes.NoFraud.selector);
    }

    // --------------------------------------------------------------------- prices

    function test_an_index_may_move_up_to_its_bound() public {
        Rows memory after_ = usual();
        after_.index = INDEX + INDEX * 12 / 100;
        honest(0, usual(), after_);
    }

    /// @dev threat "oracle manipulation"
    function test_an_index_that_jumps_is_reverted() public {
        Rows memory after_ = usual();
        after_.index = INDEX + INDEX * 12 / 100 + 1;
        fraud(0, usual(), after_);
    }

    function test_an_index_that_falls_is_reverted() public {
        Rows memory after_ = usual();
        after_.index = INDEX - INDEX * 12 / 100 - 1;
        fraud(0, usual(), after_);
    }

    function test_an_index_that_is_gone_is_reverted() public {
        Rows memory after_ = usual();
        after_.index = 0;
        fraud(0, usual(), after_);
    }

    function test_a_new_index_is_free() public {
        Rows memory before = usual();
        before.index = 0;
        honest(0, before, usual());
    }

    // -------------------------------------------------------------------- funding

    function test_funding_may_move_up_to_its_bound() public {
        Rows memory after_ = usual();
        after_.fundIdx = MOST_FUNDING;
        honest(PERP, usual(), after_);
    }

    function test_funding_that_jumps_is_reverted() public {
        Rows memory after_ = usual();
        after_.fundIdx = MOST_FUNDING + 1;
        fraud(PERP, usual(), after_);
    }

    function test_funding_that_jumps_back_is_reverted() public {
        Rows memory after_ = usual();
        after_.fundIdx = -MOST_FUNDING - 1;
        fraud(PERP, usual(), after_);
    }

    function test_the_higher_price_counts() public {
        Rows memory before = usual();
        before.index = INDEX * 110 / 100;
        Rows memory after_ = usual();
        after_.fundIdx = MOST_FUNDING * 110 / 100;
        honest(PERP, before, after_);
    }

    function test_a_first_index_counts_from_zero() public {
        Rows memory before = usual();
        before.hasPerp = false;
        Rows memory after_ = usual();
        after_.fundIdx = MOST_FUNDING + 1;
        fraud(PERP, before, after_);
    }

    function test_funding_without_a_price_is_reverted() public {
        Rows memory after_ = usual();
        (after_.index, after_.fundIdx) = (0, 1);
        fraud(PERP, usual(), after_);
    }

    function test_no_funding_needs_no_price() public {
        Rows memory after_ = usual();
        after_.index = 0;
        honest(PERP, usual(), after_);
    }

    function test_a_charged_perpetual_that_is_gone_is_reverted() public {
        Rows memory before = usual();
        before.fundIdx = 1;
        Rows memory after_ = usual();
        after_.hasPerp = false;
        fraud(PERP, before, after_);
    }

    function test_a_perpetual_never_charged_may_go() public {
        Rows memory after_ = usual();
        after_.hasPerp = false;
        honest(PERP, usual(), after_);
    }

    // -------------------------------------------------------------------- payoffs

    function settled(uint64 payoff, uint64 price) private pure returns (Rows memory after_) {
        after_ = usual();
        (after_.settled, after_.option, after_.settlement) = (1, payoff, price);
    }

    function test_a_payoff_follows_from_the_settlement_price() public {
        // (102,999.999999 - 100,000) x 0.01, and up to a unit of the price more
        honest(OPTION, usual(), settled(29_999_999_990_000, 102_999_999_999));
        prove(proofOf(OPTION, usual(), settled(29_999_999_990_000, 102_999_999_999)), ISettlementTypes.NoFraud.selector);
    }

    function test_the_unit_of_the_price_is_the_exchanges() public {
        honest(OPTION, usual(), settled(30_000_000_000_000, 102_999_999_999));
    }

    function test_a_payoff_above_is_reverted() public {
        fraud(OPTION, usual(), settled(30_000_000_000_001, 102_999_999_999));
    }

    function test_a_payoff_below_is_reverted() public {
        fraud(OPTION, usual(), settled(29_999_999_989_999, 102_999_999_999));
    }

    function test_a_payoff_without_settlement_price_is_reverted() public {
        fraud(OPTION, usual(), settled(0, 0));
    }

    function test_out_of_the_money_pays_nothing() public {
        honest(OPTION, usual(), settled(0, 99_000e6));
    }

    function test_out_of_the_money_pays_not_one_unit() public {
        fraud(OPTION, usual(), settled(1, 99_000e6));
    }

    function test_a_payoff_that_changes_is_reverted() public {
        fraud(OPTION, settled(30e12, 103_000e6), settled(30e12 + 1, 103_000e6));
    }

    function test_a_settled_option_that_lives_again_is_reverted() public {
        Rows memory after_ = usual();
        after_.option = 30e12;
        fraud(OPTION, settled(30e12, 103_000e6), after_);
    }

    function test_a_payoff_that_stays_is_honest() public {
        honest(OPTION, settled(30e12, 103_000e6), settled(30e12, 103_000e6));
    }

    // --------------------------------------------------------------- settled rows

    /// @dev threat "oracle vector not published, row dropped"
    function dropped(uint32 held) private returns (IOracleBounds.BoundProof memory proof) {
        holderLeaf = abi.encodePacked(alice, int128(5), held, int64(-3));
        Rows memory after_ = usual();
        after_.hasOption = false;
        postTwo(settled(30e12, 103_000e6), after_);
        proof = proofOf(OPTION, settled(30e12, 103_000e6), after_);
    }

    function test_a_settled_row_gone_with_a_holder_is_reverted() public {
        IOracleBounds.BoundProof memory proof = dropped(OPTION);
        proof.holder = 3;
        prove(proof, ISettlementTypes.BadProof.selector);
        (proof.holder, proof.leaf[40]) = (2, 0x01);
        prove(proof, ISettlementTypes.BadProof.selector);
        proof.leaf = holderLeaf;
        prove(proof, 0);
        eq(vault.head(), 1);
    }

    function test_a_settled_row_that_nobody_holds_may_go() public {
        prove(dropped(OPTION + 1), ISettlementTypes.NoFraud.selector);
    }
}
