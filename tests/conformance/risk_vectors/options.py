"""options.*: every number comes from Black-76 of the production package; only changes of variables stand here."""

import math
import re
from typing import Any

from exchange.pricing import black76
from exchange.pricing.black76 import Greeks, Option
from exchange.pricing.scenarios import ForwardParts
from exchange.risk import expiry
from tests.conformance.risk_vectors.exact import is_call, scaled, unscaled

__all__ = ["greeks", "implied", "pricing", "settlement"]


def _option(inputs: dict[str, Any], *, call: bool) -> tuple[Option, float]:
    """Option and volatility of any input family: spot with rates, forward with rate, or forward with discount."""
    years = float(inputs.get("T", 1.0))
    if "stddev" in inputs:
        years, volatility = 1.0, float(inputs["stddev"])
    else:
        volatility = float(inputs["vol"])
    rate = float(inputs.get("r", 0.0))
    forward = inputs["F"] if "F" in inputs else inputs["S"] * math.exp((rate - inputs.get("q", 0.0)) * years)
    discount = float(inputs["df"]) if "df" in inputs else math.exp(-rate * years)
    option = Option(is_call=call, forward=float(forward), strike=float(inputs["K"]), years=years, discount=discount)
    return option, volatility


def pricing(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Prices; Derive's rows have both sides and the undiscounted delta, Hull's name theirs in the id."""
    inputs, name = vector["inputs"], vector["id"]
    if name.startswith("hull-black76-d1"):
        option, volatility = _option({**inputs, "r": 0.0}, call=True)
        deviation = volatility * math.sqrt(option.years)
        return math.log(option.forward / option.strike) / deviation + deviation / 2
    if name.startswith("derive-black76"):
        (call, volatility), (put, _unused) = _option(inputs, call=True), _option(inputs, call=False)
        values = black76.greeks(call, volatility)
        return {
            "call": values.price,
            "put": black76.price(put, volatility),
            "delta_undisc": values.forward_delta / call.discount,
        }
    option, volatility = _option(inputs, call=is_call(inputs) and "-put" not in name)
    return black76.price(option, volatility)


def greeks(vector: dict[str, Any], _: dict[str, Any]) -> float:
    """One Greek, in the unit that the id names."""
    inputs, name = vector["inputs"], vector["id"]
    if name.startswith("lbr-vega"):
        half = inputs.get("x", 0.0) / 2
        option = Option(is_call=True, forward=math.exp(half), strike=math.exp(-half), years=1.0)
        return black76.greeks(option, float(inputs["s"])).vega * 100
    option, volatility = _option(inputs, call=is_call(inputs))
    if name.startswith("quantlib-blackcalc"):
        years = float(inputs.get("T", 1.0))
        values = black76.greeks(option, volatility, spot=float(inputs["spot"]))
        return _quantlib(name.split("-")[2], option, values, years)
    values = black76.greeks(option, volatility, spot=float(inputs["S"]))
    return _spot_model(name, inputs, option, values)


def _spot_model(name: str, inputs: dict[str, Any], option: Option, values: Greeks) -> float:
    """Black-Scholes-Merton Greeks by the chain rule through the forward."""
    carried = values.forward_delta * option.forward
    theta = values.theta * 365 - (inputs.get("r", 0.0) - inputs.get("q", 0.0)) * carried
    rho = values.rho * 100 + option.years * carried
    kind = name.split("-")[2] if name.startswith(("haug-greek-", "hull-greek-")) else name.split("-")[1]
    return {
        "delta": values.delta,
        "gamma": values.gamma,
        "vega": values.vega * 100,
        "vega_1pct": values.vega,
        "theta": theta,
        "theta_year": theta,
        "theta_day": theta / 365,
        "rho": rho,
        "rho_1pct": rho / 100,
        "drho": -option.years * carried,
        "elasticity": values.delta * inputs["S"] / values.price,
    }[kind]


def _quantlib(name: str, option: Option, values: Greeks, years: float) -> float:
    """Names of its BlackCalculator; `option` lives one year so that volatility is the total one."""
    forward, strike, discount = option.forward, option.strike, option.discount
    first = abs(values.forward_delta) / discount
    sign = 1.0 if option.is_call else -1.0
    second = sign * (sign * forward * first - values.price / discount) / strike
    gamma_forward = values.gamma * (values.forward_delta / values.delta) ** 2
    carried = values.forward_delta * forward
    return {
        "deltaForward": values.forward_delta,
        "delta": values.delta,
        "gammaForward": gamma_forward,
        "gamma": values.gamma,
        "vega": values.vega * 100 * math.sqrt(years),
        "itmCashProbability": second,
        "itmCashProb": second,
        "itmAssetProbability": first,
        "itmAssetProb": first,
        "strikeSensitivity": -sign * discount * second,
        "strikeGamma": gamma_forward * (forward / strike) ** 2,
        "rho": years * (carried - values.price),
        "dividendRho": -years * carried,
        "elasticityForward": carried / values.price,
        "elasticity": carried / values.price,
        "vanna": values.vanna * 100,
        "volga": values.volga * 1e4 * math.sqrt(years),
    }[name]


def implied(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Normalised prices, price and volatility of a test value, or the volatility of a price."""
    inputs, name = vector["inputs"], vector["id"]
    if "x" in inputs:
        option = Option(
            is_call="-put" not in name, forward=math.exp(inputs["x"] / 2), strike=math.exp(-inputs["x"] / 2), years=1.0
        )
        return black76.price(option, float(inputs["s"]))
    option, _volatility = _option({"vol": 0.0, **inputs}, call=is_call(inputs))
    if "price" in inputs:
        return black76.implied_volatility(option, float(inputs["price"]))
    return {
        "price": black76.price(option, float(inputs["vol"])),
        "iv": black76.implied_volatility(option, float(vector["expected"]["price"])),
    }


def settlement(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Payoffs, the split forward and the average at expiry; Deribit's inverse payoff by its own rule."""
    inputs, name = vector["inputs"], vector["id"]
    if "settle" in inputs:
        payoff = expiry.payoff(
            settlement=scaled(inputs["settle"]), strike=scaled(inputs["strike"]), is_call=is_call(inputs)
        )
        return unscaled(payoff)
    if "twap_so_far" in inputs:
        parts = ForwardParts.inside_window(
            average_so_far=float(inputs["twap_so_far"]),
            forward_now=float(inputs["spot"]) + float(inputs["fwd_spot_diff"]),
            seconds_left=float(inputs["sec_to_expiry"]),
            window_s=float(inputs["window_s"]),
        )
        return {"fixed": parts.fixed, "variable": parts.moving}
    if "start_agg" in inputs:
        sums = [_running_sum(str(inputs[key])) for key in ("start_agg", "end_agg")]
        return unscaled(expiry.average_of_sums(start_sum=sums[0], end_sum=sums[1], duration=int(inputs["window_s"])))
    difference = inputs["delivery"] - inputs["K"]
    paid = max(-difference if "put" in name else difference, 0.0) / inputs["delivery"]
    return {"payoff_btc": paid, "pnl": paid - inputs["premium"]}


EXPIRY_S = 1_700_000_000
"""Any time will do: E of the texts."""


def _running_sum(text: str) -> int:
    """Sum of products such as `1050*(E-1800)`, `1100*E` or `20*600`."""
    return sum(_product(term) for term in re.sub(r"\s", "", text).split("+"))


def _product(term: str) -> int:
    factors = [factor.strip("()") for factor in term.split("*")]
    times = [EXPIRY_S - int(factor[2:] or 0) for factor in factors if factor.startswith("E")]
    prices = [scaled(factor) for factor in factors if not factor.startswith("E")]
    if len(factors) == 2 and len(prices) == 2:
        return prices[0] * prices[1] // scaled(1)
    (price,), (seconds,) = prices, times
    return price * seconds
