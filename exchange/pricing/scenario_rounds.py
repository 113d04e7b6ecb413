"""From volatilities and forwards to the scenario prices that the exchange journals: floats end here.

SetScenarios of `scenario_round("BTC", 7, expiries)` has a row per option, quantised once, to the nearest 1e-9 USDC.
"""

from array import array
from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.portfolio import ExpiryTrust, ScenarioRow, SetScenarios
from exchange.pricing.grid import Contract, ExpiryState, ScenarioGrid
from exchange.pricing.portfolios import ExpiryTerms
from exchange.pricing.scenarios import (
    ColumnPlan,
    ShockParameters,
    TrustParameters,
    discount_factor,
    plan_columns,
    sign_discounts,
)
from exchange.risk.portfolio_parameters import PortfolioParameters

__all__ = ["ExpiryRound", "PricedOption", "scenario_round"]

_E9: Final = 10**9
_OURS: Final = PortfolioParameters()


class PricedOption(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A listed option with its volatility as a fraction; `strike` in USDC."""

    instrument: int
    is_call: bool
    strike: float
    volatility: float


class ExpiryRound(msgspec.Struct, frozen=True, kw_only=True):
    """An expiry at one moment, and its options."""

    expiry_s: int
    terms: ExpiryTerms
    options: tuple[PricedOption, ...] = ()


def scenario_round(
    underlying: str, number: int, expiries: Sequence[ExpiryRound], *, parameters: PortfolioParameters = _OURS
) -> SetScenarios:
    """Round `number` of an underlying, shocked and discounted by the exchange's own sizes.

    Raises ValueError naming the first option without a price.
    """
    plan = plan_columns(parameters)
    options = [(place, row) for place, expiry in enumerate(expiries) for row in expiry.options]
    contracts = [Contract(is_call=row.is_call, strike=row.strike, expiry=place) for place, row in options]
    grid = ScenarioGrid(contracts, plan, ShockParameters())
    grid.refresh(
        volatilities=array("d", [row.volatility for _, row in options]),
        expiries=[_state(expiry.terms) for expiry in expiries],
    )
    return SetScenarios(
        underlying=underlying,
        round=number,
        expiries=tuple(map(_trust, expiries)),
        rows=tuple(
            ScenarioRow.of(row.instrument, _cells(grid.row(place), plan)) for place, (_, row) in enumerate(options)
        ),
    )


def _state(terms: ExpiryTerms) -> ExpiryState:
    discount = discount_factor(terms.rate, terms.years)
    return ExpiryState(forward=terms.forward, years=terms.years, discount=discount)


def _trust(expiry: ExpiryRound) -> ExpiryTrust:
    found = sign_discounts(years=expiry.terms.years, rate=expiry.terms.rate, trust=TrustParameters())
    rounded = [round(value * _E9) for value in (found.positive, found.negative, found.basis)]
    return ExpiryTrust(expiry.expiry_s, *rounded)


def _cells(row: tuple[int, ...], plan: ColumnPlan) -> tuple[int, ...]:
    """Scenarios first, then unshocked, forward up and forward down."""
    return (*row[: plan.scenarios], row[plan.mark], row[plan.forward_up], row[plan.forward_down])
