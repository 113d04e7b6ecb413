// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IFastPayments} from "./interfaces/IFastPayments.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Parts} from "./Parts.sol";
import {Pauses} from "./Pauses.sol";

/// @title Fast withdrawals: who pays an approved one out of his own money is owed it
/// @dev No money of the vault moves, bonds least of all, and nothing is credited: the request is debited once, by its
/// batch. What changes is `_payee`, whom `claim` pays.
contract FastPayments is Pauses, ReentrancyGuardTransient, IFastPayments, Parts {
    using SafeERC20 for IERC20;

    constructor(address nextPart_) Parts(nextPart_) {}

    function fastPay(uint64 id, bytes32 batch, uint64 fee) external nonReentrant {
        require(_progress.halted != FROZEN, IsFrozen());
        require(block.timestamp >= _fastPause.until, FastPaused());
        Request memory row = _requests[id];
        uint64 approved = _approved(id, row, batch);
        FastRow storage fast = _fast[id];
        require(fee <= fast.allowedFee && fee < approved, FeeTooHigh());
        address recipient = _recipientOf(id, row.acct);
        require(recipient != msg.sender, NotPayer());
        fast.payer = msg.sender;
        _payee[id] = msg.sender;
        emit FastPaid(id, msg.sender, recipient, approved - fee, fee);
        _payWhole(recipient, approved - fee);
    }

    function allowFee(uint64 id, uint64 fee) external {
        Request memory row = _requests[id];
        require(row.kind == uint8(Kind.WITHDRAW), NotClaimable(id));
        require(_accounts[row.acct].owner == msg.sender, NotOwner());
        require(_fast[id].payer == address(0), AlreadyPaid(id));
        // whom a signature names was promised the amount less the signed fee
        require(_payee[id] == address(0), NotPayer());
        _fast[id].allowedFee = fee;
        emit FeeAllowed(id, fee);
    }

    function pauseFast(uint40 duration) external {
        _pauseFast(duration);
    }

    function resumeFast() external {
        _resumeFast();
    }

    function fastPayment(uint64 id) external view returns (uint64 allowedFee, address payer) {
        FastRow memory row = _fast[id];
        return (row.allowedFee, row.payer);
    }

    function fastPause() external view returns (uint40 until, uint40 allowedFrom) {
        PauseSlot memory row = _fastPause;
        return (row.until, row.allowedFrom);
    }

    /// @dev up to `reqDone` every row was written by a batch that stands, so its seq names no void one
    function _approved(uint64 id, Request memory row, bytes32 batch) private view returns (uint64 approved) {
        require(row.kind == uint8(Kind.WITHDRAW) && id <= _progress.reqDone, NotClaimable(id));
        approved = uint64(row.aux >> 40);
        require(approved > 0, NothingToClaim(id));
        require(_fast[id].payer == address(0), AlreadyPaid(id));
        // a revert may bring a larger approval of a part, and its payer would be paid for what he never gave
        require(approved == row.amount, NotClaimable(id));
        require(batch != 0 && _batchHash[uint40(row.aux)] == batch, BatchReplaced());
    }

    function _recipientOf(uint64 id, uint32 acct) private view returns (address) {
        address named = _payee[id];
        return named == address(0) ? _accounts[acct].owner : named;
    }

    /// @dev a fee of the token is the payer's: the recipient was promised the amount
    function _payWhole(address recipient, uint64 amount) private {
        IERC20 coin = IERC20(ISettlement(address(this)).token());
        uint256 before = coin.balanceOf(recipient);
        coin.safeTransferFrom(msg.sender, recipient, amount);
        require(coin.balanceOf(recipient) >= before + amount, BadAmount());
    }
}
