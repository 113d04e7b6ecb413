"""Instruments, and the only place where decimal prices and sizes become ticks and lots and back.

`tick_e9` is one tick in 1e-9 USDC, `lot_e9` one lot in 1e-9 units of the underlying. `unit_e6`, the notional of one
tick times one lot in 1e-6 USDC, must be a whole number (D-001): then notional = lots x ticks x unit is exact
everywhere.
"""

from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import Final

import msgspec

from exchange.domain.ids import PERPETUAL_BIT

__all__ = ["Instrument", "InstrumentKind", "OffGrid", "calendar_date", "format_e9", "instrument_name"]

_E9: Final = 10**9
_TEXTS_KEPT: Final = 16_384


class InstrumentKind(IntEnum):
    """What is traded."""

    PERPETUAL = 1
    CALL = 2
    PUT = 3


class OffGrid(ValueError):
    """A price or size that is no multiple of the tick or lot; `nearest` holds the valid values around it, as text."""

    def __init__(self, got: str, nearest: tuple[str, ...]) -> None:
        """Remember what was asked and the valid neighbours."""
        super().__init__(got)
        self.got = got
        self.nearest = nearest


@lru_cache(maxsize=_TEXTS_KEPT)
def format_e9(value_e9: int) -> str:
    """Canonical decimal text of an integer in 1e-9: no exponent, no plus, no trailing zeros, "0" for zero."""
    sign = "-" if value_e9 < 0 else ""
    whole, fraction = divmod(abs(value_e9), _E9)
    return f"{sign}{whole}.{fraction:09d}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tradable contract. Prices are ticks, sizes lots; `strike_e9` and `expiry_s` are 0 for perpetuals."""

    instrument_id: int
    name: str
    kind: InstrumentKind
    underlying: str
    tick_e9: int
    lot_e9: int
    minimum_lots: int
    maximum_lots: int
    maximum_price_ticks: int
    maker_fee_ppm: int
    """Of notional of the underlying (index x size), in 1e-6. May be negative (rebate)."""
    taker_fee_ppm: int
    strike_e9: int = 0
    expiry_s: int = 0
    listed_s: int = 0

    def __post_init__(self) -> None:
        """Refuse units that would need rounding (D-001) and ids of the wrong class."""
        if self.tick_e9 * self.lot_e9 % 10**12:
            raise ValueError(f"{self.name}: tick x lot is not a whole number of 1e-6 USDC")
        if self.is_perpetual != bool(self.instrument_id & PERPETUAL_BIT):
            raise ValueError(f"{self.name}: bit 31 of the id marks perpetuals")

    @property
    def unit_e6(self) -> int:
        """Notional of one tick x one lot in 1e-6 USDC, exact."""
        return self.tick_e9 * self.lot_e9 // 10**12

    @property
    def is_perpetual(self) -> bool:
        """Whether it has no expiry."""
        return self.kind is InstrumentKind.PERPETUAL

    @property
    def is_option(self) -> bool:
        """Whether it is a call or a put."""
        return self.kind is not InstrumentKind.PERPETUAL

    def notional_e6(self, *, price_ticks: int, quantity_lots: int) -> int:
        """Price x quantity in 1e-6 USDC, exact."""
        return price_ticks * quantity_lots * self.unit_e6

    def price_ticks(self, text: str | Decimal) -> int:
        """Ticks of a decimal price. Raises OffGrid with the neighbours; never rounds."""
        return _to_grid(text, self.tick_e9)

    def quantity_lots(self, text: str | Decimal) -> int:
        """Lots of a decimal size. Raises OffGrid with the neighbours; never rounds."""
        return _to_grid(text, self.lot_e9)

    def price_text(self, price_ticks: int) -> str:
        """Canonical decimal price."""
        return format_e9(price_ticks * self.tick_e9)

    def quantity_text(self, quantity_lots: int) -> str:
        """Canonical decimal size."""
        return format_e9(quantity_lots * self.lot_e9)


def instrument_name(*, underlying: str, kind: InstrumentKind, strike_e9: int = 0, expiry_s: int = 0) -> str:
    """Wire name: `BTC-PERP`, `BTC-20261225-100000-C`; a fractional strike writes its point as `_` (api.md 1)."""
    if kind is InstrumentKind.PERPETUAL:
        return f"{underlying}-PERP"
    day = calendar_date(expiry_s)
    strike = format_e9(strike_e9).replace(".", "_")
    return f"{underlying}-{day}-{strike}-{'C' if kind is InstrumentKind.CALL else 'P'}"


def calendar_date(timestamp_s: int) -> str:
    """UTC date of a Unix time as `YYYYMMDD`. Own arithmetic, because this zone has no clock module.

    Source: the proleptic Gregorian calendar counted in 400-year eras that start on 1 March.
    """
    days = timestamp_s // 86_400 + 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + 400 * era + (1 if month <= 2 else 0)
    return f"{year:04d}{month:02d}{day:02d}"


def _to_grid(text: str | Decimal, step_e9: int) -> int:
    scaled = Decimal(text).scaleb(9)
    value, rest = divmod(scaled, step_e9)
    if rest:
        low = int(value) * step_e9 - (step_e9 if rest < 0 else 0)  # divmod of decimals goes toward zero
        raise OffGrid(str(text), (format_e9(low), format_e9(low + step_e9)))
    return int(value)
