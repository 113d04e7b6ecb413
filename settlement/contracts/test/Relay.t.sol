// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {ActionHash} from "../src/libraries/ActionHash.sol";
import {Fixture} from "./support/Fixture.sol";
import {Wallet} from "./support/Wallet.sol";

/// @dev signed actions brought by a third party
contract RelayTest is Fixture {
    address private constant RECIPIENT = address(0xCAFE);
    address private constant KEY = address(0xBEEF);

    function action(address module, uint256 subaccount, address owner) private view returns (ISettlementTypes.Action memory) {
        return ISettlementTypes.Action(subaccount, START * 1e9 + 7, module, START + 100, owner, owner);
    }

    function withdrawal() private view returns (ISettlementTypes.Action memory) {
        return action(ActionHash.WITHDRAW_MODULE, BASE + 2, alice);
    }

    function keySetting() private view returns (ISettlementTypes.Action memory) {
        return action(ActionHash.SESSION_KEY_MODULE, 0, alice);
    }

    function withdrawData(address asset, address recipient, uint256 amount) private pure returns (bytes memory) {
        return abi.encode(asset, 1e18, recipient, amount, false);
    }

    function goodData() private view returns (bytes memory) {
        return withdrawData(vault.settlementAsset(), RECIPIENT, 25e6);
    }

    function keyData(uint256 expiry, uint256 scope, uint256 subaccount) private pure returns (bytes memory) {
        uint256[] memory scopes = new uint256[](1);
        uint256[] memory subaccounts = new uint256[](1);
        (scopes[0], subaccounts[0]) = (scope, subaccount);
        return abi.encode(KEY, expiry, scopes, subaccounts);
    }

    function relay(ISettlementTypes.Action memory a, bytes memory data) private returns (uint64) {
        return vault.relayRequest(a, data, signature(ALICE_KEY, vault.actionDigest(a, data)));
    }

    function refused(bytes4 selector, ISettlementTypes.Action memory a, bytes memory data) private {
        bytes memory sig = signature(ALICE_KEY, vault.actionDigest(a, data));
        vm.expectRevert(selector);
        vault.relayRequest(a, data, sig);
    }

    function test_refuses_an_expired_action() public {
        bytes memory data = goodData();
        vm.warp(START + 101);
        refused(ISettlementTypes.ActionExpired.selector, withdrawal(), data);
    }

    function test_refuses_other_modules() public {
        ISettlementTypes.Action memory a = withdrawal();
        a.module = 0xB8D20c2B7a1Ad2EE33Bc50eF10876eD3035b5e7b;
        refused(ISettlementTypes.BadModule.selector, a, goodData());
    }

    function test_refuses_a_session_key_s_signature() public {
        ISettlementTypes.Action memory a = withdrawal();
        a.signer = bob;
        refused(ISettlementTypes.BadSignature.selector, a, goodData());
    }

    function test_refuses_another_s_signature() public {
        ISettlementTypes.Action memory a = withdrawal();
        (a.owner, a.signer) = (bob, bob);
        refused(ISettlementTypes.BadSignature.selector, a, goodData());
    }

    function test_refuses_a_signature_over_other_data() public {
        ISettlementTypes.Action memory a = withdrawal();
        bytes memory sig = signature(ALICE_KEY, vault.actionDigest(a, goodData()));
        bytes memory other = withdrawData(vault.settlementAsset(), RECIPIENT, 26e6);
        vm.expectRevert(ISettlementTypes.BadSignature.selector);
        vault.relayRequest(a, other, sig);
    }

    function test_refuses_a_digest_twice() public {
        relay(withdrawal(), goodData());
        postApproval(0);
        refused(ISettlementTypes.ActionUsed.selector, withdrawal(), goodData());
    }

    function test_refuses_a_foreign_account() public {
        refused(ISettlementTypes.NotOwner.selector, action(ActionHash.WITHDRAW_MODULE, BASE + 3, alice), goodData());
    }

    function test_refuses_subaccounts_of_other_deployments() public {
        bytes4 bad = ISettlementTypes.BadSubaccount.selector;
        refused(bad, action(ActionHash.WITHDRAW_MODULE, 2, alice), goodData());
        refused(bad, action(ActionHash.WITHDRAW_MODULE, BASE + (1 << 20), alice), goodData());
        refused(bad, action(ActionHash.SESSION_KEY_MODULE, BASE + 2, alice), keyData(START + 1 days, 3, BASE + 2));
        refused(bad, keySetting(), keyData(START + 1 days, 3, 2));
    }

    function test_refuses_another_asset_or_no_recipient() public {
        bytes4 bad = ISettlementTypes.BadAsset.selector;
        refused(bad, withdrawal(), withdrawData(address(token), RECIPIENT, 25e6));
        refused(bad, withdrawal(), withdrawData(vault.settlementAsset(), address(0), 25e6));
    }

    function test_refuses_amounts_out_of_range() public {
        bytes memory huge = withdrawData(vault.settlementAsset(), RECIPIENT, 1 << 64);
        refused(ISettlementTypes.BadAmount.selector, withdrawal(), huge);
        bytes memory nothing = withdrawData(vault.settlementAsset(), RECIPIENT, 0);
        refused(ISettlementTypes.ZeroAmount.selector, withdrawal(), nothing);
    }

    function test_refuses_key_nonces_outside_the_window() public {
        bytes4 bad = ISettlementTypes.BadNonce.selector;
        bytes memory data = keyData(START + 1 days, 3, BASE + 2);
        ISettlementTypes.Action memory a = keySetting();
        a.nonce = START * 1e9 - 1; // before the deployment
        refused(bad, a, data);
        a.nonce = (START + 1 hours) * 1e9 + 1;
        refused(bad, a, data);
        a.nonce = START * 1e9;
        a.expiry = START + 1 days;
        vm.warp(START + 1 hours + 1);
        refused(bad, a, data);
        vm.warp(START + 1 hours);
        relay(a, data);
    }

    function test_refuses_unknown_scope_codes_and_far_expiries() public {
        refused(ISettlementTypes.BadScope.selector, keySetting(), keyData(START + 1 days, 17, BASE + 2));
        refused(ISettlementTypes.BadExpiry.selector, keySetting(), keyData(1 << 40, 3, BASE + 2));
    }

    function test_relayed_withdrawal_pays_the_signed_recipient() public {
        uint64 id = relay(withdrawal(), goodData());
        eq(vault.payee(id), RECIPIENT);
        eq(vault.request(id).amount, 25e6);
        postApproval(25e6);
        finalizeAll();
        vault.claim(one(id), address(0), "");
        eq(token.balanceOf(RECIPIENT), 25e6);
    }

    function test_recipient_that_is_the_owner_needs_no_payee() public {
        eq(vault.payee(relay(withdrawal(), withdrawData(vault.settlementAsset(), alice, 25e6))), address(0));
    }

    function test_relayed_key_is_registered_and_revoked() public {
        relay(keySetting(), keyData(START + 1 days, 3, BASE + 2));
        eq(vault.sessionKey(alice, KEY).scopes, 1 << 3);
        eq(vault.sessionKey(alice, KEY).listHash, uint144(uint256(keccak256(abi.encode(uint256(2))))));
        relay(keySetting(), keyData(0, 3, BASE + 2));
        eq(vault.sessionKey(alice, KEY).validTo, START + 10 minutes);
    }

    function test_contract_wallet_signs_by_erc1271() public {
        Wallet wallet = new Wallet();
        token.mint(address(wallet), 100e6);
        uint32 acct = wallet.open(vault, IERC20(address(token)), 100e6);
        ISettlementTypes.Action memory a = action(ActionHash.WITHDRAW_MODULE, BASE + acct, address(wallet));
        bytes memory data = goodData();
        vm.expectRevert(ISettlementTypes.BadSignature.selector);
        vault.relayRequest(a, data, "");
        wallet.approve(vault.actionDigest(a, data));
        vault.relayRequest(a, data, "");
    }
}

