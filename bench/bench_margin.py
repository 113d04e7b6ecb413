"""K5: what the pre-trade check adds to an order; K7: all accounts revalued after new prices, beside numpy.

K5: accounts with a position and two open orders in each of 100 instruments, Standard Margin. The engine runs the same
orders with its check and, built a second time by bench, without; rounds in turns, median of the differences. Each order
is canceled behind the round, so that 200 rest. Afterwards every account's margin is compared with `worst_margin_e18`,
which starts from positions and orders. K5-wide is the same with all options in one expiry, where one group has 99 legs.

K7: accounts with a perpetual, three options of one expiry and an open order each. New prices every round; timed is
`State.candidates`, with which the engine finds who is short. numpy does it in floats over columns made beforehand.
`SIZE=small` takes few accounts and rounds.
"""

import statistics
import time

import numpy as np
import pytest

from bench.bench_engine import PERPETUAL
from bench.harness import record_goal, result_hash, sized
from bench.margin_columns import Columns
from bench.margin_world import FIRST_ACCOUNT, NOW_NS, Shape, World, crossings
from bench.native_build import Missing, margin_probe, unchecked_hot_path
from exchange.engine.apply import apply
from exchange.engine.margin import worst_margin_e18
from exchange.engine.state_hash import state_hash
from exchange.engine.states import COMPILED

TRADERS = sized(small=2, full=20)
ORDERS = sized(small=256, full=1_024)
ROUNDS = sized(small=3, full=15)
ACCOUNTS = sized(small=2_000, full=100_000)
REVALUATIONS = sized(small=3, full=11)
COMPARED = sized(small=2_000, full=10_000)
LEGS = 3

pytestmark = pytest.mark.skipif(not COMPILED, reason="the engine is not compiled: make build")


def run(engine, world, calls):
    """CPU nanoseconds of packed commands, none of which may be left to Python."""
    start = time.thread_time_ns()
    for records, texts in calls:
        outcome = engine.run(world.state.store, records, texts, NOW_NS)[2]
        assert outcome == engine.OUTCOME_DONE
        engine.drop_events(world.state.store)
    return time.thread_time_ns() - start


def traders(shape, engine):
    """A world whose accounts have a position and two orders in each instrument."""
    world = World(shape, lambda _: 10**13)
    for account in range(FIRST_ACCOUNT, FIRST_ACCOUNT + shape.accounts, 2):
        run(engine, world, crossings(world.positions(account, shape.instruments)))
    accounts = range(FIRST_ACCOUNT, FIRST_ACCOUNT + shape.accounts)
    resting = [world.far(account, one, side) for account in accounts for one in shape.instruments for side in (0, 1)]
    run(engine, world, crossings(resting))
    return world


def orders_of(world):
    """New orders of random accounts in random instruments, and their cancels."""
    random, shape = world.random, world.shape
    orders = [
        world.far(
            FIRST_ACCOUNT + random.below(shape.accounts),
            shape.instruments[random.below(len(shape.instruments))],
            random.below(2),
        )
        for _ in range(ORDERS)
    ]
    return crossings(orders), crossings(world.cancels_of(orders))


def in_turns(shape, engines):
    """Nanoseconds per order of each engine, round by round, and the two worlds, which must end alike."""
    worlds = [traders(shape, engine) for engine in engines]
    spent = [[], []]
    for number in range(ROUNDS + 1):
        for at in (0, 1) if number % 2 else (1, 0):
            places, cancels = orders_of(worlds[at])
            spent[at].append(run(engines[at], worlds[at], places) / ORDERS)
            run(engines[at], worlds[at], cancels)
    assert state_hash(worlds[0].state) == state_hash(worlds[1].state)
    return [rows[1:] for rows in spent], worlds[0]


def compare_margins(state, accounts):
    """Hash of the engine's margins, which are those that positions and orders give from scratch."""
    found = margin_probe().margins(state.store)
    for account in accounts:
        assert found[account] == worst_margin_e18(state, state.accounts[account]), f"account {account}"
    return result_hash([f"{account} {margin}".encode() for account, margin in sorted(found.items())])


