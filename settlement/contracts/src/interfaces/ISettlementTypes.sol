// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Types, errors and events of the settlement contract and its parts
/// @notice The layout of a batch stands in `ISettlement`.
interface ISettlementTypes {
    // ------------------------------------------------------------------ types

    /// @notice Kinds of a queued request, stored as u8. The numbers are final.
    enum Kind {
        NONE,
        DEPOSIT,
        WITHDRAW,
        CLOSE_ALL,
        CANCEL_ALL,
        SET_KEY,
        LOCK
    }

    /// @notice One row of the request queue, ids from 1 on.
    /// @param acct account index; for SET_KEY the owner's first account
    /// @param kind a `Kind`
    /// @param amount DEPOSIT: received, WITHDRAW: requested (1e-6 USDC), SET_KEY: bits 96..159 of the key address
    /// @param time block time of the request
    /// @param aux WITHDRAW once consumed: approved << 40 | seq (approved becomes 0 when claimed);
    ///            SET_KEY: bits 0..95 of the key address, so key = amount << 96 | aux
    struct Request {
        uint32 acct;
        uint8 kind;
        uint64 amount;
        uint40 time;
        uint104 aux;
    }

    /// @notice Session key row. A row never disappears; `validFrom` 0 means the key was never registered.
    /// @param scopes bit c set = scope code c (0 .. 16)
    /// @param listHash 0 = every account of the owner, present and future; else the low 144 bits of
    ///                 keccak256 over the account indices, each as a 32-byte word, in the order given
    struct SessionKey {
        uint40 validFrom;
        uint40 validTo;
        uint32 scopes;
        uint144 listHash;
    }

    /// @notice What `batchHash(seq)` commits to: keccak256 of these nine fields, each as one 32-byte word, in order.
    /// @param dataHash keccak256 of the batch's `data`
    /// @param collateral sum of all cash after the batch
    struct Header {
        bytes32 prevBatchHash;
        bytes32 prevRoot;
        bytes32 newRoot;
        bytes32 ordersRoot;
        bytes32 dataHash;
        uint256 h;
        uint64 blockTime;
        uint64 blockNumber;
        uint96 collateral;
    }

    /// @notice A signed action without its `data`, which travels beside it and enters the hash as keccak256(data).
    struct Action {
        uint256 subaccountId;
        uint256 nonce;
        address module;
        uint256 expiry;
        address owner;
        address signer;
    }

    /// @notice One who takes over when an operator is slashed, in the order of registration; posts once he is bonded.
    struct Successor {
        address operator;
        uint64 bond;
    }

    /// @notice What a deployment fixes for ever. Times in seconds, amounts in 1e-6 USDC; bounds in `Parameters`.
    /// @param timelock registers successors, rotates operators
    /// @param guardian may pause posting, never an exit
    /// @param nextPart the contract whose code answers what this one does not know, on this one's storage
    /// @param finalityWindow challenge window, counted in time ...
    /// @param finalityBlocks ... and in blocks: a batch is final when both are over
    /// @param answerWindow time that a challenged operator has for his answer
    /// @param forceDelay age at which a request must be consumed
    /// @param escapeDelay age of the oldest request, or of the last post, at which anyone may freeze
    /// @param minimumBond bond below which nothing can be posted
    /// @param challengeBond what a challenger puts up
    /// @param acceptsSepolia whether orders signed under Derive's Sepolia domain count (demonstrations)
    /// @param feedSigners who may sign oracle rounds, ascending; the timelock can change them
    /// @param feedThreshold how many must sign; 0 = no feeds: the operator publishes the rounds, and nobody may close
    /// @param freezeGap time between the two calls of `freeze`
    /// @param claimPeriod time in which claims of the escape share its assets
    /// @param timelockDelay between an announcement of the timelock and its act; longer than any exit takes
    struct Setup {
        address token;
        address operator;
        address timelock;
        address guardian;
        address nextPart;
        uint64 subaccountBase;
        uint40 finalityWindow;
        uint40 finalityBlocks;
        uint40 answerWindow;
        uint40 forceDelay;
        uint40 escapeDelay;
        uint64 minimumDeposit;
        uint64 minimumBond;
        uint64 challengeBond;
        bool acceptsSepolia;
        address[] feedSigners;
        uint8 feedThreshold;
        uint40 freezeGap;
        uint40 claimPeriod;
        uint40 timelockDelay;
    }

