"""margin.portfolio: PMRM_2 through the grid and the margin core, other venues' models by their own rules."""

import math
import re
from typing import Any

from exchange.pricing import black76, portfolios, scenarios, smile
from exchange.pricing.portfolios import ExpiryTerms, OptionLeg
from exchange.pricing.scenarios import ForwardParts, ShockParameters, TrustParameters
from exchange.risk import portfolio
from exchange.risk.portfolio import Collateral, ExpiryValues, Perpetual, PortfolioAccount
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario, VolatilityMove
from tests.conformance.risk_vectors.exact import E18, SECONDS_PER_YEAR, scaled

__all__ = ["portfolio_margin"]

MONEY = E18 * E18
"""Amounts and prices are taken to 1e-18, so money is exact in 1e-36."""
WINDOW_S = 1_800.0
MOVES = {
    "Up": VolatilityMove.UP,
    "Down": VolatilityMove.DOWN,
    "None": VolatilityMove.NONE,
    "LINEAR": VolatilityMove.LINEAR,
    "ABS": VolatilityMove.ABSOLUTE,
}
FULL = E18


def portfolio_margin(vector: dict[str, Any], param_sets: dict[str, Any]) -> Any:
    """Dispatch on the input keys."""
    inputs = vector["inputs"]
    if "scenario" in inputs:
        return _pmrm2(inputs["scenario"], param_sets[inputs["param_set"]])
    if "portfolio" in inputs:
        return _pmrm1(inputs["portfolio"], inputs["params"])
    return _other_venues(inputs)


def _pmrm2(scenario: dict[str, Any], params: dict[str, Any]) -> dict[str, float]:
    margin = portfolio.portfolio_margin(_account(scenario, params), _parameters(params))
    return {
        "IM": margin.initial / MONEY,
        "MM": margin.maintenance / MONEY,
        "OptionMTM": margin.option_value / MONEY,
        "CollateralMTM": margin.collateral_value / MONEY,
    }


def _parameters(params: dict[str, Any]) -> PortfolioParameters:
    margin, basis, other = params["Margin"], params["BasisContingency"], params["OtherContingency"]
    return PortfolioParameters(
        one=E18,
        scenarios=tuple(
            Scenario(
                spot=scaled(row["SpotShock"]),
                move=MOVES[row["VolShockDirection"]],
                dampening=scaled(row["DampeningFactor"]),
            )
            for row in params["Scenarios"]
        ),
        basis_up=scaled(basis["SCENARIO_SPOT_UP"]),
        basis_down=scaled(basis["SCENARIO_SPOT_DOWN"]),
        maintenance_factor=scaled(margin["MM_LOSS_FACTOR"]),
        initial_factor=scaled(margin["IM_LOSS_FACTOR"]),
        perpetual_maintenance=scaled(other["MM_PERP_PERCENT"]),
        perpetual_initial=scaled(other["IM_PERP_PERCENT"]),
        option_maintenance=scaled(other["MM_OPTION_PERCENT"]),
        option_initial=scaled(other["IM_OPTION_PERCENT"]),
        confidence_threshold=scaled(other["CONF_THRESHOLD"]),
        confidence_factor=scaled(other["CONF_MARGIN"]),
        peg_threshold=scaled(other["PEG_LOSS_THRESHOLD"]),
        peg_factor=scaled(other["PEG_LOSS_FACTOR"]),
    )


def _shocks(params: dict[str, Any]) -> ShockParameters:
    volatility, skew = params["VolShock"], params["SkewShock"]
    return ShockParameters(
        range_up=float(volatility["VOLRANGEUP"]),
        range_down=float(volatility["VOLRANGEDOWN"]),
        lowest_up=float(volatility["MIN_VOL_EVAL_SHOCKED"]),
        short_power=float(volatility["SHORTTERMPOWER"]),
        long_power=float(volatility["LONGTERMPOWER"]),
        floor_years=float(volatility["DTE_FLOOR"]) / 365.0,
        linear_cap=float(skew["LINEAR_SCALE_CAP"]),
        linear_base=float(skew["LINEAR_CBASE"]),
        absolute_cap=float(skew["ABS_SCALE_CAP"]),
        absolute_base=float(skew["ABS_CBASE"]),
        lowest_width=float(skew["MIN_K_STAR"]),
        width=float(skew["MIN_WIDTH_SCALE"]),
        width_static=float(skew["VOL_PARAM_STATIC"]),
        width_scale=float(skew["VOL_PARAM_SCALE"]),
    )


def _trust(params: dict[str, Any]) -> TrustParameters:
    margin, basis = params["Margin"], params["BasisContingency"]
    return TrustParameters(
        long_base=float(margin["BASE_STATIC_DISCOUNT"]),
        long_rate_factor=float(margin["LONG_RATE_MULTSCALE"]),
        long_addition=float(margin["LONG_RATE_ADDSCALE"]),
        short_base=float(margin["BASE_STATIC_DISCOUNT_NEG"]),
        short_rate_factor=float(margin["SHORT_RATE_MULTSCALE"]),
        short_addition=float(margin["SHORT_RATE_ADDSCALE"]),
        basis_addition=float(basis["BASIS_CONT_ADD_FACTOR"]),
        basis_factor=float(basis["BASIS_CONT_MULT_FACTOR"]),
    )


