"""The acceptance vectors of risk.md 15: printed numbers of eleven sources through our public functions.

`evaluate(vector, param_sets)` gives a value shaped like `vector["expected"]`. The file is read where it stands or where
OFFBOOK_RISK_VECTORS says: absent by default place is a visible skip, named and absent a failure.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exchange.pricing import black76, grid, portfolios, scenarios, smile
from exchange.risk import (
    auction,
    expiry,
    funding,
    index,
    limits,
    liquidation,
    open_orders,
    portfolio,
    standard,
)
from tests.conformance.risk_vectors import (
    liquidations,
    options,
    perpetuals,
    portfolio_margin,
    standard_margin,
    volatility,
)
from tests.conformance.risk_vectors.own_cases import OWN_CASES

__all__ = ["evaluate", "passes"]

NAMED = os.environ.get("OFFBOOK_RISK_VECTORS")
SHARED = Path(os.environ.get("OFFBOOK_SHARED", Path(__file__).resolve().parents[3] / "shared"))
PLACE = Path(NAMED) if NAMED else SHARED / "vectors" / "risk_vectors.json"

AREAS = {
    "index": perpetuals.capped_index,
    "insurance": liquidations.insurance_numbers,
    "integrity.bands": perpetuals.bands,
    "integrity.limits": perpetuals.position_limits,
    "liquidation.auction": liquidations.auction_numbers,
    "liquidation.partial": liquidations.partial,
    "liquidation.price": liquidations.price,
    "margin.collateral": standard_margin.collateral,
    "margin.oi_scaling": standard_margin.open_interest,
    "margin.open_orders": standard_margin.open_order_requirement,
    "margin.perp": standard_margin.perpetual,
    "margin.portfolio": portfolio_margin.portfolio_margin,
    "margin.standard": standard_margin.standard_margin,
    "options.greeks": options.greeks,
    "options.iv": options.implied,
    "options.pricing": options.pricing,
    "options.settlement": options.settlement,
    "perp.funding": perpetuals.funding_numbers,
    "vol.arbitrage": volatility.arbitrage,
    "vol.sabr": volatility.sabr,
    "vol.svi": volatility.svi,
}


def evaluate(vector: dict[str, Any], param_sets: dict[str, Any]) -> Any:
    """Our value for a vector. Raises KeyError for an unknown area."""
    return AREAS[vector["area"]](vector, param_sets)


def passes(vector: dict[str, Any], got: Any, expected: Any = None) -> bool:
    """Whether a value is within the vector's tolerance, element by element; extra keys of ours are ignored."""
    wanted = vector["expected"] if expected is None else expected
    if isinstance(wanted, dict):
        return all(key in got and passes(vector, got[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(passes(vector, *pair) for pair in zip(got, wanted, strict=True))
    if isinstance(wanted, bool):
        return got is wanted
    return got is not None and _is_close(vector, got, wanted)


def _is_close(vector: dict[str, Any], got: float, wanted: float) -> bool:
    tolerance = vector["tolerance"]
    if vector["tolerance_kind"] == "trunc":
        return int(got + (tolerance if got >= 0 else -tolerance)) == wanted
    scale = max(1.0, abs(wanted)) if vector["tolerance_kind"] == "rel" else 1.0
    return abs(wanted - got) <= tolerance * scale


def content() -> dict[str, Any]:
    """The file. Raises FileNotFoundError when it is named and absent; empty when it is merely not there."""
    if not PLACE.exists() and not NAMED:
        return {"vectors": [], "pmrm2_param_sets": {}}
    return json.loads(PLACE.read_text())


FILE = content()


def all_vectors() -> list[Any]:
    """Every vector as a parameter, or one skipped row that says why there are none."""
    if not FILE["vectors"]:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{PLACE.name} is not there"))]
    return [pytest.param(vector, id=vector["id"]) for vector in FILE["vectors"]]


@pytest.mark.parametrize("vector", all_vectors())
def test_acceptance_vector(vector: dict[str, Any]) -> None:
    """Our number is the printed one, within the tolerance that the vector names."""
    got = evaluate(vector, FILE["pmrm2_param_sets"])
    assert passes(vector, got), (vector["expected"], got)


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in OWN_CASES])
def test_families_without_an_example(vector: dict[str, Any]) -> None:
    """Numbers of our own for what the shipped file leaves out."""
    got = evaluate(vector, FILE["pmrm2_param_sets"])
    assert passes(vector, got), (vector["expected"], got)


@pytest.mark.parametrize("kind", ["abs", "rel", "trunc"])
def test_a_wrong_number_does_not_pass(kind: str) -> None:
    """The comparison itself can fail, in every kind and every shape."""
    vector = {"tolerance": 1e-6, "tolerance_kind": kind, "expected": {"IM": [100, True]}}
    assert passes(vector, {"IM": [100.0, True], "more": 1})
    for wrong in ({"IM": [101.1, True]}, {"IM": [100.0, False]}, {"IM": [100.0]}, {}, {"IM": [None, True]}):
        assert not passes(vector, wrong)


def test_truncation_is_toward_zero() -> None:
    """-1.9 is -1, and the tolerance absorbs the noise of a float just below an integer."""
    vector = {"tolerance": 1e-6, "tolerance_kind": "trunc", "expected": -1}
    assert [passes(vector, got) for got in (-1.9, -0.9999999, -0.99, -2.0)] == [True, True, False, False]


ENGINE = [
    # area                  ids that begin with                              production function
    ("margin.standard", "derive-srm", (standard, "margin")),
    ("margin.portfolio", "derive-pmrm2-", (portfolio, "portfolio_margin")),
    ("margin.perp", "hl-", (limits, "maintenance_fraction")),
    ("margin.oi_scaling", "dydx-", (limits, "scaled_initial_fraction")),
    ("margin.oi_scaling", "dydx-im-", (standard, "perpetual_requirement")),
    ("margin.open_orders", "", (open_orders, "open_orders_requirement")),
    ("options.pricing", "haug-price-", (black76, "price")),
    ("options.pricing", "derive-black76-", (black76, "greeks")),
    ("options.pricing", "derive-black76-", (black76, "price")),
    ("options.pricing", "quantlib-blackcalc-", (black76, "price")),
    ("options.pricing", "hull-black76-put", (black76, "price")),
    ("options.pricing", "hull-black76-call", (black76, "price")),
    ("options.greeks", "", (black76, "greeks")),
    ("options.iv", "lbr-testvalues-", (black76, "implied_volatility")),
    ("options.iv", "lbr-iv", (black76, "implied_volatility")),
    ("options.settlement", "derive-payoff-", (expiry, "payoff")),
    ("options.settlement", "derive-settle-portions", (scenarios.ForwardParts, "inside_window")),
    ("options.settlement", "derive-settle-twap", (expiry, "average_of_sums")),
    ("vol.svi", "derive-svi-", (smile.SviSlice, "reach")),
    ("vol.svi", "derive-svi-1w", (smile.SviSlice, "volatility")),
    ("vol.svi", "derive-svi-cap", (smile.SviSlice, "volatility")),
    ("vol.svi", "derive-svi-maxvar", (smile.SviSlice, "volatility")),
    ("vol.arbitrage", "", (smile, "has_butterfly_arbitrage")),
    ("perp.funding", "derive-funding-rate-", (funding, "premium")),
    ("perp.funding", "derive-funding-rate-", (funding, "spread_rate")),
    ("perp.funding", "derive-funding-payment-", (funding, "funding_payment")),
    ("perp.funding", "dydx-premium-", (funding, "impact_price")),
    ("perp.funding", "dydx-premium-", (funding, "premium")),
    ("perp.funding", "dydx-funding-index-", (funding, "index_step")),
    ("perp.funding", "dydx-clamp-", (funding, "rate_cap")),
    ("perp.funding", "paradex-funding-raw", (funding, "clamped_rate")),
    ("perp.funding", "paradex-funding-index", (funding, "index_step")),
    ("perp.funding", "paradex-funding-index", (funding, "funding_payment")),
    ("liquidation.auction", "derive-auction-discount", (auction, "auction_discount")),
    ("liquidation.auction", "derive-auction-10pct", (auction, "auction_price")),
    ("liquidation.auction", "derive-auction-mtm-change", (auction, "auction_cash")),
    ("liquidation.auction", "derive-auction-race", (auction, "auction_price")),
    ("liquidation.auction", "derive-auction-start", (auction, "auction_share")),
    ("liquidation.auction", "derive-auction-half-fast", (auction, "auction_share")),
    ("liquidation.auction", "derive-auction-Test", (auction, "auction_share")),
    ("liquidation.auction", "derive-auction-InsolventTest", (auction, "buffered_margin")),
    ("liquidation.auction", "derive-insolvent-", (auction, "insolvent_payout")),
    ("liquidation.price", "dydx-bankruptcy-", (liquidation, "bankruptcy_quote")),
    ("liquidation.price", "dydx-fillable-", (liquidation, "fillable_price")),
    ("liquidation.price", "dydx-doc-liqprice-", (liquidation, "liquidation_price")),
    ("liquidation.price", "delta-hl-liqprice-identity", (liquidation, "liquidation_price")),
    ("liquidation.partial", "drift-close-size-", (liquidation, "close_amount")),
    ("insurance", "dydx-insurance-", (liquidation, "fund_fee")),
    ("insurance", "dydx-insurance-", (liquidation, "bankruptcy_quote")),
    ("insurance", "derive-withdraw-block", (auction, "withdrawals_are_blocked")),
    ("index", "", (index, "weighted_median")),
    ("index", "", (index, "capped_prices")),
    ("integrity.bands", "", (limits, "execution_band")),
    ("integrity.limits", "", (limits, "room_of_limit")),
]
"""Every family that risk.md 15 marks *engine*, with a function that none of its vectors can do without."""

WITH_OPTIONS = [
    (portfolios, "value_expiry"),
    (portfolio, "expiry_values"),
    (portfolio, "naked_shorts"),
    (grid, "scenario_prices"),
    (scenarios, "sign_discounts"),
    (scenarios, "plan_columns"),
    (black76, "price"),
]


class Replaced(Exception):
    """What a replaced function raises."""


def replace(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Let the production function raise."""

    def raising(*_: Any, **__: Any) -> None:
        raise Replaced(name)

    is_property = isinstance(vars(owner).get(name), property)
    monkeypatch.setattr(owner, name, property(raising) if is_property else raising)


def family(area: str, prefix: str) -> list[dict[str, Any]]:
    """Vectors of the file and our own cases of a family."""
    return [row for row in [*FILE["vectors"], *OWN_CASES] if row["area"] == area and row["id"].startswith(prefix)]


@pytest.mark.skipif(not FILE["vectors"], reason=f"{PLACE.name} is not there")
@pytest.mark.parametrize(
    ("area", "prefix", "function"), ENGINE, ids=[f"{row[0]}-{row[1]}{row[2][1]}" for row in ENGINE]
)
def test_no_formula_lives_in_the_adapter(
    area: str, prefix: str, function: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the production function not one vector of the family has a value."""
    vectors = family(area, prefix)
    assert vectors
    replace(monkeypatch, *function)
    for vector in vectors:
        with pytest.raises(Replaced):
            evaluate(vector, FILE["pmrm2_param_sets"])


@pytest.mark.skipif(not FILE["vectors"], reason=f"{PLACE.name} is not there")
@pytest.mark.parametrize(("owner", "name"), WITH_OPTIONS, ids=[row[1] for row in WITH_OPTIONS])
def test_portfolio_vectors_with_options_need_every_part(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grid, sums, netting and discounts are the production ones."""
    if (owner, name) == (black76, "price"):
        owner = grid
    vectors = [row for row in family("margin.portfolio", "derive-pmrm2-") if row["inputs"]["scenario"]["Options"]]
    assert len(vectors) > 50
    replace(monkeypatch, owner, name)
    for vector in vectors:
        with pytest.raises(Replaced):
            evaluate(vector, FILE["pmrm2_param_sets"])


def test_a_named_file_that_is_absent_is_a_failure() -> None:
    """OFFBOOK_RISK_VECTORS asks for a run; a skip would look like one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--co", __file__]
    environment = {**os.environ, "OFFBOOK_RISK_VECTORS": "/nowhere/risk_vectors.json"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such file" in done.stdout
