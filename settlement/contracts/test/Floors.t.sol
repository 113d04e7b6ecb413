// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {Floors} from "../src/Floors.sol";
import {IFloors} from "../src/interfaces/IFloors.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../src/Markets.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";

/// @dev F3 of trades. Alice is account 2, Bob 3. Batch 1 begins with round 1, batch 2 with round 2; batch 2 moves Alice,
/// and `leaf` is hers behind it. One lot of the perpetual is at 100 USDC and asks for 1, one of the option at 10; the
/// index is 50,000, so that a hundred lots of the option are one unit of the underlying.
contract FloorsTest is Fixture {
    uint32 private constant OPTION = 1;
    uint32 private constant PERP = 0x80000001;
    address private constant OPTIONS = address(0x0771);
    address private constant PERPS = address(0x9E49);
    uint96 private constant CALL = (1 << 95) | (100_000e8 << 32) | 1_900_000_000;
    IFloors private disputes;
    IFloors.FloorProof private proof;

    function setUp() public override {
        super.setUp();
        disputes = IFloors(address(vault));
        list(OPTION, OPTIONS, CALL, ISettlementTypes.AssetRow(true, false, 1, 1e16, 10, 1));
        list(PERP, PERPS, 0, ISettlementTypes.AssetRow(true, true, 1, 2e15, 100, 1));
        (proof.acct, proof.path) = (2, path());
        (proof.opening, proof.closing) = (rows(10e6, 99e6), rows(10e6, 100e6));
    }

    function part() internal override returns (address) {
        return address(new Floors(address(new Bonds(address(new Markets(address(0)))))));
    }

    function list(uint32 id, address asset, uint96 subId, ISettlementTypes.AssetRow memory row) private {
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(asset, row);
        (uint32[] memory ids, address[] memory assets) = (new uint32[](1), new address[](1));
        uint96[] memory subIds = new uint96[](1);
        (ids[0], assets[0], subIds[0]) = (id, asset, subId);
        vm.prank(OPERATOR);
        IMarkets(address(vault)).listInstruments(ids, assets, subIds);
    }

    // ---------------------------------------------------------------- a market

    /// @dev a perpetual of mark 0 has no row
    function rows(uint64 option, uint64 perp) private pure returns (bytes memory) {
        bytes memory row = perp == 0 ? bytes("") : abi.encodePacked(PERP, perp, uint8(0), int64(0));
        bytes memory head = abi.encodePacked(uint16(1), uint16(perp == 0 ? 0 : 1), uint16(1), uint16(0));
        return bytes.concat(head, abi.encodePacked(OPTION, option, uint8(0)), row, abi.encodePacked(uint32(1), uint64(50_000e6)));
    }

    function held(uint32 instr, int64 lots) private pure returns (bytes memory) {
        return instr >> 31 == 1 ? abi.encodePacked(instr, lots, int64(0)) : abi.encodePacked(instr, lots);
    }

    // ------------------------------------------------------------------ a batch

    function path() private pure returns (bytes memory out) {
        bytes32 empty;
        for (uint256 level = 0; level < 20; ++level) {
            out = bytes.concat(out, empty);
            empty = keccak256(abi.encode(empty, empty));
        }
    }

    function rootOf(bytes memory raw) private pure returns (bytes32 node) {
        bytes32 empty;
        node = keccak256(raw);
        for (uint256 level = 0; level < 20; ++level) {
            node = level == 1 ? keccak256(abi.encode(empty, node)) : keccak256(abi.encode(node, empty));
            empty = keccak256(abi.encode(empty, empty));
        }
    }

    /// @dev batch 2 gives Alice `moved` and `delta` lots, takes them from Bob, and leaves her `cash` and `entries`
    function left(int128 cash, bytes memory entries, int256 moved, uint32 instr, int256 delta) private {
        proof.leaf = abi.encodePacked(alice, cash, entries);
        IMarkets markets = IMarkets(address(vault));
        byKey(OPERATOR);
        markets.postOracle(1, proof.opening, uint40(block.timestamp), "");
        byKey(OPERATOR);
        markets.postOracle(2, proof.closing, uint40(block.timestamp), "");
        uint256 last = vault.reqHead();
        postHeader(headerOf(1, 0, 0, Packed.h(last, 1, block.timestamp, block.timestamp, 0)), EMPTY);
        bytes memory two = bytes.concat(Packed.account(2, moved), Packed.account(3, -moved));
        bytes memory cells = delta == 0 ? bytes("") : Packed.pair(instr, delta, false);
        proof.data = bytes.concat(Packed.head(delta == 0 ? 0 : 1, 2), two, cells);
        uint256 h = Packed.h(last, 2, block.timestamp, block.timestamp, 0);
        postHeader(headerOf(2, rootOf(proof.leaf), 0, h), proof.data);
        if (instr != 0) proof.specs.push(spec(instr));
    }

    function spec(uint32 instr) private pure returns (ISettlementTypes.InstrumentSpec memory) {
        return instr == PERP
            ? ISettlementTypes.InstrumentSpec(PERPS, 0, true, false, 1, 0, 0, 2e15, 100, 1)
            : ISettlementTypes.InstrumentSpec(OPTIONS, CALL, false, true, 1, 1_900_000_000, 100_000e8, 1e16, 10, 1);
    }

    function prove(bytes4 refusal) private {
        if (refusal != 0) vm.expectRevert(refusal);
        vm.prank(bob);
        disputes.proveInsolvent(2, headers[1], headers[2], proof);
    }

    function honest() private {
        prove(ISettlementTypes.NoFraud.selector);
    }

    function fraud() private {
        prove(0);
        eq(vault.head(), 1);
        eq(vault.credit(bob), BOND / 2);
    }

    /// @dev 100 lots bought at the mark by one who had `had`
    function bought(int128 had) private {
        left(had - 10_000e6, held(PERP, 100), -10_000e6, PERP, 100);
    }

    /// @dev 100 lots, which left her 10 USDC over their mark, sold `loss` below it
    function closed(int128 loss) private {
        left(10e6 - loss, "", 10_000e6 - loss, PERP, -100);
    }

    // ----------------------------------------------------------------- refusals

    function test_refuses_what_is_not_pinned() public {
        bought(0);
        proof.data[20] ^= 0x01;
        prove(ISettlementTypes.BadProof.selector);
        proof.data[20] ^= 0x01;
        proof.leaf[25] ^= 0x01;
        prove(ISettlementTypes.BadProof.selector);
        proof.leaf[25] ^= 0x01;
        proof.closing[20] ^= 0x01;
        prove(ISettlementTypes.BadProof.selector);
        proof.closing[20] ^= 0x01;
        proof.opening = "";
        prove(ISettlementTypes.BadProof.selector);
    }

    function test_refuses_specs_that_are_not_the_instruments() public {
        bought(0);
        proof.specs.push(spec(OPTION));
        prove(ISettlementTypes.BadProof.selector);
        proof.specs.pop();
        proof.specs[0].class = 2;
        prove(ISettlementTypes.BadInstrument.selector);
        proof.specs.pop();
        prove(ISettlementTypes.BadProof.selector);
    }

    function test_refuses_fund_and_clearing_account() public {
        bought(0);
        for (uint32 acct = 0; acct < 2; ++acct) {
            proof.acct = acct;
            prove(ISettlementTypes.BadProof.selector);
        }
    }

    function test_refuses_who_is_not_in_the_batch() public {
        bought(0);
        proof.acct = 4;
        prove(ISettlementTypes.NoFraud.selector);
    }

    function test_refuses_other_headers_and_final_batches() public {
        bought(0);
        vm.expectRevert(ISettlementTypes.BadHeader.selector);
        disputes.proveInsolvent(2, headers[2], headers[2], proof);
        finalizeAll();
        prove(ISettlementTypes.NotDisputable.selector);
    }

    // -------------------------------------------------------------- first cause

    /// @dev threat "collusive bankrupt account drains the pool"
    function test_a_position_without_money_is_reverted() public {
        bought(0);
        fraud();
    }

    function test_two_thirds_of_low_are_enough() public {
        // had, a unit per lot for the mark, and half of what it had: 66,666,600 + 100 + 33,333,300 = 100 USDC
        bought(66_666_600);
        honest();
    }

    function test_a_unit_less_is_reverted() public {
        bought(66_666_599);
        fraud();
    }

    function test_a_short_without_money_is_reverted() public {
        proof.opening = rows(10e6, 101e6);
        left(10_000e6, held(PERP, -100), 10_000e6, PERP, -100);
        fraud();
    }

    function test_prices_alone_convict_nobody() public {
        left(-20_000e6, held(PERP, 100), 0, 0, 0);
        proof.specs.push(spec(PERP));
        honest();
    }

    function test_a_round_before_that_covers_it_is_enough() public {
        proof.opening = rows(10e6, 102e6);
        bought(0);
        honest();
    }

    function test_a_round_before_that_does_not_know_the_perpetual_says_nothing() public {
        proof.opening = rows(10e6, 0);
        bought(0);
        fraud();
    }

    function test_an_option_bought_without_money_is_reverted() public {
        left(-100e6, held(OPTION, 10), -100e6, OPTION, 10);
        fraud();
    }

    function test_an_option_bought_with_money_is_honest() public {
        left(0, held(OPTION, 10), -100e6, OPTION, 10);
        honest();
    }

    function testFuzz_above_low_nobody_is_convicted(int128 cash, int16 lots, int16 delta) public {
        vm.assume(lots != 0 && delta != 0);
        int256 low = int256(lots < 0 ? -int256(lots) : int256(lots)) * 1e6;
        int256 least = low - int256(lots) * 100e6;
        vm.assume(cash >= least && cash < 1e24);
        left(cash, held(PERP, lots), -int256(delta) * 100e6, PERP, delta);
        honest();
    }

    function testFuzz_below_low_no_new_risk(uint16 short, int16 lots) public {
        vm.assume(lots > 0);
        // had nothing: a unit per lot of the mark is all that counts for it
        left(-int128(int256(lots)) * 100e6 - int128(uint128(short)), held(PERP, lots), -int256(lots) * 100e6, PERP, lots);
        fraud();
    }

    // ------------------------------------------------------------- second cause

    /// @dev threat "bankrupt account closes at 1 tick"
    function test_closing_at_a_tick_is_reverted() public {
        closed(9_999e6);
        fraud();
    }

    function test_a_stop_out_at_the_edge_of_the_band_is_honest() public {
        // a quarter of 100 x 100.000001, the 10 that it had, and half of them
        closed(2_500e6 + 25 + 15e6);
        honest();
    }

    function test_a_unit_beyond_the_band_is_reverted() public {
        closed(2_500e6 + 25 + 15e6 + 1);
        fraud();
    }

    function test_a_slice_by_one_who_has_nothing_left_has_no_room() public {
        // 5 of 100 lots for nothing, 1 USDC below zero before: a quarter of 5 lots is the band
        left(-9_501e6 - 500e6, held(PERP, 95), 0, PERP, -5);
        fraud();
    }

    function test_a_slice_at_the_mark_is_honest() public {
        left(-9_501e6, held(PERP, 95), 500e6, PERP, -5);
        honest();
    }

    function test_a_call_given_away_is_reverted() public {
        proof.opening = rows(400e6, 100e6);
        proof.closing = rows(400e6, 100e6 + 1);
        left(0, held(OPTION, -100), 0, OPTION, -100);
        fraud();
    }

    function test_a_call_sold_within_a_fifth_of_the_index_is_not_judged() public {
        proof.opening = rows(180e6, 100e6);
        proof.closing = rows(180e6, 100e6 + 1);
        left(0, held(OPTION, -100), 8_000e6, OPTION, -100);
        honest();
    }

    function test_without_a_mark_in_its_own_round_a_perpetual_covers_nothing() public {
        proof.closing = rows(10e6, 0);
        bought(0);
        fraud();
    }
}