    /// @notice How freeze and escape stand. Times are 0 for what has not happened.
    /// @param stalledFrom from when on `freeze` is accepted unless the operator moves
    /// @param noticeAt first call of `freeze`
    /// @param freezeFrom from when on the second call is accepted; 0 without a notice that still counts
    /// @param isOpen frozen, and the head is final: marks, claims and refunds are accepted
    /// @param round whose marks count; 0 = none, positions then count nothing
    /// @param claimsEnd claims before it share the assets; payments begin at it
    /// @param isClosed the assets are fixed
    /// @param totalClaims sum of the claims made in time
    /// @param assets what claims are paid from: as of now until `isClosed`
    struct EscapeState {
        uint40 stalledFrom;
        uint40 noticeAt;
        uint40 freezeFrom;
        uint40 frozenAt;
        bool isOpen;
        uint64 round;
        uint40 claimsEnd;
        bool isClosed;
        uint256 totalClaims;
        uint256 assets;
        uint256 paid;
    }

    /// @notice What the instruments of one asset address have in common, set by the timelock.
    /// @param lotE18 one lot in 1e-18 units of the underlying
    /// @param unit one tick of one lot in 1e-6 USDC
    /// @param class factor class of the margin bounds
    struct AssetRow {
        bool known;
        bool isPerp;
        uint32 underlying;
        uint128 lotE18;
        uint64 unit;
        uint8 class;
    }

    /// @notice A listed instrument. `subId` of an option: isCall << 95 | strikeE8 << 32 | expiry; of a perpetual: 0.
    struct InstrumentSpec {
        address asset;
        uint96 subId;
        bool isPerp;
        bool isCall;
        uint32 underlying;
        uint40 expiry;
        uint64 strikeE8;
        uint128 lotE18;
        uint64 unit;
        uint8 class;
    }

    /// @notice A question to the operator: show the signed orders behind the delta of `acct` in batch `seq`.
    /// @param cancelReq,lockReq the CANCEL_ALL and LOCK relied on, 0 = none
    /// @param isOpen false once answered, slashed or refunded; it can never be asked again
    struct Challenge {
        address challenger;
        uint40 deadline;
        uint32 acct;
        bool isOpen;
        bytes32 batchHash;
        uint64 seq;
        uint64 cancelReq;
        uint64 lockReq;
        uint64 bond;
    }

    /// @notice A leaf of the orders tree with what authorizes it.
    /// @param pos signed lots filled, `notional` and `fee` in 1e-6 USDC
    /// @param line of a mass quote: 2 * line + side, side 0 bid and 1 ask; of a block: the leg; of an order: 0
    /// @param isSepolia signed under Derive's Sepolia domain, where the deployment accepts that (orders alone)
    /// @param lines of a mass quote: its packed lines; of a block's taker: the ABI encoding of the maker's legs; else empty
    /// @param keyAccts the account list of the session key, as registered; empty when it had none
    struct OrderEvidence {
        uint32 leafIndex;
        uint32 instr;
        int64 pos;
        uint64 notional;
        int64 fee;
        uint8 line;
        bool isSepolia;
        Action action;
        bytes data;
        bytes lines;
        bytes sig;
        InstrumentSpec spec;
        uint32[] keyAccts;
    }

    /// @notice What the parts of an answer have shown so far: sums by instrument, ascending, and cash.
    struct AnswerState {
        uint64 nextLeaf;
        bytes32 lastRef;
        int256 cash;
        uint32[] instrs;
        int256[] lots;
    }

    // ----------------------------------------------------------------- errors

