"""The contract's linear bounds enclose the engine's margin: `low` is below maintenance, `high` above all else."""

import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from exchange.risk.parameters import StandardParameters
from exchange.risk.standard import (
    E12,
    ExpiryGroup,
    Market,
    OptionRow,
    PerpetualRow,
    Portfolio,
    Requirement,
    margin,
    requirement,
    withdrawable,
)
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, high_e6, low_e6, worth_e6
from tests.unit.exchange.risk.black_76 import black_76

PARAMETERS = StandardParameters()
CLASSES = {"BTC": LARGE_CAP, "SOL": MAJOR}
LOTS_E9 = (10**5, 10**6, 10**7, 10**8, 10**9)
PORTFOLIOS = 3_000
_E9 = 10**9


class Held(NamedTuple):
    """One position as both sides see it: the engine in 1e-9, the contract per lot."""

    underlying: str
    lot_e9: int
    lots: int
    mark_e9: int
    option: OptionRow | None

    @property
    def terms(self) -> BoundTerms:
        """What the bounds need of the instrument."""
        return BoundTerms(
            is_perpetual=self.option is None, lot_e18=self.lot_e9 * _E9, factor_class=CLASSES[self.underlying]
        )

    @property
    def mark_e6(self) -> int:
        """Mark per lot, rounded down as in a vector."""
        return self.mark_e9 * self.lot_e9 // E12


class Sample(NamedTuple):
    """A portfolio with what the engine says of it and what it is made of."""

    portfolio: Portfolio
    held: list[Held]
    index_e6: dict[str, int]

    @property
    def requirement(self) -> Requirement:
        """The engine's."""
        return requirement(self.portfolio, PARAMETERS)

    def high(self) -> int:
        """Sum of the upper bounds."""
        return sum(high_e6(row.terms, row.lots, row.mark_e6, self.index_e6[row.underlying]) for row in self.held)

    def low(self) -> int:
        """Sum of the lower bounds."""
        return sum(low_e6(row.terms, row.lots, row.mark_e6) for row in self.held)

    def worth(self) -> int:
        """Cash and what the positions are worth at least."""
        values = (worth_e6(is_perpetual=row.option is None, lots=row.lots, mark_e6=row.mark_e6) for row in self.held)
        return self.portfolio.cash_e6 + sum(values)


def any_mark(rng: random.Random, _index_e9: int, strike_e9: int, _is_call: bool) -> int:
    """A mark that no model gave."""
    return rng.choice((0, rng.randrange(1, 2 * strike_e9), rng.randrange(1, 10**9)))


def model_mark(_rng: random.Random, index_e9: int, strike_e9: int, is_call: bool) -> int:
    """Black's price for one volatility per index, so that the marks of a portfolio are free of arbitrage."""
    volatility = random.Random(index_e9).uniform(0.05, 1.5)
    value = black_76(forward=index_e9 / _E9, strike=strike_e9 / _E9, years=1, volatility=volatility, is_call=is_call)
    return max(0, round(value * _E9))


