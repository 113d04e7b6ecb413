// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title A contract in parts: what one does not know is answered by the code of the next, on the first one's storage
/// @dev Code size is limited (EIP-170). The chain is fixed by constructors: nobody can add, replace or remove a part.
abstract contract Parts {
    address public immutable nextPart;

    error UnknownFunction();

    constructor(address nextPart_) {
        nextPart = nextPart_;
    }

    fallback() external {
        address next = nextPart;
        require(next != address(0), UnknownFunction());
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let success := delegatecall(gas(), next, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            if iszero(success) { revert(free, returndatasize()) }
            return(free, returndatasize())
        }
    }
}
