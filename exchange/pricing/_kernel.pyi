# Types of the compiled kernel; what its functions mean stands in chains.py and grid.py.

from array import array
from typing import TypeAlias

__all__ = ["fill_grid", "greeks", "implied_volatilities", "prices"]

_Floats: TypeAlias = array[float]
_Bytes: TypeAlias = bytes | bytearray

def prices(
    is_call: _Bytes,
    forward: _Floats,
    strike: _Floats,
    years: _Floats,
    discount: _Floats,
    volatility: _Floats,
    out: _Floats,
) -> None: ...
def greeks(
    is_call: _Bytes,
    forward: _Floats,
    strike: _Floats,
    years: _Floats,
    discount: _Floats,
    volatility: _Floats,
    spot: _Floats,
    out: _Floats,
) -> None: ...
def implied_volatilities(
    is_call: _Bytes,
    forward: _Floats,
    strike: _Floats,
    years: _Floats,
    discount: _Floats,
    value: _Floats,
    lowest_value: float,
    out: _Floats,
) -> None: ...
def fill_grid(
    is_call: _Bytes,
    strike: _Floats,
    volatility: _Floats,
    expiry: array[int],
    fixed: _Floats,
    moving: _Floats,
    years: _Floats,
    discount: _Floats,
    spots: _Floats,
    moves: _Bytes,
    shocks: _Floats,
    out: memoryview,
) -> int: ...
