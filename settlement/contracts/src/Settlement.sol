// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Batches} from "./Batches.sol";
import {Claims} from "./Claims.sol";
import {Parameters} from "./Parameters.sol";
import {Parts} from "./Parts.sol";
import {Relay} from "./Relay.sol";

/// @title The deployed contract: vault, queue, keys, batches and claims; bonds, disputes and markets by its parts
contract Settlement is Relay, Batches, Claims, Parts {
    constructor(Setup memory setup) Parameters(setup) Parts(setup.nextPart) {}
}
