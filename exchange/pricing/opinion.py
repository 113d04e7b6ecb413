"""What somebody thinks options are worth without looking at their books: a plain smile per underlying, from integers.

The demo's makers quote around it, so that a surface fitted from their quotes has something outside of itself to find.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import SviSlice

__all__ = ["Opinion", "SmileShape", "plain_smile"]

_E9: Final = 1e9
_YEAR_S: Final = 365.0 * 86_400.0
_SHORTEST_YEARS: Final = 1.0 / 8_760.0
"""The smile of the last hour keeps the shape it had an hour before expiry."""
_SWING: Final = 0.05
_SWING_PERIOD_S: Final = 1_800.0


class SmileShape(msgspec.Struct, frozen=True):
    """Volatility at the money as a fraction, and rho: below 0 puts cost more than calls."""

    level: float
    tilt: float


def plain_smile(shape: SmileShape, years: float) -> SviSlice:
    """A smile with its bottom near the money, steeper for near expiries; the same level for every expiry.

    `years` >= 0; less than an hour counts as one. No butterfly and no calendar arbitrage for tilts within +-0.5,
    levels up to 1 and times up to two years (tested).
    """
    term = max(years, _SHORTEST_YEARS)
    variance = shape.level * shape.level * term
    width = 0.6 * shape.level * math.sqrt(term)
    slope = 0.35 * variance / width
    bottom = slope * width * math.sqrt(1.0 - shape.tilt * shape.tilt)
    return SviSlice(a=variance - bottom, b=slope, rho=shape.tilt, m=0.0, sigma=width, years=term)


class Opinion(msgspec.Struct, frozen=True):
    """Smiles by underlying. The level swings by 5 % within half an hour: `phase` (0 to 1) says where it begins."""

    shapes: Mapping[str, SmileShape]
    phase: float = 0.0

    def value_e9(self, instrument: Instrument, *, index_e9: int, now_ms: int) -> int | None:
        """Value of an option on the index in 1e-9 USDC, to the nearest; None for what has no smile or no time left."""
        shape = self.shapes.get(instrument.underlying)
        seconds = instrument.expiry_s - now_ms / 1_000.0
        if shape is None or not instrument.is_option or seconds <= 0.0 or index_e9 <= 0:
            return None
        turn = 2.0 * math.pi * (now_ms / 1_000.0 / _SWING_PERIOD_S + self.phase)
        years, level = seconds / _YEAR_S, shape.level * (1.0 + _SWING * math.sin(turn))
        smile = plain_smile(SmileShape(level, shape.tilt), years)
        forward, strike = index_e9 / _E9, instrument.strike_e9 / _E9
        is_call = instrument.kind is InstrumentKind.CALL
        option = Option(is_call=is_call, forward=forward, strike=strike, years=years)
        return round(price(option, smile.volatility(strike=strike, forward=forward)) * _E9)
