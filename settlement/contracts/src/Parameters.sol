// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ActionHash} from "./libraries/ActionHash.sol";
import {Ledger} from "./Ledger.sol";

/// @title What a deployment fixes for ever, inside hard bounds
abstract contract Parameters is Ledger {
    uint40 internal constant MAX_FINALITY_WINDOW = 30 days;
    uint40 internal constant MAX_FORCE_DELAY = 7 days;
    uint96 internal constant MAX_MINIMUM_DEPOSIT = 1_000e6;
    uint32 internal constant MAX_ACCOUNTS = 1 << 20;
    uint32 internal constant FIRST_ACCOUNT = 2;

    address public immutable token;
    uint64 public immutable subaccountBase;
    uint40 public immutable finalityWindow;
    uint40 public immutable forceDelay;
    uint96 public immutable minimumDeposit;
    uint40 public immutable deployedAt;
    bytes32 public immutable domainSeparator;
    address public immutable settlementAsset;

    constructor(
        IERC20 token_,
        address operator_,
        uint64 subaccountBase_,
        uint40 finalityWindow_,
        uint40 forceDelay_,
        uint96 minimumDeposit_
    ) {
        require(address(token_) != address(0) && operator_ != address(0), BadParameter());
        require(subaccountBase_ <= type(uint64).max - MAX_ACCOUNTS, BadParameter());
        require(finalityWindow_ > 0 && finalityWindow_ <= MAX_FINALITY_WINDOW, BadParameter());
        require(forceDelay_ > 0 && forceDelay_ <= MAX_FORCE_DELAY, BadParameter());
        require(minimumDeposit_ > 0 && minimumDeposit_ <= MAX_MINIMUM_DEPOSIT, BadParameter());
        token = address(token_);
        subaccountBase = subaccountBase_;
        finalityWindow = finalityWindow_;
        forceDelay = forceDelay_;
        minimumDeposit = minimumDeposit_;
        deployedAt = uint40(block.timestamp);
        domainSeparator = ActionHash.separator(block.chainid);
        settlementAsset = ActionHash.asset(address(this), "USDC", "erc20");
        _head.operator = operator_;
        _final.nextAccount = FIRST_ACCOUNT;
        _progress.lastPost = uint40(block.timestamp);
        _root = _emptyRoot();
    }

    /// @dev an absent account is a zero leaf; twenty levels above it
    function _emptyRoot() private pure returns (bytes32 node) {
        for (uint256 level = 0; level < 20; ++level) {
            node = keccak256(abi.encode(node, node));
        }
    }
}
