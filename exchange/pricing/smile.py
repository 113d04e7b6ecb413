"""A volatility slice: raw SVI (risk.md 5.4), total variance as a function of ln(strike / forward)."""

import math

import msgspec

__all__ = ["SviSlice"]

_HIGHEST_VARIANCE = 144.0


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
        if self.b < 0.0 or abs(self.rho) >= 1.0 or self.sigma <= 0.0 or self.years <= 0.0:
            raise ValueError("a slice needs b >= 0, |rho| < 1, sigma > 0 and years > 0")
        if self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho * self.rho) < 0.0:
            raise ValueError("the slice has negative variance at its bottom")
        if self.b * (1.0 + abs(self.rho)) > 4.0:
            raise ValueError("the wings are steeper than an arbitrage-free slice allows")

    def variance(self, log_moneyness: float) -> float:
        """Total variance at ln(strike / forward); flat beyond four deviations, never above 144."""
        reach = 4.0 * math.sqrt(self.a + self.b * self.sigma)
        offset = min(max(log_moneyness, -reach), reach) - self.m
        bent = self.rho * offset + math.sqrt(offset * offset + self.sigma * self.sigma)
        return min(self.a + self.b * bent, _HIGHEST_VARIANCE)

    def volatility(self, *, strike: float, forward: float) -> float:
        """Volatility of a strike."""
        return math.sqrt(self.variance(math.log(strike / forward)) / self.years)
