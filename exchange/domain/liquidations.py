"""Liquidation: what the engine says when an account is below maintenance, and how that ends (risk.md 10)."""

from enum import IntEnum
from typing import Final

import msgspec

__all__ = [
    "FIRST_LIQUIDATION_LINE",
    "AuctionTaken",
    "Deleveraged",
    "DeleveragedSide",
    "FundPaid",
    "LiquidationEnded",
    "LiquidationEvent",
    "LiquidationMarks",
    "LiquidationStage",
    "LiquidationStarted",
    "is_liquidation_order",
]

FIRST_LIQUIDATION_LINE: Final = 128
"""Orders of the engine's own making have the lines from this one on of a command's order numbers."""
_LINES: Final = 256


def is_liquidation_order(number: int) -> bool:
    """Whether the engine made the order to close a part of a liquidated account."""
    return number % _LINES >= FIRST_LIQUIDATION_LINE


class LiquidationStage(IntEnum):
    """What is done about an account: closed on the book bit by bit, auctioned whole, or paid for by others."""

    BOOK = 1
    AUCTION = 2
    INSOLVENT = 3


class LiquidationStarted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=60):
    """An account is below maintenance, or its liquidation came to another stage; its orders were canceled.

    `price_e6`: what the whole portfolio is offered for now (auction), or what the fund would pay with it (< 0).
    """

    subaccount: int
    account_seq: int
    stage: LiquidationStage
    equity_e6: int
    maintenance_requirement_e6: int
    price_e6: int = 0


class LiquidationEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=61):
    """The account reaches its requirement again, or holds nothing any more."""

    subaccount: int
    account_seq: int
    equity_e6: int
    maintenance_requirement_e6: int


class FundPaid(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=62):
    """The insurance fund paid into an account whose equity was below zero."""

    subaccount: int
    account_seq: int
    amount_e6: int
    fund_cash_e6: int
    ledger_cash_e6: int
    cash_e6: int


class DeleveragedSide(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One party of a deleveraging, after it."""

    subaccount: int
    account_seq: int
    realized_pnl_e6: int
    position_lots: int
    ledger_cash_e6: int
    cash_e6: int


class Deleveraged(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=63):
    """A bankrupt account's position was closed against one on the other side, at the bankruptcy price; no fees."""

    trade: int
    instrument: int
    bankrupt_lots: int
    """What the bankrupt account bought (> 0) or sold."""
    notional_e6: int
    mark_e9: int
    bankrupt: DeleveragedSide
    counterparty: DeleveragedSide


class LiquidationMarks(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=64):
    """Marks that the next leaves of a liquidated account are judged by: (instrument, 1e-6 USDC per lot), ascending.

    The batch with those leaves begins with them.
    """

    subaccount: int
    marks: tuple[tuple[int, int], ...]


class AuctionTaken(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=65):
    """A bidder took a share of an auctioned portfolio; its legs are the trades before this event."""

    auction: int
    subaccount: int
    account_seq: int
    """Of the account that was auctioned."""
    bidder: int
    stage: LiquidationStage
    share_ppm: int
    """Of what the account held: as much as was taken of each position, but for whole lots."""
    price_e6: int
    """What the bidder paid for his share of the equity; below zero: what the fund paid for it."""
    advantage_e6: int
    """How much better than at the marks the legs were for the bidder."""
    equity_e6: int
    maintenance_requirement_e6: int


LiquidationEvent = LiquidationStarted | LiquidationEnded | FundPaid | Deleveraged | LiquidationMarks | AuctionTaken
