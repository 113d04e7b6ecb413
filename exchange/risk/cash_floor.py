"""What an account must have in cash whatever its scenarios say: nothing is lent on what an option is worth.

The contract takes a long option for nothing (F3 of settlement.md): cash and perpetuals at their marks, and these with
all options, must stay above a share of the perpetuals. With Portfolio Margin the exchange asks for the same with the
brackets of Standard Margin in the place of that share, after the worst fill of everything open. Both sums are linear in
every fill, so the worst subset of fills is that of the orders which lower a sum. Prices are 1e-9 USDC per unit,
amounts 1e-9 units, money 1e-18 USDC unless said otherwise; requirements are rounded up.
"""

import msgspec

from exchange.domain.money import ceil_div
from exchange.risk.open_orders import PerpetualExposure, perpetual_worst
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import ScenarioPortfolio, portfolio_value_e18, required_e18
from exchange.risk.standard import E12, Requirement

__all__ = ["CashFloor", "floor_margin_e18", "floor_of", "venue_margin_e18", "venue_requirement"]


class CashFloor(msgspec.Struct, frozen=True, kw_only=True):
    """Perpetuals with their orders, and of all options the value at their marks and what their orders may take."""

    perpetuals: tuple[PerpetualExposure, ...] = ()
    options_e18: int = 0
    premiums_e18: int = 0
    """Price times size over the buys."""
    losses_e18: int = 0
    """Sum over orders of what a fill at the limit loses against the mark, >= 0."""
    fees_e18: int = 0


def floor_margin_e18(cash_e6: int, floor: CashFloor) -> int:
    """What is left of cash and perpetuals, with the options where that is less; below 0: something is missing."""
    options_e18 = min(-floor.premiums_e18, floor.options_e18 - floor.losses_e18)
    return cash_e6 * E12 + sum(map(perpetual_worst, floor.perpetuals)) + options_e18 - floor.fees_e18


def floor_of(portfolio: ScenarioPortfolio) -> CashFloor:
    """The floor of positions alone. Raises ValueError for perpetuals without brackets, which would ask for nothing."""
    if any(market.perpetuals and not market.tiers for market in portfolio.markets):
        raise ValueError("perpetuals without brackets")
    return CashFloor(
        perpetuals=tuple(
            PerpetualExposure(position_e9=row.amount_e9, mark_e9=row.mark_e9, tiers=market.tiers)
            for market in portfolio.markets
            for row in market.perpetuals
        ),
        options_e18=sum(
            row.amount_e9 * row.mark_e9
            for market in portfolio.markets
            for expiry in market.expiries
            for row in expiry.options
        ),
    )


def venue_margin_e18(portfolio: ScenarioPortfolio, parameters: PortfolioParameters) -> tuple[int, int]:
    """Signed (initial, maintenance) margin of positions alone: the scenarios', or the floor where initially less.

    Raises ValueError where cells do not fit the scenarios, or brackets are missing.
    """
    value_e18 = portfolio_value_e18(portfolio)
    needed = [required_e18(market, parameters) for market in portfolio.markets]
    initial, maintenance = (value_e18 - sum(row[part] for row in needed) for part in (0, 1))
    return min(initial, floor_margin_e18(portfolio.cash_e6, floor_of(portfolio))), maintenance


def venue_requirement(portfolio: ScenarioPortfolio, parameters: PortfolioParameters) -> Requirement:
    """Requirements of positions alone, as `venue_margin_e18` has them, rounded up."""
    value_e18 = portfolio_value_e18(portfolio)
    initial_e18, maintenance_e18 = venue_margin_e18(portfolio, parameters)
    return Requirement(ceil_div(value_e18 - initial_e18, E12), ceil_div(value_e18 - maintenance_e18, E12))
