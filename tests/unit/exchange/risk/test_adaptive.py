"""Stress of a market and what it changes: the edges, the roundings, and the smallest close as a search finds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.adaptive import (
    AdaptiveRules,
    between,
    depth_stress,
    range_ppm,
    smallest_close,
    step_lots,
    volatility_stress,
)

ONE = 10**12
RULES = AdaptiveRules()


@pytest.mark.parametrize(
    ("high", "low", "expected"), [(0, 0, 0), (100, 100, 0), (100, 99, 10_000), (3, 2, 333_334), (100, 0, 1_000_000)]
)
def test_range(high, low, expected):
    """In parts of the high, rounded up."""
    assert range_ppm(high=high, low=low) == expected


@pytest.mark.parametrize(
    ("moved_ppm", "expected"),
    [(0, 0), (10_000, 0), (10_001, 25), (30_000, 500_000), (49_999, 999_975), (50_000, 10**6), (900_000, 10**6)],
)
def test_volatility_stress(moved_ppm, expected):
    """A line from 1 % to 5 % in five minutes, flat outside."""
    assert volatility_stress(moved_ppm, RULES) == expected


def test_stress_is_rounded_down():
    """A third of the way is a little less than a third."""
    assert volatility_stress(1, AdaptiveRules(calm_ppm=0, wild_ppm=3)) == 333_333


def test_the_rules_are_those_of_the_decision():
    """0.1 to 0.6 of the maintenance fraction, 15 to 30 % of buffer, half of the depth: D-038 names them."""
    assert (RULES.calm_ppm, RULES.wild_ppm) == (10_000, 50_000)
    assert (RULES.spread_ppm, RULES.buffer_ppm, RULES.depth_share_ppm) == (600_000, 300_000, 500_000)


@pytest.mark.parametrize(
    ("wanted", "there", "expected"), [(0, 0, 0), (10, 10, 0), (10, 30, 0), (10, 0, 10**6), (3, 2, 333_334)]
)
def test_depth_stress(wanted, there, expected):
    """What is missing of what is wanted, rounded up; nobody who wants nothing is short of it."""
    assert depth_stress(wanted_lots=wanted, there_lots=there) == expected


@pytest.mark.parametrize(("stress", "expected"), [(0, 100), (333_333, 133), (999_999, 199), (10**6, 200)])
def test_between(stress, expected):
    """Rounded toward the calm value, which stays where nothing is stressed."""
    assert between(100, 200, stress) == expected


@pytest.mark.parametrize(
    ("wanted", "there", "share", "expected"),
    [(10, 0, 500_000, 0), (10, 1, 500_000, 1), (10, 7, 500_000, 4), (3, 100, 500_000, 3), (9, 5, 1_000_000, 5)],
)
def test_step(wanted, there, share, expected):
    """Half of what is there rounded up, so that the last lot can be taken; never more than wanted or there."""
    assert step_lots(wanted_lots=wanted, there_lots=there, share_ppm=share) == expected


def test_nothing_is_closed_when_the_buffer_is_there():
    """15 % above a requirement of 100."""
    values = {"price": 10, "maintenance": ONE // 10, "fund_fee": 0, "buffer": 15 * ONE // 100, "one": ONE, "lot": ONE}
    assert smallest_close(equity=115, requirement=100, **values) == 0
    assert smallest_close(equity=114, requirement=100, **values) == ONE


def test_a_fee_above_the_relief_closes_nothing_well():
    """A close that costs more than it frees never restores anything."""
    values = {"price": 10, "maintenance": ONE // 100, "buffer": 0, "one": ONE, "lot": 1}
    assert smallest_close(equity=0, requirement=100, fund_fee=ONE // 100, **values) is None
    assert smallest_close(equity=0, requirement=100, fund_fee=ONE // 100 - 1, **values) is not None


@given(
    lots=st.integers(1, 300),
    price=st.integers(1, 1_000),
    maintenance=st.integers(10, 100),
    fee=st.integers(0, 9),
    buffer=st.integers(0, 300),
    missing=st.integers(0, 1_000),
)
def test_the_smallest_close_is_what_a_search_finds(lots, price, maintenance, fee, buffer, missing):
    """Of all numbers of lots the first that leaves equity of 1 + buffer requirements, after the fee; exact."""
    one = 1_000
    requirement = lots * price * maintenance  # times 1 / one
    equity = requirement - missing * price

    def is_restored(closed: int) -> bool:
        left = (lots - closed) * price * maintenance
        return (equity - closed * price * fee) * one >= left * (one + buffer)

    found = smallest_close(
        # The unit is a thousandth, so that nothing is rounded but the lots.
        equity=equity,
        requirement=requirement,
        price=price * one,
        maintenance=maintenance,
        fund_fee=fee,
        buffer=buffer,
        one=one,
        lot=one,
    )
    searched = next((closed for closed in range(lots + 1) if is_restored(closed)), None)
    assert (None if found is None or found > lots * one else found // one) == searched


@pytest.mark.parametrize(
    ("equity", "requirement", "fund_fee", "lot", "expected"),
    [
        (1, 1, 1, 1, 100),  # a unit is missing and a unit is freed: all counts
        (1, 1, 0, 1, 10),
        (1, 1, 0, 7, 14),
        (11, 10, 0, 1, 0),  # nothing is missing
        (11, 10, 2, 1, 0),  # and nothing has to be freed
        (1, 1, 2, 1, None),
    ],
)
def test_a_unit_that_is_missing_is_closed_for(equity, requirement, fund_fee, lot, expected):
    """Over one tenth, a tenth of buffer: 11 x requirement - 10 x equity is missing, 11 - 10 x fee is freed each."""
    found = smallest_close(
        equity=equity, requirement=requirement, price=1, maintenance=1, fund_fee=fund_fee, buffer=1, one=10, lot=lot
    )
    assert found == expected
