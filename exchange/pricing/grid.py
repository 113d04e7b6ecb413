"""The price grid: every listed option of an underlying, priced once per scenario (risk.md 8, 14).

`ScenarioGrid` holds the contracts and refreshes all values at once, compiled where the extension is built; cells are
integers in 1e-9 USDC per unit of the underlying, rounded once to the nearest. `scenario_prices` is the same for one
option in plain floats: the oracle, and what a trader imports for a portfolio of his own.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import msgspec

from exchange.pricing.black76 import Option, price
from exchange.pricing.scenarios import Column, ColumnPlan, ForwardParts, ShockParameters, moved_volatility

# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("exchange.pricing._kernel") is not None
if COMPILED:
    from exchange.pricing import _kernel

__all__ = ["CELL_MAX_USDC", "COMPILED", "Contract", "ExpiryState", "ScenarioGrid", "scenario_prices"]

CELL_MAX_USDC: Final = 9.0e6
"""Values up to here are exact in 1e-9 USDC as a double."""
_E9: Final = 1e9


class Contract(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What never changes about an option; `expiry` is the place of its expiry in the grid."""

    is_call: bool
    strike: float
    expiry: int


class ExpiryState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What moves about an expiry: forward, years left, discount factor."""

    forward: ForwardParts
    years: float
    discount: float = 1.0


def scenario_prices(
    contract: Contract, volatility: float, expiry: ExpiryState, columns: Sequence[Column], shocks: ShockParameters
) -> tuple[float, ...]:
    """Value of one option in every column, in USDC per unit. Raises ValueError for prices that are none."""
    parts = expiry.forward
    prices = []
    for column in columns:
        option = Option(
            is_call=contract.is_call,
            forward=parts.fixed + parts.moving * column.spot,
            strike=contract.strike,
            years=expiry.years,
            discount=expiry.discount,
        )
        moved = moved_volatility(
            volatility=volatility,
            move=column.move,
            strike=contract.strike,
            forward=parts.total,
            years=expiry.years,
            shocks=shocks,
        )
        prices.append(price(option, moved))
    return tuple(prices)


class ScenarioGrid:
    """Values of the options of one underlying. `contracts` of an expiry should stand together: it is faster."""

    def __init__(self, contracts: Sequence[Contract], plan: ColumnPlan, shocks: ShockParameters) -> None:
        self.contracts = tuple(contracts)
        self.plan = plan
        self._shocks = shocks
        self._packed = shocks.packed()
        self._spots = plan.spots()
        self._moves = plan.moves()
        self._is_call = bytearray(contract.is_call for contract in contracts)
        self._strikes = array("d", [contract.strike for contract in contracts])
        self._expiries = array("i", [contract.expiry for contract in contracts])
        self._cells = self._empty()

    @property
    def cells(self) -> array[int]:
        """Every value in 1e-9 USDC per unit, row by row. A refresh makes new ones and leaves these as they are."""
        return self._cells

    def row(self, place: int) -> tuple[int, ...]:
        """Values of one contract, column by column."""
        width = len(self.plan.columns)
        return tuple(self._cells[place * width : (place + 1) * width])

    def refresh(self, *, volatilities: array[float], expiries: Sequence[ExpiryState]) -> None:
        """Price everything again. Raises ValueError naming the first contract without a price; the old cells stay.

        A contract has none when its forward, strike, volatility, time or discount is no such number, or when a value
        exceeds 9.0e6 USDC.
        """
        if len(volatilities) != len(self.contracts):
            raise ValueError(f"{len(volatilities)} volatilities for {len(self.contracts)} contracts")
        cells = self._empty()
        fill = self._fill_compiled if COMPILED else self._fill_plain
        bad = fill(cells, volatilities, expiries)
        if bad >= 0:
            raise ValueError(f"{self.contracts[bad]} has no price at volatility {volatilities[bad]}")
        self._cells = cells

    def _empty(self) -> array[int]:
        return array("q", [0]) * (len(self.contracts) * len(self.plan.columns))

    def _fill_compiled(self, cells: array[int], volatilities: array[float], expiries: Sequence[ExpiryState]) -> int:
        if not self.contracts:
            return -1
        return _kernel.fill_grid(
            self._is_call,
            self._strikes,
            volatilities,
            self._expiries,
            array("d", [expiry.forward.fixed for expiry in expiries]),
            array("d", [expiry.forward.moving for expiry in expiries]),
            array("d", [expiry.years for expiry in expiries]),
            array("d", [expiry.discount for expiry in expiries]),
            self._spots,
            self._moves,
            self._packed,
            memoryview(cells).cast("B").cast("q", (len(self.contracts), len(self.plan.columns))),
        )

    def _fill_plain(self, cells: array[int], volatilities: array[float], expiries: Sequence[ExpiryState]) -> int:
        width = len(self.plan.columns)
        for place, contract in enumerate(self.contracts):
            if not 0 <= contract.expiry < len(expiries) or not _is_forward(expiries[contract.expiry].forward):
                return place
            try:
                prices = scenario_prices(
                    contract, volatilities[place], expiries[contract.expiry], self.plan.columns, self._shocks
                )
            except ValueError:
                return place
            if not all(math.isfinite(value) and value <= CELL_MAX_USDC for value in prices):
                return place
            cells[place * width : (place + 1) * width] = array("q", [round(value * _E9) for value in prices])
        return -1


def _is_forward(parts: ForwardParts) -> bool:
    """Whether both parts are prices, which their sum alone would not tell."""
    return min(parts.fixed, parts.moving) >= 0.0 and math.isfinite(parts.total)
