"""Two requirements that enclose the margin of the exchange, linear in each position (`LinearBounds.sol` is the same).

`low` is at most the maintenance requirement of the exchange, `high` at least its initial one and every rule of
withdrawals; `tests/property/test_linear_bounds.py` holds both to the engine's margin. Marks are in 1e-6 USDC per lot
and prices in 1e-6 USDC per unit of the underlying, both rounded down as vectors have them: what was cut off counts
against the account. All results are in 1e-6 USDC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LARGE_CAP", "LONG_OPTION_HIGH_E6", "MAJOR", "BoundTerms", "ListedTerms", "high_e6", "low_e6", "worth_e6"]

LARGE_CAP: Final = 1
MAJOR: Final = 2
"""Factor classes of the contract's asset rows; with any other the whole notional is required."""

_PPM: Final = 1_000_000
_E18: Final = 10**18
_LOW_PPM: Final = {LARGE_CAP: 10_000, MAJOR: 25_000}
"""Half of the lowest maintenance bracket: the rest is room for marks that are not quite free of arbitrage."""
_HIGH_PPM: Final = {LARGE_CAP: 250_000, MAJOR: 420_000}
"""The highest initial bracket and a quarter more."""
_SHORT_HIGH_PPM: Final = 200_000
"""Of the index and of the mark of a short option."""
LONG_OPTION_HIGH_E6: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTerms:
    """What the bounds need of an instrument: one lot in 1e-18 units of the underlying, the class of its asset."""

    is_perpetual: bool
    lot_e18: int
    factor_class: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTerms:
    """What disputes need of a listed instrument; strike in 1e-8 USDC and expiry in s are 0 for a perpetual."""

    bounds: BoundTerms
    underlying: int
    is_call: bool = False
    strike_e8: int = 0
    expiry_s: int = 0


def high_e6(terms: BoundTerms, lots: int, mark_e6: int, index_e6: int) -> int:
    """Return what no rule of the exchange exceeds for `lots` (signed), rounded up.

    `index_e6`, the price of the underlying, is read for short options alone. A long option needs one unit: the exchange
    rounds its equity down and its requirement up.
    """
    size = abs(lots)
    if terms.is_perpetual:
        return _ceil(size * (mark_e6 + 1) * _HIGH_PPM.get(terms.factor_class, _PPM), _PPM)
    if lots > 0:
        return LONG_OPTION_HIGH_E6
    underlying_e6 = _ceil(size * terms.lot_e18 * (index_e6 + 1), _E18)
    return _ceil((underlying_e6 + size * (mark_e6 + 1)) * _SHORT_HIGH_PPM, _PPM)


def low_e6(terms: BoundTerms, lots: int, mark_e6: int) -> int:
    """Return what every rule of the exchange reaches for `lots` (signed), rounded down.

    An option needs nothing: others of its expiry may cover it.
    """
    return abs(lots) * mark_e6 * _LOW_PPM.get(terms.factor_class, 0) // _PPM if terms.is_perpetual else 0


def worth_e6(*, is_perpetual: bool, lots: int, mark_e6: int) -> int:
    """Return what `lots` (signed) are worth at least: a long option nothing, its value cannot be withdrawn."""
    if lots > 0:
        return lots * mark_e6 if is_perpetual else 0
    return lots * (mark_e6 + 1)


def _ceil(value: int, by: int) -> int:
    return -(-value // by)