@pytest.mark.parametrize(
    ("goal", "expiries"), [pytest.param("K5", 9, id="K5"), pytest.param("K5-wide", 1, id="K5-wide")]
)
@pytest.mark.goal("K5", "K5-wide")
def test_the_check_of_an_order(benchmark, goal, expiries):
    """Median of the rounds' differences: us per order with the check less us without it."""
    from exchange.engine import _hot_path  # noqa: PLC0415 - there only where it is compiled

    try:
        engines = (_hot_path, unchecked_hot_path())
        margin_probe()
    except Missing as missing:
        pytest.skip(str(missing))
    shape = Shape(accounts=TRADERS, options=99, expiries=expiries)
    (checked, unchecked), world = in_turns(shape, engines)
    digest = compare_margins(world.state, range(FIRST_ACCOUNT, FIRST_ACCOUNT + TRADERS))
    assert len(world.state.open_orders) == 200 * TRADERS
    record_goal(
        benchmark,
        goal,
        value=round(statistics.median(a - b for a, b in zip(checked, unchecked, strict=True)) / 1e3, 3),
        unit="us",
        target=1.0,
        at_least=False,
        result_hash=digest,
        checked_us=round(statistics.median(checked) / 1e3, 3),
        unchecked_us=round(statistics.median(unchecked) / 1e3, 3),
        least_us=round((min(checked) - min(unchecked)) / 1e3, 3),
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)


def holders(engine):
    """A world of many accounts with a perpetual, three options of one expiry and an open order each."""
    shape = Shape(accounts=ACCOUNTS, options=30, expiries=3)
    world = World(shape, lambda random: (3_300 + random.below(4_000)) * 10**6)
    commands = []
    for account in range(FIRST_ACCOUNT, FIRST_ACCOUNT + ACCOUNTS, 2):
        first = 1 + 10 * world.random.below(3) + world.random.below(10 - LEGS + 1)
        commands += world.positions(account, (PERPETUAL, *range(first, first + LEGS)))
        commands += [world.order(one, PERPETUAL, 0, 599_000, 10) for one in (account, account + 1)]
    for records, texts in crossings(commands):
        engine.run(world.state.store, records, texts, NOW_NS)
        engine.drop_events(world.state.store)
    return world


def timed(work):
    """(milliseconds of this thread, answer)."""
    start = time.thread_time_ns()
    answer = work()
    return (time.thread_time_ns() - start) / 1e6, answer


def test_all_accounts_after_new_prices(benchmark):
    """Median ms of finding all accounts that are short of margin; the same accounts as numpy finds."""
    from exchange.engine import _hot_path  # noqa: PLC0415 - there only where it is compiled

    world = holders(_hot_path)
    state, columns = world.state, Columns(world.state, world.shape, LEGS)
    ours, numpys = [], []
    for number in range(2, REVALUATIONS + 2):
        prices = world.shape.prices(number)
        apply(state, prices, NOW_NS)
        spent, found = timed(state.candidates)
        ours.append(spent)
        spent, margins = timed(lambda prices=prices: columns.margins(prices))
        numpys.append(spent)
        assert found == [int(one) for one in columns.accounts[margins < 0]]
    try:
        digest = compare_margins(state, range(FIRST_ACCOUNT, FIRST_ACCOUNT + COMPARED))
    except Missing as missing:
        pytest.skip(str(missing))
    exact = np.array([float(worst_margin_e18(state, state.accounts[int(one)])) for one in columns.accounts[:COMPARED]])
    assert np.allclose(exact / 1e18, margins[:COMPARED], rtol=1e-9, atol=1e-5)
    record_goal(
        benchmark,
        "K7",
        value=round(statistics.median(ours), 2),
        unit="ms",
        target=250.0,
        at_least=False,
        result_hash=digest,
        numpy_ms=round(statistics.median(numpys), 2),
        accounts=ACCOUNTS,
        short=len(found),
    )
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)
