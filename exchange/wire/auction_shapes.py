"""Auctions of portfolios below maintenance on the wire: what is offered, what a bid takes, what it got (api.md 6.3, 8).

Nobody is named: `subaccount_id` is the auction's own number, which `private/liquidate` takes for the account.
"""

from decimal import Decimal
from typing import Final, TypedDict

import msgspec

from exchange.domain.auction_views import AuctionView
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import AuctionTaken, LiquidationStage
from exchange.wire import objects as o
from exchange.wire.decimals import format_e6, format_ppm
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["AuctionItem", "AuctionLeg", "Bought", "LiquidateParams", "auction_item", "bought"]

_MILLISECOND_NS: Final = 1_000_000
_PERCENT_PPM: Final = 10_000
_TYPES: Final = {LiquidationStage.AUCTION: "solvent", LiquidationStage.INSOLVENT: "insolvent"}


class LiquidateParams(MassQuoteParams):
    """private/liquidate: a share of an auctioned portfolio, signed as a mass quote over its legs."""

    liquidate_subaccount_id: int | None = None
    percent_of_acc: Decimal | None = None
    price_limit: Decimal | None = None
    last_seen_trade_id: int | None = None
    cash_transfer: Decimal | None = None
    merge_account: bool | None = None


class AuctionLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One position. The bidder takes it over: he buys where `amount` is above zero, at `price`."""

    instrument_name: str
    amount: str
    price: str


class AuctionItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One auction as it stands."""

    subaccount_id: int
    state: str
    auction_type: str
    start_timestamp: int
    timestamp: int
    last_seen_trade_id: int
    subaccount_value: str
    maintenance_requirement: str
    bid_price: str
    """Of the whole; below zero: what the fund pays for it."""
    max_percent: str
    """Most that one bid gets."""
    legs: list[AuctionLeg]


class Bought(TypedDict):
    """What a bid got."""

    op_uuid: str
    operation_id: str
    percent_of_acc: str
    price: str
    trades: list[o.Trade]


def auction_item(view: AuctionView, instruments: dict[int, Instrument], timestamp_ms: int) -> AuctionItem:
    """The item of `auctions.watch`; percents are rounded down to what a bid may ask for."""
    return AuctionItem(
        subaccount_id=view.auction,
        state="ongoing",
        auction_type=_TYPES[view.stage],
        start_timestamp=view.started_ns // _MILLISECOND_NS,
        timestamp=timestamp_ms,
        last_seen_trade_id=view.last_seen_seq,
        subaccount_value=format_e6(view.equity_e6),
        maintenance_requirement=format_e6(view.maintenance_requirement_e6),
        bid_price=format_e6(view.price_e6),
        max_percent=percent_text(view.share_ppm),
        legs=[_leg(instruments[number], lots, ticks) for number, lots, ticks in view.legs],
    )


def percent_text(share_ppm: int) -> str:
    """A share in percent."""
    return format_ppm(share_ppm * 100)


def bought(event: AuctionTaken, operation: str, trades: list[o.Trade]) -> Bought:
    """The reply to the bidder."""
    return Bought(
        op_uuid=operation,
        operation_id=operation,
        percent_of_acc=percent_text(event.share_ppm),
        price=format_e6(event.price_e6),
        trades=trades,
    )


def _leg(instrument: Instrument, lots: int, price_ticks: int) -> AuctionLeg:
    return AuctionLeg(
        instrument_name=instrument.name,
        amount=instrument.quantity_text(lots),
        price=instrument.price_text(price_ticks),
    )
