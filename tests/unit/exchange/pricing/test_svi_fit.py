"""SVI fits: known slices come back, wild books bend nothing, too little gives nothing."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.pricing.gates import failed_gate
from exchange.pricing.quotes import quoted_volatilities
from exchange.pricing.smile import SviSlice, butterfly_density, crosses_calendar, has_butterfly_arbitrage
from exchange.pricing.svi_fit import fit_slice
from tests.fakes.chain_books import SMILE, STRIKES, chain_quotes, spoilt


def points_of(quotes, years=SMILE.years, forward=2_000.0):
    """Volatilities of a book."""
    return quoted_volatilities(quotes, forward=forward, years=years)


@pytest.mark.parametrize("years", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(years):
    """An expired chain has no slice."""
    with pytest.raises(ValueError, match="years"):
        fit_slice(points_of(chain_quotes()), years=years)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_strikes_than_parameters_give_no_slice(count):
    """Calls and puts of a strike count once."""
    assert fit_slice(points_of(chain_quotes(strikes=STRIKES[3 : 3 + count])), years=SMILE.years) is None


def test_half_a_book_of_outliers_agrees_with_nothing():
    """Every second strike is wild: whatever is fitted, fewer than two thirds of the quotes hold it."""
    quotes = [spoilt(row, "wild") if int(row.strike) % 200 else row for row in chain_quotes()]
    fit = fit_slice(points_of(quotes), years=SMILE.years)
    assert fit is None or fit.agreement < 2 / 3


def test_two_wild_strikes_bend_nothing():
    """The loss grows slower than their distance."""
    quotes = [
        spoilt(row, "wild") if row.strike in (1_800.0, 2_300.0) and row.is_call else row for row in chain_quotes()
    ]
    fit = fit_slice(points_of(quotes), years=SMILE.years)
    for strike in STRIKES:
        place = math.log(strike / 2_000.0)
        ours, true = (math.sqrt(row.raw_variance(place) / row.years) for row in (fit.smile, SMILE))
        assert ours == pytest.approx(true, abs=0.005)


KNOWN = [
    SMILE,
    SviSlice(a=0.005, b=0.02, rho=0.4, m=-0.05, sigma=0.08, years=0.05),
    SviSlice(a=0.04, b=0.12, rho=-0.6, m=0.0, sigma=0.2, years=0.5),
    # Gatheral and Jacquier's repair of Vogt's slice.
    SviSlice(
        a=0.00774091242036558, b=0.06924203448893687, rho=-0.33403648061147906, m=0.04203374522958454,
        sigma=0.11860780291327253, years=1.0,
    ),
]  # fmt: skip


@pytest.mark.parametrize("known", KNOWN)
def test_the_parameters_of_a_synthetic_book_come_back(known):
    """Exactly, from a cold start."""
    fit = fit_slice(points_of(chain_quotes(known), years=known.years), years=known.years)
    assert fit.agreement == 1.0
    for name in ("a", "b", "rho", "m", "sigma"):
        assert getattr(fit.smile, name) == pytest.approx(getattr(known, name), abs=1e-6), name


def test_a_warm_start_ends_where_a_cold_one_does():
    """The slice before is a place to begin, no more."""
    points = points_of(chain_quotes())
    cold, warm = (fit_slice(points, years=SMILE.years, start=start).smile for start in (None, KNOWN[1]))
    for place in (-0.3, -0.1, 0.0, 0.1, 0.3):
        assert warm.raw_variance(place) == pytest.approx(cold.raw_variance(place), rel=1e-6)


def test_a_fit_is_repeated_to_the_last_bit():
    """Two runs on the same book publish the same integers."""
    points = points_of(chain_quotes())
    assert fit_slice(points, years=SMILE.years) == fit_slice(points, years=SMILE.years)


def test_a_book_with_butterflies_for_nothing_is_pulled_to_a_slice_without():
    """Vogt's slice as quotes: the fit keeps away from its negative density, or the gate refuses what is left."""
    vogt = SviSlice(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, years=1.0)
    strikes = [2_000.0 * math.exp(step / 10) for step in range(-12, 13)]
    points = points_of(chain_quotes(vogt, strikes=strikes), years=1.0)
    fit = fit_slice(points, years=1.0)
    assert has_butterfly_arbitrage(vogt)
    assert failed_gate(fit.smile, forward=2_000.0, strikes=strikes) is None
    assert fit.deviation < 0.01


def test_the_fit_stays_between_its_neighbours():
    """A book a little below the expiry before it, or above the one behind it, is fitted beside them."""
    lower = SviSlice(a=SMILE.a * 0.97, b=SMILE.b, rho=SMILE.rho, m=SMILE.m, sigma=SMILE.sigma, years=SMILE.years)
    points = points_of(chain_quotes(lower, half_spread=0.05))
    free, held = (fit_slice(points, years=SMILE.years, earlier=earlier).smile for earlier in (None, SMILE))
    watched = [step / 50 for step in range(-20, 21)]

    def shortfall(smile):
        return max(SMILE.raw_variance(place) - smile.raw_variance(place) for place in watched)

    assert crosses_calendar(SMILE, free, watched)
    assert shortfall(held) < shortfall(free) / 3


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    level=st.floats(0.2, 1.2),
    tilt=st.floats(-0.7, 0.7),
    wing=st.floats(0.1, 0.6),
    years=st.floats(0.02, 0.8),
    noise=st.lists(st.floats(-0.01, 0.01), min_size=len(STRIKES), max_size=len(STRIKES)),
)
def test_what_passes_the_gate_has_no_butterfly_on_a_dense_grid(level, tilt, wing, years, noise):
    """Noisy books: density at 4,001 points between the gate's own edges is not negative beyond rounding."""
    variance = level * level * years
    sigma = 0.6 * level * math.sqrt(years)
    slope = wing * variance / sigma
    smile = SviSlice(
        a=variance - slope * sigma * math.sqrt(1 - tilt * tilt), b=slope, rho=tilt, m=0.0, sigma=sigma, years=years
    )
    points = points_of(chain_quotes(smile), years=years)
    shaken = [
        row.__class__(
            **{n: getattr(row, n) for n in row.__struct_fields__}
            | {"mid": row.mid * (1 + noise[STRIKES.index(row.strike)])}
        )
        for row in points
    ]
    fit = fit_slice(shaken, years=years)
    if fit is None or failed_gate(fit.smile, forward=2_000.0, strikes=STRIKES) is not None:
        return
    edge = 4 * math.sqrt(fit.smile.raw_variance(0.0))
    dense = (edge * step / 2_000 for step in range(-2_000, 2_001))
    assert min(butterfly_density(fit.smile, place) for place in dense) > -1e-6
