// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IForced} from "./interfaces/IForced.sol";
import {ForcedRules} from "./ForcedRules.sol";
import {Parts} from "./Parts.sol";

/// @title F2 for accounts that the venue closed without their signature
contract Forced is ForcedRules, IForced, Parts {
    constructor(address nextPart_) Parts(nextPart_) {}

    function showForced(uint64 seq, Header calldata header, uint32 acct, ForcedProof calldata proof) external {
        _show(_liveHash(seq, header), header, acct, proof);
    }

    function answerForced(bytes32 id, Header calldata header, ForcedProof calldata proof) external {
        Challenge memory asked = _openChallenge(id);
        require(keccak256(abi.encode(header)) == asked.batchHash, BadHeader());
        _show(asked.batchHash, header, asked.acct, proof);
        _closeChallenge(id, asked, msg.sender);
        emit Answered(id, msg.sender);
    }

    function answerDeleveraged(bytes32 id, Header calldata header, DeleveragedProof calldata proof) external {
        Challenge memory asked = _openChallenge(id);
        require(keccak256(abi.encode(header)) == asked.batchHash, BadHeader());
        require(keccak256(proof.data) == header.dataHash, BadProof());
        _judgeGivers(asked, header, proof);
        _closeChallenge(id, asked, msg.sender);
        emit Answered(id, msg.sender);
    }

    function forcedShown(bytes32 batchHash, uint32 acct) external view returns (bool) {
        return _shownForced[keccak256(abi.encode(batchHash, acct))];
    }

    /// @dev all that the batch did to the account is among the rows, because they sum up to its posted delta
    function _show(bytes32 batchHash, Header calldata header, uint32 acct, ForcedProof calldata proof) private {
        require(keccak256(abi.encode(proof.previous)) == header.prevBatchHash, BadHeader());
        require(keccak256(proof.data) == header.dataHash, BadProof());
        Book memory book = _open(acct, proof.leaf, proof.path, proof.vector, header);
        uint256 count = _checkRows(acct, proof.firstLeaf, proof.rows, proof.siblings, header.ordersRoot);
        for (uint256 i = 0; i < count; ++i) {
            _require(proof.firstLeaf + i, _judge(book, _readRow(proof.rows, i)));
        }
        require(_isPosted(acct, book.instrs, book.moved, book.cash, proof.data), NotTheDelta());
        _require(proof.firstLeaf, _judgeEquity(book, count));
        if (_deposits(acct, proof.previous.h >> 192, header.h >> 192)) revert NotAuthorized(proof.firstLeaf, DEPOSITED);
        _shownForced[keccak256(abi.encode(batchHash, acct))] = true;
    }

    /// @dev what the account gives up, and that each liquidated account was judged for it
    function _judgeGivers(Challenge memory asked, Header calldata header, DeleveragedProof calldata proof) private view {
        _checkLeaf(asked.acct, proof.leaf, proof.path, header.prevRoot);
        uint256 count = _checkRows(asked.acct, proof.firstLeaf, proof.rows, proof.siblings, header.ordersRoot);
        Book memory book;
        (book.instrs, book.lots) = _held(proof.leaf);
        book.moved = new int256[](book.instrs.length);
        for (uint256 i = 0; i < count; ++i) {
            _require(proof.firstLeaf + i, _judgeGiver(book, _readRow(proof.rows, i)));
        }
        require(_isPosted(asked.acct, book.instrs, book.moved, book.cash, proof.data), NotTheDelta());
        _checkOthers(asked.batchHash, header.ordersRoot, proof, count);
    }

    function _judgeGiver(Book memory book, Row memory row) private pure returns (uint8) {
        if (row.kind != ADL || uint256(row.ref) >> 248 != ADL) return WRONG_KIND;
        if (row.fee != 0) return FEE_TOO_HIGH;
        uint256 place = _place(book.instrs, row.instr);
        if (place == book.instrs.length || row.pos == 0 || (row.pos > 0) == (book.lots[place] > 0)) return GROWS;
        book.moved[place] += row.pos;
        if (_size(book.moved[place]) > _size(book.lots[place])) return GROWS;
        _add(book, row);
        return 0;
    }

    /// @dev each row has one counterpart, a leaf of its own, of an account whose liquidation is on record
    function _checkOthers(bytes32 batchHash, bytes32 ordersRoot, DeleveragedProof calldata proof, uint256 count)
        private
        view
    {
        uint256[] memory indices = new uint256[](count);
        bytes32[] memory hashes = new bytes32[](count);
        bool[] memory isMet = new bool[](count);
        require(proof.others.length == count, BadLeaves());
        for (uint256 i = 0; i < count; ++i) {
            Counterpart calldata other = proof.others[i];
            require(i == 0 || other.leafIndex > indices[i - 1], BadLeaves());
            bool isShown = _shownForced[keccak256(abi.encode(batchHash, other.acct))];
            if (other.row >= count || isMet[other.row] || !isShown) {
                revert NotAuthorized(other.leafIndex, NO_COUNTERPART);
            }
            isMet[other.row] = true;
            Row memory row = _readRow(proof.rows, other.row);
            indices[i] = other.leafIndex;
            hashes[i] = keccak256(
                abi.encodePacked(LIQUIDATION, other.acct, row.instr, row.ref, -row.pos, row.notional, row.fee)
            );
        }
        _checkRoot(indices, hashes, proof.otherSiblings, ordersRoot);
    }

    /// @dev the leaves stand side by side in the tree, refs ascending
    /// @return count of the rows
    function _checkRows(uint32 acct, uint32 first, bytes calldata rows, bytes calldata siblings, bytes32 root)
        private
        pure
        returns (uint256 count)
    {
        count = rows.length / ROW;
        require(count > 0 && rows.length == count * ROW, BadLeaves());
        uint256[] memory indices = new uint256[](count);
        bytes32[] memory hashes = new bytes32[](count);
        bytes32 last;
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata row = rows[i * ROW:(i + 1) * ROW];
            bytes32 ref = bytes32(row[5:37]);
            require(ref > last, BadLeaves());
            (last, indices[i]) = (ref, uint256(first) + i);
            hashes[i] = keccak256(abi.encodePacked(row[0], acct, row[1:]));
        }
        _checkRoot(indices, hashes, siblings, root);
    }

    function _held(bytes memory leaf) private pure returns (uint32[] memory instrs, int256[] memory lots) {
        uint256 from;
        assembly ("memory-safe") {
            from := add(leaf, 32)
        }
        uint256 to = from + leaf.length;
        uint256 count;
        for (uint256 at = from + LEAF_HEAD; at < to; ++count) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(at)
            }
            at += word >> 255 == 1 ? 20 : 12;
        }
        return _entries(from + LEAF_HEAD, to, count);
    }

    function _deposits(uint32 acct, uint256 done, uint256 upTo) private view returns (bool) {
        for (uint256 id = done + 1; id <= upTo; ++id) {
            Request memory row = _requests[id];
            if (row.acct == acct && row.kind == uint8(Kind.DEPOSIT)) return true;
        }
        return false;
    }

    function _require(uint256 leafIndex, uint8 reason) private pure {
        require(reason == 0, NotAuthorized(leafIndex, reason));
    }
}
