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

/// @dev owner of every account, operator and bystander in one; every call does something valid or nothing
contract Actor is Checks {
    uint40 private constant WINDOW = Setups.WINDOW;
    uint64 private constant MINIMUM = Setups.MINIMUM;

    DemoUSDC public immutable token = new DemoUSDC();
    Settlement public immutable vault;
    uint256 public paid;
    uint256 public removed;
    uint160 private successors = 0x1000;
    uint256 private clock = 1_800_000_000;
    uint256 private blocks = 100;
    mapping(uint64 seq => ISettlementTypes.Header) private headers;

    constructor() {
        vm.warp(clock);
        vm.roll(blocks);
        ISettlementTypes.Setup memory setup = Setups.standard(address(token), Setups.OPERATOR, address(new RevertPart(address(new Bonds(address(0))))));
        (setup.forceDelay, setup.escapeDelay, setup.timelockDelay) = (7 days, 8 days, 12 days);
        vault = new Settlement(setup);
        token.approve(address(vault), type(uint256).max);
        token.mint(address(this), Setups.BOND);
        bonds().topUpBond(Setups.BOND);
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
        if (vault.lastRequest(acct, ISettlementTypes.Kind.WITHDRAW) > vault.reqDone()) return;
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
        vm.roll(blocks += Setups.BLOCKS);
        vault.finalize(seq, headers[seq]);
    }

    function claim(uint64 start) external {
        uint64 last = vault.reqFinal();
        for (uint64 i = 0; i < last; ++i) {
            uint64 id = 1 + (start % last + i) % last;
            ISettlementTypes.Request memory row = vault.request(id);
            if (row.kind != uint8(ISettlementTypes.Kind.WITHDRAW) || row.aux >> 40 == 0) continue;
            uint64[] memory ids = new uint64[](1);
            ids[0] = id;
            vault.claim(ids, address(0), "");
            paid += row.aux >> 40;
            return;
        }
    }

    /// @dev takes a batch that is not final for fraud; somebody bonded follows the operator
    function accuse(uint256 back) external {
        uint64 head = vault.head();
        if (head == vault.finalized()) return;
        uint64 seq = uint64(within(back, vault.finalized() + 1, head));
        address next = address(++successors);
        RevertPart(address(vault)).enlist(next);
        token.mint(next, Setups.BOND);
        vm.prank(next);
        token.approve(address(vault), Setups.BOND);
        vm.prank(next);
        bonds().depositBond(Setups.BOND);
        RevertPart(address(vault)).accuse(seq, headers[seq - 1], headers[seq]);
        if (vault.successors().length == 0) return;
        RevertPart(address(vault)).dismiss(next); // an older batch, an older bond
        removed += Setups.BOND;
    }

    function sweep() external {
        if (vault.pot() > 0 && vault.finalized() >= from()) bonds().sweepPot();
    }

    function bonds() private view returns (IBonds) {
        return IBonds(address(vault));
    }

    function from() private view returns (uint64 first) {
        (first,,,) = vault.backing();
    }

    function tick(uint256 time) public {
        clock += within(time, 0, WINDOW);
        vm.warp(clock);
    }

    /// @dev each approval a random part of the request, never more than the collateral of the moment
    function approvals(uint64 done, uint64 upTo, uint256 mercy) private view returns (bytes memory out) {
        uint256 free = vault.collateral();
        for (uint64 id = done + 1; id <= upTo; ++id) {
            ISettlementTypes.Request memory row = vault.request(id);
            if (row.kind == uint8(ISettlementTypes.Kind.DEPOSIT)) {
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
        ISettlementTypes.Header memory header = headerOf(seq, h, data);
        byKey(vault.operator());
        vault.post(seq, header.newRoot, 0, h, data);
        header.collateral = vault.collateral();
        headers[seq] = header;
    }

    function headerOf(uint64 seq, uint256 h, bytes memory data)
        private
        view
        returns (ISettlementTypes.Header memory header)
    {
        header.prevBatchHash = vault.batchHash(seq - 1);
        header.prevRoot = vault.root();
        header.newRoot = keccak256(data);
        header.dataHash = keccak256(data);
        header.h = h;
        header.blockTime = uint64(clock);
        header.blockNumber = uint64(blocks);
    }
}
