"""H1, H2, H3: us per order, cancel and quote side of the compiled engine with Standard Margin; H4: memory of an order.

Packed records in, packed events out, 256 records per crossing, as `exchange.engine._hot_path` runs them. The book holds
orders of 1,000 accounts near the mark; one order in five crosses it. The same commands run over the twin once, and
state hashes must agree. H3: mass quotes of 64 lines, two sides each, by a few makers in turn, 16 calls per crossing;
every side has another price than the one it replaces. H4: Python objects that resting orders with client order ids and
labels add, and resident bytes of each. `SIZE=small` takes 50 accounts and few commands.
"""

import gc
import statistics
import sys
import time
from pathlib import Path

import pytest

from bench.bench_engine import ACCOUNTS, PERPETUAL, START_NS, opening, owner
from bench.harness import record_goal, result_hash, sized
from bench.workloads import SplitMix
from exchange.domain.commands import (
    Cancel,
    Clock,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SessionOpen,
    SetPrices,
    Side,
    TimeInForce,
)
from exchange.domain.ids import order_number
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import pack_command
from exchange.domain.quotes import MassQuote, QuoteLine, SetMmpConfig
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import COMPILED, new_state
from matching_core import OrderBook

RESTING = sized(small=1_000, full=20_000)
MEASURED = sized(small=500, full=10_000)
ROUNDS = sized(small=2, full=12)
MAKERS = sized(small=2, full=20)
CALLS = sized(small=4, full=60)
LINES = 64
CALLS_PER_CROSSING = 16
KEPT = sized(small=20_000, full=1_000_000)
PER_CALL = 256
CONFIG = EngineConfig(open_orders_max=1_000_000)

pytestmark = pytest.mark.skipif(not COMPILED, reason="the engine is not compiled: make build")


class Flow:
    """A seeded flow over one compiled state: `places` and `cancels` run packed and return CPU us per command."""

    def __init__(self) -> None:
        self.state = new_state(OrderBook, CONFIG)
        self.random = SplitMix(11)
        self.commands = []
        self.live = []
        self.number = 0
        self.now_ns = START_NS + 10_000_000
        for at, command in enumerate(opening()):
            apply(self.state, command, START_NS + at)

    def order(self, *, crosses, named=False):
        """A limit order within 200 ticks of the mark."""
        random = self.random
        account, is_sell = 2 + random.below(ACCOUNTS), random.below(2)
        away = -20 if crosses and random.below(5) == 0 else 1 + random.below(200)
        self.number += 1
        return Place(
            subaccount=account,
            instrument=PERPETUAL,
            side=Side(is_sell),
            time_in_force=TimeInForce.GTC,
            flags=OrderFlag.NONE,
            price_ticks=600_000 + (away if is_sell else -away),
            quantity_lots=1 + random.below(20),
            nonce=START_NS + self.number,
            expiry_s=START_NS // 10**9 + 3_600,
            signer=owner(account),
            max_fee_e18=10**21,
            digest=bytes(32),
            signature=bytes(65),
            client_order_id=f"order-{self.number}" if named else "",
            label="bench" if named else "",
        )

    def places(self, count, *, crosses=False, named=False):
        """New orders."""
        first = self.state.sequence + 1
        orders = [self.order(crosses=crosses, named=named) for _ in range(count)]
        self.live += [(one.subaccount, order_number(sequence=first + at)) for at, one in enumerate(orders)]
        return self.run(orders)

    def cancels(self, count):
        """Cancels of orders placed at any time before, gone or not."""
        commands = []
        for _ in range(count):
            at = self.random.below(len(self.live))
            self.live[at], self.live[-1] = self.live[-1], self.live[at]
            account, number = self.live.pop()
            commands.append(Cancel(subaccount=account, order=number))
        return self.run(commands)

    def run(self, commands, per_call=PER_CALL):
        """CPU microseconds per command, packing left out."""
        from exchange.engine import _hot_path  # noqa: PLC0415 - there only where it is compiled

        self.commands += commands
        packed = [pack_command(command) for command in commands]
        calls = [
            tuple(b"".join(parts) for parts in zip(*packed[at : at + per_call], strict=True))
            for at in range(0, len(packed), per_call)
        ]
        start = time.thread_time_ns()
        for records, texts in calls:
            outcome = _hot_path.run(self.state.store, records, texts, self.now_ns)[2]
            assert outcome == _hot_path.OUTCOME_DONE
            _hot_path.drop_events(self.state.store)
        return (time.thread_time_ns() - start) / 1_000 / len(commands)


