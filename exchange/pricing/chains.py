"""The functions of black76.py over whole chains at once, compiled where the extension is built.

A chain is a set of columns, so that a call costs the arithmetic and nothing else: prices, Greeks and implied
volatilities of a thousand options in a fraction of a millisecond, without the GIL. Units are those of black76.py. Rows
without an answer are NaN; nothing here raises for a row.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Final

import msgspec

from exchange.pricing import black76
from exchange.pricing.black76 import Greeks, Option

# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("exchange.pricing._kernel") is not None
if COMPILED:
    from exchange.pricing import _kernel

__all__ = ["COMPILED", "Chain", "greeks", "implied_volatilities", "prices"]

_GREEKS: Final = len(Greeks.__struct_fields__)


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of a chain, one row per option: bytes for the kind, float64 arrays for the rest."""

    is_call: bytearray
    forward: array[float]
    strike: array[float]
    years: array[float]
    discount: array[float]

    @classmethod
    def of(cls, options: Sequence[Option]) -> Chain:
        """Columns of `options`, in their order."""
        return cls(
            is_call=bytearray(option.is_call for option in options),
            forward=array("d", [option.forward for option in options]),
            strike=array("d", [option.strike for option in options]),
            years=array("d", [option.years for option in options]),
            discount=array("d", [option.discount for option in options]),
        )

    def __len__(self) -> int:
        return len(self.strike)

    def option(self, row: int) -> Option:
        """Give one row. Raises ValueError where it is no option."""
        return Option(
            is_call=bool(self.is_call[row]),
            forward=self.forward[row],
            strike=self.strike[row],
            years=self.years[row],
            discount=self.discount[row],
        )


def prices(chain: Chain, volatilities: array[float]) -> array[float]:
    """Value of each row at its volatility, NaN where the row or its volatility is invalid."""
    _require_rows(chain, volatilities)
    out = _empty(len(chain))
    if COMPILED:
        _kernel.prices(chain.is_call, chain.forward, chain.strike, chain.years, chain.discount, volatilities, out)
        return out
    return _each(chain, lambda row: black76.price(chain.option(row), volatilities[row]))


def greeks(chain: Chain, volatilities: array[float], spots: array[float]) -> list[Greeks]:
    """Price and Greeks of each row; every field of an invalid row is NaN."""
    _require_rows(chain, volatilities, spots)
    if not COMPILED:
        return [_greeks_of(chain, row, volatilities[row], spots[row]) for row in range(len(chain))]
    out = _empty(_GREEKS * len(chain))
    _kernel.greeks(chain.is_call, chain.forward, chain.strike, chain.years, chain.discount, volatilities, spots, out)
    return [Greeks(**dict(zip(Greeks.__struct_fields__, row, strict=True))) for row in _rows(out)]


def implied_volatilities(chain: Chain, values: array[float], *, lowest_value: float = 0.0) -> array[float]:
    """Volatility of each row, NaN where black76.implied_volatility gives None or the row is invalid."""
    _require_rows(chain, values)
    out = _empty(len(chain))
    if COMPILED:
        _kernel.implied_volatilities(
            chain.is_call, chain.forward, chain.strike, chain.years, chain.discount, values, lowest_value, out
        )
        return out

    def one(row: int) -> float:
        found = black76.implied_volatility(chain.option(row), values[row], lowest_value=lowest_value)
        return math.nan if found is None else found

    return _each(chain, one)


def _require_rows(chain: Chain, *columns: array[float]) -> None:
    """Hold every column to one length before the kernel reads them without looking."""
    rows = len(chain.is_call)
    own = (chain.forward, chain.strike, chain.years, chain.discount)
    if any(len(column) != rows for column in (*own, *columns)):
        raise ValueError(f"a chain of {rows} rows needs {rows} values in each column")


def _empty(rows: int) -> array[float]:
    return array("d", bytes(8 * rows))


def _rows(values: array[float]) -> Iterator[array[float]]:
    return (values[start : start + _GREEKS] for start in range(0, len(values), _GREEKS))


def _each(chain: Chain, one: Callable[[int], float]) -> array[float]:
    out = _empty(len(chain))
    for row in range(len(chain)):
        try:
            out[row] = one(row)
        except ValueError:
            out[row] = math.nan
    return out


def _greeks_of(chain: Chain, row: int, volatility: float, spot: float) -> Greeks:
    try:
        return black76.greeks(chain.option(row), volatility, spot=spot)
    except ValueError:
        return Greeks(**dict.fromkeys(Greeks.__struct_fields__, math.nan))
