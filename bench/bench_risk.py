"""K1-K4: scenario grid, account scan and implied volatility, beside a plain C twin, numpy and QuantLib.

Inputs change every round. Times are the thread's own, medians over rounds, everything in turns. The cells of the grid
are compared with the C twin's, the losses with the plain scan's, before anything is recorded.
"""

import ctypes
import math
import time
from array import array
from itertools import count

import numpy as np
import pytest

from bench.harness import in_turns, record_goal, result_hash, sized
from bench.native_build import Missing, library
from bench.risk_world import LEGS, PARAMETERS, PLAN, SHOCKS, Market, accounts_of
from exchange.pricing import chains, grid
from exchange.pricing.black76 import Option
from exchange.pricing.chains import Chain
from exchange.risk import scanning
from exchange.risk.scanning import PreparedAccounts, PreparedGrid, plain_losses, scan_words, worst_losses

QuantLib = pytest.importorskip("QuantLib", reason="QuantLib is not installed: make judges")
special = pytest.importorskip("scipy.special", reason="scipy is not installed: make judges")

OPTIONS = sized(small=100, full=1_000)
ACCOUNTS = sized(small=50, full=1_000)
INVERTED = sized(small=500, full=10_000)
ROUNDS = sized(small=5, full=41)
TARGETS = {"K1": 1.0, "K2": 1.5, "K3": 20.0, "K4": 1.5}

pytestmark = pytest.mark.skipif(
    not (grid.COMPILED and chains.COMPILED and scanning.COMPILED), reason="the kernels are not built: make build"
)


@pytest.fixture(scope="module")
def market():
    """Options, ten expiries, 33 scenarios."""
    return Market(OPTIONS)


def timed(work):
    """Seconds of this thread."""
    start = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - start) / 1e9


class Rounds:
    """Hands a new round of inputs to each measurement; making them is not part of the time."""

    def __init__(self, market):
        self._market = market
        self._numbers = count(1)

    def inputs(self):
        """Volatilities and expiries that no round had before."""
        return self._market.move(next(self._numbers))


def refresh(market, rounds):
    """Seconds of one refresh of the whole grid."""
    volatilities, expiries = rounds.inputs()
    return timed(lambda: market.grid.refresh(volatilities=volatilities, expiries=expiries))


class Twin:
    """The grid in plain C, on the same contracts."""

    def __init__(self, market):
        self._function = library("scenario_grid.c").scenario_grid
        self._function.restype = None
        contracts = market.contracts
        self.cells = array("q", bytes(8 * len(contracts) * len(PLAN.columns)))
        self._fixed = [
            bytearray(contract.is_call for contract in contracts),
            array("d", [contract.strike for contract in contracts]),
            array("i", [contract.expiry for contract in contracts]),
            PLAN.spots(),
            bytearray(PLAN.moves()),
            SHOCKS.packed(),
        ]
        self._rows = len(contracts)

    def fill(self, inputs):
        """Seconds of one fill."""
        volatilities, expiries = inputs
        kinds, strikes, places, spots, moves, shocks = self._fixed
        moving = array("d", [state.forward.moving for state in expiries])
        years = array("d", [state.years for state in expiries])
        discounts = array("d", [state.discount for state in expiries])
        zeros = array("d", bytes(8 * len(expiries)))
        columns = (kinds, strikes, volatilities, places, zeros, moving, years, discounts, spots, moves, shocks)
        pointers = [pointer(column) for column in (*columns, self.cells)]
        width = ctypes.c_int64(len(PLAN.columns))
        return timed(lambda: self._function(ctypes.c_int64(self._rows), width, *pointers))


def pointer(column):
    """Address of a buffer."""
    return (ctypes.c_char * (len(column) * getattr(column, "itemsize", 1))).from_buffer(column)


