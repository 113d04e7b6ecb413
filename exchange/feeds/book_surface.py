"""Volatility surfaces of all underlyings from the exchange's own books; integers in, integers out.

One `Surface` per underlying. Where the books of an expiry say nothing, a seeded surface stands in (it plays the outside
source that a venue begins with); the forward is then the index. What has no slice at all gets no row: its marks grow
old, which stops what needs them.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from exchange.domain.commands import ExpiryRow, MarkRow
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.views import BookView
from exchange.feeds.volatility import SeededSurface
from exchange.pricing.black76 import Option, greeks, quantise
from exchange.pricing.quotes import OptionQuote
from exchange.pricing.surface import ChainBook, ExpirySlice, Surface, mark_volatility

__all__ = ["BookSurface", "ChainMarks", "quotes_of"]

_NS_PER_S: Final = 1_000_000_000
_SECONDS_PER_YEAR: Final = 365 * 86_400
_E9: Final = 1e9
Chain = tuple[str, int]
"""Underlying and expiry in Unix seconds."""


class ChainMarks(msgspec.Struct, frozen=True):
    """What is published of some chains."""

    expiries: tuple[ExpiryRow, ...]
    marks: tuple[MarkRow, ...]


class BookSurface:
    """Remembers slices between rounds. `outside` None: nothing stands in for an empty book."""

    def __init__(self, outside: SeededSurface | None) -> None:
        self._outside = outside
        self._surfaces: dict[str, Surface] = {}

    def advance(self, elapsed_s: float) -> None:
        """Let the outside surface move."""
        if self._outside is not None:
            self._outside.advance(elapsed_s)

    def published(self, chain: Chain) -> ExpirySlice | None:
        """The slice that stands for a chain."""
        surface = self._surfaces.get(chain[0])
        return None if surface is None else surface.published(chain[1])

    def price(
        self,
        chains: Mapping[Chain, list[Instrument]],
        books: Mapping[int, BookView],
        *,
        index_e9: Mapping[str, int],
        now_ns: int,
    ) -> ChainMarks:
        """Refresh `chains` from the books of their options and mark each option; chains without a slice are left out.

        Books in a call auction do not count. Every value is rounded once, to the nearest.
        """
        expiries: list[ExpiryRow] = []
        marks: list[MarkRow] = []
        now_s = now_ns / _NS_PER_S
        for underlying in dict.fromkeys(name for name, _ in chains):
            spot = index_e9[underlying] / _E9
            own = {expiry_s: rows for (name, expiry_s), rows in chains.items() if name == underlying}
            surface = self._surfaces.setdefault(underlying, Surface())
            found = surface.refresh(
                {expiry_s: self._chain_book(rows, books, now_s) for expiry_s, rows in own.items()},
                spot=spot,
                now_s=now_s,
            )
            for expiry_s, row in found.items():
                expiries.append(ExpiryRow(underlying, expiry_s, round(row.forward * _E9)))
                years = (expiry_s - now_s) / _SECONDS_PER_YEAR
                marks += [_mark(option, row, years, spot) for option in own[expiry_s]]
        return ChainMarks(tuple(expiries), tuple(marks))

    def _chain_book(self, rows: list[Instrument], books: Mapping[int, BookView], now_s: float) -> ChainBook:
        first = rows[0]
        years = (first.expiry_s - now_s) / _SECONDS_PER_YEAR
        return ChainBook(
            quotes=tuple(quotes_of(rows, books)),
            strikes=tuple(sorted({row.strike_e9 / _E9 for row in rows})),
            tick=first.tick_e9 / _E9,
            outside=None if self._outside is None else self._outside.slice(first.underlying, years),
        )


def quotes_of(rows: Iterable[Instrument], books: Mapping[int, BookView]) -> Iterable[OptionQuote]:
    """Best quotes of the options that have a book and trade continuously; 0 for a side that is not there."""
    for row in rows:
        book = books.get(row.instrument_id)
        if book is None or book.auction_deadline_ns:
            continue
        bid, ask = (levels[0] if levels else (0, 0, 0) for levels in (book.bids, book.asks))
        yield OptionQuote(
            is_call=row.kind is InstrumentKind.CALL,
            strike=row.strike_e9 / _E9,
            bid=bid[0] * row.tick_e9 / _E9,
            ask=ask[0] * row.tick_e9 / _E9,
            bid_size=bid[1] * row.lot_e9 / _E9,
            ask_size=ask[1] * row.lot_e9 / _E9,
        )


def _mark(instrument: Instrument, row: ExpirySlice, years: float, spot: float) -> MarkRow:
    strike, is_call = instrument.strike_e9 / _E9, instrument.kind is InstrumentKind.CALL
    volatility = mark_volatility(row, strike=strike, is_call=is_call)
    option = Option(is_call=is_call, forward=row.forward, strike=strike, years=years)
    return quantise(instrument.instrument_id, greeks(option, volatility, spot=spot), volatility)
