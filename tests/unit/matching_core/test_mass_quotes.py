"""Mass quotes and bulk cancels: many orders in one command, each entry answered for itself."""

import pytest

from matching_core.fills import (
    COMMAND,
    EVENT,
    FLAG_EXTENDED,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    QUOTE_LINE,
    CoreCode,
    CoreCommand,
    CoreEvent,
)
from matching_core.limits import QUOTE_LINES_MAX
from tests.unit.matching_core.book_drawing import INSTRUMENT, DrawnBook

LINE = QUOTE_LINE.pack(INSTRUMENT, 0, 99, 1, 101, 1, 0, 0, 0)

BAD_HEADERS = [
    (FLAG_IOC, 0, 1, CoreCode.BAD_FLAGS),
    (FLAG_REDUCE_ONLY, 0, 1, CoreCode.BAD_FLAGS),
    (FLAG_EXTENDED, 0, 1, CoreCode.BAD_FLAGS),
    (FLAG_SLIDE, 0, 1, CoreCode.BAD_FLAGS),
    (0, 0, 0, CoreCode.QUANTITY_OUT_OF_RANGE),
    (0, 9, QUOTE_LINES_MAX + 1, CoreCode.QUANTITY_OUT_OF_RANGE),
    (0, 9, 1, CoreCode.UNKNOWN_GUARD),
]


@pytest.mark.parametrize(("flags", "guard", "count", "code"), BAD_HEADERS)
def test_bad_header_refuses_the_whole_quote(order_book_class, flags, guard, count, code):
    """One REJECTED; the lines are not taken for commands, and the next command is."""
    book = DrawnBook(order_book_class).book
    header = COMMAND.pack(CoreCommand.MASS_QUOTE, 0, flags, 0, 0, count, 0, guard)
    after = COMMAND.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, 0, 0)
    events = list(EVENT.iter_unpack(book.submit(header + LINE * count + after)))
    assert [(event[0], event[2]) for event in events] == [
        (CoreEvent.REJECTED, code), (CoreEvent.REJECTED, CoreCode.UNKNOWN_HANDLE),
    ]  # fmt: skip
    assert book.resting_count == 0


@pytest.mark.parametrize("count", [2, 2**62, 2**63 - 1, -1, -(2**63)])
def test_quote_without_its_lines_ends_the_batch(order_book_class, count):
    """However absurd the count: MISSING_RECORDS, and nothing behind the header is read."""
    book = DrawnBook(order_book_class).book
    header = COMMAND.pack(CoreCommand.MASS_QUOTE, 0, 0, 0, 0, count, 0, 0)
    events = list(EVENT.iter_unpack(book.submit(header + LINE)))
    assert [(event[0], event[2]) for event in events] == [(CoreEvent.REJECTED, CoreCode.MISSING_RECORDS)]
    assert book.resting_count == 0


def test_largest_quote_fits(order_book_class):
    """64 lines are one command: an APPLIED, two accepts a line with their depth."""
    book = DrawnBook(order_book_class).book
    header = COMMAND.pack(CoreCommand.MASS_QUOTE, 0, 0, 0, 0, QUOTE_LINES_MAX, 0, 0)
    kinds = book.submit(header + LINE * QUOTE_LINES_MAX)[::32]
    assert kinds == bytes((CoreEvent.APPLIED,)) + bytes((CoreEvent.ACCEPTED, CoreEvent.DEPTH)) * 2 * QUOTE_LINES_MAX


QUOTED = """
bid    | price | ask
       |   103 | y:9
       |   101 | b:5:o9:g1
a:5:o9:g1 |    99 |
x:9    |    97 |
"""

