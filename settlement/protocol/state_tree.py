"""Leaves of the state tree: one account is owner, cash and its positions in ascending instrument order.

No leaf preimage has 64 bytes (36 + 12a + 20b never is 64), so a leaf cannot be taken for an inner node.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from settlement.protocol.caps import PERP_BIT
from settlement.protocol.keccak import keccak256
from settlement.protocol.merkle import (
    EMPTY_LEAF,
    TREE_DEPTH,
    BadProof,
    ReferenceTree,
    StateTree,
    Tree,
    fold_multiproof,
)
from settlement.protocol.orders import OrderFill, OrderKind, order_leaf, orders_root

__all__ = [
    "EMPTY_LEAF",
    "NO_OWNER",
    "TREE_DEPTH",
    "Account",
    "BadProof",
    "OrderFill",
    "OrderKind",
    "ReferenceTree",
    "StateTree",
    "Tree",
    "fold_multiproof",
    "is_perpetual",
    "leaf_hash",
    "leaf_preimage",
    "order_leaf",
    "orders_root",
]

NO_OWNER = bytes(20)
_OPTION_ENTRY = struct.Struct(">Iq")
_PERP_ENTRY = struct.Struct(">Iqq")


@dataclass(frozen=True, slots=True)
class Account:
    """State of one account: owner address, cash in 1e-6 USDC (int128), instrument -> (lots int64, fund index int64).

    The fund index is in 1e-12 USDC per lot and is 0 for options. No position is zero.
    """

    owner: bytes = NO_OWNER
    cash_e6: int = 0
    positions: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Tell whether the account's leaf is the empty one: no owner, no cash, no positions."""
        return self.cash_e6 == 0 and not self.positions and self.owner == NO_OWNER


def is_perpetual(instrument: int) -> bool:
    """Tell whether an instrument id (u32) is a perpetual: bit 31 is set."""
    return instrument & PERP_BIT != 0


def leaf_preimage(account: Account) -> bytes:
    """Return owner[20] | cash int128 | entries; OverflowError or struct.error outside the ranges."""
    entries = [
        _PERP_ENTRY.pack(instrument, lots, fund_index)
        if instrument & PERP_BIT
        else _OPTION_ENTRY.pack(instrument, lots)
        for instrument, (lots, fund_index) in sorted(account.positions.items())
    ]
    return account.owner + account.cash_e6.to_bytes(16, "big", signed=True) + b"".join(entries)


def leaf_hash(account: Account) -> bytes:
    """Return the 32-byte leaf of `account`; EMPTY_LEAF when it is empty."""
    return EMPTY_LEAF if account.is_empty else keccak256(leaf_preimage(account))