def numpy_grid(market, inputs):
    """Seconds of the same grid with numpy and ndtr, volatility moves given."""
    volatilities, expiries = inputs
    places = np.array([contract.expiry for contract in market.contracts])
    strikes = np.array([contract.strike for contract in market.contracts])[:, None]
    calls = np.array([contract.is_call for contract in market.contracts])[:, None]
    years = np.array([state.years for state in expiries])[places][:, None]
    forwards = np.array([state.forward.total for state in expiries])[places][:, None] * np.array(PLAN.spots())
    discounts = np.array([state.discount for state in expiries])[places][:, None]
    moved = np.repeat(np.array(volatilities)[:, None], len(PLAN.columns), axis=1)

    def price():
        deviation = moved * np.sqrt(years)
        d1 = np.log(forwards / strikes) / deviation + deviation / 2
        call = forwards * special.ndtr(d1) - strikes * special.ndtr(d1 - deviation)
        np.rint(discounts * np.where(calls, call, call - forwards + strikes) * 1e9).astype(np.int64)

    return timed(price)


def quantlib_grid(market, inputs):
    """Seconds of the same number of prices in a loop over QuantLib's blackFormula."""
    volatilities, expiries = inputs
    spots = list(PLAN.spots())

    def price():
        for contract, volatility in zip(market.contracts, volatilities, strict=True):
            state = expiries[contract.expiry]
            kind = QuantLib.Option.Call if contract.is_call else QuantLib.Option.Put
            deviation = volatility * math.sqrt(state.years)
            forward = state.forward.total
            for spot in spots:
                QuantLib.blackFormula(kind, contract.strike, forward * spot, deviation, state.discount)

    return timed(price)


def test_scenario_grid(benchmark, market):
    """K1: every option in 33 scenarios, one thread."""
    rounds = Rounds(market)
    try:
        twin = Twin(market)
    except Missing as missing:
        pytest.skip(str(missing))
    inputs = rounds.inputs()
    market.grid.refresh(volatilities=inputs[0], expiries=inputs[1])
    twin.fill(inputs)
    digest = result_hash([market.grid.cells.tobytes()])
    different = sum(ours != theirs for ours, theirs in zip(market.grid.cells, twin.cells, strict=True))
    assert max(abs(a - b) for a, b in zip(market.grid.cells, twin.cells, strict=True)) <= 1
    works = {
        "kernel": lambda: refresh(market, rounds),
        "c": lambda: twin.fill(rounds.inputs()),
        "numpy": lambda: numpy_grid(market, rounds.inputs()),
    }
    seconds = in_turns(works, rounds=ROUNDS)
    record_goal(
        benchmark,
        "K1",
        value=round(1e3 * seconds["kernel"], 3),
        unit="ms",
        target=TARGETS["K1"],
        at_least=False,
        result_hash=digest,
        reference=round(1e3 * seconds["c"], 3),
        ratio=round(seconds["kernel"] / seconds["c"], 2),
        cells_unlike_c=different,
        numpy_ms=round(1e3 * seconds["numpy"], 3),
        quantlib_ms=round(1e3 * quantlib_grid(market, rounds.inputs()), 1),
        evaluations=len(market.grid.cells),
    )
    benchmark.pedantic(lambda: refresh(market, rounds), rounds=1, iterations=1)


def test_grid_and_accounts(benchmark, market):
    """K2: a new grid and the exact worst loss of every account, per-expiry discounts by sign."""
    rounds, accounts = Rounds(market), accounts_of(market, ACCOUNTS)
    inputs = rounds.inputs()
    market.grid.refresh(volatilities=inputs[0], expiries=inputs[1])
    losses = worst_losses(accounts, PreparedGrid(market.view(), PARAMETERS))
    assert losses[:20] == [plain_losses(row, market.view(), PARAMETERS) for row in accounts.accounts[:20]]
    digest = result_hash([str(losses).encode()])

    def both():
        volatilities, expiries = rounds.inputs()

        def work():
            market.grid.refresh(volatilities=volatilities, expiries=expiries)
            scan_words(accounts, PreparedGrid(market.view(), PARAMETERS).scan)

        return timed(work)

    def scan():
        return timed(lambda: scan_words(accounts, PreparedGrid(market.view(), PARAMETERS).scan))

    seconds = in_turns({"both": both, "scan": scan}, rounds=ROUNDS)
    record_goal(
        benchmark,
        "K2",
        value=round(1e3 * seconds["both"], 3),
        unit="ms",
        target=TARGETS["K2"],
        at_least=False,
        result_hash=digest,
        scan_ms=round(1e3 * seconds["scan"], 3),
        accounts=ACCOUNTS,
        legs=LEGS,
    )
    benchmark.pedantic(both, rounds=1, iterations=1)


