"""Marks that rounds have: as of the beginning of a batch, or of a request, and no more often than needed."""

import pytest

from exchange.bridge.marks import MARKS_AGE_MAX_S, MarkBook, fitting, mark_per_lot_e6
from exchange.domain.commands import MarkRow
from settlement.protocol.oracle import MarkRow as VectorRow
from tests.unit.exchange.engine.world import CALL, PERP, PUT, instruments

E9 = 10**9


def book_with(*marks: tuple[int, int]) -> MarkBook:
    """The small market's instruments, with marks in whole dollars."""
    book = MarkBook()
    for row in instruments():
        book.list_instrument(row)
        book.trade(row.instrument_id)
    book.take(rows(*marks), is_batch_open=False)
    return book


def rows(*marks: tuple[int, int]) -> tuple[MarkRow, ...]:
    """A round of prices."""
    return tuple(MarkRow(instrument, dollars * E9) for instrument, dollars in marks)


def test_a_lot_is_rounded_down_to_a_millionth() -> None:
    """Lots smaller than a unit, marks finer than a cent."""
    assert mark_per_lot_e6(60_000 * E9, 10**6) == 60_000_000
    assert mark_per_lot_e6(1_999_999, 10**6) == 1
    assert mark_per_lot_e6(999_999, 10**6) == 0


def test_a_batch_keeps_the_marks_that_it_began_with() -> None:
    """What is priced while the batch is open counts for the next one, or where somebody withdraws in it."""
    book = book_with((PERP, 60_000))
    book.take(rows((PERP, 61_000)), is_batch_open=True)
    assert book.close() == {PERP: 60_000_000}
    assert book.close() == {PERP: 61_000_000}
    book.take(rows((PERP, 62_000)), is_batch_open=True)
    assert book.close(is_asked=True) == {PERP: 62_000_000}


def test_an_instrument_without_a_mark_gets_its_first_one() -> None:
    """A batch that begins before an instrument is priced can still trade it."""
    book = book_with((PERP, 60_000))
    book.take(rows((PERP, 61_000), (CALL, 1_500)), is_batch_open=True)
    book.take(rows((CALL, 1_700)), is_batch_open=True)
    assert book.close() == {PERP: 60_000_000, CALL: 15_000_000}


def test_other_marks_are_due_after_a_minute_another_instrument_at_once() -> None:
    """A round is a transaction: prices alone name one per minute of match time."""
    book = MarkBook()
    assert not book.is_due({}, MARKS_AGE_MAX_S)
    assert book.is_due({PERP: 1}, 0)
    book.name({PERP: 1_000, CALL: 5}, 1_000)
    assert not book.is_due({PERP: 1_000, CALL: 5}, 9_999)
    assert not book.is_due({PERP: 1_001}, 1_000 + MARKS_AGE_MAX_S - 1)
    assert book.is_due({PERP: 1_001}, 1_000 + MARKS_AGE_MAX_S)
    assert book.is_due({PERP: 1_000, PUT: 8}, 1_000)


@pytest.mark.parametrize(("mark_e6", "is_due"), [(4_010, False), (4_011, True), (3_990, False), (3_989, True)])
def test_a_perpetual_that_moved_far_names_marks_at_once(mark_e6: int, *, is_due: bool) -> None:
    """A quarter of a percent: margin floors are judged by the marks that a batch names. Options may move."""
    book = MarkBook()
    book.name({PERP: 4_000, CALL: 5}, 1_000)
    assert book.is_due({PERP: mark_e6, CALL: 500}, 1_000) is is_due


def test_only_what_was_traded_has_a_mark_unless_somebody_withdraws() -> None:
    """A venue lists thousands of options; nobody holds most of them."""
    book = MarkBook({PERP: 10**6, CALL: 10**7}, {PERP: 60_000 * E9, CALL: 1_500 * E9}, [PERP])
    assert book.close() == {PERP: 60_000_000}
    assert book.close(is_asked=True) == {PERP: 60_000_000, CALL: 15_000_000}
    book.trade(CALL)
    assert book.close() == {PERP: 60_000_000, CALL: 15_000_000}


def test_a_vector_that_would_be_too_long_lacks_the_cheapest_options() -> None:
    """Perpetuals and payoffs stay: the ledger needs them."""
    rows = {1: VectorRow(mark_e6=5), 2: VectorRow(payoff_e12=0), 3: VectorRow(mark_e6=4), PERP: VectorRow(mark_e6=1)}
    assert list(fitting(rows, 4)) == [1, 2, 3, PERP]
    assert list(fitting(rows, 3)) == [1, 2, PERP]
    assert list(fitting(rows, 2)) == [2, PERP]
    assert list(fitting(rows, 1)) == [2, PERP]


def test_what_leaves_are_judged_by_goes_last_and_what_nobody_holds_first() -> None:
    """Whatever it is worth."""
    rows = {1: VectorRow(mark_e6=1), 2: VectorRow(mark_e6=9), 3: VectorRow(mark_e6=5), 4: VectorRow(mark_e6=7)}
    assert list(fitting(rows, 3, traded=[3, 4], judged=[1])) == [1, 3, 4]
    assert list(fitting(rows, 2, traded=[3, 4], judged=[1])) == [1, 4]
    assert list(fitting(rows, 1, traded=[3, 4], judged=[1])) == [1]


@pytest.mark.parametrize("is_asked", [False, True])
def test_what_was_settled_has_no_mark_any_more(is_asked: bool) -> None:
    """Its payoff stands in the round; later prices of it are not taken, nor those that the open batch began with."""
    book = book_with((PERP, 60_000), (CALL, 1_500))
    book.take(rows((CALL, 1_550)), is_batch_open=True)
    book.end(CALL)
    book.take(rows((CALL, 1_600)), is_batch_open=True)
    assert book.close(is_asked=is_asked) == {PERP: 60_000_000}


def test_a_restart_at_any_point_changes_nothing() -> None:
    """Saved and loaded before every step."""
    book, twin = book_with((PERP, 60_000)), book_with((PERP, 60_000))
    for step in range(6):
        twin = MarkBook.load(twin.dump())
        price = rows((PERP, 60_000 + step), (CALL, 1_500 + step))
        for each in (book, twin):
            each.take(price, is_batch_open=step % 2 == 1)
        if step % 3 == 2:
            marks = book.close()
            assert twin.close() == marks
            for each in (book, twin):
                each.name(marks, step)
    assert book.dump() == twin.dump()


def test_a_snapshot_gives_the_same_marks() -> None:
    """Who begins at a batch boundary with lots and marks names what the fold names."""
    listed = {row.instrument_id: row.lot_e9 for row in instruments()}
    book = MarkBook(listed, {PERP: 60_000 * E9}, [PERP])
    assert book.close() == book_with((PERP, 60_000)).close() == {PERP: 60_000_000}
