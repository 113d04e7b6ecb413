"""Undiscounted Black-76 in floats: marks for margin examples that give volatilities instead."""

from math import erfc, log, sqrt

__all__ = ["black_76"]


def black_76(*, forward: float, strike: float, years: float, volatility: float, is_call: bool) -> float:
    """Price per unit of a European option on a forward."""
    spread = volatility * sqrt(years)
    if spread == 0:
        return max(0.0, forward - strike if is_call else strike - forward)
    d1 = log(forward / strike) / spread + spread / 2
    sign = 1 if is_call else -1
    return sign * (forward * _normal(sign * d1) - strike * _normal(sign * (d1 - spread)))


def _normal(x: float) -> float:
    return erfc(-x / sqrt(2)) / 2
