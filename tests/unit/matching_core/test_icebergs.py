"""Icebergs: one slice shows, the next goes to the back of the level; extension records and their refusals."""

import pytest

from matching_core.fills import COMMAND, EVENT, EXTENSION, FLAG_EXTENDED, FLAG_IOC, CoreCode, CoreCommand, CoreEvent
from matching_core.limits import ICEBERG_SLICES_MAX
from tests.unit.matching_core.book_drawing import INSTRUMENT, DrawnBook

BOOK = """
bid | price | ask
    |   102 | d:9
    |   101 | a:10:s3 b:4
"""

REFUSED = [
    # flags, display, guard, reserved, code
    (FLAG_EXTENDED, 1, 0, (1, 0, 0), CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED, 1, 0, (0, 1, 0), CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED, 1, 0, (0, 0, 1), CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED | FLAG_IOC, 1, 0, (0, 0, 0), CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED | FLAG_IOC, 0, 5, (0, 0, 0), CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED, -1, 0, (0, 0, 0), CoreCode.QUANTITY_OUT_OF_RANGE),
    (FLAG_EXTENDED, 2**47 + 1, 0, (0, 0, 0), CoreCode.QUANTITY_OUT_OF_RANGE),
    (FLAG_EXTENDED, 9, 0, (0, 0, 0), CoreCode.QUANTITY_OUT_OF_RANGE),
    (FLAG_EXTENDED, 10, 5, (0, 0, 0), CoreCode.UNKNOWN_GUARD),
]


@pytest.mark.parametrize(("flags", "display", "guard", "reserved", "code"), REFUSED)
def test_bad_extension_is_refused(order_book_class, flags, display, guard, reserved, code):
    """Reserved bytes, a slice or guard on what never rests, slices out of range or too many, an unset guard."""
    book = DrawnBook(order_book_class).book
    before = book.snapshot()
    new = COMMAND.pack(CoreCommand.NEW, 0, flags, INSTRUMENT, 100, 9 * ICEBERG_SLICES_MAX + 1, 0, 0)
    events = book.submit(new + EXTENSION.pack(display, guard, *reserved))
    assert list(EVENT.iter_unpack(events)) == [(CoreEvent.REJECTED, 0, code, INSTRUMENT, 0, 0, 0)]
    assert book.snapshot() == before


def test_missing_extension_is_refused_and_ends_the_batch(order_book_class):
    """A command whose second record is beyond the batch is answered once; nothing in front of it is lost."""
    drawn = DrawnBook(order_book_class)
    plain = drawn.pack("buy 1@95")[0]
    cut = COMMAND.pack(CoreCommand.NEW, 1, FLAG_EXTENDED, INSTRUMENT, 100, 9, 0, 0)
    events = list(EVENT.iter_unpack(drawn.book.submit(plain + cut)))
    assert [event[0] for event in events] == [CoreEvent.ACCEPTED, CoreEvent.DEPTH, CoreEvent.REJECTED]
    assert events[-1] == (CoreEvent.REJECTED, 1, CoreCode.MISSING_RECORDS, INSTRUMENT, 0, 0, 0)
    assert drawn.book.resting_count == 1


def test_extension_of_zeros_changes_nothing(order_book_class):
    """The flag does not show in the order, and the hash is that of a plain one."""
    books = [DrawnBook(order_book_class).book for _ in range(2)]
    row = (INSTRUMENT, 100, 9, 0, 0)
    books[0].submit(COMMAND.pack(CoreCommand.NEW, 0, FLAG_EXTENDED, *row) + EXTENSION.pack(0, 0, 0, 0, 0))
    books[1].submit(COMMAND.pack(CoreCommand.NEW, 0, 0, *row))
    assert books[0].orders(INSTRUMENT) == books[1].orders(INSTRUMENT)
    assert books[0].snapshot() == books[1].snapshot()


