"""H1-twin: commands/s of the handlers over both books: orders near the mark and across it, cancels; margin on each.

Informational: the Python handlers are the twin of the compiled path (bench_hot_path.py). The stream is made once from
a seed and both engines must give the same events and state hash. `SIZE=small` takes 3,000 commands and 50 accounts.
"""

import os
import statistics
import time
from hashlib import sha256

import pytest

import matching_core
from bench.workloads import SplitMix
from exchange.domain.commands import (
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Clock,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.ids import PERPETUAL_BIT, order_number
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import CommandEvents, pack_events
from exchange.engine.apply import apply
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook, ReferenceOrderBook

SMALL = os.environ.get("SIZE") == "small"
COMMANDS = 3_000 if SMALL else 20_000
ACCOUNTS = 50 if SMALL else 1_000
ROUNDS = 2 if SMALL else 3
TARGET = 10_000
START_NS = 1_790_000_000 * 10**9
PERPETUAL = PERPETUAL_BIT | 1

pytestmark = pytest.mark.skipif(not matching_core.COMPILED, reason="matching_core._order_book is not built: make build")


def owner(account):
    """Address of an account's owner."""
    return account.to_bytes(20, "big")


def perpetual():
    """BTC-PERP."""
    return Instrument(
        instrument_id=PERPETUAL,
        name="BTC-PERP",
        kind=InstrumentKind.PERPETUAL,
        underlying="BTC",
        tick_e9=10**8,
        lot_e9=10**6,
        minimum_lots=1,
        maximum_lots=10**6,
        maximum_price_ticks=10**7,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
    )


def opening():
    """List one perpetual, price it at 60,000 (a Clock looks at accounts behind it), fund the accounts."""
    yield ListInstrument(instrument=perpetual())
    price = 60_000 * 10**9
    yield SetPrices(round=1, underlyings=(UnderlyingRow("BTC", price),), marks=(MarkRow(PERPETUAL, price),))
    yield Clock()
    for index in range(1, ACCOUNTS + 1):
        account = index + 1
        yield ChainRequest(
            index=index, kind=ChainRequestKind.DEPOSIT, account=account, amount_e6=10**12, owner=owner(account)
        )


def order(random, number):
    """A limit order within 200 ticks of the mark; one in five crosses it."""
    account, is_sell = 2 + random.below(ACCOUNTS), random.below(2)
    away = -20 if random.below(5) == 0 else 1 + random.below(200)
    return Place(
        subaccount=account,
        instrument=PERPETUAL,
        side=Side(is_sell),
        time_in_force=TimeInForce.GTC,
        flags=OrderFlag.NONE,
        price_ticks=600_000 + (away if is_sell else -away),
        quantity_lots=1 + random.below(20),
        nonce=START_NS + number,
        expiry_s=START_NS // 10**9 + 3_600,
        signer=owner(account),
        max_fee_e18=10**21,
    )


@pytest.fixture(scope="module")
def stream():
    """Commands with their times; two in five cancel an order placed a while ago (filled or not)."""
    random, first, placed = SplitMix(7), list(opening()), []
    commands = list(first)
    for number in range(COMMANDS):
        if placed and random.below(5) < 2:
            account, name = placed.pop(random.below(len(placed)))
            commands.append(Cancel(subaccount=account, order=name))
        else:
            commands.append(order(random, number))
            placed.append((commands[-1].subaccount, order_number(sequence=len(commands))))
    return len(first), [(command, START_NS + 1_000 * at) for at, command in enumerate(commands)]


def run(book_class, opening_count, timed):
    """Seconds for everything behind the opening, the events, and the state."""
    state = State(book_class)
    for command, now_ns in timed[:opening_count]:
        apply(state, command, now_ns)
    rest, history = timed[opening_count:], []
    start = time.perf_counter()
    for command, now_ns in rest:
        history.append(apply(state, command, now_ns))
    return time.perf_counter() - start, history, state


def result_hash(history, state):
    """Digest of all events and of the state."""
    blob = pack_events([CommandEvents(at, 0, events) for at, events in enumerate(history)])
    return sha256(blob + state_hash(state)).hexdigest()


def test_engine_over_both_books(benchmark, stream):
    """Median commands/s over the compiled book; the reference beside it."""
    results = [(run(ReferenceOrderBook, *stream), run(OrderBook, *stream)) for _ in range(ROUNDS)]
    reference, compiled = results[0]
    expected = result_hash(*reference[1:])
    assert result_hash(*compiled[1:]) == expected
    rates = [COMMANDS / statistics.median(row[column][0] for row in results) for column in (0, 1)]
    benchmark.extra_info.update(
        goal="H1-twin",
        value=round(rates[1]),
        unit="commands/s",
        target=TARGET,
        met=rates[1] >= TARGET,
        reference=round(rates[0]),
        ratio=round(rates[1] / rates[0], 2),
        trades=compiled[2].trade_count,
        accounts=ACCOUNTS,
        result_hash=expected,
    )
    benchmark.pedantic(lambda: run(OrderBook, *stream), rounds=1, iterations=1)
