"""A fill as the saved fold has it: a plain row of numbers and digests."""

import msgspec

from settlement.protocol.netting import Fill
from settlement.protocol.orders import OrderKind

__all__ = ["FillRow", "fill_of", "row_of"]


class FillRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields of a `Fill`, in its order."""

    buyer: int
    seller: int
    instrument: int
    quantity_lots: int
    notional_e6: int
    buyer_fee_e6: int
    seller_fee_e6: int
    buyer_ref: bytes
    seller_ref: bytes
    buyer_kind: int
    seller_kind: int


def row_of(fill: Fill) -> FillRow:
    """The row of a fill."""
    return FillRow(
        fill.buyer, fill.seller, fill.instrument, fill.quantity_lots, fill.notional_e6, fill.buyer_fee_e6,
        fill.seller_fee_e6, fill.buyer_ref, fill.seller_ref, fill.buyer_kind, fill.seller_kind,
    )  # fmt: skip


def fill_of(row: FillRow) -> Fill:
    """Inverse of `row_of`."""
    return Fill(
        buyer=row.buyer,
        seller=row.seller,
        instrument=row.instrument,
        quantity_lots=row.quantity_lots,
        notional_e6=row.notional_e6,
        buyer_fee_e6=row.buyer_fee_e6,
        seller_fee_e6=row.seller_fee_e6,
        buyer_ref=row.buyer_ref,
        seller_ref=row.seller_ref,
        buyer_kind=OrderKind(row.buyer_kind),
        seller_kind=OrderKind(row.seller_kind),
    )
