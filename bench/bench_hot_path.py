"""H1, H2: us per order and per cancel through the whole compiled engine, Standard Margin on; H4: what an order keeps.

Packed records in, packed events out, 256 records per crossing, as `exchange.engine._hot_path` runs them. The book holds
orders of 1,000 accounts near the mark; one order in five crosses it. The same commands run over the twin once, and
state hashes must agree. H3, a quote side, has no command in the engine yet. H4: Python objects that resting orders with
client order ids and labels add, and resident bytes of each. `SIZE=small` takes 50 accounts and few commands.
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
from exchange.domain.commands import Cancel, OrderFlag, Place, Side, TimeInForce
from exchange.domain.ids import order_number
from exchange.domain.packing import pack_command
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import COMPILED, new_state
from matching_core import OrderBook

RESTING = sized(small=1_000, full=20_000)
MEASURED = sized(small=500, full=10_000)
ROUNDS = sized(small=2, full=12)
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

    def run(self, commands):
        """CPU microseconds per command, packing left out."""
        from exchange.engine import _hot_path  # noqa: PLC0415 - there only where it is compiled

        self.commands += commands
        packed = [pack_command(command) for command in commands]
        calls = [
            tuple(b"".join(parts) for parts in zip(*packed[at : at + PER_CALL], strict=True))
            for at in range(0, len(packed), PER_CALL)
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
