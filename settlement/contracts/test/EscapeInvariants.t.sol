// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../src/interfaces/ISettlementTypes.sol";
import {Exiter} from "./support/Exiter.sol";
import {Checks} from "./support/Vm.sol";

/// @dev threat "operator vanishes": whatever the order of claims, payments and refunds, no more leaves than there is
contract EscapeInvariantsTest is Checks {
    Exiter private exiter;

    function setUp() public {
        exiter = new Exiter();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(exiter);
    }

    function invariant_no_more_is_paid_than_there_is() public view {
        ISettlementTypes.EscapeState memory state = exiter.escape();
        yes(state.paid <= state.assets);
        eq(state.paid, exiter.paid());
        eq(state.assets, exiter.START_ASSETS());
        eq(exiter.held(), state.assets - state.paid + 100e6 - exiter.refunded());
    }

    function invariant_claims_in_time_get_the_same_share() public view {
        ISettlementTypes.EscapeState memory state = exiter.escape();
        for (uint32 acct = 2; acct < 8; ++acct) {
            if (exiter.got(acct) == 0) continue;
            uint256 amount = exiter.claimOf(acct);
            yes(exiter.got(acct) <= amount);
            if (exiter.wasLate(acct)) continue;
            uint256 share = state.totalClaims > state.assets ? amount * state.assets / state.totalClaims : amount;
            eq(exiter.got(acct), share);
        }
    }
}

/// @dev one scripted run through the same exiter, so that the invariants are known to reach payments
contract EscapeScriptTest is Checks {
    function test_script_reaches_payments_and_refunds() public {
        Exiter exiter = new Exiter();
        exiter.register(0);
        exiter.register(1);
        for (uint256 i = 0; i < 5; ++i) {
            exiter.wait(900);
        }
        exiter.register(3);
        yes(exiter.wasLate(5));
        exiter.pay(0);
        exiter.pay(1);
        exiter.pay(3);
        eq(exiter.paid(), 2_900e6 - 1); // 1,900 and 1,400 share 2,900, each rounded down
        exiter.refund(7);
        exiter.refund(8);
        eq(exiter.refunded(), 100e6);
    }
}
