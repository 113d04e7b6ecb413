"""A posting policy on a fee trace: what it would have posted, paid and made users wait, beside posting at fixed times.

A trace is rows of time, fee and new active cells, ascending by time; the gap between two rows is arbitrary. Cells that
were active already net: of `universe` cells, the share that is active takes its share of the new ones. The policy sees
at each row what it would see at that moment, and no later row.
"""

import csv
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple

from exchange.bridge.posting_policy import FEES_KEPT, PostingPolicy, PostingView, post_gas

__all__ = ["BadTrace", "FeeRow", "Outcome", "read_trace", "simulate", "simulate_every", "synthetic_trace"]

_COLUMNS: Final = ("time_s", "fee_wei")
_CELLS: Final = "cells"
_DAY_ROWS: Final = 1_440
_MINUTE_S: Final = 60
_BASE_WEI: Final = 1_000_000_000
_FLOOR_WEI: Final = 1_000_000


class BadTrace(ValueError):
    """The trace cannot be replayed; the text names the row."""


class FeeRow(NamedTuple):
    """Fee of a unit of gas in wei at a time in seconds, and cells with fills since the row before."""

    time_s: int
    fee_wei: int
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one way of posting over a trace: money in wei, ages in seconds. What waits at the end is not posted."""

    posts: int = 0
    gas: int = 0
    paid_wei: int = 0
    worst_age_s: int = 0
    left_cells: int = 0

    @property
    def mean_fee_wei(self) -> int:
        """Paid per unit of gas, rounded down; 0 without a post."""
        return self.paid_wei // self.gas if self.gas else 0


def read_trace(text: str, *, cells: int) -> list[FeeRow]:
    """Rows of a CSV with a header line, or of JSON: a list of objects with the same names. Raises BadTrace.

    `time_s` (ascending) and `fee_wei` are needed; `cells` is taken where a row names none. All are whole numbers.
    """
    found = _json_rows(text) if text.lstrip().startswith(("[", "{")) else list(csv.DictReader(text.splitlines()))
    rows = [_row(place, row, cells) for place, row in enumerate(found, 1)]
    if not rows:
        raise BadTrace("the trace has no rows")
    for place, (before, row) in enumerate(pairwise(rows), 2):
        if row.time_s <= before.time_s:
            raise BadTrace(f"row {place}: time {row.time_s} does not come after {before.time_s}")
    return rows


def synthetic_trace(seed: int, *, cells: int, days: int = 1) -> list[FeeRow]:
    """A row per minute: a fee that wanders back to its mean, with a daily swing and bursts that die away.

    It looks like a fee and is none: figures from it compare policies, they forecast no bill.
    """
    draw = random.Random(seed)  # noqa: S311 - a trace to replay, no secret
    level_wei, burst_wei, rows = _BASE_WEI, 0, []
    for minute in range(days * _DAY_ROWS):
        level_wei += (_BASE_WEI - level_wei) // 32 + draw.randrange(-_BASE_WEI // 12, _BASE_WEI // 12 + 1)
        burst_wei = burst_wei * 3 // 4 + (draw.randrange(_BASE_WEI, 8 * _BASE_WEI) if draw.randrange(90) == 0 else 0)
        swing_ppm = 1_000 * (abs(minute % _DAY_ROWS - _DAY_ROWS // 2) - _DAY_ROWS // 4)  # -360,000 to 360,000
        fee_wei = level_wei + level_wei * swing_ppm // 1_000_000 + burst_wei
        rows.append(FeeRow(minute * _MINUTE_S, max(_FLOOR_WEI, fee_wei), draw.randrange(2 * cells + 1)))
    return rows


def simulate(policy: PostingPolicy, rows: Iterable[FeeRow], *, universe: int) -> Outcome:
    """Replay `rows` with at most `universe` (1 or more) active cells."""
    seen: list[int] = []
    book = _Book(universe)
    for row in rows:
        book.add(row)
        seen.append(row.fee_wei)
        del seen[:-FEES_KEPT]
        view = PostingView(has_content=book.cells > 0, age_ms=1_000 * book.age_s(row), cells=book.cells, fees_wei=seen)
        if policy.decide(view).is_post:
            book.post(row)
    return book.outcome


def simulate_every(minutes: int, rows: Iterable[FeeRow], *, universe: int) -> Outcome:
    """Replay `rows` with a post as soon as `minutes` have passed since the last one."""
    book, posted_s = _Book(universe), None
    for row in rows:
        book.add(row)
        posted_s = row.time_s if posted_s is None else posted_s
        if book.cells and row.time_s - posted_s >= minutes * _MINUTE_S:
            book.post(row)
            posted_s = row.time_s
    return book.outcome


class _Book:
    """What waits, and what was paid."""

    def __init__(self, universe: int) -> None:
        self._universe = universe
        self._since_s = 0
        self.cells = 0
        self.outcome = Outcome()

    def add(self, row: FeeRow) -> None:
        if not self.cells:
            self._since_s = row.time_s
        # Rounded up, so that a few fills in a full book still count: against whoever waits.
        self.cells = min(self._universe, self.cells - (-row.cells * (self._universe - self.cells) // self._universe))
        self.outcome = replace(self.outcome, left_cells=self.cells)

    def age_s(self, row: FeeRow) -> int:
        return row.time_s - self._since_s if self.cells else 0

    def post(self, row: FeeRow) -> None:
        gas, before = post_gas(self.cells), self.outcome
        self.outcome = Outcome(
            posts=before.posts + 1,
            gas=before.gas + gas,
            paid_wei=before.paid_wei + gas * row.fee_wei,
            worst_age_s=max(before.worst_age_s, self.age_s(row)),
        )
        self.cells = 0


def _json_rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise BadTrace(f"not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadTrace("JSON must be a list of objects with time_s, fee_wei and perhaps cells")
    return rows


def _row(place: int, row: dict[str, Any], cells: int) -> FeeRow:
    missing = [name for name in _COLUMNS if row.get(name) in (None, "")]
    if missing:
        raise BadTrace(f"row {place} has no {missing[0]}; the columns are time_s, fee_wei and perhaps cells")
    named = row.get(_CELLS)
    time_s, fee_wei = (_whole(place, name, row[name]) for name in _COLUMNS)
    return FeeRow(time_s, fee_wei, cells if named in (None, "") else _whole(place, _CELLS, named))


def _whole(place: int, name: str, value: object) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()):
        raise BadTrace(f"row {place}: {name} is {value!r}, not a whole number from 0 on")
    return int(text)
