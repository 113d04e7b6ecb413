"""The feed of oracle rounds against a port that keeps books in a dictionary."""

import pytest

from exchange.bus.interface import Busy
from exchange.domain.events import CommandRefused
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import FundingRow, OracleRoundSet
from exchange.domain.views import BookView, GetBook, GetInstruments, Output, PricesView
from exchange.feeds.rounds import RoundFeed
from tests.unit.exchange.engine.world import PERP, instruments

SECOND_NS = 10**9
BASELINE_E9 = 100_000


def book(bid, ask, lots=1_000_000, auction_ns=0):
    """One level a side, prices in ticks of 0.1."""
    return BookView(instrument=PERP, bids=((bid, lots, 1),), asks=((ask, lots, 1),), auction_deadline_ns=auction_ns)


class BookPort:
    """Answers at once; `busy` refuses, `refuses` answers rounds with a refusal."""

    def __init__(self, shown, rates=None, oracle_round=0):
        self.book = shown
        self.rates = rates or {}
        self.oracle_round = oracle_round
        self.index_e9 = {"BTC": 60_000 * 10**9}
        self.commands = []
        self.busy = self.refuses = False

    def ask(self, query, answer):
        """Instruments, the one book, or prices."""
        if self.busy:
            raise Busy
        if isinstance(query, GetInstruments):
            answer(tuple(instruments()))
        elif isinstance(query, GetBook):
            answer(self.book)
        else:
            answer(
                PricesView(
                    round=1, timestamp_ns=0, index_e9=self.index_e9, forward_e9={}, marks={},
                    oracle_round=self.oracle_round, rates_e9=self.rates,
                )
            )  # fmt: skip

    def submit(self, command, reply=None):
        """Take a round."""
        self.commands.append(command)
        refused = CommandRefused(code=ResultCode.PRICE_OUT_OF_ORDER)
        event = refused if self.refuses else OracleRoundSet(round=command.round, funding=())
        self.oracle_round = self.oracle_round if self.refuses else command.round
        reply(Output(sequence=1, timestamp_ns=0, events=(event,), orders={}))


def run(feed, seconds, start_s=0):
    """Tick four times per second."""
    for quarter in range(1, 4 * seconds + 1):
        feed.tick((start_s * 4 + quarter) * SECOND_NS // 4)


def last_rate(port):
    """Rate of the perpetual in the last round."""
    (row,) = port.commands[-1].funding
    assert row.instrument == PERP
    return row.rate_e9


def test_a_busy_exchange_is_tried_again():
    """Nothing waits for ever."""
    port = BookPort(book(600_000, 600_001))
    feed = RoundFeed(port)
    port.busy = True
    run(feed, 10)
    assert (feed.failures, port.commands) == (10, [])
    port.busy = False
    run(feed, 10, 10)
    assert len(port.commands) == 1


def test_a_refused_round_is_counted():
    """And the next one is numbered by what the engine says."""
    port = BookPort(book(600_000, 600_001), oracle_round=7)
    feed = RoundFeed(port)
    port.refuses = True
    run(feed, 10)
    assert feed.failures == 1
    port.refuses = False
    port.oracle_round = 41
    run(feed, 10, 10)
    assert [command.round for command in port.commands] == [8, 42]


def test_without_an_index_no_rate_is_named():
    """A round without rows still publishes what accrued."""
    port = BookPort(book(600_000, 600_001))
    port.index_e9 = {}
    run(RoundFeed(port), 10)
    assert [command.funding for command in port.commands] == [()]


@pytest.mark.parametrize(
    ("shown", "rows"),
    [
        (book(599_000, 601_000), (FundingRow(PERP, BASELINE_E9),)),
        (book(610_000, 620_000, lots=1), (FundingRow(PERP, BASELINE_E9),)),
        (book(610_000, 620_000, auction_ns=5), ()),
    ],
    ids=["index inside the spread", "too little for the impact notional", "call auction"],
)
def test_a_book_without_premium_gives_the_baseline(shown, rows):
    """0.01 % per 8 hours; a book in a call names no rate at all."""
    port = BookPort(shown)
    run(RoundFeed(port), 20)
    assert port.commands[-1].funding == rows


@pytest.mark.parametrize(("bid", "ask", "sign"), [(612_000, 612_001, 1), (587_999, 588_000, -1)])
def test_a_premium_enters_slowly(bid, ask, sign):
    """2 % for half an hour weigh half: the average had held 0 for as long; less the 0.05 % toward the baseline."""
    port = BookPort(book(bid, ask))
    run(RoundFeed(port), 10)
    assert last_rate(port) == BASELINE_E9
    feed = RoundFeed(port)
    port.rates = {PERP: 0}
    run(feed, 1_800, 10)
    assert last_rate(port) == pytest.approx(sign * (10_000_000 - 500_000), rel=0.01)


def test_a_restart_begins_at_the_rate_that_held():
    """Not at zero."""
    port = BookPort(book(599_000, 601_000), rates={PERP: 30_000_000})
    run(RoundFeed(port), 10)
    assert 25_000_000 < last_rate(port) < 30_000_000