@pytest.fixture(scope="module")
def figures():
    """Median and least CPU us of each kind over rounds in turns, and what the twin takes for the same state."""
    flow = Flow()
    flow.places(RESTING)
    place, cancel = [], []
    for _ in range(ROUNDS):
        place.append(flow.places(MEASURED, crosses=True))
        cancel.append(flow.cancels(MEASURED))
    return {
        "place": statistics.median(place),
        "cancel": statistics.median(cancel),
        "place_least": round(min(place), 3),
        "cancel_least": round(min(cancel), 3),
        "twin_us": twin_us(flow),
        "trades": flow.state.trade_count,
        "open": len(flow.state.open_orders),
        "hash": result_hash([state_hash(flow.state)]),
    }


def twin_us(flow):
    """CPU us per command of the twin over the same commands, which must end in the same state."""
    twin = State(OrderBook, CONFIG)
    for at, command in enumerate(opening()):
        apply(twin, command, START_NS + at)
    start = time.thread_time_ns()
    for command in flow.commands:
        apply(twin, command, flow.now_ns)
    spent = (time.thread_time_ns() - start) / 1_000 / len(flow.commands)
    assert state_hash(twin) == state_hash(flow.state)
    return round(spent, 1)


def test_an_order_through_the_engine(benchmark, figures):
    """CPU us per order, median of the rounds; one in five meets the other side."""
    more = {
        "least_us": figures["place_least"],
        "trades": figures["trades"],
        "twin_us": figures["twin_us"],
        "accounts": ACCOUNTS,
    }
    record_goal(
        benchmark,
        "H1",
        value=round(figures["place"], 3),
        unit="us",
        target=1.4,
        at_least=False,
        result_hash=figures["hash"],
        **more,
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


def test_a_cancel_through_the_engine(benchmark, figures):
    """CPU us per cancel by number, median of the rounds; some name orders that traded away."""
    record_goal(
        benchmark,
        "H2",
        value=round(figures["cancel"], 3),
        unit="us",
        target=0.3,
        at_least=False,
        result_hash=figures["hash"],
        open_orders=figures["open"],
        least_us=figures["cancel_least"],
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


class QuoteFlow(Flow):
    """Makers that replace all their quotes on 64 options with every call."""

    def __init__(self) -> None:
        super().__init__()
        for at, command in enumerate(self.setting()):
            apply(self.state, command, START_NS + 1_000_000 + at)

    def setting(self):
        """Options with marks, a session and a group for every maker."""
        expiry_s = START_NS // 10**9 + 30 * 86_400
        for number in range(1, LINES + 1):
            yield ListInstrument(instrument=option(number, expiry_s))
        marks = tuple(MarkRow(number, 1_500 * 10**9, delta_e9=5 * 10**8) for number in range(1, LINES + 1))
        yield SetPrices(round=2, marks=marks, expiries=(ExpiryRow("BTC", expiry_s, 60_000 * 10**9),))
        yield Clock()
        for maker in range(2, 2 + MAKERS):
            yield SessionOpen(owner=owner(maker), signer=owner(maker))
            yield SetMmpConfig(
                subaccount=maker,
                mmp_group=1,
                underlying="BTC",
                lot_e9=10**7,
                interval_ns=10**9,
                frozen_ns=10**9,
                quantity_lots=1_000,
            )

    def call(self, maker):
        """A call whose prices differ from the maker's last on every side."""
        self.number += 1
        step = self.number // MAKERS % 7
        away = [10 * step + self.random.below(10) for _ in range(2 * LINES)]
        lines = tuple(
            QuoteLine(number, 1_000 + away[2 * number - 2], 10, 2_000 + away[2 * number - 1], 10)
            for number in range(1, LINES + 1)
        )
        return MassQuote(
            subaccount=maker,
            mmp_group=1,
            lines=lines,
            nonce=START_NS + self.number,
            expiry_s=START_NS // 10**9 + 3_600,
            signer=owner(maker),
            max_fee_e18=10**21,
            session=maker - 1,
            digest=bytes(32),
            signature=bytes(65),
        )

    def quotes(self, count):
        """CPU us per side."""
        calls = [self.call(2 + at % MAKERS) for at in range(count)]
        return self.run(calls, CALLS_PER_CROSSING) / (2 * LINES)


def option(number, expiry_s):
    """A call of BTC; 64 of them, a strike apart."""
    return Instrument(
        instrument_id=number,
        name=f"BTC-{number}",
        kind=InstrumentKind.CALL,
        underlying="BTC",
        tick_e9=10**9,
        lot_e9=10**7,
        minimum_lots=1,
        maximum_lots=10**6,
        maximum_price_ticks=10**6,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
        strike_e9=(50_000 + 500 * number) * 10**9,
        expiry_s=expiry_s,
    )


def test_a_quote_side_through_the_engine(benchmark):
    """CPU us per side of a mass quote, median of the rounds: one cancel and one placement each."""
    flow = QuoteFlow()
    flow.quotes(MAKERS)
    rounds = [flow.quotes(CALLS) for _ in range(ROUNDS)]
    twin = State(OrderBook, CONFIG)
    for at, command in enumerate(opening()):
        apply(twin, command, START_NS + at)
    for at, command in enumerate(flow.setting()):
        apply(twin, command, START_NS + 1_000_000 + at)
    for command in flow.commands:
        apply(twin, command, flow.now_ns)
    assert state_hash(twin) == state_hash(flow.state)
    assert len(flow.state.open_orders) == 2 * LINES * MAKERS
    record_goal(
        benchmark,
        "H3",
        value=round(statistics.median(rounds), 3),
        unit="us",
        target=0.6,
        at_least=False,
        least_us=round(min(rounds), 3),
        result_hash=result_hash([state_hash(flow.state)]),
        makers=MAKERS,
        lines=LINES,
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


def resident_bytes():
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@pytest.fixture(scope="module")
def kept():
    """(Python objects, tracked or not, that resting orders added; their resident bytes)."""
    flow = Flow()
    flow.places(1_000, named=True)
    flow.commands, flow.live = [], []
    gc.collect()
    before = len(gc.get_objects()), sys.getallocatedblocks(), resident_bytes()
    for _ in range(KEPT // 1_000):
        flow.places(1_000, named=True)
        flow.commands, flow.live = [], []
    gc.collect()
    after = len(gc.get_objects()), sys.getallocatedblocks(), resident_bytes()
    assert len(flow.state.open_orders) == KEPT + 1_000
    return max(after[0] - before[0], after[1] - before[1]), after[2] - before[2]


def test_objects_of_resting_orders(benchmark, kept):
    """No Python object stays per resting order."""
    record_goal(
        benchmark,
        "H4",
        value=kept[0],
        unit="Python objects",
        target=1_000,
        at_least=False,
        result_hash=result_hash([str(KEPT).encode()]),
        resting=KEPT,
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


def test_bytes_of_a_resting_order(benchmark, kept):
    """Row, text, names, nonce, deadline and the core's order; pages touched for good, tables as full as they are."""
    value = round(kept[1] / KEPT)
    benchmark.extra_info.update(goal="H4-bytes", value=value, unit="bytes per resting order", resting=KEPT)
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)
