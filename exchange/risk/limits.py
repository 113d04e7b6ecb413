"""What a market may hold (risk.md 9.4, 9.5, 11): requirement by open interest, position limits, bands; integers only.

Fractions are integers over `one` of the caller's choice, 10^6 (ppm) in the exchange; prices, money and open interest
have one unit each.
"""

from exchange.domain.money import ceil_div, floor_div

__all__ = [
    "execution_band",
    "maintenance_fraction",
    "open_interest_cap",
    "room_of_limit",
    "scaled_initial_fraction",
]


def maintenance_fraction(max_leverage: int, *, one: int) -> int:
    """Half of the initial fraction at the highest leverage, `1 / (2 x leverage)`, rounded up."""
    if max_leverage < 1:
        raise ValueError(f"leverage {max_leverage}: must be at least 1")
    return ceil_div(one, 2 * max_leverage)


def scaled_initial_fraction(base: int, *, open_interest: int, lower: int, upper: int, one: int) -> int:
    """Initial fraction that rises with open interest from `base` at `lower` to 1 at `upper`, rounded down (dYdX).

    `upper` 0: no scaling. Raises ValueError when the bounds do not ascend.
    """
    if not upper:
        return base
    if not 0 <= lower < upper:
        raise ValueError(f"bounds {lower}, {upper}: must ascend")
    above = min(max(open_interest - lower, 0), upper - lower)
    return base + floor_div(above * (one - base), upper - lower) if base < one else base


def open_interest_cap(*, governance: int, market_cap: int, outside_depth: int) -> int:
    """Most open interest of a market: the lowest of its own cap, 5 % of market cap, three times the depth outside.

    All in money; the share is rounded down.
    """
    return min(governance, floor_div(market_cap * 5, 100), 3 * outside_depth)


def room_of_limit(*, limit: int, position: int) -> tuple[int, int]:
    """(most that may be sold, most that may be bought) under a position limit, orders not counted; at least 0."""
    return max(0, limit + position), max(0, limit - position)


def execution_band(mark: int, *, width: int, one: int) -> tuple[int, int]:
    """(lowest, highest) price around `mark`, of executions or of a mark around its index; both rounded inward."""
    return ceil_div(mark * (one - width), one), floor_div(mark * (one + width), one)
