"""Limits of markets, the open interest that they bound, and the brackets of perpetuals whose margin has grown."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.market_limits import MarketLimits
from exchange.risk.limits import open_interest_cap
from exchange.risk.parameters import StandardParameters, Tier

__all__ = ["LimitTable", "LotLimits", "lot_limits"]

_E12: Final = 10**12
_UNBOUND_LOTS: Final = 1 << 62
"""More than any market, owner or subaccount can hold: of limits that are not set."""


class LotLimits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Limits of one instrument in lots at an index, rounded down."""

    open_lots: int = _UNBOUND_LOTS
    subaccount_lots: int = _UNBOUND_LOTS
    owner_lots: int = _UNBOUND_LOTS


def lot_limits(row: MarketLimits, *, index_e9: int, lot_e9: int) -> LotLimits:
    """What a row allows at `index_e9` (above 0) of an instrument with lots of `lot_e9`."""
    cap_e6 = open_interest_cap(
        governance=row.governance_e6 or MAX_MONEY_E6,
        # What is not known bounds nothing: its part of so much is above any governance.
        market_cap=row.market_cap_e6 or 20 * MAX_MONEY_E6,
        outside_depth=row.outside_depth_e6 or MAX_MONEY_E6,
    )
    worth_e18 = index_e9 * lot_e9
    amounts = (cap_e6 if cap_e6 < MAX_MONEY_E6 else 0, row.subaccount_e6, row.owner_e6)
    return LotLimits(*(min(e6 * _E12 // worth_e18, _UNBOUND_LOTS) if e6 else _UNBOUND_LOTS for e6 in amounts))


@dataclass(slots=True)
class LimitTable:
    """Stored and hashed: `rows` and `scaled_ppm`. The rest is derived."""

    rows: dict[int, MarketLimits] = field(default_factory=dict)
    """By instrument."""
    scaled_ppm: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Initial fractions of the brackets of underlyings whose margin has grown, as of the last round of prices."""
    open_lots: MutableMapping[int, int] = field(default_factory=dict)
    """Open interest by instrument: the sum of all long positions, which is that of all short ones."""
    serial: int = 0
    """Changes with `rows`; for those who mirror them."""
    _tiers: dict[str, tuple[Tier, ...]] = field(default_factory=dict)

    def put(self, row: MarketLimits) -> None:
        """Replace the limits of one instrument."""
        self.rows[row.instrument] = row
        self.serial += 1

    def move(self, instrument: int, before_lots: int, after_lots: int) -> None:
        """Somebody's position changed."""
        more = max(after_lots, 0) - max(before_lots, 0)
        if more:
            self.open_lots[instrument] = self.open_lots.get(instrument, 0) + more

    def scale(self, parameters: StandardParameters, scaled_ppm: dict[str, tuple[int, ...]]) -> None:
        """Take other initial fractions; brackets of what is not named are the parameters' own."""
        self.scaled_ppm = scaled_ppm
        self._tiers = {
            underlying: tuple(
                msgspec.structs.replace(tier, initial_ppm=ppm)
                for tier, ppm in zip(parameters.tiers(underlying), fractions, strict=True)
            )
            for underlying, fractions in scaled_ppm.items()
        }

    def tiers(self, parameters: StandardParameters, underlying: str) -> tuple[Tier, ...]:
        """Brackets of a perpetual as they hold now."""
        return self._tiers.get(underlying) or parameters.tiers(underlying)
