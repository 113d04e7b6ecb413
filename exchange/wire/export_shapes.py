"""`private/export` on the wire: what is asked for, and what comes (api.md 6.3)."""

from typing import ClassVar, Literal, NotRequired, TypedDict

from exchange.domain.events import CashMoved
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import FundPaid
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.wire import objects as o
from exchange.wire.decimals import format_e6
from exchange.wire.params import Params, Text
from exchange.wire.private_results import OwnLiquidation

__all__ = ["CashEntry", "CashEvent", "Export", "ExportParams", "cash_entry"]

CashEvent = CashMoved | FundingPaid | PositionExpired | AccountTakenOver | FundPaid


class ExportParams(Params):
    """private/export."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id", "kind")
    subaccount_id: int | None = None
    kind: Text | None = None
    from_cursor: Text | None = None
    limit: int | None = None


class CashEntry(TypedDict):
    """Cash that came (positive) or went without a trade, and the balance behind it; the time in milliseconds."""

    sequence: int
    timestamp: int
    type: Literal["deposit", "withdrawal", "funding", "settlement", "close_all", "insurance_fund"]
    instrument_name: str | None
    amount: str
    balance: str


class Export(TypedDict):
    """Rows of one kind, oldest first, under its name. What was before command `begins_sequence` is not kept."""

    subaccount_id: int
    trades: NotRequired[list[o.Trade]]
    orders: NotRequired[list[o.Order]]
    cash: NotRequired[list[CashEntry]]
    liquidations: NotRequired[list[OwnLiquidation]]
    next_cursor: str
    has_more: bool
    sequence: int
    begins_sequence: int


def cash_entry(event: CashEvent, instruments: dict[int, Instrument], *, sequence: int, timestamp_ns: int) -> CashEntry:
    """An event as a row; KeyError for an instrument that nobody told of."""
    instrument = instruments[event.instrument].name if isinstance(event, FundingPaid | PositionExpired) else None
    return {
        "sequence": sequence,
        "timestamp": timestamp_ns // 1_000_000,
        "type": _type_of(event),
        "instrument_name": instrument,
        "amount": format_e6(event.amount_e6),
        "balance": format_e6(event.cash_e6),
    }


def _type_of(
    event: CashEvent,
) -> Literal["deposit", "withdrawal", "funding", "settlement", "close_all", "insurance_fund"]:
    match event:
        case FundingPaid():
            return "funding"
        case PositionExpired():
            return "settlement"
        case AccountTakenOver():
            return "close_all"
        case FundPaid():
            return "insurance_fund"
        case CashMoved():
            return "deposit" if event.amount_e6 > 0 else "withdrawal"
