"""Option models, importable without a running exchange: prices, Greeks, volatilities, scenario grids.

The only package where floats and the C math library are allowed. Units and sources stand in the modules.
"""

from exchange.pricing.black76 import Greeks, Option, greeks, implied_volatility, intrinsic_value, price
from exchange.pricing.chains import Chain
from exchange.pricing.grid import Contract, ExpiryState, ScenarioGrid, scenario_prices
from exchange.pricing.mark import MarkInputs, MovingAverage, perpetual_mark
from exchange.pricing.portfolios import ExpiryTerms, OptionLeg, value_expiry
from exchange.pricing.scenarios import (
    ForwardParts,
    ShockParameters,
    TrustParameters,
    discount_factor,
    plan_columns,
    sign_discounts,
)
from exchange.pricing.smile import SviSlice

__all__ = [
    "Chain",
    "Contract",
    "ExpiryState",
    "ExpiryTerms",
    "ForwardParts",
    "Greeks",
    "MarkInputs",
    "MovingAverage",
    "Option",
    "OptionLeg",
    "ScenarioGrid",
    "ShockParameters",
    "SviSlice",
    "TrustParameters",
    "discount_factor",
    "greeks",
    "implied_volatility",
    "intrinsic_value",
    "perpetual_mark",
    "plan_columns",
    "price",
    "scenario_prices",
    "sign_discounts",
    "value_expiry",
]
