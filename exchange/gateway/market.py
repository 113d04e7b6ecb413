"""What everybody may see: instruments, books, prices and statistics, rebuilt from events.

Book levels are absolute, so replaying a few of them over a later snapshot ends in the same book: the order of the first
snapshot and the event stream does not matter.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import ClassVar, Final

import msgspec
from sortedcontainers import SortedDict

from exchange.bus.interface import ExchangePort
from exchange.domain.auctions import AuctionEnded, AuctionStarted
from exchange.domain.commands import MarkRow, Side
from exchange.domain.events import BookLevel, Event, InstrumentListed, PricesSet, Trade
from exchange.domain.instrument import Instrument, format_e9
from exchange.domain.market_limits import GetOpenInterest, OpenInterestView
from exchange.domain.money import floor_div
from exchange.domain.rounds import InstrumentDelisted, OracleRoundSet
from exchange.domain.views import (
    Answer,
    BookView,
    GetBook,
    GetInstruments,
    GetPrices,
    GetSummary,
    PricesView,
    SummaryView,
)
from exchange.gateway.open_interest import OpenInterest
from exchange.wire.decimals import format_e6
from exchange.wire.errors import WireError
from exchange.wire.objects import TickerStats
from exchange.wire.price_states import OPEN, index_state
from exchange.wire.venue import asset_kind

__all__ = ["Book", "Hour", "Market"]

_SNAPSHOT_LEVELS: Final = 100_000
_HOUR_NS: Final = 3_600_000_000_000
_HOURS: Final = 24
Level = tuple[int, int]


class Book:
    """Aggregated levels of one instrument.

    `seq` rises by one with each command that changed a level. It begins above every `seq` of an earlier process, so
    that two states never have the same one.
    """

    __slots__ = ("asks", "bids", "changed_ns", "seq", "sequence")

    def __init__(self, seq: int = 0) -> None:
        """Start empty."""
        self.bids: SortedDict[int, int] = SortedDict()
        self.asks: SortedDict[int, int] = SortedDict()
        self.seq = seq
        self.sequence = 0
        """Of the command that changed it last, 0 when none did since it was loaded."""
        self.changed_ns = 0

    def set_level(self, level: BookLevel, sequence: int, timestamp_ns: int) -> None:
        """Replace one level, 0 lots remove it; `sequence` is the command's."""
        side, price_ticks, quantity_lots = level.side, level.price_ticks, level.quantity_lots
        levels = self.bids if side is Side.BUY else self.asks
        if quantity_lots:
            levels[price_ticks] = quantity_lots
        else:
            levels.pop(price_ticks, None)
        if sequence != self.sequence:
            self.sequence, self.changed_ns = sequence, timestamp_ns
            self.seq += 1

    def load(self, view: BookView, now_ns: int) -> None:
        """Replace everything."""
        self.bids = SortedDict({price: lots for price, lots, _ in view.bids})
        self.asks = SortedDict({price: lots for price, lots, _ in view.asks})
        self.sequence, self.changed_ns = 0, now_ns
        self.seq += 1

    def best(self, side: Side) -> Level | None:
        """Best level of a side as (price_ticks, quantity_lots)."""
        levels = self.bids if side is Side.BUY else self.asks
        if not levels:
            return None
        price_ticks, lots = levels.peekitem(-1 if side is Side.BUY else 0)
        return price_ticks, lots

    def is_crossed(self) -> bool:
        """Tell whether the best bid reaches the best ask."""
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        return bid is not None and ask is not None and bid[0] >= ask[0]

    def iterate(self, side: Side) -> Iterable[Level]:
        """Levels best first."""
        levels = self.bids if side is Side.BUY else self.asks
        keys = reversed(levels) if side is Side.BUY else iter(levels)
        return ((price_ticks, levels[price_ticks]) for price_ticks in keys)

    def top(self, side: Side, limit: int) -> Iterable[Level]:
        """The best `limit` levels, best first."""
        return islice(self.iterate(side), limit)


class Hour(msgspec.Struct):
    """Trades of one instrument in clock hour `hour` since 1970."""

    hour: int
    lots: int = 0
    notional_e6: int = 0
    count: int = 0
    high_ticks: int = 0
    low_ticks: int = 0
    open_ticks: int = 0
    close_ticks: int = 0