TRADED = [
    # command, events, rows of 101 and 102 afterwards
    ("buy 2@101", ["accepted t 2@101", "trade a 2@101"], [" | 102 | d:9", " | 101 | a:1+7 b:4"]),
    (
        "buy 3@101", ["accepted t 3@101", "trade a 3@101", "refilled a 3@101"],
        [" | 102 | d:9", " | 101 | b:4 a:3+4"],
    ),
    (
        "buy 8@101",
        ["accepted t 8@101", "trade a 3@101", "refilled a 3@101", "trade b 4@101", "trade a 1@101"],
        [" | 102 | d:9", " | 101 | a:2+4"],
    ),
    (
        "buy 14@102",
        [
            "accepted t 14@102", "trade a 3@101", "refilled a 3@101", "trade b 4@101", "trade a 3@101",
            "refilled a 3@101", "trade a 3@101", "refilled a 1@101", "trade a 1@101",
        ],
        [" | 102 | d:9"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "events", "after"), TRADED, ids=[row[0] for row in TRADED])
def test_used_up_slice_is_refilled_at_the_back(order_book_class, command, events, after):
    """Others of the level trade before the next slice; a partly filled slice keeps its place."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.run(command) == events
    assert drawn.draw() == after


def test_depth_shows_slices_only(order_book_class):
    """Hidden lots are in no total, best or DEPTH; `order` and `extension` know them."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.book.depth(INSTRUMENT, 1)[1] == [(101, 7, 2)]
    assert drawn.book.best(INSTRUMENT)[2:] == (101, 7)
    assert drawn.run_with_depth("buy 3@101")[-1] == "depth ask 7@101"
    assert drawn.book.order(drawn.handle("a"))[3] == 7
    assert drawn.book.extension(drawn.handle("a")) == (3, 4, 0, 0)


def test_fok_and_fillable_see_hidden_lots(order_book_class):
    """14 lots stand at 101, half of them hidden; one more is too many."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.book.fillable(INSTRUMENT, 0, 101, 99) == 14
    assert drawn.run("buy 15@101 fok") == ["rejected FOK_NOT_FILLED"]
    assert drawn.run("buy 14@101 fok")[0] == "accepted t 14@101"
    assert drawn.draw() == [" | 102 | d:9"]


def test_fok_meets_an_own_order_before_the_next_slice(order_book_class):
    """What is hidden refills behind the taker's own order, so it cannot be reached past it."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:10:s3 b:4:o9")
    assert drawn.run("buy 4@101 fok o9") == ["rejected FOK_NOT_FILLED"]
    assert drawn.run("buy 3@101 fok o9") == ["accepted t 3@101", "trade a 3@101", "refilled a 3@101"]
    assert drawn.draw() == [" | 101 | b:4 a:3+4"]


def test_taking_iceberg_trades_all_and_then_shows_a_slice(order_book_class):
    """As a taker it hides nothing; what rests shows one slice and says so."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.run("buy 20@101 s5") == [
        "accepted t 20@101", "trade a 3@101", "refilled a 3@101", "trade b 4@101", "trade a 3@101",
        "refilled a 3@101", "trade a 3@101", "refilled a 1@101", "trade a 1@101", "refilled t 5@101",
    ]  # fmt: skip
    assert drawn.draw() == [" | 102 | d:9", "t:5+1 | 101 | "]


AMENDED = [
    ("amend a 7@101", ["amended a 7@101"], " | 101 | a:3+4 b:4"),
    ("amend a 3@101", ["amended a 3@101"], " | 101 | a:3 b:4"),
    ("amend a 2@101", ["amended a 2@101"], " | 101 | a:2 b:4"),
    ("amend a 12@101", ["amended a 12@101", "refilled a 3@101"], " | 101 | b:4 a:3+9"),
    ("amend a 301@101", ["rejected a QUANTITY_OUT_OF_RANGE"], " | 101 | a:3+7 b:4"),
]


@pytest.mark.parametrize(("command", "events", "row"), AMENDED, ids=[row[0] for row in AMENDED])
def test_amend_takes_hidden_lots_first(order_book_class, command, events, row):
    """Down at the same price keeps the place; up goes to the back, within the bound of slices."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.run(command) == events
    assert drawn.draw()[1] == row


def test_cancel_returns_hidden_lots(order_book_class):
    """CANCELED carries all that will never trade, DEPTH loses what was shown."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.run_with_depth("cancel a") == ["canceled a 10@101 USER_REQUEST", "depth ask 4@101"]


def test_decrement_takes_slice_after_slice(order_book_class):
    """Self-trade decrement meets what is shown, then the refilled slice."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:5:s3:o9")
    assert drawn.run("buy 4@101 o9 decrement") == [
        "accepted t 4@101",
        "canceled a 3@101 SELF_TRADE_DECREMENT", "canceled t 3@101 SELF_TRADE_DECREMENT", "refilled a 2@101",
        "canceled a 1@101 SELF_TRADE_DECREMENT", "canceled t 1@101 SELF_TRADE_DECREMENT",
    ]  # fmt: skip
    assert drawn.draw() == [" | 101 | a:1"]


def test_reduce_only_iceberg_ends_with_its_room(order_book_class):
    """The refilled slice and all behind it go when the cell's room is used up."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:10:s3:r1", cells={1: 3})
    assert drawn.run("buy 3@101") == [
        "accepted t 3@101", "trade a 3@101", "refilled a 3@101", "canceled a 7@101 REDUCE_ONLY_EXCESS",
    ]  # fmt: skip
    assert drawn.draw() == []


def test_one_order_has_at_most_a_hundred_slices(order_book_class):
    """So that one match ends: a hundred refills are the most an iceberg gives."""
    drawn = DrawnBook(order_book_class)
    drawn.run("sell 100@101 s1 as a")
    events = drawn.run("buy 100@101 as t")
    assert (events.count("trade a 1@101"), events.count("refilled a 1@101")) == (100, 99)
