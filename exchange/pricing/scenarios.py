"""How scenarios move forwards and volatilities (risk.md 8.1), and how far off values are trusted (8.2).

Floats: this is the side that proposes. What the shocks are called and how their results are added up belongs to
`exchange.risk.portfolio_parameters` and `exchange.risk.portfolio`. Times are years of 365 days.
"""

from __future__ import annotations

import math
from array import array
from typing import Final

import msgspec

from exchange.risk.portfolio_parameters import PortfolioParameters, VolatilityMove

__all__ = [
    "Column",
    "ColumnPlan",
    "Discounts",
    "ForwardParts",
    "ShockParameters",
    "TrustParameters",
    "discount_factor",
    "moved_volatility",
    "plan_columns",
    "sign_discounts",
]

_MONTH: Final = 30.0 / 365.0
_DAYS: Final = 365.0
_LOWEST: Final = 0.0


class ForwardParts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A forward as the part that is already averaged and the part that still moves with the spot."""

    fixed: float
    moving: float

    @classmethod
    def free(cls, forward: float) -> ForwardParts:
        """Outside the averaging window everything moves."""
        return cls(fixed=0.0, moving=forward)

    @classmethod
    def inside_window(
        cls, *, average_so_far: float, forward_now: float, seconds_left: float, window_s: float
    ) -> ForwardParts:
        """Split the settlement price `seconds_left` before expiry; `forward_now` is what the rest is expected at."""
        if seconds_left >= window_s:
            return cls.free(forward_now)
        left = max(seconds_left, 0.0)
        return cls(fixed=average_so_far * (window_s - left) / window_s, moving=forward_now * left / window_s)

    @property
    def total(self) -> float:
        """The forward itself."""
        return self.fixed + self.moving


class ShockParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Sizes of the volatility shocks, in the order in which the compiled kernel reads them."""

    range_up: float = 0.5
    range_down: float = 0.3
    lowest_up: float = 0.45
    """A volatility that moves up ends at least here."""
    short_power: float = 0.3
    long_power: float = 0.13
    floor_years: float = 1.0 / _DAYS
    linear_cap: float = 0.25
    linear_base: float = -0.1
    absolute_cap: float = 0.25
    absolute_base: float = -0.1
    lowest_width: float = 0.01
    width: float = 4.0
    width_static: float = 0.6
    width_scale: float = 0.0

    def packed(self) -> array[float]:
        """All of them as float64, in the order of the fields."""
        return array("d", msgspec.structs.astuple(self))


class TrustParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How values in scenarios are discounted by their sign, and how much of the basis loss counts."""

    long_base: float = 0.95
    long_rate_factor: float = 0.0
    long_addition: float = 0.08
    short_base: float = 1.04
    short_rate_factor: float = 0.0
    short_addition: float = 0.08
    basis_addition: float = 0.5
    basis_factor: float = 2.0


class Discounts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Multipliers of a portfolio value that is positive, of one that is negative, and of the basis loss."""

    positive: float
    negative: float
    basis: float


class Column(msgspec.Struct, frozen=True, gc=False):
    """One column of a grid: the spot's multiplier and what volatility does."""

    spot: float
    move: VolatilityMove


class ColumnPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Columns that a parameter set needs: its scenarios first, then what they lack for mark and basis."""

    columns: tuple[Column, ...]
    scenarios: int
    mark: int
    forward_up: int
    forward_down: int

    def spots(self) -> array[float]:
        """Multipliers of the spot, by column."""
        return array("d", [column.spot for column in self.columns])

    def moves(self) -> bytes:
        """Moves of the volatility, by column."""
        return bytes(column.move for column in self.columns)


def plan_columns(parameters: PortfolioParameters) -> ColumnPlan:
    """Columns for `parameters`; with the exchange's own set the 33 scenarios hold mark and basis already."""
    one = parameters.one
    columns = [Column(row.spot / one, row.move) for row in parameters.scenarios]
    wanted = [Column(spot / one, VolatilityMove.NONE) for spot in (one, parameters.basis_up, parameters.basis_down)]
    columns += [column for column in dict.fromkeys(wanted) if column not in columns]
    mark, up, down = (columns.index(column) for column in wanted)
    return ColumnPlan(
        columns=tuple(columns), scenarios=len(parameters.scenarios), mark=mark, forward_up=up, forward_down=down
    )


def discount_factor(rate: float, years: float) -> float:
    """exp(-rT) with the rate floored at 0."""
    return math.exp(-max(0.0, rate) * years)


def sign_discounts(*, years: float, rate: float, trust: TrustParameters) -> Discounts:
    """Multipliers of one expiry: longs are trusted less the longer they run, shorts cost more, at most undiscounted."""
    floored = max(0.0, rate)
    grown = trust.short_base * math.exp(years * (floored * trust.short_rate_factor + trust.short_addition))
    return Discounts(
        positive=trust.long_base * math.exp(-years * (floored * trust.long_rate_factor + trust.long_addition)),
        negative=min(1.0 / discount_factor(rate, years), grown),
        basis=trust.basis_addition + trust.basis_factor * years,
    )


def moved_volatility(
    *, volatility: float, move: VolatilityMove, strike: float, forward: float, years: float, shocks: ShockParameters
) -> float:
    """Volatility of an option in a scenario; the smile bends around the forward that nothing shocked."""
    if move is VolatilityMove.UP:
        return max(shocks.lowest_up, volatility * (1.0 + shocks.range_up * _term(years, shocks)))
    if move is VolatilityMove.DOWN:
        return volatility * max(0.0, 1.0 - shocks.range_down * _term(years, shocks))
    if move is VolatilityMove.NONE or strike <= _LOWEST or forward <= _LOWEST:
        return volatility
    return volatility * max(0.0, 1.0 + _skew(move, math.log(strike / forward), years, shocks))


def _term(years: float, shocks: ShockParameters) -> float:
    """How much larger a shock is than at 30 days."""
    power = shocks.short_power if years <= _MONTH else shocks.long_power
    return math.pow(_MONTH / max(years, shocks.floor_years), power)


def _skew(move: VolatilityMove, distance: float, years: float, shocks: ShockParameters) -> float:
    """Relative change of a volatility at ln(K/F) = `distance`, capped on its own side of the money."""
    root = math.sqrt(years)
    peak = max(shocks.lowest_width, root * shocks.width * (shocks.width_static + root * shocks.width_scale))
    if move is VolatilityMove.ABSOLUTE:
        distance = abs(distance)
        cap = shocks.absolute_base * root + shocks.absolute_cap
    else:
        cap = shocks.linear_base * root + shocks.linear_cap
    change = distance * cap / peak
    return min(change, cap) if distance >= 0.0 else max(change, -cap)
