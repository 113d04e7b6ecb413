"""How a liquidation follows the market (risk.md 10.2, D-038): stress from depth and volatility, and what it changes.

Stress is a part in 1e-6: 0 in a calm, deep market, 1e6 where prices move or books are empty. Between the two values of
`AdaptiveRules` everything is a straight line. Integers only; money, prices, amounts as in `exchange.risk.liquidation`.
"""

from typing import Final

import msgspec

from exchange.domain.money import ceil_div, floor_div

__all__ = ["AdaptiveRules", "between", "depth_stress", "range_ppm", "smallest_close", "step_lots", "volatility_stress"]

_PPM: Final = 1_000_000


class AdaptiveRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where stress begins and ends, and what it reaches there; parts in 1e-6. What it begins at is the fixed rule's."""

    calm_ppm: int = 10_000
    """Range of the index in five minutes up to which the market is calm."""
    wild_ppm: int = 50_000
    """Range from which it is as wild as it gets."""
    spread_ppm: int = 600_000
    """Of the maintenance fraction: how far an order gives way under full stress (risk.md 10.2, long tail)."""
    buffer_ppm: int = 300_000
    """Won back beyond maintenance under full stress."""
    depth_share_ppm: int = 500_000
    """Most of the lots within the limit that one step takes."""


def range_ppm(*, high: int, low: int) -> int:
    """Range of a price in parts of its high, rounded up; 0 for a price that was never seen."""
    return ceil_div((high - low) * _PPM, high) if high else 0


def volatility_stress(moved_ppm: int, rules: AdaptiveRules) -> int:
    """Stress of a range: none up to `calm_ppm`, full from `wild_ppm`; rounded down."""
    return max(0, min(_PPM, floor_div((moved_ppm - rules.calm_ppm) * _PPM, rules.wild_ppm - rules.calm_ppm)))


def depth_stress(*, wanted_lots: int, there_lots: int) -> int:
    """Stress of a book that holds `there_lots` of the `wanted_lots` within the calm limit; rounded up."""
    return ceil_div(max(0, wanted_lots - there_lots) * _PPM, wanted_lots) if wanted_lots else 0


def between(calm: int, wild: int, stress_ppm: int) -> int:
    """Value of a parameter under stress, rounded toward the calm one. `wild` may not be less than `calm`."""
    return calm + floor_div((wild - calm) * stress_ppm, _PPM)


def smallest_close(
    *, equity: int, requirement: int, price: int, maintenance: int, fund_fee: int, buffer: int, one: int, lot: int
) -> int | None:
    """Smallest amount, whole lots rounded up, that leaves requirement and buffer covered; None when fees eat it.

    Closing lowers the requirement and with it the buffer on it, which Drift's form (`close_amount`) leaves out:
    `((1 + b) x requirement - equity) / (price x ((1 + b) x MMF - fee))`. 0 when nothing is missing.
    """
    scaled = one + buffer
    missing = scaled * requirement - equity * one
    if missing <= 0:
        return 0
    freed = price * (scaled * maintenance - fund_fee * one)
    if freed <= 0:
        return None
    return ceil_div(missing * one * one, freed * lot) * lot


def step_lots(*, wanted_lots: int, there_lots: int, share_ppm: int) -> int:
    """Lots of one step: what is wanted, at most a share of what is there, rounded up so that a lot can be taken."""
    return min(wanted_lots, there_lots, ceil_div(there_lots * share_ppm, _PPM))
