"""Items of `{subaccount}.account` (api.md 10.8): every event of a subaccount as one object with its number."""

from collections.abc import Mapping
from typing import Any, Final

from exchange.domain.events import (
    CashMoved,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderRevised,
    OrderTriggered,
    TriggerFailed,
    TriggerSet,
)
from exchange.domain.instrument import Instrument, format_e9
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStarted,
)
from exchange.domain.quote_events import MmpConfigured, MmpReset, MmpTriggered, QuotePlaced
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.wire.decimals import format_e6, format_ppm
from exchange.wire.errors import message_of
from exchange.wire.order_shapes import ORDER_STATUSES

__all__ = ["deleveraging_members", "order_event_name", "other_members", "refusal_members"]

_ORDER_EVENTS: Final[dict[type, str]] = {
    OrderAccepted: "accepted",
    QuotePlaced: "opened",
    OrderAmended: "replaced",
    OrderRevised: "replaced",
    TriggerSet: "untriggered",
    OrderTriggered: "triggered",
    TriggerFailed: "rejected",
}
_MILLISECOND_NS: Final = 1_000_000


def order_event_name(event: object) -> str:
    """What happened to an order; "" for an event that is about none."""
    if isinstance(event, OrderClosed):
        return ORDER_STATUSES[event.status]
    return _ORDER_EVENTS.get(type(event), "")


def other_members(event: object, instruments: Mapping[int, Instrument]) -> dict[str, Any]:
    """`kind` and members of an event that is neither an order's nor a fill. TypeError for one without a shape."""
    match event:
        case CashMoved():
            kind = "deposit" if event.amount_e6 > 0 else "withdrawal"
            return {"kind": kind, "amount": format_e6(event.amount_e6), "cash": format_e6(event.cash_e6)}
        case FundingPaid() | PositionExpired():
            instrument = instruments[event.instrument]
            return {
                "kind": "funding" if isinstance(event, FundingPaid) else "expiry",
                "instrument_name": instrument.name,
                "position": instrument.quantity_text(event.position_lots),
                "amount": format_e6(event.amount_e6),
                "cash": format_e6(event.cash_e6),
            }
        case AccountTakenOver():
            return {"kind": "close_all", "cash": format_e6(event.cash_e6)} | _taken_over(event, instruments)
        case MmpTriggered():
            instrument = instruments[event.instrument]
            return {
                "kind": "mmp_trigger",
                "mmp_group": event.mmp_group,
                "limit": event.limit.name.lower(),
                "instrument_name": instrument.name,
                "filled_amount": instrument.quantity_text(event.quantity_lots),
                "mmp_unfreeze_time": event.thaw_ns // _MILLISECOND_NS,
            }
        case MmpReset():
            return {"kind": "mmp_reset", "mmp_group": event.mmp_group, "is_due": event.is_due}
        case MmpConfigured():
            return {
                "kind": "mmp_config",
                "mmp_group": event.mmp_group,
                "currency": event.underlying,
                "mmp_amount_limit": format_e9(event.quantity_lots * event.lot_e9),
            }
        case LiquidationStarted() | LiquidationEnded() | FundPaid() | AuctionTaken():
            return {"kind": "liquidation"} | _liquidation_members(event)
        case _:
            raise TypeError(f"{type(event).__name__} has no shape")


def _taken_over(event: AccountTakenOver, instruments: Mapping[int, Instrument]) -> dict[str, Any]:
    """What the fund took, position by position; none when the account has too little equity."""
    return {
        "amount": format_e6(event.amount_e6),
        "positions": [
            {
                "instrument_name": instruments[row.instrument].name,
                "position": instruments[row.instrument].quantity_text(row.position_lots),
                "amount": format_e6(row.amount_e6),
                "realized_pnl": format_e6(row.realized_pnl_e6),
            }
            for row in event.taken
        ],
    }


def deleveraging_members(
    event: Deleveraged, side: DeleveragedSide, instruments: Mapping[int, Instrument]
) -> dict[str, Any]:
    """`kind` and members of one party's side: what it bought (> 0) or sold, at which price, and what it has then."""
    instrument = instruments[event.instrument]
    is_bankrupt = side is event.bankrupt
    lots = event.bankrupt_lots if is_bankrupt else -event.bankrupt_lots
    return {
        "kind": "adl",
        "role": "bankrupt" if is_bankrupt else "counterparty",
        "instrument_name": instrument.name,
        "amount": instrument.quantity_text(lots),
        "notional": format_e6(abs(event.notional_e6)),
        "mark_price": format_e9(event.mark_e9),
        "realized_pnl": format_e6(side.realized_pnl_e6),
        "position": instrument.quantity_text(side.position_lots),
        "cash": format_e6(side.cash_e6),
    }


def _liquidation_members(event: LiquidationStarted | LiquidationEnded | FundPaid | AuctionTaken) -> dict[str, Any]:
    if isinstance(event, FundPaid):
        return {"event": "fund_paid", "amount": format_e6(event.amount_e6), "cash": format_e6(event.cash_e6)}
    members: dict[str, Any] = {
        "event": "ended",
        "subaccount_value": format_e6(event.equity_e6),
        "maintenance_requirement": format_e6(event.maintenance_requirement_e6),
    }
    if isinstance(event, LiquidationStarted):
        members |= {"event": "started", "stage": event.stage.name.lower(), "price": format_e6(event.price_e6)}
    elif isinstance(event, AuctionTaken):
        members |= {
            "event": "auction_bid",
            "stage": event.stage.name.lower(),
            "percent_of_acc": format_ppm(event.share_ppm * 100),
            "price": format_e6(event.price_e6),
        }
    return members


def refusal_members(event: object) -> dict[str, Any]:
    """Why a triggered order was refused."""
    if isinstance(event, TriggerFailed):
        return {"error": {"code": int(event.code), "message": message_of(event.code)}}
    return {}
