"""Liquidations on the wire: public items without a name, and an account's own rows (api.md 9, `liquidations.{ccy}`)."""

from typing import Any

import msgspec

from exchange.domain.events import Event, Trade
from exchange.domain.instrument import Instrument, format_e9
from exchange.domain.liquidations import Deleveraged, DeleveragedSide
from exchange.domain.money import floor_div
from exchange.wire.account_items import deleveraging_members, other_members
from exchange.wire.decimals import format_e6

__all__ = ["PublicLiquidation", "liquidation_item", "own_row"]

_MILLISECOND_NS = 1_000_000
_E9 = 10**9


class PublicLiquidation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One close. `kind` liquidation (on the book) or adl; `direction` is that of the liquidated account."""

    timestamp: int
    kind: str
    instrument_name: str
    direction: str
    amount: str
    price: str
    mark_price: str
    notional: str


def liquidation_item(
    instrument: Instrument,
    *,
    is_deleveraging: bool,
    is_sell: bool,
    lots: int,
    notional_e6: int,
    mark_e9: int,
    timestamp_ns: int,
) -> PublicLiquidation:
    """A public item; the price is notional over amount, rounded down to 1e-6."""
    return PublicLiquidation(
        timestamp=timestamp_ns // _MILLISECOND_NS,
        kind="adl" if is_deleveraging else "liquidation",
        instrument_name=instrument.name,
        direction="sell" if is_sell else "buy",
        amount=instrument.quantity_text(lots),
        price=format_e6(floor_div(notional_e6 * _E9, lots * instrument.lot_e9)),
        mark_price=format_e9(mark_e9),
        notional=format_e6(notional_e6),
    )


def own_row(
    event: Event, side: DeleveragedSide | None, instruments: dict[int, Instrument], *, sequence: int, timestamp_ns: int
) -> dict[str, Any]:
    """An event of an account's liquidation (started, fill, auction_bid, fund_paid, ended), or its side of an ADL."""
    head = {"timestamp": timestamp_ns // _MILLISECOND_NS, "sequence": sequence}
    if isinstance(event, Trade):
        return head | _fill(event, instruments[event.instrument])
    if isinstance(event, Deleveraged) and side is not None:
        return head | {"account_seq": side.account_seq} | deleveraging_members(event, side, instruments)
    private: Any = event
    return head | {"account_seq": private.account_seq} | other_members(event, instruments)


def _fill(event: Trade, instrument: Instrument) -> dict[str, Any]:
    lots = event.quantity_lots * (-1 if event.taker_side else 1)
    return {
        "account_seq": event.taker.account_seq,
        "kind": "liquidation",
        "event": "fill",
        "instrument_name": instrument.name,
        "amount": instrument.quantity_text(lots),
        "price": instrument.price_text(event.price_ticks),
        "mark_price": format_e9(event.mark_e9),
        "fee": format_e6(event.taker.fee_e6),
        "realized_pnl": format_e6(event.taker.realized_pnl_e6),
        "position": instrument.quantity_text(event.taker.position_lots),
        "cash": format_e6(event.taker.cash_e6),
    }
