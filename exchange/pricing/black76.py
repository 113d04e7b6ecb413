"""Black-76 on the forward of an expiry: price, Greeks, implied volatility, and their integers for the engine.

Prices are USDC per unit of the underlying, volatilities fractions (0.5 = 50 %), `years` of 365 days, `discount` the
value today of one USDC at expiry. Greeks have the units of risk.md 5.2: delta per 1 USD of spot, gamma per USD^2, vega
per vol point, theta per day and rho per 1 % with the forward held fixed. Floats stop here: `quantise` rounds once, to
the nearest integer, and everything behind it is exact.

The in-the-money side is always derived from the out-of-the-money one by parity, so small time values keep their digits.
"""

import math
from typing import Final

import msgspec

from exchange.domain.commands import MarkRow

__all__ = ["Greeks", "Option", "greeks", "implied_volatility", "intrinsic_value", "price", "quantise"]

_DAYS_PER_YEAR: Final = 365.0
_SQRT_TWO: Final = math.sqrt(2.0)
_SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
_SATURATED_DEVIATION: Final = 24.0
"""Total volatility from which an option is worth all it can be worth."""
_LOWEST_DEVIATION: Final = 1e-8
_HIGHEST_DEVIATION: Final = 20.0
_MAX_STEPS: Final = 60
_STEP_TOLERANCE: Final = 1e-15


class Option(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A European option on a forward. `forward` > 0, `strike` >= 0, `years` >= 0, 0 < `discount` <= 1."""

    is_call: bool
    forward: float
    strike: float
    years: float
    discount: float = 1.0


class Greeks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Price and sensitivities of one option, in the units of the module."""

    price: float
    delta: float
    forward_delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float
    volga: float


def price(option: Option, volatility: float) -> float:
    """Value of `option` at `volatility` >= 0; intrinsic value at zero, never above what it can pay."""
    deviation = volatility * math.sqrt(option.years)
    if deviation <= 0.0 or option.strike <= 0.0 or option.forward <= 0.0:
        return intrinsic_value(option)
    if deviation >= _SATURATED_DEVIATION:
        return option.discount * (option.forward if option.is_call else option.strike)
    scale = option.discount * math.sqrt(option.forward * option.strike)
    distance = -abs(math.log(option.forward / option.strike))
    return intrinsic_value(option) + scale * _time_value(distance, deviation)


def intrinsic_value(option: Option) -> float:
    """Discounted value if nothing moved any more."""
    difference = option.forward - option.strike
    return option.discount * max(difference if option.is_call else -difference, 0.0)


def greeks(option: Option, volatility: float, *, spot: float | None = None) -> Greeks:
    """Price and Greeks; without `spot` the forward stands for it. At expiry only price and delta are not zero."""
    ratio = option.forward / (option.forward if spot is None else spot)
    root_years = math.sqrt(option.years)
    deviation = volatility * root_years
    value = price(option, volatility)
    if deviation <= 0.0 or option.strike <= 0.0:
        return _settled_greeks(option, value, ratio)
    d1 = math.log(option.forward / option.strike) / deviation + deviation / 2.0
    d2 = d1 - deviation
    sign = 1.0 if option.is_call else -1.0
    forward_delta = sign * option.discount * _cumulative(sign * d1)
    density = option.discount * _density(d1)
    yearly_vega = option.forward * density * root_years
    rate = -math.log(option.discount) / option.years
    decay = option.forward * density * volatility / (2.0 * root_years)
    return Greeks(
        price=value,
        delta=forward_delta * ratio,
        forward_delta=forward_delta,
        gamma=density / (option.forward * deviation) * ratio * ratio,
        vega=yearly_vega * 0.01,
        theta=(rate * value - decay) / _DAYS_PER_YEAR,
        rho=-option.years * value * 0.01,
        vanna=-density * d2 / volatility * ratio * 0.01,
        volga=yearly_vega * d1 * d2 / volatility * 1e-4,
    )


def implied_volatility(option: Option, value: float, *, lowest_value: float = 0.0) -> float | None:
    """Volatility at which `option` costs `value`; None when no volatility does or the time value is too small.

    `lowest_value`: time values at or below it (half a tick) carry no information. Newton's method on the logarithm of
    the time value, with bisection whenever a step leaves the bracket; at most 60 steps.
    """
    if option.years <= 0.0 or option.strike <= 0.0 or option.forward <= 0.0:
        return None
    time_value = value - intrinsic_value(option)
    scale = option.discount * math.sqrt(option.forward * option.strike)
    most = option.discount * min(option.forward, option.strike)
    if not max(lowest_value, 0.0) < time_value < most:
        return None
    deviation = _solve(-abs(math.log(option.forward / option.strike)), time_value / scale)
    return None if deviation is None else deviation / math.sqrt(option.years)


def quantise(instrument: int, values: Greeks, volatility: float) -> MarkRow:
    """Integers of `values`, each rounded once to the nearest (ties to even). Raises ValueError for NaN or infinity."""
    if not all(math.isfinite(value) for value in msgspec.structs.astuple(values)):
        raise ValueError(f"instrument {instrument}: the model gave no finite value")
    return MarkRow(
        instrument=instrument,
        mark_e9=round(values.price * 1e9),
        volatility_e9=round(volatility * 1e9),
        delta_e9=round(values.delta * 1e9),
        gamma_e12=round(values.gamma * 1e12),
        vega_e9=round(values.vega * 1e9),
        theta_e9=round(values.theta * 1e9),
        rho_e9=round(values.rho * 1e9),
    )


def _settled_greeks(option: Option, value: float, ratio: float) -> Greeks:
    in_the_money = option.forward > option.strike if option.is_call else option.forward < option.strike
    forward_delta = (option.discount if option.is_call else -option.discount) if in_the_money else 0.0
    return Greeks(
        price=value,
        delta=forward_delta * ratio,
        forward_delta=forward_delta,
        gamma=0.0,
        vega=0.0,
        theta=0.0,
        rho=-option.years * value * 0.01,
        vanna=0.0,
        volga=0.0,
    )


def _time_value(distance: float, deviation: float) -> float:
    """Out-of-the-money value over sqrt(F K); `distance` = -|ln(F/K)|."""
    ahead = distance / deviation + deviation / 2.0
    behind = ahead - deviation
    half = distance / 2.0
    return max(math.exp(half) * _cumulative(ahead) - math.exp(-half) * _cumulative(behind), 0.0)


def _solve(distance: float, target: float) -> float | None:
    low, high = _LOWEST_DEVIATION, _HIGHEST_DEVIATION
    if not _time_value(distance, low) < target < _time_value(distance, high):
        return None
    guess = math.sqrt(2.0 * -distance) if distance else target * _SQRT_TWO_PI
    deviation = min(max(guess, low), high)
    for _ in range(_MAX_STEPS):
        value = _time_value(distance, deviation)
        if value < target:
            low = deviation
        else:
            high = deviation
        step = _newton_step(distance, deviation, value, target)
        following = deviation + step
        if not low <= following <= high:
            following = (low + high) / 2.0
        if abs(following - deviation) <= _STEP_TOLERANCE * deviation:
            return following
        deviation = following
    return deviation


def _newton_step(distance: float, deviation: float, value: float, target: float) -> float:
    """Step of Newton's method on ln(value); infinite (so that the caller bisects) where the value vanishes."""
    slope = _density(distance / deviation) * math.exp(-deviation * deviation / 8.0)
    if value <= 0.0 or slope <= 0.0:
        return math.inf
    return math.log(target / value) * value / slope


def _cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / _SQRT_TWO)


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / _SQRT_TWO_PI