def sample(rng: random.Random, mark: Callable[[random.Random, int, int, bool], int]) -> Sample:
    """Perpetuals and options of one or two underlyings, small and huge, long and short, in and out of the money."""
    held, index_e6 = [], {}
    for underlying in rng.sample(sorted(CLASSES), rng.randint(1, 2)):
        index_e9 = rng.choice((rng.randrange(1, 10**9), rng.randrange(10**9, 10**14)))
        index_e6[underlying] = index_e9 // 1_000
        if rng.random() < 0.7:
            mark_e9 = max(1, index_e9 * rng.randrange(90, 111) // 100)
            held.append(Held(underlying, rng.choice(LOTS_E9), _lots(rng), mark_e9, None))
        for _ in range(rng.randrange(6)):
            strike_e9 = max(1, index_e9 * rng.randrange(20, 300) // 100)
            is_call, lot_e9, lots = rng.random() < 0.5, rng.choice(LOTS_E9), _lots(rng)
            mark_e9 = mark(rng, index_e9, strike_e9, is_call)
            held.append(Held(underlying, lot_e9, lots, mark_e9, OptionRow(strike_e9, is_call, lots * lot_e9, mark_e9)))
    markets = tuple(_market(underlying, index_e6, held) for underlying in sorted(index_e6))
    return Sample(Portfolio(cash_e6=rng.randrange(-(10**15), 10**15), markets=markets), held, index_e6)


def _lots(rng: random.Random) -> int:
    return rng.choice((-1, 1)) * rng.choice((1, rng.randrange(1, 1_000), rng.randrange(1, 10**9)))


def _market(underlying: str, index_e6: dict[str, int], held: list[Held]) -> Market:
    """The engine knows the index to 1e-9: the nearest above what the vector has."""
    mine = [row for row in held if row.underlying == underlying]
    index_e9 = index_e6[underlying] * 1_000 + 999
    perpetuals = tuple(
        PerpetualRow(amount_e9=row.lots * row.lot_e9, mark_e9=row.mark_e9, tiers=PARAMETERS.tiers(underlying))
        for row in mine
        if row.option is None
    )
    options = tuple(row.option for row in mine if row.option is not None)
    groups = (ExpiryGroup(forward_e9=index_e9, options=options),) if options else ()
    return Market(index_e9=index_e9, perpetuals=perpetuals, expiries=groups)


def may_withdraw(row: Sample) -> int:
    """What the engine lets out, as `exchange.engine.accounts` asks, before its floor of 0."""
    perpetuals = [(held.lots * held.lot_e9 * held.mark_e9) for held in row.held if held.option is None]
    total = margin(row.portfolio, PARAMETERS)
    large = 10**40
    lifted = withdrawable(
        cash_e6=row.portfolio.cash_e6 + sum(perpetuals) // E12 + large,
        equity_e6=total.value_e18 // E12 + large,
        initial_requirement_e6=row.requirement.initial_e6,
        perpetual_notional_e6=-(-sum(map(abs, perpetuals)) // E12),
    )
    return lifted - large


@pytest.mark.parametrize("mark", [any_mark, model_mark])
def test_what_is_above_high_may_be_withdrawn(mark: Callable[..., int]) -> None:
    """Whatever the marks are: equity less `high` never passes what the engine lets out (F5, liquidations)."""
    rng = random.Random(7)
    tight = 0
    for _ in range(PORTFOLIOS):
        row = sample(rng, mark)
        assert row.worth() - row.high() <= may_withdraw(row), row
        tight += any(held.option is None for held in row.held)
    assert tight > PORTFOLIOS // 2


def test_low_never_passes_the_maintenance_requirement() -> None:
    """With marks of a model (F3): an account that the engine calls healthy is never below `low`."""
    rng = random.Random(11)
    positive = 0
    for _ in range(PORTFOLIOS):
        row = sample(rng, model_mark)
        assert row.low() <= max(0, row.requirement.maintenance_e6), row
        positive += row.low() > 0
    assert positive > PORTFOLIOS // 3


@pytest.mark.parametrize("factor_class", [0, LARGE_CAP, MAJOR, 3])
def test_low_is_below_high(factor_class: int) -> None:
    """Position by position, also in a class that nobody defined."""
    for lots in (-(10**12), -7, 1, 10**6):
        terms = BoundTerms(is_perpetual=True, lot_e18=10**15, factor_class=factor_class)
        assert 0 <= low_e6(terms, lots, 1_234) < high_e6(terms, lots, 1_234, 0)


@pytest.mark.parametrize(
    ("terms", "lots", "high", "low", "worth"),
    [
        # 1,000 lots at 100 USDC: the mark counts one unit higher where that is against the account
        ((True, 10**15, LARGE_CAP), 1_000, 25_000_000_250, 1_000_000_000, 100_000_000_000),
        ((True, 10**15, MAJOR), -1_000, 42_000_000_420, 2_500_000_000, -100_000_001_000),
        ((True, 10**15, 9), 1, 100_000_001, 0, 100_000_000),
        # one lot is 0.01 of an underlying at 50,000 USDC
        ((False, 10**16, LARGE_CAP), -3, 360_000_001, 0, -300_000_003),
        ((False, 10**16, LARGE_CAP), 3, 1, 0, 0),
    ],
)
def test_examples_by_hand(terms: tuple[bool, int, int], lots: int, high: int, low: int, worth: int) -> None:
    """Mark 100 USDC per lot, index 50,000 USDC."""
    row = BoundTerms(is_perpetual=terms[0], lot_e18=terms[1], factor_class=terms[2])
    assert high_e6(row, lots, 100_000_000, 50_000_000_000) == high
    assert low_e6(row, lots, 100_000_000) == low
    assert worth_e6(is_perpetual=terms[0], lots=lots, mark_e6=100_000_000) == worth
