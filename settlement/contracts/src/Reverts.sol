// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {Operators} from "./Operators.sol";

/// @title What follows a proven fraud: the batch and all behind it are void, the bond behind it is lost
/// @dev Runs on the settlement contract's storage; its immutables are read by calls to itself.
abstract contract Reverts is Operators {
    /// @dev a dishonest operator with befriended successors must not put off the freeze for ever
    uint16 internal constant MAX_RESETS = 5;

    /// @dev batch `seq` can still be disputed, and these are the headers of it and of the one before it
    function _checkHeaders(uint64 seq, Header memory previous, Header memory header) internal view {
        HeadSlot memory top = _head;
        require(seq > top.finalized && seq <= top.head, NotDisputable());
        require(keccak256(abi.encode(header)) == _batchHash[seq], BadHeader());
        require(seq == 1 || keccak256(abi.encode(previous)) == _batchHash[seq - 1], BadHeader());
    }

    /// @dev the headers must have passed `_checkHeaders`; before batch 1 everything is zero
    function _revert(uint64 seq, Header memory previous, Header memory header, address prover) internal {
        uint64 last = _head.head;
        uint256 h = seq == 1 ? 0 : previous.h;
        _root = header.prevRoot;
        _head.head = uint48(seq - 1);
        ProgressSlot memory progress = _progress;
        progress.reqDone = uint56(h >> 192);
        progress.lastRound = uint48(h >> 144);
        progress.lastMatchTo = uint40(h >> 64);
        progress.lastPost = uint40(block.timestamp);
        _progress = progress;
        _resetClocks(seq == 1 ? 0 : previous.collateral);
        emit BatchReverted(seq, last, _collateral.epoch);
        _slash(seq, prover);
    }

    function _resetClocks(uint96 collateral) private {
        CollateralSlot memory money = _collateral;
        money.atHead = collateral;
        if (money.epoch < MAX_RESETS) money.resetAt = uint40(block.timestamp);
        money.epoch += 1;
        _collateral = money;
    }

    /// @dev half of the bond to the prover, half to the pot; where no bond is left, half of the pot
    function _slash(uint64 seq, address prover) private {
        BackingSlot memory row = _backing;
        if (seq >= row.from) {
            uint64 bond = _collateral.bond;
            _pay(seq, _head.operator, bond, prover);
            _installSuccessor(ISettlement(address(this)).minimumBond());
            return;
        }
        bool retired = seq >= row.retiredFrom && seq <= row.retiredTo;
        _pay(seq, retired ? _retiredOperator : address(0), retired ? row.retiredBond : 0, prover);
        if (retired) row.retiredBond = 0;
        // the numbers from here on are posted again, by the operator of today
        row.from = uint48(seq);
        if (row.retiredTo >= seq) row.retiredTo = uint48(seq - 1);
        _backing = row;
    }

    function _pay(uint64 seq, address operator, uint64 bond, address prover) private {
        uint64 pot = _final.pot;
        uint64 reward = bond > 0 ? bond / 2 : pot / 2;
        uint64 toPot = bond > 0 ? bond - reward : 0;
        _final.pot = bond > 0 ? pot + toPot : pot - reward;
        _credit(prover, reward);
        emit Slashed(seq, bond > 0 ? operator : address(0), prover, reward, toPot);
    }
}
