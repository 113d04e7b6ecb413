"""The index on good, wild, missing and frozen sources: it never invents a price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.risk.index import (
    IndexParameters,
    IndexState,
    Source,
    capped_prices,
    has_majority,
    live_sources,
    next_index,
    weighted_median,
)

S = 10**9
OURS = IndexParameters()
OPEN = IndexState(price=100_000, time_ns=1_000 * S, is_halted=False)


def sources(*prices, age_s=1):
    """Sources of one age and weight."""
    return [Source(price=price, age_ns=age_s * S) for price in prices]


def tick(rows, state=OPEN, *, after_s=1):
    """One tick after the state's time."""
    return next_index(rows, state, now_ns=state.time_ns + after_s * S, parameters=OURS)


@pytest.mark.parametrize("rows", [[], [(5, 0)], [(5, 2), (6, -1)]])
def test_a_median_needs_weight(rows):
    """No source or no weight is no price."""
    with pytest.raises(ValueError, match="positive weights"):
        weighted_median(rows)


MEDIANS = [
    ([(5, 1)], 5),
    ([(120, 25), (100, 25), (101, 50)], 101),
    ([(100, 1), (200, 1)], 150),
    ([(100, 1), (200, 2)], 200),
    ([(100, 3), (200, 1), (300, 1)], 100),
    ([(100, 1), (150, 0), (200, 1)], 150),
    ([(1, 1), (2, 1)], 1),
]


@pytest.mark.parametrize(("rows", "expected"), MEDIANS)
def test_weighted_median(rows, expected):
    """In any order; between two halves their mean, rounded down."""
    assert weighted_median(rows) == weighted_median(rows[::-1]) == expected


def test_prices_are_capped_around_the_median():
    """Deribit's example: 100, 101, 120 become 100.495, 101, 101.505."""
    found = capped_prices([100_000, 101_000, 120_000], median=101_000, cap=5_000, one=10**6)
    assert found == (100_495, 101_000, 101_505)


def test_an_outlier_moves_the_index_by_the_cap_only():
    """Half as much again in one of five sources is a thousandth of the index, and costs all confidence."""
    found = tick(sources(100_000, 100_000, 100_000, 100_000, 150_000))
    assert (found.price, found.confidence_ppm, found.is_halted) == (100_100, 0, False)


@pytest.mark.parametrize("bad", [None, 0, -1])
def test_sources_without_a_price_drop_out(bad):
    """The rest goes on with less confidence: four of five."""
    found = tick(sources(100_000, 100_000, 100_000, 100_000, bad))
    assert (found.price, found.confidence_ppm) == (100_000, 800_000)


def test_old_sources_drop_out():
    """More than ten seconds."""
    fresh, old = sources(100_000, 100_000, 100_000), sources(200_000, 200_000, age_s=11)
    assert tick(fresh + old).price == 100_000
    assert tick(sources(100_000, 100_000, 100_000, age_s=10)).confidence_ppm == 10**6


def test_sources_without_weight_do_not_count():
    """Excluded by hand."""
    rows = [*sources(100_000, 100_000), Source(price=999_999, age_ns=0, weight=0)]
    assert tick(rows).price == 100_000


def test_two_sources_have_half_the_confidence_at_most():
    """Two of two still are too few."""
    assert tick(sources(100_000, 100_000)).confidence_ppm == 500_000


def test_dispersion_costs_confidence():
    """1 % away is half of the 2 % that cost everything."""
    assert tick(sources(100_000, 100_000, 101_000)).confidence_ppm == 500_000


@pytest.mark.parametrize("rows", [[], sources(100_000), sources(None, None, 100_000), sources(100_000, 1, age_s=60)])
def test_fewer_than_two_sources_halt_the_market(rows):
    """The last price stands, without confidence."""
    found = tick(rows)
    assert (found.price, found.confidence_ppm, found.is_halted) == (100_000, 0, True)


def walk(state, *rounds):
    """Ticks one after the other; the state at the end and whether each was halted."""
    halted = []
    for rows in rounds:
        found = tick(rows, state)
        state = found.state
        halted.append(found.is_halted)
    return state, halted


def test_a_halt_ends_after_three_good_ticks():
    """A gap in between counts from the beginning."""
    good = sources(100_000, 100_000, 100_000)
    assert walk(OPEN, [], good, good, good, good)[1] == [True, True, True, False, False]
    assert walk(OPEN, [], good, good, [], good, good, good)[1] == [True, True, True, True, True, True, False]
    assert walk(IndexState(), good, good, good)[1] == [True, True, False]


def test_a_long_silence_is_a_halt():
    """More than a minute after the last price three good ticks are needed as well."""
    good = sources(100_000, 100_000, 100_000)
    assert not tick(good, after_s=60).is_halted
    late = tick(good, after_s=61)
    assert late.is_halted
    assert walk(late.state, good, good)[1] == [True, False]


def test_a_jump_is_accepted_at_its_third_tick():
    """More than 10 %: the last value holds meanwhile; a single wild tick leaves no trace."""
    wild, good = sources(120_000, 120_000, 120_000), sources(100_000, 100_000, 100_000)
    state, prices = OPEN, []
    for rows in (wild, wild, wild, wild):
        found = tick(rows, state)
        prices.append(found.price)
        state = found.state
    assert prices == [100_000, 100_000, 120_000, 120_000]
    assert tick(wild).confidence_ppm == 0
    assert walk(OPEN, wild, wild, good, wild)[0].price == 100_000
    assert tick(sources(110_000, 110_000, 110_000)).price == 110_000


@given(rows=st.lists(st.tuples(st.one_of(st.none(), st.integers(-5, 10**15)), st.integers(0, 20)), max_size=9))
def test_the_price_lies_between_the_sources_or_is_the_last_one(rows):
    """Whatever they say; and the confidence is a fraction."""
    found = next_index(
        [Source(price=price, age_ns=age * S) for price, age in rows], OPEN, now_ns=1_001 * S, parameters=OURS
    )
    live = [price for price, age in rows if price is not None and price > 0 and age <= 10]
    assert found.price == 100_000 or min(live) <= found.price <= max(live)
    assert 0 <= found.confidence_ppm <= 10**6


MAJORITIES = [
    ([100_000], True),
    ([100_000, 104_000], True),
    ([100_000, 104_100], False),
    ([100_000, 150_000], False),
    ([100_000, 100_000, 150_000], True),
    ([100_000, 100_000, 150_000, 150_000], False),
    ([100_000, 100_000, 100_000, 150_000, 150_000], True),
]


@pytest.mark.parametrize(("prices", "expected"), MAJORITIES)
def test_more_than_half_must_be_near_the_median(prices, expected):
    """Within two percent of it, both bounds inclusive."""
    assert has_majority(sources(*prices), OURS) is expected


def test_a_majority_is_of_weight():
    """Three against two in two venues; nothing live has none."""
    rows = [Source(price=100_000, age_ns=0, weight=3), Source(price=150_000, age_ns=0, weight=2)]
    assert has_majority(rows, OURS)
    with pytest.raises(ValueError, match="positive weights"):
        has_majority([], OURS)
    assert live_sources([*rows, *sources(None, 0), *sources(1, age_s=11)], OURS) == rows
