"""The index of an underlying from several sources (risk.md 3.1): weighted median, cap, confidence; integers only.

Prices have one unit of the caller's choice, fractions are in 1e-6 (ppm), times in nanoseconds. The function is pure:
what a source says and how old it is comes as an argument, what the last ticks were is in `IndexState`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.money import ceil_div, floor_div

__all__ = [
    "IndexParameters",
    "IndexState",
    "IndexTick",
    "Source",
    "capped_prices",
    "has_majority",
    "live_sources",
    "next_index",
    "weighted_median",
]

_PPM: Final = 10**6


class Source(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One venue's price and its age; `price` None or <= 0: it has none."""

    price: int | None
    age_ns: int
    weight: int = 1


class IndexParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Our values for majors; others use 30 s and 1 %."""

    cap_ppm: int = 5_000
    oldest_ns: int = 10 * 10**9
    full_dispersion_ppm: int = 20_000
    """Dispersion at which nothing of the confidence is left."""
    fewest: int = 3
    """Below this many live sources the confidence is at most a half."""
    halt_below: int = 2
    halt_after_ns: int = 60 * 10**9
    good_ticks: int = 3
    """Consecutive good ticks after a halt, or beyond a jump, before the price is used again."""
    jump_ppm: int = 100_000


class IndexState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the next tick must know: the last accepted price and its time, the halt, and counts of ticks."""

    price: int = 0
    time_ns: int = 0
    is_halted: bool = True
    good: int = 0
    jumped: int = 0


class IndexTick(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The price to use (0: none yet), its confidence in ppm, whether the market is halted, and the next state."""

    price: int
    confidence_ppm: int
    is_halted: bool
    state: IndexState


def weighted_median(prices: Sequence[tuple[int, int]]) -> int:
    """Median of (price, weight): the lowest price with half of the weight at or below; between two, their mean (floor).

    Raises ValueError without positive weight.
    """
    total = sum(weight for _, weight in prices)
    if total <= 0 or any(weight < 0 for _, weight in prices):
        raise ValueError("a median needs positive weights")
    rows = sorted(row for row in prices if row[1])
    below = 0
    for place, (price, weight) in enumerate(rows):
        below += weight
        if 2 * below == total:
            return floor_div(price + rows[place + 1][0], 2)
        if 2 * below > total:
            return price
    raise AssertionError("unreachable: the weights add up")


def capped_prices(prices: Sequence[int], *, median: int, cap: int, one: int) -> tuple[int, ...]:
    """Each price drawn into `median x (1 +- cap)`, bounds rounded inward; `cap` over `one`."""
    low, high = ceil_div(median * (one - cap), one), floor_div(median * (one + cap), one)
    return tuple(max(low, min(high, price)) for price in prices)


def live_sources(sources: Sequence[Source], parameters: IndexParameters) -> list[Source]:
    """Those that have a price, are young enough, and count."""
    priced = [row for row in sources if row.price is not None and row.price > 0 and row.weight > 0]
    return [row for row in priced if row.age_ns <= parameters.oldest_ns]


def has_majority(live: Sequence[Source], parameters: IndexParameters) -> bool:
    """Whether more than half of the weight is within full dispersion of the median: two camps are no market.

    Raises ValueError without weight.
    """
    rows = [(row.price or 0, row.weight) for row in live]
    median = weighted_median(rows)
    near = sum(
        weight for price, weight in rows if abs(price - median) * _PPM <= parameters.full_dispersion_ppm * median
    )
    return 2 * near > sum(weight for _, weight in rows)


def next_index(sources: Sequence[Source], state: IndexState, *, now_ns: int, parameters: IndexParameters) -> IndexTick:
    """One tick of the index. Holds the last price through a halt or an unconfirmed jump; never invents one."""
    live = live_sources(sources, parameters)
    if len(live) < parameters.halt_below:
        return _hold(state)
    prices = [row.price or 0 for row in live]
    median = weighted_median([(row.price or 0, row.weight) for row in live])
    capped = capped_prices(prices, median=median, cap=parameters.cap_ppm, one=_PPM)
    weight = sum(row.weight for row in live)
    price = floor_div(sum(value * row.weight for value, row in zip(capped, live, strict=True)), weight)
    confidence = _confidence(prices, median, len(live), len(sources), parameters)
    return _accept(price, confidence, state, now_ns, parameters)


def _hold(state: IndexState) -> IndexTick:
    """Too few sources: the last price stands without confidence, and halts the market at once."""
    following = IndexState(price=state.price, time_ns=state.time_ns, is_halted=True)
    return IndexTick(price=state.price, confidence_ppm=0, is_halted=True, state=following)


def _confidence(prices: Sequence[int], median: int, live: int, configured: int, parameters: IndexParameters) -> int:
    """`min(1, live / configured) x max(0, 1 - dispersion / 2 %)` in ppm, rounded down."""
    dispersion = max(abs(price - median) for price in prices)
    left = max(0, parameters.full_dispersion_ppm * median - dispersion * _PPM)
    found = floor_div(_PPM * live * left, configured * parameters.full_dispersion_ppm * median)
    return min(found, floor_div(_PPM, 2)) if live < parameters.fewest else found


def _accept(price: int, confidence: int, state: IndexState, now_ns: int, parameters: IndexParameters) -> IndexTick:
    """Use the price, unless it jumped and too few ticks confirm it; a halt ends after enough good ticks."""
    is_late = state.is_halted or now_ns - state.time_ns > parameters.halt_after_ns
    jumped = bool(state.price) and abs(price - state.price) * _PPM > parameters.jump_ppm * state.price
    if jumped and state.jumped + 1 < parameters.good_ticks:
        held = IndexState(price=state.price, time_ns=state.time_ns, is_halted=is_late, jumped=state.jumped + 1)
        return IndexTick(price=state.price, confidence_ppm=0, is_halted=is_late, state=held)
    good = state.good + 1 if state.is_halted else 1
    is_halted = is_late and good < parameters.good_ticks
    following = IndexState(price=price, time_ns=now_ns, is_halted=is_halted, good=good)
    return IndexTick(price=price, confidence_ppm=confidence, is_halted=is_halted, state=following)
