"""Ranges of an index: what counts, what is forgotten, what comes back."""

import pytest

from exchange.engine.index_ranges import IndexRanges

MINUTE_NS = 60 * 10**9
START_NS = 29_833_333 * MINUTE_NS


def noted(*prices: tuple[int, int]) -> IndexRanges:
    """(minute, price) of BTC."""
    ranges = IndexRanges()
    for minute, price in prices:
        ranges.note("BTC", price, START_NS + minute * MINUTE_NS)
    return ranges


@pytest.mark.parametrize(
    ("prices", "minute", "expected"),
    [
        ((), 0, 0),
        (((0, 100),), 0, 0),
        (((0, 100), (0, 98), (0, 99)), 0, 20_000),
        (((0, 90), (1, 100)), 5, 100_000),
        (((0, 90), (1, 100)), 6, 0),
        (((0, 90), (6, 100)), 6, 0),
        (((0, 100), (3, 75)), 30, 0),
    ],
)
def test_range_of_the_last_minutes(prices, minute, expected):
    """Five whole minutes and the one that runs; older prices do not count, and a slot's old prices are overwritten."""
    assert noted(*prices).moved_ppm("BTC", START_NS + minute * MINUTE_NS) == expected


def test_each_underlying_has_its_own_range():
    """A crash of one says nothing of another."""
    ranges = noted((0, 100), (0, 50))
    ranges.note("ETH", 10, START_NS)
    assert ranges.moved_ppm("ETH", START_NS) == 0


def test_rows_come_back():
    """Ascending by name; a restored one goes on alike and shares nothing with the rows."""
    ranges = noted((0, 100), (1, 50))
    rows = ranges.rows()
    restored = IndexRanges()
    restored.restore(rows)
    restored.note("BTC", 10, START_NS + MINUTE_NS)
    assert ranges.moved_ppm("BTC", START_NS + MINUTE_NS) == 500_000
    assert restored.moved_ppm("BTC", START_NS + MINUTE_NS) == 900_000


def test_a_minute_ends_with_its_last_nanosecond():
    """The price of the first nanosecond of minute six takes the place of minute zero's."""
    ranges = IndexRanges()
    ranges.note("BTC", 50, MINUTE_NS - 1)
    ranges.note("BTC", 100, 6 * MINUTE_NS)
    assert ranges.moved_ppm("BTC", 6 * MINUTE_NS) == 0
    ranges.note("BTC", 80, 7 * MINUTE_NS - 1)
    assert ranges.rows() == [("BTC", [6, 100, 80] + [0] * 15)]


def test_a_price_at_the_beginning_of_time_stands_alone():
    """Slots that were never used hold no price."""
    ranges = IndexRanges()
    ranges.note("BTC", 100, 0)
    assert ranges.moved_ppm("BTC", 0) == ranges.moved_ppm("BTC", MINUTE_NS) == 0