class Market:
    """All public state. `price_version` rises with each price round; `EVENTS` are the types that change it."""

    EVENTS: ClassVar[frozenset[type]] = frozenset(
        {
            BookLevel,
            Trade,
            PricesSet,
            OracleRoundSet,
            InstrumentListed,
            InstrumentDelisted,
            AuctionStarted,
            AuctionEnded,
        }
        | OpenInterest.EVENTS
    )

    def __init__(self) -> None:
        """Start empty; `load` asks for the present."""
        self.by_id: dict[int, Instrument] = {}
        """Every instrument, off the list too: orders and trades of a day name them still."""
        self.by_name: dict[str, Instrument] = {}
        self.books: dict[int, Book] = {}
        self.first_book_seq = 0
        """At least every `seq` that an earlier process gave out: the sequence at the load."""
        self.on_book_loaded: Callable[[int], None] = lambda _instrument: None
        self.prices = PricesView(round=0, timestamp_ns=0, index_e9={}, forward_e9={}, marks={})
        self.price_version = 0
        self._loaded_ns = 0
        self.priced_ns: dict[tuple[str, int], int] = {}
        """When each expiry was priced last, as far as this process saw it; Unix nanoseconds."""
        self.crossed_count = 0
        self.is_loaded = False
        self.auctions: dict[int, int] = {}
        """Deadlines of call auctions by instrument, Unix nanoseconds."""
        self.open_interest = OpenInterest()
        self.hours: dict[int, list[Hour]] = {}
        """Of the last day, by instrument."""

    def load(self, port: ExchangePort) -> None:
        """Ask for instruments, prices and books."""

        def instruments(answer: Answer) -> None:
            for instrument in answer if isinstance(answer, tuple) else ():
                if isinstance(instrument, Instrument):
                    self._list(instrument)
                    port.ask(GetBook(instrument=instrument.instrument_id, levels=_SNAPSHOT_LEVELS), self._book_answer)
            port.ask(GetInstruments(is_delisted=True), delisted)
            port.ask(GetPrices(), self._prices_answer)

        def delisted(answer: Answer) -> None:
            for instrument in answer if isinstance(answer, tuple) else ():
                if isinstance(instrument, Instrument):
                    self.by_id[instrument.instrument_id] = instrument

        port.ask(GetSummary(), self._summary_answer)
        port.ask(GetOpenInterest(), self._open_answer)
        port.ask(GetInstruments(), instruments)

    def restricted(self, now_ns: int) -> dict[str, str]:
        """Underlyings whose markets only reduce at a Unix time in nanoseconds, each stale or halted."""
        states = {name: index_state(name, self.prices, now_ns) for name in sorted(self.currencies())}
        return {name: state for name, state in states.items() if state != OPEN}

    def named(self, name: str) -> Instrument:
        """Instrument called `name`; WireError 12001."""
        instrument = self.by_name.get(name)
        if instrument is None:
            raise WireError(12001, {"instrument_name": name[:64]})
        return instrument

    def of_kind(self, kind: str | None, currency: str | None) -> list[Instrument]:
        """Listed instruments by type and underlying, by ascending id."""
        return [
            row
            for row in sorted(self.by_name.values(), key=lambda row: row.instrument_id)
            if (kind is None or asset_kind(row) == kind) and (currency is None or row.underlying == currency)
        ]

    def currencies(self) -> dict[str, set[str]]:
        """Instrument types by underlying."""
        kinds: dict[str, set[str]] = {}
        for instrument in self.by_name.values():
            kinds.setdefault(instrument.underlying, set()).add(asset_kind(instrument))
        return kinds

    def apply(self, event: Event, sequence: int, timestamp_ns: int) -> None:
        """Take one event of command `sequence`; others than public ones are ignored."""
        self.open_interest.apply(event, sequence)
        if isinstance(event, BookLevel):
            self.book(event.instrument).set_level(event, sequence, timestamp_ns)
        elif isinstance(event, Trade):
            self._count(event, timestamp_ns)
        elif isinstance(event, PricesSet):
            self._set_prices(event, timestamp_ns)
        elif isinstance(event, OracleRoundSet):
            self._set_rates(event)
        elif isinstance(event, InstrumentListed):
            self._list(event.instrument)
        elif isinstance(event, InstrumentDelisted):
            self._delist(event.instrument)
        elif isinstance(event, AuctionStarted):
            self.auctions[event.instrument] = event.deadline_ns
        elif isinstance(event, AuctionEnded):
            self.auctions.pop(event.instrument, None)

    def book(self, instrument_id: int) -> Book:
        """Book of an instrument, made when it is new."""
        book = self.books.get(instrument_id)
        if book is None:
            book = self.books[instrument_id] = Book(self.first_book_seq)
        return book

    def stats(self, instrument: Instrument, now_ns: int) -> TickerStats:
        """Figures of the last 24 clock hours, as far as this process saw them."""
        now_hour = now_ns // _HOUR_NS
        hours = [row for row in self.hours.get(instrument.instrument_id, ()) if row.hour > now_hour - _HOURS]
        lots = sum(row.lots for row in hours)
        notional_e6 = sum(row.notional_e6 for row in hours)
        return TickerStats(
            c=instrument.quantity_text(lots),
            v=format_e6(notional_e6),
            pr=format_e6(notional_e6),
            n=sum(row.count for row in hours),
            h=instrument.price_text(max((row.high_ticks for row in hours), default=0)),
            l=instrument.price_text(min((row.low_ticks for row in hours), default=0)),
            p=_change(hours),
            oi=instrument.quantity_text(self.open_interest.lots.get(instrument.instrument_id, 0)),
        )

    def _list(self, instrument: Instrument) -> None:
        self.by_id[instrument.instrument_id] = instrument
        self.by_name[instrument.name] = instrument
        self.book(instrument.instrument_id)

    def _delist(self, instrument_id: int) -> None:
        """Nobody finds it by name or in a list any more."""
        instrument = self.by_id.get(instrument_id)
        if instrument is not None:
            self.by_name.pop(instrument.name, None)
        self.hours.pop(instrument_id, None)

    def _summary_answer(self, answer: Answer) -> None:
        if isinstance(answer, SummaryView):
            self.first_book_seq, self._loaded_ns = answer.sequence, answer.timestamp_ns

    def _book_answer(self, answer: Answer) -> None:
        if isinstance(answer, BookView):
            self.book(answer.instrument).load(answer, self._loaded_ns)
            self.on_book_loaded(answer.instrument)
            if answer.auction_deadline_ns:
                self.auctions[answer.instrument] = answer.auction_deadline_ns

    def _open_answer(self, answer: Answer) -> None:
        if isinstance(answer, tuple):
            self.open_interest.load(row for row in answer if isinstance(row, OpenInterestView))

    def _prices_answer(self, answer: Answer) -> None:
        if isinstance(answer, PricesView) and answer.round >= self.prices.round:
            self.prices = answer
            self.price_version += 1
        self.is_loaded = True

    def _set_prices(self, event: PricesSet, timestamp_ns: int) -> None:
        update, prices = event.prices, self.prices
        good_e9 = update.indexes_e9
        self.priced_ns |= {(row.underlying, row.expiry_s): timestamp_ns for row in update.expiries}
        forward = prices.forward_e9 | {(row.underlying, row.expiry_s): row.forward_e9 for row in update.expiries}
        marks: dict[int, MarkRow] = prices.marks | {row.instrument: row for row in update.marks}
        self.prices = msgspec.structs.replace(
            prices,
            round=update.round,
            timestamp_ns=timestamp_ns,
            index_e9=prices.index_e9 | good_e9,
            index_ns=prices.index_ns | dict.fromkeys(good_e9, timestamp_ns),
            forward_e9=forward,
            marks=marks,
            mark_ns=prices.mark_ns | dict.fromkeys((row.instrument for row in update.marks), timestamp_ns),
            confidence_ppm=prices.confidence_ppm | {row.underlying: row.confidence_ppm for row in update.underlyings},
            halted=event.halted,
        )
        self.price_version += 1

    def _set_rates(self, event: OracleRoundSet) -> None:
        rates_e9 = {row.instrument: row.rate_e9 for row in event.funding}
        self.prices = msgspec.structs.replace(self.prices, oracle_round=event.round, rates_e9=rates_e9)
        self.price_version += 1

    def _count(self, trade: Trade, timestamp_ns: int) -> None:
        hours = self.hours.setdefault(trade.instrument, [])
        hour = timestamp_ns // _HOUR_NS
        if not hours or hours[-1].hour != hour:
            ticks = trade.price_ticks
            hours.append(Hour(hour, high_ticks=ticks, low_ticks=ticks, open_ticks=ticks))
            del hours[: -_HOURS - 1]
        row, instrument = hours[-1], self.by_id[trade.instrument]
        row.lots += trade.quantity_lots
        row.notional_e6 += instrument.notional_e6(price_ticks=trade.price_ticks, quantity_lots=trade.quantity_lots)
        row.count += 1
        row.high_ticks = max(row.high_ticks, trade.price_ticks)
        row.low_ticks = min(row.low_ticks, trade.price_ticks)
        row.close_ticks = trade.price_ticks


def _change(hours: list[Hour]) -> str:
    if not hours or not hours[0].open_ticks:
        return "0"
    moved = hours[-1].close_ticks - hours[0].open_ticks
    return format_e9(floor_div(moved * 10**9, hours[0].open_ticks))
