"""Funding: worked rates, the sides of each rounding, and sums that come out to zero with their residue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.funding import (
    FUNDING_PERIOD_S,
    clamped_rate,
    funding_payment,
    impact_price,
    index_step,
    premium,
    rate_cap,
    spread_rate,
)

E9 = 10**9


@pytest.mark.parametrize("index", [0, -1])
def test_an_index_that_is_no_price_is_refused(index):
    """A premium over nothing would be infinite."""
    with pytest.raises(ValueError, match="must be positive"):
        premium(bid=None, ask=None, index=index, one=E9)


IMPACT = [
    # levels (price, amount)           notional  (notional, amount filled)
    ([], 100, None),
    ([], 0, None),
    ([(10, 5)], 51, None),
    ([(10, 5)], 50, 10.0),
    ([(10, 5), (9, 100)], 50, 10.0),
    ([(10, 5), (9, 100)], 59, 59 / 6),
    ([(10, 5), (9, 100)], 0, 10.0),
]


@pytest.mark.parametrize(("levels", "notional", "expected"), IMPACT)
def test_impact_price_is_notional_over_what_it_buys(levels, notional, expected):
    """The last level is taken in part; a side that cannot absorb it has no price."""
    found = impact_price(levels, notional)
    assert expected is None if found is None else found[0] / found[1] == pytest.approx(expected, rel=1e-15)


PREMIUMS = [
    # bid    ask    expected
    (None, None, 0),
    (1_010, 1_020, 10_000_000),
    (980, 990, -10_000_000),
    (990, 1_010, 0),
    (None, 990, -10_000_000),
    (1_010, None, 10_000_000),
    (None, 1_010, 0),
]


@pytest.mark.parametrize(("bid", "ask", "expected"), PREMIUMS)
def test_premium_is_what_the_book_lies_beside_the_index(bid, ask, expected):
    """An absent side contributes nothing."""

    def quotient(price):
        return None if price is None else (price, 1)

    assert premium(bid=quotient(bid), ask=quotient(ask), index=1_000, one=E9) == expected


def test_premium_is_truncated_toward_zero_and_capped():
    """1/3 of the unit is dropped on either side."""
    assert premium(bid=(4, 1), ask=None, index=3, one=10) == 3
    assert premium(bid=None, ask=(2, 1), index=3, one=10) == -3
    assert premium(bid=(4, 1), ask=None, index=3, one=10, cap=2) == 2
    assert premium(bid=None, ask=(2, 1), index=3, one=10, cap=2) == -2


RATES = [
    # premium in 1e-6   rate: baseline 100, clamp 500, cap 40,000
    (0, 100),
    (600, 100),
    (-400, 100),
    (601, 101),
    (-401, 99),
    (10_000, 9_500),
    (-10_000, -9_500),
    (99_999, 40_000),
    (-99_999, -40_000),
]


@pytest.mark.parametrize(("found", "rate"), RATES)
def test_rate_is_the_baseline_near_it_and_the_premium_beyond(found, rate):
    """risk.md 4.1; Hyperliquid prints 1 % -> 0.95 %."""
    assert clamped_rate(premium=found, baseline=100, clamp=500, cap=40_000) == rate


def test_spread_rate_is_capped_after_the_static_part():
    """Truncated toward zero before the static rate is added."""
    assert spread_rate(premium=-9, periods=8, static=0, cap=100) == -1
    assert spread_rate(premium=80, periods=8, static=95, cap=100) == 100


@pytest.mark.parametrize(("highest", "expected"), [(None, 120_000), (100_000, 100_000)])
def test_cap_of_the_rate(highest, expected):
    """dYdX's documentation: 12 % for 5 % and 3 %."""
    found = rate_cap(factor=6_000_000, initial=50_000, maintenance_share=600_000, one=10**6, highest=highest)
    assert found == expected


def test_index_moves_by_the_rate_in_eight_hours():
    """0.01 % of 60,000 in one period; 1/28,800 of it each second, truncated."""
    assert index_step(rate=100_000, price=60_000 * E9, seconds=FUNDING_PERIOD_S) == 6 * E9 * E9
    assert index_step(rate=100_000, price=60_000 * E9, seconds=1) == 6 * E9 * E9 // 28_800
    assert index_step(rate=-1, price=1, seconds=28_799) == 0
    assert index_step(rate=-1, price=1, seconds=28_801) == -1


def test_long_pays_when_the_rate_is_positive():
    """And whoever pays or receives loses the fraction of a unit."""
    assert funding_payment(amount=3, index_change=5, one=2) == -8
    assert funding_payment(amount=-3, index_change=5, one=2) == 7


@given(amounts=st.lists(st.integers(-(10**12), 10**12), max_size=20), change=st.integers(-(10**20), 10**20))
def test_payments_leave_a_residue_and_never_a_debt(amounts, change):
    """Positions that sum to zero pay at least what they receive, and less than one unit each more."""
    amounts.append(-sum(amounts))
    residue = -sum(funding_payment(amount=amount, index_change=change, one=E9) for amount in amounts)
    assert 0 <= residue < len(amounts)