    /// @dev constructor: a window or bound outside its hard limits, or a zero address
    error BadParameter();
    /// @dev deposit below `minimumDeposit()`, or more than u64 was received
    error BadAmount();
    /// @dev a withdrawal of 0
    error ZeroAmount();
    /// @dev CLOSE_ALL in a deployment without oracle: nothing would have a mark
    error NoOracle();
    /// @dev the account has no owner
    error NoAccount();
    /// @dev the tree of 1,048,576 accounts is full
    error TooManyAccounts();
    /// @dev caller or signer does not own the account
    error NotOwner();
    /// @dev the account already has an unconsumed request of this kind
    error RequestOpen(uint64 openId);
    /// @dev key is zero, an owner's own address, or already has a row (revoked keys included)
    error BadKey();
    /// @dev key expiry is not in the future
    error BadExpiry();
    /// @dev a scope outside 0 .. 16
    error BadScope();
    /// @dev more than 64 accounts in a key's list
    error TooManyAccountsInList();
    /// @dev revoke of a key without a row
    error UnknownKey();
    /// @dev relay: module is neither withdraw nor set_session_key
    error BadModule();
    /// @dev relay: signer is not the owner, or the signature is not his
    error BadSignature();
    /// @dev relay: the signed action has expired
    error ActionExpired();
    /// @dev relay: this digest was queued before
    error ActionUsed();
    /// @dev relay of set_session_key: nonce before deployment or further than 1 h from now
    error BadNonce();
    /// @dev relay: subaccount id not of this deployment, or not 0 where the action is wallet-scoped
    error BadSubaccount();
    /// @dev relay of withdraw: asset is not `settlementAsset()`, or the recipient is zero
    error BadAsset();

    /// @dev post, postOracle: the caller is a contract, or a key with code (EIP-7702): a plain key calls by itself, so
    /// that the calldata of the transaction is what was posted
    error NotDirect();
    /// @dev caller is not the operator
    error NotOperator();
    /// @dev post: seq is not head + 1; finalize: seq is not finalized + 1 or above head. Selector 0xd21fff71
    error BadSeq();
    /// @dev data above 28,672 bytes, nA above 102, or nS, nW above 128 or not padded
    error BadSize();
    /// @dev accounts or instruments not strictly ascending, or an account below 2, or an instrument 0
    error BadOrder();
    /// @dev an instrument's deltas do not sum to zero
    error NotZeroSum();
    /// @dev the cash deltas do not sum to -fee
    error BadCash();
    /// @dev data is longer or shorter than its own counts say
    error BadLength();
    /// @dev approved above the requested amount
    error BadApproval();
    /// @dev reqUpTo below the previous one, above reqHead, or more than 64 ahead; more than 1 CLOSE_ALL in a batch
    error BadQueue();
    /// @dev a request that was older than `forceDelay()` at matchTo would stay unconsumed; not before `resumedAt()`
    error RequestOverdue();
    /// @dev matchFrom before the previous matchTo, after matchTo, or matchTo in the future, or over 24 h old while no
    /// long stop ended within the last 24 h
    error BadTime();
    /// @dev post: the round is unknown (0 is known where there are no feeds), older than the previous one, later than
    /// matchFrom, or with feeds over 60 s older than matchTo; postOracle: not the next round
    error BadRound();
    /// @dev postOracle: not the layout of `Vector`, or more than 2,048 rows
    error BadVector();
    /// @dev feed signer: zero, without change, or fewer than the threshold would remain
    error BadSigner();
    /// @dev listing: id 0 or taken, asset and sub id listed before, bit 31 not that of a perpetual, or a bad sub id
    error BadInstrument();
    /// @dev finalize: the header is not the one behind `batchHash(seq)`
    error BadHeader();
    /// @dev finalize: the window is still open
    error WindowOpen();

