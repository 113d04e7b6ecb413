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

    /// @dev what the timelock does, without its announcement
    function enlist(address next) external {
        _successors.push(Successor(next, 0));
    }

    function dismiss(address next) external {
        uint256 place = _successors.length - 1;
        require(_successors[place].operator == next, NotSuccessor());
        _credit(next, _successors[place].bond);
        _dropSuccessor(place);
    }
}
