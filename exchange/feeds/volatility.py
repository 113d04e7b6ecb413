"""Seeded volatility surfaces for the demo: one SVI slice per expiry whose level wanders slowly."""

import math
from random import Random
from typing import Final

from exchange.pricing.opinion import SmileShape, plain_smile
from exchange.pricing.smile import SviSlice

__all__ = ["SeededSurface"]

_LEVELS: Final = {"BTC": 0.52, "ETH": 0.68}
_DEFAULT_LEVEL: Final = 0.6
_PULL_PER_S: Final = 1.0 / 3_600.0
_NOISE_PER_ROOT_S: Final = 0.0004
_LONGEST_STEP_S: Final = 60.0


class SeededSurface:
    """At-the-money level per underlying (mean reverting around a seeded base), with skew and wings by expiry."""

    def __init__(self, source: Random, underlyings: tuple[str, ...] = tuple(_LEVELS)) -> None:
        self._source = source
        self._base = {name: _LEVELS.get(name, _DEFAULT_LEVEL) * source.uniform(0.95, 1.05) for name in underlyings}
        self._skew = {name: source.uniform(-0.45, -0.15) for name in underlyings}
        self._level = dict(self._base)

    @classmethod
    def seeded(cls, seed: int) -> "SeededSurface":
        """Build the demo's surface for `seed`."""
        return cls(Random(f"volatility {seed}"))  # noqa: S311 - a reproducible walk, no secret

    def advance(self, elapsed_s: float) -> None:
        """Let the levels wander for `elapsed_s` seconds (at most 60 count)."""
        step_s = min(max(elapsed_s, 0.0), _LONGEST_STEP_S)
        for name, base in self._base.items():
            pull = (base - self._level[name]) * _PULL_PER_S * step_s
            noise = self._source.gauss(0.0, 1.0) * _NOISE_PER_ROOT_S * math.sqrt(step_s)
            self._level[name] = min(max(self._level[name] + pull + noise, 0.6 * base), 1.6 * base)

    def slice(self, underlying: str, years: float) -> SviSlice:
        """Return the smile of an expiry: its bottom near the money, steeper for near expiries."""
        return plain_smile(SmileShape(self._level[underlying], self._skew[underlying]), years)
