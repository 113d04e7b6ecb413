// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Announced} from "./Announced.sol";
import {Direct} from "./Direct.sol";
import {IMarkets} from "./interfaces/IMarkets.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {LinearBounds} from "./libraries/LinearBounds.sol";
import {Vector} from "./libraries/Vector.sol";
import {Parts} from "./Parts.sol";

/// @title Oracle rounds signed by k of n feeds, and the list of instruments
contract Markets is Announced, Direct, IMarkets, Parts {
    uint256 private constant SIGNATURE = 65;
    bytes32 private constant ROUND_TAG = keccak256("offbook.oracle.round");

    constructor(address nextPart_) Parts(nextPart_) {}

    modifier onlyTimelock() {
        require(msg.sender == ISettlement(address(this)).timelock(), NotTimelock());
        _;
    }

    function postOracle(uint64 round, bytes calldata vector, uint40 timestamp, bytes calldata sigs) external direct {
        uint64 last = _oracleHead;
        require(round == last + 1, BadRound());
        require(timestamp >= uint40(_oracle[last]) && timestamp <= block.timestamp, BadTime());
        require(Vector.isCanonical(vector), BadVector());
        bytes32 vectorHash = keccak256(vector);
        _checkSignatures(roundDigest(round, timestamp, vectorHash), sigs);
        _oracleHead = round;
        _oracle[round] = (uint256(vectorHash) >> 40 << 40) | timestamp;
        emit OraclePosted(round, timestamp, vectorHash);
    }

    function roundDigest(uint64 round, uint40 timestamp, bytes32 vectorHash) public view returns (bytes32) {
        return keccak256(abi.encode(ROUND_TAG, block.chainid, address(this), round, timestamp, vectorHash));
    }

    /// @dev signers ascend, so none counts twice; without feeds it is the operator's word
    function _checkSignatures(bytes32 digest, bytes calldata sigs) private view {
        uint256 count = sigs.length / SIGNATURE;
        uint256 threshold = ISettlement(address(this)).feedThreshold();
        if (threshold == 0) {
            require(msg.sender == _head.operator && sigs.length == 0, BadSignature());
            return;
        }
        require(count >= threshold && sigs.length == count * SIGNATURE, BadSignature());
        address previous;
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata sig = sigs[i * SIGNATURE:(i + 1) * SIGNATURE];
            (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, sig);
            require(fault == ECDSA.RecoverError.NoError && signer > previous && _feedSigners[signer], BadSignature());
            previous = signer;
        }
    }

    function setFeedSigner(address signer, bool allowed) external announced {
        require(signer != address(0) && _feedSigners[signer] != allowed, BadSigner());
        require(allowed || _feedCount > ISettlement(address(this)).feedThreshold(), BadSigner());
        _feedSigners[signer] = allowed;
        _feedCount = allowed ? _feedCount + 1 : _feedCount - 1;
        emit FeedSignerSet(signer, allowed);
    }

    /// @dev once for ever: who shows a spec later makes it from the row again
    function setAsset(address asset, AssetRow calldata row) external onlyTimelock {
        require(!_assets[asset].known, BadAsset());
        require(row.known && row.lotE18 > 0 && row.unit > 0 && row.underlying > 0, BadAsset());
        // the bounds of margin and funding know no other: an asset of another class would have no floor
        require(row.class == LinearBounds.LARGE_CAP || row.class == LinearBounds.MAJOR, BadAsset());
        // one tick is a whole number of 1e-18 USDC: the limit of a quote is then exact
        require(uint256(row.unit) * 1e30 % row.lotE18 == 0, BadAsset());
        _assets[asset] = row;
        emit AssetSet(asset, row);
    }

    function listInstruments(uint32[] calldata ids, address[] calldata assets, uint96[] calldata subIds) external {
        require(msg.sender == _head.operator, NotOperator());
        require(ids.length == assets.length && ids.length == subIds.length, BadInstrument());
        for (uint256 i = 0; i < ids.length; ++i) {
            _list(ids[i], assets[i], subIds[i]);
        }
    }

    function _list(uint32 id, address asset, uint96 subId) private {
        AssetRow memory row = _assets[asset];
        require(row.known, BadAsset());
        bytes32 key = keccak256(abi.encode(asset, subId));
        require(id != 0 && _instruments[id] == 0 && _instrumentOf[key] == 0, BadInstrument());
        require((id >> 31 == 1) == row.isPerp, BadInstrument());
        InstrumentSpec memory spec = _spec(row, asset, subId);
        _instruments[id] = keccak256(abi.encode(spec));
        _instrumentOf[key] = id;
        emit InstrumentListed(id, spec);
    }

    /// @dev the sub id of an option is isCall << 95 | strike in 1e-8 USDC << 32 | expiry in seconds, of a perpetual 0
    function _spec(AssetRow memory row, address asset, uint96 subId) private pure returns (InstrumentSpec memory spec) {
        (spec.asset, spec.subId, spec.isPerp, spec.underlying) = (asset, subId, row.isPerp, row.underlying);
        (spec.lotE18, spec.unit, spec.class) = (row.lotE18, row.unit, row.class);
        if (row.isPerp) {
            require(subId == 0, BadInstrument());
            return spec;
        }
        spec.isCall = subId >> 95 == 1;
        spec.strikeE8 = uint64(subId >> 32) & 0x7fffffffffffffff;
        spec.expiry = uint32(subId);
        require(spec.strikeE8 > 0 && spec.expiry > 0, BadInstrument());
    }

    function oracle(uint64 round) external view returns (bytes32 hashHigh, uint40 timestamp) {
        uint256 slot = _oracle[round];
        return (bytes32(slot >> 40 << 40), uint40(slot));
    }

    function oracleHead() external view returns (uint64) {
        return _oracleHead;
    }

    function feedSigner(address signer) external view returns (bool) {
        return _feedSigners[signer];
    }

    function feedCount() external view returns (uint256) {
        return _feedCount;
    }

    function asset(address asset_) external view returns (AssetRow memory) {
        return _assets[asset_];
    }

    function instrument(uint32 id) external view returns (bytes32) {
        return _instruments[id];
    }

    function instrumentOf(address asset_, uint96 subId) external view returns (uint32) {
        return _instrumentOf[keccak256(abi.encode(asset_, subId))];
    }
}