    /// @dev the bond is below `minimumBond()`
    error BondTooLow();
    /// @dev posting is halted, or paused by the guardian
    error Halted();
    /// @dev the contract is frozen: money leaves, nothing comes in
    error IsFrozen();
    /// @dev caller is not the guardian
    error NotGuardian();
    /// @dev pause: 0 or above 48 h, within 7 days of the last one, or none is there to end
    error BadPause();
    /// @dev freeze: neither request nor last post is old enough before this time
    error NotStalled(uint40 from);
    /// @dev freeze: the second call is accepted from this time on
    error FreezeTooEarly(uint40 from);
    /// @dev escape: not frozen, or a batch is not final yet
    error EscapeNotOpen();
    /// @dev escape: the marks were loaded before, or are not loaded yet
    error BadMarks();
    /// @dev escape: fund accounts do not claim
    error NotClaimant();
    /// @dev escape: the account claimed before
    error AlreadyClaimed();
    /// @dev escape: the account's equity is not above 0
    error NoEquity(int256 equity);
    /// @dev escape: payments begin at this time
    error ClaimsOpen(uint40 until);
    /// @dev caller is not the timelock
    error NotTimelock();
    /// @dev caller is not a registered successor
    error NotSuccessor();
    /// @dev four successors are registered, or this one is, or it is the operator
    error BadSuccessor();
    /// @dev a bond of an operator before still backs batches that are not final
    error BondBacksBatches();
    /// @dev nothing to pay or to move
    error NothingThere();
    /// @dev a dispute: the batch is final or not posted
    error NotDisputable();

    /// @dev a proof that is not in its layout, or not over the data, vector or leaves of the batch
    error BadProof();
    /// @dev the proof shows an honest batch
    error NoFraud();
    /// @dev proveWrongRefusal: not a WITHDRAW that this batch consumed, or it was approved whole
    error NotRefused();

    /// @dev challenge: its window is over, the account has no owner, or this question was asked before
    error BadChallenge();
    /// @dev the request relied on is not one of this account and kind, or the batch did not consume it
    error BadReliance();
    /// @dev the challenge is not open, or not yet overdue
    error NotOpen();
    /// @dev finalize: a challenge of this batch is open
    error ChallengeOpen();
    /// @dev answer: leaves or refs do not ascend, or they are not under the orders root
    error BadLeaves();
    /// @dev answer: not the state of this sender's parts so far
    error BadState();
    /// @dev answer: a leaf is not authorized; `reason` is a number of `Authority`
    error NotAuthorized(uint256 leafIndex, uint8 reason);
    /// @dev answer: the leaves do not sum up to what was posted
    error NotTheDelta();
    /// @dev proveOverfill: the fills shown are within the signed amount
    error NotOverfilled();

    /// @dev claim: not a WITHDRAW request, or its batch is not final
    error NotClaimable(uint64 id);
    /// @dev claim: more than `outflowLeft()`
    error OutflowLimit();
    /// @dev claim: approved is 0 (refused, or paid before)
    error NothingToClaim(uint64 id);

    /// @dev a call of the timelock that it did not announce, or more than 14 days ago
    error NotAnnounced();
    /// @dev a call of the timelock before its time, or before its block
    error NoticeTooEarly(uint40 time, uint64 blockNumber);
    /// @dev fastPay: the guardian paused it
    error FastPaused();
    /// @dev fastPay: somebody paid this withdrawal before
    error AlreadyPaid(uint64 id);
    /// @dev fastPay: the batch that approved it is not the one that the caller names
    error BatchReplaced();
    /// @dev fastPay: the fee is above the one allowed, or not below the approved amount
    error FeeTooHigh();
    /// @dev fastPay: by the recipient himself; allowFee: the recipient is not the owner
    error NotPayer();

    // ----------------------------------------------------------------- events

