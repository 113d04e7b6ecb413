"""Forward of an expiry from its options: put-call parity at the strikes around the money (risk.md 5.1).

`C - P = D (F - K)`, so every strike with two-sided calls and puts names a forward; their regression over the money and
three strikes on each side is the forward of the book. A book that contradicts itself has none.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from exchange.pricing.quotes import OptionQuote

__all__ = ["ParityForward", "external_forward", "forward_by_parity"]

_STRIKES_A_SIDE: Final = 3
_FEWEST_STRIKES: Final = 3
_LEAST_AGREEMENT: Final = 2.0 / 3.0
_LOWEST_DISCOUNT: Final = 0.5
_FURTHEST: Final = 0.02
_FURTHEST_PER_YEAR: Final = 1.0


class ParityForward(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A forward in USDC, the discount it goes with, and how many strikes of those asked agreed on it."""

    forward: float
    discount: float
    strikes: int
    agreement: float
    """Share of the strikes whose own bounds hold this forward."""


class _Pair(msgspec.Struct, frozen=True, gc=False):
    strike: float
    middle: float
    """Middle of call less put."""
    width: float

    def forward(self, discount: float) -> float:
        return self.strike + self.middle / discount

    def weight(self) -> float:
        return 1.0 / (self.width * self.width)


def forward_by_parity(
    quotes: Iterable[OptionQuote], *, near: float, years: float, discount: float | None = 1.0
) -> ParityForward | None:
    """Forward of a chain, or None when the book does not name one.

    `near`: where the money is looked for (the index, or the last forward). `discount` is given, or None to take the
    slope of the regression for it. Needs three strikes of the money +-3 with both options two-sided; two thirds of them
    must hold the forward within their own bid and ask (so half of the book cannot move it), and it may lie at most
    100 % a year, and never less than 2 %, from `near`. Raises ValueError for a `near` or time that is no number.
    """
    if not (math.isfinite(near) and near > 0.0 and math.isfinite(years) and years >= 0.0):
        raise ValueError(f"near {near}, years {years}: must be a price and a time")
    pairs = _around(_pairs(quotes), near)
    if len(pairs) < _FEWEST_STRIKES:
        return None
    slope = _regressed_discount(pairs) if discount is None else discount
    if slope is None or not _LOWEST_DISCOUNT < slope <= 1.0:
        return None
    agreeing = _agreeing(pairs, slope)
    agreement = len(agreeing) / len(pairs)
    if agreement < _LEAST_AGREEMENT or len(agreeing) < _FEWEST_STRIKES:
        return None
    total = sum(pair.weight() for pair in agreeing)
    # Around `near`, because a weighted mean of large numbers loses what their differences have.
    forward = near + sum(pair.weight() * (pair.forward(slope) - near) for pair in agreeing) / total
    if not forward > 0.0 or abs(math.log(forward / near)) > max(_FURTHEST, _FURTHEST_PER_YEAR * years):
        return None
    return ParityForward(forward=forward, discount=slope, strikes=len(agreeing), agreement=agreement)


def external_forward(spot: float, rate: float, years: float) -> float:
    """`S exp(f T)`, where no book names a forward. Raises ValueError for what is not finite or a spot of 0 or less."""
    if not (spot > 0.0 and all(math.isfinite(value) for value in (spot, rate, years))):
        raise ValueError(f"spot {spot}, rate {rate}, years {years}: must be finite, the spot above 0")
    return spot * math.exp(rate * years)


def _pairs(quotes: Iterable[OptionQuote]) -> list[_Pair]:
    """Strikes where call and put are two-sided; a strike that is quoted twice is not trusted at all."""
    sides: dict[tuple[float, bool], list[OptionQuote]] = {}
    for quote in quotes:
        if quote.is_two_sided:
            sides.setdefault((quote.strike, quote.is_call), []).append(quote)
    pairs = []
    for strike in sorted({strike for strike, _ in sides}):
        calls, puts = sides.get((strike, True), []), sides.get((strike, False), [])
        if len(calls) == 1 and len(puts) == 1:
            call, put = calls[0], puts[0]
            width = (call.ask - call.bid) + (put.ask - put.bid)
            pairs.append(_Pair(strike, call.middle - put.middle, width))
    return pairs


def _around(pairs: Sequence[_Pair], near: float) -> list[_Pair]:
    """The strike nearest to the money and up to three on each side of it."""
    if not pairs:
        return []
    place = min(range(len(pairs)), key=lambda at: abs(pairs[at].strike - near))
    return list(pairs[max(place - _STRIKES_A_SIDE, 0) : place + _STRIKES_A_SIDE + 1])


def _regressed_discount(pairs: Sequence[_Pair]) -> float | None:
    """Less the median slope of all pairs of strikes (Theil and Sen): a third of wild strikes does not bend it."""
    slopes = sorted(
        (low.middle - high.middle) / (high.strike - low.strike)
        for place, low in enumerate(pairs)
        for high in pairs[place + 1 :]
    )
    slope = _median(slopes)
    # The last bits of a slope that is one.
    return min(slope, 1.0) if math.isfinite(slope) and slope <= 1.0 + 1e-3 else None


def _agreeing(pairs: Sequence[_Pair], discount: float) -> list[_Pair]:
    """Strikes whose bounds hold the median forward."""
    middle = _median(sorted(pair.forward(discount) for pair in pairs))
    return [pair for pair in pairs if abs(pair.forward(discount) - middle) <= pair.width / (2.0 * discount)]


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0