def _account(scenario: dict[str, Any], params: dict[str, Any]) -> PortfolioAccount:
    stable = float(scenario["StablePrice"])
    held = float(scenario["NumPerps"])
    profit = scaled(scenario["UnrealisedPerpPNL"], MONEY) + scaled(scenario["UnrealisedFunding"], MONEY)
    perpetual = Perpetual(
        amount=scaled(held),
        mark=scaled(scenario["PerpPrice"], MONEY),
        profit=profit,
        confidence=scaled(scenario["PerpConfidence"]),
    )
    return PortfolioAccount(
        cash=scaled(scenario["Cash"], MONEY),
        index=scaled(scenario["SpotPrice"], MONEY),
        index_confidence=scaled(scenario["SpotConfidence"]),
        stable=scaled(scenario["StablePrice"]),
        expiries=_expiries(scenario, params),
        perpetual=perpetual if held else None,
        collateral=tuple(_collateral(row, stable) for row in scenario["Collaterals"]),
    )


def _collateral(row: dict[str, Any], stable: float) -> Collateral:
    return Collateral(
        value=scaled(float(row["Amount"]) * float(row["Price"]) / stable, MONEY),
        maintenance_haircut=scaled(row["MMHaircut"]),
        initial_haircut=scaled(row["IMHaircut"]),
        is_risk_canceling=bool(row["IsRiskCancelling"]),
        confidence=scaled(row["Confidence"]),
    )


def _expiries(scenario: dict[str, Any], params: dict[str, Any]) -> tuple[ExpiryValues, ...]:
    feeds = {int(row["FeedExpiry"]): row for row in scenario["OptionFeeds"]}
    legs: dict[int, list[dict[str, Any]]] = {}
    for row in scenario["Options"]:
        legs.setdefault(int(row["Expiry"]), []).append(row)
    return tuple(_expiry(seconds, rows, feeds[seconds], params) for seconds, rows in sorted(legs.items()))


def _expiry(seconds: int, legs: list[dict[str, Any]], feed: dict[str, Any], params: dict[str, Any]) -> ExpiryValues:
    forward = float(feed["Forward"])
    terms = ExpiryTerms(
        forward=ForwardParts.inside_window(
            average_so_far=forward, forward_now=forward, seconds_left=float(seconds), window_s=WINDOW_S
        ),
        years=seconds / SECONDS_PER_YEAR,
        rate=float(feed["Rate"]),
        confidence=min(scaled(feed[name]) for name in ("ForwardConfidence", "RateConfidence", "OptionVolConfidences")),
    )
    rows = [
        OptionLeg(
            is_call=bool(leg["IsCall"]),
            strike=float(leg["Strike"]),
            volatility=_volatility(leg, feed),
            amount=scaled(leg["Amount"]),
        )
        for leg in legs
    ]
    return portfolios.value_expiry(
        rows,
        terms,
        plan=scenarios.plan_columns(_parameters(params)),
        shocks=_shocks(params),
        trust=_trust(params),
        one=E18,
    )


def _volatility(leg: dict[str, Any], feed: dict[str, Any]) -> float:
    a, b, rho, m, sigma, forward, years = (float(value) for value in feed["SVIparam"])
    fitted = smile.SviSlice(a=a, b=b, rho=rho, m=m, sigma=sigma, years=years)
    return fitted.volatility(strike=float(leg["Strike"]), forward=forward)


PMRM1_SHOCKS = [(spot, move) for spot in (1.15, 1.10, 1.05, 1.0, 0.95, 0.90, 0.85) for move in ("up", "none", "down")]
PMRM1_CHANGED = {"rateAddScale": "rate_add", "confMargin": "conf_margin", "basePercent": "base_pct",
                 "perpPercent": "perp_pct"}  # fmt: skip


