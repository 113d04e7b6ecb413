// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {IMarkets} from "../src/interfaces/IMarkets.sol";
import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../src/Markets.sol";
import {Parts} from "../src/Parts.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./support/Fixture.sol";
import {Packed} from "./support/Packed.sol";
import {Setups} from "./support/Setups.sol";

/// @dev oracle rounds, what `post` asks of them, and the list of instruments
contract MarketsTest is Fixture {
    address private constant OPTIONS = address(0x0771);
    address private constant PERPS = address(0x9E49);
    uint96 private constant CALL = (1 << 95) | (100_000e8 << 32) | 1_900_000_000;
    bytes private constant NO_ROWS = hex"0000000000000000";
    uint256[3] private keys;
    IMarkets private markets;
    Settlement private feedless;

    function setUp() public override {
        super.setUp();
        feedless = vault;
        keys = sortedKeys();
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, part());
        setup.feedSigners = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            setup.feedSigners[i] = vm.addr(keys[i]);
        }
        setup.feedThreshold = 2;
        vault = new Settlement(setup);
        markets = IMarkets(address(vault));
        token.mint(address(this), BOND);
        token.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
    }

    function part() internal override returns (address) {
        return address(new Markets(address(new Bonds(address(0)))));
    }

    function sortedKeys() private pure returns (uint256[3] memory sorted) {
        sorted = [uint256(11), 12, 13];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (vm.addr(sorted[i]) > vm.addr(sorted[j])) (sorted[i], sorted[j]) = (sorted[j], sorted[i]);
            }
        }
    }

    function signed(uint64 round, bytes memory vector, uint40 time, uint256 a, uint256 b)
        private
        view
        returns (bytes memory)
    {
        bytes32 digest = markets.roundDigest(round, time, keccak256(vector));
        return bytes.concat(signature(a, digest), signature(b, digest));
    }

    function publish(uint64 round, bytes memory vector, uint40 time) private {
        bytes memory sigs = signed(round, vector, time, keys[0], keys[1]);
        byKey(alice);
        markets.postOracle(round, vector, time, sigs);
    }

    function refusedRound(bytes4 selector, uint64 round, bytes memory vector, uint40 time) private {
        bytes memory sigs = signed(round, vector, time, keys[0], keys[1]);
        vm.expectRevert(selector);
        byKey(alice);
        markets.postOracle(round, vector, time, sigs);
    }

    function optionRow(uint32 id, uint64 mark, uint8 settled) private pure returns (bytes memory) {
        return abi.encodePacked(id, mark, settled);
    }

    function perpRow(uint32 id, uint64 mark, int64 index) private pure returns (bytes memory) {
        return abi.encodePacked(id, mark, uint8(0), index);
    }

    function test_refuses_rounds_out_of_turn_or_time() public {
        refusedRound(ISettlementTypes.BadRound.selector, 0, NO_ROWS, uint40(START));
        refusedRound(ISettlementTypes.BadRound.selector, 2, NO_ROWS, uint40(START));
        refusedRound(ISettlementTypes.BadTime.selector, 1, NO_ROWS, uint40(START + 1));
        publish(1, NO_ROWS, uint40(START));
        refusedRound(ISettlementTypes.BadTime.selector, 2, NO_ROWS, uint40(START - 1));
        refusedRound(ISettlementTypes.BadRound.selector, 1, NO_ROWS, uint40(START));
        publish(2, NO_ROWS, uint40(START)); // two rounds of one second
    }

    /// @dev threat "oracle manipulation": k different feeds, or no round
    function test_refuses_too_few_double_or_foreign_signatures() public {
        bytes4 bad = ISettlementTypes.BadSignature.selector;
        uint40 time = uint40(START);
        bytes[5] memory wrong = [
            signature(keys[0], markets.roundDigest(1, time, keccak256(NO_ROWS))),
            signed(1, NO_ROWS, time, keys[0], keys[0]),
            signed(1, NO_ROWS, time, keys[1], keys[0]),
            signed(1, NO_ROWS, time, keys[0], ALICE_KEY),
            bytes.concat(signed(1, NO_ROWS, time, keys[0], keys[1]), hex"00")
        ];
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectRevert(bad);
            byKey(alice);
            markets.postOracle(1, NO_ROWS, time, wrong[i]);
        }
        bytes memory other = signed(2, NO_ROWS, time, keys[0], keys[1]);
        vm.expectRevert(bad);
        byKey(alice);
        markets.postOracle(1, NO_ROWS, time, other);
    }

    /// @dev threat "oracle vector not published": the calldata of its transaction is the round, with feeds and without
    function test_refuses_a_round_from_inside_another_call() public {
        bytes4 bad = ISettlementTypes.NotDirect.selector;
        bytes memory sigs = signed(1, NO_ROWS, uint40(START), keys[0], keys[1]);
        vm.expectRevert(bad);
        markets.postOracle(1, NO_ROWS, uint40(START), sigs);
        vm.etch(alice, abi.encodePacked(hex"ef0100", bob));
        vm.expectRevert(bad);
        byKey(alice);
        markets.postOracle(1, NO_ROWS, uint40(START), sigs);
        vm.etch(alice, "");
        byKey(alice);
        markets.postOracle(1, NO_ROWS, uint40(START), sigs);
        vm.expectRevert(bad);
        vm.prank(OPERATOR);
        IMarkets(address(feedless)).postOracle(1, NO_ROWS, uint40(START), "");
        byKey(OPERATOR);
        IMarkets(address(feedless)).postOracle(1, NO_ROWS, uint40(START), "");
        eq(markets.oracleHead(), 1);
    }

    function test_refuses_vectors_that_are_not_canonical() public {
        bytes4 bad = ISettlementTypes.BadVector.selector;
        bytes memory two = bytes.concat(optionRow(5, 1, 0), optionRow(4, 1, 0));
        bytes[10] memory wrong = [
            bytes(hex""),
            bytes.concat(NO_ROWS, hex"00"),
            bytes.concat(hex"0001000000000000", optionRow(0, 1, 0)),
            bytes.concat(hex"0001000000000000", optionRow(1 << 31, 1, 0)),
            bytes.concat(hex"0001000000000000", optionRow(1, 1, 2)),
            bytes.concat(hex"0002000000000000", two),
            bytes.concat(hex"0000000100000000", perpRow(7, 1, 0)),
            bytes.concat(hex"0000000100000000", optionRow(1 << 31, 1, 0)),
            bytes.concat(hex"0000000000020000", abi.encodePacked(uint32(1), uint64(5), uint32(1), uint64(6))),
            bytes.concat(hex"0000000000000002", abi.encodePacked(uint32(1), uint40(5), uint64(6)), new bytes(17))
        ];
        for (uint256 i = 0; i < 10; ++i) {
            refusedRound(bad, 1, wrong[i], uint40(START));
        }
    }

    function test_refuses_more_than_2048_rows() public {
        refusedRound(ISettlementTypes.BadVector.selector, 1, manyRows(2049), uint40(START));
        publish(1, manyRows(2048), uint40(START));
    }

    function manyRows(uint32 count) private pure returns (bytes memory vector) {
        vector = new bytes(8 + 13 * count);
        (vector[0], vector[1]) = (bytes1(uint8(count >> 8)), bytes1(uint8(count)));
        for (uint32 i = 0; i < count; ++i) {
            (vector[10 + 13 * i], vector[11 + 13 * i]) = (bytes1(uint8((i + 1) >> 8)), bytes1(uint8(i + 1)));
        }
    }

    function test_a_round_is_kept_by_hash_and_time() public {
        bytes memory vector = bytes.concat(
            hex"0002000100010001",
            optionRow(1, 5, 0),
            optionRow(9, 6, 1),
            perpRow((1 << 31) | 1, 7, -8),
            abi.encodePacked(uint32(1), uint64(9)),
            abi.encodePacked(uint32(1), uint40(1_900_000_000), uint64(9))
        );
        publish(1, vector, uint40(START - 5));
        (bytes32 high, uint40 time) = markets.oracle(1);
        eq(high, bytes32(uint256(keccak256(vector)) >> 40 << 40));
        eq(time, START - 5);
        eq(markets.oracleHead(), 1);
    }

    /// @dev threat "oracle vector not published": a batch names a published round, of its own time
    function test_post_wants_a_known_round_of_its_time() public {
        bytes4 bad = ISettlementTypes.BadRound.selector;
        refuse(bad, 1, Packed.h(0, 0, START, START, 0), EMPTY);
        refuse(bad, 1, Packed.h(0, 1, START, START, 0), EMPTY);
        publish(1, NO_ROWS, uint40(START - 100));
        publish(2, NO_ROWS, uint40(START - 50));
        publish(3, NO_ROWS, uint40(START));
        refuse(bad, 1, Packed.h(0, 1, START - 99, START - 39, 0), EMPTY); // 61 s old
        refuse(bad, 1, Packed.h(0, 1, START - 101, START - 90, 0), EMPTY); // of later than the first match
        post(Packed.h(0, 2, START - 50, START - 40, 0), EMPTY);
        refuse(bad, 2, Packed.h(0, 1, START - 40, START - 40, 0), EMPTY);
        post(Packed.h(0, 2, START - 40, START - 30, 0), EMPTY);
        refuse(bad, 3, Packed.h(0, 3, START - 1, START, 0), EMPTY);
        post(Packed.h(0, 3, START, START, 0), EMPTY);
        eq(vault.lastRound(), 3);
    }

    /// @dev without feeds a batch names a round that the operator published, or none; never an older one
    function test_without_feeds_rounds_are_the_operators() public {
        bytes4 bad = ISettlementTypes.BadRound.selector;
        bytes4 unsigned = ISettlementTypes.BadSignature.selector;
        (vault, markets) = (feedless, IMarkets(address(feedless)));
        refuse(bad, 1, Packed.h(2, 1, START, START, 0), EMPTY);
        byKey(alice);
        vm.expectRevert(unsigned);
        markets.postOracle(1, NO_ROWS, uint40(START), "");
        byKey(OPERATOR);
        vm.expectRevert(unsigned);
        markets.postOracle(1, NO_ROWS, uint40(START), new bytes(65));
        byKey(OPERATOR);
        markets.postOracle(1, NO_ROWS, uint40(START), "");
        refuse(bad, 1, Packed.h(2, 1, START - 1, START, 0), EMPTY);
        post(Packed.h(2, 1, START, START, 0), EMPTY);
        refuse(bad, 2, Packed.h(2, 0, START, START, 0), EMPTY);
        vm.warp(START + 1 hours);
        post(Packed.h(2, 1, START, START + 1 hours, 0), EMPTY);
        eq(vault.lastRound(), 1);
        vm.prank(alice);
        vm.expectRevert(ISettlementTypes.NoOracle.selector);
        vault.requestClose(2);
    }

    /// @dev a proof reads a closing account three times: one fits a batch, the next may wait though it is overdue
    function test_a_batch_takes_one_close_request() public {
        fund(alice, 0, 1_000e6);
        fund(bob, 0, 1_000e6);
        vm.prank(alice);
        vault.requestClose(2);
        vm.prank(bob);
        uint64 last = vault.requestClose(3);
        vm.warp(START + DELAY + 1);
        publish(1, NO_ROWS, uint40(START + DELAY + 1));
        refuse(ISettlementTypes.BadQueue.selector, 1, Packed.h(last, 1, START + DELAY + 1, START + DELAY + 1, 0), EMPTY);
        refuse(ISettlementTypes.RequestOverdue.selector, 1, Packed.h(last - 2, 1, START + DELAY + 1, START + DELAY + 1, 0), EMPTY);
        post(Packed.h(last - 1, 1, START + DELAY + 1, START + DELAY + 1, 0), EMPTY);
        post(Packed.h(last, 1, START + DELAY + 1, START + DELAY + 1, 0), EMPTY);
    }

    /// @dev threat "request flood": closes come one per batch, in order, and what stands between them comes along; no
    /// batch behind the delay may leave its share out, none is refused because of those that still wait
    function test_a_flood_of_closes_stops_no_post_and_skips_nobody() public {
        uint32 count = 40;
        for (uint32 i = 0; i < count; ++i) {
            address who = address(uint160(0xC105E0 + i));
            fund(who, 0, MINIMUM);
            vm.prank(who);
            vault.requestClose(2 + i);
        }
        fund(alice, 0, MINIMUM); // behind the flood
        uint256 now_ = START + DELAY + 1;
        vm.warp(now_);
        publish(1, NO_ROWS, uint40(now_));
        for (uint256 i = 0; i < count; ++i) {
            uint256 least = 2 * i + 2; // this close; the deposit behind it is not a share of its own
            refuse(ISettlementTypes.RequestOverdue.selector, vault.head() + 1, Packed.h(least - 1, 1, now_, now_, 0), EMPTY);
            if (i + 1 < count) {
                bytes4 more = ISettlementTypes.BadQueue.selector;
                refuse(more, vault.head() + 1, Packed.h(vault.reqHead(), 1, now_, now_, 0), EMPTY);
            }
            post(Packed.h(least + 1, 1, now_, now_, 0), EMPTY);
        }
        eq(vault.head(), count);
        eq(vault.reqDone(), vault.reqHead());
    }

    function test_feeds_change_by_the_timelock_alone() public {
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        markets.setFeedSigner(alice, true);
        setFeed(alice, true, 0);
        setFeed(alice, true, ISettlementTypes.BadSigner.selector);
        setFeed(address(0), true, ISettlementTypes.BadSigner.selector);
        setFeed(vm.addr(keys[0]), false, 0);
        setFeed(vm.addr(keys[1]), false, 0);
        setFeed(alice, false, ISettlementTypes.BadSigner.selector); // two must remain
        refusedRound(ISettlementTypes.BadSignature.selector, 1, NO_ROWS, uint40(START));
    }

    function setFeed(address signer, bool allowed, bytes4 selector) private {
        if (selector != 0) vm.expectRevert(selector);
        vm.prank(TIMELOCK);
        markets.setFeedSigner(signer, allowed);
    }

    function setAssets() private {
        vm.prank(TIMELOCK);
        markets.setAsset(OPTIONS, ISettlementTypes.AssetRow(true, false, 1, 1e16, 10, 2));
        vm.prank(TIMELOCK);
        markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 1e15, 100, 1));
    }

    function list(uint32 id, address asset, uint96 subId, bytes4 selector) private {
        uint32[] memory ids = new uint32[](1);
        address[] memory assets = new address[](1);
        uint96[] memory subIds = new uint96[](1);
        (ids[0], assets[0], subIds[0]) = (id, asset, subId);
        if (selector != 0) vm.expectRevert(selector);
        vm.prank(OPERATOR);
        markets.listInstruments(ids, assets, subIds);
    }

    function test_refuses_listings_that_break_the_rules() public {
        bytes4 bad = ISettlementTypes.BadInstrument.selector;
        list(1, OPTIONS, CALL, ISettlementTypes.BadAsset.selector);
        setAssets();
        list(0, OPTIONS, CALL, bad);
        list(1 << 31, OPTIONS, CALL, bad);
        list(1, PERPS, 0, bad);
        list(1 << 31, PERPS, 1, bad);
        list(1, OPTIONS, 1_900_000_000, bad); // no strike
        list(1, OPTIONS, 5 << 32, bad); // no expiry
        list(1, OPTIONS, CALL, 0);
        list(1, OPTIONS, CALL + 1, bad); // id taken
        list(2, OPTIONS, CALL, bad); // a second id of one option
        vm.expectRevert(ISettlementTypes.NotOperator.selector);
        vm.prank(alice);
        markets.listInstruments(new uint32[](0), new address[](0), new uint96[](0));
        vm.expectRevert(bad);
        vm.prank(OPERATOR);
        markets.listInstruments(new uint32[](1), new address[](0), new uint96[](1));
    }

    function test_the_asset_s_row_makes_the_spec() public {
        setAssets();
        list(1, OPTIONS, CALL, 0);
        list((1 << 31) | 5, PERPS, 0, 0);
        ISettlementTypes.InstrumentSpec memory spec = ISettlementTypes.InstrumentSpec(
            OPTIONS, CALL, false, true, 1, 1_900_000_000, 100_000e8, 1e16, 10, 2
        );
        eq(markets.instrument(1), keccak256(abi.encode(spec)));
        eq(markets.instrumentOf(OPTIONS, CALL), 1);
        spec = ISettlementTypes.InstrumentSpec(PERPS, 0, true, false, 1, 0, 0, 1e15, 100, 1);
        eq(markets.instrument((1 << 31) | 5), keccak256(abi.encode(spec)));
    }

    function test_asset_rows_come_from_the_timelock_alone() public {
        vm.expectRevert(ISettlementTypes.NotTimelock.selector);
        markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 1e15, 100, 1));
        vm.expectRevert(ISettlementTypes.BadAsset.selector);
        vm.prank(TIMELOCK);
        markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 1e15, 0, 1));
        vm.expectRevert(ISettlementTypes.BadAsset.selector); // no whole number of 1e-18 USDC
        vm.prank(TIMELOCK);
        markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 3e15, 100, 1));
        setAssets();
        vm.expectRevert(ISettlementTypes.BadAsset.selector); // a row is set once
        vm.prank(TIMELOCK);
        markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 1e15, 200, 1));
    }

    /// @dev threat "bound mismatch with the engine": `low` of an unknown class is nothing, a position would need no money
    function test_refuses_an_asset_of_a_class_without_a_floor() public {
        uint8[4] memory unknown = [0, 3, 4, 255];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(ISettlementTypes.BadAsset.selector);
            vm.prank(TIMELOCK);
            markets.setAsset(PERPS, ISettlementTypes.AssetRow(true, true, 1, 1e15, 100, unknown[i]));
        }
        for (uint8 class = 1; class <= 2; ++class) {
            vm.prank(TIMELOCK);
            markets.setAsset(address(uint160(class)), ISettlementTypes.AssetRow(true, true, 1, 1e15, 100, class));
            yes(markets.asset(address(uint160(class))).known);
        }
    }

    function test_refuses_what_no_part_knows() public {
        (bool success, bytes memory reason) = address(vault).call(abi.encodeWithSignature("nothing()"));
        yes(!success);
        eq(bytes32(reason), bytes32(Parts.UnknownFunction.selector));
    }
}
