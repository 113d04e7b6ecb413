// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./interfaces/ISettlementTypes.sol";

/// @title Calls whose bytes are those of their transaction
/// @dev The origin of a transaction calls once by itself: the call that every node shows. A contract is never the
/// origin, neither while it is constructed. A key that delegates to code (EIP-7702) is, and its code calls in its name
/// whatever it likes, so that it must have none: a delegation lasts for the whole transaction, none ends within it.
abstract contract Direct is ISettlementTypes {
    modifier direct() {
        require(msg.sender == tx.origin && msg.sender.code.length == 0, NotDirect());
        _;
    }
}
