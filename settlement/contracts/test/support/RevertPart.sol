// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Parts} from "../../src/Parts.sol";
import {Reverts} from "../../src/Reverts.sol";

/// @dev a part that takes every accusation for proven: what follows a proof, without a proof
contract RevertPart is Reverts, Parts {
    constructor(address nextPart_) Parts(nextPart_) {}

    function accuse(uint64 seq, Header calldata previous, Header calldata header) external {
        _checkHeaders(seq, previous, header);
        _revert(seq, previous, header, msg.sender);
    }
}
