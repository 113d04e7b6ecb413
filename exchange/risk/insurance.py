"""The insurance fund and auto-deleveraging (risk.md 10.4, 10.5): who pays a deficit, how it is shared; integers only.

Money has one unit of the caller's choice, fractions are over `one`. Signs: deficits, caps and shares are >= 0.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.domain.money import ceil_div, floor_div

__all__ = [
    "Candidate",
    "FundLimits",
    "FundState",
    "Share",
    "deleverage",
    "deleveraging_rank",
    "deleveraging_weight",
    "fee_split",
    "fund_pays",
    "rank_among",
]


_E18: Final = 10**18


class FundLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Shares of the fund that one event and one day may take, over `one`."""

    one: int
    per_event: int
    per_day: int


class FundState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cash now, cash when the day began, and what the day has taken so far."""

    cash: int
    day_start_cash: int
    taken_today: int


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position on the other side in lots; its profit at the bankruptcy price, its account's equity (money)."""

    account: int
    lots: int
    profit: int
    equity: int
    is_hedge: bool = False
    """Whether its account would need more margin without it."""


class Share(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Lots that an account gives up."""

    account: int
    lots: int


def fee_split(fee: int, *, fund_share: int, one: int) -> tuple[int, int]:
    """(fund, liquidity) parts of a liquidation fee; the fund's is rounded up, the sum is the fee to the unit."""
    fund = ceil_div(fee * fund_share, one)
    return fund, fee - fund


def fund_pays(deficit: int, state: FundState, limits: FundLimits) -> int:
    """What the fund pays of a deficit: at most its cash, a share of it per event and of the day's first cash per day.

    Caps are rounded down, in the fund's favor; what is left of the deficit goes on to deleveraging.
    """
    per_event = floor_div(state.cash * limits.per_event, limits.one)
    per_day = floor_div(state.day_start_cash * limits.per_day, limits.one) - state.taken_today
    return max(0, min(deficit, state.cash, per_event, per_day))


def deleverage(lots: int, candidates: Sequence[Candidate], *, spare_hedges: bool = True) -> tuple[Share, ...]:
    """Share `lots` over the candidates in proportion to position x profit / equity, never more than a position.

    Rounds down, hands the remainder out again among who still has room, and the last lots one by one to the largest
    weight (ties: lowest account). Losers and accounts without equity give nothing, hedges only if `spare_hedges` is
    off. The sum is below `lots` when the candidates do not reach; the caller then drops the hedge test, or freezes.
    """
    takers = {
        row.account: row
        for row in candidates
        if row.lots > 0 and deleveraging_weight(row) and not (spare_hedges and row.is_hedge)
    }
    given = dict.fromkeys(takers, 0)
    left = min(lots, sum(row.lots for row in takers.values()))
    while left:
        left -= _deal(left, takers, given) or _deal_last(left, takers, given)
    return tuple(Share(account=account, lots=count) for account, count in sorted(given.items()) if count)


def deleveraging_rank(candidate: Candidate, everyone: Sequence[Candidate], *, buckets: int = 10) -> int:
    """Indicator for the owner: 1 (last to be reduced) to `buckets` (first), by weight; `candidate` is of `everyone`."""
    return rank_among(deleveraging_weight(candidate), [deleveraging_weight(row) for row in everyone], buckets=buckets)


def rank_among(weight: int, weights: Sequence[int], *, buckets: int) -> int:
    """Rank of a weight among all of its side, its own included; ties count as heavier. 1 for who cannot be reduced."""
    return ceil_div(sum(row <= weight for row in weights) * buckets, len(weights)) if weight else 1


def deleveraging_weight(row: Candidate) -> int:
    """Position x profit / equity in 1e-18 lots, rounded down, at least 1 so that everyone counts; 0: gives nothing."""
    if row.profit <= 0 or row.equity <= 0:
        return 0
    return max(1, floor_div(row.lots * row.profit * _E18, row.equity))


def _deal(left: int, takers: dict[int, Candidate], given: dict[int, int]) -> int:
    """One round in proportion among those with room; every share rounded down."""
    room = [row for account, row in takers.items() if given[account] < row.lots]
    total = sum(deleveraging_weight(row) for row in room)
    dealt = 0
    for row in room:
        count = min(row.lots - given[row.account], floor_div(left * deleveraging_weight(row), total))
        given[row.account] += count
        dealt += count
    return dealt


def _deal_last(left: int, takers: dict[int, Candidate], given: dict[int, int]) -> int:
    """No share reaches a whole lot: one each, heaviest first."""
    room = sorted(
        (row for account, row in takers.items() if given[account] < row.lots),
        key=lambda row: (-deleveraging_weight(row), row.account),
    )
    for row in room[:left]:
        given[row.account] += 1
    return min(left, len(room))
