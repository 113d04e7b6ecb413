// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IDisputes} from "./interfaces/IDisputes.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {OracleBounds} from "./OracleBounds.sol";
import {Parts} from "./Parts.sol";
import {Refusals} from "./Refusals.sol";
import {WrongRoot} from "./WrongRoot.sol";

/// @title Proofs against a posted batch that need no answer
contract Disputes is WrongRoot, Refusals, OracleBounds, IDisputes, Parts {
    constructor(address nextPart_) Parts(nextPart_) {}

    function proveWrongRoot(uint64 seq, Header calldata previous, Header calldata header, bytes calldata proof)
        external
    {
        _proveWrongRoot(seq, previous, header, proof);
    }

    function proveWrongRootStaged(uint64 seq, Header calldata previous, Header calldata header, uint256 nonce)
        external
    {
        _proveWrongRoot(seq, previous, header, Chunks.readAll(_staged[_stageKey(msg.sender, nonce)]));
    }

    function stageProof(uint256 nonce, bytes calldata chunk) external {
        require(chunk.length <= Chunks.MOST, BadSize());
        _staged[_stageKey(msg.sender, nonce)].push(Chunks.write(chunk));
    }

    function stagedChunks(address who, uint256 nonce) external view returns (address[] memory) {
        return _staged[_stageKey(who, nonce)];
    }

    function _proveWrongRoot(uint64 seq, Header memory previous, Header memory header, bytes memory proof) private {
        _checkHeaders(seq, previous, header);
        require(_isWrong(seq, previous, header, proof), NoFraud());
        _revert(seq, previous, header, msg.sender);
    }

    function _stageKey(address who, uint256 nonce) private pure returns (bytes32) {
        return keccak256(abi.encode(who, nonce));
    }
}
