"""The market and the accounts of the K goals: 1,000 options in ten expiries, 1,000 accounts of 20 legs, from a seed.

`Market.move(round)` changes every forward and volatility, so that no round can reuse another one's numbers.
"""

import math
from array import array
from random import Random

from exchange.pricing.grid import Contract, ExpiryState, ScenarioGrid
from exchange.pricing.scenarios import (
    ForwardParts,
    ShockParameters,
    TrustParameters,
    discount_factor,
    plan_columns,
    sign_discounts,
)
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scanning import AccountLegs, GridView, Leg, Multipliers, PreparedAccounts

__all__ = ["LEGS", "PARAMETERS", "PLAN", "SHOCKS", "Market", "accounts_of"]

SPOT = 60_000.0
RATE = 0.02
DAYS = (1, 2, 3, 7, 14, 30, 60, 90, 180, 360)
LEGS = 20
LOT_E9 = 10_000_000
"""A hundredth of a unit."""
PARAMETERS = PortfolioParameters()
PLAN = plan_columns(PARAMETERS)
SHOCKS = ShockParameters()


class Market:
    """Options within two deviations of the money, calls and puts in turns, each with a volatility of its own."""

    def __init__(self, count: int, *, seed: int = 1) -> None:
        source = Random(f"risk {seed}")
        self.contracts = []
        self.base = array("d")
        for row in range(count):
            expiry = row * len(DAYS) // count
            reach = source.uniform(-2.0, 2.0) * 0.55 * math.sqrt(DAYS[expiry] / 365)
            strike = float(round(SPOT * math.exp(reach)))
            self.contracts.append(Contract(is_call=row % 2 == 0, strike=strike, expiry=expiry))
            self.base.append(source.uniform(0.45, 0.65))
        self.grid = ScenarioGrid(self.contracts, PLAN, SHOCKS)
        discounts = [sign_discounts(years=days / 365, rate=RATE, trust=TrustParameters()) for days in DAYS]
        self.multipliers = tuple(
            Multipliers(*(round(value * 1e9) for value in (row.positive, row.negative, row.basis))) for row in discounts
        )

    def move(self, number: int) -> tuple[array, list[ExpiryState]]:
        """Volatilities and expiries of a round."""
        shift = 1.0 + 1e-5 * number
        states = [
            ExpiryState(
                forward=ForwardParts.free(SPOT * shift),
                years=days / 365,
                discount=discount_factor(RATE, days / 365),
            )
            for days in DAYS
        ]
        return array("d", [volatility * shift for volatility in self.base]), states

    def view(self) -> GridView:
        """The grid as the margin scan reads it."""
        return GridView(
            cells=self.grid.cells,
            width=len(PLAN.columns),
            scenarios=PLAN.scenarios,
            mark=PLAN.mark,
            forward_up=PLAN.forward_up,
            forward_down=PLAN.forward_down,
            multipliers=self.multipliers,
        )


def accounts_of(market: Market, count: int, *, seed: int = 1) -> PreparedAccounts:
    """Accounts of 20 legs each and a perpetual."""
    source = Random(f"accounts {seed}")
    rows = []
    for _ in range(count):
        places = source.sample(range(len(market.contracts)), LEGS)
        legs = tuple(Leg(at, market.contracts[at].expiry, source.randrange(-1_000, 1_000) * LOT_E9) for at in places)
        rows.append(AccountLegs(legs=legs, linear_e18=source.randrange(-(10**23), 10**23)))
    return PreparedAccounts(rows)
