"""The replay of a posting policy on fees: traces that are refused, and a replay that is worked out by hand."""

import json

import pytest

from exchange.bridge.fee_trace import (
    BadTrace,
    FeeRow,
    Outcome,
    read_trace,
    simulate,
    simulate_every,
    synthetic_trace,
)
from exchange.bridge.posting_policy import PostingPolicy, post_gas

GWEI = 10**9
POLICY = PostingPolicy(interval_ms=60_000, deadline_ms=240_000, look_ms=60_000)
DAY = synthetic_trace(1, cells=40)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no rows"),
        ("time_s,fee_wei\n", "no rows"),
        ("time_s,fee\n1,2\n", "row 1 has no fee_wei"),
        ("time_s,fee_wei\n1,2\n1,3\n", "row 2: time 1 does not come after 1"),
        ("time_s,fee_wei\n1,2.5\n", "row 1: fee_wei is '2.5'"),
        ("time_s,fee_wei\n1,-2\n", "row 1: fee_wei is '-2'"),
        ("time_s,fee_wei,cells\n1,2,x\n", "row 1: cells is 'x'"),
        ('{"time_s": 1}', "list of objects"),
        ("[1]", "list of objects"),
        ("[{", "not JSON"),
        ('[{"time_s": true, "fee_wei": 1}]', "time_s is True"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_refused(text, reason):
    """With the row and what is wrong with it."""
    with pytest.raises(BadTrace, match=reason):
        read_trace(text, cells=5)


def test_csv_and_json_are_the_same_trace():
    """Columns in any order, others ignored, cells where they are named."""
    rows = [FeeRow(0, 5, 7), FeeRow(60, 6, 9)]
    text = "fee_wei,time_s,note,cells\n5,0,a,7\n6,60,b,\n"
    listed = json.dumps([{"time_s": 0, "fee_wei": 5, "cells": 7}, {"time_s": 60, "fee_wei": "6"}])
    assert read_trace(text, cells=9) == read_trace(listed, cells=9) == rows


def test_a_replay_by_hand():
    """Dear, dear, not yet worth it, cheap: the fourth row posts; then nothing cheap comes, and the deadline posts."""
    fees = (5, 9, 4, 1, 8, 8, 8, 9, 9)
    rows = [FeeRow(60 * place, fee * GWEI, 10) for place, fee in enumerate(fees)]
    cells = 10 + 10 + 10 + 10  # of a universe so large that none is active twice
    second = 5 * 10
    assert simulate(POLICY, rows, universe=10**9) == Outcome(
        posts=2,
        gas=post_gas(cells) + post_gas(second),
        paid_wei=post_gas(cells) * 1 * GWEI + post_gas(second) * 9 * GWEI,
        worst_age_s=240,
    )


def test_fixed_times_by_hand():
    """Every second minute, whatever the fee; what waits at the end is named."""
    rows = [FeeRow(60 * place, fee * GWEI, 1) for place, fee in enumerate((5, 9, 4, 8, 8, 8))]
    done = simulate_every(2, rows, universe=10**9)
    assert (done.posts, done.worst_age_s, done.left_cells) == (2, 120, 1)
    assert done.paid_wei == post_gas(3) * 4 * GWEI + post_gas(2) * 8 * GWEI
    assert done.mean_fee_wei == done.paid_wei // done.gas


def test_cells_net_and_never_pass_their_universe():
    """A second fill of an active cell adds nothing; of a hundred cells there are at most a hundred."""
    rows = [FeeRow(place, GWEI, 60) for place in range(4)]
    left = [simulate_every(10, rows[:count], universe=100).left_cells for count in (1, 2, 3, 4)]
    assert left == [60, 84, 94, 98]


@pytest.mark.parametrize("seed", range(5))
def test_the_policy_keeps_its_promises_on_any_trace(seed):
    """Never older than the deadline, rounded up to the next row; never younger than the interval."""
    rows = synthetic_trace(seed, cells=40)
    done = simulate(POLICY, rows, universe=1_000)
    assert done.worst_age_s <= 240
    assert 0 < done.posts <= len(rows)


def test_the_policy_pays_less_than_fixed_times_of_the_same_pace():
    """What it is for, on the trace that the command makes when none is given."""
    policy = PostingPolicy(interval_ms=60_000, deadline_ms=3_600_000, look_ms=60_000)
    mine = simulate(policy, DAY, universe=1_000)
    pace = max(1, 1_440 // mine.posts)
    theirs = simulate_every(pace, DAY, universe=1_000)
    assert mine.mean_fee_wei < theirs.mean_fee_wei


def test_a_trace_is_its_seed():
    """The same fees for the same seed, positive, a minute apart."""
    assert synthetic_trace(1, cells=40) == DAY != synthetic_trace(2, cells=40)
    assert all(row.fee_wei > 0 for row in DAY)
    assert [row.time_s for row in DAY] == list(range(0, 86_400, 60))
