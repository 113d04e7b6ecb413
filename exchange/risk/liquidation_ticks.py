"""The price at which an account falls below maintenance margin when one perpetual moves alone, to the tick."""

from collections.abc import Callable, Sequence

from exchange.risk.parameters import Tier
from exchange.risk.standard import perpetual_requirement

__all__ = ["liquidation_ticks"]


def liquidation_ticks(
    *, margin_e18: int, amount_e9: int, mark_e9: int, tiers: Sequence[Tier], tick_e9: int, maximum_ticks: int
) -> int | None:
    """First tick, seen from the safe side, at which the margin is negative; None when no tick up to the maximum is.

    `margin_e18`: equity less the whole maintenance requirement at `mark_e9`, in 1e-18 USDC. `amount_e9`: signed size
    in 1e-9. Of a long position it is the highest such tick, of a short one the lowest; an account that is below
    already gets the tick it would have to pass. Exact over the tiers' brackets, found by bisection: a maintenance
    rate below one makes the margin fall on one side only. The linear form of risk.md 4.3 is the same in one bracket.
    """
    if not amount_e9:
        return None
    held_e18 = _maintenance(amount_e9, mark_e9, tiers)

    def is_below(ticks: int) -> bool:
        price_e9 = ticks * tick_e9
        moved_e18 = amount_e9 * (price_e9 - mark_e9) - _maintenance(amount_e9, price_e9, tiers) + held_e18
        return margin_e18 + moved_e18 < 0

    if amount_e9 < 0:
        return _first(is_below, maximum_ticks)
    safe = _first(lambda ticks: not is_below(ticks), maximum_ticks)
    found = maximum_ticks if safe is None else safe - 1
    return found or None


def _maintenance(amount_e9: int, price_e9: int, tiers: Sequence[Tier]) -> int:
    return perpetual_requirement(notional_e18=abs(amount_e9) * price_e9, tiers=tiers)[1]


def _first(holds: Callable[[int], bool], maximum: int) -> int | None:
    """The least of 1..`maximum` that holds, where every greater one holds too."""
    low, high = 1, maximum + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low if low <= maximum else None
