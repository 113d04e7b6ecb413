"""Index prices in, SetPrices and SetScenarios out: marks of perpetuals and of every option, once per second.

An underlying whose index is halted gets no marks, and its halt is told. Perpetuals are marked between their index and
their own book (`perpetual_marks`), options on the surface fitted from their own books (`book_surface`); each round asks
for those books. The pricer owns no clock and never sleeps: whoever runs it calls `tick(now_ns)`. At most one round is
under way; a tick that finds one is skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from exchange.bus.interface import Busy, ExchangePort
from exchange.domain.commands import ListInstrument, SetPrices, UnderlyingRow
from exchange.domain.events import CommandRefused
from exchange.domain.instrument import Instrument
from exchange.domain.portfolio import SetScenarios
from exchange.domain.views import Answer, BookView, GetBook, GetInstruments, GetPrices, Output, PricesView
from exchange.feeds.book_surface import BookSurface, Chain
from exchange.feeds.perpetual_marks import PerpetualMarks
from exchange.feeds.scenario_feed import scenario_commands
from exchange.feeds.volatility import SeededSurface

__all__ = ["Index", "Pricer"]

_NS_PER_S: Final = 1_000_000_000


class Index(Protocol):
    """Where index prices come from: `IndexFeed` of several venues, `SyntheticIndex` of none."""

    @property
    def prices_e9(self) -> dict[str, int]:
        """Good prices of the last rows in 1e-9 USDC, by underlying."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Go on from prices that were published before."""

    def advance(self, elapsed_s: float) -> object:
        """Let time pass."""

    def rows(self, now_ns: int) -> tuple[UnderlyingRow, ...]:
        """A price or a halt of each underlying at a Unix time in nanoseconds."""


