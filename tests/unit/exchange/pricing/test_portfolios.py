"""What a trader imports: a portfolio priced and margined in one call each, and the package's own list of names."""

import importlib
import math
import pkgutil

import pytest

import exchange.pricing
from exchange.pricing import ExpiryTerms, ForwardParts, OptionLeg, plan_columns, value_expiry
from exchange.risk.portfolio import PortfolioAccount, portfolio_margin
from exchange.risk.portfolio_parameters import PortfolioParameters

E9, E18 = 10**9, 10**18
OURS = PortfolioParameters()


def leg_of(**changes):
    """A short 70k call, 30 days, 55 %."""
    return OptionLeg(**{"is_call": True, "strike": 70_000.0, "volatility": 0.55, "amount": -E9} | changes)


def terms_of(**changes):
    """A month, the forward at 60,000."""
    return ExpiryTerms(**{"forward": ForwardParts.free(60_000.0), "years": 30 / 365} | changes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_numbers_that_are_no_prices_are_refused(value):
    """A margin of a NaN would be no margin."""
    plan = plan_columns(OURS)
    for leg, terms in (
        (leg_of(strike=value), terms_of()),
        (leg_of(volatility=value), terms_of()),
        (leg_of(), terms_of(years=value)),
        (leg_of(), terms_of(forward=ForwardParts.free(value))),
    ):
        with pytest.raises(ValueError, match="must be"):
            value_expiry([leg], terms, plan=plan)


def test_a_short_call_in_three_lines():
    """risk.md 6: 9,201 for initial, 7,478 for maintenance margin, to one USDC."""
    expiry = value_expiry([leg_of()], terms_of(), plan=plan_columns(OURS))
    account = PortfolioAccount(cash=0, index=60_000 * E18, expiries=(expiry,))
    result = portfolio_margin(account, OURS)
    assert (round(-result.initial / E18), round(-result.maintenance / E18)) == (9_201, 7_478)


def test_what_the_package_exports_its_modules_export():
    """No name comes from nowhere."""
    modules = [
        importlib.import_module(f"exchange.pricing.{found.name}")
        for found in pkgutil.iter_modules(exchange.pricing.__path__)
        if not found.name.startswith("_")
    ]
    public = {name for module in modules for name in module.__all__}
    assert sorted(exchange.pricing.__all__) == exchange.pricing.__all__
    assert set(exchange.pricing.__all__) <= public
