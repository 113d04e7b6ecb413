"""The mark of a perpetual: median of three, stand-ins for what is missing, clamp, averages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.pricing.mark import (
    AGAINST_INDEX_S,
    BOOK_S,
    BookPrices,
    MarkInputs,
    MovingAverage,
    perpetual_mark,
    weighted_middle,
)

NONE = MovingAverage(window_s=AGAINST_INDEX_S)


def average_of(value, window_s=AGAINST_INDEX_S):
    """An average that has seen one value."""
    return MovingAverage(window_s=window_s).after(value, 1.0)


def mark_of(*, index=100.0, basis=None, book=None, outside=(), book_average=None):
    """A mark from its three views; `book` is bid, ask and last alike."""
    inputs = MarkInputs(
        index=index,
        book=BookPrices(bid=book, ask=book, last=book),
        basis=NONE if basis is None else average_of(basis),
        book_average=NONE if book_average is None else average_of(book_average, BOOK_S),
        outside=outside,
    )
    return perpetual_mark(inputs, clamp=0.03)


@pytest.mark.parametrize("index", [0.0, -1.0, math.nan, math.inf])
def test_an_index_that_is_no_price_is_refused(index):
    """No mark without it."""
    with pytest.raises(ValueError, match="positive price"):
        mark_of(index=index)


@pytest.mark.parametrize(("value", "elapsed_s"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, -1.0)])
def test_nothing_invalid_enters_an_average(value, elapsed_s):
    """It would never leave it."""
    with pytest.raises(ValueError, match="must be finite"):
        NONE.after(value, elapsed_s)


MARKS = [
    # basis  book   outside               book average   mark
    (1.0, 102.0, ((100.5, 1.0),), None, 101.0),
    (0.0, 102.0, ((101.0, 1.0),), 99.0, 101.0),
    (0.0, 102.0, (), 101.0, 101.0),
    (0.0, 102.0, (), None, 101.0),
    (None, 102.0, ((100.0, 1.0),), 100.5, 100.5),
    (None, None, (), 99.0, 100.0),
    (None, 102.0, (), None, 102.0),
    (9.0, 109.0, ((109.0, 1.0),), None, 103.0),
    (-9.0, 91.0, ((91.0, 1.0),), None, 97.0),
]


@pytest.mark.parametrize(("basis", "book", "outside", "book_average", "expected"), MARKS)
def test_mark(basis, book, outside, book_average, expected):
    """Median of three, of two and the book's average, of what there is; never 3 % off the index."""
    assert mark_of(basis=basis, book=book, outside=outside, book_average=book_average) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "expected"),
    [
        (99, 101, 105, 101),
        (99, 101, 100, 100),
        (99, 101, None, 100),
        (None, None, 7, 7),
        (None, None, None, None),
        (math.nan, 0.0, -5, None),
        (math.inf, 101, 99, 100),
    ],
)
def test_middle_of_the_book(bid, ask, last, expected):
    """A last trade outside the spread counts as its nearer side."""
    assert BookPrices(bid=bid, ask=ask, last=last).middle() == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), None),
        (((math.nan, 3.0), (0.0, 3.0), (5.0, 0.0)), None),
        (((100.0, 3.0), (101.0, 2.0), (500.0, 2.0)), 101.0),
        (((100.0, 1.0), (102.0, 1.0)), 101.0),
    ],
)
def test_outside_prices(rows, expected):
    """Weighted median of the usable ones."""
    assert weighted_middle(rows) == expected


def test_an_average_forgets_by_its_window():
    """After 150 s of silence the old value weighs exp(-1) of what it did."""
    once = MovingAverage(window_s=150.0).after(1.0, 150.0)
    later = once.after(0.0, 150.0)
    assert later.value == pytest.approx(math.exp(-1) / (math.exp(-1) + 1))


def test_an_average_without_time_is_none():
    """A first sample of no duration says nothing."""
    assert NONE.value is None
    assert NONE.after(5.0, 0.0).value is None


@given(values=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.001, 1e4)), min_size=1))
def test_an_average_lies_between_its_values(values):
    """Whatever the steps."""
    average = NONE
    for value, elapsed_s in values:
        average = average.after(value, elapsed_s)
    low, high = min(value for value, _ in values), max(value for value, _ in values)
    assert low - 1e-6 <= average.value <= high + 1e-6
