"""A volatility slice: raw SVI (risk.md 5.4), total variance as a function of ln(strike / forward), and its gates."""

import math
from collections.abc import Iterable, Sequence

import msgspec

__all__ = [
    "JumpWings",
    "SviSlice",
    "butterfly_density",
    "crosses_calendar",
    "gate_points",
    "has_butterfly_arbitrage",
    "jump_wings",
    "repaired_wings",
]

_HIGHEST_VARIANCE = 144.0
_GATE_POINTS = 200
_REACH = 4.0
_EDGE_STEPS = 40


class SviSlice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))` for an expiry `years` away."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    years: float

    def __post_init__(self) -> None:
        """Refuse slices with negative variance somewhere, or with wings that are too steep."""
        if not all(math.isfinite(value) for value in msgspec.structs.astuple(self)):
            raise ValueError("a slice needs finite parameters")
        if self.b < 0.0 or abs(self.rho) >= 1.0 or self.sigma <= 0.0 or self.years <= 0.0:
            raise ValueError("a slice needs b >= 0, |rho| < 1, sigma > 0 and years > 0")
        if self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho * self.rho) < 0.0:
            raise ValueError("the slice has negative variance at its bottom")
        if self.b * (1.0 + abs(self.rho)) > 4.0:
            raise ValueError("the wings are steeper than an arbitrage-free slice allows")

    @property
    def reach(self) -> float:
        """|ln(strike / forward)| beyond which the slice is flat: four deviations of `a + b sigma`."""
        return _REACH * math.sqrt(self.a + self.b * self.sigma)

    def variance(self, log_moneyness: float) -> float:
        """Total variance at ln(strike / forward); flat beyond `reach`, never above 144."""
        return min(self.raw_variance(min(max(log_moneyness, -self.reach), self.reach)), _HIGHEST_VARIANCE)

    def raw_variance(self, log_moneyness: float) -> float:
        """Total variance of the parameters alone, without the flat wings and the cap."""
        offset = log_moneyness - self.m
        return self.a + self.b * (self.rho * offset + math.sqrt(offset * offset + self.sigma * self.sigma))

    def volatility(self, *, strike: float, forward: float) -> float:
        """Volatility of a strike."""
        return math.sqrt(self.variance(math.log(strike / forward)) / self.years)


class JumpWings(msgspec.Struct, frozen=True, gc=False):
    """The same slice in traders' terms: variance and skew at the money, slopes of both wings, lowest variance."""

    variance: float
    skew: float
    put_slope: float
    call_slope: float
    lowest_variance: float


def butterfly_density(smile: SviSlice, log_moneyness: float) -> float:
    """g(k), the sign of the density: below 0 a butterfly costs less than nothing; -inf where no variance is left."""
    offset = log_moneyness - smile.m
    root = math.sqrt(offset * offset + smile.sigma * smile.sigma)
    variance = smile.raw_variance(log_moneyness)
    if variance <= 0.0:
        return -math.inf
    slope = smile.b * (smile.rho + offset / root)
    bend = smile.b * smile.sigma * smile.sigma / (root * root * root)
    first = 1.0 - log_moneyness * slope / (2.0 * variance)
    return first * first - slope * slope / 4.0 * (1.0 / variance + 0.25) + bend / 2.0


def gate_points(smile: SviSlice) -> tuple[float, ...]:
    """Give 200 points where the gates look: as far as a strike lies within four of its own deviations of the money.

    Deviations at the money would do for a flat smile and stop short of where a steep wing goes wrong.
    """
    low, high = -_edge(smile, -1.0), _edge(smile, 1.0)
    return tuple(low + (high - low) * place / (_GATE_POINTS - 1) for place in range(_GATE_POINTS))


def has_butterfly_arbitrage(smile: SviSlice, points: Iterable[float] | None = None) -> bool:
    """Whether the density is negative at one of `points` (those of the gate if none are given)."""
    return any(butterfly_density(smile, point) < 0.0 for point in (gate_points(smile) if points is None else points))


def crosses_calendar(earlier: SviSlice, later: SviSlice, points: Sequence[float] | None = None) -> bool:
    """Whether the later slice has less total variance somewhere: a calendar spread would cost less than nothing."""
    looked_at = (*gate_points(earlier), *gate_points(later)) if points is None else points
    return any(later.raw_variance(point) < earlier.raw_variance(point) for point in looked_at)


def jump_wings(smile: SviSlice) -> JumpWings:
    """Convert a slice; variances are per year."""
    at_money = smile.raw_variance(0.0)
    root = math.sqrt(at_money)
    tilt = smile.rho - smile.m / math.sqrt(smile.m * smile.m + smile.sigma * smile.sigma)
    lowest = smile.a + smile.b * smile.sigma * math.sqrt(1.0 - smile.rho * smile.rho)
    return JumpWings(
        variance=at_money / smile.years,
        skew=smile.b / (2.0 * root) * tilt,
        put_slope=smile.b * (1.0 - smile.rho) / root,
        call_slope=smile.b * (1.0 + smile.rho) / root,
        lowest_variance=lowest / smile.years,
    )


def repaired_wings(wings: JumpWings) -> JumpWings:
    """Gatheral and Jacquier's repair: the same money and put wing, call wing and lowest variance without arbitrage."""
    call = wings.put_slope + 2.0 * wings.skew
    both = wings.put_slope + call
    return JumpWings(
        variance=wings.variance,
        skew=wings.skew,
        put_slope=wings.put_slope,
        call_slope=call,
        lowest_variance=wings.variance * 4.0 * wings.put_slope * call / (both * both),
    )


def _edge(smile: SviSlice, side: float) -> float:
    """Largest k with `k = 4 sqrt(w(side k))`: the iteration climbs or falls to it, the wings being straight lines."""
    edge = _REACH * math.sqrt(smile.raw_variance(0.0))
    for _ in range(_EDGE_STEPS):
        edge = _REACH * math.sqrt(smile.raw_variance(side * edge))
    return edge