def test_one_account(benchmark, market):
    """K3: one account of 20 legs in 33 scenarios, the Python call included."""
    accounts = accounts_of(market, ROUNDS, seed=3)
    singles = [PreparedAccounts([row]) for row in accounts.accounts]
    inputs = Rounds(market).inputs()
    market.grid.refresh(volatilities=inputs[0], expiries=inputs[1])
    view = market.view()
    prepared = PreparedGrid(view, PARAMETERS)
    expected = [plain_losses(row, view, PARAMETERS) for row in accounts.accounts]
    assert [worst_losses(single, prepared)[0] for single in singles] == expected
    turns = count()

    def scan():
        single = singles[next(turns) % len(singles)]
        return timed(lambda: scan_words(single, prepared.scan))

    seconds = in_turns({"scan": scan}, rounds=5 * ROUNDS)
    record_goal(
        benchmark,
        "K3",
        value=round(1e6 * seconds["scan"], 1),
        unit="us",
        target=TARGETS["K3"],
        at_least=False,
        result_hash=result_hash([str(expected).encode()]),
    )
    benchmark.pedantic(scan, rounds=1, iterations=1)


def quoted(number):
    """Out-of-the-money options within three deviations, another set each round, with their volatilities."""
    source = np.random.default_rng(number)
    deviations = np.exp(source.uniform(math.log(0.02), math.log(2.0), INVERTED))
    years = np.exp(source.uniform(math.log(0.002), math.log(2.0), INVERTED))
    distances = source.uniform(-3.0, 3.0, INVERTED) * deviations
    options = [
        Option(is_call=bool(far < 0), forward=60_000.0 * math.exp(far), strike=60_000.0, years=float(time_left))
        for far, time_left in zip(distances, years, strict=True)
    ]
    return Chain.of(options), array("d", (deviations / np.sqrt(years)).tolist())


def test_implied_volatility(benchmark):
    """K4: one volatility; the largest relative error stands beside it, QuantLib's own solver too."""
    sets = []
    for number in range(5):
        chain, volatilities = quoted(number)
        sets.append((chain, volatilities, chains.prices(chain, volatilities)))
    found = [chains.implied_volatilities(chain, values) for chain, _, values in sets]
    error = max(
        abs(got / wanted - 1.0)
        for column, (_, volatilities, _) in zip(found, sets, strict=True)
        for got, wanted in zip(column, volatilities, strict=True)
    )
    assert error <= 1e-12
    turns = count()

    def invert():
        chain, _, values = sets[next(turns) % len(sets)]
        return timed(lambda: chains.implied_volatilities(chain, values)) / INVERTED

    chain, _, values = sets[0]

    def judge():
        for row in range(INVERTED // 10):
            kind = QuantLib.Option.Call if chain.is_call[row] else QuantLib.Option.Put
            QuantLib.blackFormulaImpliedStdDevLiRS(kind, chain.strike[row], chain.forward[row], values[row])

    seconds = in_turns({"kernel": invert, "quantlib": lambda: timed(judge) / (INVERTED // 10)}, rounds=ROUNDS)
    record_goal(
        benchmark,
        "K4",
        value=round(1e6 * seconds["kernel"], 3),
        unit="us",
        target=TARGETS["K4"],
        at_least=False,
        result_hash=result_hash([column.tobytes() for column in found]),
        largest_error=error,
        quantlib_us=round(1e6 * seconds["quantlib"], 2),
    )
    benchmark.pedantic(invert, rounds=1, iterations=1)
