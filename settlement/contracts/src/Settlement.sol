// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Batches} from "./Batches.sol";
import {Bonds} from "./Bonds.sol";
import {Claims} from "./Claims.sol";
import {Parameters} from "./Parameters.sol";
import {Relay} from "./Relay.sol";

/// @title The deployed contract: vault, queue, keys, batches, bonds and claims in one address
/// @dev What it does not know itself is answered by the code of `disputes`, fixed at deployment, on this storage.
contract Settlement is Relay, Batches, Claims, Bonds {
    constructor(Setup memory setup) Parameters(setup) {}

    fallback() external {
        address part = disputes;
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let success := delegatecall(gas(), part, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            if iszero(success) { revert(free, returndatasize()) }
            return(free, returndatasize())
        }
    }
}
