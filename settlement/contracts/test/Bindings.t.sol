// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Settlement} from "../src/Settlement.sol";
import {Challenged} from "./support/Challenged.sol";
import {Setups} from "./support/Setups.sol";

/// @dev threat "signature for one subaccount or deployment used for another": every module that a signature can name,
/// with a signature that its owner gave for another subaccount of his (4), another contract or another chain
contract BindingsTest is Challenged {
    enum Of {
        SUBACCOUNT,
        CONTRACT,
        CHAIN
    }

    address private constant ELSEWHERE = address(0x0772);
    address private constant TRANSFER_MODULE = 0x01259207A40925b794C8ac320456F7F6c8FE2636;
    uint256 private constant MINE = BASE + 2;
    uint256 private constant OTHER = BASE + 4;

    function setUp() public override {
        super.setUp();
        fund(alice, 0, 100e6);
    }

    function signedOn(uint256 chain, ISettlementTypes.Action calldata a, bytes calldata data)
        external
        view
        returns (bytes memory)
    {
        return signature(ALICE_KEY, ActionHash.digest(ActionHash.separator(chain), ActionHash.action(a, data)));
    }

    function sign(Of what, ISettlementTypes.Action memory a, bytes memory data) private view returns (bytes memory) {
        return this.signedOn(what == Of.CHAIN ? block.chainid + 1 : block.chainid, a, data);
    }

    function traded(Of what) private view returns (ISettlementTypes.OrderEvidence memory e, uint8) {
        e = order(10);
        uint256 to = what == Of.SUBACCOUNT ? OTHER : MINE;
        address asset = what == Of.CONTRACT ? ELSEWHERE : OPTIONS;
        e.action.subaccountId = to;
        e.data = abi.encode(asset, uint256(CALL), int256(100e18), int256(10 * LOT), 2e16, to, true);
        e.sig = sign(what, e.action, e.data);
        return (e, [2, 8, 5][uint8(what)]);
    }

    function quoted(Of what) private view returns (ISettlementTypes.OrderEvidence memory e, uint8) {
        e = order(10);
        uint256 to = what == Of.SUBACCOUNT ? OTHER : MINE;
        e.lines = abi.encodePacked(OPTION, int64(100_000), uint64(10), int64(100_001), uint64(4));
        (e.action.module, e.action.subaccountId) = (ActionHash.MASS_QUOTE_MODULE, to);
        e.data = abi.encode(what == Of.CONTRACT ? ELSEWHERE : address(vault), keccak256(e.lines), 1, 2e16, to);
        e.sig = sign(what, e.action, e.data);
        return (e, [2, 3, 5][uint8(what)]);
    }

    function test_no_order_and_no_quote_of_elsewhere_is_an_answer() public {
        uint64 seq = postTrade(signed(order(10), ALICE_KEY));
        bytes32 id = ask(seq, 0, 0);
        for (uint8 i = 0; i < 3; ++i) {
            (ISettlementTypes.OrderEvidence memory e, uint8 reason) = traded(Of(i));
            refusedAnswer(notAuthorized(reason), id, seq, e);
            (e, reason) = quoted(Of(i));
            refusedAnswer(notAuthorized(reason), id, seq, e);
        }
        respond(id, seq, signed(order(10), ALICE_KEY));
    }

    function action(address module, uint256 subaccount) private view returns (ISettlementTypes.Action memory) {
        return ISettlementTypes.Action(subaccount, START * 1e9 + 7, module, START + 100, alice, alice);
    }

    function refusedRelay(bytes4 fault, Settlement at, ISettlementTypes.Action memory a, bytes memory data, bytes memory sig)
        private
    {
        vm.expectRevert(fault);
        at.relayRequest(a, data, sig);
    }

    function test_no_withdrawal_of_elsewhere_is_relayed() public {
        bytes memory data = abi.encode(vault.settlementAsset(), 1e18, alice, 25e6, false);
        ISettlementTypes.Action memory a = action(ActionHash.WITHDRAW_MODULE, MINE);
        bytes memory sig = sign(Of.SUBACCOUNT, action(ActionHash.WITHDRAW_MODULE, OTHER), data);
        refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, sig);
        refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, sign(Of.CHAIN, a, data));
        sig = sign(Of.CONTRACT, a, data);
        Settlement twin = twinOf();
        refusedRelay(ISettlementTypes.BadAsset.selector, twin, a, data, sig);
        vault.relayRequest(a, data, sig);
    }

    /// @dev the fund and the clearing account have no owner, and a signature that recovers nobody is not his
    function test_a_broken_signature_owns_neither_the_fund_nor_the_clearing_account() public {
        bytes memory data = abi.encode(vault.settlementAsset(), 1e18, alice, 25e6, false);
        for (uint256 acct = 0; acct < 2; ++acct) {
            ISettlementTypes.Action memory a = action(ActionHash.WITHDRAW_MODULE, BASE + acct);
            (a.owner, a.signer) = (address(0), address(0));
            refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, new bytes(65));
            refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, "");
        }
    }

    function keyData(uint256 subaccount) private pure returns (bytes memory) {
        uint256[] memory scopes = new uint256[](1);
        uint256[] memory subaccounts = new uint256[](1);
        (scopes[0], subaccounts[0]) = (3, subaccount);
        return abi.encode(address(0xBEEF), START + 1 days, scopes, subaccounts);
    }

    /// @dev the data names no contract: subaccounts do, where two deployments do not share them
    function test_no_key_of_elsewhere_is_relayed() public {
        ISettlementTypes.Action memory a = action(ActionHash.SESSION_KEY_MODULE, 0);
        bytes memory data = keyData(MINE);
        bytes memory sig = sign(Of.SUBACCOUNT, a, keyData(OTHER));
        refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, sig);
        refusedRelay(ISettlementTypes.BadSignature.selector, vault, a, data, sign(Of.CHAIN, a, data));
        sig = sign(Of.CONTRACT, a, data);
        Settlement twin = twinOf();
        refusedRelay(ISettlementTypes.BadSubaccount.selector, twin, a, data, sig);
        vault.relayRequest(a, data, sig);
    }

    /// @dev another deployment of the chain, where alice has an account as well
    function twinOf() private returns (Settlement twin) {
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, vault.nextPart());
        setup.subaccountBase = BASE + (1 << 20);
        twin = new Settlement(setup);
        token.mint(alice, 100e6);
        vm.prank(alice);
        token.approve(address(twin), 100e6);
        vm.prank(alice);
        twin.deposit(0, 100e6);
    }

    /// @dev threat "same order or transfer used in two batches, or twice in one": a transfer authorizes nothing, not once
    function test_a_transfer_is_no_answer() public {
        ISettlementTypes.OrderEvidence memory e = order(10);
        e.action.module = TRANSFER_MODULE;
        e = signed(e, ALICE_KEY);
        uint64 seq = postTrade(e);
        refusedAnswer(notAuthorized(3), ask(seq, 0, 0), seq, e);
        bytes32 leaf = keccak256(abi.encodePacked(uint8(6), uint32(2), e.instr, refOf(e), e.pos, e.notional, e.fee));
        seq = postWith(word(vault.reqHead(), 1500), dataOf(e), leaf, bytes32(uint256(7)));
        refusedAnswer(notAuthorized(3), ask(seq, 0, 0), seq, e);
    }
}
