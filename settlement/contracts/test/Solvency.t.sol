// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Settlement} from "../src/Settlement.sol";
import {Actor} from "./support/Actor.sol";
import {Checks} from "./support/Vm.sol";

/// @dev invariants under any order of deposits, requests, batches, finality and claims
contract SolvencyTest is Checks {
    Actor private actor;
    Settlement private vault;

    function setUp() public {
        actor = new Actor();
        vault = actor.vault();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    /// @dev collateral + deposits not consumed + withdrawals approved and not paid
    function invariant_vault_holds_what_it_owes() public view {
        uint256 owed = vault.collateral();
        for (uint64 id = 1; id <= vault.reqHead(); ++id) {
            ISettlement.Request memory row = vault.request(id);
            if (row.kind == uint8(ISettlement.Kind.DEPOSIT) && id > vault.reqDone()) owed += row.amount;
            if (row.kind == uint8(ISettlement.Kind.WITHDRAW)) owed += row.aux >> 40;
        }
        eq(actor.token().balanceOf(address(vault)), owed);
    }

    function invariant_what_was_paid_has_left() public view {
        eq(actor.token().balanceOf(address(actor)), actor.paid());
    }

    function invariant_counters_keep_their_order() public view {
        yes(vault.reqFinal() <= vault.reqDone() && vault.reqDone() <= vault.reqHead());
        yes(vault.finalized() <= vault.head());
    }
}

/// @dev one scripted run through the same actor, so that the invariants are known to reach a payment
contract SolvencyScriptTest is Checks {
    function test_script_reaches_a_payment() public {
        Actor actor = new Actor();
        actor.deposit(100e6, 0);
        actor.withdraw(50e6, 2);
        actor.post(2, 40e6);
        actor.finalize();
        actor.claim(0);
        yes(actor.paid() > 0);
    }
}
