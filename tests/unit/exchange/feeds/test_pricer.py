"""The pricer against a port that keeps prices and instruments in two dictionaries."""

import asyncio

import pytest

from exchange.bus.interface import Busy
from exchange.domain.commands import ListInstrument, SetPrices, UnderlyingRow
from exchange.domain.events import CommandRefused, InstrumentListed, PricesSet
from exchange.domain.portfolio import ScenariosSet, SetScenarios
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import BookView, GetBook, GetPrices, Output, PricesView
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.pacing import run_pricer
from exchange.feeds.pricer import Pricer
from exchange.feeds.synthetic import START_PRICES_E9, SyntheticIndex
from exchange.feeds.venues import seeded_venues
from exchange.feeds.volatility import SeededSurface
from tests.unit.exchange.feeds.test_book_surface import book_of

START_NS = 1_795_363_200 * 10**9
SECOND_NS = 10**9


class DictionaryPort:
    """Answers at once, in the exchange's terms; `held` keeps replies back, `busy` refuses."""

    def __init__(self):
        self.instruments = {}
        self.prices = PricesView(round=0, timestamp_ns=0, index_e9={}, forward_e9={}, marks={})
        self.rounds = []
        self.scenarios = []
        self.busy = False
        self.holding = False
        self.held = []
        self.make_book = lambda row: None
        self.full = False

    def ask(self, query, answer):
        """Answer the two questions of a pricer."""
        if self.busy:
            raise Busy
        if isinstance(query, GetPrices):
            answer(self.prices)
        elif isinstance(query, GetBook):
            answer(self.make_book(self.instruments[query.instrument]))
        else:
            answer(tuple(self.instruments.values()))

    def submit(self, command, reply=None):
        """Take one round of prices."""
        if self.busy or self.full:
            raise Busy
        output = self._apply(command)
        if self.holding and isinstance(command, SetPrices):
            self.held.append((reply, output))
        else:
            reply(output)

    def submit_together(self, commands, reply=None):
        """Take listings."""
        reply([self._apply(command) for command in commands])

    def _apply(self, command):
        event = CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER)
        if isinstance(command, ListInstrument):
            self.instruments[command.instrument.instrument_id] = command.instrument
            event = InstrumentListed(instrument=command.instrument)
        elif isinstance(command, SetPrices) and command.round > self.prices.round:
            self.rounds.append(command)
            index = {row.underlying: row.index_e9 for row in command.underlyings}
            marks = self.prices.marks | {row.instrument: row for row in command.marks}
            self.prices = PricesView(round=command.round, timestamp_ns=0, index_e9=index, forward_e9={}, marks=marks)
            event = PricesSet(prices=command)
        elif isinstance(command, SetScenarios):
            self.scenarios.append(command)
            rows = len(command.rows)
            event = ScenariosSet(underlying=command.underlying, round=command.round, instruments=rows)
        return Output(sequence=1, timestamp_ns=0, events=(event,), orders={})


def pricer_on(port, **options):
    """Build a seeded pricer."""
    return Pricer(port, SyntheticIndex.seeded(1), SeededSurface.seeded(1), demo_catalogue, **options)


def run(pricer, seconds, start_ns=START_NS):
    """Tick once per second."""
    for second in range(seconds):
        pricer.tick(start_ns + second * SECOND_NS)


def test_a_busy_exchange_is_tried_again():
    """Nothing is lost and nothing waits for ever."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    port.busy = True
    run(pricer, 3)
    port.busy = False
    run(pricer, 4)
    assert pricer.failures == 3
    assert pricer.is_ready


def test_every_option_that_is_marked_is_priced_in_scenarios():
    """The same chains, once their round took effect; numbers rise, unshocked cells are the marks."""
    port = DictionaryPort()
    pricer = pricer_on(port, chains_per_tick=0)
    run(pricer, 4)
    marks = {row.instrument: row.mark_e9 for row in port.rounds[-1].marks if port.instruments[row.instrument].is_option}
    last = {command.underlying: command for command in port.scenarios}
    rows = {row.instrument: row for command in last.values() for row in command.rows}
    assert rows.keys() == marks.keys()
    assert all(abs(row.values()[33] - marks[number]) <= 1_000 for number, row in rows.items())
    numbers = [command.round for command in port.scenarios if command.underlying == "BTC"]
    assert numbers == sorted(set(numbers))
    assert pricer.failures == 0


def test_an_exchange_that_answers_and_takes_nothing_is_tried_again():
    """The round is submitted inside the last answer, where a refusal must not get lost."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    port.full = True
    run(pricer, 2, START_NS + 10 * SECOND_NS)
    port.full = False
    before = len(port.rounds)
    run(pricer, 2, START_NS + 20 * SECOND_NS)
    assert pricer.failures == 2
    assert len(port.rounds) == before + 2


