// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Settlement of netted batches: vault, request queue, posting, finality, claims
/// @notice Amounts are in 1e-6 USDC, times in seconds, positions in lots. Account indices run from 2 on; 0 is the
/// venue's fund, 1 the clearing account, neither has an owner here. `subaccount_id` on the wire is
/// `subaccountBase() + index`.
///
/// Batch header word `h`, most significant bits first:
///   reqUpTo u64 | oracleRound u48 | matchFrom u40 | matchTo u40 | zz(fee) u64
/// Batch `data`, big endian, no padding between the parts:
///   nI u8 | nA u16
///   nA x (acct u32 | zz(cashDelta) u64)            acct strictly ascending, first >= 2, nA + 2 <= 104
///   nI x (instr u32 | nS u16 | nW u16              instr strictly ascending, first >= 1
///         nS x (localIdx u10 | zz(delta) u22)      nS a multiple of 8, at most 128
///         nW x (localIdx u16 | zz(delta) u48))     nW a multiple of 4, at most 128
///   nR x approved u64                              one per WITHDRAW request in (previous reqUpTo, reqUpTo]
/// with zz(v) = v >= 0 ? 2v : -2v - 1.
interface ISettlement is ISettlementTypes {
    // ------------------------------------------------------------------- user

    /// @notice Moves `amount` of the token from the caller and queues a DEPOSIT of what arrived.
    /// @param acct 0 = open a new account of the caller; else any account that has an owner
    /// @return index of the account
    /// @return id of the request
    function deposit(uint32 acct, uint64 amount) external returns (uint32 index, uint64 id);

    /// @notice `deposit` with an ERC-2612 permit of the caller; a permit used before by someone else does no harm.
    function depositWithPermit(uint32 acct, uint64 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint32 index, uint64 id);

    /// @notice Queues a WITHDRAW. Owner only; one open WITHDRAW per account.
    function requestWithdraw(uint32 acct, uint64 amount) external returns (uint64 id);

    /// @notice Queues a CLOSE_ALL: positions go to the fund at mark less 1 %, as far as it has room and the account has
    /// equity for it. Owner only; needs a deployment with oracle.
    function requestClose(uint32 acct) external returns (uint64 id);

    /// @notice Queues a CANCEL_ALL: no order signed before it (its nonce read as nanoseconds) authorizes a later fill.
    function cancelAll(uint32 acct) external returns (uint64 id);

    /// @notice Queues a LOCK, which is for ever: only liquidation, funding and expiry move the account then, and
    /// withdrawals.
    function lockTrading(uint32 acct) external returns (uint64 id);

    /// @notice Registers `key` for the caller, or revokes it when `validTo` is 0 (scopes and accts are then ignored).
    /// The row changes at once; the request tells the engine. A revoked key stays valid for 10 minutes at most, keeps
    /// its row and can never be registered again; scopes and accounts of a key never change.
    /// @param scopes bit mask of the scope codes
    /// @param accts account indices of the caller, empty = all, at most 64
    function setSessionKey(address key, uint40 validTo, uint32 scopes, uint32[] calldata accts)
        external
        returns (uint64 id);

    /// @notice Pays final withdrawals, in full. Anyone may call.
    /// A request with a payee pays the payee. Any other pays the owner, or `to` when `to` is not 0 and `ownerSig` is
    /// the owner's signature of `claimDigest(reqIds, to)`.
    function claim(uint64[] calldata reqIds, address to, bytes calldata ownerSig) external;

    /// @notice Queues an owner-signed `withdraw` or `set_session_key` action, each digest once for ever.
    /// The recipient of a withdraw becomes its payee unless it is the owner. Data of withdraw:
    /// (address asset, uint256 maxFeeE18, address recipient, uint256 amount, bool forceBatch); of set_session_key:
    /// (address key, uint256 expirySec, uint256[] scopeCodes, uint256[] subaccountIds), expirySec 0 = revoke.
    function relayRequest(Action calldata action, bytes calldata data, bytes calldata sig)
        external
        returns (uint64 id);

    // --------------------------------------------------------------- operator

    /// @notice Posts the next batch. See the layout above for `h` and `data`. The operator is a plain key: a contract,
    /// or a key that delegates to code, cannot post (`NotDirect`), as operator or as successor. So `data` is calldata
    /// of its own transaction.
    function post(uint64 seq, bytes32 newRoot, bytes32 ordersRoot, uint256 h, bytes calldata data) external;

    // ----------------------------------------------------------------- anyone

    /// @notice Makes batch `finalized() + 1` final once `finalityWindow()` and `finalityBlocks()` are over.
    function finalize(uint64 seq, Header calldata header) external;

    // ------------------------------------------------------------------ views

