"""Which step of the liquidation an account is in, how much one step closes (risk.md 9.3, 10.1, 10.2); integers only.

Money has one unit of the caller's choice, fractions are over `one`. `initial` and `maintenance` are signed margins
(below 0: something is missing), `equity` the mark-to-market value; the maintenance requirement is equity - maintenance.
"""

from collections.abc import Sequence
from enum import IntEnum

import msgspec

from exchange.domain.money import ceil_div

__all__ = ["Level", "OpenOrderRisk", "Standing", "cancel_order", "level_of", "restoring_target", "step_amount"]


class Level(IntEnum):
    """Steps of the waterfall, mildest first. A fund that is empty (L4, L5) shows in the payment, not in the account."""

    HEALTHY = -1
    CANCEL_ORDERS = 0
    BOOK = 1
    AUCTION = 2
    INSOLVENT = 3


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account as the waterfall sees it; `unfilled_s` since its book liquidation began without a fill."""

    equity: int
    initial: int
    maintenance: int
    has_options: bool = False
    unfilled_s: int = 0


class OpenOrderRisk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An open order of one instrument. `distance` from the best price, in ticks: the larger, the more passive."""

    order_id: int
    is_buy: bool
    lots: int
    distance: int


def level_of(standing: Standing, *, patience_s: int = 30) -> Level:
    """Give the step for an account: the hardest whose condition holds.

    Equity below 0 is insolvent; below two thirds of the maintenance requirement, unfilled for `patience_s`, or with
    options in it the whole portfolio is auctioned; otherwise the book. Without missing maintenance only orders go.
    """
    if standing.maintenance >= 0:
        return Level.HEALTHY if standing.initial >= 0 else Level.CANCEL_ORDERS
    if standing.equity < 0:
        return Level.INSOLVENT
    requirement = standing.equity - standing.maintenance
    if 3 * standing.equity < 2 * requirement or standing.has_options or standing.unfilled_s >= patience_s:
        return Level.AUCTION
    return Level.BOOK


def restoring_target(*, equity: int, maintenance: int, buffer: int, one: int) -> int:
    """Collateral a liquidation has to win back: the missing maintenance and a buffer of the requirement, rounded up."""
    return max(0, -maintenance + ceil_div(buffer * (equity - maintenance), one))


def step_amount(*, wanted: int, position: int, notional: int, threshold: int, share: int, one: int, lot: int) -> int:
    """Amount of one step: what is wanted, at most the position, and at most `share` of it above `threshold` notional.

    Amounts are unsigned whole lots; the share is rounded up to a lot, so that a large position always moves.
    """
    most = position
    if notional > threshold:
        most = min(position, ceil_div(position * share, one * lot) * lot)
    return min(wanted, most)


def cancel_order(orders: Sequence[OpenOrderRisk], *, position_lots: int) -> tuple[int, ...]:
    """Orders that go while initial margin is missing, in that order.

    First those that offset nothing; then, most passive first, those whose lots exceed what the position still leaves to
    offset once the more aggressive ones are counted. Ties go by order id.
    """
    offsetting = [row for row in orders if row.is_buy == (position_lots < 0) and position_lots]
    adding = [row for row in orders if row not in offsetting]
    left, excess = abs(position_lots), []
    for row in sorted(offsetting, key=lambda row: (row.distance, row.order_id)):
        if row.lots > left:
            excess.append(row)
        else:
            left -= row.lots
    excess.sort(key=lambda row: (-row.distance, row.order_id))
    return tuple(row.order_id for row in (*sorted(adding, key=lambda row: row.order_id), *excess))