def _pmrm1(account: dict[str, Any], text: str) -> dict[str, float]:
    """PMRM v1, another manager's rule, kept because it shares the pricing (risk.md 15.3)."""
    params = {"rate_add": 0.05, "conf_margin": 0.5, "base_pct": 0.02, "perp_pct": 0.02}
    for name, value in re.findall(r"(\w+)=([.\d]+)", text):
        params[PMRM1_CHANGED[name]] = float(value)
    size, perp_price, perp_confidence, profit = account["perp"]
    spot, base = account["spot"], account["base"]
    base_worth = base * spot / account["stable"]
    marks = [_pmrm1_value(expiry, 1.0, "none") for expiry in account["expiries"]]
    losses = [
        sum(
            _pmrm1_scaled(_pmrm1_value(expiry, shock, move), expiry, params) - mark
            for expiry, mark in zip(account["expiries"], marks, strict=True)
        )
        + size * (shock - 1) * perp_price
        + base_worth * (shock - 1)
        for shock, move in PMRM1_SHOCKS
    ]
    basis = sum(
        min(_pmrm1_value(expiry, 1.05, "none") - mark, _pmrm1_value(expiry, 0.95, "none") - mark, 0.0)
        * (0.25 + 0.01 * expiry["sec"] / SECONDS_PER_YEAR)
        for expiry, mark in zip(account["expiries"], marks, strict=True)
    )
    naked = sum(
        portfolio.naked_shorts([(scaled(row[0]), bool(row[1]), scaled(row[2])) for row in expiry["opts"]]) / E18
        for expiry in account["expiries"]
    )
    static = (abs(size) * params["perp_pct"] + base * params["base_pct"] + naked * 0.01) * spot
    worst = min(basis, *losses) - static
    value = base_worth + profit + sum(marks)
    factor = 1.3 + max(0.0, 0.98 - account["stable"]) * 2
    addition = _pmrm1_confidence(account, perp_confidence, params)
    return {
        "IM": worst * factor - addition + value + account["cash"],
        "MM": worst + value + account["cash"],
        "MtM": value,
        "basis": basis,
        "static": static,
    }


def _pmrm1_value(expiry: dict[str, Any], shock: float, move: str) -> float:
    years = expiry["sec"] / SECONDS_PER_YEAR
    power = 0.3 if expiry["sec"] <= 30 * 86_400 else 0.13
    term = (30.0 / max(expiry["sec"] / 86_400, 1.0)) ** power
    total = 0.0
    for strike, kind, amount, volatility in expiry["opts"]:
        factor = {"up": 1 + 0.45 * term, "none": 1.0, "down": max(0.0, 1 - 0.3 * term)}[move]
        option = black76.Option(
            is_call=bool(kind), forward=expiry["var"] * shock + expiry["fix"], strike=float(strike), years=years
        )
        total += amount * black76.price(option, volatility * factor)
    return total


def _pmrm1_scaled(value: float, expiry: dict[str, Any], params: dict[str, float]) -> float:
    years = expiry["sec"] / SECONDS_PER_YEAR
    return value * 0.95 * math.exp(-years * (max(0.0, expiry["rate"]) * 4 + params["rate_add"])) if value > 0 else value


def _pmrm1_confidence(account: dict[str, Any], perp_confidence: float, params: dict[str, float]) -> float:
    size = abs(account["perp"][0])
    lowest = min(account["sc"], perp_confidence) if size else account["sc"]
    rows = [(lowest, size + account["base"])]
    rows += [
        (min(lowest, expiry["conf"]), sum(abs(row[2]) for row in expiry["opts"])) for expiry in account["expiries"]
    ]
    return sum((1 - c) * params["conf_margin"] * count * account["spot"] for c, count in rows if c < 0.6)


DERIBIT_POSITIONS = (0.314538364, -0.001187534)
"""Perpetual and future of Deribit's published example, in BTC."""


def _other_venues(inputs: dict[str, Any]) -> Any:
    if "pos_btc" in inputs:
        return _inverse(inputs["pos_btc"], inputs.get("price_range", 0.16), inputs.get("buckets", 4))
    if "pnl_offset" in inputs:
        return _aggregate()
    if "roll_pct" in inputs:
        return _deribit_margins(inputs)
    if "short_calls" in inputs:
        net = inputs["perp"] - inputs["short_calls"] * inputs["delta"]
        gross = inputs["perp"] + inputs["short_calls"] * inputs["delta"]
        return (inputs["unhedged"] * abs(net) + inputs["hedged"] * (gross - abs(net)) / 2) * inputs["spot"]
    if "dte" in inputs:
        return (30 / inputs["dte"]) ** inputs["power"] * inputs["base"]
    return abs(inputs["call"] + inputs["put"]) * inputs["per"]


def _inverse(position: float, price_range: float, buckets: int) -> list[float]:
    moves = [price_range * place / buckets for place in range(-buckets, buckets + 1)]
    return [position * move / (1 + move) for move in moves]


def _aggregate() -> list[float]:
    columns = zip(*(_inverse(position, 0.16, 4) for position in DERIBIT_POSITIONS), strict=True)
    return [min(0.0, sum(column)) for column in columns]


def _deribit_margins(inputs: dict[str, float]) -> dict[str, float]:
    roll = sum(abs(position) for position in DERIBIT_POSITIONS) * inputs["roll_pct"]
    worst = -min(_aggregate())
    matrix = roll + worst
    return {
        "roll_shock": roll,
        "worst": worst,
        "risk_matrix": matrix,
        "IM": matrix + inputs["mmp"] + inputs["open_orders"],
        "MM": inputs["mm_factor"] * matrix,
    }
