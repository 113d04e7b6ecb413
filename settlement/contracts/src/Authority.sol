// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IAuthority} from "./interfaces/IAuthority.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {ActionHash} from "./libraries/ActionHash.sol";
import {Challenges} from "./Challenges.sol";
import {Orders} from "./Orders.sol";
import {Parts} from "./Parts.sol";

/// @title F2: who asks is shown the signed orders behind a delta, or the operator is slashed
contract Authority is Orders, Challenges, ReentrancyGuardTransient, IAuthority, Parts {
    uint8 private constant ORDER = 1;
    uint8 private constant QUOTE = 8;
    uint8 private constant RFQ = 9;
    uint256 private constant NS = 1e9;

    constructor(address nextPart_) Parts(nextPart_) {}

    function challenge(uint64 seq, Header calldata header, uint32 acct, uint64 cancelReq, uint64 lockReq)
        external
        nonReentrant
        returns (bytes32 id)
    {
        bytes32 hash = _liveHash(seq, header);
        require(_isWindowOpen(header) && _accounts[acct].owner != address(0), BadChallenge());
        _checkReliance(header, acct, cancelReq, Kind.CANCEL_ALL);
        _checkReliance(header, acct, lockReq, Kind.LOCK);
        id = keccak256(abi.encode(hash, acct, cancelReq, lockReq));
        require(_challenges[id].challenger == address(0), BadChallenge());
        ISettlement vault = ISettlement(address(this));
        uint64 bond = vault.challengeBond();
        require(_receive(IERC20(vault.token()), bond) == bond, BadAmount());
        uint40 deadline = uint40(block.timestamp) + vault.answerWindow();
        _challenges[id] = Challenge(msg.sender, deadline, acct, true, hash, seq, cancelReq, lockReq, bond);
        _openChallenges[hash] += 1;
        emit Challenged(id, seq, acct, msg.sender, deadline);
    }

    function answer(
        bytes32 id,
        Header calldata header,
        AnswerState calldata state,
        OrderEvidence[] calldata leaves,
        bytes calldata siblings,
        bytes calldata data
    ) external {
        Challenge memory asked = _openChallenge(id);
        require(keccak256(abi.encode(header)) == asked.batchHash, BadHeader());
        bytes32 key = keccak256(abi.encode(id, msg.sender));
        bytes32 before = _answers[key];
        if (before == 0) require(state.nextLeaf == 0 && state.cash == 0 && state.instrs.length == 0, BadState());
        else require(keccak256(abi.encode(state)) == before, BadState());
        AnswerState memory now_ = state;
        _readLeaves(asked, header, now_, leaves, siblings);
        if (data.length == 0) {
            _answers[key] = keccak256(abi.encode(now_));
            return;
        }
        require(keccak256(data) == header.dataHash, BadProof());
        require(_isPosted(asked.acct, now_.instrs, now_.lots, now_.cash, data), NotTheDelta());
        _closeChallenge(id, asked, msg.sender);
        emit Answered(id, msg.sender);
    }

    function slashUnanswered(bytes32 id, Header calldata previous, Header calldata header) external {
        Challenge memory asked = _openChallenge(id);
        require(block.timestamp > asked.deadline, NotOpen());
        require(keccak256(abi.encode(header)) == asked.batchHash, BadHeader());
        _checkHeaders(asked.seq, previous, header);
        _closeChallenge(id, asked, asked.challenger);
        _revert(asked.seq, previous, header, asked.challenger);
    }

    function refundChallenge(bytes32 id) external {
        Challenge memory asked = _challenges[id];
        require(asked.isOpen && !_isLive(asked), NotOpen());
        _closeChallenge(id, asked, asked.challenger);
    }

    function showFill(uint64 seq, Header calldata header, ShownLeaf calldata leaf, bytes calldata siblings) external {
        bytes32 hash = _liveHash(seq, header);
        uint256[] memory indices = new uint256[](1);
        bytes32[] memory hashes = new bytes32[](1);
        indices[0] = leaf.leafIndex;
        hashes[0] = keccak256(
            abi.encodePacked(leaf.kind, leaf.acct, leaf.instr, leaf.ref, leaf.pos, leaf.notional, leaf.fee)
        );
        _checkRoot(indices, hashes, siblings, header.ordersRoot);
        _record(leaf.ref, seq, leaf.pos, hash);
    }

    function proveOverfill(OrderEvidence calldata order, uint64[] calldata seqs, Header calldata previous, Header calldata header)
        external
    {
        require(seqs.length > 0, NotOverfilled());
        _checkHeaders(seqs[seqs.length - 1], previous, header);
        (Terms memory terms, bool isKnown) = _readTerms(order);
        require(isKnown, BadModule());
        require(_isInstrument(order, terms), BadInstrument());
        uint256 lots = _liveLots(_refOf(order, _digest(order)), seqs);
        require(terms.amountE18 >= 0 && lots * order.spec.lotE18 > uint256(terms.amountE18), NotOverfilled());
        _revert(seqs[seqs.length - 1], previous, header, msg.sender);
    }

    function challengeOf(bytes32 id) external view returns (Challenge memory) {
        return _challenges[id];
    }

    function answerOf(bytes32 id, address who) external view returns (bytes32) {
        return _answers[keccak256(abi.encode(id, who))];
    }

    function fillOf(bytes32 ref, uint64 seq) external view returns (uint64 lots, bool isLive) {
        uint256 row = _fillOf[ref][seq];
        return (uint64(row >> 192), row != 0 && seq <= _head.head && uint192(row) == uint192(uint256(_batchHash[seq])));
    }

    function _readLeaves(
        Challenge memory asked,
        Header calldata header,
        AnswerState memory state,
        OrderEvidence[] calldata leaves,
        bytes calldata siblings
    ) private {
        if (leaves.length == 0) return;
        Question memory q = _question(asked, header.h);
        uint256[] memory indices = new uint256[](leaves.length);
        bytes32[] memory hashes = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            indices[i] = leaves[i].leafIndex;
            hashes[i] = _readLeaf(asked, q, state, leaves[i]);
        }
        _checkRoot(indices, hashes, siblings, header.ordersRoot);
    }

    /// @return the leaf that the orders tree must have
    function _readLeaf(
        Challenge memory asked,
        Question memory q,
        AnswerState memory state,
        OrderEvidence calldata e
    ) private returns (bytes32) {
        bytes32 digest = _digest(e);
        bytes32 ref = _refOf(e, digest);
        require(e.leafIndex >= state.nextLeaf && ref > state.lastRef, BadLeaves());
        uint8 reason = _judge(q, e, digest);
        require(reason == 0, NotAuthorized(e.leafIndex, reason));
        (state.nextLeaf, state.lastRef) = (uint64(e.leafIndex) + 1, ref);
        _add(state, e);
        _record(ref, asked.seq, e.pos, asked.batchHash);
        return keccak256(abi.encodePacked(_isQuote(e) ? QUOTE : _isLeg(e) ? RFQ : ORDER, asked.acct, e.instr, ref, e.pos, e.notional, e.fee));
    }

    function _question(Challenge memory asked, uint256 h) private view returns (Question memory q) {
        q.acct = asked.acct;
        q.owner = _accounts[asked.acct].owner;
        q.subaccount = uint256(ISettlement(address(this)).subaccountBase()) + asked.acct;
        q.matchFrom = uint40(h >> 104);
        q.matchTo = uint40(h >> 64);
        if (asked.cancelReq != 0) q.canceledNs = (_requests[asked.cancelReq].time - CLOCK_DIFFERENCE) * NS;
        q.isLocked = asked.lockReq != 0;
    }

    /// @dev sums by instrument stay ascending; a new one is put in its place
    function _add(AnswerState memory state, OrderEvidence calldata e) private pure {
        int256 notional = int256(uint256(e.notional));
        state.cash += (e.pos > 0 ? -notional : notional) - e.fee;
        uint256 count = state.instrs.length;
        uint256 place;
        while (place < count && state.instrs[place] < e.instr) ++place;
        if (place < count && state.instrs[place] == e.instr) {
            state.lots[place] += e.pos;
            return;
        }
        uint32[] memory instrs = new uint32[](count + 1);
        int256[] memory lots = new int256[](count + 1);
        for (uint256 i = 0; i < count; ++i) {
            (instrs[i < place ? i : i + 1], lots[i < place ? i : i + 1]) = (state.instrs[i], state.lots[i]);
        }
        (instrs[place], lots[place]) = (e.instr, e.pos);
        (state.instrs, state.lots) = (instrs, lots);
    }

    /// @dev a ref stands once in a batch; shown twice with different lots, the larger counts
    function _record(bytes32 ref, uint64 seq, int64 pos, bytes32 hash) private {
        uint64 lots = uint64(pos > 0 ? pos : -pos);
        uint256 row = _fillOf[ref][seq];
        bool isSame = uint192(row) == uint192(uint256(hash));
        if (isSame && uint64(row >> 192) >= lots) return;
        _fillOf[ref][seq] = (uint256(lots) << 192) | uint192(uint256(hash));
        emit FillShown(ref, seq, lots);
    }

    function _liveLots(bytes32 ref, uint64[] calldata seqs) private view returns (uint256 lots) {
        uint64 last;
        for (uint256 i = 0; i < seqs.length; ++i) {
            uint64 seq = seqs[i];
            require(seq > last && seq <= _head.head, BadSeq());
            last = seq;
            uint256 row = _fillOf[ref][seq];
            bool isLive_ = uint192(row) == uint192(uint256(_batchHash[seq]));
            // the last one is reverted, so it must be one of the fills
            require(isLive_ || i + 1 < seqs.length, NotOverfilled());
            if (isLive_) lots += row >> 192;
        }
    }

    function _isWindowOpen(Header calldata header) private view returns (bool) {
        ISettlement vault = ISettlement(address(this));
        return block.timestamp < uint256(header.blockTime) + vault.finalityWindow()
            || block.number < uint256(header.blockNumber) + vault.finalityBlocks();
    }

    function _checkReliance(Header calldata header, uint32 acct, uint64 reqId, Kind kind) private view {
        if (reqId == 0) return;
        Request memory row = _requests[reqId];
        require(row.acct == acct && row.kind == uint8(kind) && reqId <= header.h >> 192, BadReliance());
    }
}
