// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {BatchCells} from "./libraries/BatchCells.sol";
import {BatchData} from "./libraries/BatchData.sol";
import {MarkTable} from "./libraries/MarkTable.sol";
import {Positions} from "./libraries/Positions.sol";
import {TreeFold} from "./libraries/TreeFold.sol";
import {Vector} from "./libraries/Vector.sol";
import {Reverts} from "./Reverts.sol";

/// @title F1: the transition of one batch, done again on chain
/// @dev Everything that is read is pinned: data by the batch hash, the vector by its round, the leaves by the
/// previous root, requests and owners by storage. What depends on leaves counts only once they fold to that root.
abstract contract WrongRoot is Reverts {
    using BatchCells for BatchCells.Cells;

    /// @dev memory offsets inside the proof
    struct Parts_ {
        uint256 data;
        uint256 dataSize;
        uint256 vector;
        uint256 vectorSize;
        uint256 leaves;
        uint256 leavesEnd;
        uint256 siblings;
        uint256 end;
    }

    /// @param cashOf what requests move, per listed account
    /// @param opened,closed bit per listed account: first deposit, CLOSE_ALL
    struct Requested_ {
        int256[] cashOf;
        uint256 opened;
        uint256 closed;
        int256 fundCash;
        bool fundPaid;
    }

    /// @dev `before` and `after_` are leaves by place: 0 fund, 1 clearing account, 2 + local index
    struct Work {
        BatchCells.Cells cells;
        MarkTable.Table effects;
        uint256 vector;
        Requested_ requested;
        uint256[] preimages;
        bytes32[] after_;
        int256 derived;
        Positions.Walk fund;
        uint256 scratch;
        uint256 fundSpace;
        uint256 otherSpace;
        uint256 settledSpace;
        uint256 remainingSpace;
        bool wrong;
    }

    uint256 private constant ACCOUNTS = 1 << 20;
    uint256 private constant LEAF_HEAD = 36;
    uint256 private constant MOST_LEAF = LEAF_HEAD + 20 * Positions.MOST;
    /// @dev 128 entries of before and 255 new ones, and a word
    uint256 private constant SPACE = 20 * (Positions.MOST + 255) + 64;

    /// @return whether the batch is not what its inputs lead to
    function _isWrong(uint64 seq, Header memory previous, Header memory header, bytes memory proof)
        internal
        view
        returns (bool)
    {
        uint256 done = seq == 1 ? 0 : previous.h >> 192;
        Parts_ memory parts = _split(proof);
        _checkInputs(parts, header.dataHash, uint48(header.h >> 144));
        Work memory work;
        bool fine;
        (work.cells, fine) = BatchCells.read(parts.data);
        if (!fine || !_readRequests(work, done, header.h >> 192)) return true;
        uint256[] memory indices = _indices(work.cells);
        if (indices[indices.length - 1] >= ACCOUNTS) return true;
        _authenticate(work, parts, indices, header.prevRoot);
        int256 fee = BatchData.unzigzag(uint64(header.h));
        uint256 vector = parts.vectorSize == 0 ? 0 : parts.vector;
        work.effects = MarkTable.build(vector);
        work.vector = vector;
        _apply(work, fee);
        if (work.wrong) return true;
        (bytes32 root,) = TreeFold.fold(indices, work.after_, parts.siblings);
        return root != header.newRoot;
    }

    function _split(bytes memory proof) private pure returns (Parts_ memory parts) {
        require(proof.length >= 12, BadProof());
        uint256 at;
        assembly ("memory-safe") {
            at := add(proof, 32)
        }
        uint256 head = _load(at);
        parts.end = at + proof.length;
        parts.data = at + 12;
        parts.dataSize = head >> 224;
        parts.vector = parts.data + parts.dataSize;
        parts.vectorSize = (head >> 192) & 0xffffffff;
        parts.leaves = parts.vector + parts.vectorSize;
        parts.leavesEnd = parts.leaves + ((head >> 160) & 0xffffffff);
        parts.siblings = parts.leavesEnd;
        require(parts.siblings <= parts.end, BadProof());
    }

    function _checkInputs(Parts_ memory parts, bytes32 dataHash, uint256 round) private view {
        require(_hash(parts.data, parts.dataSize) == dataHash, BadProof());
        if (round == 0) {
            require(parts.vectorSize == 0, BadProof());
        } else {
            require(uint256(_hash(parts.vector, parts.vectorSize)) >> 40 == _oracle[round] >> 40, BadProof());
        }
    }

    /// @return listed false when an account with a request is not listed
    function _readRequests(Work memory work, uint256 done, uint256 upTo) private view returns (bool listed) {
        Requested_ memory asked = work.requested;
        asked.cashOf = new int256[](work.cells.accounts);
        uint256 approvals = work.cells.tail;
        for (uint256 id = done + 1; id <= upTo; ++id) {
            Request memory row = _requests[id];
            int256 moved = 0;
            if (row.kind == uint8(Kind.DEPOSIT)) {
                moved = int256(uint256(row.amount));
            } else if (row.kind == uint8(Kind.WITHDRAW)) {
                moved = -int256(_load(approvals) >> 192);
                approvals += 8;
            }
            if (row.acct == 0) {
                asked.fundCash += moved;
                if (moved < 0) asked.fundPaid = true;
                continue;
            }
            uint256 local = work.cells.find(row.acct);
            if (local == work.cells.accounts) return false;
            asked.cashOf[local] += moved;
            if (row.kind == uint8(Kind.DEPOSIT)) asked.opened |= 1 << local;
            if (row.kind == uint8(Kind.CLOSE_ALL)) asked.closed |= 1 << local;
        }
        return true;
    }

    function _indices(BatchCells.Cells memory cells) private pure returns (uint256[] memory indices) {
        indices = new uint256[](cells.accounts + 2);
        indices[1] = 1;
        for (uint256 i = 0; i < cells.accounts; ++i) {
            (indices[i + 2],) = cells.account(i);
        }
    }

    /// @dev the leaves are those under the previous root; `fold` uses its arrays up, so it works on copies
    function _authenticate(Work memory work, Parts_ memory parts, uint256[] memory indices, bytes32 prevRoot)
        private
        pure
    {
        uint256 count = indices.length;
        work.preimages = new uint256[](count);
        work.after_ = new bytes32[](count);
        bytes32[] memory hashes = new bytes32[](count);
        uint256[] memory places = new uint256[](count);
        uint256 at = parts.leaves;
        for (uint256 i = 0; i < count; ++i) {
            uint256 size = _load(at) >> 240;
            work.preimages[i] = at;
            require(size == 0 || (size >= LEAF_HEAD && size <= MOST_LEAF), BadProof());
            hashes[i] = size == 0 ? bytes32(0) : _hash(at + 2, size);
            places[i] = indices[i];
            at += 2 + size;
        }
        require(at == parts.leavesEnd, BadProof());
        (bytes32 root, uint256 used) = TreeFold.fold(places, hashes, parts.siblings);
        require(root == prevRoot && used == parts.end, BadProof());
    }

    /// @dev steps 1 to 5 of the transition; account 0 is held open until all others are done, account 1 pays last
    function _apply(Work memory work, int256 fee) private view {
        work.scratch = _allocate(LEAF_HEAD + SPACE);
        work.fundSpace = _allocate(SPACE);
        work.otherSpace = _allocate(SPACE);
        work.settledSpace = _allocate(SPACE);
        work.remainingSpace = _allocate(SPACE);
        _openFund(work);
        for (uint256 i = 0; i < work.cells.accounts; ++i) {
            work.after_[i + 2] = _applyListed(work, i);
        }
        work.after_[1] = _applyClearing(work);
        work.after_[0] = _closeFund(work, fee);
    }

    /// @dev the fund's settled entries stand at `fund.from` .. `fund.to`, its cash so far in `fund.cash`
    function _openFund(Work memory work) private pure {
        (, int256 cash, uint256 from, uint256 to) = _open(work.preimages[0]);
        Positions.Walk memory fund = work.fund;
        (fund.from, fund.to, fund.out) = (from, to, work.fundSpace);
        Positions.settleAndMove(fund, work.effects);
        work.derived += fund.derived;
        fund.cash = cash + work.requested.fundCash + fund.derived;
        (fund.from, fund.to) = (work.fundSpace, fund.out);
    }

    function _applyListed(Work memory work, uint256 local) private view returns (bytes32) {
        (uint256 owner, int256 cash, uint256 from, uint256 to) = _open(work.preimages[local + 2]);
        (uint256 index, int256 posted) = work.cells.account(local);
        if (owner == 0 && (work.requested.opened >> local) & 1 == 1) owner = uint160(_accounts[index].owner);
        if (owner == 0) work.wrong = true;
        Positions.Walk memory walk;
        (walk.from, walk.to) = (from, to);
        walk.cash = cash + work.requested.cashOf[local];
        if ((work.requested.closed >> local) & 1 == 1) _closeAll(work, walk);
        (walk.cell, walk.cellsEnd) = work.cells.cellsOf(local);
        walk.cash += posted;
        walk.out = work.scratch + LEAF_HEAD;
        walk.count = 0;
        Positions.settleAndMove(walk, work.effects);
        work.derived += walk.derived;
        return _leaf(work, owner, walk.cash + walk.derived, walk.out, walk.count, walk.overflow);
    }

    /// @dev step 3; leaves the account's remaining entries for `settleAndMove`
    function _closeAll(Work memory work, Positions.Walk memory walk) private pure {
        walk.out = work.settledSpace;
        Positions.settleAndMove(walk, work.effects);
        (walk.from, walk.to) = (work.settledSpace, walk.out);
        (int256 equity, uint256 gross) = Positions.worth(walk.from, walk.to, work.vector);
        equity += walk.cash + walk.derived;
        if (equity * 1_000_000 < int256(gross * Positions.CLOSE_FLOOR_PPM)) return;
        Positions.Walk memory fund = work.fund;
        uint256 fundOut = work.otherSpace;
        (walk.out, fund.out) = (work.remainingSpace, fundOut);
        Positions.close(walk, fund, work.vector);
        (walk.from, walk.to) = (work.remainingSpace, walk.out);
        (fund.from, fund.to) = (fundOut, fund.out);
        (work.otherSpace, work.fundSpace) = (work.fundSpace, fundOut);
    }

    function _applyClearing(Work memory work) private pure returns (bytes32) {
        (uint256 owner, int256 cash, uint256 from, uint256 to) = _open(work.preimages[1]);
        uint256 size = to - from;
        uint256 out = work.scratch + LEAF_HEAD;
        assembly ("memory-safe") {
            mcopy(out, from, size)
        }
        return _leaf(work, owner, cash - work.derived, out + size, 0, false);
    }

    function _closeFund(Work memory work, int256 fee) private pure returns (bytes32) {
        (uint256 owner,,,) = _open(work.preimages[0]);
        Positions.Walk memory fund = work.fund;
        fund.cash += fee;
        if (fee < 0 || work.requested.fundPaid) {
            (int256 equity,) = Positions.worth(fund.from, fund.to, work.vector);
            if (equity + fund.cash < 0) work.wrong = true;
        }
        uint256 size = fund.to - fund.from;
        uint256 from = fund.from;
        uint256 out = work.scratch + LEAF_HEAD;
        assembly ("memory-safe") {
            mcopy(out, from, size)
        }
        return _leaf(work, owner, fund.cash, out + size, fund.count, fund.overflow);
    }

    /// @dev the entries stand in the scratch space behind the head
    function _leaf(Work memory work, uint256 owner, int256 cash, uint256 end, uint256 count, bool overflow)
        private
        pure
        returns (bytes32)
    {
        if (cash != int128(cash) || count > Positions.MOST || overflow) work.wrong = true;
        uint256 at = work.scratch;
        if (owner == 0 && cash == 0 && end == at + LEAF_HEAD) return 0;
        assembly ("memory-safe") {
            let entries := mload(add(at, 36))
            mstore(add(at, 20), shl(128, cash))
            mstore(add(at, 36), entries)
            mstore(at, or(shl(96, owner), shr(160, mload(add(at, 20)))))
        }
        return _hash(at, end - at);
    }

    function _open(uint256 at) private pure returns (uint256 owner, int256 cash, uint256 from, uint256 to) {
        uint256 size = _load(at) >> 240;
        if (size == 0) return (0, 0, 0, 0);
        owner = _load(at + 2) >> 96;
        cash = int128(uint128(_load(at + 22) >> 128));
        (from, to) = (at + 2 + LEAF_HEAD, at + 2 + size);
    }

    function _hash(uint256 at, uint256 size) private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            digest := keccak256(at, size)
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }

    function _allocate(uint256 size) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, and(add(size, 31), not(31))))
        }
    }
}
