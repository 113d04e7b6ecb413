"""Realized volatility: a known walk, its units, bad series."""

import math

import pytest

from exchange.pricing.realized import realized_volatility


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([(0, 100.0), (1, 0.0)], "above 0"),
        ([(0, 100.0), (1, -1.0)], "above 0"),
        ([(0, 100.0), (1, math.nan)], "above 0"),
        ([(0, math.inf)], "above 0"),
        ([(math.nan, 100.0)], "finite"),
        ([(1, 100.0), (1, 101.0)], "rise"),
        ([(2, 100.0), (1, 101.0)], "rise"),
    ],
)
def test_a_bad_series_is_refused(samples, message):
    """A feed that failed is no quiet market."""
    with pytest.raises(ValueError, match=message):
        realized_volatility(samples)


@pytest.mark.parametrize("samples", [[], [(0, 100.0)]])
def test_one_price_has_no_volatility(samples):
    """None, never 0."""
    assert realized_volatility(samples) is None


def test_one_percent_a_day_is_nineteen_a_year():
    """0.01 x sqrt(365), whether by days or by hours in equal parts."""
    for steps, size in ((1, 0.01), (24, 0.01 / math.sqrt(24))):
        samples = [(86_400 / steps * place, 100.0 * math.exp(size * (place % 2))) for place in range(365 * steps + 1)]
        assert realized_volatility(samples) == pytest.approx(0.01 * math.sqrt(365), rel=1e-12)


def test_a_gap_counts_as_its_one_return():
    """Time is from first to last sample."""
    year = 365 * 86_400
    assert realized_volatility([(0, 100.0), (1, 110.0), (year, 100.0)]) == pytest.approx(
        math.sqrt(2) * math.log(1.1), rel=1e-12
    )
    assert realized_volatility([(0, 100.0), (year, 100.0)]) == 0.0
