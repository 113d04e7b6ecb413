// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @dev registration and revocation of keys
contract SessionKeysTest is Fixture {
    address private constant KEY = 0xfEDcba9876543210fEdCbA98765432100123Cdef;
    uint40 private constant LATER = uint40(START + 1 days);

    function set(address who, address key, uint40 to, uint32 scopes, uint32[] memory accts) private returns (uint64) {
        vm.prank(who);
        return vault.setSessionKey(key, to, scopes, accts);
    }

    function refused(bytes4 selector, address key, uint40 to, uint32 scopes, uint32[] memory accts) private {
        vm.expectRevert(selector);
        set(alice, key, to, scopes, accts);
    }

    function list(uint32 acct) private pure returns (uint32[] memory accts) {
        accts = new uint32[](1);
        accts[0] = acct;
    }

    function none() private pure returns (uint32[] memory) {
        return new uint32[](0);
    }

    function test_refuses_an_owner_without_account() public {
        vm.expectRevert(ISettlementTypes.NoAccount.selector);
        vault.setSessionKey(KEY, LATER, 1, none());
    }

    function test_refuses_bad_keys() public {
        refused(ISettlementTypes.BadKey.selector, address(0), LATER, 1, none());
        refused(ISettlementTypes.BadKey.selector, alice, LATER, 1, none());
    }

    function test_refuses_a_past_expiry() public {
        refused(ISettlementTypes.BadExpiry.selector, KEY, uint40(START), 1, none());
    }

    function test_refuses_unknown_scopes() public {
        refused(ISettlementTypes.BadScope.selector, KEY, LATER, 1 << 17, none());
    }

    function test_refuses_foreign_accounts() public {
        refused(ISettlementTypes.NotOwner.selector, KEY, LATER, 1, list(3));
    }

    function test_refuses_a_long_list() public {
        refused(ISettlementTypes.TooManyAccountsInList.selector, KEY, LATER, 1, new uint32[](65));
    }

    function test_refuses_a_second_open_registration() public {
        set(alice, KEY, LATER, 1, none());
        vm.expectRevert(abi.encodeWithSelector(ISettlementTypes.RequestOpen.selector, 3));
        set(alice, address(1), LATER, 1, none());
    }

    function test_refuses_to_revoke_an_unknown_key() public {
        refused(ISettlementTypes.UnknownKey.selector, KEY, 0, 0, none());
    }

    function test_registered_key_has_its_row_and_request() public {
        uint64 id = set(alice, KEY, LATER, 0x7c, list(2));
        ISettlementTypes.SessionKey memory row = vault.sessionKey(alice, KEY);
        eq(row.validFrom, START);
        eq(row.validTo, LATER);
        eq(row.scopes, 0x7c);
        eq(row.listHash, uint144(uint256(keccak256(abi.encode(uint256(2))))));
        ISettlementTypes.Request memory req = vault.request(id);
        eq(req.kind, uint8(ISettlementTypes.Kind.SET_KEY));
        eq(address(uint160(uint256(req.amount) << 96 | req.aux)), KEY);
        eq(req.acct, 2);
    }

    function test_revoked_key_keeps_its_row_for_ever() public {
        set(alice, KEY, LATER, 4, none());
        eq(set(alice, KEY, 0, 0, none()), 4); // at once, though the registration is still open
        eq(vault.sessionKey(alice, KEY).validTo, START + 10 minutes);
        eq(vault.sessionKey(alice, KEY).scopes, 4);
        refused(ISettlementTypes.BadExpiry.selector, KEY, 0, 0, none());
        vm.warp(START + 11 minutes);
        refused(ISettlementTypes.BadKey.selector, KEY, LATER, 4, none());
    }

    function test_consumed_key_request_leaves_the_collateral() public {
        set(alice, KEY, LATER, 4, none());
        post(word(3, 0), EMPTY);
        eq(vault.collateral(), 2_000e6);
        eq(set(alice, address(1), LATER, 4, none()), 4);
    }
}
