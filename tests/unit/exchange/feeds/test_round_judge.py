"""What a feed signs: rounds near its own prices of their time; one refusal per reason."""

from collections.abc import Mapping

import pytest

from exchange.domain.underlyings import underlying_number
from exchange.feeds.round_judge import AHEAD_MAX_S, PriceHistory, RefusalReason, RoundJudge, RoundRefused
from settlement.protocol.oracle import MarkRow, OracleVector
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, START_S, instruments

BTC = underlying_number("BTC")
E6, E9 = 10**6, 10**9
BOUND_PPM = 20_000
NOW_S = START_S + 1_000
MARK_E6 = 60 * E6
"""One lot of the perpetual is a thousandth."""
CALL_PAYOFF_E12 = 100 * 10**12
"""A hundredth of 10,000."""


def judge(*samples: tuple[int, int]) -> RoundJudge:
    """A judge with samples of (Unix seconds, dollars); one of 60,000 a second ago without any."""
    made = RoundJudge(lambda _: instruments(), BOUND_PPM)
    for time_s, dollars in samples or ((NOW_S - 1, 60_000),):
        made.note(time_s, {"BTC": dollars * E9})
    return made


def vector(
    rows: Mapping[int, MarkRow] | None = None,
    index: int | None = 60_000,
    settled: Mapping[tuple[int, int], int] | None = None,
) -> bytes:
    """Bytes of a round in whole dollars."""
    indexes = {} if index is None else {BTC: index * E6}
    return OracleVector(round_number=1, rows=rows or {}, index_e6=indexes, settlement_e6=settled or {}).encode()


def payoff(value_e12: int, price_e6: int | None = 80_000 * E6) -> bytes:
    """A round in which the 70,000 call ends."""
    settled = {} if price_e6 is None else {(BTC, EXPIRY_S): price_e6}
    return vector({CALL: MarkRow(payoff_e12=value_e12)}, None, settled)


WRONG = {
    "no vector": (b"\x00", RefusalReason.BAD_VECTOR),
    "bytes behind it": (vector() + b"\x00", RefusalReason.BAD_VECTOR),
    "index above": (vector(index=61_202), RefusalReason.INDEX),
    "index below": (vector(index=58_798), RefusalReason.INDEX),
    "index of nothing we price": (
        OracleVector(round_number=1, index_e6={BTC + 1: 5}).encode(),
        RefusalReason.NO_PRICE,
    ),
    "mark above": (vector({PERP: MarkRow(mark_e6=63 * E6 + 1_202)}), RefusalReason.MARK),
    "mark below": (vector({PERP: MarkRow(mark_e6=57 * E6 - 1_202)}), RefusalReason.MARK),
    "mark of nothing": (vector({PERP: MarkRow()}), RefusalReason.MARK),
    "call above its underlying": (vector({CALL: MarkRow(mark_e6=751 * E6)}), RefusalReason.MARK),
    "put above its strike": (vector({PUT: MarkRow(mark_e6=501 * E6)}), RefusalReason.MARK),
    "stranger": (vector({7_777: MarkRow(mark_e6=1)}), RefusalReason.UNKNOWN_INSTRUMENT),
    "payoff of another price": (payoff(CALL_PAYOFF_E12 + 2 * 10**4), RefusalReason.PAYOFF),
    "payoff of no price": (payoff(CALL_PAYOFF_E12, None), RefusalReason.PAYOFF),
    "perpetual that ends": (vector({PERP: MarkRow(payoff_e12=1)}), RefusalReason.PAYOFF),
}


@pytest.mark.parametrize(("data", "reason"), WRONG.values(), ids=WRONG)
def test_a_round_that_is_out_of_bounds_is_refused(data: bytes, reason: RefusalReason) -> None:
    """One thing wrong in each; the settlement price is ours of that time."""
    made = judge((NOW_S - 1, 60_000), (EXPIRY_S, 80_000))
    with pytest.raises(RoundRefused) as refused:
        made.check(1, NOW_S, data, now_s=NOW_S)
    assert refused.value.reason is reason


def test_a_settlement_price_is_held_against_ours_of_the_expiry() -> None:
    """Not against that of now."""
    made = judge((EXPIRY_S, 70_000), (EXPIRY_S + 600, 80_000))
    with pytest.raises(RoundRefused, match="settled at"):
        made.check(1, EXPIRY_S + 600, payoff(CALL_PAYOFF_E12), now_s=EXPIRY_S + 600)


def test_a_time_ahead_is_refused() -> None:
    """By more than clocks differ."""
    judge().check(1, NOW_S + AHEAD_MAX_S, vector(), now_s=NOW_S)
    with pytest.raises(RoundRefused) as refused:
        judge().check(1, NOW_S + AHEAD_MAX_S + 1, vector(), now_s=NOW_S)
    assert refused.value.reason is RefusalReason.FUTURE


def test_nothing_is_signed_before_the_first_price() -> None:
    """But a round without prices says nothing wrong."""
    made = RoundJudge(lambda _: instruments(), BOUND_PPM)
    made.check(1, NOW_S, vector(index=None), now_s=NOW_S)
    with pytest.raises(RoundRefused, match="no_price"):
        made.check(1, NOW_S, vector(), now_s=NOW_S)


