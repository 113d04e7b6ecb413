// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Batches} from "./Batches.sol";
import {Claims} from "./Claims.sol";
import {Parameters} from "./Parameters.sol";
import {Relay} from "./Relay.sol";

/// @title The deployed contract: vault, queue, keys, batches and claims in one address
contract Settlement is Relay, Batches, Claims {
    constructor(
        IERC20 token_,
        address operator_,
        uint64 subaccountBase_,
        uint40 finalityWindow_,
        uint40 forceDelay_,
        uint96 minimumDeposit_
    ) Parameters(token_, operator_, subaccountBase_, finalityWindow_, forceDelay_, minimumDeposit_) {}
}
