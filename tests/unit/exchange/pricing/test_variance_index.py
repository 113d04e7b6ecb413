"""The volatility index: Cboe's printed steps, a flat chain's own volatility, chains that say too little."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import SviSlice
from exchange.pricing.variance_index import (
    HORIZON_YEARS,
    ChainPrice,
    ExpiryVariance,
    expiry_variance,
    index_volatility,
)
from tests.fakes.chain_books import SMILE


def chain(smile, *, forward=2_000.0, strikes=None, discount=1.0):
    """Prices of a chain on a smile."""
    strikes = strikes or [forward * math.exp(step / 50) for step in range(-100, 101)]
    rows = []
    for strike in strikes:
        volatility = smile.volatility(strike=strike, forward=forward)
        call, put = (
            price(
                Option(is_call=is_call, forward=forward, strike=strike, years=smile.years, discount=discount),
                volatility,
            )
            for is_call in (True, False)
        )
        rows.append(ChainPrice(strike, call, put))
    return rows


def flat(volatility, years):
    """The same volatility everywhere."""
    return SviSlice(a=volatility**2 * years, b=0.0, rho=0.0, m=0.0, sigma=0.1, years=years)


def known(years, variance):
    """An expiry whose variance is printed."""
    return ExpiryVariance(
        years=years, forward=1.0, center=1.0, terms=(), strip=variance, correction=0.0, low_tail=0.0, high_tail=0.0
    )


@pytest.mark.parametrize(
    "bad", [{"forward": 0.0}, {"forward": math.nan}, {"years": 0.0}, {"years": math.inf}, {"discount": 1.1}]
)
def test_a_forward_or_time_that_is_none_is_refused(bad):
    """Nothing is computed from a feed that failed."""
    with pytest.raises(ValueError, match="must be"):
        expiry_variance(chain(SMILE), **{"forward": 2_000.0, "years": 0.1} | bad)


@pytest.mark.parametrize(
    "row",
    [
        ChainPrice(1_999.0, math.nan, 1.0),
        ChainPrice(1_999.0, 1.0, -1.0),
        ChainPrice(0.0, 1.0, 1.0),
        ChainPrice(2_000.0, 1, 1),
    ],
)
def test_a_price_that_is_none_is_refused(row):
    """NaN, negative, a strike of 0, a strike that stands twice."""
    with pytest.raises(ValueError, match="strike"):
        expiry_variance([*chain(SMILE), row], forward=2_000.0, years=0.1)


@pytest.mark.parametrize(
    "strikes",
    [
        (2_000.0, 2_100.0, 2_200.0, 2_300.0),  # no puts
        (1_700.0, 1_800.0, 1_900.0, 2_000.0),  # no calls
        (2_100.0, 2_200.0, 2_300.0),  # no strike below the forward
        (1_900.0, 2_000.0, 2_100.0),  # one a side
    ],
)
def test_a_chain_on_one_side_has_no_variance(strikes):
    """Half a strip would be half the truth."""
    assert expiry_variance(chain(SMILE, strikes=strikes), forward=2_000.0, years=0.1) is None


def test_no_variance_without_prices_at_the_center():
    """The strip joins there."""
    rows = [ChainPrice(row.strike, None, row.put) if row.strike == 2_000.0 else row for row in chain(SMILE)]
    assert expiry_variance(rows, forward=2_000.0, years=0.1) is None


@pytest.mark.parametrize(("near", "later"), [(0.1, 0.1), (0.2, 0.1)])
def test_the_first_expiry_must_be_nearer(near, later):
    """Otherwise nothing can be interpolated."""
    with pytest.raises(ValueError, match="nearer"):
        index_volatility(known(near, 0.04), known(later, 0.04))


def test_a_line_that_falls_below_zero_is_refused():
    """Both expiries beyond the horizon, the far one with less variance in all."""
    with pytest.raises(ValueError, match="no variance"):
        index_volatility(known(0.01, 0.9), known(0.02, 0.1))


def test_after_two_strikes_without_a_price_the_rest_is_not_looked_at():
    """Cboe's rule: one missing is stepped over, two end the side."""
    rows = chain(SMILE, strikes=[1_500.0 + 50 * step for step in range(21)])
    missing_one = [ChainPrice(row.strike, row.call, None) if row.strike == 1_700.0 else row for row in rows]
    missing_two = [ChainPrice(row.strike, row.call, None) if row.strike in (1_700.0, 1_750.0) else row for row in rows]
    one, two = (expiry_variance(row, forward=2_000.0, years=0.1) for row in (missing_one, missing_two))
    assert [term.strike for term in one.terms][:5] == [1_500.0, 1_550.0, 1_600.0, 1_650.0, 1_750.0]
    assert two.terms[0].strike == 1_800.0


