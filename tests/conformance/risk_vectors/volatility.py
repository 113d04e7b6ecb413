"""vol.*: SVI slices and their gates from the production package; Hagan's SABR by its own rule."""

import math
from typing import Any

from exchange.pricing import smile
from exchange.pricing.smile import JumpWings, SviSlice

__all__ = ["arbitrage", "sabr", "svi"]

VOGT = {"a": -0.0410, "b": 0.1331, "m": 0.3586, "rho": 0.3060, "sigma": 0.4153}
"""risk.md 5.4."""


def _slice(inputs: dict[str, Any], years: float = 1.0) -> SviSlice:
    sigma = inputs["sigma"] if "sigma" in inputs else inputs["s"]
    return SviSlice(a=inputs["a"], b=inputs["b"], rho=inputs["rho"], m=inputs["m"], sigma=sigma, years=years)


def svi(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """A volatility with clamp and cap, the clamp itself, plain variances, jump wings and their repair."""
    inputs = vector["inputs"]
    if "jw" in inputs:
        repaired = smile.repaired_wings(JumpWings(*inputs["jw"]))
        return [repaired.call_slope, repaired.lowest_variance]
    if "a" not in inputs:
        return [math.sqrt(_slice(VOGT).raw_variance(point)) for point in inputs["k"]]
    if "t" in inputs:
        wings = smile.jump_wings(_slice(inputs, float(inputs["t"])))
        return [wings.variance, wings.skew, wings.put_slope, wings.call_slope, wings.lowest_variance]
    if "k" in inputs:
        return _slice(inputs).raw_variance(inputs["k"])
    fitted = _slice(inputs, float(inputs["tau"]))
    if "K" not in inputs:
        return fitted.reach
    return fitted.volatility(strike=float(inputs["K"]), forward=float(inputs["F"]))


def arbitrage(vector: dict[str, Any], _: dict[str, Any]) -> dict[str, bool]:
    """The butterfly gate on k from -1.5 to 1.5."""
    inputs = vector["inputs"]
    if "raw" in inputs:
        a, b, rho, m, sigma = inputs["raw"]
        fitted = SviSlice(a=a, b=b, rho=rho, m=m, sigma=sigma, years=1.0)
    else:
        fitted = _slice(VOGT)
    points = [step / 100 for step in range(-150, 151)]
    return {"has_negative_g": smile.has_butterfly_arbitrage(fitted, points)}


def sabr(vector: dict[str, Any], _: dict[str, Any]) -> list[float]:
    """Hagan's lognormal expansion."""
    inputs = vector["inputs"]
    names = ("f", "T", "alpha", "beta", "nu", "rho")
    return [_hagan(strike, *(float(inputs[name]) for name in names)) for strike in inputs["strikes"]]


def _hagan(strike: float, forward: float, years: float, alpha: float, beta: float, nu: float, rho: float) -> float:
    rest = 1.0 - beta
    mean = (forward * strike) ** (rest / 2)
    distance = math.log(forward / strike)
    z = nu / alpha * mean * distance
    wings = 1 + rest**2 / 24 * distance**2 + rest**4 / 1920 * distance**4
    time = 1 + years * (
        rest**2 / 24 * alpha**2 / mean**2 + rho * beta * nu * alpha / (4 * mean) + (2 - 3 * rho**2) / 24 * nu**2
    )
    bend = 1 - 0.5 * rho * z if abs(z) < 1e-7 else z / _chi(z, rho)
    return alpha / (mean * wings) * bend * time


def _chi(z: float, rho: float) -> float:
    return math.log((math.sqrt(1 - 2 * rho * z + z * z) + z - rho) / (1 - rho))
