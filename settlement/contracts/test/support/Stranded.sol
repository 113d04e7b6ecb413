// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../../src/Bonds.sol";
import {Escape} from "../../src/Escape.sol";
import {IEscape} from "../../src/interfaces/IEscape.sol";
import {IMarkets} from "../../src/interfaces/IMarkets.sol";
import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";
import {Markets} from "../../src/Markets.sol";
import {Fixture} from "./Fixture.sol";
import {Packed} from "./Packed.sol";
import {RevertPart} from "./RevertPart.sol";
import {Setups} from "./Setups.sol";
import {SmallTree} from "./SmallTree.sol";

/// @dev a vault with the escape behind it, and state trees of a few accounts
abstract contract Stranded is Fixture {
    uint40 internal constant ESCAPE = Setups.ESCAPE;
    uint40 internal constant GAP = Setups.GAP;
    uint40 internal constant CLAIMS = Setups.CLAIMS;
    bytes[8] internal leaves;

    function part() internal override returns (address) {
        return address(new RevertPart(address(new Bonds(address(new Markets(address(new Escape(address(0)))))))));
    }

    function exit() internal view returns (IEscape) {
        return IEscape(address(vault));
    }

    function state() internal view returns (ISettlementTypes.EscapeState memory) {
        return exit().escapeState();
    }

    function leaf(address owner, int128 cash, bytes memory entries) internal pure returns (bytes memory) {
        return abi.encodePacked(owner, cash, entries);
    }

    function option(uint32 instr, int64 lots) internal pure returns (bytes memory) {
        return abi.encodePacked(instr, lots);
    }

    function perpetual(uint32 instr, int64 lots, int64 index) internal pure returns (bytes memory) {
        return abi.encodePacked(instr | 0x80000000, lots, index);
    }

    /// @dev the operator's batch that leads to the leaves, on round `round`
    function settle(uint64 round) internal {
        uint256 h = Packed.h(vault.reqHead(), round, block.timestamp, block.timestamp, 0);
        postHeader(headerOf(vault.head() + 1, SmallTree.root(leaves), 0, h), EMPTY);
        finalizeAll();
    }

    function publish(bytes memory vector) internal returns (uint64 round) {
        round = IMarkets(address(vault)).oracleHead() + 1;
        byKey(vault.operator());
        IMarkets(address(vault)).postOracle(round, vector, uint40(block.timestamp), "");
    }

    function freeze() internal {
        vm.prank(vault.operator());
        exit().freeze();
    }

    function claim(uint32 acct) internal {
        exit().escapeClaim(acct, leaves[acct], SmallTree.path(leaves, acct));
    }

    function refuseClaim(bytes memory fault, uint32 acct, bytes memory shown, uint256 place) internal {
        bytes memory path = SmallTree.path(leaves, place);
        vm.expectRevert(fault);
        exit().escapeClaim(acct, shown, path);
    }

    function code(bytes4 selector) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    function later(uint256 time) internal {
        vm.warp(block.timestamp + time);
    }
}