# Cboe Volatility Index white paper, the example of near and next term.
def test_the_printed_contribution_of_a_strike():
    """Put 1370 at 0.20, five points apart, R 0.0305 %: 0.0000005328."""
    years = 35_924 / 525_600
    rows = [ChainPrice(1_365.0 + 5 * step, 590.0, 0.20 + 0.0 * step) for step in range(300)]
    found = expiry_variance(rows, forward=1_962.89996, years=years, discount=math.exp(-0.000305 * years))
    term = next(term for term in found.terms if term.strike == 1_370.0)
    assert (term.kind, term.interval) == ("put", 5.0)
    assert term.contribution == pytest.approx(0.0000005328, abs=5e-11)
    assert found.center == 1_960.0


@pytest.mark.parametrize(
    ("minutes", "forward", "expected"), [(35_924, 1_962.89996, 0.00003203), (46_394, 1_962.40006, 0.00001699)]
)
def test_the_printed_correction_of_the_forward(minutes, forward, expected):
    """(F / K0 - 1)^2 / T at K0 = 1960."""
    rows = [ChainPrice(1_900.0 + 5 * step, 1.0, 1.0) for step in range(30)]
    found = expiry_variance(rows, forward=forward, years=minutes / 525_600)
    assert found.correction == pytest.approx(expected, abs=5e-9)


def test_the_printed_index():
    """13.69 from variances 0.01846292 and 0.01882101."""
    near, later = known(35_924 / 525_600, 0.01846292), known(46_394 / 525_600, 0.01882101)
    assert 100 * index_volatility(near, later) == pytest.approx(13.685821, abs=5e-6)
    assert pytest.approx(43_200 / 525_600) == HORIZON_YEARS


@settings(max_examples=25, deadline=None)
@given(volatility=st.floats(0.2, 1.2), years=st.floats(0.02, 0.2), forward=st.floats(1_900.0, 2_100.0))
def test_a_flat_chain_has_its_own_volatility(volatility, years, forward):
    """Dense strikes and tails: the strip gives the volatility back to a thousandth."""
    deviation = volatility * math.sqrt(years)
    strikes = [2_000.0 * math.exp(deviation * step / 40) for step in range(-120, 121)]
    rows = chain(flat(volatility, years), forward=forward, strikes=strikes)
    found = expiry_variance(rows, forward=forward, years=years, tails=flat(volatility, years))
    assert math.sqrt(found.variance) == pytest.approx(volatility, rel=1e-3)
    assert found.low_tail > 0.0
    assert found.high_tail > 0.0


def test_tails_are_what_a_short_chain_lacks():
    """Eleven strikes within one and a half deviations: without tails a fifth is missing, with them a fiftieth."""
    smile = flat(0.5, 0.1)
    strikes = [2_000.0 + 50 * step for step in range(-5, 6)]
    rows = chain(smile, strikes=strikes)
    bare = expiry_variance(rows, forward=2_000.0, years=0.1)
    whole = expiry_variance(rows, forward=2_000.0, years=0.1, tails=smile)
    assert bare.variance == pytest.approx(0.8 * 0.25, rel=0.02)
    assert whole.variance == pytest.approx(0.25, rel=0.02)
    assert whole.variance == pytest.approx(bare.variance + whole.low_tail + whole.high_tail)


def test_between_equal_volatilities_the_index_is_theirs():
    """Inside, at both ends and beyond."""
    for horizon in (0.05, 0.1, 0.15, 0.2, 0.3):
        assert index_volatility(known(0.1, 0.25), known(0.2, 0.25), horizon_years=horizon) == pytest.approx(0.5)
