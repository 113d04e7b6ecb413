"""ABI encoders for the `data` of each action module (EIP-712 hashes it as bytes).

Amounts and prices are scaled by 1e18 unless the name says otherwise. Every encoder raises EncodingError when a
value does not fit its ABI type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.protocol.abi import address_word, bool_word, bytes32_word, int_word, uint_word, word_array
from settlement.protocol.keccak import keccak256

__all__ = [
    "RfqLeg",
    "encode_liquidate",
    "encode_mass_quote",
    "encode_rfq_execute",
    "encode_rfq_legs",
    "encode_rfq_quote",
    "encode_set_session_key",
    "encode_trade",
    "encode_transfer_spot",
    "encode_transfer_spot_external",
    "encode_whitelist",
    "encode_withdraw",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RfqLeg:
    """One leg of an RFQ quote; `amount_e18` carries the leg's sign times the direction's sign."""

    asset: bytes
    sub_id: int
    price_e18: int
    amount_e18: int


def encode_trade(
    *,
    asset: bytes,
    sub_id: int,
    limit_price_e18: int,
    amount_e18: int,
    max_fee_e18: int,
    recipient_subaccount_id: int,
    is_bid: bool,
) -> bytes:
    """Encode an order (224 bytes); `max_fee_e18` is per unit of the base asset."""
    return b"".join(
        (
            address_word(asset),
            uint_word(sub_id),
            int_word(limit_price_e18),
            int_word(amount_e18),
            uint_word(max_fee_e18),
            uint_word(recipient_subaccount_id),
            bool_word(is_bid),
        )
    )


def encode_withdraw(
    *, asset: bytes, max_fee_usd_e18: int, recipient: bytes, amount_native: int, force_batch: bool = False
) -> bytes:
    """Encode a withdrawal; `amount_native` is in the token's own decimals (USDC: 1e-6)."""
    return b"".join(
        (
            address_word(asset),
            uint_word(max_fee_usd_e18),
            address_word(recipient),
            uint_word(amount_native),
            bool_word(force_batch),
        )
    )


def encode_set_session_key(
    *, key: bytes, expiry_s: int, scopes: Sequence[int], subaccount_ids: Sequence[int] = ()
) -> bytes:
    """Encode the registration of a session key; no `subaccount_ids` means all, present and future."""
    scope_tail = word_array([uint_word(scope) for scope in scopes])
    account_tail = word_array([uint_word(index) for index in subaccount_ids])
    head = address_word(key) + uint_word(expiry_s) + _offsets(2, scope_tail)
    return head + scope_tail + account_tail


def encode_whitelist(*, add: Sequence[bytes], remove: Sequence[bytes] = ()) -> bytes:
    """Encode a change of the withdrawal whitelist."""
    add_tail = word_array([address_word(address) for address in add])
    remove_tail = word_array([address_word(address) for address in remove])
    return _offsets(0, add_tail) + add_tail + remove_tail


def encode_transfer_spot(
    *, to_subaccount_id: int, manager: int, asset: bytes, sub_id: int, amount_e18: int, max_fee_usd_e18: int
) -> bytes:
    """Encode a transfer between subaccounts of one owner; `manager` names the manager of a new one, else 0."""
    return b"".join(
        (
            uint_word(to_subaccount_id),
            uint_word(manager),
            address_word(asset),
            uint_word(sub_id),
            uint_word(amount_e18),
            uint_word(max_fee_usd_e18),
        )
    )


def encode_transfer_spot_external(
    *,
    to_subaccount_id: int,
    manager: int,
    asset: bytes,
    sub_id: int,
    amount_e18: int,
    max_fee_usd_e18: int,
    recipient: bytes,
) -> bytes:
    """Encode a transfer to a subaccount of another owner, `recipient`."""
    own = encode_transfer_spot(
        to_subaccount_id=to_subaccount_id,
        manager=manager,
        asset=asset,
        sub_id=sub_id,
        amount_e18=amount_e18,
        max_fee_usd_e18=max_fee_usd_e18,
    )
    return own + address_word(recipient)


def encode_rfq_quote(*, max_fee_e18: int, legs: Sequence[RfqLeg]) -> bytes:
    """Encode a maker's quote as one tuple; `legs` in the order of their instrument names."""
    return uint_word(32) + uint_word(max_fee_e18) + uint_word(64) + _legs(legs)


def encode_rfq_execute(*, maker_legs: Sequence[RfqLeg], max_fee_e18: int) -> bytes:
    """Encode a taker's execution; the hash covers the legs as the maker signed them."""
    return keccak256(encode_rfq_legs(maker_legs)) + uint_word(max_fee_e18)


def encode_rfq_legs(maker_legs: Sequence[RfqLeg]) -> bytes:
    """Encode a maker's legs alone: what a taker signs the hash of."""
    return uint_word(32) + _legs(maker_legs)


def encode_liquidate(
    *,
    liquidated_subaccount_id: int,
    cash_transfer_e18: int,
    percent_e18: int,
    price_limit_e18: int,
    last_seen_trade_id: int,
    merge_account: bool,
) -> bytes:
    """Encode a bid in a liquidation auction."""
    return b"".join(
        (
            uint_word(liquidated_subaccount_id),
            uint_word(cash_transfer_e18),
            uint_word(percent_e18),
            int_word(price_limit_e18),
            uint_word(last_seen_trade_id),
            bool_word(merge_account),
        )
    )


def encode_mass_quote(
    *, settlement_contract: bytes, packed_lines: bytes, line_count: int, max_fee_e18: int, subaccount_id: int
) -> bytes:
    """Encode a mass quote over `packed_lines` (36 bytes per line, hashed here)."""
    return b"".join(
        (
            address_word(settlement_contract),
            bytes32_word(keccak256(packed_lines)),
            uint_word(line_count),
            uint_word(max_fee_e18),
            uint_word(subaccount_id),
        )
    )


def _legs(legs: Sequence[RfqLeg]) -> bytes:
    return word_array(
        [
            address_word(leg.asset) + uint_word(leg.sub_id) + uint_word(leg.price_e18) + int_word(leg.amount_e18)
            for leg in legs
        ]
    )


def _offsets(static_words: int, first_tail: bytes) -> bytes:
    """Return the two offset words of two trailing dynamic arrays that follow `static_words` words."""
    start = 32 * (static_words + 2)
    return uint_word(start) + uint_word(start + len(first_tail))
