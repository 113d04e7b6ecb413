"""Settlement prices and payoffs: gaps, coverage, the disputed window, rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.expiry import Sample, SettlementPrice, average_of_sums, cash_value, payoff, settlement_price

S = 10**9
EXPIRY = 10_000 * S


def samples(*rows):
    """Rows (start, end, price) in seconds before the expiry."""
    return [Sample(start_ns=EXPIRY - start * S, end_ns=EXPIRY - end * S, price=price) for start, end, price in rows]


def settled(rows, **changes):
    """The settlement price with a window of 100 s."""
    return settlement_price(rows, expiry_ns=EXPIRY, window_ns=100 * S, **changes)


@pytest.mark.parametrize("price", [0, -1])
def test_a_price_that_is_none_is_refused(price):
    """Nobody is paid by it."""
    with pytest.raises(ValueError, match="must be positive"):
        settled(samples((100, 0, price)))


@pytest.mark.parametrize(
    "rows", [((50, 50, 1),), ((40, 50, 1),), ((100, 40, 1), (50, 0, 1)), ((50, 0, 1), (100, 50, 1))]
)
def test_samples_must_ascend(rows):
    """An overlap would count a second twice."""
    with pytest.raises(ValueError, match="ascend"):
        settled(samples(*rows))


@pytest.mark.parametrize("rows", [(), ((100, 11, 5),), ((300, 260, 5), (40, 0, 5))])
def test_too_little_is_no_price(rows):
    """89 of 100 seconds, however far one reaches back."""
    assert settled(samples(*rows)) is None


def test_the_average_weighs_by_duration():
    """30 s at 100, 70 s at 200; what lies before the window does not count."""
    rows = samples((500, 100, 900), (100, 70, 100), (70, 0, 200))
    assert settled(rows) == SettlementPrice(price=170, covered_ns=100 * S, is_disputed=False)


def test_a_gap_is_left_out_of_the_average():
    """10 s without a price: the sum of real durations divides, not the window."""
    rows = samples((100, 50, 100), (40, 0, 190))
    assert settled(rows) == SettlementPrice(price=140, covered_ns=90 * S, is_disputed=False)


def test_a_long_gap_reaches_back_and_is_disputed():
    """With 80 s in the window ten more are taken from before the gap."""
    rows = samples((300, 120, 100), (80, 0, 190))
    assert settled(rows) == SettlementPrice(price=180, covered_ns=90 * S, is_disputed=True)


def test_samples_beyond_the_expiry_do_not_count():
    """The last sample is cut at the expiry."""
    rows = [*samples((100, 1, 100)), Sample(start_ns=EXPIRY - S, end_ns=EXPIRY + 50 * S, price=200)]
    assert settled(rows) == SettlementPrice(price=101, covered_ns=100 * S, is_disputed=False)


@pytest.mark.parametrize(("total", "expected"), [(10, 3), (11, 4), (-10, -3), (9, 3)])
def test_an_average_goes_to_the_nearest(total, expected):
    """It has no side; 10/3 is 3, 11/3 is 4."""
    assert average_of_sums(start_sum=5, end_sum=5 + total, duration=3) == expected


def test_a_tie_goes_down():
    """Half a unit, for either sign."""
    assert [average_of_sums(start_sum=0, end_sum=total, duration=2) for total in (1, 3, -1)] == [0, 1, -1]


@pytest.mark.parametrize(
    ("settlement", "is_call", "expected"),
    [(120, True, 20), (80, True, 0), (120, False, 0), (80, False, 20), (100, True, 0)],
)
def test_payoff(settlement, is_call, expected):
    """Derive's tests print 200 for a put 200 in the money and 0 beyond."""
    assert payoff(settlement=settlement, strike=100, is_call=is_call) == expected


@given(amount=st.integers(-(10**15), 10**15), per_unit=st.integers(0, 10**15))
def test_both_sides_of_a_contract_leave_at_most_a_unit(amount, per_unit):
    """The clearing account keeps the residue, never pays it."""
    both = cash_value(amount=amount, per_unit=per_unit, one=S) + cash_value(amount=-amount, per_unit=per_unit, one=S)
    assert -1 <= both <= 0
