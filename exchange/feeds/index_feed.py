"""The index of each underlying from several venues, as rows of price commands (risk.md 3.1).

Weighted median, clamp, age and confidence are `exchange.risk.index`; this file gathers what the venues say and turns it
into what the engine is told: a price with its confidence, or that there is none. Halts and the count of good prices are
the engine's, which outlives this process; what is told here as a halt is too few live venues, two camps of them
without a majority, or a jump of more than a tenth that the next ticks must confirm.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from exchange.domain.commands import UnderlyingRow
from exchange.feeds.sources import IndexSource, TopOfBook, source_of
from exchange.risk.index import IndexParameters, IndexState, has_majority, live_sources, next_index

__all__ = ["MAJORS", "OTHERS", "IndexFeed", "parameters_of"]

MAJORS: Final = IndexParameters()
OTHERS: Final = IndexParameters(cap_ppm=10_000, oldest_ns=30_000_000_000)
_MAJOR_NAMES: Final = ("BTC", "ETH")


def parameters_of(underlying: str) -> IndexParameters:
    """Clamp and age of an underlying: half a percent and 10 s of BTC and ETH, one percent and 30 s of others."""
    return MAJORS if underlying in _MAJOR_NAMES else OTHERS


class IndexFeed:
    """Index of `underlyings` from `sources`. Same answers of the sources, same rows."""

    def __init__(self, sources: Sequence[IndexSource], underlyings: Sequence[str]) -> None:
        self._sources = tuple(sources)
        self._states = {name: IndexState(is_halted=False) for name in sorted(underlyings)}
        self._good: dict[str, int] = {}

    @property
    def prices_e9(self) -> dict[str, int]:
        """Prices of the last tick in 1e-9 USDC, of those underlyings that had one."""
        return dict(self._good)

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Measure the first jump from prices that were published before; seeded venues go on from them."""
        for name, price_e9 in prices_e9.items():
            if name in self._states and price_e9 > 0:
                self._states[name] = IndexState(price=price_e9, is_halted=False)
        for source in self._sources:
            source.resume(prices_e9)

    def advance(self, elapsed_s: float) -> None:
        """Let time pass for venues that do not move by themselves."""
        for source in self._sources:
            source.advance(elapsed_s)

    def rows(self, now_ns: int) -> tuple[UnderlyingRow, ...]:
        """One row per underlying at a Unix time in nanoseconds, by name."""
        tops = [(source, source.tops(now_ns)) for source in self._sources]
        self._good = {}
        return tuple(self._row(name, tops, now_ns) for name in self._states)

    def _row(self, name: str, tops: list[tuple[IndexSource, Mapping[str, TopOfBook]]], now_ns: int) -> UnderlyingRow:
        said = [source_of(found.get(name), weight=source.weight, now_ns=now_ns) for source, found in tops]
        parameters = parameters_of(name)
        live = live_sources(said, parameters)
        if not live or not has_majority(live, parameters):
            self._states[name] = msgspec.structs.replace(self._states[name], jumped=0)
            return UnderlyingRow(name, 0, 0, is_halted=True)
        # The age of the last price is the engine's to judge: here only too few venues and jumps hold a price back.
        state = msgspec.structs.replace(self._states[name], time_ns=now_ns, is_halted=False)
        tick = next_index(said, state, now_ns=now_ns, parameters=parameters)
        self._states[name] = tick.state
        if tick.is_halted or tick.state.jumped:
            return UnderlyingRow(name, 0, 0, is_halted=True)
        self._good[name] = tick.price
        return UnderlyingRow(name, tick.price, tick.confidence_ppm)
