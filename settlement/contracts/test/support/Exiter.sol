// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";
import {Setups} from "./Setups.sol";
import {SmallTree} from "./SmallTree.sol";
import {Stranded} from "./Stranded.sol";

/// @dev a frozen vault with six accounts, two of them bankrupt; every call claims, pays, refunds or lets time pass
contract Exiter is Stranded {
    uint32 private constant FIRST = 2;
    uint32 private constant LAST = 7;
    uint256 public constant START_ASSETS = 2_400e6 + 500e6;
    uint256 public paid;
    uint256 public refunded;
    mapping(uint32 acct => uint256) public got;
    mapping(uint32 acct => bool) public wasLate;

    constructor() {
        setUp();
        for (uint32 acct = 4; acct <= LAST; ++acct) {
            fund(owner(acct), 0, 100e6);
        }
        int128[6] memory cash = [int128(1_900e6), 1_400e6, -700e6, 333_333_333, -900e6, 1];
        int128 rest = 2_400e6;
        for (uint32 acct = FIRST; acct <= LAST; ++acct) {
            rest -= cash[acct - FIRST];
            leaves[acct] = leaf(vault.accountOwner(acct), cash[acct - FIRST], "");
        }
        leaves[0] = leaf(address(0), rest, "");
        settle(0);
        fund(owner(4), 4, 40e6);
        fund(owner(5), 0, 60e6);
        freeze();
        exit().loadMarks("");
    }

    /// @dev the fuzzer calls every public function
    function setUp() public override {
        yes(address(vault) == address(0));
        super.setUp();
    }

    function owner(uint32 acct) private pure returns (address) {
        return address(uint160(0xACC0 + acct));
    }

    function register(uint32 acct) external {
        acct = uint32(within(acct, FIRST, LAST));
        bytes memory path = SmallTree.path(leaves, acct);
        try exit().escapeClaim(acct, leaves[acct], path) {
            wasLate[acct] = block.timestamp >= state().claimsEnd;
        } catch {}
    }

    function pay(uint32 acct) external {
        acct = uint32(within(acct, FIRST, LAST));
        address to = vault.accountOwner(acct);
        uint256 before = token.balanceOf(to);
        try exit().escapePay(acct) {
            got[acct] += token.balanceOf(to) - before;
            paid += token.balanceOf(to) - before;
        } catch {}
    }

    function refund(uint64 id) external {
        id = uint64(within(id, 0, vault.reqHead() + 1));
        uint256 before = token.balanceOf(address(vault));
        try exit().escapeRefund(id) {
            refunded += before - token.balanceOf(address(vault));
        } catch {}
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + within(time, 0, Setups.CLAIMS / 4));
    }

    /// @dev what leaves besides: nothing
    function disturb(uint8 what) external {
        bytes[5] memory others = [
            abi.encodeCall(vault.deposit, (2, 20e6)),
            abi.encodeCall(bonds().topUpBond, (1)),
            abi.encodeCall(bonds().sweepPot, ()),
            abi.encodeCall(bonds().releaseBond, ()),
            abi.encodeCall(exit().freeze, ())
        ];
        (bool ok,) = address(vault).call(others[what % 5]);
        yes(!ok);
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    function escape() external view returns (ISettlementTypes.EscapeState memory) {
        return state();
    }

    function claimOf(uint32 acct) external view returns (uint256 amount) {
        (amount,,,) = exit().escapeClaimOf(acct);
    }
}
