"""The posting policy: what decides, in which order, and what it never does."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.bridge.posting_policy import PostingPolicy, PostingView, Reason, explain, post_gas

POLICY = PostingPolicy(interval_ms=5_000, deadline_ms=20_000, cells_max=100, look_ms=1_000, backlog_max=8)
FALLING = (*[900] * 30, 100)
RISING = (100, 300, 500, 900)


def view(**changes):
    """Ten seconds old, ten cells, fees at their lowest."""
    return replace(PostingView(has_content=True, age_ms=10_000, cells=10, fees_wei=FALLING), **changes)


@pytest.mark.parametrize("bad", [{"interval_ms": 0}, {"deadline_ms": 0}, {"cells_max": 0}, {"look_ms": -1}])
def test_a_policy_without_sense_is_refused(bad):
    """Zero would divide or never wait."""
    with pytest.raises(ValueError, match="from 1 on"):
        PostingPolicy(**{"interval_ms": 1, "deadline_ms": 1, **bad})


@pytest.mark.parametrize(
    ("changes", "is_post", "reason"),
    [
        ({"has_content": False}, False, Reason.NOTHING),
        ({"has_content": False, "is_asked": True}, False, Reason.NOTHING),
        ({"has_content": False, "has_requests": True}, True, Reason.REQUESTS),
        ({"has_content": False, "backlog": 1, "age_ms": 20_000}, True, Reason.DEADLINE),
        ({"is_asked": True, "age_ms": 0, "fees_wei": RISING}, True, Reason.ASKED),
        ({"has_requests": True, "age_ms": 0, "fees_wei": RISING}, True, Reason.REQUESTS),
        ({"backlog": 8, "age_ms": 0, "fees_wei": RISING}, True, Reason.BACKLOG),
        ({"backlog": 7, "age_ms": 0}, False, Reason.YOUNG),
        ({"age_ms": 4_999}, False, Reason.YOUNG),
        ({"age_ms": 4_999, "cells": 100}, False, Reason.YOUNG),
        ({"age_ms": 20_000, "fees_wei": RISING}, True, Reason.DEADLINE),
        ({"age_ms": 19_999, "fees_wei": (*RISING[:-1], 10**9)}, False, Reason.DEAR),
        ({"cells": 100, "fees_wei": RISING}, True, Reason.FULL),
        ({"fees_wei": ()}, True, Reason.NO_FORECAST),
        ({}, True, Reason.CHEAP),
        ({"fees_wei": RISING}, False, Reason.DEAR),
        ({"fees_wei": (700,)}, False, Reason.DEAR),
        ({"fees_wei": (900, 100), "cells": 0}, False, Reason.DEAR),
        ({"fees_wei": (900, 900, 30), "age_ms": 18_500}, True, Reason.CHEAP),
    ],
)
def test_the_first_reason_that_holds_decides(changes, is_post, reason):
    """One row per reason, and one where two hold."""
    seen = view(**changes)
    verdict = POLICY.decide(seen)
    assert (verdict.is_post, verdict.reason) == (is_post, reason)
    assert explain(POLICY, seen, verdict).split(":")[0] in {"posts" if is_post else "waits", "nothing waits"}


@pytest.mark.parametrize(
    ("left_ms", "fee_wei"),
    [(19_000, 5), (9_000, 10), (1_000, 50), (999, 100), (0, 100)],
    ids=["20 looks", "10 looks", "2 looks", "last look", "none"],
)
def test_the_forecast_is_the_cheapest_of_the_looks_that_are_left(left_ms, fee_wei):
    """Of the fees 1 to 100, in any order: the 1/20 quantile, the 1/10, the median, the dearest."""
    fees = list(range(1, 101))
    random.Random(4).shuffle(fees)
    assert POLICY.forecast_wei(fees, left_ms) == fee_wei


@pytest.mark.parametrize(
    ("age_ms", "cells", "bar_wei"),
    [
        (10_000, 0, 500_000),  # half of the deadline, and no cell pays for itself: half of the forecast
        (20_000, 0, 1_000_000),
        (10_000, 50, 554_440),  # 50 cells become 100: (57,700 + 14,100) / 2 / (57,700 + 7,050)
        (10_000, 99, 500_983),  # 99 become 100, no more fit: waiting nets nearly all of them
    ],
)
def test_the_bar_is_what_a_second_of_waiting_will_cost(age_ms, cells, bar_wei):
    """With a forecast of a million: gas per second now against gas per second at the deadline."""
    seen = view(fees_wei=(10**6,), age_ms=age_ms, cells=cells)
    assert POLICY.bar_wei(seen, 20_000 - age_ms) == bar_wei


def test_old_fees_are_forgotten():
    """A cheap day does not hold up a dear one for ever."""
    fees = [1] * 50 + [1_000] * 255 + [1_001]
    assert POLICY.forecast_wei(fees, 19_000) == 1_000


def test_an_interval_beyond_the_deadline_is_the_deadline():
    """Settings need not be kept in step."""
    policy = PostingPolicy(interval_ms=60_000, deadline_ms=20_000)
    ages = (59_999, 60_000)
    assert [policy.decide(view(age_ms=age_ms, fees_wei=RISING)).reason for age_ms in ages] == ["young", "deadline"]


FEES = st.lists(st.integers(min_value=1, max_value=10**12), min_size=1, max_size=40)


@given(fees=FEES, age_ms=st.integers(0, 30_000), cells=st.integers(0, 200), more_ms=st.integers(0, 30_000))
def test_waiting_longer_never_turns_a_post_into_a_wait(fees, age_ms, cells, more_ms):
    """Whatever is posted now would be posted later at the same fees."""
    now = view(fees_wei=fees, age_ms=age_ms, cells=cells)
    later = replace(now, age_ms=age_ms + more_ms)
    assert POLICY.decide(later).is_post >= POLICY.decide(now).is_post


@given(fees=FEES, age_ms=st.integers(5_000, 19_999))
def test_a_lower_fee_never_turns_a_post_into_a_wait(fees, age_ms):
    """With the same past."""
    dear = view(fees_wei=fees, age_ms=age_ms)
    cheap = replace(dear, fees_wei=[*fees[:-1], 1])
    assert POLICY.decide(cheap).is_post >= POLICY.decide(dear).is_post


def test_the_reason_names_its_numbers():
    """What an operator reads in `settle status`."""
    seen = view(fees_wei=(10**9, 1_500_000_000), cells=0)
    line = explain(POLICY, seen, POLICY.decide(seen))
    assert line == (
        "waits: the fee of 1.5 gwei is above 0.5, what a post is worth 10 s before its deadline with 0 active cells"
    )


def test_gas_is_that_of_the_measured_batches():
    """994 cells took 197,506 gas, no cell 57,674: within a thousandth."""
    assert abs(post_gas(994) - 197_506) < 400
    assert abs(post_gas(0) - 57_674) < 60
