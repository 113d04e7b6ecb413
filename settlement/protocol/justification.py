"""What an answer to a challenge (F2) shows of the orders tree: the leaves of one account and the siblings they lack."""

from __future__ import annotations

from collections.abc import Sequence

from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.orders import OrderFill, order_leaf, sorted_order_fills

__all__ = ["leaves_of"]


def leaves_of(fills: Sequence[OrderFill], account: int) -> tuple[list[tuple[int, OrderFill]], list[bytes]]:
    """Return (leaf index, fill) of every leaf of `account` in a batch with `fills`, and the siblings of all of them.

    No leaves and no siblings when the account filled nothing. Raises BadOrders as `orders_root` does.
    """
    ordered = sorted_order_fills(fills)
    own = [(place, fill) for place, fill in enumerate(ordered) if fill.account == account]
    if not own:
        return [], []
    tree = ReferenceTree()
    tree.set_leaves({place: order_leaf(fill) for place, fill in enumerate(ordered)})
    return own, tree.multiproof([place for place, _ in own])
