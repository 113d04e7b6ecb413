// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Challenged} from "./support/Challenged.sol";

/// @dev F2 with blocks: leg 1 of two is 10 lots of the option at 100, bought by the maker; a fee cap of 5,000 units of
/// 1e-6 USDC for both legs
contract BlocksTest is Challenged {
    struct Leg {
        address asset;
        uint256 subId;
        int256 price;
        int256 amount;
    }

    struct Quote {
        uint256 maxFee;
        Leg[] legs;
    }

    uint256 private constant CAP = 5000e12;
    uint256 private constant KEY_SECRET = 0x5E5510;
    uint256 private constant OTHER_SECRET = 0x5E5511;

    function legs() private pure returns (Leg[] memory rows) {
        rows = new Leg[](2);
        rows[0] = Leg(address(0x99), 0, 5e18, -3e18);
        rows[1] = Leg(OPTIONS, CALL, 100e18, int256(10 * LOT));
    }

    function quoteData(Leg[] memory rows, uint256 cap) private pure returns (bytes memory) {
        return abi.encode(Quote(cap, rows));
    }

    /// @dev the maker's leaf: he bought
    function made() private view returns (ISettlementTypes.OrderEvidence memory e) {
        e = order(10);
        (e.action.module, e.line, e.data) = (ActionHash.RFQ_MODULE, 1, quoteData(legs(), CAP));
        (e.pos, e.notional, e.fee) = (10, 10e6, 5000);
    }

    /// @dev the taker's leaf: he sold, and signed the hash of the maker's legs
    function taken() private view returns (ISettlementTypes.OrderEvidence memory e) {
        e = made();
        e.lines = abi.encode(legs());
        e.data = abi.encode(keccak256(e.lines), CAP);
        e.pos = -10;
    }

    function test_a_leg_is_authorized_by_the_maker_and_by_the_taker() public {
        ISettlementTypes.OrderEvidence memory e = signed(made(), ALICE_KEY);
        uint64 seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
        (uint64 lots, bool isLive) = authority.fillOf(refOf(e), seq);
        yes(lots == 10 && isLive);
        e = signed(taken(), ALICE_KEY);
        seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
    }

    /// @dev threat "forged or altered order, price worse than limit, overfill, fee above cap", blocks
    function test_refuses_unauthorized_legs() public {
        post(word(2, 0), EMPTY);
        uint64 seq = postTrade(signed(made(), ALICE_KEY));
        bytes32 id = ask(seq, 0, 0);
        for (uint8 row = 0; row < 26; ++row) {
            (ISettlementTypes.OrderEvidence memory e, uint8 reason) = row < 14 ? altered(row) : misread(row);
            refusedAnswer(notAuthorized(reason), id, seq, e);
        }
    }

    /// @dev terms, parties and signatures
    function altered(uint8 row) private view returns (ISettlementTypes.OrderEvidence memory e, uint8 reason) {
        e = made();
        uint256 key = ALICE_KEY;
        if (row == 0) (e.action.subaccountId, reason) = (BASE + 3, 2);
        if (row == 1) (e.action.signer, key, reason) = (bob, BOB_KEY, 4);
        if (row == 2) (key, reason) = (BOB_KEY, 5);
        if (row == 3) (e.action.expiry, reason) = (START - 2, 6);
        if (row == 4) (e.line, reason) = (0, 8); // the other leg
        if (row == 5) (e.spec.unit, reason) = (11, 8);
        if (row == 6) (e.pos, reason) = (-10, 9);
        if (row == 7) (e, reason) = (taken(), 9);
        if (row == 7) e.pos = 10;
        if (row == 8) (e.pos, e.notional, reason) = (9, 9e6, 10); // a block trades whole
        if (row == 9) (e.pos, e.notional, reason) = (11, 11e6, 10);
        if (row == 10) (e.notional, reason) = (10e6 - 1, 11); // better is another price too
        if (row == 11) (e.notional, reason) = (10e6 + 1, 11);
        if (row == 12) (e.fee, reason) = (5001, 12);
        if (row == 13) (e.fee, reason) = (-1, 13);
        return (signed(e, key), reason);
    }

    /// @dev bytes that are no block, and legs that the taker did not sign
    function misread(uint8 row) private view returns (ISettlementTypes.OrderEvidence memory e, uint8) {
        e = row < 20 ? made() : taken();
        Leg[] memory rows = legs();
        if (row == 14) e.isSepolia = true;
        if (row == 15) e.line = 2;
        if (row == 16) e.data = bytes.concat(e.data, hex"00");
        if (row == 17) e.data = bytes.concat(e.data, new bytes(128));
        if (row == 18) e.data = abi.encode(uint256(64), CAP, uint256(64), rows.length);
        if (row == 19) e.data = abi.encode(uint256(32));
        if (row == 20) rows[1].price = 101e18;
        if (row == 20) e.lines = abi.encode(rows);
        if (row == 21) e.lines = "";
        if (row == 22) (e.data, e.lines) = (abi.encode(keccak256(""), CAP), "");
        if (row == 23) e.line = 2;
        if (row == 24) e.isSepolia = true;
        if (row == 25) e.lines = abi.encode(uint256(64), rows.length, rows[0], rows[1]);
        if (row == 25) e.data = abi.encode(keccak256(e.lines), CAP);
        return (signed(e, ALICE_KEY), 3);
    }

    /// @dev the scopes of requests for quotes count: 7 all, 9 perpetuals, 10 options; those of the book do not
    function test_a_session_key_needs_the_scopes_of_blocks() public {
        address key = vm.addr(KEY_SECRET);
        vm.prank(alice);
        vault.setSessionKey(key, uint40(START + 1 days), (1 << 3) | (1 << 6) | (1 << 9), new uint32[](0));
        ISettlementTypes.OrderEvidence memory e = made();
        e.action.signer = key;
        e = signed(e, KEY_SECRET);
        uint64 seq = postTrade(e);
        bytes32 id = ask(seq, 0, 0);
        refusedAnswer(notAuthorized(4), id, seq, e);
        (e.action.signer, key) = (vm.addr(OTHER_SECRET), vm.addr(OTHER_SECRET));
        vm.prank(alice);
        vault.setSessionKey(key, uint40(START + 1 days), 1 << 10, new uint32[](0));
        e = signed(e, OTHER_SECRET);
        seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
    }

    function test_refuses_a_leg_under_the_leaf_of_an_order() public {
        ISettlementTypes.OrderEvidence memory e = signed(made(), ALICE_KEY);
        bytes32 leaf = keccak256(abi.encodePacked(uint8(1), uint32(2), e.instr, refOf(e), e.pos, e.notional, e.fee));
        uint64 seq = postWith(word(2, 1500), dataOf(e), leaf, bytes32(uint256(7)));
        refusedAnswer(abi.encodeWithSelector(ISettlementTypes.BadLeaves.selector), ask(seq, 0, 0), seq, e);
    }

    /// @dev threat "same order or transfer used in two batches", blocks
    function test_a_leg_settled_twice_is_reverted() public {
        ISettlementTypes.OrderEvidence memory e = signed(made(), ALICE_KEY);
        uint64 a = postTrade(e);
        shown(a, e);
        uint64 b = postTrade(e);
        shown(b, e);
        overfill(two(a, b), taken(), ISettlementTypes.NotOverfilled.selector);
        e.line = 2;
        overfill(two(a, b), e, ISettlementTypes.BadModule.selector);
        e.line = 1;
        overfill(two(a, b), e, 0);
        eq(vault.head(), a);
    }
}
