// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IFloors} from "./interfaces/IFloors.sol";
import {BatchCells} from "./libraries/BatchCells.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {FloorBook} from "./libraries/FloorBook.sol";
import {Leaves} from "./Leaves.sol";
import {Parts} from "./Parts.sol";

/// @title F3 for trades: a batch that leaves an account below its margin floor, and is itself the cause
/// @dev Data and root are pinned by the batch hash, vectors by their rounds, specs by their listing.
/// `settlement/protocol/floors.py` is the same predicate.
contract Floors is Leaves, IFloors, Parts {
    using BatchCells for BatchCells.Cells;

    uint32 private constant FIRST_ACCOUNT = 2;

    constructor(address nextPart_) Parts(nextPart_) {}

    function proveInsolvent(uint64 seq, Header calldata previous, Header calldata header, FloorProof calldata proof)
        external
    {
        _prove(seq, previous, header, proof);
    }

    function proveInsolventStaged(uint64 seq, Header calldata previous, Header calldata header, uint256 nonce)
        external
    {
        // the caller's own chunks, as `stageProof` keeps them
        bytes memory staged = Chunks.readAll(_staged[keccak256(abi.encode(msg.sender, nonce))]);
        require(staged.length > 0, BadProof());
        _prove(seq, previous, header, abi.decode(staged, (FloorProof)));
    }

    function _prove(uint64 seq, Header memory previous, Header memory header, FloorProof memory proof) private {
        _checkHeaders(seq, previous, header);
        require(proof.acct >= FIRST_ACCOUNT && keccak256(proof.data) == header.dataHash, BadProof());
        uint256 closing = uint48(header.h >> 144);
        uint256 opening = seq == 1 ? 0 : uint48(previous.h >> 144);
        FloorBook.Book memory book;
        book.closing = _vectorOf(proof.closing, closing);
        book.opening = _vectorOf(proof.opening, opening == closing ? 0 : opening);
        _readDeltas(book, proof.data, proof.acct);
        _readLeaf(book, proof, header.newRoot);
        require(FloorBook.isBroken(book), NoFraud());
        _revert(seq, previous, header, msg.sender);
    }

    /// @dev data that is not canonical is F1's matter
    function _readDeltas(FloorBook.Book memory book, bytes memory data, uint32 acct) private pure {
        uint256 at;
        assembly ("memory-safe") {
            at := add(data, 32)
        }
        (BatchCells.Cells memory cells, bool isCanonical) = BatchCells.read(at);
        uint256 local = cells.find(acct);
        require(isCanonical && local < cells.accounts, NoFraud());
        (, book.moved) = cells.account(local);
        (book.cell, book.cellsEnd) = cells.cellsOf(local);
    }

    /// @dev leaf and deltas side by side, instruments ascending
    function _readLeaf(FloorBook.Book memory book, FloorProof memory proof, bytes32 root) private view {
        (int256 cash, uint256 from, uint256 to) = _leafOf(proof.acct, proof.leaf, proof.path, root);
        FloorBook.begin(book, cash);
        uint256 used;
        while (from < to || book.cell < book.cellsEnd) {
            (uint256 instr, int256 lots, int256 delta, uint256 next) = FloorBook.next(book, from, to);
            from = next;
            InstrumentSpec memory spec;
            if (instr >> 31 == 1 || delta != 0) {
                require(used < proof.specs.length, BadProof());
                spec = proof.specs[used++];
                require(keccak256(abi.encode(spec)) == _instruments[instr], BadInstrument());
            }
            FloorBook.add(book, instr, lots, delta, spec);
        }
        require(from == to && used == proof.specs.length, BadProof());
    }
}
