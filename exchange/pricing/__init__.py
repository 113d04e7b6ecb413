"""Option models, importable without a running exchange: prices, Greeks, volatilities, scenario grids.

The only package where floats and the C math library are allowed. Units and sources stand in the modules. What fits
volatilities needs scipy, which takes a second to import, and stands apart: `exchange.pricing.svi_fit` (one slice) and
`exchange.pricing.surface` (a whole surface, kept).
"""

from exchange.pricing.black76 import Greeks, Option, greeks, implied_volatility, intrinsic_value, price
from exchange.pricing.chains import Chain
from exchange.pricing.forwards import ParityForward, external_forward, forward_by_parity
from exchange.pricing.gates import Gate, failed_gate
from exchange.pricing.grid import Contract, ExpiryState, ScenarioGrid, scenario_prices
from exchange.pricing.mark import MarkInputs, MovingAverage, perpetual_mark
from exchange.pricing.portfolios import ExpiryTerms, OptionLeg, value_expiry
from exchange.pricing.quotes import OptionQuote, QuotedVolatility, quoted_volatilities
from exchange.pricing.realized import realized_volatility
from exchange.pricing.scenarios import (
    ForwardParts,
    ShockParameters,
    TrustParameters,
    discount_factor,
    plan_columns,
    sign_discounts,
)
from exchange.pricing.smile import SviSlice
from exchange.pricing.variance_index import ChainPrice, ExpiryVariance, expiry_variance, index_volatility

__all__ = [
    "Chain",
    "ChainPrice",
    "Contract",
    "ExpiryState",
    "ExpiryTerms",
    "ExpiryVariance",
    "ForwardParts",
    "Gate",
    "Greeks",
    "MarkInputs",
    "MovingAverage",
    "Option",
    "OptionLeg",
    "OptionQuote",
    "ParityForward",
    "QuotedVolatility",
    "ScenarioGrid",
    "ShockParameters",
    "SviSlice",
    "TrustParameters",
    "discount_factor",
    "expiry_variance",
    "external_forward",
    "failed_gate",
    "forward_by_parity",
    "greeks",
    "implied_volatility",
    "index_volatility",
    "intrinsic_value",
    "perpetual_mark",
    "plan_columns",
    "price",
    "quoted_volatilities",
    "realized_volatility",
    "scenario_prices",
    "sign_discounts",
    "value_expiry",
]
