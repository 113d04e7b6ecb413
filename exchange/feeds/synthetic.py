"""Seeded index prices: a geometric walk without drift, one step per call, the same for the same seed and times.

Nothing here reads a clock or an unseeded source: randomness comes from the `random.Random` that is handed in, and
`advance` is told how much time passed.
"""

import math
from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec

from exchange.domain.commands import UnderlyingRow

__all__ = ["START_PRICES_E9", "SyntheticIndex", "Walk"]

_SECONDS_PER_YEAR: Final = 365 * 86_400
_LONGEST_STEP_S: Final = 60.0
"""A gap in time (a stopped machine) moves the price like one minute at most."""
_CENT_E9: Final = 10_000_000


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """One underlying: first price in 1e-9 USDC and yearly volatility as a fraction."""

    start_e9: int
    volatility: float


_WALKS: Final = {
    "BTC": Walk(start_e9=84_000 * 10**9, volatility=0.55),
    "ETH": Walk(start_e9=2_800 * 10**9, volatility=0.70),
}
START_PRICES_E9: Final = {name: walk.start_e9 for name, walk in _WALKS.items()}
"""Initial index of each underlying in 1e-9 USDC; the catalogue's strikes stand around it."""


class SyntheticIndex:
    """Index prices of all underlyings. Prices are whole cents, at least one."""

    def __init__(self, source: Random, walks: Mapping[str, Walk] = _WALKS) -> None:
        self._source = source
        self._walks = dict(walks)
        self._prices_e9 = {name: walk.start_e9 for name, walk in self._walks.items()}

    @classmethod
    def seeded(cls, seed: int) -> "SyntheticIndex":
        """Build the demo's index for `seed`."""
        return cls(Random(f"index {seed}"))  # noqa: S311 - a reproducible walk, no secret

    @property
    def prices_e9(self) -> dict[str, int]:
        """Current prices in 1e-9 USDC, by underlying."""
        return dict(self._prices_e9)

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Go on from prices that were published before; unknown names and zeros are ignored."""
        self._prices_e9 |= {name: price for name, price in prices_e9.items() if name in self._walks and price > 0}

    def rows(self, now_ns: int) -> tuple[UnderlyingRow, ...]:  # noqa: ARG002 - an index asks its venues as of a time
        """Prices as rows of a price command, of one source that is sure of itself."""
        return tuple(UnderlyingRow(name, price) for name, price in self._prices_e9.items())

    def advance(self, elapsed_s: float) -> dict[str, int]:
        """Walk on by `elapsed_s` seconds (at most 60 count) and return the new prices."""
        years = min(max(elapsed_s, 0.0), _LONGEST_STEP_S) / _SECONDS_PER_YEAR
        for name, walk in self._walks.items():
            deviation = walk.volatility * math.sqrt(years)
            factor = math.exp(deviation * self._source.gauss(0.0, 1.0) - deviation * deviation / 2.0)
            cents = round(self._prices_e9[name] * factor / _CENT_E9)
            self._prices_e9[name] = max(cents, 1) * _CENT_E9
        return self.prices_e9
