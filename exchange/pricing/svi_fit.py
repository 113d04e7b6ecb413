"""A raw SVI slice fitted to the quoted volatilities of one expiry (risk.md 5.4), with scipy's least squares.

The five parameters are searched as (lowest variance, b, rho, m, sigma), so that no slice with negative variance is ever
tried; b stays below 2, the steepest wing that Lee's moment formula allows. Where the quotes alone give negative density
or cross a neighbour, the search goes on with both at a price; whether the result is free of them is for `gates` to say.

scipy takes a second to import: only this module and those that fit (`surface`) have it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from exchange.pricing.quotes import QuotedVolatility
from exchange.pricing.smile import SviSlice

__all__ = ["SliceFit", "agreement_of", "fit_slice"]

_FEWEST_STRIKES: Final = 5
"""As many as SVI has parameters."""
_LOSS_SCALE: Final = 0.01
"""Residuals beyond one volatility point count less and less: wild quotes do not bend a slice."""
_PENALTY: Final = 10.0
_DENSITY_MARGIN: Final = 0.01
"""The search keeps this far from a density of 0, so that what it finds is on the right side."""
_PENALTY_POINTS: Final = 41
_PENALTY_REACH: Final = 5.0
"""Deviations of the money to each side where density and calendar are watched."""
_LOWEST: Final = 1e-10
_STEEPEST: Final = 1.999
_MOST_TILTED: Final = 0.999
_MAX_EVALUATIONS: Final = 100
_MAX_COSTLY_EVALUATIONS: Final = 30
_MARGIN: Final = 1e-9
"""Of the width of the bounds: a search begins inside."""
_TOLERANCE: Final = 1e-12
_SETTLED_AGREEMENT: Final = 0.95
"""No further start is tried once this share of the points agrees."""
_STARTS: Final = ((0.0, 0.5), (-0.5, 0.1), (0.5, 0.1))
"""Tilts and roundings (sigma in deviations) from which the search begins."""

Vector = NDArray[np.float64]


class SliceFit(msgspec.Struct, frozen=True):
    """A slice, and how well the book agrees with it."""

    smile: SviSlice
    agreement: float
    """Share of the points whose bid and ask volatility hold the slice, or that it misses by half a point at most."""
    deviation: float
    """Root of the mean square of fitted less quoted volatility, by weight."""
    points: int


def fit_slice(
    points: Sequence[QuotedVolatility],
    *,
    years: float,
    start: SviSlice | None = None,
    earlier: SviSlice | None = None,
    later: SviSlice | None = None,
    avoid_arbitrage: bool = True,
) -> SliceFit | None:
    """Fit a slice `years` from expiry; None with fewer than five strikes, or where the search finds no slice.

    `start`: the slice before this one, a good place to begin. `earlier` and `later`: the expiries beside this one, each
    scaled to its own time left, between whose variances this one should stay. Without `avoid_arbitrage` the slice is
    what the quotes say, for whoever looks for arbitrage in them. Deterministic for equal inputs on one
    machine. Raises ValueError for a time that is not above 0.
    """
    if not (math.isfinite(years) and years > 0.0):
        raise ValueError(f"years {years}: must be above 0")
    if len({point.strike for point in points}) < _FEWEST_STRIKES:
        return None
    problem = _Problem(points, years, earlier, later)
    best: SviSlice | None = None
    for begin in problem.starts(start):
        smile = problem.search(begin)
        if smile is not None and (best is None or problem.deviation(smile) < problem.deviation(best)):
            best = smile
        if best is not None and agreement_of(points, best) >= _SETTLED_AGREEMENT:
            break
    if best is not None and avoid_arbitrage and problem.is_pressed(best):
        best = problem.search_beside(best)
    return None if best is None else SliceFit(best, agreement_of(points, best), problem.deviation(best), len(points))


class _Problem:
    """Observations as columns, and the bounds of the search."""

    def __init__(
        self,
        points: Sequence[QuotedVolatility],
        years: float,
        earlier: SviSlice | None,
        later: SviSlice | None,
    ) -> None:
        self.years = years
        self.places: Vector = np.array([point.log_moneyness for point in points])
        self.volatilities: Vector = np.array([point.mid for point in points])
        weights: Vector = np.array([point.weight for point in points])
        self.weights: Vector = weights / weights.sum()
        self.roots: Vector = np.sqrt(self.weights * len(weights))
        self.at_money = float(np.interp(0.0, *self._by_place())) ** 2 * years
        self.deviation_at_money = math.sqrt(self.at_money)
        reach = _PENALTY_REACH * self.deviation_at_money
        self.watched: Vector = np.linspace(-reach, reach, _PENALTY_POINTS)
        self.floor = None if earlier is None else self._variances(earlier)
        self.ceiling = None if later is None else self._variances(later)
        low, high = float(self.places.min()), float(self.places.max())
        width = max(high - low, self.deviation_at_money)
        self.lower = (_LOWEST, 0.0, -_MOST_TILTED, low - width, 1e-4)
        self.upper = (100.0 * self.at_money, _STEEPEST, _MOST_TILTED, high + width, 10.0 * width + 1.0)

    def _reached(self, x: Vector) -> Vector:
        """Places as far out as the gate looks: where a wing's line lies within four deviations of its own."""
        _, b, rho, _, _ = x
        reach = float(self.watched[-1])
        left, right = max(reach, 16.0 * b * (1.0 - rho)), max(reach, 16.0 * b * (1.0 + rho))
        places: Vector = self.watched / reach * np.where(self.watched < 0.0, left, right)
        return places

    def _variances(self, smile: SviSlice) -> Vector:
        return np.array([smile.raw_variance(float(at)) for at in self.watched])

    def _by_place(self) -> tuple[Vector, Vector]:
        order = np.argsort(self.places)
        return self.places[order], self.volatilities[order]

    def starts(self, known: SviSlice | None) -> list[Vector]:
        """Where to begin: the slice before, a round one, and one tilted to each side."""
        rows = []
        if known is not None:
            scale = self.years / known.years
            lowest, b, rho, m, sigma = _parameters(known)
            rows.append((lowest * scale, b * scale, rho, m, sigma))
        for tilt, rounding in _STARTS:
            sigma = max(rounding * self.deviation_at_money, 1e-3)
            slope = 0.5 * self.deviation_at_money
            rows.append((max(self.at_money - slope * sigma, 0.5 * self.at_money), slope, tilt, 0.0, sigma))
        return [self._inside(row) for row in rows]

    def _inside(self, row: Sequence[float]) -> Vector:
        low, high = np.array(self.lower), np.array(self.upper)
        inside: Vector = np.clip(np.array(row), low + _MARGIN * (high - low), high - _MARGIN * (high - low))
        return inside

    def search(self, begin: Vector) -> SviSlice | None:
        """Fit the quotes alone; None where the search ends at no slice."""
        return self._searched(
            self._misses,
            begin,
            jac=self._slopes,
            ftol=_TOLERANCE,
            xtol=_TOLERANCE,
            gtol=_TOLERANCE,
            max_nfev=_MAX_EVALUATIONS,
        )

    def search_beside(self, smile: SviSlice) -> SviSlice | None:
        """Fit again from `smile` on, with what negative density and crossings cost."""
        begin = self._inside(_parameters(smile))
        return self._searched(self._costs, begin, max_nfev=_MAX_COSTLY_EVALUATIONS)

    def _searched(self, residuals: Callable[[Vector], Vector], begin: Vector, **options: Any) -> SviSlice | None:
        try:
            found = least_squares(
                residuals,
                begin,
                bounds=(self.lower, self.upper),
                x_scale=np.maximum(np.abs(begin), 1e-3),
                loss="soft_l1",
                f_scale=_LOSS_SCALE,
                **options,
            )
        except (ValueError, np.linalg.LinAlgError):
            # Quotes that overflow, or a decomposition that does not converge: no slice, like any other bad book.
            return None
        return self._slice(found.x)

    def is_pressed(self, smile: SviSlice) -> bool:
        """Whether density is negative or a neighbour is crossed somewhere."""
        costs = self._costs(np.array(_parameters(smile)))[len(self.places) :]
        return bool((costs < 0.0).any())

    def _slice(self, x: Vector) -> SviSlice | None:
        lowest, b, rho, m, sigma = (float(value) for value in x)
        try:
            return SviSlice(
                a=lowest - b * sigma * math.sqrt(1.0 - rho * rho), b=b, rho=rho, m=m, sigma=sigma, years=self.years
            )
        except ValueError:
            return None

    def deviation(self, smile: SviSlice) -> float:
        """Weighted root mean square of fitted less quoted volatility, wild points cut off at the loss's scale."""
        fitted = np.array([math.sqrt(smile.raw_variance(float(at)) / self.years) for at in self.places])
        misses = np.minimum(np.abs(fitted - self.volatilities), 10.0 * _LOSS_SCALE)
        return math.sqrt(float((self.weights * misses**2).sum()))

    def _misses(self, x: Vector) -> Vector:
        variance, _, _ = _shape(x, self.places)
        return self.roots * (np.sqrt(variance / self.years) - self.volatilities)

    def _slopes(self, x: Vector) -> NDArray[np.float64]:
        """Derivatives of the misses by the five parameters."""
        _, b, rho, m, sigma = x
        variance, _, _ = _shape(x, self.places)
        offset, tilted = self.places - m, math.sqrt(1.0 - rho * rho)
        root = np.sqrt(offset**2 + sigma**2)
        columns = (
            np.ones_like(offset),
            rho * offset + root - sigma * tilted,
            b * (offset + sigma * rho / tilted),
            -b * (rho + offset / root),
            b * (sigma / root - tilted),
        )
        return np.stack(columns, axis=1) * (self.roots / (2.0 * np.sqrt(variance * self.years)))[:, None]

    def _costs(self, x: Vector) -> Vector:
        """Misses, then what lies on the wrong side: below 0 where it does."""
        places = self._reached(x)
        variance, slope, bend = _shape(x, places)
        density = (1.0 - places * slope / (2.0 * variance)) ** 2
        density += bend / 2.0 - slope**2 / 4.0 * (1.0 / variance + 0.25)
        parts = [self._misses(x), _PENALTY * np.minimum(density - _DENSITY_MARGIN, 0.0)]
        if self.floor is not None or self.ceiling is not None:
            variance, _, _ = _shape(x, self.watched)
        if self.floor is not None:
            parts.append(_PENALTY * np.minimum(variance - self.floor, 0.0) / self.at_money)
        if self.ceiling is not None:
            parts.append(_PENALTY * np.minimum(self.ceiling - variance, 0.0) / self.at_money)
        return np.concatenate(parts)


def _shape(x: Vector, places: Vector) -> tuple[Vector, Vector, Vector]:
    """Total variance with its first and second derivative."""
    lowest, b, rho, m, sigma = x
    offset = places - m
    root = np.sqrt(offset**2 + sigma**2)
    variance = lowest + b * (rho * offset + root - sigma * math.sqrt(1.0 - rho * rho))
    return np.maximum(variance, _LOWEST), b * (rho + offset / root), b * sigma**2 / root**3


def _parameters(smile: SviSlice) -> tuple[float, float, float, float, float]:
    lowest = smile.a + smile.b * smile.sigma * math.sqrt(1.0 - smile.rho * smile.rho)
    return lowest, smile.b, smile.rho, smile.m, smile.sigma


def agreement_of(points: Sequence[QuotedVolatility], smile: SviSlice) -> float:
    """Share of the points whose bid and ask volatility hold the slice, or that it misses by half a point at most."""
    held = 0
    for point in points:
        fitted = math.sqrt(smile.raw_variance(point.log_moneyness) / smile.years)
        held += point.bid <= fitted <= point.ask or abs(fitted - point.mid) <= _LOSS_SCALE / 2.0
    return held / len(points)
