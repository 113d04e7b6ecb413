"""Parameters of Portfolio Margin (risk.md 8.4): scenarios and factors, every number an argument, none a constant.

Fractions are integers over `one`, 1e9 for the exchange's own set, so that what is written here is what is computed.
The sizes of volatility shocks and the discount bases belong to whoever prices the grid (`exchange.pricing.scenarios`).
"""

from enum import IntEnum
from typing import Final

import msgspec

from exchange.domain.money import ceil_div

__all__ = ["OUR_SCENARIOS", "PortfolioParameters", "Scenario", "VolatilityMove"]

_E9: Final = 10**9


class VolatilityMove(IntEnum):
    """What a scenario does to volatility: nothing, up, down, tilt the smile, lift both its wings."""

    NONE = 0
    UP = 1
    DOWN = 2
    LINEAR = 3
    ABSOLUTE = 4


class Scenario(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One shock: the spot multiplied by `spot`, volatility moved, and what is lost multiplied by `dampening`."""

    spot: int
    move: VolatilityMove
    dampening: int = _E9

    @property
    def is_skew(self) -> bool:
        """Whether the smile bends; a gain is then counted as a loss, because either direction may come."""
        return self.move in (VolatilityMove.LINEAR, VolatilityMove.ABSOLUTE)


def _regular() -> tuple[Scenario, ...]:
    ends = (Scenario(spot=1_180_000_000, move=VolatilityMove.UP), Scenario(spot=820_000_000, move=VolatilityMove.UP))
    moves = (VolatilityMove.DOWN, VolatilityMove.NONE, VolatilityMove.UP)
    inner = (1_135_000_000, 1_090_000_000, 1_045_000_000, _E9, 955_000_000, 910_000_000, 865_000_000)
    return (ends[0], *(Scenario(spot=spot, move=move) for spot in inner for move in moves), ends[1])


def _tail() -> tuple[Scenario, ...]:
    rows = (
        (340_000_000, 210_000_000),
        (670_000_000, 420_000_000),
        (1_500_000_000, 277_200_000),
        (2_000_000_000, 138_600_000),
        (3_000_000_000, 69_300_000),
        (4_000_000_000, 46_200_000),
        (5_000_000_000, 34_650_000),
        (6_000_000_000, 27_720_000),
    )
    return tuple(Scenario(spot=spot, move=VolatilityMove.UP, dampening=dampening) for spot, dampening in rows)


OUR_SCENARIOS: Final = (
    *_regular(),
    *_tail(),
    Scenario(spot=_E9, move=VolatilityMove.LINEAR),
    Scenario(spot=_E9, move=VolatilityMove.ABSOLUTE),
)
"""23 regular, 8 tail and 2 skew scenarios."""


class PortfolioParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Portfolio Margin of one underlying; every fraction over `one`. Initial contingencies are additions."""

    one: int = _E9
    scenarios: tuple[Scenario, ...] = OUR_SCENARIOS
    basis_up: int = 1_045_000_000
    basis_down: int = 955_000_000
    """Multipliers of the forward for the basis term, volatility unshocked."""
    maintenance_factor: int = 800_000_000
    initial_factor: int = _E9
    perpetual_maintenance: int = 30_000_000
    perpetual_initial: int = 10_000_000
    option_maintenance: int = 3_000_000
    option_initial: int = 2_000_000
    """Of the index, per naked short option."""
    confidence_threshold: int = 550_000_000
    confidence_factor: int = _E9
    peg_threshold: int = 990_000_000
    peg_factor: int = 4_000_000_000
    minimum_equity_e6: int = 10_000_000_000
    """Equity in 1e-6 USDC below which an account may not choose Portfolio Margin; not part of the margin itself."""

    @property
    def quote_reserve(self) -> int:
        """Share of the index that a unit of a protection group's limit reserves, over `one`, rounded up."""
        worst = max(ceil_div(abs(row.spot - self.one) * row.dampening, self.one) for row in self.scenarios)
        return worst + self.perpetual_maintenance + self.perpetual_initial

    def __post_init__(self) -> None:
        """Refuse a set without scenarios or a unit."""
        if self.one <= 0 or not self.scenarios:
            raise ValueError("a parameter set needs scenarios and a positive unit")