    /// @notice Separator of the domain ("Matching", "1.0", this chain, the protocol's constant contract address).
    function domainSeparator() external view returns (bytes32);
    /// @notice EIP-712 digest of an action under `domainSeparator()`.
    function actionDigest(Action calldata action, bytes calldata data) external view returns (bytes32);
    /// @notice EIP-712 digest that an owner signs to have `reqIds` paid to `to`.
    function claimDigest(uint64[] calldata reqIds, address to) external view returns (bytes32);
    /// @notice Address that stands for the collateral inside signed actions (never a contract).
    function settlementAsset() external view returns (address);
    function token() external view returns (address);
    function operator() external view returns (address);
    function subaccountBase() external view returns (uint64);
    function finalityWindow() external view returns (uint40);
    function finalityBlocks() external view returns (uint40);
    function answerWindow() external view returns (uint40);
    function forceDelay() external view returns (uint40);
    function escapeDelay() external view returns (uint40);
    /// @notice Time between the two calls of `freeze`.
    function freezeGap() external view returns (uint40);
    /// @notice Time in which claims of the escape share its assets.
    function claimPeriod() external view returns (uint40);
    function timelockDelay() external view returns (uint40);
    function minimumDeposit() external view returns (uint64);
    function minimumBond() external view returns (uint64);
    function challengeBond() external view returns (uint64);
    /// @notice Whether orders signed under Derive's Sepolia domain count.
    function acceptsSepolia() external view returns (bool);
    function timelock() external view returns (address);
    function guardian() external view returns (address);
    /// @notice How many feeds must sign an oracle round; 0 = no oracle.
    function feedThreshold() external view returns (uint8);
    function deployedAt() external view returns (uint40);

    /// @notice What `claim` still pays today and in this hour (UTC): at most max(10 % of `collateralFinal()`, 10M USDC) a
    /// day and max(1 %, 1M) an hour. Not behind a freeze, and not for a request older than `forceDelay()`,
    /// `finalityWindow()`, `answerWindow()` and 72 h together.
    function outflowLeft() external view returns (uint256 today, uint256 thisHour);
    /// @notice Last posted seq, 0 before the first batch.
    function head() external view returns (uint64);
    /// @notice Last final seq.
    function finalized() external view returns (uint64);
    /// @notice State root after `head()`; before the first batch the root of the empty tree of depth 20.
    function root() external view returns (bytes32);
    /// @notice Hash chain value of a posted batch, 0 for seq 0.
    function batchHash(uint64 seq) external view returns (bytes32);
    /// @notice Sum of all cash at `head()`.
    function collateral() external view returns (uint96);
    /// @notice Sum of all cash at `finalized()`.
    function collateralFinal() external view returns (uint96);
    /// @notice matchTo of `head()`.
    function lastMatchTo() external view returns (uint40);
    /// @notice Block time of the last post.
    function lastPost() external view returns (uint40);

    /// @notice time of the first post after a stop of more than 24 h, 0 without one
    function resumedAt() external view returns (uint40);
    /// @notice Bond of the operator.
    function bond() external view returns (uint64);
    /// @notice Rest of slashed bonds, until `sweepPot`.
    function pot() external view returns (uint64);
    /// @notice Number of reverts so far.
    function epoch() external view returns (uint16);
    /// @notice Time of the last revert that started the clocks of the queue anew, 0 without one.
    function resetAt() external view returns (uint40);
    /// @notice 0 posting goes on, 1 paused by the guardian (the first post behind the end goes on), 2 frozen.
    function halted() external view returns (uint8);
    /// @notice oracleRound of `head()`.
    function lastRound() external view returns (uint64);
    /// @notice First batch that `bond()` backs; the operator rotated out last, his bond, the last batch it backs.
    function backing() external view returns (uint64 from, address retired, uint64 retiredBond, uint64 retiredTo);
    function successors() external view returns (Successor[] memory);
    /// @notice What `takeCredit` pays.
    function credit(address holder) external view returns (uint256);
    /// @notice Id of the last queued request.
    function reqHead() external view returns (uint64);
    /// @notice Id of the last request consumed at `head()`.
    function reqDone() external view returns (uint64);
    /// @notice Id of the last request consumed at `finalized()`.
    function reqFinal() external view returns (uint64);
    function request(uint64 id) external view returns (Request memory);
    /// @notice Recipient of a withdrawal other than the owner, 0 = owner.
    function payee(uint64 id) external view returns (address);
    /// @notice Last request id of (account, kind); it is open while above `reqDone()`.
    function lastRequest(uint32 acct, Kind kind) external view returns (uint64);
    /// @notice Index the next new account gets.
    function nextAccount() external view returns (uint32);
    /// @notice 0 for 0, 1 and indices not given out.
    function accountOwner(uint32 index) external view returns (address);
    function accountsOf(address owner) external view returns (uint32[] memory);
    function sessionKey(address owner, address key) external view returns (SessionKey memory);
    function usedAction(bytes32 digest) external view returns (bool);
}
