"""Orders tree: which signed orders stand behind the netted deltas of a batch.

Leaves are sorted by (account, ref) and a ref counts once per account and batch. The preimage has 65 bytes, never 64,
so a leaf cannot pass for a node.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from settlement.protocol.caps import MAX_LEAVES
from settlement.protocol.keccak import keccak256
from settlement.protocol.merkle import TREE_DEPTH, root_of_prefix

__all__ = [
    "BadOrders",
    "OrderFill",
    "OrderKind",
    "engine_ref",
    "leg_ref",
    "order_leaf",
    "orders_root",
    "quote_ref",
    "sorted_order_fills",
]

_LEAF = struct.Struct(">BII32sqQq")
_REF_BYTES = 32


class BadOrders(ValueError):
    """Order fills do not form a valid orders tree, or do not explain the netted deltas; the caller's fault."""


class OrderKind(IntEnum):
    """What authorizes a leaf's delta. The numbers are part of the leaf."""

    ORDER = 1
    LIQUIDATION = 2
    AUCTION = 3
    ADL = 4
    FUND = 5
    TRANSFER = 6
    NET_STATEMENT = 7
    QUOTE = 8
    RFQ = 9


def quote_ref(digest: bytes, line: int) -> bytes:
    """Authority key of one side of a mass quote: its call's EIP-712 digest, its line, 0 bid or 1 ask.

    `line` is 2 * line + side, 0 to 127: the last byte of the quote's order number.
    """
    return keccak256(digest + bytes((line >> 1, line & 1)))


def leg_ref(digest: bytes, leg: int) -> bytes:
    """Authority key of one leg of a block: the EIP-712 digest of the maker's or the taker's action, the leg from 0."""
    return keccak256(digest + bytes((leg,)))


def engine_ref(kind: OrderKind, number: int) -> bytes:
    """Authority key of a leaf that nobody signs: its kind and a number, 0 to 2**248 - 1, that the kind counts.

    LIQUIDATION: the order's number. ADL, on both sides of a deleveraging: the trade's. FUND: the account's event's.
    """
    return bytes((kind,)) + number.to_bytes(_REF_BYTES - 1, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFill:
    """What one order filled in one batch: signed lots, notional (>= 0) and fee (may be negative) in 1e-6 USDC.

    `ref` is the order's EIP-712 digest, or the authority key that its kind prescribes.
    """

    account: int
    instrument: int
    ref: bytes
    position_lots: int
    notional_e6: int
    fee_e6: int
    kind: OrderKind = OrderKind.ORDER

    @property
    def cash_effect_e6(self) -> int:
        """Cash that the fill moves into the account: -sign(position) * notional - fee."""
        sign = (self.position_lots > 0) - (self.position_lots < 0)
        return -sign * self.notional_e6 - self.fee_e6


def order_leaf(fill: OrderFill) -> bytes:
    """Return the 32-byte leaf of `fill`; BadOrders when a field does not fit the format."""
    if len(fill.ref) != _REF_BYTES:
        raise BadOrders(f"a ref has 32 bytes, got {len(fill.ref)}")
    try:
        preimage = _LEAF.pack(
            fill.kind,
            fill.account,
            fill.instrument,
            fill.ref,
            fill.position_lots,
            fill.notional_e6,
            fill.fee_e6,
        )
    except struct.error as error:
        raise BadOrders(f"account {fill.account}, ref {fill.ref.hex()}: {error}") from error
    return keccak256(preimage)


def sorted_order_fills(fills: Sequence[OrderFill]) -> list[OrderFill]:
    """Return `fills` in leaf order; BadOrders for a repeated (account, ref) or more than MAX_LEAVES of one account."""
    ordered = sorted(fills, key=lambda fill: (fill.account, fill.ref))
    run = 0
    for position, fill in enumerate(ordered):
        before = ordered[position - 1] if position else None
        if before is None or before.account != fill.account:
            run = 0
        elif before.ref == fill.ref:
            raise BadOrders(f"account {fill.account} has ref {fill.ref.hex()} twice")
        run += 1
        if run > MAX_LEAVES:
            raise BadOrders(f"account {fill.account} has more than {MAX_LEAVES} leaves")
    return ordered


def orders_root(fills: Sequence[OrderFill]) -> bytes:
    """Return the root (depth 20) over the leaves of `fills`, which may come in any order."""
    return root_of_prefix([order_leaf(fill) for fill in sorted_order_fills(fills)], TREE_DEPTH)
