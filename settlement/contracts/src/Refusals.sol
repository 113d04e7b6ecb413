// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IRefusals} from "./interfaces/IRefusals.sol";
import {LinearBounds} from "./libraries/LinearBounds.sol";
import {MarkTable} from "./libraries/MarkTable.sol";
import {Positions} from "./libraries/Positions.sol";
import {PriceRows} from "./libraries/PriceRows.sol";
import {Leaves} from "./Leaves.sol";

/// @title F5: a withdrawal refused although the account could cover it
/// @dev Request, approval and owner are storage, the leaf is pinned by the previous root, the vector by its round,
/// specs by their listing. `settlement/protocol/refusal.py` is the same predicate.
abstract contract Refusals is Leaves, IRefusals {
    uint256 private constant U64 = 0xffffffffffffffff;
    int256 private constant MILLION = 1_000_000;

    /// @dev an account after the approval: cash, what its positions are worth at least, what they need at most
    struct Standing {
        int256 equity;
        uint256 high;
        bool isKnown;
    }

    /// @param left collateral behind the request
    struct Asked {
        uint256 amount;
        uint256 approved;
        uint256 left;
        uint256 vector;
        int256 cash;
        uint256 from;
        uint256 to;
    }

    function proveWrongRefusal(
        uint64 seq,
        Header calldata previous,
        Header calldata header,
        RefusalProof calldata proof
    ) external {
        Asked memory asked = _asked(seq, previous, header, proof);
        require(asked.amount > asked.approved, NotRefused());
        Standing memory standing = Standing(asked.cash, 0, true);
        _weigh(standing, asked.from, asked.to, asked.vector, proof.specs);
        require(asked.left > 0 && standing.isKnown && standing.equity > int256(standing.high), NoFraud());
        _revert(seq, previous, header, msg.sender);
    }

    function proveOverApproval(
        uint64 seq,
        Header calldata previous,
        Header calldata header,
        RefusalProof calldata proof
    ) external {
        Asked memory asked = _asked(seq, previous, header, proof);
        require(asked.approved > 0 && proof.specs.length == 0, NoFraud());
        require(_isOverdrawn(asked), NoFraud());
        _revert(seq, previous, header, msg.sender);
    }

    /// @dev the request, and the account behind it: `cash` with all that requests moved, entries at [from, to)
    function _asked(uint64 seq, Header memory previous, Header memory header, RefusalProof calldata proof)
        private
        view
        returns (Asked memory asked)
    {
        _checkHeaders(seq, previous, header);
        uint256 done = seq == 1 ? 0 : previous.h >> 192;
        require(proof.id > done && proof.id <= header.h >> 192, NotRefused());
        Request memory row = _requests[proof.id];
        require(row.kind == uint8(Kind.WITHDRAW), NotRefused());
        (asked.amount, asked.approved) = (row.amount, row.aux >> 40);
        int256 moved;
        (moved, asked.left) = _take(done, proof.id, row.acct, seq == 1 ? 0 : previous.collateral);
        asked.vector = _vectorOf(proof.vector, uint48(header.h >> 144));
        (asked.cash, asked.from, asked.to) = _leafOf(row.acct, proof.leaf, proof.path, header.prevRoot);
        asked.cash += moved;
    }

    /// @dev requests (done, id] as the batch consumed them: approvals of a batch that stands are in their rows
    /// @return moved what they brought to `acct`
    /// @return left collateral behind request `id`
    function _take(uint256 done, uint256 id, uint32 acct, uint256 collateral)
        private
        view
        returns (int256 moved, uint256 left)
    {
        left = collateral;
        for (uint256 i = done + 1; i <= id; ++i) {
            Request memory row = _requests[i];
            uint256 paid;
            if (row.kind == uint8(Kind.DEPOSIT)) {
                left += row.amount;
                if (row.acct == acct) moved += int256(uint256(row.amount));
            } else if (row.kind == uint8(Kind.WITHDRAW)) {
                paid = row.aux >> 40;
                left -= paid;
                if (row.acct == acct) moved -= int256(paid);
            }
        }
    }

    /// @dev cash and perpetuals alone, or with all options, are below zero at marks that favor the account; a perpetual
    /// without a mark covers nothing, and without the marks of all options these do not count
    function _isOverdrawn(Asked memory asked) private pure returns (bool) {
        (int256 cash, int256 options, bool isKnown) = (asked.cash, 0, true);
        uint256 from = asked.from;
        while (from < asked.to) {
            uint256 entry = _entryAt(from);
            bool isPerp = entry >> 255 == 1;
            int256 lots = int64(uint64(entry >> 160));
            uint256 row = MarkTable.search(asked.vector, entry >> 224);
            int256 mark = int256((row >> 64) & U64);
            if (isPerp && row != 0) {
                int256 index = int256(int64(uint64(row))) - int64(uint64(entry >> 96));
                cash += Positions.floorDivide(-lots * index, MILLION);
            }
            if ((row >> 128) & 0xff == 1) {
                cash += Positions.floorDivide(lots * mark, MILLION);
            } else if (isPerp) {
                if (mark == 0) return true;
                cash += lots * (lots > 0 ? mark + 1 : mark);
            } else {
                if (row == 0) isKnown = false;
                options += lots * (lots > 0 ? mark + 1 : mark);
            }
            from += isPerp ? 20 : 12;
        }
        require(from == asked.to, BadProof());
        return cash < 0 || (isKnown && cash + options < 0);
    }

    /// @dev every entry at the round: what ends becomes cash, perpetuals pay their funding, the rest is bounded
    function _weigh(
        Standing memory standing,
        uint256 from,
        uint256 to,
        uint256 vector,
        InstrumentSpec[] calldata specs
    ) private view {
        uint256 used;
        while (from < to && standing.isKnown) {
            uint256 entry = _entryAt(from);
            bool isPerp = entry >> 255 == 1;
            int256 lots = int64(uint64(entry >> 160));
            uint256 row = MarkTable.search(vector, entry >> 224);
            uint256 mark = (row >> 64) & U64;
            if (isPerp && row != 0) {
                int256 index = int256(int64(uint64(row))) - int64(uint64(entry >> 96));
                standing.equity += Positions.floorDivide(-lots * index, MILLION);
            }
            if ((row >> 128) & 0xff == 1) {
                standing.equity += Positions.floorDivide(lots * int256(mark), MILLION);
            } else if (!isPerp && lots > 0) {
                InstrumentSpec memory none;
                standing.high += LinearBounds.high(none, lots, 0, 0);
            } else {
                require(used < specs.length, BadProof());
                _bound(standing, entry >> 224, lots, row, vector, specs[used++]);
            }
            from += isPerp ? 20 : 12;
        }
        require(from == to || !standing.isKnown, BadProof());
    }

    /// @dev a perpetual without a mark, or a short option without a row or without a price of its underlying, is unknown
    function _bound(
        Standing memory standing,
        uint256 instr,
        int256 lots,
        uint256 row,
        uint256 vector,
        InstrumentSpec memory spec
    ) private view {
        require(keccak256(abi.encode(spec)) == _instruments[instr], BadInstrument());
        uint256 mark = (row >> 64) & U64;
        (bool found, uint256 index) = (mark > 0, 0);
        if (!spec.isPerp) (found, index) = PriceRows.find(vector, spec.underlying);
        if (row == 0 || !found) {
            standing.isKnown = false;
            return;
        }
        standing.equity += LinearBounds.worth(spec.isPerp, lots, mark);
        standing.high += LinearBounds.high(spec, lots, mark, index);
    }

    function _entryAt(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
