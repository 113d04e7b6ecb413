// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Batches} from "./Batches.sol";
import {Bonds} from "./Bonds.sol";
import {Claims} from "./Claims.sol";
import {Parameters} from "./Parameters.sol";
import {Parts} from "./Parts.sol";
import {Relay} from "./Relay.sol";

/// @title The deployed contract: vault, queue, keys, batches, bonds and claims in one address; disputes by its parts
contract Settlement is Relay, Batches, Claims, Bonds, Parts {
    constructor(Setup memory setup) Parameters(setup) Parts(setup.nextPart) {}
}
