"""What is kept of the past, and the place by which it is found again.

A place is (sequence of the command, number of the row in it). It names one row for ever, so a reader that went so far
goes on behind it: rows of one moment are neither read twice nor left out.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from exchange.domain.events import CashMoved, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStarted,
)
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.domain.views import OrderView

__all__ = ["BEGINNING", "CashRow", "FillRow", "Kind", "LiquidationRow", "Page", "Place", "Row", "row_type"]

Place = tuple[int, int]
BEGINNING: Final[Place] = (0, -1)
"""Before every row."""


class Kind(IntEnum):
    """Which history. The words of `private/export` are these names in lower case."""

    TRADES = 1
    ORDERS = 2
    CASH = 3
    LIQUIDATIONS = 4


class FillRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One side of a trade, with the texts of its order (empty for a quote)."""

    trade: Trade
    is_maker: bool
    label: str = ""
    client_order_id: str = ""


class CashRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Cash that came or went without a trade."""

    event: CashMoved | FundingPaid | PositionExpired | AccountTakenOver | FundPaid


class LiquidationRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step of the subaccount's liquidation, or its `side` of somebody's deleveraging."""

    event: LiquidationStarted | LiquidationEnded | FundPaid | Deleveraged | AuctionTaken
    side: DeleveragedSide | None = None


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row with its place. `body` is a FillRow, an OrderView in its terminal state, or a CashRow."""

    place: Place
    timestamp_ns: int
    body: Any


class Page(msgspec.Struct, frozen=True):
    """Rows in order of their places.

    `has_more`: others follow the last one. `sequence`: everything up to this command was looked at. `begins`: first
    command of the history; what happened before it is not here.
    """

    rows: list[Row]
    has_more: bool
    sequence: int
    begins: int
    instruments: dict[int, Instrument] = {}
    """By number: every one that was ever listed, also those that are traded no more."""


def row_type(kind: Kind) -> type:
    """Type of the bodies of `kind`."""
    return _TYPES[kind]


_TYPES: Final[dict[Kind, type]] = {
    Kind.TRADES: FillRow,
    Kind.ORDERS: OrderView,
    Kind.CASH: CashRow,
    Kind.LIQUIDATIONS: LiquidationRow,
}
