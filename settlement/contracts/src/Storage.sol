// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./interfaces/ISettlementTypes.sol";

/// @title Storage of the settlement contract, shared by every part that runs on it by delegatecall
/// @dev One struct per slot, in a fixed order: a struct always opens a slot, so a later field can join its struct
/// without moving another one. A part inherits this and nothing that declares state before it.
abstract contract Storage is ISettlementTypes {
    struct HeadSlot {
        address operator;
        uint48 head;
        uint48 finalized;
    }

    struct ProgressSlot {
        uint8 halted;
        uint40 lastPost;
        uint40 lastMatchTo;
        uint48 lastRound;
        uint56 reqHead;
        uint56 reqDone;
    }

    struct CollateralSlot {
        uint96 atHead;
        uint64 bond;
        uint40 resetAt;
        uint16 epoch;
        uint40 resumedAt;
    }

    struct FinalSlot {
        uint96 collateral;
        uint64 reqFinal;
        uint64 pot;
        uint32 nextAccount;
    }

    struct Account {
        address owner;
        uint40 created;
    }

    /// @dev which batches which bond backs: `bond` of slot 3 those from `from` on, the retired one [retiredFrom, retiredTo]
    struct BackingSlot {
        uint48 from;
        uint48 retiredFrom;
        uint48 retiredTo;
        uint64 retiredBond;
    }

    /// @dev until when the guardian's pause lasts, and from when the next one may begin
    struct PauseSlot {
        uint40 until;
        uint40 allowedFrom;
    }

    /// @dev the fee that a payer of the withdrawal may keep, and who paid it; 0 = nobody
    struct FastRow {
        uint64 allowedFee;
        address payer;
    }

    /// @dev when and in which block the timelock announced a call; 0 = it did not
    struct NoticeRow {
        uint40 time;
        uint64 blockNumber;
    }

    /// @dev what `claim` paid on that day and in that hour since 1970
    struct OutflowSlot {
        uint32 day;
        uint32 hour;
        uint96 dayOut;
        uint96 hourOut;
    }

    /// @dev first and second call of `freeze`, end of the claim period, and whether the assets are fixed; 0 = not yet
    struct EscapeSlot {
        uint40 noticeAt;
        uint40 frozenAt;
        uint40 claimsEnd;
        bool isClosed;
    }

    /// @dev equity of an account at the marks of the escape; late = made when the assets were fixed
    struct EscapeRow {
        uint240 amount;
        bool isLate;
        bool isPaid;
    }

    /// @dev values of `halted`
    uint8 internal constant NOT_HALTED = 0;
    uint8 internal constant PAUSED = 1;
    uint8 internal constant FROZEN = 2;

    HeadSlot internal _head;
    bytes32 internal _root;
    ProgressSlot internal _progress;
    CollateralSlot internal _collateral;
    FinalSlot internal _final;
    mapping(uint256 seq => bytes32) internal _batchHash;
    mapping(uint256 id => Request) internal _requests;
    mapping(uint256 index => Account) internal _accounts;
    mapping(address owner => uint32[]) internal _accountsOf;
    mapping(bytes32 digest => bool) internal _usedAction;
    mapping(address owner => mapping(address key => SessionKey)) internal _sessions;
    mapping(uint256 id => address) internal _payee;
    mapping(uint256 acct => mapping(uint8 kind => uint64)) internal _lastRequest;
    BackingSlot internal _backing;
    address internal _retiredOperator;
    Successor[] internal _successors;
    mapping(address holder => uint256) internal _credits;
    uint64 internal _oracleHead;
    uint64 internal _feedCount;
    mapping(uint256 round => uint256 hashAndTime) internal _oracle;
    mapping(address signer => bool) internal _feedSigners;
    mapping(address asset => AssetRow) internal _assets;
    mapping(uint256 id => bytes32) internal _instruments;
    mapping(bytes32 assetAndSubId => uint32) internal _instrumentOf;
    mapping(bytes32 senderAndNonce => address[]) internal _staged;
    mapping(bytes32 id => Challenge) internal _challenges;
    mapping(bytes32 batchHash => uint256) internal _openChallenges;
    mapping(bytes32 idAndSender => bytes32) internal _answers;
    mapping(bytes32 ref => mapping(uint256 seq => uint256 lotsAndBatch)) internal _fillOf;
    mapping(bytes32 batchHashAndAccount => bool) internal _shownForced;
    PauseSlot internal _pause;
    EscapeSlot internal _escape;
    address[] internal _escapeMarks;
    uint256 internal _escapeTotal;
    uint256 internal _escapeAssets;
    uint256 internal _escapePaid;
    uint256 internal _escapeLatePaid;
    mapping(uint256 acct => EscapeRow) internal _escapeRows;
    OutflowSlot internal _outflow;
    mapping(uint256 id => FastRow) internal _fast;
    PauseSlot internal _fastPause;
    mapping(bytes32 callHash => NoticeRow) internal _notices;
}