def test_what_is_near_passes() -> None:
    """At both edges of the bound, marks rounded down, options within what they can be worth, a payoff that follows."""
    rows = {PERP: MarkRow(mark_e6=MARK_E6), CALL: MarkRow(mark_e6=750 * E6), PUT: MarkRow(mark_e6=500 * E6)}
    for index in (58_800, 60_000, 61_200):
        judge().check(1, NOW_S, vector(rows, index), now_s=NOW_S)
    judge((NOW_S - 1, 60_000), (EXPIRY_S, 80_000)).check(1, NOW_S, payoff(CALL_PAYOFF_E12), now_s=NOW_S)


@pytest.mark.parametrize("mark_e6", [57 * E6 - 1, 57 * E6, 63 * E6, 63 * E6 + 1])
def test_a_perpetual_may_be_marked_beside_its_index(mark_e6: int) -> None:
    """By its own book, which no signer sees: 3 % more than the bound of 2 %, and a unit."""
    judge().check(1, NOW_S, vector({PERP: MarkRow(mark_e6=mark_e6)}), now_s=NOW_S)


def test_an_old_round_is_held_against_the_price_of_its_time() -> None:
    """After an outage of the settler: the market has moved on, the round was right."""
    made = judge((NOW_S, 60_000), (NOW_S + 3_600, 75_000))
    made.check(1, NOW_S + 2, vector(), now_s=NOW_S + 3_600)
    with pytest.raises(RoundRefused, match="index"):
        made.check(1, NOW_S + 2, vector(index=75_000), now_s=NOW_S + 3_600)


@pytest.mark.parametrize(("away_s", "index"), [(1_000, 62_400), (100_000, 66_000)], ids=["seconds", "at most"])
def test_tolerance_grows_with_the_distance_of_our_nearest_price(away_s: int, index: int) -> None:
    """After an outage of the feed: 20 ppm a second, at most a tenth."""
    made = judge((NOW_S, 60_000))
    made.check(1, NOW_S - away_s, vector(index=index), now_s=NOW_S)
    with pytest.raises(RoundRefused, match="index"):
        made.check(1, NOW_S - away_s, vector(index=index + 1), now_s=NOW_S)


def test_a_price_on_the_way_passes_where_a_round_may_not_follow() -> None:
    """A jump of a third: F4 holds the index price back, the mark is that of now; smaller ones excuse nothing."""
    for dollars, passes in ((80_000, True), (63_000, False)):
        made = judge((NOW_S, 60_000))
        made.check(1, NOW_S, vector(), now_s=NOW_S)
        made.note(NOW_S + 100, {"BTC": dollars * E9})
        halfway = vector({PERP: MarkRow(mark_e6=dollars * 1_000)}, 61_000)
        if passes:
            made.check(2, NOW_S + 100, halfway, now_s=NOW_S + 100)
        else:
            with pytest.raises(RoundRefused, match="index"):
                made.check(2, NOW_S + 100, halfway, now_s=NOW_S + 100)


def test_a_crash_within_the_minute_of_a_batch_passes() -> None:
    """Index of its beginning, marks of its end: both were there; what came a minute later, or never was, is refused."""
    made = judge((NOW_S, 60_000), (NOW_S + 30, 55_000), (NOW_S + 90, 40_000))
    made.check(1, NOW_S, vector({PERP: MarkRow(mark_e6=55 * E6)}), now_s=NOW_S + 90)
    made.check(1, NOW_S, vector(index=55_000), now_s=NOW_S + 90)
    for dollars in (40_000, 52_000, 64_000):
        with pytest.raises(RoundRefused, match="mark"):
            made.check(1, NOW_S, vector({PERP: MarkRow(mark_e6=dollars * 1_000)}), now_s=NOW_S + 90)


def test_an_average_is_held_against_the_half_hour_before() -> None:
    """The 70,000 call settles at what the index was on average, not at its last price."""
    made = judge((EXPIRY_S - 1_800, 84_000), (EXPIRY_S, 74_000))
    made.check(1, EXPIRY_S, payoff(CALL_PAYOFF_E12), now_s=EXPIRY_S)
    with pytest.raises(RoundRefused, match="settled at"):
        judge((EXPIRY_S - 1_801, 84_000), (EXPIRY_S, 74_000)).check(
            1, EXPIRY_S, payoff(CALL_PAYOFF_E12), now_s=EXPIRY_S
        )


def test_samples_of_a_span_are_found_and_old_ones_go() -> None:
    """Each five seconds, a day of them; the nearest counts wherever it is."""
    history = PriceHistory()
    assert history.around(0, 60, 60) is None
    for time_s in range(100_000):
        history.note(time_s, time_s)
    assert history.around(50_001, 10, 5) == (49_995, 50_005, 1)
    assert history.around(50_003, 0, 0) == (50_005, 50_005, 2)
    assert history.around(200_000, 60, 60) == (99_995, 99_995, 100_005)
    assert history.around(0, 60, 60) == (13_600, 13_600, 13_600)
