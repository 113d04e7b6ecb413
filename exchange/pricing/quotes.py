"""Best quotes of a chain as the volatility products read them, and their volatilities (risk.md 5.3 and 5.4).

Prices are USDC per unit of the underlying, volatilities fractions, `years` of 365 days. A quote that cannot be read
(one-sided, crossed, without size, not a number) never becomes a volatility; it is left out and nothing is raised.
"""

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from exchange.pricing.black76 import Option, greeks, implied_volatility

__all__ = ["OptionQuote", "QuotedVolatility", "quoted_volatilities", "volatility_e9"]

WIDEST_SPREAD: Final = 0.10
"""Quotes wider than this many volatility points (0.10 = ten) say too little to be fitted. Ours."""
_NARROWEST_SPREAD: Final = 0.001
"""No quote weighs more than one of a tenth of a point: a locked pair must not decide alone."""
_E9: Final = 1e9


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


def volatility_e9(
    *, is_call: bool, price_e9: int, forward_e9: int, strike_e9: int, seconds_left: int, tick_e9: int
) -> int | None:
    """Volatility in 1e-9 of a price in 1e-9 USDC, undiscounted, rounded to the nearest; None where there is none.

    For whoever keeps integers: the floats stay inside.
    """
    try:
        option = Option(
            is_call=is_call,
            forward=forward_e9 / _E9,
            strike=strike_e9 / _E9,
            years=seconds_left / (365.0 * 86_400.0),
        )
    except ValueError:
        return None
    found = implied_volatility(option, price_e9 / _E9, lowest_value=tick_e9 / _E9 / 2.0)
    return None if found is None else round(found * _E9)


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