    /// @notice A batch was accepted; its `data` is in the calldata of this transaction.
    event BatchPosted(uint64 indexed seq, bytes32 newRoot, bytes32 ordersRoot, bytes32 dataHash, uint256 h);
    /// @notice Request `id` was queued. `amount` is 0 for SET_KEY; `owner` is the account's owner.
    event Requested(uint64 indexed id, uint32 indexed acct, Kind indexed kind, uint64 amount, address owner);
    /// @notice A key was registered, or revoked (`revoked`, then `validTo` is the end of the 10 minutes at the latest).
    /// Follows the `Requested` event of the same `id`.
    event SessionKeySet(
        uint64 indexed id,
        address indexed owner,
        address indexed key,
        uint40 validFrom,
        uint40 validTo,
        uint32 scopes,
        uint32[] accts,
        bool revoked
    );
    /// @notice Request `id` came from a signed action. `payee` is 0 when the owner is paid, or for SET_KEY.
    event Relayed(uint64 indexed id, bytes32 indexed digest, address payee);
    /// @notice Batch `seq` is final: requests up to `reqFinal` are settled.
    event Finalized(uint64 indexed seq, uint64 reqFinal, uint96 collateralFinal);
    /// @notice Withdrawal `id` was paid.
    event Claimed(uint64 indexed id, uint32 indexed acct, address to, uint64 amount);
    /// @notice Withdrawal `id` was paid by `payer`, whom `claim` will pay. `amount` went to `recipient`; `fee` is his gain.
    event FastPaid(uint64 indexed id, address indexed payer, address recipient, uint64 amount, uint64 fee);
    /// @notice The owner lets a payer of withdrawal `id` keep up to `fee`.
    event FeeAllowed(uint64 indexed id, uint64 fee);
    /// @notice The guardian's pause of fast payments lasts until this time.
    event FastPaymentsPaused(uint40 until);
    /// @notice The timelock will make this call of the contract, from that time and block on.
    event CallAnnounced(bytes32 indexed callHash, bytes call, uint40 time, uint64 blockNumber);
    event NoticeWithdrawn(bytes32 indexed callHash);
    /// @notice Batches `from` .. `to` are void. Their requests are back in the queue, their numbers are used again.
    event BatchReverted(uint64 indexed from, uint64 to, uint16 epoch);
    /// @notice `reward` went to who proved it, the rest of the bond to the pot. `operator` is 0 when no bond was there.
    event Slashed(uint64 indexed seq, address indexed operator, address indexed prover, uint64 reward, uint64 toPot);
    /// @notice `operator` posts from batch `from` on; 0 = nobody, until the timelock installs one.
    event OperatorInstalled(address indexed operator, uint64 from, uint64 bond);
    /// @notice `bond` is the bond of `operator` after the change.
    event BondChanged(address indexed operator, uint64 bond);
    event SuccessorChanged(address indexed operator, bool registered);
    /// @notice `amount` was credited to `holder`, who takes it with `takeCredit`.
    event Credited(address indexed holder, uint256 amount);
    /// @notice An oracle round; its vector is in the calldata of this transaction.
    event OraclePosted(uint64 indexed round, uint40 timestamp, bytes32 vectorHash);
    event FeedSignerSet(address indexed signer, bool allowed);
    event AssetSet(address indexed asset, AssetRow row);
    event InstrumentListed(uint32 indexed id, InstrumentSpec spec);
    event Challenged(bytes32 indexed id, uint64 indexed seq, uint32 indexed acct, address challenger, uint40 deadline);
    /// @notice The delta is justified; the challenger's bond went to `answerer`.
    event Answered(bytes32 indexed id, address answerer);
    /// @notice The guardian's pause of posting lasts until this time.
    event PostingPaused(uint40 until);
    /// @notice Somebody began a freeze; it is completed from `freezeFrom` on unless the operator moves.
    event FreezeNoticed(address indexed by, uint40 freezeFrom);
    /// @notice Posting has ended for ever.
    event Frozen(address indexed by);
    /// @notice The marks of the escape are those of `round`; claims until `claimsEnd` share the assets.
    event MarksLoaded(uint64 round, uint40 claimsEnd);
    event EscapeClaimed(uint32 indexed acct, uint256 amount, bool isLate);
    /// @notice The claim period is over: claims are paid times min(1, assets / totalClaims).
    event EscapeClosed(uint256 assets, uint256 totalClaims);
    event EscapePaid(uint32 indexed acct, address to, uint256 amount);
    /// @notice Deposit `id` was never consumed and went back.
    event EscapeRefunded(uint64 indexed id, uint32 indexed acct, address to, uint64 amount);
    /// @notice What an order filled in a batch is on record.
    event FillShown(bytes32 indexed ref, uint64 indexed seq, uint64 lots);
}
