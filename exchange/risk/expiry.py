"""Expiry (risk.md 5.5): the averaged settlement price, and what options and dated futures pay; integers only.

Prices have one unit of the caller's choice; times are nanoseconds. An average is rounded to the nearest, ties down:
it has no side. Cash is rounded down for every account; the clearing account takes the exact opposite of what was paid.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.money import floor_div

__all__ = [
    "WINDOW_NS",
    "Sample",
    "SettlementPrice",
    "average_of_sums",
    "cash_value",
    "payoff",
    "settlement_price",
]

WINDOW_NS: Final = 1_800 * 10**9
"""The last half hour is averaged."""
_COVERAGE_PPM: Final = 900_000
_PPM: Final = 10**6


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An index price that held from `start_ns` to `end_ns`; a gap in the feed is a gap between samples."""

    start_ns: int
    end_ns: int
    price: int


class SettlementPrice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The price, the time that was really covered, and whether the window had to reach further back."""

    price: int
    covered_ns: int
    is_disputed: bool


def settlement_price(
    samples: Sequence[Sample], *, expiry_ns: int, window_ns: int = WINDOW_NS, coverage_ppm: int = _COVERAGE_PPM
) -> SettlementPrice | None:
    """Average of the samples over their own durations; `samples` ascend and do not overlap.

    With less than 90 % of the window covered the window reaches back until so much is, and the price is disputed. None
    when the samples do not hold enough. Raises ValueError for a price that is not positive or samples out of order.
    """
    _check(samples)
    needed = -floor_div(-window_ns * coverage_ppm, _PPM)
    inside = _covered(samples, expiry_ns - window_ns, expiry_ns)
    if inside >= needed:
        return _average(samples, expiry_ns - window_ns, expiry_ns, is_disputed=False)
    start_ns = _reach_back(samples, expiry_ns, needed)
    return None if start_ns is None else _average(samples, start_ns, expiry_ns, is_disputed=True)


def average_of_sums(*, start_sum: int, end_sum: int, duration: int) -> int:
    """Average price between two readings of a running sum of price x time, to the nearest, ties down."""
    return _nearest(end_sum - start_sum, duration)


def payoff(*, settlement: int, strike: int, is_call: bool) -> int:
    """What one option pays per unit: max(+-(settlement - strike), 0). Exact."""
    return max(settlement - strike if is_call else strike - settlement, 0)


def cash_value(*, amount: int, per_unit: int, one: int) -> int:
    """Cash of a position of `amount` over `one`: amount x payoff, rounded down, against the account on either side."""
    return floor_div(amount * per_unit, one)


def _check(samples: Sequence[Sample]) -> None:
    last_ns = None
    for sample in samples:
        if sample.price <= 0:
            raise ValueError(f"price {sample.price}: must be positive")
        if sample.end_ns <= sample.start_ns or (last_ns is not None and sample.start_ns < last_ns):
            raise ValueError("samples must ascend and not overlap")
        last_ns = sample.end_ns


def _overlap(sample: Sample, start_ns: int, end_ns: int) -> int:
    return max(0, min(sample.end_ns, end_ns) - max(sample.start_ns, start_ns))


def _covered(samples: Sequence[Sample], start_ns: int, end_ns: int) -> int:
    return sum(_overlap(sample, start_ns, end_ns) for sample in samples)


def _reach_back(samples: Sequence[Sample], expiry_ns: int, needed_ns: int) -> int | None:
    """Latest start from which `needed_ns` before the expiry are covered."""
    covered = 0
    for sample in reversed(samples):
        part = _overlap(sample, sample.start_ns, expiry_ns)
        if covered + part >= needed_ns:
            return min(sample.end_ns, expiry_ns) - (needed_ns - covered)
        covered += part
    return None


def _average(samples: Sequence[Sample], start_ns: int, end_ns: int, *, is_disputed: bool) -> SettlementPrice:
    covered = _covered(samples, start_ns, end_ns)
    total = sum(sample.price * _overlap(sample, start_ns, end_ns) for sample in samples)
    return SettlementPrice(price=_nearest(total, covered), covered_ns=covered, is_disputed=is_disputed)


def _nearest(numerator: int, denominator: int) -> int:
    return floor_div(2 * numerator + denominator - 1, 2 * denominator)
