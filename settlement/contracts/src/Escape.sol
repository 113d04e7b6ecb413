// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IEscape} from "./interfaces/IEscape.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Equity} from "./libraries/Equity.sol";
import {TreeFold} from "./libraries/TreeFold.sol";
import {Freezes} from "./Freezes.sol";
import {Parts} from "./Parts.sol";

/// @title Everybody's money without an operator: pro rata, from posted data alone, in any order
/// @dev Root, round and assets are those of the final head: nobody chooses them at the freeze.
contract Escape is Freezes, ReentrancyGuardTransient, IEscape, Parts {
    using SafeERC20 for IERC20;

    uint32 private constant FIRST_ACCOUNT = 2;
    uint256 private constant PATH = 32 * TreeFold.DEPTH;

    constructor(address nextPart_) Parts(nextPart_) {}

    modifier whileOpen() {
        require(_isOpen(), EscapeNotOpen());
        _;
    }

    function freeze() external {
        _freeze();
    }

    function loadMarks(bytes calldata vector) external whileOpen {
        require(_escape.claimsEnd == 0, BadMarks());
        uint256 round = _progress.lastRound;
        bool isIt = round == 0 ? vector.length == 0 : uint256(keccak256(vector)) >> 40 == _oracle[round] >> 40;
        require(isIt, BadProof());
        for (uint256 at = 0; at < vector.length; at += Chunks.MOST) {
            uint256 end = at + Chunks.MOST < vector.length ? at + Chunks.MOST : vector.length;
            _escapeMarks.push(Chunks.write(vector[at:end]));
        }
        uint40 until = uint40(block.timestamp) + _vault().claimPeriod();
        _escape.claimsEnd = until;
        emit MarksLoaded(uint64(round), until);
    }

    function escapeClaim(uint32 acct, bytes calldata leaf, bytes calldata path) external {
        uint40 until = _escape.claimsEnd;
        require(until != 0, BadMarks());
        address owner = _accounts[acct].owner;
        require(acct >= FIRST_ACCOUNT && owner != address(0) && owner != _vault().timelock(), NotClaimant());
        require(_escapeRows[acct].amount == 0, AlreadyClaimed());
        _checkLeaf(acct, leaf, path);
        int256 equity = Equity.worth(leaf, _marks());
        require(equity > 0, NoEquity(equity));
        bool isLate = block.timestamp >= until;
        if (isLate) _close();
        else _escapeTotal += uint256(equity);
        _escapeRows[acct] = EscapeRow(uint240(uint256(equity)), isLate, false);
        emit EscapeClaimed(acct, uint256(equity), isLate);
    }

    function escapePay(uint32 acct) external nonReentrant {
        _pay(acct, _accounts[acct].owner);
    }

    function escapePayTo(uint32 acct, address to) external nonReentrant {
        require(msg.sender == _accounts[acct].owner, NotOwner());
        _pay(acct, to);
    }

    function escapeRefund(uint64 id) external nonReentrant {
        _refund(id, _accounts[_requests[id].acct].owner);
    }

    function escapeRefundTo(uint64 id, address to) external nonReentrant {
        require(msg.sender == _accounts[_requests[id].acct].owner, NotOwner());
        _refund(id, to);
    }

    function escapeState() external view returns (EscapeState memory state) {
        EscapeSlot memory slot = _escape;
        state.noticeAt = slot.noticeAt;
        state.frozenAt = slot.frozenAt;
        if (slot.frozenAt == 0) {
            state.stalledFrom = _stalledFrom();
            state.freezeFrom = _freezeFrom(state.stalledFrom);
        }
        (state.isOpen, state.round) = (_isOpen(), _progress.lastRound);
        (state.claimsEnd, state.isClosed) = (slot.claimsEnd, slot.isClosed);
        (state.totalClaims, state.assets, state.paid) = (_escapeTotal, _pool(), _escapePaid);
    }

    function escapeClaimOf(uint32 acct) external view returns (uint256 amount, uint256 due, bool isLate, bool isPaid) {
        EscapeRow memory row = _escapeRows[acct];
        (amount, isLate, isPaid) = (row.amount, row.isLate, row.isPaid);
        if (!isPaid && _escape.claimsEnd != 0 && block.timestamp >= _escape.claimsEnd) due = _due(row);
    }

    function escapeMarks() external view returns (address[] memory) {
        return _escapeMarks;
    }

    function _checkLeaf(uint32 acct, bytes calldata leaf, bytes memory path) private view {
        require(leaf.length >= Equity.LEAF_HEAD && path.length == PATH, BadProof());
        uint256[] memory indices = new uint256[](1);
        bytes32[] memory hashes = new bytes32[](1);
        (indices[0], hashes[0]) = (acct, keccak256(leaf));
        uint256 at;
        assembly ("memory-safe") {
            at := add(path, 32)
        }
        (bytes32 root,) = TreeFold.fold(indices, hashes, at);
        require(root == _root && acct < 1 << TreeFold.DEPTH, BadProof());
    }

    /// @return at memory offset of the vector, 0 for none
    function _marks() private view returns (uint256 at) {
        address[] memory pointers = _escapeMarks;
        if (pointers.length == 0) return 0;
        bytes memory vector = Chunks.readAll(pointers);
        assembly ("memory-safe") {
            at := add(vector, 32)
        }
    }

    function _pay(uint32 acct, address to) private {
        EscapeRow memory row = _escapeRows[acct];
        require(row.amount > 0 && !row.isPaid, NothingThere());
        require(block.timestamp >= _escape.claimsEnd, ClaimsOpen(_escape.claimsEnd));
        _close();
        uint256 due = _due(row);
        require(due > 0, NothingThere());
        _escapeRows[acct].isPaid = true;
        _escapePaid += due;
        if (row.isLate) _escapeLatePaid += due;
        emit EscapePaid(acct, to, due);
        IERC20(_vault().token()).safeTransfer(to, due);
    }

    /// @dev what the claims in time do not need is there for late ones; it is never less than what was paid of it
    function _due(EscapeRow memory row) private view returns (uint256) {
        (uint256 total, uint256 assets) = (_escapeTotal, _pool());
        if (!row.isLate) return assets < total ? uint256(row.amount) * assets / total : row.amount;
        uint256 left = assets > total ? assets - total - _escapeLatePaid : 0;
        return row.amount < left ? row.amount : left;
    }

    /// @dev from here on the share of a claim is fixed; the bond serves a shortfall, since no claim is paid more than
    /// whole, and stays behind for late claims
    function _close() private {
        if (_escape.isClosed) return;
        uint256 assets = _pool();
        _escape.isClosed = true;
        _escapeAssets = assets;
        _collateral.bond = 0;
        _final.pot = 0;
        emit EscapeClosed(assets, _escapeTotal);
    }

    function _pool() private view returns (uint256) {
        if (_escape.isClosed) return _escapeAssets;
        return uint256(_final.collateral) + _collateral.bond + _final.pot;
    }

    function _refund(uint64 id, address to) private whileOpen {
        Request memory row = _requests[id];
        require(row.kind == uint8(Kind.DEPOSIT) && id > _final.reqFinal && row.amount > 0, NothingThere());
        _requests[id].amount = 0;
        emit EscapeRefunded(id, row.acct, to, row.amount);
        if (row.acct == 0) {
            require(!_escape.isClosed, NothingThere());
            _final.pot += row.amount;
            return;
        }
        IERC20(_vault().token()).safeTransfer(to, row.amount);
    }

    function _vault() private view returns (ISettlement) {
        return ISettlement(address(this));
    }
}
