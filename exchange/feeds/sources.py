"""What one venue says of a price, and what of it counts (risk.md 3.1): the book's middle, or else the last trade.

Everything from outside passes `price_e9`: text, integers, floats and decimals become integers in 1e-9 USDC, and what is
no price (zero, negative, NaN, infinite, absurd, not a number) becomes None. Nothing here reads a clock.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final, Protocol

import msgspec

from exchange.domain.limits import MAX_MONEY_E6
from exchange.risk.index import Source

__all__ = ["IndexSource", "TopOfBook", "price_e9", "source_of"]

_SPREAD_MAX_PPM: Final = 10_000
_PPM: Final = 1_000_000
_TRADE_LIFE_NS: Final = 10_000_000_000
_AHEAD_MAX_NS: Final = 1_000_000_000
"""A venue's clock may be ahead of ours by a second; what comes from later is not believed."""


class TopOfBook(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Best prices and last trade of one venue in 1e-9 USDC with the venue's times (Unix ns); None: it has none."""

    bid_e9: int | None = None
    ask_e9: int | None = None
    book_ns: int = 0
    last_e9: int | None = None
    last_ns: int = 0


class IndexSource(Protocol):
    """A venue. Whoever runs the feed calls `advance` before each tick; live and recorded venues move by themselves."""

    name: str
    weight: int

    def advance(self, elapsed_s: float) -> None:
        """Let time pass."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Go on from an index that was published before."""

    def tops(self, now_ns: int) -> Mapping[str, TopOfBook]:
        """What the venue says at a Unix time in nanoseconds, by underlying."""


def price_e9(value: object) -> int | None:
    """A positive price in 1e-9 USDC, rounded half to even, from text or any number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value))
        if not number.is_finite() or number.adjusted() > 18:
            return None
        scaled = int(number.scaleb(9).to_integral_value(ROUND_HALF_EVEN))
    except InvalidOperation:
        return None
    return scaled if 0 < scaled <= MAX_MONEY_E6 else None


def source_of(top: TopOfBook | None, *, weight: int, now_ns: int) -> Source:
    """Middle of an uncrossed book whose spread is at most 1 % of it (floor), else a trade of the last ten seconds."""
    nothing = Source(price=None, age_ns=0, weight=weight)
    if top is None:
        return nothing
    if top.bid_e9 and top.ask_e9 and 0 < top.bid_e9 <= top.ask_e9 and top.book_ns - now_ns <= _AHEAD_MAX_NS:
        middle_e9 = (top.bid_e9 + top.ask_e9) // 2
        if (top.ask_e9 - top.bid_e9) * _PPM <= _SPREAD_MAX_PPM * middle_e9:
            return Source(price=middle_e9, age_ns=now_ns - top.book_ns, weight=weight)
    if top.last_e9 is None or not -_AHEAD_MAX_NS <= now_ns - top.last_ns <= _TRADE_LIFE_NS:
        return nothing
    return Source(price=top.last_e9, age_ns=now_ns - top.last_ns, weight=weight)
