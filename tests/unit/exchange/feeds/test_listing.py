"""The list keeper against the real engine, whose clock the tests turn."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from exchange.bus.interface import Busy
from exchange.domain.commands import Clock, SetPrices, UnderlyingRow
from exchange.domain.instrument import Instrument
from exchange.domain.rounds import DelistInstrument, OracleRound, SettlementRow
from exchange.domain.views import GetInstruments
from exchange.engine.queries import answer
from exchange.engine.state import State
from exchange.feeds.catalogue import demo_catalogue, expiries_after
from exchange.feeds.listing import ListKeeper
from tests.fakes.direct_port import DirectPort

START_S = 1_795_363_200
END_S = expiries_after(START_S)[0]
E9 = 10**9


class Venue:
    """An engine, its clock, and a keeper of the demo's list."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.port = DirectPort(State(), lambda: self.now_s * E9)
        self.changes = 0
        self.keeper = ListKeeper(self.port, demo_catalogue, self._count)

    def _count(self) -> None:
        self.changes += 1

    def listed(self) -> set[int]:
        """Numbers on the list."""
        rows = answer(self.port.state, GetInstruments())
        assert isinstance(rows, tuple)
        return {row.instrument_id for row in rows if isinstance(row, Instrument)}

    async def look(self, at_s: int) -> None:
        """Tick once at a time, and let every answer come."""
        self.now_s = at_s
        self.keeper.tick(at_s * E9)
        for _ in range(8):
            await asyncio.sleep(0)

    def settle(self) -> None:
        """A round with governance's prices, as nobody sampled an index, and the Clock that pays the other expiry."""
        rows = tuple(SettlementRow(name, END_S, price * E9) for name, price in (("BTC", 84_000), ("ETH", 3_000)))
        self.port.run(OracleRound(round=self.port.state.oracle_round + 1, settlements=rows))
        self.port.run(Clock())


def told(story: Callable[[Venue], Any]) -> None:
    """Run a story on a venue whose list is that of the first day."""

    async def whole() -> None:
        venue = Venue()
        venue.port.run(SetPrices(round=1, underlyings=(UnderlyingRow("BTC", 84_000 * E9),)))
        await venue.look(START_S)
        await story(venue)

    asyncio.run(whole())


def test_a_busy_exchange_is_asked_again_after_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for ever."""

    async def story(venue: Venue) -> None:
        def refuse(*_: object) -> None:
            raise Busy(25)

        with monkeypatch.context() as patch:
            patch.setattr(venue.port, "submit_together", refuse)
            await venue.look(START_S + 14 * 86_400)
        assert (venue.keeper.failures, venue.changes) == (1, 1)
        await venue.look(START_S + 14 * 86_400 + 59)
        assert venue.changes == 1
        await venue.look(START_S + 14 * 86_400 + 60)
        assert venue.changes == 2

    told(story)


def test_a_list_that_is_right_is_left_alone() -> None:
    """Nothing is submitted, nobody is told."""

    async def story(venue: Venue) -> None:
        count = len(venue.port.log)
        await venue.look(START_S + 60)
        assert (len(venue.port.log), venue.changes, venue.keeper.failures) == (count, 1, 0)

    told(story)


def test_what_expired_stays_until_it_is_paid() -> None:
    """The engine would refuse while anybody may hold it; what the new week names is listed in the meantime."""

    async def story(venue: Venue) -> None:
        before = venue.listed()
        await venue.look(END_S + 1)
        assert before < venue.listed() == before | {row.instrument_id for row in demo_catalogue(END_S + 1)}
        assert not any(isinstance(command, DelistInstrument) for command in venue.port.log)

    told(story)


def test_what_is_paid_leaves_the_list_once() -> None:
    """All options of the expiry go, in one submission; the pricer is told; the next look finds nothing to do."""

    async def story(venue: Venue) -> None:
        await venue.look(END_S + 1)
        before = venue.listed()
        venue.settle()
        await venue.look(END_S + 61)
        ended = {row.instrument_id for row in demo_catalogue(START_S) if row.is_option and row.expiry_s == END_S}
        assert len(ended) == 44
        assert venue.listed() == before - ended
        assert (venue.changes, venue.keeper.failures) == (3, 0)
        count = len(venue.port.log)
        await venue.look(END_S + 121)
        assert len(venue.port.log) == count

    told(story)
