// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IOracleBounds} from "./interfaces/IOracleBounds.sol";
import {MarkTable} from "./libraries/MarkTable.sol";
import {OracleRules} from "./libraries/OracleRules.sol";
import {PriceRows} from "./libraries/PriceRows.sol";
import {Leaves} from "./Leaves.sol";

/// @title F4: a round that says what none may say after the round before it
/// @dev Who publishes chooses the values, feeds sign them at most. So the batch that uses a round falls, not the round.
abstract contract OracleBounds is Leaves, IOracleBounds {
    uint256 private constant U64 = 0xffffffffffffffff;

    /// @param before,after_ memory offsets of the vectors
    /// @param elapsed seconds between them, and one more
    struct Pair {
        uint256 before;
        uint256 after_;
        uint256 elapsed;
    }

    function proveOracleBound(uint64 seq, Header calldata previous, Header calldata header, BoundProof calldata proof)
        external
    {
        _checkHeaders(seq, previous, header);
        uint256 opening = seq == 1 ? 0 : uint48(previous.h >> 144);
        uint256 closing = uint48(header.h >> 144);
        require(opening != 0 && closing != opening, NoFraud());
        Pair memory pair = Pair(
            _vectorOf(proof.before, opening),
            _vectorOf(proof.after_, closing),
            uint256(uint40(_oracle[closing])) - uint40(_oracle[opening]) + 1
        );
        require(_isOut(pair, proof, header.prevRoot), NoFraud());
        _revert(seq, previous, header, msg.sender);
    }

    function _isOut(Pair memory pair, BoundProof calldata proof, bytes32 root) private view returns (bool) {
        if (proof.instr == 0) return _isPriceOut(pair, proof.spec.underlying);
        require(keccak256(abi.encode(proof.spec)) == _instruments[proof.instr], BadInstrument());
        uint256 before = MarkTable.search(pair.before, proof.instr);
        uint256 after_ = MarkTable.search(pair.after_, proof.instr);
        if (_isSettled(before)) {
            if (after_ == 0) return _holds(proof, root);
            return (before ^ after_) << 88 != 0;
        }
        if (proof.spec.isPerp) return _isFundingOut(pair, proof.spec, before, after_);
        if (!_isSettled(after_)) return false;
        (bool found, uint256 price) = PriceRows.findExpiry(pair.after_, proof.spec.underlying, proof.spec.expiry);
        return !found || !OracleRules.isPayoff(proof.spec, price, (after_ >> 64) & U64);
    }

    function _isPriceOut(Pair memory pair, uint32 underlying) private pure returns (bool) {
        (bool was, uint256 before) = PriceRows.find(pair.before, underlying);
        (bool is_, uint256 after_) = PriceRows.find(pair.after_, underlying);
        return was && (!is_ || OracleRules.isJump(before, after_, pair.elapsed));
    }

    /// @dev a row that was not there yet stands for an index of 0
    function _isFundingOut(Pair memory pair, InstrumentSpec calldata spec, uint256 before, uint256 after_)
        private
        pure
        returns (bool)
    {
        int256 from = int64(uint64(before));
        if (after_ == 0) return from != 0;
        int256 to = int64(uint64(after_));
        (, uint256 first) = PriceRows.find(pair.before, spec.underlying);
        (bool found, uint256 price) = PriceRows.find(pair.after_, spec.underlying);
        if (!found) return to != from;
        return OracleRules.isOvercharge(spec, from, to, first > price ? first : price, pair.elapsed);
    }

    /// @dev whether the account shown has a position in the instrument
    function _holds(BoundProof calldata proof, bytes32 root) private pure returns (bool) {
        (, uint256 at, uint256 to) = _leafOf(proof.holder, proof.leaf, proof.path, root);
        while (at < to) {
            uint256 entry;
            assembly ("memory-safe") {
                entry := shr(224, mload(at))
            }
            if (entry == proof.instr) return true;
            at += entry >> 31 == 1 ? 20 : 12;
        }
        return false;
    }

    function _isSettled(uint256 row) private pure returns (bool) {
        return (row >> 128) & 0xff == 1;
    }
}
