// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ISettlement} from "../../src/interfaces/ISettlement.sol";

/// @dev a contract that owns an account and accepts the digests it was told
contract Wallet is IERC1271 {
    mapping(bytes32 => bool) private approved;

    function approve(bytes32 digest) external {
        approved[digest] = true;
    }

    function open(ISettlement vault, IERC20 token, uint64 amount) external returns (uint32 index) {
        token.approve(address(vault), amount);
        (index,) = vault.deposit(0, amount);
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return approved[digest] ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
