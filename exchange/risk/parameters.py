"""Parameters of Standard Margin: every number of the rules is an argument, none a constant (risk.md 7.5, 9.4)."""

from typing import Final

import msgspec

from exchange.domain.money import ceil_div
from exchange.risk.limits import maintenance_fraction

__all__ = ["LARGE_CAP_TIERS", "MAJOR_TIERS", "StandardParameters", "Tier"]


class Tier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One bracket of notional. Its fractions apply to the part of the notional inside the bracket."""

    upper_e6: int
    """Upper bound of the notional in 1e-6 USDC; 0: no bound (last tier)."""
    initial_ppm: int
    maintenance_ppm: int


_PPM: Final = 10**6
_MILLION_E6: Final = 10**12


def _bracket(upper_e6: int, max_leverage: int) -> Tier:
    """Bracket of a highest leverage: its inverse, and half of it for maintenance, both rounded against the account."""
    return Tier(
        upper_e6=upper_e6,
        initial_ppm=ceil_div(_PPM, max_leverage),
        maintenance_ppm=maintenance_fraction(max_leverage, one=_PPM),
    )


LARGE_CAP_TIERS: Final = (
    _bracket(5 * _MILLION_E6, 25),
    _bracket(25 * _MILLION_E6, 20),
    _bracket(100 * _MILLION_E6, 10),
    _bracket(0, 5),
)
"""25x to 5M, 20x to 25M, 10x to 100M, 5x above."""

MAJOR_TIERS: Final = (_bracket(1 * _MILLION_E6, 10), _bracket(10 * _MILLION_E6, 5), _bracket(0, 3))
"""10x to 1M, 5x to 10M, 3x above; thirds are rounded against the account."""


class StandardParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Standard Margin for options and perpetuals; fractions in 1e-6 (ppm) of the index, unless said otherwise."""

    maximum_spot_ppm: int = 150_000
    minimum_spot_ppm: int = 120_000
    call_maintenance_ppm: int = 80_000
    put_maintenance_ppm: int = 80_000
    put_maintenance_mark_ppm: int = 80_000
    """Of the put's mark value."""
    unpaired_initial_ppm: int = 1_200_000
    unpaired_maintenance_ppm: int = 1_100_000
    put_offset_ppm: int = 1_050_000
    """Initial requirement of a short put is at least this multiple of its maintenance requirement."""
    confidence_threshold_ppm: int = 550_000
    confidence_factor_ppm: int = 1_000_000
    depeg_threshold_ppm: int = 990_000
    depeg_factor_ppm: int = 2_000_000
    large_caps: tuple[str, ...] = ("BTC", "ETH")
    large_cap_tiers: tuple[Tier, ...] = LARGE_CAP_TIERS
    major_tiers: tuple[Tier, ...] = MAJOR_TIERS

    def tiers(self, underlying: str) -> tuple[Tier, ...]:
        """Brackets of a perpetual on `underlying`."""
        return self.large_cap_tiers if underlying in self.large_caps else self.major_tiers
