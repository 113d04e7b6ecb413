// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Bonds} from "../../src/Bonds.sol";
import {DemoUSDC} from "../../src/DemoUSDC.sol";
import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {BatchData} from "../../src/libraries/BatchData.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Packed} from "../support/Packed.sol";
import {Setups} from "../support/Setups.sol";
import {Checks} from "../support/Vm.sol";

/// @dev conservation, for all amounts: what the vault holds is what it owes, whatever an operator posts. Two accounts of
/// this contract, 2 and 3; a path that reverts proves nothing, so what must hold is asserted behind every call.
contract MoneySymbolic is Checks {
    uint256 private constant START = 1_800_000_000;
    uint64 private constant FUNDS = 1_000e6;

    DemoUSDC private token;
    Settlement private vault;
    ISettlementTypes.Header private first;

    function setUp() public {
        vm.warp(START);
        vm.roll(100);
        token = new DemoUSDC();
        vault = new Settlement(Setups.standard(address(token), Setups.OPERATOR, address(new Bonds(address(0)))));
        token.mint(address(this), Setups.BOND + 2 * FUNDS);
        token.approve(address(vault), type(uint256).max);
        IBonds(address(vault)).topUpBond(Setups.BOND);
        vault.deposit(0, FUNDS);
        vault.deposit(0, FUNDS);
        first = _header(1, _word(2, 0), hex"000000");
        byKey(Setups.OPERATOR);
        vault.post(1, first.newRoot, 0, first.h, hex"000000");
        first.collateral = vault.collateral();
    }

    function check_a_deposit_is_owed_in_full(uint64 amount) external {
        token.mint(address(this), amount);
        (, uint64 id) = vault.deposit(2, amount);
        assert(vault.request(id).amount == amount);
        assert(token.balanceOf(address(vault)) == _owed() + amount);
    }

    function check_a_consumed_deposit_is_collateral(uint64 amount) external {
        token.mint(address(this), amount);
        vault.deposit(2, amount);
        byKey(Setups.OPERATOR);
        vault.post(2, 0, 0, _word(3, 0), hex"000000");
        assert(vault.collateral() == 2 * FUNDS + uint256(amount));
        assert(token.balanceOf(address(vault)) == _owed());
    }

    function check_an_approval_is_within_request_and_collateral(uint64 asked, uint64 approved) external {
        vault.requestWithdraw(2, asked);
        bytes memory data = abi.encodePacked(hex"000000", approved);
        ISettlementTypes.Header memory header = _header(2, _word(3, 0), data);
        byKey(Setups.OPERATOR);
        vault.post(2, header.newRoot, 0, header.h, data);
        assert(approved <= asked && approved <= 2 * FUNDS);
        assert(vault.collateral() == 2 * FUNDS - uint256(approved));
        assert(token.balanceOf(address(vault)) == _owed() + approved);
    }

    function check_a_final_withdrawal_is_paid_once(uint64 asked, uint64 approved) external {
        vault.requestWithdraw(2, asked);
        bytes memory data = abi.encodePacked(hex"000000", approved);
        ISettlementTypes.Header memory second = _header(2, _word(3, 0), data);
        byKey(Setups.OPERATOR);
        vault.post(2, second.newRoot, 0, second.h, data);
        second.collateral = vault.collateral();
        vm.warp(START + Setups.WINDOW);
        vm.roll(100 + Setups.BLOCKS);
        vault.finalize(1, first);
        vault.finalize(2, second);
        uint64[] memory ids = new uint64[](1);
        ids[0] = 3;
        uint256 before = token.balanceOf(address(this));
        vault.claim(ids, address(0), "");
        assert(token.balanceOf(address(this)) == before + approved);
        assert(token.balanceOf(address(vault)) == _owed());
        try vault.claim(ids, address(0), "") {
            assert(false);
        } catch {}
    }

    /// @dev cash of two accounts, as any eight bytes say it, and any fee
    function check_posted_cash_is_minus_the_fee(uint64 a, uint64 b, uint64 fee) external {
        bytes memory data = abi.encodePacked(hex"000002", uint32(2), a, uint32(3), b);
        byKey(Setups.OPERATOR);
        vault.post(2, 0, 0, _word(2, fee), data);
        assert(BatchData.unzigzag(a) + BatchData.unzigzag(b) == -BatchData.unzigzag(fee));
        assert(vault.collateral() == 2 * FUNDS);
    }

    /// @dev any header word that is accepted is what the contract then knows of the batch
    function check_a_header_is_read_in_one_way(uint256 word) external {
        byKey(Setups.OPERATOR);
        vault.post(2, 0, 0, word, hex"000000");
        assert(word >> 192 == vault.reqDone() && uint48(word >> 144) == vault.lastRound());
        assert(uint40(word >> 64) == vault.lastMatchTo() && uint64(word) == 0);
        assert(uint40(word >> 104) <= uint40(word >> 64) && uint40(word >> 64) <= block.timestamp);
    }

    function _owed() private view returns (uint256) {
        return uint256(vault.collateral()) + vault.bond();
    }

    function _word(uint256 upTo, uint64 fee) private pure returns (uint256) {
        return Packed.h(upTo, 0, START, START, 0) | fee;
    }

    function _header(uint64 seq, uint256 h, bytes memory data)
        private
        view
        returns (ISettlementTypes.Header memory header)
    {
        header.prevBatchHash = vault.batchHash(seq - 1);
        header.prevRoot = vault.root();
        header.newRoot = bytes32(uint256(seq));
        header.dataHash = keccak256(data);
        header.h = h;
        header.blockTime = uint64(block.timestamp);
        header.blockNumber = uint64(block.number);
    }
}
