// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Direct} from "./Direct.sol";
import {BatchData} from "./libraries/BatchData.sol";
import {Parameters} from "./Parameters.sol";

/// @title Netted batches: accepted by the sums they must keep, chained by hash, final after a window
abstract contract Batches is Parameters, Direct {
    uint256 internal constant MAX_LISTED = 102;
    uint256 internal constant MAX_DATA = 28_672;
    uint256 internal constant MAX_REQUESTS = 64;
    uint256 internal constant MAX_CLOSES = 1;
    uint256 internal constant MAX_LAG = 24 hours;
    uint256 internal constant MAX_STALENESS = 60;

    function post(uint64 seq, bytes32 newRoot, bytes32 ordersRoot, uint256 h, bytes calldata data) external direct {
        HeadSlot memory top = _head;
        require(msg.sender == top.operator, NotOperator());
        require(seq == uint256(top.head) + 1, BadSeq());
        ProgressSlot memory progress = _progress;
        if (progress.halted != NOT_HALTED) _endPause(progress);
        CollateralSlot memory money = _collateral;
        require(money.bond >= minimumBond, BondTooLow());
        _checkTimes(h, progress.lastPost, progress.lastMatchTo, money);
        _checkRound(h, progress);
        _checkQueue(progress.reqDone, h >> 192, progress.reqHead, uint40(h >> 64), money);
        _checkBody(seq, h, data, progress.reqDone, money);

        bytes32 dataHash = keccak256(data);
        _chain(seq, newRoot, ordersRoot, dataHash, h, money.atHead);
        _root = newRoot;
        top.head = uint48(seq);
        _head = top;
        progress.lastPost = uint40(block.timestamp);
        progress.lastMatchTo = uint40(h >> 64);
        progress.reqDone = uint56(h >> 192);
        _progress = progress;
        emit BatchPosted(seq, newRoot, ordersRoot, dataHash, h);
    }

    function finalize(uint64 seq, Header calldata header) external {
        HeadSlot memory top = _head;
        require(seq == uint256(top.finalized) + 1 && seq <= top.head, BadSeq());
        require(_headerHash(header) == _batchHash[seq], BadHeader());
        require(block.timestamp >= uint256(header.blockTime) + finalityWindow, WindowOpen());
        require(block.number >= uint256(header.blockNumber) + finalityBlocks, WindowOpen());
        uint64 upTo = uint64(header.h >> 192);
        require(_openChallenges[_batchHash[seq]] == 0, ChallengeOpen());
        _head.finalized = uint48(seq);
        _final.collateral = header.collateral;
        _final.reqFinal = upTo;
        emit Finalized(seq, upTo, header.collateral);
    }

    /// @dev a pause ends by itself: the first post behind it takes the mark away
    function _endPause(ProgressSlot memory progress) private view {
        require(progress.halted == PAUSED && block.timestamp >= _pause.until, Halted());
        progress.halted = NOT_HALTED;
    }

    function _chain(uint64 seq, bytes32 newRoot, bytes32 ordersRoot, bytes32 dataHash, uint256 h, uint96 money) private {
        _batchHash[seq] = _headerHash(
            Header({
                prevBatchHash: _batchHash[seq - 1],
                prevRoot: _root,
                newRoot: newRoot,
                ordersRoot: ordersRoot,
                dataHash: dataHash,
                h: h,
                blockTime: uint64(block.timestamp),
                blockNumber: uint64(block.number),
                collateral: money
            })
        );
    }

    function _headerHash(Header memory header) private pure returns (bytes32) {
        return keccak256(abi.encode(header));
    }

    /// @dev the batch must take what was overdue when it was matched, or as much as the cap allows; a batch that was
    /// matched before the end of a long stop could not know the requests of that time. A revert starts the clock anew:
    /// what it put back into the queue is not the next operator's delay
    function _checkQueue(uint256 done, uint256 upTo, uint256 last, uint256 matchTo, CollateralSlot memory money)
        private
        view
    {
        require(upTo >= done && upTo <= last && upTo <= done + MAX_REQUESTS, BadQueue());
        if (upTo == last || upTo == done + MAX_REQUESTS) return;
        uint256 since = _requests[upTo + 1].time;
        if (since < money.resetAt) since = money.resetAt;
        if (matchTo <= since + forceDelay) return;
        if (matchTo <= money.resumedAt) return;
        bool full = _requests[upTo + 1].kind == uint8(Kind.CLOSE_ALL) && _closes(done, upTo) == MAX_CLOSES;
        require(full, RequestOverdue());
    }

    function _closes(uint256 done, uint256 upTo) private view returns (uint256 count) {
        for (uint256 id = done + 1; id <= upTo; ++id) {
            if (_requests[id].kind == uint8(Kind.CLOSE_ALL)) ++count;
        }
    }

    /// @dev what is matched cannot be matched again at another time: after a day without a post the lag rule rests
    /// for a day, after a revert for `escapeDelay` and for what was matched before it, or the batches of before would bar
    /// all later ones for ever
    function _checkTimes(uint256 h, uint256 lastPost_, uint256 lastMatchTo_, CollateralSlot memory money) private {
        uint256 matchFrom = uint40(h >> 104);
        uint256 matchTo = uint40(h >> 64);
        require(lastMatchTo_ <= matchFrom && matchFrom <= matchTo && matchTo <= block.timestamp, BadTime());
        if (block.timestamp > lastPost_ + MAX_LAG) {
            money.resumedAt = uint40(block.timestamp);
            _collateral.resumedAt = money.resumedAt;
        }
        if (matchTo + MAX_LAG >= block.timestamp) return;
        if (matchTo <= money.resetAt && block.timestamp <= uint256(money.resetAt) + escapeDelay) return;
        require(block.timestamp <= uint256(money.resumedAt) + MAX_LAG, BadTime());
    }

    /// @dev the round that the batch begins with: known, published for a time before its first match, not older than
    /// the one before. Where feeds sign, its marks are also fresh; what the operator publishes himself has none
    function _checkRound(uint256 h, ProgressSlot memory progress) private view {
        uint256 round = uint48(h >> 144);
        require(round >= progress.lastRound, BadRound());
        if (round == 0 && feedThreshold == 0) return;
        uint256 time = uint40(_oracle[round]);
        require(time != 0 && time <= uint40(h >> 104), BadRound());
        require(feedThreshold == 0 || uint40(h >> 64) <= time + MAX_STALENESS, BadRound());
        progress.lastRound = uint48(round);
    }

    function _checkBody(uint64 seq, uint256 h, bytes calldata data, uint256 done, CollateralSlot memory money) private {
        uint256 tail = _checkData(data, h);
        if (h >> 192 != done) tail = _consume(done, h >> 192, seq, tail, money);
        uint256 end;
        assembly ("memory-safe") {
            end := add(data.offset, data.length)
        }
        require(tail == end, BadLength());
    }

    /// @return tail calldata offset of the approved amounts
    function _checkData(bytes calldata data, uint256 h) private pure returns (uint256 tail) {
        require(data.length <= MAX_DATA, BadSize());
        (uint256 accounts, int256 cash, uint256 next, uint256 faults) = BatchData.readAccounts(data);
        require(accounts <= MAX_LISTED, BadSize());
        uint256 more;
        (tail, more) = BatchData.checkInstruments(data, next);
        faults |= more;
        if (faults != 0) _refuse(faults);
        require(cash + BatchData.unzigzag(uint64(h)) == 0, BadCash());
    }

    function _refuse(uint256 faults) private pure {
        if (faults & BatchData.BAD_COUNT != 0) revert BadSize();
        if (faults & BatchData.BAD_ORDER != 0) revert BadOrder();
        revert NotZeroSum();
    }

    /// @dev moves the collateral by requests (done, upTo] and notes each approval in its row
    /// @return calldata offset after the approved amounts
    function _consume(uint256 done, uint256 upTo, uint64 seq, uint256 tail, CollateralSlot memory money)
        private
        returns (uint256)
    {
        uint96 collateral_ = money.atHead;
        uint256 closes;
        for (uint256 id = done + 1; id <= upTo; ++id) {
            Request memory row = _requests[id];
            if (row.kind == uint8(Kind.DEPOSIT)) {
                collateral_ += row.amount;
            } else if (row.kind == uint8(Kind.WITHDRAW)) {
                uint64 approved;
                assembly ("memory-safe") {
                    approved := shr(192, calldataload(tail))
                    tail := add(tail, 8)
                }
                require(approved <= row.amount && approved <= collateral_, BadApproval());
                collateral_ -= approved;
                _requests[id].aux = (uint104(approved) << 40) | seq;
            } else if (row.kind == uint8(Kind.CLOSE_ALL)) {
                // its account is read three times by a proof, which must fit a transaction
                require(++closes <= MAX_CLOSES, BadQueue());
            }
        }
        money.atHead = collateral_;
        _collateral.atHead = collateral_;
        return tail;
    }
}
