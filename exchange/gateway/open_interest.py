"""Open interest by instrument, counted from events behind what the engine answered once.

Feeds of public data name no positions: they say what came of it (`OpenInterestMoved`).
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from exchange.domain.commands import Side
from exchange.domain.events import Event, Trade
from exchange.domain.liquidations import Deleveraged
from exchange.domain.market_limits import OpenInterestView
from exchange.domain.rounds import PositionExpired

__all__ = ["OpenInterest", "OpenInterestMoved"]

_EARLY_MAX: Final = 65_536
"""Events that may come before the answer; then nothing is known for as long as the process runs."""


class OpenInterestMoved(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1_000):
    """Of the public feeds alone: what is open behind the commit."""

    instrument: int
    open_lots: int


class OpenInterest:
    """`lots` by instrument; none before the answer came."""

    EVENTS: Final = frozenset({Trade, Deleveraged, PositionExpired, OpenInterestMoved})

    def __init__(self) -> None:
        self.lots: dict[int, int] = {}
        self._is_loaded = False
        self._early: list[tuple[int, int, int]] = []

    def load(self, rows: Iterable[OpenInterestView]) -> None:
        """Take the engine's answer; of what came before it, only what it does not hold yet counts."""
        if self._is_loaded or len(self._early) >= _EARLY_MAX:
            return
        sequence = 0
        for row in rows:
            self.lots[row.instrument], sequence = row.open_lots, row.sequence
        self._is_loaded = True
        for number, instrument, more in self._early:
            if number > sequence:
                self.lots[instrument] = self.lots.get(instrument, 0) + more
        self._early.clear()

    def apply(self, event: Event | OpenInterestMoved, sequence: int) -> None:
        """Take one event of command `sequence`; others than those of EVENTS are ignored."""
        if isinstance(event, OpenInterestMoved):
            # Whoever hears this follows a feed: no answer comes, and trades there name no positions.
            self.lots[event.instrument] = event.open_lots
            self._early.clear()
            return
        for instrument, before_lots, after_lots in _moves(event):
            more = max(after_lots, 0) - max(before_lots, 0)
            if not more:
                continue
            if self._is_loaded:
                self.lots[instrument] = self.lots.get(instrument, 0) + more
            elif len(self._early) < _EARLY_MAX:
                self._early.append((sequence, instrument, more))


def _moves(event: Event) -> Iterator[tuple[int, int, int]]:
    """Instrument, lots before and after of every position that an event changes."""
    if isinstance(event, Trade):
        bought = event.quantity_lots if event.taker_side is Side.BUY else -event.quantity_lots
        for side, delta in ((event.taker, bought), (event.maker, -bought)):
            yield event.instrument, side.position_lots - delta, side.position_lots
    elif isinstance(event, Deleveraged):
        for party, delta in ((event.bankrupt, event.bankrupt_lots), (event.counterparty, -event.bankrupt_lots)):
            yield event.instrument, party.position_lots - delta, party.position_lots
    elif isinstance(event, PositionExpired):
        yield event.instrument, event.position_lots, 0
