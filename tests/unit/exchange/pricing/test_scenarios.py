"""Shocks of a scenario: worked numbers, and the properties that thin vectors cannot hold (risk.md 15.6)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.pricing.scenarios import (
    Column,
    ForwardParts,
    ShockParameters,
    TrustParameters,
    discount_factor,
    moved_volatility,
    plan_columns,
    sign_discounts,
)
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario, VolatilityMove

MONTH = 30 / 365
OURS = ShockParameters()
E9 = 10**9


def moved(move, *, volatility=0.6, strike=60_000.0, forward=60_000.0, years=MONTH, shocks=OURS):
    """A volatility in a scenario."""
    return moved_volatility(
        volatility=volatility, move=move, strike=strike, forward=forward, years=years, shocks=shocks
    )


WORKED = [
    # move                   volatility  years     expected
    (VolatilityMove.NONE, 0.6, MONTH, 0.6),
    (VolatilityMove.UP, 0.6, MONTH, 0.9),
    (VolatilityMove.UP, 0.2, MONTH, 0.45),
    (VolatilityMove.DOWN, 0.6, MONTH, 0.42),
    (VolatilityMove.UP, 0.6, 1 / 365, 0.6 * (1 + 0.5 * 30**0.3)),
    (VolatilityMove.UP, 0.6, 0.0, 0.6 * (1 + 0.5 * 30**0.3)),
    (VolatilityMove.UP, 0.6, 120 / 365, 0.6 * (1 + 0.5 * 0.25**0.13)),
    (VolatilityMove.LINEAR, 0.6, MONTH, 0.6),
]


@pytest.mark.parametrize(("move", "volatility", "years", "expected"), WORKED)
def test_worked_moves(move, volatility, years, expected):
    """At 30 days the shock has its plain size, nearer it grows with power 0.3 down to a day, farther with 0.13."""
    assert moved(move, volatility=volatility, years=years) == pytest.approx(expected, rel=1e-14)


def test_a_large_down_move_ends_at_zero():
    """Never below: a volatility has no sign."""
    assert moved(VolatilityMove.DOWN, shocks=ShockParameters(range_down=2.0)) == 0.0


@pytest.mark.parametrize(
    ("move", "strike", "relative"),
    [
        (VolatilityMove.LINEAR, 1e9, 0.25 - 0.1 * math.sqrt(MONTH)),
        (VolatilityMove.LINEAR, 1.0, -(0.25 - 0.1 * math.sqrt(MONTH))),
        (VolatilityMove.ABSOLUTE, 1.0, 0.25 - 0.1 * math.sqrt(MONTH)),
        (VolatilityMove.ABSOLUTE, 1e9, 0.25 - 0.1 * math.sqrt(MONTH)),
    ],
)
def test_wings_of_the_skew_are_capped(move, strike, relative):
    """The tilt raises calls and lowers puts; the other one raises both wings."""
    assert moved(move, strike=strike) == pytest.approx(0.6 * (1 + relative), rel=1e-14)


def test_strikes_and_forwards_of_zero_have_no_skew():
    """The logarithm of their ratio does not exist."""
    assert [moved(VolatilityMove.LINEAR, strike=0.0), moved(VolatilityMove.ABSOLUTE, forward=0.0)] == [0.6, 0.6]


@given(volatility=st.floats(0.0, 10.0), years=st.floats(0.0, 5.0))
def test_volatility_up_ends_at_the_lowest_or_higher(volatility, years):
    """And never below where it started."""
    assert moved(VolatilityMove.UP, volatility=volatility, years=years) >= max(0.45, volatility)


@pytest.mark.parametrize("move", list(VolatilityMove))
def test_no_jump_at_thirty_days(move):
    """Both powers give 1 there."""
    either = [moved(move, strike=70_000.0, years=MONTH * (1 + side)) for side in (-1e-12, 1e-12)]
    assert either[0] == pytest.approx(either[1], rel=1e-9)


def test_the_forward_splits_continuously():
    """At the window's begin all moves, at its end nothing does; the average so far stands for the rest."""

    def split(seconds_left):
        return ForwardParts.inside_window(
            average_so_far=1_050.0, forward_now=1_000.0, seconds_left=seconds_left, window_s=1_800.0
        )

    assert split(3_600.0) == split(1_800.0) == ForwardParts.free(1_000.0)
    assert split(600.0) == ForwardParts(fixed=700.0, moving=pytest.approx(1_000 / 3))
    assert split(0.0) == split(-5.0) == ForwardParts(fixed=1_050.0, moving=0.0)
    assert split(1_799.999).total == pytest.approx(1_000.0, abs=1e-4)


def test_our_scenarios_hold_mark_and_basis():
    """33 columns and not one more; another set gets what it lacks."""
    plan = plan_columns(PortfolioParameters())
    assert (plan.scenarios, len(plan.columns)) == (33, 33)
    assert plan.columns[plan.mark] == Column(1.0, VolatilityMove.NONE)
    assert plan.columns[plan.forward_up] == Column(1.045, VolatilityMove.NONE)
    assert plan.columns[plan.forward_down] == Column(0.955, VolatilityMove.NONE)
    small = PortfolioParameters(scenarios=(Scenario(spot=E9, move=VolatilityMove.UP),))
    assert [column.spot for column in plan_columns(small).columns] == [1.0, 1.0, 1.045, 0.955]


def test_the_scenarios_are_those_of_the_table():
    """risk.md 8.4: 23 regular with volatility only up at the ends, 8 dampened tails, 2 skews."""
    scenarios = PortfolioParameters().scenarios
    assert [row.move for row in scenarios if row.spot in (1_180_000_000, 820_000_000)] == [VolatilityMove.UP] * 2
    assert [row.dampening for row in scenarios if row.dampening != E9] == [
        210_000_000, 420_000_000, 277_200_000, 138_600_000, 69_300_000, 46_200_000, 34_650_000, 27_720_000,
    ]  # fmt: skip
    assert sum(row.is_skew for row in scenarios) == 2


def test_discounts_by_sign():
    """Longs: .95 at once, less with time; shorts: at most what undoing the discount gives."""
    trust = TrustParameters()
    now = sign_discounts(years=0.0, rate=0.05, trust=trust)
    assert (now.positive, now.negative, now.basis) == (0.95, 1.0, 0.5)
    later = sign_discounts(years=1.0, rate=0.05, trust=trust)
    assert later.positive == pytest.approx(0.95 * math.exp(-0.08))
    assert later.negative == pytest.approx(math.exp(0.05))
    assert later.basis == 2.5


@given(years=st.floats(0.0, 5.0), rate=st.floats(-1.0, 1.0))
def test_discounts_never_favor_the_account(years, rate):
    """A long is never worth more than its value, a debt never less; a negative rate counts as none."""
    found = sign_discounts(years=years, rate=rate, trust=TrustParameters())
    assert found.positive <= 0.95
    assert found.negative >= 1.0 or rate <= 0.0
    assert discount_factor(rate, years) <= 1.0
