"""Black-76 on the forward of an expiry: price, Greeks, implied volatility, and their integers for the engine.

The plain form, and the oracle of the compiled one (`chains`). Prices are USDC per unit of the underlying, volatilities
fractions (0.5 = 50 %), `years` of 365 days, `discount` the value today of one USDC at expiry. Greeks have the units of
risk.md 5.2: delta per 1 USD of spot, gamma per USD^2, vega per vol point, theta per day and rho per 1 % with the
forward held fixed, vanna in delta and volga in vega per vol point. Floats stop here: `quantise` rounds once, to
the nearest integer, and everything behind it is exact.

The in-the-money side is always derived from the out-of-the-money one by parity, so small time values keep their digits.
"""

import math
from typing import Final

import msgspec

from exchange.domain.commands import MarkRow

__all__ = ["Greeks", "Option", "greeks", "implied_volatility", "intrinsic_value", "price", "quantise"]

_LOWEST_PRICE: Final = 1e-15
_HIGHEST: Final = 1e15
"""Bounds within which no quotient of two prices overflows."""
_DAYS_PER_YEAR: Final = 365.0
_SQRT_TWO: Final = math.sqrt(2.0)
_SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
_SATURATED_DEVIATION: Final = 24.0
"""Total volatility from which an option is worth all it can be worth."""
_LOWEST_DEVIATION: Final = 1e-8
_HIGHEST_DEVIATION: Final = 20.0
_MAX_STEPS: Final = 60
_SETTLED_STEP: Final = 1e-9
"""Relative step after which Newton's next error is far below rounding: it squares."""


class Option(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A European option on a forward: `forward` and `strike` 0 or in [1e-15, 1e15], `years` >= 0, `discount` in (0, 1].

    Raises ValueError for anything else, NaN included, so that no accident ever becomes a price.
    """

    is_call: bool
    forward: float
    strike: float
    years: float
    discount: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is not an option."""
        _require_within("forward", self.forward, lowest=_LOWEST_PRICE)
        _require_within("strike", self.strike, lowest=_LOWEST_PRICE)
        _require_within("years", self.years)
        if not 0.0 < self.discount <= 1.0:
            raise ValueError(f"discount {self.discount}: must be above 0 and at most 1")


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
    """Value of `option`; intrinsic value at volatility zero, never above what it can pay.

    Raises ValueError for a volatility that is negative or not finite.
    """
    _require_within("volatility", volatility)
    deviation = volatility * math.sqrt(option.years)
    most = option.forward if option.is_call else option.strike
    if deviation <= 0.0 or option.strike <= 0.0 or option.forward <= 0.0:
        return intrinsic_value(option)
    if deviation >= _SATURATED_DEVIATION:
        return option.discount * most
    distance = -abs(math.log(option.forward / option.strike))
    extra = math.sqrt(option.forward * option.strike) * _time_value(distance, deviation)
    return option.discount * min(_intrinsic(option) + extra, most)


def intrinsic_value(option: Option) -> float:
    """Discounted value if nothing moved any more."""
    return option.discount * _intrinsic(option)


def greeks(option: Option, volatility: float, *, spot: float | None = None) -> Greeks:
    """Price and Greeks; without `spot` the forward stands for it.

    Without volatility or time left only price, delta, theta and rho are not zero; delta at the money is then the half
    that the limit gives, so that call less put stays 1. Raises ValueError for a volatility or spot that is no price.
    """
    ratio = 1.0
    if spot is not None:
        if not _LOWEST_PRICE <= spot <= _HIGHEST:
            raise ValueError(f"spot {spot}: must be a price above 0")
        ratio = option.forward / spot
    root_years = math.sqrt(option.years)
    deviation = volatility * root_years
    value = price(option, volatility)
    if deviation <= 0.0 or option.strike <= 0.0 or option.forward <= 0.0:
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
    the time value in total volatility, with bisection whenever a step leaves [1e-8, 20]; at most 60 steps. Relative
    error at most 1e-12 within three deviations of the money (tested). Raises ValueError for a value that is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"value {value}: must be finite")
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


def _require_within(name: str, value: float, *, lowest: float = 0.0) -> None:
    if value != 0.0 and not lowest <= value <= _HIGHEST:
        raise ValueError(f"{name} {value}: must be 0 or between {lowest:g} and {_HIGHEST:g}")


def _intrinsic(option: Option) -> float:
    difference = option.forward - option.strike
    return max(difference if option.is_call else -difference, 0.0)


def _settled_greeks(option: Option, value: float, ratio: float) -> Greeks:
    exercised = 1.0 if option.forward > option.strike else 0.5 if option.forward == option.strike else 0.0
    forward_delta = option.discount * (exercised if option.is_call else exercised - 1.0)
    rate = -math.log(option.discount) / option.years if option.years > 0.0 else 0.0
    return Greeks(
        price=value,
        delta=forward_delta * ratio,
        forward_delta=forward_delta,
        gamma=0.0,
        vega=0.0,
        theta=rate * value / _DAYS_PER_YEAR,
        rho=-option.years * value * 0.01,
        vanna=0.0,
        volga=0.0,
    )


def _time_value(distance: float, deviation: float) -> float:
    """Out-of-the-money value over sqrt(F K); `distance` = -|ln(F/K)|.

    Near the money the half of N = 1/2 + erf/2 that would cancel is taken out first.
    """
    ahead = distance / deviation + 0.5 * deviation
    behind = ahead - deviation
    half = 0.5 * distance
    up = math.exp(half)
    if behind > -1.0:
        sides = up * math.erf(ahead / _SQRT_TWO) - math.erf(behind / _SQRT_TWO) / up
        return max(math.sinh(half) + 0.5 * sides, 0.0)
    return max(up * _cumulative(ahead) - _cumulative(behind) / up, 0.0)


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
        following = deviation + _newton_step(distance, deviation, value, target)
        if not low <= following <= high:
            following = (low + high) / 2.0
        elif abs(following - deviation) <= _SETTLED_STEP * deviation:
            return following
        deviation = following
    return deviation


def _newton_step(distance: float, deviation: float, value: float, target: float) -> float:
    """Step of Newton's method on ln(value); infinite (so that the caller bisects) where the value vanishes."""
    slope = math.exp(-0.5 * (distance / deviation) ** 2 - 0.125 * deviation * deviation)
    if value <= 0.0 or slope <= 0.0:
        return math.inf
    return math.log(target / value) * value * _SQRT_TWO_PI / slope


def _cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / _SQRT_TWO)


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / _SQRT_TWO_PI
