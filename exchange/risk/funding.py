"""Funding of perpetuals (risk.md 4.1): premium of the book, rate per 8 hours, index per second; integers only.

Rates are integers over `one` of the caller's choice (1e9 in the exchange), prices of one unit of the caller's choice.
Signs: a positive rate is paid by longs. Rates are truncated toward zero, and so is each step of the index, so that no
side gains by the rounding; a payment is rounded down, against the account, and the clearing account takes the opposite.
"""

from collections.abc import Sequence
from typing import Final

from exchange.domain.money import floor_div, truncate_div

__all__ = [
    "FUNDING_PERIOD_S",
    "LONGEST_STEP_S",
    "clamped_rate",
    "funding_payment",
    "impact_price",
    "index_step",
    "premium",
    "rate_cap",
    "spread_rate",
]

FUNDING_PERIOD_S: Final = 28_800
"""Rates are quoted per 8 hours."""
LONGEST_STEP_S: Final = 30
"""A longer gap accrues nothing: nobody knows what the premium was."""


def impact_price(levels: Sequence[tuple[int, int]], notional: int) -> tuple[int, int] | None:
    """Average price of filling `notional` on (price, amount) levels, best first, as (notional, amount filled).

    The quotient is left to the caller, so that nothing is rounded here; the amounts are multiplied by the last price to
    keep them whole. A notional of 0 asks for the best price. None when the levels do not absorb it.
    """
    if not levels:
        return None
    if notional == 0:
        return levels[0][0], 1
    left, bought = notional, 0
    for price, amount in levels:
        if price * amount >= left:
            return notional * price, bought * price + left
        left -= price * amount
        bought += amount
    return None


def premium(
    *, bid: tuple[int, int] | None, ask: tuple[int, int] | None, index: int, one: int, cap: int | None = None
) -> int:
    """`(max(0, bid - index) - max(0, index - ask)) / index` over `one`; prices are quotients (numerator, denominator).

    A side that is absent contributes nothing. Raises ValueError for an index that is not positive.
    """
    if index <= 0:
        raise ValueError(f"index {index}: must be positive")
    above = below = 0
    if bid is not None and bid[0] > index * bid[1]:
        above = truncate_div((bid[0] - index * bid[1]) * one, index * bid[1])
    if ask is not None and ask[0] < index * ask[1]:
        below = truncate_div((index * ask[1] - ask[0]) * one, index * ask[1])
    found = above - below
    return found if cap is None else _clip(found, cap)


def clamped_rate(*, premium: int, baseline: int, clamp: int, cap: int) -> int:
    """Rate per 8 hours: `clip(premium + clip(baseline - premium, +-clamp), +-cap)`; the baseline itself near it."""
    return _clip(premium + _clip(baseline - premium, clamp), cap)


def spread_rate(*, premium: int, periods: int, static: int, cap: int) -> int:
    """Rate per period when `periods` of them pay the premium: `clip(premium / periods + static, +-cap)`."""
    return _clip(truncate_div(premium, periods) + static, cap)


def rate_cap(*, factor: int, initial: int, maintenance_share: int, one: int, highest: int | None = None) -> int:
    """`factor x (initial - maintenance)` over `one`, rounded down, at most `highest`.

    The maintenance fraction is `maintenance_share` of the initial one, rounded down.
    """
    maintenance = floor_div(initial * maintenance_share, one)
    found = floor_div(factor * (initial - maintenance), one)
    return found if highest is None else min(found, highest)


def index_step(*, rate: int, price: int, seconds: int, exponent: int = 0) -> int:
    """What the funding index moves in `seconds`: rate x price x 10^exponent x seconds / 28,800, truncated toward zero.

    Units: those of rate times price, times 10^exponent. The scaling is truncated before the period is.
    """
    moved = rate * price * seconds
    scaled = moved * 10**exponent if exponent >= 0 else truncate_div(moved, 10**-exponent)
    return truncate_div(scaled, FUNDING_PERIOD_S)


def funding_payment(*, amount: int, index_change: int, one: int) -> int:
    """Cash of a position for a change of the index: `-amount x change / one`, rounded down, against the account."""
    return floor_div(-amount * index_change, one)


def _clip(value: int, bound: int) -> int:
    return max(-bound, min(bound, value))
