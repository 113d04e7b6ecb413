// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Authority} from "../../src/Authority.sol";
import {Forced} from "../../src/Forced.sol";
import {Bonds} from "../../src/Bonds.sol";
import {IAuthority} from "../../src/interfaces/IAuthority.sol";
import {IMarkets} from "../../src/interfaces/IMarkets.sol";
import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../../src/libraries/ActionHash.sol";
import {Markets} from "../../src/Markets.sol";
import {Fixture} from "./Fixture.sol";
import {Packed} from "./Packed.sol";

/// @dev F2: alice bought 5 lots from bob at 100, with 1,000 and 500 units of fee; what she signed allows 10 lots at 100
abstract contract Challenged is Fixture {
    uint32 internal constant OPTION = 1;
    address internal constant OPTIONS = address(0x0771);
    address internal constant ASKER = address(0xA5C);
    uint96 internal constant CALL = (1 << 95) | (100_000e8 << 32) | 1_900_000_000;
    uint256 internal constant LOT = 1e16;
    IAuthority internal authority;
    ISettlementTypes.Header internal none;
    ISettlementTypes.AnswerState internal fresh;

    function setUp() public virtual override {
        super.setUp();
        authority = IAuthority(address(vault));
        vm.prank(TIMELOCK);
        IMarkets(address(vault)).setAsset(OPTIONS, ISettlementTypes.AssetRow(true, false, 1, uint128(LOT), 10, 1));
        uint32[] memory ids = new uint32[](1);
        address[] memory assets = new address[](1);
        uint96[] memory subIds = new uint96[](1);
        (ids[0], assets[0], subIds[0]) = (OPTION, OPTIONS, CALL);
        vm.prank(OPERATOR);
        IMarkets(address(vault)).listInstruments(ids, assets, subIds);
        token.mint(ASKER, 1_000e6);
        vm.prank(ASKER);
        token.approve(address(vault), 1_000e6);
    }

    function part() internal override returns (address) {
        return address(new Authority(address(new Forced(address(new Bonds(address(new Markets(address(0)))))))));
    }

    // ---------------------------------------------------------------- evidence

    function order(uint256 amountLots) internal view returns (ISettlementTypes.OrderEvidence memory e) {
        (e.leafIndex, e.instr, e.pos, e.notional, e.fee) = (0, OPTION, 5, 5e6, 1000);
        e.action = ISettlementTypes.Action(
            BASE + 2, START * 1e9 + 1, ActionHash.TRADE_MODULE, START + 1 days, alice, alice
        );
        e.data = abi.encode(OPTIONS, uint256(CALL), int256(100e18), int256(amountLots * LOT), 2e16, uint256(BASE + 2), true);
        e.spec = ISettlementTypes.InstrumentSpec(
            OPTIONS, CALL, false, true, 1, 1_900_000_000, 100_000e8, uint128(LOT), 10, 1
        );
        e.keyAccts = new uint32[](0);
    }

    function digest(ISettlementTypes.OrderEvidence memory e) internal view returns (bytes32) {
        return vault.actionDigest(e.action, e.data);
    }

    function signed(ISettlementTypes.OrderEvidence memory e, uint256 key)
        internal
        view
        returns (ISettlementTypes.OrderEvidence memory)
    {
        e.sig = signature(key, digest(e));
        return e;
    }

    function isQuote(ISettlementTypes.OrderEvidence memory e) private pure returns (bool) {
        return e.action.module == ActionHash.MASS_QUOTE_MODULE;
    }

    function isLeg(ISettlementTypes.OrderEvidence memory e) private pure returns (bool) {
        return e.action.module == ActionHash.RFQ_MODULE;
    }

    function kindOf(ISettlementTypes.OrderEvidence memory e) internal pure returns (uint8) {
        return isQuote(e) ? 8 : isLeg(e) ? 9 : 1;
    }

    function refOf(ISettlementTypes.OrderEvidence memory e) internal view returns (bytes32) {
        if (isLeg(e)) return keccak256(abi.encodePacked(digest(e), e.line));
        return isQuote(e) ? keccak256(abi.encodePacked(digest(e), e.line / 2, e.line % 2)) : digest(e);
    }

    function leafOf(ISettlementTypes.OrderEvidence memory e) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(kindOf(e), uint32(2), e.instr, refOf(e), e.pos, e.notional, e.fee));
    }

    /// @dev all siblings of leaf 0 or 1 of a tree whose other leaf is `right`
    function siblings(bytes32 right) internal pure returns (bytes memory out) {
        bytes32 empty;
        out = abi.encodePacked(right);
        for (uint256 level = 1; level < 20; ++level) {
            empty = keccak256(abi.encode(empty, empty));
            out = bytes.concat(out, empty);
        }
    }

    function rootOf(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        bytes32 empty;
        node = keccak256(abi.encode(left, right));
        for (uint256 level = 1; level < 20; ++level) {
            empty = keccak256(abi.encode(empty, empty));
            node = keccak256(abi.encode(node, empty));
        }
    }

    function trade(int256 lots, int256 cash, int256 fee) internal pure returns (bytes memory) {
        return bytes.concat(
            Packed.head(1, 2),
            Packed.account(2, cash),
            Packed.account(3, -cash - fee),
            Packed.pair(OPTION, lots, false)
        );
    }

    /// @dev posts a batch whose only leaves are `left` and `right`
    function postWith(uint256 h, bytes memory data, bytes32 left, bytes32 right) internal returns (uint64 seq) {
        seq = vault.head() + 1;
        postHeader(headerOf(seq, keccak256(abi.encode(seq, left)), rootOf(left, right), h), data);
    }

    function postTrade(ISettlementTypes.OrderEvidence memory e) internal returns (uint64) {
        return postWith(word(vault.reqHead(), 1500), dataOf(e), leafOf(e), bytes32(uint256(7)));
    }

    function dataOf(ISettlementTypes.OrderEvidence memory e) internal pure returns (bytes memory) {
        int256 notional = int256(uint256(e.notional));
        return trade(e.pos, (e.pos > 0 ? -notional : notional) - e.fee, 1500);
    }

    function ask(uint64 seq, uint64 cancelReq, uint64 lockReq) internal returns (bytes32) {
        vm.prank(ASKER);
        return authority.challenge(seq, headers[seq], 2, cancelReq, lockReq);
    }

    function list(ISettlementTypes.OrderEvidence memory e)
        internal
        pure
        returns (ISettlementTypes.OrderEvidence[] memory leaves)
    {
        leaves = new ISettlementTypes.OrderEvidence[](1);
        leaves[0] = e;
    }

    function respond(bytes32 id, uint64 seq, ISettlementTypes.OrderEvidence memory e) internal {
        authority.answer(id, headers[seq], fresh, list(e), siblings(bytes32(uint256(7))), dataOf(e));
    }

    function refusedAnswer(bytes memory reason, bytes32 id, uint64 seq, ISettlementTypes.OrderEvidence memory e) internal {
        bytes memory data = dataOf(e);
        vm.expectRevert(reason);
        authority.answer(id, headers[seq], fresh, list(e), siblings(bytes32(uint256(7))), data);
    }

    function notAuthorized(uint8 reason) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlementTypes.NotAuthorized.selector, 0, reason);
    }

    function shown(uint64 seq, ISettlementTypes.OrderEvidence memory e) internal {
        IAuthority.ShownLeaf memory leaf = 
            IAuthority.ShownLeaf(kindOf(e), 0, 2, e.instr, refOf(e), e.pos, e.notional, e.fee);
        authority.showFill(seq, headers[seq], leaf, siblings(bytes32(uint256(7))));
    }

    function overfill(uint64[] memory seqs, ISettlementTypes.OrderEvidence memory e, bytes4 selector) internal {
        uint64 last = seqs[seqs.length - 1];
        if (selector != 0) vm.expectRevert(selector);
        vm.prank(ASKER);
        authority.proveOverfill(e, seqs, headers[last - 1], headers[last]);
    }

    function two(uint64 a, uint64 b) internal pure returns (uint64[] memory seqs) {
        seqs = new uint64[](2);
        (seqs[0], seqs[1]) = (a, b);
    }
}
