"""Best quotes of a chain as the volatility products read them, and their volatilities (risk.md 5.3 and 5.4).

Prices are USDC per unit of the underlying, volatilities fractions, `years` of 365 days. A quote that cannot be read
(one-sided, crossed, without size, not a number) never becomes a volatility; it is left out and nothing is raised.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from exchange.pricing.black76 import Option, greeks, implied_volatility
from exchange.pricing.chains import Chain, implied_volatilities

__all__ = ["OptionQuote", "QuotedVolatility", "quoted_volatilities", "volatilities_e9"]

WIDEST_SPREAD: Final = 0.10
"""Quotes wider than this many volatility points (0.10 = ten) say too little to be fitted. Ours."""
_NARROWEST_SPREAD: Final = 0.001
"""No quote weighs more than one of a tenth of a point: a locked pair must not decide alone."""
_E9: Final = 1e9
_YEAR_NS: Final = 365.0 * 86_400.0 * 1e9


class OptionQuote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask of one option, with their sizes in units of the underlying; 0 for a side that is not there."""

    is_call: bool
    strike: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float

    @property
    def is_two_sided(self) -> bool:
        """Whether both sides are finite prices with size, the bid below the ask, at a strike that is a price."""
        values = (self.strike, self.bid, self.ask, self.bid_size, self.ask_size)
        return all(math.isfinite(value) and value > 0.0 for value in values) and self.bid < self.ask

    @property
    def middle(self) -> float:
        """Mean of bid and ask."""
        return (self.bid + self.ask) / 2.0


class QuotedVolatility(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A two-sided quote in volatilities; `mid` is that of the middle price, `weight` = vega / spread^2 (risk.md 5.4).

    Vega is USDC per volatility point, the spread in volatility points.
    """

    is_call: bool
    strike: float
    log_moneyness: float
    bid: float
    mid: float
    ask: float
    weight: float

    @property
    def spread(self) -> float:
        """Ask less bid, a fraction (0.05 = five points)."""
        return self.ask - self.bid


def quoted_volatilities(
    quotes: Iterable[OptionQuote],
    *,
    forward: float,
    years: float,
    discount: float = 1.0,
    tick: float = 0.0,
    widest: float = WIDEST_SPREAD,
) -> list[QuotedVolatility]:
    """Volatilities of the quotes that have both sides within `widest`, in their order.

    A time value of half a `tick` or less has no volatility. Raises ValueError for a forward, discount or time that is
    none.
    """
    Option(is_call=True, forward=forward, strike=forward, years=years, discount=discount)
    rows = (_volatility(quote, forward, years, discount, tick) for quote in quotes if quote.is_two_sided)
    return [row for row in rows if row is not None and row.spread <= widest]


def volatilities_e9(
    rows: Sequence[tuple[bool, int, int]], *, forward_e9: int, left_ns: int, tick_e9: int
) -> list[int | None]:
    """Volatility in 1e-9 of each (is call, strike in 1e-9 USDC, price in 1e-9 USDC) of an expiry, undiscounted.

    Rounded to the nearest; None where a price has none: at or outside its bounds, or with half a tick of time value or
    less. For whoever keeps integers: the floats stay inside. All of a chain in one compiled call.
    """
    count = len(rows)
    chain = Chain(
        is_call=bytearray(is_call for is_call, _, _ in rows),
        forward=array("d", [forward_e9 / _E9]) * count,
        strike=array("d", [strike_e9 / _E9 for _, strike_e9, _ in rows]),
        years=array("d", [left_ns / _YEAR_NS]) * count,
        discount=array("d", [1.0]) * count,
    )
    values = array("d", [price_e9 / _E9 for _, _, price_e9 in rows])
    found = implied_volatilities(chain, values, lowest_value=tick_e9 / _E9 / 2.0)
    return [None if math.isnan(value) else round(value * _E9) for value in found]


def _volatility(
    quote: OptionQuote, forward: float, years: float, discount: float, tick: float
) -> QuotedVolatility | None:
    try:
        option = Option(is_call=quote.is_call, forward=forward, strike=quote.strike, years=years, discount=discount)
    except ValueError:
        return None
    found = [
        implied_volatility(option, value, lowest_value=tick / 2.0) for value in (quote.bid, quote.middle, quote.ask)
    ]
    bid, mid, ask = found
    if bid is None or mid is None or ask is None:
        return None
    points = max(ask - bid, _NARROWEST_SPREAD) * 100.0
    return QuotedVolatility(
        is_call=quote.is_call,
        strike=quote.strike,
        log_moneyness=math.log(quote.strike / forward),
        bid=bid,
        mid=mid,
        ask=ask,
        weight=greeks(option, mid).vega / (points * points),
    )
