"""A volatility index per underlying: the variance that a chain expects, without a model, over 30 days.

Cboe's construction (Volatility Index white paper): per expiry the out-of-the-money options weighted by dK / K^2, less
what the forward lies off the central strike; two expiries interpolated in total variance to the horizon. A listed chain
ends somewhere: what lies beyond its last strikes can be added from a fitted slice and is shown apart.

Prices are USDC per unit, variances per year of 365 days, volatilities fractions.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import SviSlice

__all__ = ["HORIZON_YEARS", "ChainPrice", "ExpiryVariance", "StripTerm", "expiry_variance", "index_volatility"]

HORIZON_YEARS: Final = 30.0 / 365.0
_FEWEST_A_SIDE: Final = 2
_MISSING_IN_A_ROW: Final = 2
_TAIL_REACH: Final = 12.0
"""Deviations from the money to where tails are summed."""
_TAIL_STEPS: Final = 400


class ChainPrice(msgspec.Struct, frozen=True, gc=False):
    """Prices of call and put at a strike; None for one that has none."""

    strike: float
    call: float | None
    put: float | None


class StripTerm(msgspec.Struct, frozen=True, gc=False):
    """One strike of the strip: its price, the interval of strikes that it stands for, and what it adds."""

    strike: float
    kind: str
    """put, call, or both at the central strike."""
    value: float
    interval: float
    contribution: float
    """dK / K^2 x value / discount, before the 2 / T."""


class ExpiryVariance(msgspec.Struct, frozen=True, kw_only=True):
    """Variance of one expiry in its parts: `variance = strip - correction + tails`, per year."""

    years: float
    forward: float
    center: float
    """Highest strike that is not above the forward."""
    terms: tuple[StripTerm, ...]
    strip: float
    correction: float
    """(F / K0 - 1)^2 / T."""
    low_tail: float
    high_tail: float

    @property
    def variance(self) -> float:
        """Expected variance per year."""
        return self.strip - self.correction + self.low_tail + self.high_tail


def expiry_variance(
    prices: Iterable[ChainPrice], *, forward: float, years: float, discount: float = 1.0, tails: SviSlice | None = None
) -> ExpiryVariance | None:
    """Expected variance of an expiry, or None where the chain has fewer than two options on a side of the forward.

    From the central strike outward; after two strikes in a row without a price the rest is not looked at. `tails`: the
    slice that says what options beyond the last strikes would cost; without it they count nothing. Raises ValueError
    for a forward, time, discount or price that is none.
    """
    if not (_is_price(forward) and _is_price(years) and 0.0 < discount <= 1.0):
        raise ValueError(f"forward {forward}, years {years}, discount {discount}: must be numbers above 0")
    rows = sorted(prices, key=lambda row: row.strike)
    _require_prices(rows)
    below = [row for row in rows if row.strike <= forward]
    if not below:
        return None
    center = below[-1]
    puts = _outward([(row.strike, row.put) for row in reversed(below[:-1])])
    calls = _outward([(row.strike, row.call) for row in rows if row.strike > center.strike])
    if len(puts) < _FEWEST_A_SIDE or len(calls) < _FEWEST_A_SIDE or center.call is None or center.put is None:
        return None
    strip = [(strike, "put", value) for strike, value in reversed(puts)]
    strip.append((center.strike, "both", (center.call + center.put) / 2.0))
    strip += [(strike, "call", value) for strike, value in calls]
    terms = _terms(strip, discount)
    off = forward / center.strike - 1.0
    low_edge = terms[0].strike - terms[0].interval / 2.0
    high_edge = terms[-1].strike + terms[-1].interval / 2.0
    return ExpiryVariance(
        years=years,
        forward=forward,
        center=center.strike,
        terms=tuple(terms),
        strip=2.0 / years * math.fsum(term.contribution for term in terms),
        correction=off * off / years,
        low_tail=0.0 if tails is None else _tail(tails, forward, low_edge, years, is_call=False),
        high_tail=0.0 if tails is None else _tail(tails, forward, high_edge, years, is_call=True),
    )


def index_volatility(near: ExpiryVariance, later: ExpiryVariance, *, horizon_years: float = HORIZON_YEARS) -> float:
    """Volatility over the horizon as a fraction: total variance interpolated in time between two expiries.

    Outside of them the line goes on. Raises ValueError unless `near` expires first and the variance there is above 0.
    """
    if not (near.years < later.years and _is_price(horizon_years)):
        raise ValueError(f"expiries at {near.years} and {later.years} years: the first must be nearer")
    part = (horizon_years - near.years) / (later.years - near.years)
    total = (1.0 - part) * near.years * near.variance + part * later.years * later.variance
    if not total > 0.0:
        raise ValueError(f"no variance at {horizon_years} years: the two expiries say {total}")
    return math.sqrt(total / horizon_years)


def _is_price(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


def _require_prices(rows: Sequence[ChainPrice]) -> None:
    for row in rows:
        values = [value for value in (row.call, row.put) if value is not None]
        if not _is_price(row.strike) or not all(math.isfinite(value) and value >= 0.0 for value in values):
            raise ValueError(f"{row}: strikes must be above 0, prices not below")
    if len({row.strike for row in rows}) != len(rows):
        raise ValueError("every strike may stand once")


def _outward(options: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Options that have a price, until two in a row have none."""
    found: list[tuple[float, float]] = []
    missing = 0
    for strike, value in options:
        missing = 0 if value else missing + 1
        if missing == _MISSING_IN_A_ROW:
            break
        if value:
            found.append((strike, value))
    return found


def _terms(strip: Sequence[tuple[float, str, float]], discount: float) -> list[StripTerm]:
    strikes = [strike for strike, _, _ in strip]
    last = len(strikes) - 1
    terms = []
    for place, (strike, kind, value) in enumerate(strip):
        low, high = strikes[max(place - 1, 0)], strikes[min(place + 1, last)]
        interval = (high - low) / (2.0 if 0 < place < last else 1.0)
        terms.append(StripTerm(strike, kind, value, interval, interval / (strike * strike) * value / discount))
    return terms


def _tail(smile: SviSlice, forward: float, edge: float, years: float, *, is_call: bool) -> float:
    """`2 / T` times the integral of price / K^2 beyond `edge`, in steps of ln K (trapezoids), undiscounted."""
    reach = _TAIL_REACH * math.sqrt(smile.variance(0.0))
    begin = math.log(edge / forward)
    end = max(begin, reach) if is_call else min(begin, -reach)
    step = (end - begin) / _TAIL_STEPS
    total = 0.0
    for place in range(_TAIL_STEPS + 1):
        strike = forward * math.exp(begin + place * step)
        option = Option(is_call=is_call, forward=forward, strike=strike, years=years)
        value = price(option, smile.volatility(strike=strike, forward=forward))
        total += value / strike * (0.5 if place in (0, _TAIL_STEPS) else 1.0)
    return 2.0 / years * total * abs(step)
