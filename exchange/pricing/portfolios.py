"""From option legs to what Portfolio Margin needs of them: one call, without a running exchange.

    plan = plan_columns(parameters)
    expiry = value_expiry(legs, ExpiryTerms(...), plan=plan)
    portfolio_margin(PortfolioAccount(cash=0, index=60_000 * 10**18, expiries=(expiry,)), parameters)

Prices are floats here and integers from here on: each value is rounded once, to the nearest, in units of 1 / `one`.
Amounts are integers over the same `one`, so money is exact in 1 / one^2 (1e-18 USDC with our own parameters).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.pricing import grid, scenarios
from exchange.pricing.grid import Contract, ExpiryState
from exchange.pricing.scenarios import ColumnPlan, ForwardParts, ShockParameters, TrustParameters
from exchange.risk import portfolio
from exchange.risk.portfolio import ExpiryValues

__all__ = ["ExpiryTerms", "OptionLeg", "value_expiry"]

_E9: Final = 10**9


class OptionLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position in one option; `amount` signed, over `one`."""

    is_call: bool
    strike: float
    volatility: float
    amount: int


class ExpiryTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An expiry at one moment: forward in parts, years left, yearly rate, lowest confidence of its feeds over `one`."""

    forward: ForwardParts
    years: float
    rate: float = 0.0
    confidence: int | None = None


def value_expiry(
    legs: Sequence[OptionLeg],
    terms: ExpiryTerms,
    *,
    plan: ColumnPlan,
    shocks: ShockParameters | None = None,
    trust: TrustParameters | None = None,
    one: int = _E9,
) -> ExpiryValues:
    """Values of all legs of an expiry in every column, discounts by sign, naked shorts.

    Without `shocks` or `trust` the exchange's own are taken. Raises ValueError for numbers that are no prices.
    """
    state = ExpiryState(
        forward=terms.forward, years=terms.years, discount=scenarios.discount_factor(terms.rate, terms.years)
    )
    rows = [[round(value * one) for value in _prices(leg, state, plan, shocks or ShockParameters())] for leg in legs]
    values = portfolio.expiry_values([leg.amount for leg in legs], rows) if legs else (0,) * len(plan.columns)
    discounts = scenarios.sign_discounts(years=terms.years, rate=terms.rate, trust=trust or TrustParameters())
    return ExpiryValues(
        values=values[: plan.scenarios],
        mark=values[plan.mark],
        forward_up=values[plan.forward_up],
        forward_down=values[plan.forward_down],
        long_discount=round(discounts.positive * one),
        short_discount=round(discounts.negative * one),
        basis_factor=round(discounts.basis * one),
        naked_shorts=portfolio.naked_shorts([(round(leg.strike * one), leg.is_call, leg.amount) for leg in legs]),
        gross=sum(abs(leg.amount) for leg in legs),
        confidence=terms.confidence,
    )


def _prices(leg: OptionLeg, state: ExpiryState, plan: ColumnPlan, shocks: ShockParameters) -> tuple[float, ...]:
    contract = Contract(is_call=leg.is_call, strike=leg.strike, expiry=0)
    return grid.scenario_prices(contract, leg.volatility, state, plan.columns, shocks)
