"""What `offbook liquidation report` says after an event: who was hit by how much, in sums that name nobody.

Read from the event log, which keeps a day. Liquidations less than ten minutes apart are one event. Money in 1e-6 USDC.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.app.crash_tally import at_mark_e6, haircut_e6
from exchange.app.failures import Failure
from exchange.domain.events import Event, InstrumentListed, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import (
    Deleveraged,
    FundPaid,
    LiquidationEnded,
    LiquidationStage,
    LiquidationStarted,
    is_liquidation_order,
)
from exchange.domain.packing import CommandEvents, unpack_events
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.event_log import EventLogReader
from exchange.journal.snapshot import load_newest
from exchange.wire.decimals import format_e6

__all__ = ["Closed", "LiquidationEvent", "events_of", "read_events", "report_lines", "report_numbers"]

_QUIET_NS: Final = 600 * 10**9
_TOLD: Final = (LiquidationStarted, LiquidationEnded, FundPaid, Deleveraged)


class Closed(msgspec.Struct, kw_only=True):
    """What was closed of one instrument, on the book and against the other side."""

    book_lots: int = 0
    book_e6: int = 0
    impact_e6: int = 0
    """What the book gave less than the mark of the moment."""
    shared_lots: int = 0
    shared_e6: int = 0
    """At the mark."""
    haircut_e6: int = 0
    """What the other side got less than the mark."""


class LiquidationEvent(msgspec.Struct, kw_only=True):
    """Liquidations without a pause of ten minutes."""

    begin_ns: int
    end_ns: int
    accounts: set[int] = msgspec.field(default_factory=set)
    bankrupt: set[int] = msgspec.field(default_factory=set)
    reduced: set[int] = msgspec.field(default_factory=set)
    """Accounts on the other side that gave up a part of a position."""
    restored: set[int] = msgspec.field(default_factory=set)
    fund_e6: int = 0
    fee_e6: int = 0
    closed: dict[int, Closed] = msgspec.field(default_factory=dict)
    """By instrument."""


def read_events(folder: Path) -> tuple[list[LiquidationEvent], dict[int, Instrument]]:
    """Every event in the log of an exchange's folder, and the instruments by id. Raises Failure without a log."""
    instruments = _stored_instruments(folder)
    found = events_of(_history(folder / "events"), instruments)
    return found, instruments


def events_of(history: Iterable[CommandEvents], instruments: dict[int, Instrument]) -> list[LiquidationEvent]:
    """Collect events, oldest first; `instruments` learns of those that are listed on the way."""
    found: list[LiquidationEvent] = []
    for item in history:
        for event in item.events:
            if isinstance(event, InstrumentListed):
                instruments[event.instrument.instrument_id] = event.instrument
            elif isinstance(event, _TOLD) or (isinstance(event, Trade) and is_liquidation_order(event.taker.order)):
                _take(_current(found, item.timestamp_ns), event, instruments)
    return found


def report_lines(events: list[LiquidationEvent], instruments: dict[int, Instrument]) -> list[str]:
    """A paragraph for each event."""
    lines = []
    for event in events:
        lines += [
            f"{_time(event.begin_ns)} to {_time(event.end_ns)} UTC",
            f"  liquidated: {len(event.accounts)}, ended: {len(event.restored)}; bankrupt: {len(event.bankrupt)}",
            f"  reduced on the other side: {len(event.reduced)}",
            f"  insurance fund: paid {format_e6(event.fund_e6)}, got {format_e6(event.fee_e6)} of fees, USDC",
        ]
        lines += [_instrument_line(instruments[number], row) for number, row in sorted(event.closed.items())]
    return lines or ["no liquidation in the event log"]


def report_numbers(events: list[LiquidationEvent], instruments: dict[int, Instrument]) -> list[dict[str, Any]]:
    """The same for programs; money as decimal text, no accounts."""
    return [
        {
            "begin": event.begin_ns // 10**6,
            "end": event.end_ns // 10**6,
            "accounts": len(event.accounts),
            "restored": len(event.restored),
            "bankrupt": len(event.bankrupt),
            "reduced": len(event.reduced),
            "fund_paid": format_e6(event.fund_e6),
            "fees": format_e6(event.fee_e6),
            "closed": {
                instruments[number].name: _numbers(instruments[number], row) for number, row in event.closed.items()
            },
        }
        for event in events
    ]


