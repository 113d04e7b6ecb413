// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {Disputes} from "../src/Disputes.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {IRefusals} from "../src/interfaces/IRefusals.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../src/Markets.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";

/// @dev F5. Alice is account 2; `cash` and `entries` are her leaf behind batch 1, and she asks for 100 USDC in batch 2.
/// One lot of the perpetual is at 100 USDC, one of the option at 10; the index is 50,000, so that a lot of the option
/// (0.01) needs 20 % of 500 + 10 when it is short.
contract RefusalsTest is Fixture {
    uint32 private constant OPTION = 1;
    uint32 private constant PERP = 0x80000001;
    address private constant OPTIONS = address(0x0771);
    address private constant PERPS = address(0x9E49);
    uint96 private constant CALL = (1 << 95) | (100_000e8 << 32) | 1_900_000_000;
    uint64 private constant ASKED = 100e6;
    IRefusals private disputes;
    bytes private leaf;
    bytes private vector;
    uint64 private request;

    function setUp() public override {
        super.setUp();
        disputes = IRefusals(address(vault));
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

    // ---------------------------------------------------------------- a market

    function optionRow(uint64 mark, uint8 settled) private pure returns (bytes memory) {
        return abi.encodePacked(OPTION, mark, settled);
    }

    function perpRow(uint64 mark, int64 index) private pure returns (bytes memory) {
        return abi.encodePacked(PERP, mark, uint8(0), index);
    }

    function rows(bytes memory option, bytes memory perp, uint64 index) private pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            uint16(option.length / 13), uint16(perp.length / 21), uint16(index == 0 ? 0 : 1), uint16(0)
        );
        bytes memory price = index == 0 ? bytes("") : abi.encodePacked(uint32(1), index);
        return bytes.concat(head, option, perp, price);
    }

    function usual() private pure returns (bytes memory) {
        return rows(optionRow(10e6, 0), perpRow(100e6, 0), 50_000e6);
    }

    function held(uint32 instr, int64 lots) private pure returns (bytes memory) {
        return instr >> 31 == 1 ? abi.encodePacked(instr, lots, int64(0)) : abi.encodePacked(instr, lots);
    }

    // ------------------------------------------------------------------ a batch

    /// @dev siblings of leaf 2 in a tree without other leaves
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

    /// @dev batch 1 leaves Alice with `cash` and `entries`; batch 2 begins with `round` and approves `approved` of 100
    function refusedWith(int128 cash, bytes memory entries, bytes memory round, uint64 approved) private {
        leaf = abi.encodePacked(alice, cash, entries);
        vector = round;
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(approved)));
    }

    function postSecond(bytes memory data) private {
        uint64 number = vector.length == 0 ? 0 : 1;
        if (number == 1) byKey(OPERATOR);
        if (number == 1) IMarkets(address(vault)).postOracle(1, vector, uint40(block.timestamp), "");
        uint256 h = Packed.h(vault.reqHead(), number, block.timestamp, block.timestamp, 0);
        postHeader(headerOf(2, keccak256("second"), 0, h), data);
    }

    // ------------------------------------------------------------------ a proof

    function spec(uint32 instr) private pure returns (ISettlementTypes.InstrumentSpec memory) {
        return instr == PERP
            ? ISettlementTypes.InstrumentSpec(PERPS, 0, true, false, 1, 0, 0, 2e15, 100, 1)
            : ISettlementTypes.InstrumentSpec(OPTIONS, CALL, false, true, 1, 1_900_000_000, 100_000e8, 1e16, 10, 1);
    }

    /// @param first,second instruments whose specs are shown, 0 = none
    function proofOf(uint32 first, uint32 second) private view returns (IRefusals.RefusalProof memory proof) {
        (proof.id, proof.vector, proof.leaf, proof.path) = (request, vector, leaf, path());
        proof.specs = new ISettlementTypes.InstrumentSpec[](second != 0 ? 2 : first != 0 ? 1 : 0);
        if (first != 0) proof.specs[0] = spec(first);
        if (second != 0) proof.specs[1] = spec(second);
    }

    function prove(IRefusals.RefusalProof memory proof, bytes4 refusal) private {
        if (refusal != 0) vm.expectRevert(refusal);
        vm.prank(bob);
        disputes.proveWrongRefusal(2, headers[1], headers[2], proof);
    }

    function honest(int128 cash, bytes memory entries, bytes memory round, uint32 first, uint32 second) private {
        refusedWith(cash, entries, round, 0);
        prove(proofOf(first, second), ISettlementTypes.NoFraud.selector);
    }

    function fraud(int128 cash, bytes memory entries, bytes memory round, uint32 first, uint32 second) private {
        refusedWith(cash, entries, round, 0);
        prove(proofOf(first, second), 0);
        eq(vault.head(), 1);
        eq(vault.credit(bob), BOND / 2);
    }

    // ----------------------------------------------------------------- refusals

    function test_refuses_requests_that_are_no_refusal_of_this_batch() public {
        refusedWith(1_000e6, "", "", 0);
        IRefusals.RefusalProof memory proof = proofOf(0, 0);
        uint64[3] memory others = [request + 1, 1, 0];
        for (uint256 i = 0; i < 3; ++i) {
            proof.id = others[i];
            prove(proof, ISettlementTypes.NotRefused.selector);
        }
    }

    function test_refuses_a_deposit_and_a_whole_approval() public {
        leaf = abi.encodePacked(alice, int128(1_000e6));
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        fund(alice, 2, 10e6);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(ASKED)));
        IRefusals.RefusalProof memory proof = proofOf(0, 0);
        prove(proof, ISettlementTypes.NotRefused.selector);
        proof.id = request - 1;
        prove(proof, ISettlementTypes.NotRefused.selector);
    }

    function test_refuses_what_is_not_pinned() public {
        refusedWith(1_000e6, held(PERP, 3), usual(), 0);
        IRefusals.RefusalProof memory proof = proofOf(PERP, 0);
        proof.vector[20] ^= 0x01;
        prove(proof, ISettlementTypes.BadProof.selector);
        proof = proofOf(PERP, 0);
        proof.leaf[30] ^= 0x01;
        prove(proof, ISettlementTypes.BadProof.selector);
        proof = proofOf(PERP, 0);
        proof.path = bytes.concat(proof.path, bytes32(0));
        prove(proof, ISettlementTypes.BadProof.selector);
        prove(proofOf(0, 0), ISettlementTypes.BadProof.selector);
        prove(proofOf(OPTION, 0), ISettlementTypes.BadInstrument.selector);
        proof = proofOf(PERP, 0);
        proof.specs[0].class = 2;
        prove(proof, ISettlementTypes.BadInstrument.selector);
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        disputes.proveWrongRefusal(2, headers[2], headers[2], proof);
    }

    function test_refuses_a_final_batch() public {
        refusedWith(1_000e6, "", "", 0);
        finalizeAll();
        prove(proofOf(0, 0), ISettlementTypes.NotDisputable.selector);
    }

    function test_refuses_a_vector_where_the_batch_has_no_round() public {
        refusedWith(1_000e6, "", "", 0);
        IRefusals.RefusalProof memory proof = proofOf(0, 0);
        proof.vector = usual();
        prove(proof, ISettlementTypes.BadProof.selector);
    }

    // -------------------------------------------------------------- the boundary

    /// @dev threat "withdrawal consumed with approved = 0 for ever"
    function test_cash_that_is_there_is_not_refused() public {
        fraud(1, "", "", 0, 0);
    }

    function test_no_cash_is_an_honest_refusal() public {
        honest(0, "", "", 0, 0);
    }

    function test_debt_is_an_honest_refusal() public {
        honest(-1, "", "", 0, 0);
    }

    function test_a_part_may_be_refused_when_it_is_not_there() public {
        refusedWith(60e6, "", "", 60e6);
        prove(proofOf(0, 0), ISettlementTypes.NoFraud.selector);
    }

    function test_a_part_that_is_there_is_not_refused() public {
        refusedWith(60e6, "", "", 60e6 - 1);
        prove(proofOf(0, 0), 0);
        eq(vault.head(), 1);
    }

    function test_a_perpetual_needs_a_quarter_of_its_notional() public {
        // 3 lots: worth 300, need 75 and a quarter of a unit per lot
        honest(-300e6 + 75e6 + 1, held(PERP, 3), usual(), PERP, 0);
    }

    function test_above_a_quarter_is_not_refused() public {
        fraud(-300e6 + 75e6 + 2, held(PERP, 3), usual(), PERP, 0);
    }

    function test_a_short_perpetual_counts_a_unit_more_per_lot() public {
        honest(300e6 + 3 + 75e6 + 1, held(PERP, -3), usual(), PERP, 0);
    }

    function test_above_the_need_of_a_short_perpetual_is_not_refused() public {
        fraud(300e6 + 3 + 75e6 + 2, held(PERP, -3), usual(), PERP, 0);
    }

    function test_a_short_option_needs_a_fifth_of_index_and_mark() public {
        honest(10e6 + 1 + 102e6 + 1, held(OPTION, -1), usual(), OPTION, 0);
    }

    function test_above_the_need_of_a_short_option_is_not_refused() public {
        fraud(10e6 + 1 + 102e6 + 2, held(OPTION, -1), usual(), OPTION, 0);
    }

    function test_a_long_option_is_worth_nothing() public {
        honest(1, held(OPTION, 5), usual(), 0, 0);
    }

    function test_cash_beside_a_long_option_is_not_refused() public {
        fraud(2, held(OPTION, 5), usual(), 0, 0);
    }

    function test_positions_add_up() public {
        bytes memory both = bytes.concat(held(OPTION, -1), held(PERP, 3));
        fraud(10e6 + 1 + 102e6 + 1 - 300e6 + 75e6 + 2, both, usual(), OPTION, PERP);
    }

    // ------------------------------------------------------- funding and payoffs

    function test_funding_is_paid_first() public {
        // 3 lots x 1 USDC
        honest(-300e6 + 75e6 + 1 + 3e6, held(PERP, 3), rows("", perpRow(100e6, 1e12), 0), PERP, 0);
    }

    function test_funding_that_was_received_counts() public {
        fraud(-300e6 + 75e6 + 2 - 3e6, held(PERP, 3), rows("", perpRow(100e6, -1e12), 0), PERP, 0);
    }

    function test_a_payoff_is_cash() public {
        // 5 lots at 2.000001 USDC, rounded down, and no bound any more
        fraud(-10e6 - 4, held(OPTION, 5), rows(optionRow(2_000_001_000_000, 1), "", 0), 0, 0);
    }

    function test_a_payoff_is_not_more_than_it_is() public {
        honest(-10e6 - 5, held(OPTION, 5), rows(optionRow(2_000_001_000_000, 1), "", 0), 0, 0);
    }

    // ------------------------------------------------------ what cannot be judged

    function test_a_perpetual_without_mark_cannot_be_judged() public {
        honest(1_000e6, held(PERP, 3), rows("", perpRow(0, 0), 50_000e6), PERP, 0);
    }

    function test_a_perpetual_without_row_cannot_be_judged() public {
        honest(1_000e6, held(PERP, 3), rows("", "", 50_000e6), PERP, 0);
    }

    function test_a_short_option_without_row_cannot_be_judged() public {
        honest(1_000e6, held(OPTION, -1), rows("", "", 50_000e6), OPTION, 0);
    }

    function test_a_short_option_without_index_cannot_be_judged() public {
        honest(1_000e6, held(OPTION, -1), rows(optionRow(10e6, 0), "", 0), OPTION, 0);
    }

    function test_no_round_leaves_positions_unjudged() public {
        honest(1_000e6, held(PERP, 3), "", PERP, 0);
    }

    // --------------------------------------------------- requests of the same batch

    function test_an_earlier_deposit_of_the_batch_counts() public {
        leaf = abi.encodePacked(alice, int128(-20e6));
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        fund(alice, 2, 20e6 + 1);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(uint64(0))));
        prove(proofOf(0, 0), 0);
        eq(vault.head(), 1);
    }

    function test_a_later_deposit_does_not_count() public {
        leaf = abi.encodePacked(alice, int128(0));
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        fund(alice, 2, 20e6);
        fund(bob, 3, 20e6);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(uint64(0))));
        prove(proofOf(0, 0), ISettlementTypes.NoFraud.selector);
    }

    /// @dev a bankrupt account owes what others could take: the contract has no more than it has
    function test_an_empty_vault_is_an_honest_refusal() public {
        leaf = abi.encodePacked(alice, int128(1_000e6));
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        vm.prank(bob);
        vault.requestWithdraw(3, 2_000e6);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(uint64(2_000e6), uint64(0))));
        prove(proofOf(0, 0), ISettlementTypes.NoFraud.selector);
    }

    function test_the_last_unit_of_the_vault_is_not_refused() public {
        leaf = abi.encodePacked(alice, int128(1_000e6));
        postHeader(headerOf(1, rootOf(leaf), 0, word(vault.reqHead(), 0)), EMPTY);
        vm.prank(bob);
        vault.requestWithdraw(3, 2_000e6);
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        postSecond(bytes.concat(EMPTY, abi.encodePacked(uint64(2_000e6 - 1), uint64(0))));
        prove(proofOf(0, 0), 0);
        eq(vault.head(), 1);
    }

    function test_the_first_batch_has_no_batch_before_it() public {
        leaf = "";
        vm.prank(alice);
        request = vault.requestWithdraw(2, ASKED);
        uint256 h = Packed.h(vault.reqHead(), 0, block.timestamp, block.timestamp, 0);
        postHeader(headerOf(1, keccak256("first"), 0, h), bytes.concat(EMPTY, abi.encodePacked(uint64(0))));
        ISettlementTypes.Header memory lie;
        (lie.collateral, lie.h) = (0, uint256(2) << 192);
        vm.prank(bob);
        disputes.proveWrongRefusal(1, lie, headers[1], proofOf(0, 0));
        eq(vault.head(), 0);
    }

    // ---------------------------------------------------------------- over-approval

    function proveOver(IRefusals.RefusalProof memory proof, bytes4 refusal) private {
        if (refusal != 0) vm.expectRevert(refusal);
        vm.prank(bob);
        disputes.proveOverApproval(2, headers[1], headers[2], proof);
    }

    function covered(int128 cash, bytes memory entries, bytes memory round) private {
        refusedWith(cash, entries, round, ASKED);
        proveOver(proofOf(0, 0), ISettlementTypes.NoFraud.selector);
    }

    function overdrawn(int128 cash, bytes memory entries, bytes memory round) private {
        refusedWith(cash, entries, round, ASKED);
        proveOver(proofOf(0, 0), 0);
        eq(vault.head(), 1);
        eq(vault.credit(bob), BOND / 2);
    }

    function test_over_approval_refuses_what_is_not_pinned() public {
        refusedWith(0, "", "", ASKED);
        IRefusals.RefusalProof memory proof = proofOf(0, 0);
        proof.leaf[30] ^= 0x01;
        proveOver(proof, ISettlementTypes.BadProof.selector);
        proof = proofOf(0, 0);
        proof.id = 1;
        proveOver(proof, ISettlementTypes.NotRefused.selector);
        proveOver(proofOf(PERP, 0), ISettlementTypes.NoFraud.selector);
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        disputes.proveOverApproval(2, headers[2], headers[2], proofOf(0, 0));
    }

    function test_nothing_approved_is_no_over_approval() public {
        refusedWith(-5, "", "", 0);
        proveOver(proofOf(0, 0), ISettlementTypes.NoFraud.selector);
    }

    function test_all_cash_may_be_approved() public {
        covered(int128(uint128(ASKED)), "", "");
    }

    /// @dev threat "over-approved withdrawal"
    function test_a_unit_more_than_cash_is_reverted() public {
        overdrawn(int128(uint128(ASKED)) - 1, "", "");
    }

    function test_one_unit_to_an_empty_account_is_reverted() public {
        refusedWith(0, "", "", 1);
        proveOver(proofOf(0, 0), 0);
        eq(vault.head(), 1);
    }

    function test_a_long_perpetual_covers_at_its_mark() public {
        // 3 lots at up to 100.000001
        covered(-300e6 - 3 + 100e6, held(PERP, 3), usual());
    }

    function test_below_a_long_perpetual_is_reverted() public {
        overdrawn(-300e6 - 4 + 100e6, held(PERP, 3), usual());
    }

    function test_a_short_perpetual_is_owed_at_its_mark() public {
        covered(300e6 + 100e6, held(PERP, -3), usual());
    }

    function test_below_a_short_perpetual_is_reverted() public {
        overdrawn(300e6 + 100e6 - 1, held(PERP, -3), usual());
    }

    function test_a_perpetual_without_mark_covers_nothing() public {
        overdrawn(1_000e6, held(PERP, -3), rows("", perpRow(0, 0), 50_000e6));
    }

    function test_a_perpetual_without_row_covers_nothing() public {
        overdrawn(1_000e6, held(PERP, 3), rows("", "", 50_000e6));
    }

    function test_a_long_option_does_not_lend() public {
        overdrawn(int128(uint128(ASKED)) - 1, held(OPTION, 50), usual());
    }

    function test_a_short_option_is_owed_at_its_mark() public {
        covered(10e6 + 100e6, held(OPTION, -1), usual());
    }

    function test_below_a_short_option_is_reverted() public {
        overdrawn(10e6 + 100e6 - 1, held(OPTION, -1), usual());
    }

    function test_an_option_without_mark_does_not_count() public {
        covered(100e6, held(OPTION, -1), rows("", "", 50_000e6));
    }

    function test_funding_and_payoffs_count_before_the_approval() public {
        // 5 lots at 2.000001 USDC are 10.000005
        covered(100e6 - 10e6 - 5, held(OPTION, 5), rows(optionRow(2_000_001_000_000, 1), "", 0));
    }

    function test_below_a_payoff_is_reverted() public {
        overdrawn(100e6 - 10e6 - 6, held(OPTION, 5), rows(optionRow(2_000_001_000_000, 1), "", 0));
    }

    function test_funding_that_is_due_is_owed() public {
        overdrawn(-300e6 - 3 + 100e6 + 3e6 - 1, held(PERP, 3), rows("", perpRow(100e6, 1e12), 0));
    }
}
