// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Challenged} from "./support/Challenged.sol";

/// @dev F2 with mass quotes: a tick is 1,000 USDC of a whole, 10 units of a lot; the second line bids 10 lots at
/// 100,000 ticks and asks 4 lots at 100,001
contract QuotesTest is Challenged {
    uint64 private constant TICKS = 100_000;

    function lines(uint32 instr) private pure returns (bytes memory) {
        bytes memory other = abi.encodePacked(uint32(9), int64(1), uint64(1), int64(2), uint64(1));
        return bytes.concat(other, abi.encodePacked(instr, int64(uint64(TICKS)), uint64(10), int64(uint64(TICKS + 1)), uint64(4)));
    }

    function quoteData(address contract_, bytes memory packed, uint256 count, uint256 fee, uint256 subaccount)
        private
        pure
        returns (bytes memory)
    {
        return abi.encode(contract_, keccak256(packed), count, fee, subaccount);
    }

    function quote() private view returns (ISettlementTypes.OrderEvidence memory e) {
        e = order(10);
        (e.action.module, e.line, e.lines) = (ActionHash.MASS_QUOTE_MODULE, 2, lines(OPTION));
        e.data = quoteData(address(vault), e.lines, 2, 2e16, BASE + 2);
    }

    function test_a_quote_s_side_authorizes_its_line() public {
        ISettlementTypes.OrderEvidence memory e = quote();
        (e.pos, e.notional, e.fee) = (10, 10e6, 2000); // the bounds themselves
        e = signed(e, ALICE_KEY);
        uint64 seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
        (uint64 lots, bool isLive) = authority.fillOf(refOf(e), seq);
        yes(lots == 10 && isLive);
        (e.pos, e.notional, e.fee, e.line) = (-4, 4 * 10 * 100_001, 800, 3);
        seq = postTrade(e);
        respond(ask(seq, 0, 0), seq, e);
    }

    /// @dev threat "forged or altered order, price worse than limit, overfill, fee above cap", quotes
    function test_refuses_unauthorized_quotes() public {
        post(word(2, 0), EMPTY);
        uint64 seq = postTrade(signed(quote(), ALICE_KEY));
        bytes32 id = ask(seq, 0, 0);
        for (uint8 row = 0; row < 18; ++row) {
            (ISettlementTypes.OrderEvidence memory e, uint8 reason) = altered(row);
            refusedAnswer(notAuthorized(reason), id, seq, e);
        }
    }

    function altered(uint8 row) private view returns (ISettlementTypes.OrderEvidence memory e, uint8) {
        e = quote();
        uint256 key = ALICE_KEY;
        uint8 reason = 3;
        bytes memory packed = e.lines;
        if (row == 0) e.lines = lines(OPTION + 1);
        if (row == 1) e.data = quoteData(address(1), packed, 2, 2e16, BASE + 2);
        if (row == 2) e.data = quoteData(address(vault), packed, 1, 2e16, BASE + 2);
        if (row == 3) e.line = 4;
        if (row == 4) e.isSepolia = true;
        if (row == 5) e.data = bytes.concat(e.data, hex"00");
        if (row == 6) (e.data, e.lines) = (quoteData(address(vault), "", 0, 2e16, BASE + 2), "");
        if (row == 7) (e.data, reason) = (quoteData(address(vault), packed, 2, 2e16, BASE + 3), 2);
        if (row == 8) (e.action.subaccountId, reason) = (BASE + 3, 2);
        if (row == 9) (e.action.signer, key, reason) = (bob, BOB_KEY, 4);
        if (row == 10) (key, reason) = (BOB_KEY, 5);
        if (row == 11) (e.action.expiry, reason) = (START - 2, 6);
        if (row == 12) (e.line, reason) = (0, 8); // the line of another instrument
        if (row == 13) (e.spec.unit, reason) = (11, 8);
        if (row == 14) (e.line, reason) = (3, 9); // the ask
        if (row == 15) (e.pos, e.notional, reason) = (11, 11e6, 10);
        if (row == 16) (e.notional, reason) = (5e6 + 1, 11);
        if (row == 17) (e.fee, reason) = (1001, 12);
        return (signed(e, key), reason);
    }

    function test_refuses_a_quote_under_the_leaf_of_an_order() public {
        ISettlementTypes.OrderEvidence memory e = signed(quote(), ALICE_KEY);
        bytes32 leaf = keccak256(abi.encodePacked(uint8(1), uint32(2), e.instr, refOf(e), e.pos, e.notional, e.fee));
        uint64 seq = postWith(word(2, 1500), dataOf(e), leaf, bytes32(uint256(7)));
        refusedAnswer(abi.encodeWithSelector(ISettlementTypes.BadLeaves.selector), ask(seq, 0, 0), seq, e);
    }

    /// @dev threat "same order or transfer used in two batches", quotes: a side counts by itself
    function test_a_side_filled_twice_is_reverted() public {
        ISettlementTypes.OrderEvidence memory e = quote();
        (e.pos, e.notional) = (6, 6e6);
        uint64 a = postTrade(e);
        uint64 b = postTrade(e);
        shown(a, e);
        shown(b, e);
        ISettlementTypes.OrderEvidence memory ask_ = quote();
        ask_.line = 3;
        overfill(two(a, b), ask_, ISettlementTypes.NotOverfilled.selector);
        e.line = 0;
        overfill(two(a, b), e, ISettlementTypes.BadInstrument.selector);
        (e.line, e.lines) = (2, lines(OPTION + 1));
        overfill(two(a, b), e, ISettlementTypes.BadModule.selector);
        e.lines = lines(OPTION);
        overfill(two(a, b), e, 0);
        eq(vault.head(), a);
    }
}
