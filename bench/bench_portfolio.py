"""K6: CPU us of one order of an account with Portfolio Margin through the compiled engine, checks and all.

The account holds 20 options and a perpetual and has 200 resting orders; every order is judged in 33 scenarios over all
of them. Before each round come new marks and new scenario prices, so nothing of the last round can be kept; then orders
and the cancels that take them back run packed, and the time of both is put down to the orders. Beside it the same flow
of an account with Standard Margin. The twin runs the same commands once, and state hashes must agree.
"""

import statistics
import time

import pytest

from bench.bench_engine import PERPETUAL, START_NS, owner, perpetual
from bench.harness import record_goal, result_hash, sized
from bench.workloads import SplitMix
from exchange.domain.commands import (
    BatchCut,
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Clock,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.ids import order_number
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import pack_command
from exchange.domain.portfolio import MarginKind, SetMarginKind
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import COMPILED, new_state
from exchange.pricing.portfolios import ExpiryTerms
from exchange.pricing.scenario_rounds import ExpiryRound, PricedOption, scenario_round
from exchange.pricing.scenarios import ForwardParts
from matching_core import OrderBook

E9 = 10**9
OPTIONS = 20
DAYS = (7, 30, 90, 180)
RESTING = sized(small=40, full=200)
MEASURED = sized(small=40, full=200)
ROUNDS = sized(small=2, full=9)
PORTFOLIO, STANDARD, OTHER = 2, 3, 4
CONFIG = EngineConfig(open_orders_max=1_000)
START_S = START_NS // E9

pytestmark = pytest.mark.skipif(not COMPILED, reason="the engine is not compiled: make build")


def option(number):
    """One of 20 calls and puts of four expiries around 60,000."""
    is_call = number % 2
    return Instrument(
        instrument_id=number,
        name=f"BTC-{number}",
        kind=InstrumentKind.CALL if is_call else InstrumentKind.PUT,
        underlying="BTC",
        tick_e9=E9,
        lot_e9=10**7,
        minimum_lots=1,
        maximum_lots=10**6,
        maximum_price_ticks=10**6,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
        strike_e9=(50_000 + 1_000 * number) * E9,
        expiry_s=START_S + DAYS[number % len(DAYS)] * 86_400,
    )


class Flow:
    """A seeded flow of commands, applied one by one or, where time is taken, packed."""

    def __init__(self) -> None:
        self.state = new_state(OrderBook, CONFIG)
        self.random = SplitMix(23)
        self.applied = []
        self.number = 0
        self.round = 0
        self.options = [option(number) for number in range(1, OPTIONS + 1)]
        self.now_ns = START_NS
        for command in self.opening():
            self.apply(command)

    def apply(self, command):
        """One command at its own time."""
        self.now_ns += 1_000
        self.applied.append((command, self.now_ns))
        return apply(self.state, command, self.now_ns)

    def opening(self):
        """Listings, prices, money, a kind of margin, positions and resting orders."""
        for row in (perpetual(), *self.options):
            yield ListInstrument(instrument=row)
        yield from self.prices()
        for at, account in enumerate((PORTFOLIO, STANDARD, OTHER), 1):
            kind = ChainRequestKind.DEPOSIT
            yield ChainRequest(index=at, kind=kind, account=account, amount_e6=10**13, owner=owner(account))
        yield BatchCut()
        yield SetMarginKind(subaccount=PORTFOLIO, kind=MarginKind.PORTFOLIO)
        for account in (PORTFOLIO, STANDARD):
            for number in (PERPETUAL, *range(1, OPTIONS + 1)):
                side = Side(self.random.below(2))
                yield self.order(OTHER, number, Side(1 - side), 600_000 if number == PERPETUAL else 2_000, 40)
                yield self.order(account, number, side, 600_000 if number == PERPETUAL else 2_000, 40)
            for _ in range(RESTING):
                yield self.resting(account)

    def prices(self):
        """Marks, forwards and scenarios that no round had before, and the Clock behind them."""
        self.round += 1
        index, volatility = 60_000 + self.random.below(600) - 300, 0.5 + self.random.below(1_000) / 10_000
        expiries = sorted({row.expiry_s for row in self.options})
        yield SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", index * E9),),
            expiries=tuple(ExpiryRow("BTC", expiry_s, index * E9) for expiry_s in expiries),
            marks=(
                MarkRow(PERPETUAL, index * E9),
                *(MarkRow(row.instrument_id, (1_900 + self.random.below(200)) * E9) for row in self.options),
            ),
        )
        yield scenario_round("BTC", self.round, [self.expiry(one, index, volatility) for one in expiries])
        yield Clock()

    def expiry(self, expiry_s, index, volatility):
        """One expiry of a round."""
        years = (expiry_s - self.now_ns / E9) / (365 * 86_400)
        rows = tuple(
            PricedOption(
                instrument=row.instrument_id,
                is_call=row.kind is InstrumentKind.CALL,
                strike=row.strike_e9 / E9,
                volatility=volatility,
            )
            for row in self.options
            if row.expiry_s == expiry_s
        )
        terms = ExpiryTerms(forward=ForwardParts.free(float(index)), years=years)
        return ExpiryRound(expiry_s=expiry_s, terms=terms, options=rows)

    def order(self, account, instrument, side, price_ticks, lots):
        """A limit order with a fresh nonce."""
        self.number += 1
        return Place(
            subaccount=account,
            instrument=instrument,
            side=side,
            time_in_force=TimeInForce.GTC,
            flags=OrderFlag.NONE,
            price_ticks=price_ticks,
            quantity_lots=lots,
            nonce=START_NS + self.number,
            expiry_s=START_S + 3_600,
            signer=owner(account),
            max_fee_e18=10**21,
            digest=bytes(32),
            signature=bytes(65),
        )

    def resting(self, account):
        """An order far from the other side."""
        side = Side(self.random.below(2))
        number = self.random.below(OPTIONS + 1) or PERPETUAL
        middle = 600_000 if number == PERPETUAL else 2_000
        away = middle * (5 + self.random.below(25)) // 100
        price = middle + away if side is Side.SELL else middle - away
        return self.order(account, number, side, price, 1 + self.random.below(9))

    def measure(self, account):
        """CPU us per order, its cancel included, behind new prices."""
        from exchange.engine import _hot_path  # noqa: PLC0415 - there only where it is compiled

        for command in self.prices():
            self.apply(command)
        commands = []
        for _ in range(MEASURED):
            number = order_number(sequence=self.state.sequence + len(commands) + 1)
            commands += [self.resting(account), Cancel(subaccount=account, order=number)]
        self.now_ns += 1_000
        self.applied += [(command, self.now_ns) for command in commands]
        records, texts = (b"".join(parts) for parts in zip(*map(pack_command, commands), strict=True))
        before = len(self.state.open_orders)
        start = time.thread_time_ns()
        _, _, outcome = _hot_path.run(self.state.store, records, texts, self.now_ns)
        spent = time.thread_time_ns() - start
        assert outcome == _hot_path.OUTCOME_DONE
        assert len(self.state.open_orders) == before
        _hot_path.drop_events(self.state.store)
        return spent / 1_000 / MEASURED


def checked_hash(flow):
    """Hash of the state, which the twin must reach by the same commands."""
    twin = State(OrderBook, CONFIG)
    for command, now_ns in flow.applied:
        apply(twin, command, now_ns)
    assert state_hash(twin) == state_hash(flow.state)
    return result_hash([state_hash(twin)])


def test_an_order_of_an_account_with_portfolio_margin(benchmark):
    """CPU us per order, median of the rounds."""
    flow = Flow()
    taken = {PORTFOLIO: [], STANDARD: []}
    for _ in range(ROUNDS):
        for account, times in taken.items():
            times.append(flow.measure(account))
    assert len(flow.state.account_orders[PORTFOLIO]) == RESTING
    record_goal(
        benchmark,
        "K6",
        value=round(statistics.median(taken[PORTFOLIO]), 2),
        unit="us",
        target=50.0,
        at_least=False,
        result_hash=checked_hash(flow),
        least_us=round(min(taken[PORTFOLIO]), 2),
        standard_us=round(statistics.median(taken[STANDARD]), 2),
        resting=RESTING,
        options=OPTIONS,
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)
