"""Realized volatility of a price series: what was, beside the implied volatility of what is expected."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["realized_volatility"]

_YEAR_S: Final = 365.0 * 86_400.0


def realized_volatility(samples: Sequence[tuple[float, float]]) -> float | None:
    """Yearly volatility, as a fraction, of a series of (Unix seconds, price).

    The root of the summed squared log returns over the time from first to last sample, in years of 365 days. Without a
    mean (what a variance swap pays), so steps may be unequal and a gap counts as its one return. None with fewer than
    two samples. Raises ValueError for a price that is not finite and above 0, or times that do not rise.
    """
    for at_s, price in samples:
        if not (math.isfinite(at_s) and math.isfinite(price) and price > 0.0):
            raise ValueError(f"sample ({at_s}, {price}): the time must be finite and the price above 0")
    if any(before[0] >= after[0] for before, after in pairwise(samples)):
        raise ValueError("the times of the samples must rise")
    if len(samples) < 2:
        return None
    squares = math.fsum(math.log(after[1] / before[1]) ** 2 for before, after in pairwise(samples))
    return math.sqrt(squares * _YEAR_S / (samples[-1][0] - samples[0][0]))
