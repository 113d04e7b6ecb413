// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../../src/Bonds.sol";
import {DemoUSDC} from "../../src/DemoUSDC.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Packed} from "./Packed.sol";
import {RevertPart} from "./RevertPart.sol";
import {Setups} from "./Setups.sol";
import {Checks} from "./Vm.sol";

/// @dev a deployed vault with two funded accounts, 2 of alice and 3 of bob, whose deposits wait in the queue
abstract contract Fixture is Checks {
    uint256 internal constant ALICE_KEY = 0xA11CE;
    uint256 internal constant BOB_KEY = 0xB0B;
    uint64 internal constant BASE = Setups.BASE;
    uint40 internal constant WINDOW = Setups.WINDOW;
    uint40 internal constant DELAY = Setups.DELAY;
    uint64 internal constant MINIMUM = Setups.MINIMUM;
    uint64 internal constant BOND = Setups.BOND;
    address internal constant TIMELOCK = Setups.TIMELOCK;
    address internal constant OPERATOR = Setups.OPERATOR;
    uint256 internal constant START = 1_800_000_000;
    /// @dev slot of `_notices` in `Storage`; a test of the notices holds it against the contract
    uint256 internal constant NOTICES = 40;
    bytes internal constant EMPTY = hex"000000";

    address internal alice = vm.addr(ALICE_KEY);
    address internal bob = vm.addr(BOB_KEY);
    DemoUSDC internal token;
    Settlement internal vault;
    mapping(uint64 seq => ISettlementTypes.Header) internal headers;

    function setUp() public virtual {
        vm.warp(START);
        token = new DemoUSDC();
        vault = deploy(address(token));
        token.mint(address(this), BOND);
        token.approve(address(vault), BOND);
        bonds().topUpBond(BOND);
        fund(alice, 0, 1_000e6);
        fund(bob, 0, 1_000e6);
    }

    function deploy(address coin) internal returns (Settlement) {
        return new Settlement(Setups.standard(coin, Setups.OPERATOR, part()));
    }

    /// @dev the code that answers what the contract does not know
    function part() internal virtual returns (address) {
        return address(new RevertPart(address(new Bonds(address(0)))));
    }

    function bonds() internal view returns (IBonds) {
        return IBonds(address(vault));
    }

    /// @dev a call that the timelock announced long enough ago, in a contract without a revert behind it; the time is
    /// asked for, because the compiler takes the block's for a constant
    function ripen(bytes memory call) internal {
        bytes32 slot = keccak256(abi.encode(keccak256(call), NOTICES));
        if (vm.getBlockNumber() < Setups.BLOCKS) vm.roll(Setups.BLOCKS);
        vm.store(address(vault), slot, bytes32(vm.getBlockTimestamp() - Setups.TIMELOCK_DELAY));
    }

    function fund(address who, uint32 acct, uint64 amount) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(vault), amount);
        vm.prank(who);
        vault.deposit(acct, amount);
    }

    function word(uint256 upTo, int256 fee) internal view returns (uint256) {
        return Packed.h(upTo, 0, vault.lastMatchTo(), block.timestamp, fee);
    }

    /// @dev posts the next batch and keeps its header
    function post(uint256 h, bytes memory data) internal returns (uint64 seq) {
        seq = vault.head() + 1;
        postHeader(headerOf(seq, keccak256(abi.encode("root", seq)), 0, h), data);
    }

    function headerOf(uint64 seq, bytes32 newRoot, bytes32 ordersRoot, uint256 h)
        internal
        view
        returns (ISettlementTypes.Header memory header)
    {
        header.prevBatchHash = vault.batchHash(seq - 1);
        header.prevRoot = vault.root();
        header.newRoot = newRoot;
        header.ordersRoot = ordersRoot;
        header.h = h;
        header.blockTime = uint64(block.timestamp);
        header.blockNumber = uint64(block.number);
    }

    /// @dev the operator of the moment posts, whoever he is
    function postHeader(ISettlementTypes.Header memory header, bytes memory data) internal {
        uint64 seq = vault.head() + 1;
        header.dataHash = keccak256(data);
        byKey(vault.operator());
        vault.post(seq, header.newRoot, header.ordersRoot, header.h, data);
        header.collateral = vault.collateral();
        headers[seq] = header;
    }

    /// @dev consumes the whole queue with `approved` for its only withdrawal
    function postApproval(uint64 approved) internal returns (uint64) {
        return post(word(vault.reqHead(), 0), bytes.concat(EMPTY, abi.encodePacked(approved)));
    }

    function refuse(bytes4 selector, uint64 seq, uint256 h, bytes memory data) internal {
        address operator = vault.operator() == address(0) ? OPERATOR : vault.operator();
        vm.expectRevert(selector);
        byKey(operator);
        vault.post(seq, 0, 0, h, data);
    }

    function finalizeAll() internal {
        vm.warp(block.timestamp + WINDOW);
        vm.roll(block.number + Setups.BLOCKS);
        while (vault.finalized() < vault.head()) {
            uint64 seq = vault.finalized() + 1;
            vault.finalize(seq, headers[seq]);
        }
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function one(uint64 id) internal pure returns (uint64[] memory ids) {
        ids = new uint64[](1);
        ids[0] = id;
    }
}
