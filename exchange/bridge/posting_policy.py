"""When a batch is worth its transaction: age, active cells and fees against a deadline. Pure: integers, no clock.

A batch costs fixed gas and gas per active cell. Waiting makes both cheaper per second: the fixed gas is paid more
seldom, fills of one cell net, and fees may fall. It costs the time that users wait for finality, which the deadline
bounds. So a batch is posted before it when a second of waiting costs no more now than it is expected to cost at the
deadline: fee x gas / age now, against the cheapest likely fee x the gas of the cells of then / deadline. Whoever may
look k more times expects the cheapest of those looks near the 1 / (k + 1) quantile of recent fees. Cells are taken to
grow evenly; they grow slower, so a post comes rather too early than too late. Fees are of one unit of gas on the chain
that is posted to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["FEES_KEPT", "PostingPolicy", "PostingView", "Reason", "Verdict", "explain", "post_gas"]

FEES_KEPT: Final = 256
"""Recent fees that a forecast is made of."""
_FIXED_GAS: Final = 57_700
_CELL_GAS: Final = 141
"""As measured: a post without cells, and what each of 994 cells adds (settlement.md 9)."""


class Reason(StrEnum):
    """What decided; the first that holds, in this order."""

    NOTHING = "nothing"
    ASKED = "asked"
    REQUESTS = "requests"
    BACKLOG = "backlog"
    YOUNG = "young"
    DEADLINE = "deadline"
    FULL = "full"
    NO_FORECAST = "no_forecast"
    CHEAP = "cheap"
    DEAR = "dear"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingView:
    """What there is to decide on.

    `age_ms` is how long the oldest unposted fill may have waited, `cells` (account, instrument) pairs with unposted
    fills, `fees_wei` the newest fees of a unit of gas, oldest first, now last; empty when none is known.
    """

    has_content: bool
    age_ms: int = 0
    cells: int = 0
    fees_wei: Sequence[int] = ()
    backlog: int = 0
    """Batches that are closed and not on chain."""
    has_requests: bool = False
    """Whether confirmed requests of the contract's queue wait for a batch."""
    is_asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Post or wait. `bar_wei`: the dearest fee that is taken, 0 where fees did not decide."""

    is_post: bool
    reason: Reason
    fee_wei: int = 0
    bar_wei: int = 0
    left_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingPolicy:
    """Times in ms, all above zero; `look_ms` is the pause between two decisions, and between two fees.

    Nothing younger than `interval_ms` is posted unasked, nothing waits longer than `deadline_ms` for a fee (the
    interval, where that is longer). A batch of `cells_max` has no room for more. Raises ValueError.
    """

    interval_ms: int
    deadline_ms: int
    cells_max: int = 6_000
    look_ms: int = 1_000
    backlog_max: int = 8

    def __post_init__(self) -> None:
        if min(self.interval_ms, self.deadline_ms, self.cells_max, self.look_ms, self.backlog_max) < 1:
            raise ValueError("a posting policy's times and bounds are whole numbers from 1 on")

    def decide(self, view: PostingView) -> Verdict:
        """Return what to do now, by the first reason that holds."""
        left_ms = max(0, self._latest_ms - view.age_ms)
        reason = self._urgent(view, left_ms)
        if reason is not None:
            is_post = reason not in (Reason.NOTHING, Reason.YOUNG)
            return Verdict(is_post=is_post, reason=reason, fee_wei=_last(view.fees_wei), left_ms=left_ms)
        fee_wei, bar_wei = view.fees_wei[-1], self.bar_wei(view, left_ms)
        is_cheap = fee_wei <= bar_wei
        reason = Reason.CHEAP if is_cheap else Reason.DEAR
        return Verdict(is_post=is_cheap, reason=reason, fee_wei=fee_wei, bar_wei=bar_wei, left_ms=left_ms)

    def bar_wei(self, view: PostingView, left_ms: int) -> int:
        """Return the dearest fee worth a post `left_ms` before the deadline; rounded down, in favor of waiting."""
        cells_then = min(self.cells_max, view.cells * self._latest_ms // max(1, view.age_ms))
        share = post_gas(cells_then) * view.age_ms
        return self.forecast_wei(view.fees_wei, left_ms) * share // (post_gas(view.cells) * self._latest_ms)

    def forecast_wei(self, fees_wei: Sequence[int], left_ms: int) -> int:
        """Return the cheapest fee to be expected within `left_ms`: a quantile of recent ones, its rank rounded up."""
        looks = left_ms // self.look_ms  # floored: a look behind the deadline is none
        recent_wei = sorted(fees_wei[-FEES_KEPT:])
        return recent_wei[-(-len(recent_wei) // (looks + 1)) - 1]

    @property
    def _latest_ms(self) -> int:
        return max(self.deadline_ms, self.interval_ms)

    def _urgent(self, view: PostingView, left_ms: int) -> Reason | None:
        """What decides whatever the fee is."""
        if not (view.has_content or view.has_requests or view.backlog):
            return Reason.NOTHING
        rows = (
            (view.is_asked, Reason.ASKED),
            (view.has_requests, Reason.REQUESTS),
            (view.backlog >= self.backlog_max, Reason.BACKLOG),
            (view.age_ms < self.interval_ms, Reason.YOUNG),
            (left_ms == 0, Reason.DEADLINE),
            (view.cells >= self.cells_max, Reason.FULL),
            (not view.fees_wei, Reason.NO_FORECAST),
        )
        return next((reason for holds, reason in rows if holds), None)


def post_gas(cells: int) -> int:
    """Gas of a post with so many cells, about: what the benchmark's fixture measured."""
    return _FIXED_GAS + _CELL_GAS * cells


def explain(policy: PostingPolicy, view: PostingView, verdict: Verdict) -> str:
    """Say in one line why nothing is posted now, or why something is."""
    waited_s, left_s = view.age_ms // 1_000, -(-verdict.left_ms // 1_000)
    fee, bar = _gwei(verdict.fee_wei), _gwei(verdict.bar_wei)
    lines = {
        Reason.NOTHING: "nothing waits: no fill, request or batch since the last post",
        Reason.ASKED: "posts: somebody asked for it",
        Reason.REQUESTS: "posts: requests of the contract's queue wait, they never wait for a fee",
        Reason.BACKLOG: f"posts: {view.backlog} closed batches wait, more than {policy.backlog_max - 1} never do",
        Reason.YOUNG: f"waits: {waited_s} s old, nothing younger than {policy.interval_ms} ms is posted unasked",
        Reason.DEADLINE: f"posts: {waited_s} s old, the deadline is over whatever the fee",
        Reason.FULL: f"posts: {view.cells} active cells, a batch holds {policy.cells_max}",
        Reason.NO_FORECAST: "posts: no fee is known, so age alone decides",
        Reason.CHEAP: f"posts: the fee of {fee} gwei is none above {bar}, what a post is worth {left_s} s before its "
        f"deadline with {view.cells} active cells",
        Reason.DEAR: f"waits: the fee of {fee} gwei is above {bar}, what a post is worth {left_s} s before its "
        f"deadline with {view.cells} active cells",
    }
    return lines[verdict.reason]


def _gwei(fee_wei: int) -> str:
    """Wei in gwei, to the wei."""
    return f"{fee_wei // 10**9}.{fee_wei % 10**9:09d}".rstrip("0").rstrip(".")


def _last(fees_wei: Sequence[int]) -> int:
    return fees_wei[-1] if fees_wei else 0
