"""What a slice must satisfy before anybody is shown a price of it (risk.md 5.4): butterfly, calendar, prices.

Slices of different age are compared at the variance that is left today: `at_years` scales one to the time left.
"""

import math
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Final

import msgspec

from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import SviSlice, crosses_calendar, has_butterfly_arbitrage

__all__ = ["Gate", "at_years", "failed_gate", "prices_have_arbitrage"]

_SLACK: Final = 1e-9
"""Of the forward: what rounding makes of a price."""


class Gate(Enum):
    """Which condition a slice fails."""

    BUTTERFLY = "butterfly"
    CALENDAR = "calendar"
    PRICES = "prices"


def at_years(smile: SviSlice, years: float) -> SviSlice:
    """The same volatilities with another time left: total variance is proportional to it. ValueError for no time."""
    scale = years / smile.years
    return msgspec.structs.replace(smile, a=smile.a * scale, b=smile.b * scale, years=years)


def failed_gate(
    smile: SviSlice,
    *,
    forward: float,
    strikes: Sequence[float],
    earlier: SviSlice | None = None,
    later: SviSlice | None = None,
    tolerance: float = 0.0,
) -> Gate | None:
    """First gate that `smile` fails, or None: butterfly on 200 points, calendar against its neighbours, prices.

    All slices are scaled to the time left. `strikes` are the listed ones, in any order; `tolerance` (USDC) is what no
    price can show, half a tick.
    """
    if has_butterfly_arbitrage(smile):
        return Gate.BUTTERFLY
    if earlier is not None and crosses_calendar(earlier, smile):
        return Gate.CALENDAR
    if later is not None and crosses_calendar(smile, later):
        return Gate.CALENDAR
    wrong = prices_have_arbitrage(smile, forward=forward, strikes=strikes, tolerance=tolerance)
    return Gate.PRICES if wrong else None


def prices_have_arbitrage(smile: SviSlice, *, forward: float, strikes: Sequence[float], tolerance: float = 0.0) -> bool:
    """Whether the calls at `strikes` rise with the strike, fall faster than it, bend down, or cost more than F.

    By more than `tolerance` USDC: where the flat wing of a smile begins its prices bend down a little.
    """
    ordered = sorted(set(strikes))
    calls = [_call(smile, forward, strike) for strike in ordered]
    slack = max(tolerance, _SLACK * forward)
    if not all(math.isfinite(value) and -slack <= value <= forward + slack for value in calls):
        return True
    slopes = []
    for (low, cheap), (high, dear) in pairwise(zip(ordered, calls, strict=True)):
        step = high - low
        slopes.append((dear - cheap) / step)
        if not -step - slack <= dear - cheap <= slack:
            return True
    widths = [high - low for low, high in pairwise(ordered)]
    return any(
        after - before < -2.0 * slack / min(here, there)
        for (before, after), (here, there) in zip(pairwise(slopes), pairwise(widths), strict=True)
    )


def _call(smile: SviSlice, forward: float, strike: float) -> float:
    option = Option(is_call=True, forward=forward, strike=strike, years=smile.years)
    return price(option, smile.volatility(strike=strike, forward=forward))
