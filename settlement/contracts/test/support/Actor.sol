// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {DemoUSDC} from "../../src/DemoUSDC.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Packed} from "./Packed.sol";
import {Checks} from "./Vm.sol";

/// @dev owner of every account, operator and bystander in one; every call does something valid or nothing
contract Actor is Checks {
    uint40 private constant WINDOW = 60;
    uint64 private constant MINIMUM = 10e6;

    DemoUSDC public immutable token = new DemoUSDC();
    Settlement public immutable vault;
    uint256 public paid;
    uint256 private clock = 1_800_000_000;
    mapping(uint64 seq => ISettlement.Header) private headers;

    constructor() {
        vm.warp(clock);
        vault = new Settlement(IERC20(address(token)), address(this), 0, WINDOW, 7 days, MINIMUM);
        token.approve(address(vault), type(uint256).max);
    }

    function deposit(uint64 amount, uint32 acct) external {
        amount = uint64(within(amount, MINIMUM, 1e12));
        token.mint(address(this), amount);
        uint32 next = vault.nextAccount();
        vault.deposit(next == 2 || acct % 3 == 0 ? 0 : uint32(within(acct, 2, next - 1)), amount);
    }

    function withdraw(uint64 amount, uint32 acct) external {
        if (vault.nextAccount() == 2) return;
        acct = uint32(within(acct, 2, vault.nextAccount() - 1));
        if (vault.lastRequest(acct, ISettlement.Kind.WITHDRAW) > vault.reqDone()) return;
        vault.requestWithdraw(acct, uint64(within(amount, 1, 1e12)));
    }

    function post(uint256 share, uint256 mercy) external {
        uint64 done = vault.reqDone();
        uint64 most = vault.reqHead() - done > 64 ? done + 64 : vault.reqHead();
        uint64 upTo = uint64(within(share, done, most));
        bytes memory data = bytes.concat(hex"000000", approvals(done, upTo, mercy));
        record(Packed.h(upTo, 0, vault.lastMatchTo(), clock, 0), data);
    }

    function finalize() external {
        uint64 seq = vault.finalized() + 1;
        if (seq > vault.head()) return;
        tick(WINDOW);
        vault.finalize(seq, headers[seq]);
    }

    function claim(uint64 from) external {
        uint64 last = vault.reqFinal();
        for (uint64 i = 0; i < last; ++i) {
            uint64 id = 1 + (from % last + i) % last;
            ISettlement.Request memory row = vault.request(id);
            if (row.kind != uint8(ISettlement.Kind.WITHDRAW) || row.aux >> 40 == 0) continue;
            uint64[] memory ids = new uint64[](1);
            ids[0] = id;
            vault.claim(ids, address(0), "");
            paid += row.aux >> 40;
            return;
        }
    }

    function tick(uint256 time) public {
        clock += within(time, 0, WINDOW);
        vm.warp(clock);
    }

    /// @dev each approval a random part of the request, never more than the collateral of the moment
    function approvals(uint64 done, uint64 upTo, uint256 mercy) private view returns (bytes memory out) {
        uint256 free = vault.collateral();
        for (uint64 id = done + 1; id <= upTo; ++id) {
            ISettlement.Request memory row = vault.request(id);
            if (row.kind == uint8(ISettlement.Kind.DEPOSIT)) {
                free += row.amount;
                continue;
            }
            uint256 approved = within(mercy, 0, row.amount < free ? row.amount : free);
            free -= approved;
            out = bytes.concat(out, abi.encodePacked(uint64(approved)));
        }
    }

    function record(uint256 h, bytes memory data) private {
        uint64 seq = vault.head() + 1;
        ISettlement.Header memory header;
        header.prevBatchHash = vault.batchHash(seq - 1);
        header.prevRoot = vault.root();
        header.newRoot = keccak256(data);
        header.dataHash = keccak256(data);
        header.h = h;
        header.blockTime = uint64(clock);
        header.blockNumber = uint64(block.number);
        vault.post(seq, header.newRoot, 0, h, data);
        header.collateral = vault.collateral();
        headers[seq] = header;
    }
}
