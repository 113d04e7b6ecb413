// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
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

    /// @dev collateral + deposits not consumed + withdrawals approved and not paid + bonds, pot and credits
    function invariant_vault_holds_what_it_owes() public view {
        uint256 owed = vault.collateral();
        for (uint64 id = 1; id <= vault.reqHead(); ++id) {
            ISettlementTypes.Request memory row = vault.request(id);
            if (row.kind == uint8(ISettlementTypes.Kind.DEPOSIT) && id > vault.reqDone()) owed += row.amount;
            if (row.kind == uint8(ISettlementTypes.Kind.WITHDRAW) && id <= vault.reqDone()) owed += row.aux >> 40;
        }
        owed += vault.bond() + vault.pot() + vault.credit(address(actor)) + actor.removed();
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
        actor.post(2, 0);
        actor.accuse(0);
        yes(actor.vault().epoch() == 1);
        actor.post(2, 0);
        actor.finalize();
        actor.sweep();
        eq(actor.vault().pot(), 0);
    }
}