def test_a_round_out_of_order_is_learned_again():
    """Another writer was ahead: ask for its round and go on from there."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 4)
    port.prices = PricesView(round=100, timestamp_ns=0, index_e9={"BTC": 90_000 * 10**9}, forward_e9={}, marks={})
    run(pricer, 5, START_NS + 10 * SECOND_NS)
    assert pricer.failures == 1
    assert pricer.round > 100
    assert abs(port.prices.index_e9["BTC"] - 90_000 * 10**9) < 1_000 * 10**9


def test_one_round_at_a_time():
    """A tick that finds a round under way is skipped."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    port.holding = True
    run(pricer, 5, START_NS + 10 * SECOND_NS)
    assert len(port.held) == 1
    reply, output = port.held.pop()
    reply(output)
    run(pricer, 1, START_NS + 20 * SECOND_NS)
    assert len(port.held) == 1


def test_restart_asks_again():
    """After a lost connection nothing is waited for."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    port.holding = True
    run(pricer, 1, START_NS + 10 * SECOND_NS)
    port.holding = False
    pricer.restart()
    run(pricer, 3, START_NS + 20 * SECOND_NS)
    assert pricer.is_ready
    assert pricer.failures == 0


def test_lists_the_catalogue_then_marks_everything():
    """Every instrument has a mark after the first round; options carry model values."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    assert pricer.is_ready
    assert len(port.instruments) == len(port.prices.marks) == 134
    assert set(port.prices.index_e9) == set(START_PRICES_E9)
    for row in port.instruments.values():
        mark = port.prices.marks[row.instrument_id]
        if row.is_perpetual:
            assert mark.mark_e9 == port.prices.index_e9[row.underlying]
        else:
            assert mark.mark_e9 > 0
            assert mark.volatility_e9 > 100_000_000


def test_options_are_marked_from_their_own_books():
    """Books at 90 % volatility: a chain's marks follow them as soon as its neighbours do."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    option = next(row for row in port.instruments.values() if row.is_option and row.underlying == "BTC")
    chain = [row for row in port.instruments.values() if (row.underlying, row.expiry_s) == ("BTC", option.expiry_s)]
    seeded = {row.instrument_id: port.prices.marks[row.instrument_id].volatility_e9 for row in chain}
    assert max(seeded.values()) < 800_000_000
    port.make_book = lambda row: book_of(row) if row.underlying == "BTC" and row.is_option else None
    run(pricer, 8, START_NS + 10 * SECOND_NS)
    for row in chain:
        book, mark = book_of(row), port.prices.marks[row.instrument_id]
        assert book.bids[0][0] * row.tick_e9 <= mark.mark_e9 <= book.asks[0][0] * row.tick_e9
        assert mark.volatility_e9 > seeded[row.instrument_id] + 100_000_000


def perpetual_book_of(row, index_e9, above_ppm):
    """Two sides 0.1 % apart, the middle this far above an index."""
    if not row.is_perpetual:
        return None
    middle = index_e9[row.underlying] * (1_000_000 + above_ppm) // 1_000_000
    bid, ask = (middle * part // 10_000 // row.tick_e9 for part in (9_995, 10_005))
    return BookView(instrument=row.instrument_id, bids=((bid, 5, 1),), asks=((ask, 5, 1),))


def basis_ppm(port):
    """How far each perpetual's mark is above its index."""
    index_e9 = port.prices.index_e9
    rows = [row for row in port.instruments.values() if row.is_perpetual]
    return {
        row.underlying: port.prices.marks[row.instrument_id].mark_e9 * 1_000_000 / index_e9[row.underlying] - 1_000_000
        for row in rows
    }


