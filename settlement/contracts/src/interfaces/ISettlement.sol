// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Settlement of netted batches: vault, request queue, posting, finality, claims
/// @notice Amounts are in 1e-6 USDC, times in seconds, positions in lots. Account indices run from 2 on; 0 is the
/// venue's fund, 1 the clearing account, neither has an owner here. `subaccount_id` on the wire is
/// `subaccountBase() + index`.
///
/// Batch header word `h`, most significant bits first:
///   reqUpTo u64 | oracleRound u48 | matchFrom u40 | matchTo u40 | zz(fee) u64
/// Batch `data`, big endian, no padding between the parts:
///   nI u8 | nA u16
///   nA x (acct u32 | zz(cashDelta) u64)            acct strictly ascending, first >= 2, nA + 2 <= 128
///   nI x (instr u32 | nS u16 | nW u16              instr strictly ascending, first >= 1
///         nS x (localIdx u10 | zz(delta) u22)      nS a multiple of 8, at most 128
///         nW x (localIdx u16 | zz(delta) u48))     nW a multiple of 4, at most 128
///   nR x approved u64                              one per WITHDRAW request in (previous reqUpTo, reqUpTo]
/// with zz(v) = v >= 0 ? 2v : -2v - 1.
interface ISettlement {
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
    /// @param kind a `Kind`; this version queues DEPOSIT, WITHDRAW and SET_KEY only
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

    // ----------------------------------------------------------------- errors

    /// @dev constructor: a window or bound outside its hard limits, or a zero address
    error BadParameter();
    /// @dev deposit below `minimumDeposit()`, or more than u64 was received
    error BadAmount();
    /// @dev a withdrawal of 0
    error ZeroAmount();
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

    /// @dev caller is not the operator
    error NotOperator();
    /// @dev post: seq is not head + 1; finalize: seq is not finalized + 1 or above head. Selector 0xd21fff71
    error BadSeq();
    /// @dev data above 65,536 bytes, nA above 126, or nS, nW above 128 or not padded
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
    /// @dev reqUpTo below the previous one, above reqHead, or more than 64 ahead
    error BadQueue();
    /// @dev a request that was older than `forceDelay()` at matchTo would stay unconsumed; not before `resumedAt()`
    error RequestOverdue();
    /// @dev matchFrom before the previous matchTo, after matchTo, or matchTo in the future, or over 24 h old while no
    /// long stop ended within the last 24 h
    error BadTime();
    /// @dev oracleRound is not 0
    error BadRound();
    /// @dev finalize: the header is not the one behind `batchHash(seq)`
    error BadHeader();
    /// @dev finalize: the window is still open
    error WindowOpen();

    /// @dev claim: not a WITHDRAW request, or its batch is not final
    error NotClaimable(uint64 id);
    /// @dev claim: approved is 0 (refused, or paid before)
    error NothingToClaim(uint64 id);

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

    /// @notice Posts the next batch. See the layout above for `h` and `data`.
    function post(uint64 seq, bytes32 newRoot, bytes32 ordersRoot, uint256 h, bytes calldata data) external;

    // ----------------------------------------------------------------- anyone

    /// @notice Makes batch `finalized() + 1` final once `finalityWindow()` has passed since it was posted.
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
    function forceDelay() external view returns (uint40);
    function minimumDeposit() external view returns (uint96);
    function deployedAt() external view returns (uint40);

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
