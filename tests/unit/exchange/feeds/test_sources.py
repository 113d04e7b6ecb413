"""What of a venue's words is a price: never zero, negative, NaN, infinite, crossed, wide, old, or from the future."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.limits import MAX_MONEY_E6
from exchange.feeds.sources import TopOfBook, price_e9, source_of
from exchange.risk.index import Source

E9 = 10**9
S = 10**9
NOW = 1_790_000_000 * S


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 0.0, -0.5, float("nan"), float("inf"), float("-inf"), "NaN", "inf", "sNaN", "", "price", None, True),
        *(b"1", [1], "1e30", 1e300, Decimal("Infinity"), "1e999999999", "0.0000000001", str(MAX_MONEY_E6)),
    ],
)
def test_what_is_no_price_is_none(value: object) -> None:
    """Whatever a venue sends."""
    assert price_e9(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("60000.5", 60_000_500_000_000),
        (60_000, 60_000 * E9),
        (0.1, 100_000_000),
        (Decimal("1e-9"), 1),
        ("0.0000000015", 2),
        ("0.0000000025", 2),
    ],
)
def test_a_price_is_exact_or_rounded_half_to_even(value: object, expected: int) -> None:
    """A float is what it prints."""
    assert price_e9(value) == expected


@given(st.floats())
def test_any_float_is_a_price_on_the_scale_or_none(value: float) -> None:
    """No exception, nothing out of range."""
    found = price_e9(value)
    assert found is None or 0 < found <= MAX_MONEY_E6


def top(**fields: int | None) -> TopOfBook:
    """A book of 99.9 to 100.1 as of now with a trade at 101, changed as asked."""
    values = {"bid_e9": 99_900, "ask_e9": 100_100, "book_ns": NOW, "last_e9": 101_000, "last_ns": NOW - S}
    return TopOfBook(**(values | fields))


@pytest.mark.parametrize(
    ("said", "price"),
    [
        (top(), 100_000),
        (top(bid_e9=99_502, ask_e9=100_498), 100_000),
        (top(bid_e9=99_498, ask_e9=100_502), 101_000),
        (top(bid_e9=100_200), 101_000),
        (top(bid_e9=None), 101_000),
        (top(ask_e9=0), 101_000),
        (top(book_ns=NOW + 2 * S), 101_000),
        (top(bid_e9=None, last_ns=NOW - 10 * S), 101_000),
        (top(bid_e9=None, last_ns=NOW - 10 * S - 1), None),
        (top(bid_e9=None, last_ns=NOW + 2 * S), None),
        (top(bid_e9=None, last_e9=None), None),
        (None, None),
    ],
)
def test_the_middle_of_a_narrow_book_else_a_recent_trade(said: TopOfBook | None, price: int | None) -> None:
    """A spread of 1 % is narrow enough; crossed, one-sided and future books are not books."""
    assert source_of(said, weight=2, now_ns=NOW).price == price


def test_a_source_has_the_age_of_what_it_says() -> None:
    """Of its book by the venue's clock: one that stands still grows old."""
    assert source_of(top(book_ns=NOW - 3 * S), weight=2, now_ns=NOW) == Source(price=100_000, age_ns=3 * S, weight=2)