def _take(current: LiquidationEvent, event: Event, instruments: dict[int, Instrument]) -> None:
    if isinstance(event, Trade | Deleveraged) and event.instrument not in instruments:
        raise Failure(f"neither snapshot nor event log knows instrument {event.instrument}")
    match event:
        case Trade():
            current.fee_e6 += event.taker.fee_e6
            current.accounts.add(event.taker.subaccount)
            _take_fill(current.closed.setdefault(event.instrument, Closed()), event, instruments[event.instrument])
        case Deleveraged():
            current.accounts.add(event.bankrupt.subaccount)
            current.reduced.add(event.counterparty.subaccount)
            _take_share(current.closed.setdefault(event.instrument, Closed()), event, instruments[event.instrument])
        case FundPaid():
            current.fund_e6 += event.amount_e6
        case LiquidationStarted():
            current.accounts.add(event.subaccount)
            if event.stage is LiquidationStage.INSOLVENT:
                current.bankrupt.add(event.subaccount)
        case LiquidationEnded():
            current.restored.add(event.subaccount)


def _take_fill(row: Closed, trade: Trade, instrument: Instrument) -> None:
    lots = trade.quantity_lots
    got_e6 = instrument.notional_e6(price_ticks=trade.price_ticks, quantity_lots=lots)
    row.book_lots += lots
    row.book_e6 += got_e6
    row.impact_e6 += (at_mark_e6(instrument, trade.mark_e9, lots) - got_e6) * (1 if trade.taker_side else -1)


def _take_share(row: Closed, event: Deleveraged, instrument: Instrument) -> None:
    row.shared_lots += abs(event.bankrupt_lots)
    row.shared_e6 += at_mark_e6(instrument, event.mark_e9, abs(event.bankrupt_lots))
    row.haircut_e6 += haircut_e6(instrument, event)


def _current(found: list[LiquidationEvent], now_ns: int) -> LiquidationEvent:
    if not found or now_ns - found[-1].end_ns >= _QUIET_NS:
        found.append(LiquidationEvent(begin_ns=now_ns, end_ns=now_ns))
    found[-1].end_ns = now_ns
    return found[-1]


def _stored_instruments(folder: Path) -> dict[int, Instrument]:
    """Those of the newest snapshot: the log may have begun behind their listing."""
    if not folder.is_dir():
        raise Failure(f"{folder} is not here: give the exchange's --data, or start it once")
    newest = load_newest(RealDisk(folder), at_most=1 << 62)
    if newest is None:
        return {}
    rows = msgspec.msgpack.decode(newest.sections["instruments"], type=list[Instrument])
    return {row.instrument_id: row for row in rows}


def _history(folder: Path) -> Iterator[CommandEvents]:
    names = sorted(path.stem for path in folder.glob("*.evt"))
    if not names:
        return
    reader = EventLogReader(folder, int(names[0], 16) - 1)
    try:
        while blobs := reader.poll():
            for blob in blobs:
                yield from unpack_events(blob.data)
    except (JournalCorrupt, JournalGap) as error:
        raise Failure(f"the event log cannot be read: {error}") from error


def _instrument_line(instrument: Instrument, row: Closed) -> str:
    return (
        f"  {instrument.name}: {instrument.quantity_text(row.book_lots)} on the book for {format_e6(row.book_e6)}"
        f" ({format_e6(row.impact_e6)} worse than the mark), {instrument.quantity_text(row.shared_lots)} against others"
        f" at {format_e6(row.shared_e6)} ({format_e6(row.haircut_e6)} cut from it), USDC"
    )


def _numbers(instrument: Instrument, row: Closed) -> dict[str, str]:
    return {
        "book_amount": instrument.quantity_text(row.book_lots),
        "book_notional": format_e6(row.book_e6),
        "impact": format_e6(row.impact_e6),
        "adl_amount": instrument.quantity_text(row.shared_lots),
        "adl_notional": format_e6(row.shared_e6),
        "haircut": format_e6(row.haircut_e6),
    }


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
