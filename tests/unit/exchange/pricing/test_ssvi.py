"""SSVI: the same smile as its raw form, its conditions against the gates, and levels from three strikes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.pricing.quotes import quoted_volatilities
from exchange.pricing.smile import crosses_calendar, has_butterfly_arbitrage
from exchange.pricing.ssvi import (
    at_level,
    fit_level,
    ssvi_allows_no_butterfly,
    ssvi_allows_no_calendar,
    ssvi_slice,
)
from tests.fakes.chain_books import SMILE, STRIKES, chain_quotes, spoilt


@pytest.mark.parametrize(
    "bad", [{"theta": 0.0}, {"phi": 0.0}, {"rho": 1.0}, {"theta": math.nan}, {"years": 0.0}, {"phi": 1e9}]
)
def test_what_is_no_slice_is_refused(bad):
    """Each bound, and wings that are too steep."""
    with pytest.raises(ValueError, match=r"must be|slice"):
        ssvi_slice(**{"theta": 0.04, "phi": 1.0, "rho": -0.3, "years": 0.5} | bad)


@pytest.mark.parametrize(
    ("theta", "phi", "rho", "expected"),
    [
        (0.04, 1.0, -0.3, True),
        (4.0, 1.0, 0.0, False),  # theta phi (1 + |rho|) = 4 is not below
        (3.9, 1.0, 0.0, True),
        (0.04, 10.0, 0.0, True),  # theta phi^2 = 4 is allowed
        (0.04, 10.1, 0.0, False),
        (0.04, 9.0, -0.3, False),
    ],
)
def test_the_butterfly_conditions_at_their_edges(theta, phi, rho, expected):
    """The first is strict, the second is not."""
    assert ssvi_allows_no_butterfly(theta=theta, phi=phi, rho=rho) is expected


@pytest.mark.parametrize(
    ("slope", "rho", "expected"),
    [
        (-0.01, 0.5, False),
        (0.0, 0.5, True),
        (100.0, 0.0, True),
        (100.0, 1e-240, True),
        (2.0 * 7.464, 0.5, True),
        (2.0 * 7.465, 0.5, False),
    ],
)
def test_the_calendar_condition_at_its_edges(slope, rho, expected):
    """(1 + sqrt(0.75)) / 0.25 = 7.4641; without tilt there is no upper bound."""
    assert ssvi_allows_no_calendar(phi=2.0, slope=slope, rho=rho) is expected


@pytest.mark.parametrize("years", [0.0, -1.0, math.nan])
def test_a_level_needs_time(years):
    """An expired chain has none."""
    with pytest.raises(ValueError, match="years"):
        fit_level(points(), SMILE, years=years)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_strikes_have_no_level(count):
    """Nothing could contradict them."""
    assert fit_level(points(STRIKES[4 : 4 + count]), SMILE, years=SMILE.years) is None


def points(strikes=STRIKES[4:7], *, smile=SMILE, how=None):
    """Volatilities of a thin book; `how` spoils its first call."""
    quotes = chain_quotes(smile, strikes=strikes)
    if how is not None:
        quotes[0] = spoilt(quotes[0], how)
    return quoted_volatilities(quotes, forward=2_000.0, years=smile.years)


@settings(max_examples=80, deadline=None)
@given(theta=st.floats(0.001, 1.0), scaled=st.floats(0.05, 1.9), rho=st.floats(-0.95, 0.95))
def test_the_conditions_keep_butterflies_away(theta, scaled, rho):
    """Wherever they hold the gate passes, and the raw form is SSVI at every place."""
    phi = scaled / math.sqrt(theta)
    smile = ssvi_slice(theta=theta, phi=phi, rho=rho, years=0.5)
    for place in (-1.0, -0.2, 0.0, 0.3, 1.5):
        expected = theta / 2 * (1 + rho * phi * place + math.sqrt((phi * place + rho) ** 2 + 1 - rho * rho))
        assert smile.raw_variance(place) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if ssvi_allows_no_butterfly(theta=theta, phi=phi * 1.0001, rho=rho):
        assert not has_butterfly_arbitrage(smile)


@settings(max_examples=60, deadline=None)
@given(theta=st.floats(0.005, 0.5), growth=st.floats(1.01, 4.0), scaled=st.floats(0.1, 1.5), rho=st.floats(-0.9, 0.9))
def test_the_condition_keeps_calendars_apart(theta, growth, scaled, rho):
    """phi = c / sqrt(theta): the slope of theta phi is phi / 2, which every tilt allows."""
    near, far = (
        ssvi_slice(theta=level, phi=scaled / math.sqrt(level), rho=rho, years=0.5) for level in (theta, theta * growth)
    )
    phi = scaled / math.sqrt(theta)
    assert ssvi_allows_no_calendar(phi=phi, slope=phi / 2, rho=rho)
    assert not crosses_calendar(near, far, [step / 10 for step in range(-30, 31)])


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("years", [0.02, 0.1, 0.7])
def test_a_level_keeps_the_shape_in_deviations(factor, years):
    """Volatility at x deviations is `factor` times the shape's there."""
    moved = at_level(SMILE, factor, years)
    stretch = factor * math.sqrt(years / SMILE.years)
    for place in (-0.5, -0.1, 0.0, 0.2, 0.6):
        ours = math.sqrt(moved.raw_variance(place * stretch) / years)
        assert ours == pytest.approx(factor * math.sqrt(SMILE.raw_variance(place) / SMILE.years), rel=1e-12)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.3, 2.0])
@pytest.mark.parametrize("how", [None, "wild", "nan bid", "crossed"])
def test_three_strikes_give_the_level(factor, how):
    """Whatever one of their six quotes says."""
    true = at_level(SMILE, factor, 0.3)
    fit = fit_level(points(smile=true, how=how), SMILE, years=0.3)
    assert math.sqrt(fit.smile.raw_variance(0.0) / true.raw_variance(0.0)) == pytest.approx(1.0, rel=1e-3)
    assert fit.agreement >= 0.8
