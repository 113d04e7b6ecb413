"""The mark of a perpetual (risk.md 3.2): median of three views, clamped to the index; and its two moving averages.

Floats: the average decays with exp, so this side proposes and the result is journaled as an integer. Prices are USDC
per unit, times seconds. Sources without a price are None; nothing invalid enters an average.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = [
    "AGAINST_INDEX_S",
    "BOOK_S",
    "BookPrices",
    "MarkInputs",
    "MovingAverage",
    "perpetual_mark",
    "weighted_middle",
]

AGAINST_INDEX_S: Final = 150.0
"""Window of the average of book less index."""
BOOK_S: Final = 30.0
"""Window of the book's average that stands in for missing outside prices."""


class MovingAverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Exponentially weighted average over irregular steps: `num / den`, both decaying with `exp(-t / window)`."""

    window_s: float
    numerator: float = 0.0
    denominator: float = 0.0

    def after(self, value: float, elapsed_s: float) -> "MovingAverage":
        """Average with `value` held for `elapsed_s` >= 0. Raises ValueError for numbers that are not finite."""
        if not (math.isfinite(value) and math.isfinite(elapsed_s) and elapsed_s >= 0.0):
            raise ValueError(f"value {value} for {elapsed_s} s: must be finite, and time not negative")
        kept = math.exp(-elapsed_s / self.window_s)
        return MovingAverage(
            window_s=self.window_s,
            numerator=self.numerator * kept + value * elapsed_s,
            denominator=self.denominator * kept + elapsed_s,
        )

    @property
    def value(self) -> float | None:
        """The average; None before any time passed."""
        return self.numerator / self.denominator if self.denominator > 0.0 else None


class BookPrices(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask of our book and the last trade; None where there is none."""

    bid: float | None = None
    ask: float | None = None
    last: float | None = None

    def middle(self) -> float | None:
        """Median of bid, ask and last; the mean of two, the only one, or None. What is no price does not count."""
        known = sorted(price for price in (self.bid, self.ask, self.last) if price is not None and _is_price(price))
        return _middle(known)


class MarkInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a mark is made of. `basis` averages book less index, `book_average` the book's middle."""

    index: float
    book: BookPrices
    basis: MovingAverage
    book_average: MovingAverage
    outside: tuple[tuple[float, float], ...] = ()
    """(price, weight) of perpetuals elsewhere."""


def perpetual_mark(inputs: MarkInputs, *, clamp: float) -> float:
    """Median of index plus average basis, the book, and the outside; clamped to index x (1 +- clamp).

    With only two of the three the book's 30 s average is the third. With an index alone the mark is the index. Raises
    ValueError for an index that is no price.
    """
    if not _is_price(inputs.index):
        raise ValueError(f"index {inputs.index}: must be a positive price")
    basis = inputs.basis.value
    views = [None if basis is None else inputs.index + basis, inputs.book.middle(), weighted_middle(inputs.outside)]
    known = [view for view in views if view is not None]
    if len(known) == 2 and inputs.book_average.value is not None:
        known.append(inputs.book_average.value)
    middle = _middle(sorted(known))
    low, high = inputs.index * (1.0 - clamp), inputs.index * (1.0 + clamp)
    return inputs.index if middle is None else min(max(middle, low), high)


def weighted_middle(prices: Sequence[tuple[float, float]]) -> float | None:
    """Weighted median of (price, weight); between two halves their mean; None without a usable price."""
    rows = sorted(row for row in prices if _is_price(row[0]) and row[1] > 0.0)
    half = sum(weight for _, weight in rows) / 2.0
    below = 0.0
    for place, (price, weight) in enumerate(rows):
        below += weight
        if below == half:
            return (price + rows[place + 1][0]) / 2.0
        if below > half:
            return price
    return None


def _is_price(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


def _middle(ordered: Sequence[float]) -> float | None:
    if not ordered:
        return None
    place = len(ordered) // 2
    return ordered[place] if len(ordered) % 2 else (ordered[place - 1] + ordered[place]) / 2.0
