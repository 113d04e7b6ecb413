"""The seeded smile: sane everywhere, reproducible."""

import pytest

from exchange.feeds.volatility import SeededSurface


def test_same_seed_same_surface():
    """Levels wander equally for equal seeds."""

    def smile(seed):
        surface = SeededSurface.seeded(seed)
        for _ in range(20):
            surface.advance(1.0)
        return surface.slice("BTC", 0.1)

    assert smile(5) == smile(5)
    assert smile(5) != smile(6)


@pytest.mark.parametrize("years", [1e-7, 0.001, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("underlying", ["BTC", "ETH"])
def test_volatilities_stay_in_a_plausible_band(years, underlying):
    """Far strikes and the last minutes included."""
    smile = SeededSurface.seeded(1).slice(underlying, years)
    for ratio in (0.3, 0.8, 0.95, 1.0, 1.05, 1.25, 3.0):
        assert 0.1 < smile.volatility(strike=84_000.0 * ratio, forward=84_000.0) < 5.0
