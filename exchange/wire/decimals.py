"""Decimals of the wire: exact in, canonical out. No float is ever made from one."""

from decimal import Decimal
from functools import lru_cache
from typing import Final

from exchange.domain.instrument import format_e9
from exchange.wire.errors import WireError

__all__ = [
    "E6_TEXT_ZERO",
    "fee_cap_e18",
    "format_e6",
    "format_e9",
    "format_e12",
    "format_e18",
    "format_ppm",
    "on_grid_value",
    "plain_units",
]

_MAX_FRACTION_DIGITS: Final = 12
_MAX_WHOLE_DIGITS: Final = 15
_MAX_PLAIN_CHARACTERS: Final = 32
_TEXTS_KEPT: Final = 16_384
E6_TEXT_ZERO: Final = "0"


def format_e6(amount_e6: int) -> str:
    """Canonical text of an amount in 1e-6."""
    return _format(amount_e6, 6)


def format_e12(value_e12: int) -> str:
    """Canonical text of a value in 1e-12."""
    return _format(value_e12, 12)


def format_e18(value_e18: int) -> str:
    """Canonical text of a value in 1e-18."""
    return _format(value_e18, 18)


def format_ppm(rate_ppm: int) -> str:
    """Canonical text of a rate in 1e-6."""
    return _format(rate_ppm, 6)


def fee_cap_e18(value: Decimal, field: str) -> int:
    """A fee cap in 1e-18; -32602 when negative, absurd or finer than 12 fractional digits."""
    plain = plain_units(value, 18)
    if plain is not None:
        return plain
    normal = _bounded(value, field)
    exponent = _exponent(normal)
    if exponent < -_MAX_FRACTION_DIGITS:
        raise WireError.bad_param(field, f"at most {_MAX_FRACTION_DIGITS} fractional digits")
    if normal < 0:
        raise WireError.bad_param(field, "must not be negative")
    return int(normal.scaleb(18)) if exponent >= -9 else _scaled(normal, 18)


def plain_units(value: Decimal, places: int) -> int | None:
    """`value` x 10^places, exact, when its text is plain digits inside every limit of this module; else None."""
    text = str(value)
    return _units_of(text, places) if len(text) <= _MAX_PLAIN_CHARACTERS else None


def on_grid_value(value: Decimal, field: str) -> tuple[Decimal, bool]:
    """A price or size as a decimal that fits exact arithmetic, and whether digits beyond the 12th were cut off."""
    normal = _bounded(value, field)
    if _exponent(normal) >= -_MAX_FRACTION_DIGITS:
        return normal, False
    return Decimal(_scaled(normal, _MAX_FRACTION_DIGITS)).scaleb(-_MAX_FRACTION_DIGITS), True


def _bounded(value: Decimal, field: str) -> Decimal:
    if not value.is_finite():
        raise WireError.bad_param(field, "must be a finite decimal")
    sign, digits, exponent = value.as_tuple()
    if len(digits) <= _MAX_WHOLE_DIGITS and -_MAX_FRACTION_DIGITS <= exponent <= 0:  # type: ignore[operator]
        return value
    if value and value.adjusted() >= _MAX_WHOLE_DIGITS:
        raise WireError.bad_param(field, f"at most {_MAX_WHOLE_DIGITS} digits before the point")
    if len(digits) > 64 or int(exponent) < -64:
        raise WireError.bad_param(field, "too many digits")
    if not value:
        return Decimal(0)
    end = len(digits)
    while digits[end - 1] == 0:
        end -= 1
    return Decimal((sign, digits[:end], int(exponent) + len(digits) - end))


def _exponent(value: Decimal) -> int:
    return int(value.as_tuple().exponent)


def _scaled(value: Decimal, places: int) -> int:
    """`value` x 10^places toward zero, in integers: the decimal context would round at 28 digits."""
    sign, digits, exponent = value.as_tuple()
    number = int("".join(map(str, digits)))
    shift = int(exponent) + places
    scaled: int = number * 10**shift if shift >= 0 else number // 10**-shift
    return -scaled if sign else scaled


@lru_cache(maxsize=_TEXTS_KEPT)
def _units_of(text: str, places: int) -> int | None:
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (whole and digits.isascii() and digits.isdigit()):
        return None
    if len(whole) > _MAX_WHOLE_DIGITS or len(fraction) > min(places, _MAX_FRACTION_DIGITS):
        return None
    return int(digits) * int(10 ** (places - len(fraction)))


@lru_cache(maxsize=_TEXTS_KEPT)
def _format(value: int, places: int) -> str:
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**places)
    return f"{sign}{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"