REPLACED = [
    # command, events, book afterwards
    (
        "quote o9 g1 post 4@99/5@101:a/b", ["applied 1@0", "amended a 4@99", "amended b 5@101"],
        [" | 103 | y:9", " | 101 | b:5", "a:4 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 post 6@99/5@102:a/b",
        ["applied 1@0", "canceled a 5@99 QUOTE_REPLACED", "canceled b 5@101 QUOTE_REPLACED", "accepted q1 6@99",
         "accepted q2 5@102"],
        [" | 103 | y:9", " | 102 | q2:5", "q1:6 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 post 1@101/1@102:a/b",
        ["applied 1@0", "canceled a 5@99 QUOTE_REPLACED", "canceled b 5@101 QUOTE_REPLACED", "accepted q1 1@101",
         "accepted q2 1@102"],
        [" | 103 | y:9", " | 102 | q2:1", "q1:1 | 101 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 0@0/0@0:a/b", ["applied 1@0", "canceled a 5@99 USER_REQUEST", "canceled b 5@101 USER_REQUEST"],
        [" | 103 | y:9", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 0@0/0@0", ["applied 1@0"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 5@102/5@102:a/b",
        ["applied 1@0", "rejected a QUOTE_CROSSED", "rejected b QUOTE_CROSSED"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 5@89/5@102:a/b",
        ["applied 1@0", "canceled b 5@101 QUOTE_REPLACED", "rejected a PRICE_OUT_OF_RANGE", "accepted q1 5@102"],
        [" | 103 | y:9", " | 102 | q1:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 -1@98/5@101:a/b",
        ["applied 1@0", "rejected a QUANTITY_OUT_OF_RANGE", "amended b 5@101"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 post 5@100/5@97:-/b",
        ["applied 1@0", "rejected QUOTE_CROSSED", "rejected b QUOTE_CROSSED"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 post 0@0/5@96:a/b",
        ["applied 1@0", "canceled a 5@99 USER_REQUEST", "canceled b 5@101 QUOTE_REPLACED",
         "rejected b 9@97 POST_ONLY_WOULD_CROSS"],
        [" | 103 | y:9", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 5@100/5@96:x/y", ["applied 1@0", "rejected x QUOTE_CROSSED", "rejected y QUOTE_CROSSED"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 5@98/5@104:x/y", ["applied 1@0", "rejected x UNKNOWN_HANDLE", "rejected y UNKNOWN_HANDLE"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 4@99/4@101:a/b", ["applied 1@0", "rejected a UNKNOWN_HANDLE", "rejected b UNKNOWN_HANDLE"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 4@99/4@101:b/a", ["applied 1@0", "rejected b UNKNOWN_HANDLE", "rejected a UNKNOWN_HANDLE"],
        [" | 103 | y:9", " | 101 | b:5", "a:5 | 99 | ", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 9@104/0@0:a/-",
        ["applied 1@0", "canceled a 5@99 QUOTE_REPLACED", "rejected a SELF_TRADE"],
        [" | 103 | y:9", " | 101 | b:5", "x:9 | 97 | "],
    ),
    (
        "quote o9 g1 9@104/0@0:a/b",
        ["applied 1@0", "canceled a 5@99 QUOTE_REPLACED", "canceled b 5@101 USER_REQUEST", "accepted q1 9@104",
         "trade y 9@103"],
        ["x:9 | 97 | "],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "events", "after"), REPLACED, ids=[row[0] for row in REPLACED])
def test_each_entry_replaces_the_order_it_names(order_book_class, command, events, after):
    """Cancels first, then one answer per entry; a refused field leaves its predecessor, a refusing book does not."""
    drawn = DrawnBook(order_book_class, QUOTED, guards={1: {}})
    assert drawn.run(command) == events
    assert drawn.draw() == after


def test_all_cancels_come_before_all_placements(order_book_class):
    """The bid of the first line may stand where the ask of the second was."""
    drawn = DrawnBook(order_book_class)
    drawn.run("quote o9 1@98/1@100 1@97/1@101")
    names = dict(drawn.names)
    assert [names[row[0]] for row in drawn.book.orders(INSTRUMENT)] == ["q1", "q3", "q2", "q4"]
    drawn.names = {handle: name.replace("q", "p") for handle, name in names.items()}
    events = drawn.run("quote o9 1@101/1@103:p1/p2 1@100/1@104:p3/p4")
    assert [line.split()[0] for line in events] == ["applied"] + ["canceled"] * 4 + ["accepted"] * 4
    assert drawn.draw() == [" | 104 | q4:1", " | 103 | q2:1", "q1:1 | 101 | ", "q3:1 | 100 | "]


def test_one_handle_replaces_once(order_book_class):
    """The second entry that names a gone order is refused."""
    drawn = DrawnBook(order_book_class, QUOTED, guards={1: {}})
    assert drawn.run("quote o9 g1 1@98/0@0:a/- 1@97/0@0:a/-") == [
        "applied 2@0", "canceled a 5@99 QUOTE_REPLACED", "accepted q1 1@98", "rejected a UNKNOWN_HANDLE",
    ]  # fmt: skip


def test_line_of_an_unknown_instrument_or_reserved_bytes_is_refused_alone(order_book_class):
    """Both its entries get the code, the other lines go on."""
    book = DrawnBook(order_book_class).book
    header = COMMAND.pack(CoreCommand.MASS_QUOTE, 0, FLAG_POST_ONLY, 0, 0, 3, 0, 0)
    unknown = QUOTE_LINE.pack(5, 0, 99, 1, 101, 1, 0, 0, 0)
    reserved = QUOTE_LINE.pack(INSTRUMENT, 0, 99, 1, 101, 1, 0, 0, 1)
    events = list(EVENT.iter_unpack(book.submit(header + unknown + reserved + LINE)))
    assert [(event[0], event[1], event[2]) for event in events if event[0] != CoreEvent.DEPTH] == [
        (CoreEvent.APPLIED, 0, 0),
        (CoreEvent.REJECTED, 0, CoreCode.UNKNOWN_INSTRUMENT), (CoreEvent.REJECTED, 1, CoreCode.UNKNOWN_INSTRUMENT),
        (CoreEvent.REJECTED, 0, CoreCode.BAD_FLAGS), (CoreEvent.REJECTED, 1, CoreCode.BAD_FLAGS),
        (CoreEvent.ACCEPTED, 0, 0), (CoreEvent.ACCEPTED, 1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("room", range(16, 60))
def test_quote_may_pause_at_any_event(order_book_class, room):
    """Wherever the compiled book's first 4,096 events are used up, the answer is that of one alone."""

    def quoted():
        drawn = DrawnBook(order_book_class, QUOTED, guards={1: {}})
        drawn.run("sell 30@105 s1")
        return drawn

    alone, late = quoted(), quoted()
    line = "quote o9 g1 25@106/1@110:a/b " + "1@98/1@109 " * 4
    expected = alone.book.submit(alone.pack(line)[0])
    filler = COMMAND.pack(0, 0, 0, 0, 0, 0, 0, 0)
    events = late.book.submit(filler * (4096 - room) + late.pack(line)[0])
    assert events[(4096 - room) * EVENT.size :] == expected
    assert alone.book.snapshot() == late.book.snapshot()


BOOK = """
bid        | price | ask
           |   102 | d:4:o9
           |   101 | c:5 e:2:o9 f:6
a:6:o9 b:1 |    99 |
g:8:o9:s3  |    98 |
"""

BULK = [
    (
        "cancel-owner o9",
        ["applied", "canceled a 6@99 USER_REQUEST", "canceled g 8@98 USER_REQUEST", "canceled e 2@101 USER_REQUEST",
         "canceled d 4@102 USER_REQUEST", "depth bid 1@99", "depth bid 0@98", "depth ask 11@101", "depth ask 0@102"],
        [" | 101 | c:5 f:6", "b:1 | 99 | "],
    ),
    (
        "cancel-owner o8", ["applied"],
        [" | 102 | d:4", " | 101 | c:5 e:2 f:6", "a:6 b:1 | 99 | ", "g:3+5 | 98 | "],
    ),
    (
        "cancel-owner o0",
        ["applied", "canceled b 1@99 USER_REQUEST", "canceled c 5@101 USER_REQUEST", "canceled f 6@101 USER_REQUEST",
         "depth bid 6@99", "depth ask 2@101"],
        [" | 102 | d:4", " | 101 | e:2", "a:6 | 99 | ", "g:3+5 | 98 | "],
    ),
    (
        "cancel-all",
        ["applied", "canceled a 6@99 USER_REQUEST", "canceled b 1@99 USER_REQUEST", "canceled g 8@98 USER_REQUEST",
         "canceled c 5@101 USER_REQUEST", "canceled e 2@101 USER_REQUEST", "canceled f 6@101 USER_REQUEST",
         "canceled d 4@102 USER_REQUEST", "depth bid 0@99", "depth bid 0@98", "depth ask 0@101", "depth ask 0@102"],
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "events", "after"), BULK, ids=[row[0] for row in BULK])
def test_bulk_cancel_goes_in_match_order(order_book_class, command, events, after):
    """Bids before asks, best first; each level's depth once, at the end."""
    drawn = DrawnBook(order_book_class, BOOK)
    assert drawn.run_with_depth(command) == events
    assert drawn.draw() == after


@pytest.mark.parametrize("kind", [CoreCommand.CANCEL_INSTRUMENT, CoreCommand.CANCEL_OWNER])
def test_bulk_cancel_of_an_unknown_instrument_is_refused(order_book_class, kind):
    """The code names it."""
    events = order_book_class().submit(COMMAND.pack(kind, 0, 0, 5, 0, 0, 9, 0))
    assert list(EVENT.iter_unpack(events)) == [(CoreEvent.REJECTED, 0, CoreCode.UNKNOWN_INSTRUMENT, 5, 0, 0, 0)]


def test_bulk_cancel_of_a_full_book(order_book_class):
    """As many levels as slots, on both sides: every order and every level is reported."""
    drawn = DrawnBook(order_book_class, band=(0, 9999), order_capacity=6000)
    drawn.book.submit(b"".join(drawn.pack(f"buy 1@{price}")[0] for price in range(3000)))
    drawn.book.submit(b"".join(drawn.pack(f"sell 1@{price}")[0] for price in range(5000, 8000)))
    kinds = drawn.book.submit(drawn.pack("cancel-all")[0])[:: EVENT.size]
    assert (kinds.count(CoreEvent.CANCELED), kinds.count(CoreEvent.DEPTH)) == (6000, 6000)
    drawn.book.check_invariants()
