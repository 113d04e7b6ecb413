"""SSVI (Gatheral and Jacquier; risk.md 5.4): smiles of one shape at any level, and thin expiries fitted with one.

`w(k) = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))`, theta the total variance at the money. Where phi
falls like 1 / sqrt(theta) every slice is another one with k in units of its own deviation: `at_level` does that to any
raw slice, and `fit_level` looks for the level alone, which three strikes are enough for.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from scipy.optimize import minimize_scalar

from exchange.pricing.quotes import QuotedVolatility
from exchange.pricing.smile import SviSlice
from exchange.pricing.svi_fit import SliceFit, agreement_of

__all__ = ["at_level", "fit_level", "ssvi_allows_no_butterfly", "ssvi_allows_no_calendar", "ssvi_slice"]

_FEWEST_STRIKES: Final = 3
_WIDEST_LOG: Final = math.log(25.0)
"""Levels from a fifth to five times the volatility of the shape."""


def ssvi_slice(*, theta: float, phi: float, rho: float, years: float) -> SviSlice:
    """The raw slice that SSVI is at one theta. Raises ValueError for what is no slice (theta, phi > 0, |rho| < 1)."""
    if not (theta > 0.0 and phi > 0.0 and abs(rho) < 1.0):
        raise ValueError(f"theta {theta}, phi {phi}, rho {rho}: theta and phi must be above 0, |rho| below 1")
    root = math.sqrt(1.0 - rho * rho)
    return SviSlice(
        a=theta / 2.0 * root * root, b=theta * phi / 2.0, rho=rho, m=-rho / phi, sigma=root / phi, years=years
    )


def ssvi_allows_no_butterfly(*, theta: float, phi: float, rho: float) -> bool:
    """Sufficient: theta phi (1 + |rho|) < 4 and theta phi^2 (1 + |rho|) <= 4."""
    steep = theta * phi * (1.0 + abs(rho))
    return steep < 4.0 and steep * phi <= 4.0


def ssvi_allows_no_calendar(*, phi: float, slope: float, rho: float) -> bool:
    """Where theta does not fall: 0 <= slope <= (1 + sqrt(1 - rho^2)) phi / rho^2, slope = d(theta phi) / d(theta)."""
    # Multiplied out: a tilt that is all but 0 would divide by 0.
    return slope >= 0.0 and slope * rho * rho <= (1.0 + math.sqrt(1.0 - rho * rho)) * phi


def at_level(smile: SviSlice, factor: float, years: float) -> SviSlice:
    """The slice whose volatility at the money is `factor` times as high with `years` left, in units of its deviation.

    The volatility at x deviations from the money is `factor` times that of `smile` at x of its own.
    """
    variance = factor * factor * years / smile.years
    stretch = math.sqrt(variance)
    return msgspec.structs.replace(
        smile, a=smile.a * variance, b=smile.b * stretch, m=smile.m * stretch, sigma=smile.sigma * stretch, years=years
    )


def fit_level(points: Sequence[QuotedVolatility], shape: SviSlice, *, years: float) -> SliceFit | None:
    """The level of `shape` that the quotes of a thin expiry agree on best; None with fewer than three strikes.

    Least weighted absolute difference, so one wild quote of three does not decide. Raises ValueError for a time that is
    not above 0.
    """
    if not (math.isfinite(years) and years > 0.0):
        raise ValueError(f"years {years}: must be above 0")
    if len({point.strike for point in points}) < _FEWEST_STRIKES:
        return None
    total = math.fsum(point.weight for point in points)

    def miss(log_factor: float) -> float:
        smile = at_level(shape, math.exp(log_factor), years)
        return math.fsum(
            point.weight * abs(math.sqrt(smile.raw_variance(point.log_moneyness) / years) - point.mid)
            for point in points
        )

    found = minimize_scalar(miss, bounds=(-_WIDEST_LOG / 2.0, _WIDEST_LOG / 2.0), method="bounded")
    smile = at_level(shape, math.exp(float(found.x)), years)
    return SliceFit(smile, agreement_of(points, smile), float(found.fun) / total, len(points))
