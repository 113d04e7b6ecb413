"""Margin from the numbers that `private/simulate` returns, by the rules that the engine runs; nothing is asked."""

from typing import Any, NamedTuple

import msgspec

from exchange.domain.money import floor_div
from exchange.risk.cash_floor import venue_requirement
from exchange.risk.parameters import StandardParameters
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import ScenarioPortfolio, portfolio_value_e18
from exchange.risk.standard import E12, Portfolio, margin, requirement

__all__ = ["MarginResult", "margin_of"]


class MarginResult(NamedTuple):
    """In 1e-6 USDC. Equity is rounded down, requirements up; healthy while equity reaches the requirement."""

    equity_e6: int
    initial_requirement_e6: int
    maintenance_requirement_e6: int


def margin_of(inputs: dict[str, Any]) -> MarginResult:
    """Equity and requirements of `inputs` as `private/simulate` returns them, or changed; open orders left out.

    Raises msgspec.ValidationError for data of another shape.
    """
    due_e18 = int(inputs["pending_funding_e18"])
    if inputs.get("margin_type") == "PM2":
        return _by_scenarios(inputs, due_e18)
    portfolio = msgspec.convert(inputs["portfolio"], type=Portfolio)
    parameters = msgspec.convert(inputs["parameters"], type=StandardParameters)
    needed = requirement(portfolio, parameters)
    value_e18 = margin(portfolio, parameters).value_e18 + due_e18
    return MarginResult(floor_div(value_e18, E12), needed.initial_e6, needed.maintenance_e6)


def _by_scenarios(inputs: dict[str, Any], due_e18: int) -> MarginResult:
    portfolio = msgspec.convert(inputs["portfolio"], type=ScenarioPortfolio)
    needed = venue_requirement(portfolio, msgspec.convert(inputs["parameters"], type=PortfolioParameters))
    value_e18 = portfolio_value_e18(portfolio) + due_e18
    return MarginResult(floor_div(value_e18, E12), needed.initial_e6, needed.maintenance_e6)
