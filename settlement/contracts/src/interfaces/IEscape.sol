// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Freeze and escape: money leaves without an operator; answered at the settlement contract's address
/// @notice In order: `freeze` twice, `finalize` what is posted, `loadMarks`, `escapeClaim` per account until
/// `claimsEnd`, `escapePay` per account after it. `escapeRefund` as soon as the head is final. Anyone may call each of
/// them for anyone; the money goes to the owner. Withdrawals that became final are paid by `claim` as ever.
///
/// Equity of a claim: the cash of the leaf, funding up to the round and payoffs of what is settled in it (both rounded
/// down), and lots x mark of the rest. A position without a row counts 0.
interface IEscape is ISettlementTypes {
    /// @notice Ends posting for ever, in two calls at least `freezeGap()` apart, while the oldest unconsumed request or
    /// the last post is older than `escapeDelay()`; what made the second call right must have made the first one right.
    /// One call is enough for the operator, at any time.
    function freeze() external;

    /// @notice Loads the marks: the vector of the round that the header of the final head names, empty without one.
    function loadMarks(bytes calldata vector) external;

    /// @notice Registers the equity of an account, above 0 and once. Not for accounts 0 and 1, nor for the timelock's.
    /// @param leaf preimage of the account's leaf under `root()`
    /// @param path its 20 siblings, 32 bytes each, from the leaves upward
    function escapeClaim(uint32 acct, bytes calldata leaf, bytes calldata path) external;

    /// @notice Pays a claim to the account's owner: times min(1, assets / totalClaims), rounded down. A claim that was
    /// made after `claimsEnd` is paid from what the others leave, without a time limit.
    function escapePay(uint32 acct) external;
    /// @notice `escapePay` to another address; owner only, for one whom the token blocks.
    function escapePayTo(uint32 acct, address to) external;

    /// @notice Pays a deposit that no final batch consumed back to the account's owner, whole. One of account 0 (a swept
    /// pot) goes back to the pot while assets are not fixed.
    function escapeRefund(uint64 id) external;
    /// @notice `escapeRefund` to another address; owner of the account only.
    function escapeRefundTo(uint64 id, address to) external;

    function escapeState() external view returns (EscapeState memory);
    /// @notice Claim of an account, what `escapePay` would pay for it now (0 before `claimsEnd`), and whether it did.
    function escapeClaimOf(uint32 acct) external view returns (uint256 amount, uint256 due, bool isLate, bool isPaid);
    /// @notice Addresses whose code, after its first byte, is the vector.
    function escapeMarks() external view returns (address[] memory);
}
