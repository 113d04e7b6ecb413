"""Items of `{subaccount}.account` (api.md 10.8): every event of a subaccount as one object with its number."""

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
from exchange.domain.quote_events import MmpConfigured, MmpReset, MmpTriggered, QuotePlaced
from exchange.domain.rounds import FundingPaid, PositionExpired
from exchange.wire.decimals import format_e6
from exchange.wire.errors import message_of
from exchange.wire.order_shapes import ORDER_STATUSES

__all__ = ["order_event_name", "other_members", "refusal_members"]

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


def other_members(event: object, instruments: dict[int, Instrument]) -> dict[str, Any]:
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
        case _:
            raise TypeError(f"{type(event).__name__} has no shape")


def refusal_members(event: object) -> dict[str, Any]:
    """Why a triggered order was refused."""
    if isinstance(event, TriggerFailed):
        return {"error": {"code": int(event.code), "message": message_of(event.code)}}
    return {}