class Pricer:
    """Lists what is missing of `catalogue`, then prices everything that is listed.

    `chains_per_tick` option chains are marked each second in turn (0: all of them); index prices and perpetuals are
    always. `surface` stands in where the books say nothing. `failures` counts refused or unanswered submissions.
    """

    def __init__(
        self,
        port: ExchangePort,
        index: Index,
        surface: SeededSurface,
        catalogue: Callable[[int], list[Instrument]],
        *,
        chains_per_tick: int = 2,
    ) -> None:
        self._port = port
        self._index = index
        self._surface = BookSurface(surface)
        self._perpetual_marks = PerpetualMarks()
        self._catalogue = catalogue
        self._chains_per_tick = chains_per_tick
        self._listed: dict[int, Instrument] = {}
        self._wanted: list[Instrument] | None = None
        self._round = 0
        self._has_prices = False
        self._waiting = False
        self._last_ns = 0
        self._rows: tuple[UnderlyingRow, ...] = ()
        self._turn = 0
        self.failures = 0

    @property
    def round(self) -> int:
        """Number of the last round that took effect."""
        return self._round

    @property
    def is_ready(self) -> bool:
        """Whether every instrument of the catalogue is listed and the first full round took effect."""
        return self._wanted == [] and self._has_prices

    def restart(self) -> None:
        """Ask everything again at the next tick: the port lost its connection, answers may never come."""
        self._wanted = None
        self._waiting = False
        self._has_prices = False

    def learn_again(self) -> None:
        """Ask for instruments at the next tick: the list changed. Prices that are under way still count."""
        self._wanted = None

    def tick(self, now_ns: int) -> None:
        """Do the next step if none is under way: learn the state, list what is missing, or publish a round."""
        if self._waiting:
            return
        try:
            self._step(now_ns)
        except Busy:
            self._waiting = False
            self.failures += 1

    def _step(self, now_ns: int) -> None:
        if self._wanted is None:
            self._learn(now_ns)
        elif self._wanted:
            self._list_missing()
        elif now_ns // _NS_PER_S > self._last_ns // _NS_PER_S:
            self._publish(now_ns)

    def _learn(self, now_ns: int) -> None:
        self._waiting = True
        known: list[PricesView] = []

        def on_prices(answer: Answer) -> None:
            if isinstance(answer, PricesView):
                known.append(answer)
                self._round = answer.round
                self._index.resume(answer.index_e9)

        def on_instruments(answer: Answer) -> None:
            rows = answer if isinstance(answer, tuple) else ()
            self._listed = {row.instrument_id: row for row in rows if isinstance(row, Instrument)}
            for prices in known:
                self._perpetual_marks.resume(prices.marks, prices.index_e9, self._perpetuals())
            wanted = self._catalogue(now_ns // _NS_PER_S)
            self._wanted = [row for row in wanted if row.instrument_id not in self._listed]
            self._waiting = False

        self._port.ask(GetPrices(), on_prices)
        self._port.ask(GetInstruments(), on_instruments)

    def _list_missing(self) -> None:
        rows = list(self._wanted or ())
        self._waiting = True

        def on_reply(outputs: Sequence[Output]) -> None:
            for row, output in zip(rows, outputs, strict=True):
                if _refused(output):
                    self.failures += 1
                else:
                    self._listed[row.instrument_id] = row
            self._wanted = []
            self._waiting = False

        self._port.submit_together([ListInstrument(instrument=row) for row in rows], on_reply)

    def _publish(self, now_ns: int) -> None:
        """Move the index, ask for the books of perpetuals and due chains, and price behind the last answer."""
        elapsed_s = (now_ns - self._last_ns) / _NS_PER_S if self._last_ns else 1.0
        self._last_ns = now_ns
        self._index.advance(elapsed_s)
        self._surface.advance(elapsed_s)
        self._rows = self._index.rows(now_ns)
        self._waiting = True
        chains = self._chains(now_ns // _NS_PER_S)
        due = chains if not self._has_prices else {chain: chains[chain] for chain in self._due(chains)}
        rows = [*self._perpetuals(), *(row for chain in due.values() for row in chain)]
        wanted = [row.instrument_id for row in rows]
        books: dict[int, BookView] = {}

        def on_book(answer: Answer) -> None:
            if isinstance(answer, BookView):
                books[answer.instrument] = answer

        def on_last(answer: Answer) -> None:
            on_book(answer)
            publish()

        def publish() -> None:
            prices = self._prices(now_ns, due, books, elapsed_s)
            self._submit(prices, scenario_commands(self._surface, due, now_ns=now_ns))

        if not wanted:
            publish()
            return
        for number in wanted:
            is_last = number == wanted[-1]
            self._port.ask(GetBook(instrument=number, levels=1), on_last if is_last else on_book)

    def _submit_scenarios(self, commands: Sequence[SetScenarios]) -> None:
        """Behind the round that they belong to; what is refused or not taken comes again with the chain's next turn."""

        def on_reply(output: Output) -> None:
            self.failures += _refused(output)

        for command in commands:
            try:
                self._port.submit(command, on_reply)
            except Busy:
                self.failures += 1

    def _submit(self, prices: SetPrices, scenarios: Sequence[SetScenarios]) -> None:
        def on_reply(output: Output) -> None:
            self._waiting = False
            if _refused(output):
                self.failures += 1
                self._wanted = None
                return
            self._round = prices.round
            self._has_prices |= bool(prices.marks)
            self._submit_scenarios(scenarios)

        try:
            self._port.submit(prices, on_reply)
        except Busy:
            # Inside an answer nobody above would hear of it.
            self._waiting = False
            self.failures += 1

    def _prices(
        self, now_ns: int, due: dict[Chain, list[Instrument]], books: dict[int, BookView], elapsed_s: float
    ) -> SetPrices:
        index_e9 = self._index.prices_e9
        perpetuals = self._perpetual_marks.rows(self._perpetuals(), books, index_e9=index_e9, elapsed_s=elapsed_s)
        options = self._surface.price(due, books, index_e9=index_e9, now_ns=now_ns)
        return SetPrices(
            round=self._round + 1,
            underlyings=self._rows,
            expiries=options.expiries,
            marks=(*perpetuals, *options.marks),
        )

    def _perpetuals(self) -> list[Instrument]:
        return [row for row in self._listed.values() if row.is_perpetual]

    def _chains(self, now_s: int) -> dict[Chain, list[Instrument]]:
        """Group the listed options that have not expired by chain."""
        known = self._index.prices_e9
        chains: dict[Chain, list[Instrument]] = {}
        for row in self._listed.values():
            if row.is_option and row.expiry_s > now_s and row.underlying in known:
                chains.setdefault((row.underlying, row.expiry_s), []).append(row)
        return dict(sorted(chains.items()))

    def _due(self, chains: dict[Chain, list[Instrument]]) -> list[Chain]:
        names = list(chains)
        if not self._chains_per_tick or self._chains_per_tick >= len(names):
            return names
        self._turn %= len(names)
        due = (names * 2)[self._turn : self._turn + self._chains_per_tick]
        self._turn += self._chains_per_tick
        return due


def _refused(output: Output) -> bool:
    return any(isinstance(event, CommandRefused) for event in output.events)
