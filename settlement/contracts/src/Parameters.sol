// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ActionHash} from "./libraries/ActionHash.sol";
import {Ledger} from "./Ledger.sol";

/// @title What a deployment fixes for ever, inside hard bounds
abstract contract Parameters is Ledger {
    uint40 internal constant MAX_FINALITY_WINDOW = 30 days;
    uint40 internal constant MAX_FINALITY_BLOCKS = 2_592_000;
    uint40 internal constant MAX_ANSWER_WINDOW = 7 days;
    uint40 internal constant MAX_FORCE_DELAY = 7 days;
    uint40 internal constant MAX_ESCAPE_DELAY = 30 days;
    uint40 internal constant MAX_FREEZE_GAP = 7 days;
    uint40 internal constant MAX_CLAIM_PERIOD = 90 days;
    uint40 internal constant MAX_TIMELOCK_DELAY = 90 days;
    /// @dev behind finality: from then on the outflow limit does not hold a claim
    uint40 internal constant LIMIT_REST = 72 hours;
    uint64 internal constant MAX_MINIMUM_DEPOSIT = 1_000e6;
    uint64 internal constant MAX_MINIMUM_BOND = 100_000_000e6;
    uint64 internal constant MAX_CHALLENGE_BOND = 2_000e6;
    uint32 internal constant MAX_ACCOUNTS = 1 << 20;
    uint32 internal constant FIRST_ACCOUNT = 2;

    address public immutable token;
    address public immutable timelock;
    address public immutable guardian;
    uint64 public immutable subaccountBase;
    uint40 public immutable finalityWindow;
    uint40 public immutable finalityBlocks;
    uint40 public immutable answerWindow;
    uint40 public immutable forceDelay;
    uint40 public immutable escapeDelay;
    uint40 public immutable freezeGap;
    uint40 public immutable claimPeriod;
    uint40 public immutable timelockDelay;
    uint64 public immutable minimumDeposit;
    uint64 public immutable minimumBond;
    uint64 public immutable challengeBond;
    uint8 public immutable feedThreshold;
    bool public immutable acceptsSepolia;
    uint40 public immutable deployedAt;
    bytes32 public immutable domainSeparator;
    address public immutable settlementAsset;

    constructor(Setup memory setup) {
        _checkAddresses(setup);
        _checkWindows(setup);
        _checkAmounts(setup);
        token = setup.token;
        timelock = setup.timelock;
        guardian = setup.guardian;
        subaccountBase = setup.subaccountBase;
        finalityWindow = setup.finalityWindow;
        finalityBlocks = setup.finalityBlocks;
        answerWindow = setup.answerWindow;
        forceDelay = setup.forceDelay;
        escapeDelay = setup.escapeDelay;
        freezeGap = setup.freezeGap;
        claimPeriod = setup.claimPeriod;
        timelockDelay = setup.timelockDelay;
        minimumDeposit = setup.minimumDeposit;
        minimumBond = setup.minimumBond;
        challengeBond = setup.challengeBond;
        feedThreshold = setup.feedThreshold;
        acceptsSepolia = setup.acceptsSepolia;
        _admitFeeds(setup.feedSigners);
        deployedAt = uint40(block.timestamp);
        domainSeparator = ActionHash.separator(block.chainid);
        settlementAsset = ActionHash.asset(address(this), "USDC", "erc20");
        _head.operator = setup.operator;
        _backing.from = 1;
        _final.nextAccount = FIRST_ACCOUNT;
        _progress.lastPost = uint40(block.timestamp);
        _root = _emptyRoot();
    }

    function _checkAddresses(Setup memory setup) private view {
        require(setup.token != address(0) && setup.operator != address(0), BadParameter());
        require(setup.timelock != address(0) && setup.nextPart.code.length > 0, BadParameter());
        require(setup.subaccountBase <= type(uint64).max - MAX_ACCOUNTS, BadParameter());
    }

    function _checkWindows(Setup memory setup) private pure {
        require(setup.finalityWindow > 0 && setup.finalityWindow <= MAX_FINALITY_WINDOW, BadParameter());
        require(setup.finalityBlocks > 0 && setup.finalityBlocks <= MAX_FINALITY_BLOCKS, BadParameter());
        require(setup.answerWindow > 0 && setup.answerWindow <= MAX_ANSWER_WINDOW, BadParameter());
        require(setup.forceDelay > 0 && setup.forceDelay <= MAX_FORCE_DELAY, BadParameter());
        require(setup.escapeDelay > setup.forceDelay && setup.escapeDelay <= MAX_ESCAPE_DELAY, BadParameter());
        require(setup.freezeGap > 0 && setup.freezeGap <= MAX_FREEZE_GAP, BadParameter());
        require(setup.claimPeriod > 0 && setup.claimPeriod <= MAX_CLAIM_PERIOD, BadParameter());
        require(setup.timelockDelay >= _longestExit(setup), BadParameter());
        require(setup.timelockDelay <= MAX_TIMELOCK_DELAY, BadParameter());
    }

    /// @dev a request that waits until anybody may freeze is in a batch by then or leaves by the escape; its batch is
    /// final after the windows, the last challenge's answer included, and 72 h later no limit holds its claim
    function _longestExit(Setup memory setup) private pure returns (uint256) {
        uint256 queue = uint256(setup.escapeDelay) + setup.freezeGap;
        return queue + setup.finalityWindow + setup.answerWindow + LIMIT_REST;
    }

    function _admitFeeds(address[] memory signers) private {
        address previous;
        for (uint256 i = 0; i < signers.length; ++i) {
            require(signers[i] > previous, BadParameter());
            previous = signers[i];
            _feedSigners[previous] = true;
        }
        _feedCount = uint64(signers.length);
    }

    function _checkAmounts(Setup memory setup) private pure {
        require(setup.minimumDeposit > 0 && setup.minimumDeposit <= MAX_MINIMUM_DEPOSIT, BadParameter());
        require(setup.minimumBond > 0 && setup.minimumBond <= MAX_MINIMUM_BOND, BadParameter());
        require(setup.feedThreshold <= setup.feedSigners.length, BadParameter());
        require(setup.challengeBond > 0 && setup.challengeBond <= MAX_CHALLENGE_BOND, BadParameter());
    }

    /// @dev an absent account is a zero leaf; twenty levels above it
    function _emptyRoot() private pure returns (bytes32 node) {
        for (uint256 level = 0; level < 20; ++level) {
            node = keccak256(abi.encode(node, node));
        }
    }
}