/// @dev published hashes of the wire protocol
contract ActionHashTest is Fixture {
    address private constant OWNER = 0x000000000000000000000000000000000000dEaD;

    function hash(ISettlementTypes.Action calldata a, bytes calldata data) external pure returns (bytes32) {
        return ActionHash.action(a, data);
    }

    function test_separators() public pure {
        eq(ActionHash.separator(424242), 0x4582e7784106671900b8f036e59b6f36689e70153df479827b8c805913741d57);
        eq(ActionHash.separator(31337), 0x8a010a34fc48f792a220b0b63077f0f8ba664f21340882d60fb34b4959397842);
    }

    function test_withdraw_vector() public view {
        bytes memory data = abi.encode(address(0x3333333333333333333333333333333333333333), 1e18, OWNER, 250000000, false);
        ISettlementTypes.Action memory a =
            ISettlementTypes.Action(7, 1795357455576914615, ActionHash.WITHDRAW_MODULE, 1800000000, OWNER, vm.addr(KEY));
        bytes32 actionHash = this.hash(a, data);
        eq(actionHash, 0xb2e4754afbfe2732b96620f52072bc2a0c041e3e2cc8918b644abef73445036f);
        eq(
            ActionHash.digest(ActionHash.separator(424242), actionHash),
            0x23ae56ed3bc6053c43a63bbafeaa890d0ac195f7c1b6f2d4ad0b906f50ca7be4
        );
    }

    function test_session_key_vector() public view {
        uint256[] memory scopes = new uint256[](2);
        uint256[] memory subaccounts = new uint256[](1);
        (scopes[0], scopes[1], subaccounts[0]) = (3, 7, 7);
        bytes memory data =
            abi.encode(address(0x5555555555555555555555555555555555555555), 1800000000, scopes, subaccounts);
        ISettlementTypes.Action memory a =
            ISettlementTypes.Action(0, 1795357455576914615, ActionHash.SESSION_KEY_MODULE, 1800000000, OWNER, vm.addr(KEY));
        eq(this.hash(a, data), 0x55e03b2b8b6dcf087ec214a222121d1f413ddfe77933888cf1649fdf8722bf7b);
    }

    uint256 private constant KEY = 0x2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd;
}
