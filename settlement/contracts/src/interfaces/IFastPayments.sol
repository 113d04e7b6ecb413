// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title Withdrawals paid before their batch is final, out of the payer's own money
interface IFastPayments is ISettlementTypes {
    /// @notice Pays the approved amount of withdrawal `id`, less `fee`, from the caller to its recipient. The caller is
    /// owed the request from then on: `claim` pays him once the batch is final, the outflow limit included.
    /// @dev Refuses in this order: frozen, paused, no approved WITHDRAW at the head, paid before, approved in part alone,
    /// batch replaced, fee, the caller's own withdrawal. After a revert the request is approved anew, perhaps with less,
    /// never with more than was paid; behind a freeze perhaps by no batch, and the account's owner is paid instead: that
    /// risk is the caller's, never the vault's.
    /// @param batch `batchHash` of the batch that approved it: whoever read another chain than this one pays nothing
    /// @param fee in 1e-6 USDC, at most the fee allowed by the owner and less than the approved amount
    function fastPay(uint64 id, bytes32 batch, uint64 fee) external;
    /// @notice Owner: allows a fee of up to `fee` for his withdrawal, where nobody paid it yet and he named no other
    /// recipient. A relayed withdrawal brings its own: the signed `max_fee_usd`, rounded down to 1e-6 USDC.
    function allowFee(uint64 id, uint64 fee) external;

    /// @notice Stops `fastPay` for `duration` seconds, at most 48 h; guardian only, and not within 7 days of the end that
    /// was announced last. Nothing else stops: who was paid stays paid, who paid can claim.
    function pauseFast(uint40 duration) external;
    /// @notice Ends that pause now; guardian only.
    function resumeFast() external;

    /// @return allowedFee what a payer may keep, 1e-6 USDC
    /// @return payer who paid; 0 = nobody
    function fastPayment(uint64 id) external view returns (uint64 allowedFee, address payer);
    /// @return until end of the pause; in the past when there is none
    /// @return allowedFrom from when on the guardian may pause again
    function fastPause() external view returns (uint40 until, uint40 allowedFrom);
}