def test_perpetuals_are_marked_beside_their_index_and_go_on_so_behind_a_restart():
    """Books 0.2 % above for ten minutes: marks are; a new pricer that sees no book begins there."""
    port = DictionaryPort()
    pricer = pricer_on(port, chains_per_tick=1)
    run(pricer, 3)
    assert set(basis_ppm(port).values()) == {0.0}
    port.make_book = lambda row: perpetual_book_of(row, port.prices.index_e9, 2_000)
    run(pricer, 600, START_NS + 10 * SECOND_NS)
    assert all(above == pytest.approx(2_000, abs=300) for above in basis_ppm(port).values())
    port.make_book = lambda row: None
    before = basis_ppm(port)
    run(pricer_on(port), 2, START_NS + 700 * SECOND_NS)
    assert basis_ppm(port) == pytest.approx(before, abs=40)


@pytest.mark.parametrize(("per_tick", "rows"), [(0, 134), (1, 24), (2, 46)])
def test_chains_take_turns(per_tick, rows):
    """Later rounds mark the perpetuals and the chains whose turn it is."""
    port = DictionaryPort()
    pricer = pricer_on(port, chains_per_tick=per_tick)
    run(pricer, 9)
    assert [len(command.marks) for command in port.rounds] == [134] + [rows] * 6
    assert [command.round for command in port.rounds] == list(range(1, 8))


def test_one_round_per_second():
    """Four ticks in a second give one round."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    run(pricer, 3)
    before = len(port.rounds)
    for quarter in range(8):
        pricer.tick(START_NS + 10 * SECOND_NS + quarter * SECOND_NS // 4)
    assert len(port.rounds) == before + 2


def test_a_second_run_continues():
    """Round numbers and prices go on from what the exchange remembers; nothing is listed twice."""
    port = DictionaryPort()
    run(pricer_on(port), 20)
    last = port.prices
    again = pricer_on(port)
    run(again, 2, START_NS + 100 * SECOND_NS)
    assert again.round == last.round + 1
    assert abs(port.prices.index_e9["BTC"] / last.index_e9["BTC"] - 1) < 0.001


def test_expired_options_are_left_alone():
    """After expiry a chain gets no mark."""
    port = DictionaryPort()
    run(pricer_on(port), 3)
    late = pricer_on(port, chains_per_tick=0)
    run(late, 3, START_NS + 20 * 86_400 * SECOND_NS)
    marked = {row.instrument for row in port.rounds[-1].marks}
    until_s = START_NS // SECOND_NS + 20 * 86_400
    expired = {row.instrument_id for row in port.instruments.values() if 0 < row.expiry_s <= until_s}
    assert len(expired) == 88
    assert not marked & expired


def test_runs_until_stopped():
    """The pacing loop ticks by the clock it is given and ends with its event."""
    port = DictionaryPort()
    pricer = pricer_on(port)
    stop = asyncio.Event()
    times = iter(range(1_000))

    def clock_ns():
        second = next(times)
        if second == 2:
            stop.set()
        return START_NS + second * SECOND_NS

    asyncio.run(run_pricer(pricer, clock_ns, stop))
    assert pricer.is_ready


def test_a_halted_underlying_is_told_and_gets_no_marks():
    """The other goes on; behind the halt all marks come again in turn."""
    port = DictionaryPort()
    index = SyntheticIndex.seeded(1)
    feed = IndexFeed(seeded_venues(index, 1), list(START_PRICES_E9))
    pricer = Pricer(port, feed, SeededSurface.seeded(1), demo_catalogue, chains_per_tick=0)
    run(pricer, 4)
    assert pricer.is_ready
    index.resume({"BTC": START_PRICES_E9["BTC"] * 2})
    run(pricer, 1, START_NS + 4 * SECOND_NS)
    halted = port.rounds[-1]
    assert [(row.underlying, row.is_halted) for row in halted.underlyings] == [("BTC", True), ("ETH", False)]
    assert {port.instruments[row.instrument].underlying for row in halted.marks} == {"ETH"}
    assert {row.underlying for row in halted.expiries} == {"ETH"}
    run(pricer, 2, START_NS + 5 * SECOND_NS)
    assert {port.instruments[row.instrument].underlying for row in port.rounds[-1].marks} == {"BTC", "ETH"}


def test_it_is_not_ready_before_a_price():
    """Rounds that say nothing but halts leave everybody waiting."""
    port = DictionaryPort()
    pricer = Pricer(port, IndexFeed([], ["BTC"]), SeededSurface.seeded(1), demo_catalogue)
    run(pricer, 4)
    assert port.rounds[-1].underlyings == (UnderlyingRow("BTC", 0, 0, is_halted=True),)
    assert not pricer.is_ready
