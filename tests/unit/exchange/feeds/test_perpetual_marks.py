"""Marks of perpetuals between an index and a book: which books speak, how far and how fast a mark follows them."""

import math

import msgspec
import pytest

from exchange.domain.commands import MarkRow
from exchange.domain.views import BookView
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.perpetual_marks import PerpetualMarks

INDEX_E9 = 60_000 * 10**9
PERP = next(row for row in demo_catalogue(1_795_363_200) if row.is_perpetual and row.underlying == "BTC")
NUMBER = PERP.instrument_id


def book(bid_usd, ask_usd, *, auction_ns=0):
    """One level a side at whole USDC; None: the side is empty."""
    sides = [() if usd is None else ((usd * 10**9 // PERP.tick_e9, 5, 1),) for usd in (bid_usd, ask_usd)]
    return BookView(instrument=NUMBER, bids=sides[0], asks=sides[1], auction_deadline_ns=auction_ns)


def mark_usd(marks, view, *, elapsed_s=1.0, index_e9=INDEX_E9):
    """One round's mark in USDC."""
    books = {} if view is None else {NUMBER: view}
    (row,) = marks.rows([PERP], books, index_e9={"BTC": index_e9}, elapsed_s=elapsed_s)
    assert row.instrument == NUMBER
    return row.mark_e9 / 10**9


SILENT = {
    "no book": None,
    "empty": book(None, None),
    "bid alone": book(50_000, None),
    "ask alone": book(None, 70_000),
    "wider than 1 %": book(60_300, 60_907),
    "in a call auction": book(60_300, 60_320, auction_ns=1),
}


@pytest.mark.parametrize("view", SILENT.values(), ids=SILENT.keys())
def test_a_book_that_does_not_speak_moves_no_mark(view):
    """However often it is seen, the mark stays the index to the unit."""
    marks = PerpetualMarks()
    assert {mark_usd(marks, view) for _ in range(200)} == {60_000.0}


def test_an_underlying_without_an_index_has_no_mark():
    """Halted: no row."""
    assert PerpetualMarks().rows([PERP], {NUMBER: book(59_999, 60_001)}, index_e9={}, elapsed_s=1.0) == ()


def test_a_book_of_exactly_one_percent_speaks():
    """The widest that counts is 606 around 60,600; the rule looks at the middle of the book."""
    assert mark_usd(PerpetualMarks(), book(60_297, 60_903)) == 60_600.0


def test_one_look_at_a_far_book_moves_the_mark_by_little():
    """A minute of quiet at the index, then a second 1 % above: the median is an average, not the book."""
    marks = PerpetualMarks()
    for _ in range(60):
        assert mark_usd(marks, book(59_990, 60_010)) == 60_000.0
    once = mark_usd(marks, book(60_590, 60_610))
    # The basis average moved by 1/150 of 600 or a little more, the book's own by 1/30 or a little more.
    assert 60_004.0 < once < 60_025.0


def test_a_book_that_stays_away_is_followed():
    """After minutes at 100 USDC above, the mark is 100 above, also while the index moves."""
    marks = PerpetualMarks()
    for _ in range(1_200):
        last = mark_usd(marks, book(60_090, 60_110))
    assert last == 60_100.0
    moved = mark_usd(marks, book(60_140, 60_160), index_e9=60_050 * 10**9)
    assert moved == 60_150.0


@pytest.mark.parametrize(("side", "expected"), [(1, 61_800.0), (-1, 58_200.0)])
def test_a_mark_is_never_more_than_3_percent_from_its_index(side, expected):
    """Ten percent away for ten minutes."""
    marks, far = PerpetualMarks(), 60_000 + side * 6_000
    assert {mark_usd(marks, book(far - 10, far + 10)) for _ in range(600)} == {expected}


def test_a_book_that_falls_silent_lets_the_mark_go_back():
    """The basis fades with 150 s: 100 x exp(-1) after that time, nothing after an hour; nothing is left of the book."""
    marks = PerpetualMarks()
    for _ in range(1_500):
        mark_usd(marks, book(60_090, 60_110))
    after = [mark_usd(marks, None) for _ in range(3_600)]
    assert after[149] == pytest.approx(60_000 + 100 * math.exp(-1), abs=0.5)
    assert after == sorted(after, reverse=True)
    assert after[-1] == 60_000.0


def test_a_restart_goes_on_from_the_published_basis():
    """The first mark behind it is what was published, without a book to say so; known averages are kept."""
    marks = PerpetualMarks()
    marks.resume({NUMBER: MarkRow(NUMBER, 60_090 * 10**9)}, {"BTC": INDEX_E9}, [PERP])
    assert mark_usd(marks, None, elapsed_s=0.0) == 60_090.0
    marks.resume({NUMBER: MarkRow(NUMBER, 59_000 * 10**9)}, {"BTC": INDEX_E9}, [PERP])
    assert mark_usd(marks, None, elapsed_s=0.0) == 60_090.0


@pytest.mark.parametrize("index_e9", [{}, {"BTC": 0}])
def test_a_restart_without_an_index_begins_at_none(index_e9):
    """A mark without an index beside it says nothing of a basis."""
    marks = PerpetualMarks()
    marks.resume({NUMBER: MarkRow(NUMBER, 60_090 * 10**9)}, index_e9, [PERP])
    assert mark_usd(marks, None) == 60_000.0


def test_a_long_gap_counts_as_a_minute():
    """A host that slept for a day wakes up with most of its basis."""
    marks = PerpetualMarks()
    marks.resume({NUMBER: MarkRow(NUMBER, 60_100 * 10**9)}, {"BTC": INDEX_E9}, [PERP])
    slept = PerpetualMarks()
    slept.resume({NUMBER: MarkRow(NUMBER, 60_100 * 10**9)}, {"BTC": INDEX_E9}, [PERP])
    day = mark_usd(slept, None, elapsed_s=86_400.0)
    assert day == mark_usd(marks, None, elapsed_s=60.0) > 60_050.0


def test_a_cheap_coin_has_6_percent():
    """Others than BTC and ETH; an index that is no multiple of the step stays exact."""
    cheap = msgspec.structs.replace(PERP, underlying="DOGE")
    marks = PerpetualMarks()
    rows = marks.rows([cheap], {}, index_e9={"DOGE": 123_456_789}, elapsed_s=1.0)
    assert rows[0].mark_e9 == 123_456_789
    rows = PerpetualMarks().rows([cheap], {NUMBER: book(66_000, 66_010)}, index_e9={"DOGE": INDEX_E9}, elapsed_s=1.0)
    assert rows[0].mark_e9 == 63_600 * 10**9
