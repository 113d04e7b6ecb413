"""Limits of markets, drawn for a stream of engine commands: near what is open, far from it, and impossible ones."""

from random import Random

from exchange.domain.market_limits import MarketLimits, SetMarketLimits
from tests.differential.engine_rarities import SHORT_OPTIONS
from tests.unit.exchange.engine.world import CALL, E6, PERP, PUT

__all__ = ["LimitCommands"]

AMOUNTS_E6 = (*[0] * 12, 30_000 * E6, 120_000 * E6, 600_000 * E6, 600_000 * E6)
"""From some lots of the perpetual to more than the accounts of a stream hold."""
POSITIONS_E6 = (*[0] * 5, 6_000 * E6, 30_000 * E6, 60_000 * E6)


class LimitCommands:
    """`next` gives a command now and then; everything is a function of the seed and of the calls."""

    def __init__(self, seed: int) -> None:
        """Draws of its own."""
        self.pick = Random(seed)

    def next(self) -> SetMarketLimits | None:
        """Limits of some market in about one of three hundred calls."""
        return self.limits() if self.pick.random() < 0.003 else None

    def limits(self) -> SetMarketLimits:
        """Mostly of the perpetual; one in ten makes no sense."""
        pick = self.pick
        number = pick.choices((PERP, CALL, PUT, *SHORT_OPTIONS, 98), (60, 12, 12, 4, 4, 4, 4))[0]
        governance_e6 = pick.choice(AMOUNTS_E6)
        subaccount_e6, owner_e6 = pick.choice(POSITIONS_E6), pick.choice(POSITIONS_E6)
        from_e6 = pick.choice((0, 30_000 * E6, 200_000 * E6)) if number == PERP else 0
        to_e6 = from_e6 + pick.choice((900_000 * E6, 9_000_000 * E6)) if number == PERP else 0
        if pick.random() < 0.1:
            from_e6, to_e6 = pick.choice(((1, 1), (-1, 0), (0, 1 << 63)))
        row = MarketLimits(
            instrument=number,
            governance_e6=governance_e6,
            market_cap_e6=pick.choice((*[0] * 12, 600_000 * E6)),
            outside_depth_e6=pick.choice((*[0] * 12, 40_000 * E6)),
            subaccount_e6=subaccount_e6,
            owner_e6=owner_e6,
            scaling_from_e6=from_e6,
            scaling_to_e6=to_e6 if pick.random() < 0.7 else from_e6 * (to_e6 <= from_e6),
        )
        return SetMarketLimits(limits=row)
