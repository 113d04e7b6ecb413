"""IOC orders against every kind of level and order in their way: both books write the same bytes."""

import pytest

from matching_core import OrderBook, ReferenceOrderBook
from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    EXTENSION,
    FLAG_EXTENDED,
    FLAG_IOC,
    FLAG_REDUCE_ONLY,
    CoreCommand,
    CoreEvent,
)

BUY, SELL = 0, 1
OWNER, CELL = 7, 3
NO_MORE = (0,) * 3


def new(side, quantity, price, *, flags=0, owner=0, cell=0):
    """Pack a NEW of instrument 1."""
    return COMMAND.pack(CoreCommand.NEW, side, flags, 1, price, quantity, owner, cell)


def asks(*levels):
    """Pack sell orders, quantities by price from 101 on."""
    return [new(SELL, lots, 101 + step) for step, line in enumerate(levels) for lots in line]


FAR = [new(SELL, 4, 101), new(SELL, 4, 101 + 64), new(SELL, 4, 101 + 4096)]
OWN = [*asks([2], [3]), new(SELL, 5, 102, owner=OWNER), new(SELL, 5, 103)]
CELLS = [new(SELL, 2, 101, cell=CELL), new(SELL, 3, 102), new(SELL, 4, 102, cell=CELL), new(SELL, 9, 103, cell=CELL)]
REDUCING = [*asks([2], [3, 1]), new(SELL, 5, 102, flags=FLAG_REDUCE_ONLY, cell=CELL), new(SELL, 5, 103)]
MET = [
    pytest.param([], 5, 110, id="an empty side"),
    pytest.param(asks([5]), 5, 100, id="a best out of reach"),
    pytest.param(asks([5]), 3, 101, id="a part of one order"),
    pytest.param(asks([5]), 5, 101, id="one order, exactly"),
    pytest.param(asks([5], [5]), 5, 102, id="a level exactly, with another in reach"),
    pytest.param(asks([5, 1], [5]), 5, 102, id="an order exactly, with another behind it"),
    pytest.param(asks([1, 2], [3], [4, 5]), 11, 103, id="two levels and a part of the third"),
    pytest.param(asks([1], [1], [1], [1], [1], [1]), 9, 110, id="more levels than are written at once"),
    pytest.param(asks([1] * 9, [1] * 20), 25, 110, id="lines that are long"),
    pytest.param(asks([1], [1] * 300), 250, 110, id="more orders than the room of a short way"),
    pytest.param(asks(*[[1]] * 80), 200, 200, id="two leaves"),
    pytest.param(FAR, 12, 5000, id="leaves far apart"),
    pytest.param(OWN, 20, 105, id="an own order behind others"),
    pytest.param(CELLS, 10, 105, id="makers with cells"),
    pytest.param(REDUCING, 20, 105, id="a reduce-only maker behind others"),
]


def mirrored(command):
    """Return the same command of the other side, prices mirrored within the band."""
    kind, side, flags, instrument, price, quantity, owner, cell = COMMAND.unpack(command)
    return COMMAND.pack(kind, 1 - side, flags, instrument, 10_000 - price, quantity, owner, cell)


def answers(book_class, commands, capacity=1000):
    """Events of each command in a book of its own, and what the book is then."""
    book = book_class(order_capacity=capacity)
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=9_999)
    book.set_cell(CELL, 0 if commands and COMMAND.unpack(commands[0])[1] == BUY else 4)
    # Nothing is found, and a slot is freed: the short way takes only slots that were used before.
    book.submit(new(BUY, 1, 1, flags=FLAG_IOC))
    events = [book.submit(command) for command in commands]
    book.check_invariants()
    return events, book.state_hash(), book.cell(CELL)


@pytest.mark.parametrize("mirror", [False, True], ids=["buy", "sell"])
@pytest.mark.parametrize("owner", [0, OWNER], ids=["nobody's", "owned"])
@pytest.mark.parametrize(("makers", "quantity", "price"), MET)
def test_an_ioc_order_gets_the_reference_s_answers(makers, quantity, price, owner, mirror):
    """What follows it, a new order in each emptied level included, is the same too."""
    taker = new(BUY, quantity, price, flags=FLAG_IOC, owner=owner)
    commands = [*makers, taker, *asks([3], [2], [1]), taker, taker]
    commands = [mirrored(command) for command in commands] if mirror else commands
    assert answers(OrderBook, commands) == answers(ReferenceOrderBook, commands)


def test_an_exact_fill_writes_no_depth_of_the_level_behind():
    """The next level is in reach but nothing of it is taken."""
    book = OrderBook()
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=9_999)
    book.submit(b"".join((*asks([5], [6]), new(BUY, 1, 1, flags=FLAG_IOC))))
    events = EVENT.iter_unpack(book.submit(new(BUY, 5, 102, flags=FLAG_IOC)))
    assert [(event[0], event[5], event[6]) for event in events] == [
        (CoreEvent.ACCEPTED, 102, 5),
        (CoreEvent.TRADE, 101, 5),
        (CoreEvent.DEPTH, 101, 0),
    ]


@pytest.mark.parametrize("flags", [0, FLAG_REDUCE_ONLY], ids=["iceberg", "reduce-only iceberg"])
def test_an_exact_fill_leaves_the_iceberg_behind_it_alone(flags):
    """What an iceberg keeps beside is no cell: with more of them than cells a look at one would leave the table."""
    book, reference = OrderBook(cell_capacity=4), ReferenceOrderBook(cell_capacity=4)
    makers = [new(SELL, 9, 500, flags=FLAG_EXTENDED) + EXTENSION.pack(1, 0, *NO_MORE)] * 260
    makers += [
        new(SELL, 5, 101),
        new(SELL, 9, 102, flags=FLAG_EXTENDED | flags, cell=CELL) + EXTENSION.pack(1, 0, *NO_MORE),
    ]
    for one in (book, reference):
        one.list_instrument(1, price_min_ticks=1, price_max_ticks=9_999)
        one.set_cell(CELL, 9)
    # The first IOC order finds nothing and frees its slot: the short way takes only slots that were used before.
    for command in (*makers, new(BUY, 1, 1, flags=FLAG_IOC), new(BUY, 5, 102, flags=FLAG_IOC)):
        assert book.submit(command) == reference.submit(command)
    assert book.state_hash() == reference.state_hash()
    assert book.cell(CELL) == 9
    book.check_invariants()


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_levels_left_empty_never_use_up_the_records_of_levels(capacity):
    """An order that wanders over more prices than orders may rest finds a level at each, again and again."""
    book = OrderBook(order_capacity=capacity)
    book.list_instrument(1, price_min_ticks=1, price_max_ticks=200)
    anchors = [new(BUY, 1, 199 - 64 * step) for step in range(capacity - 1)]
    book.submit(b"".join(anchors))
    for price in [*range(100, 60, -1), *range(60, 100)]:
        accepted = EVENT.unpack_from(book.submit(new(BUY, 1, price)))
        assert accepted[0] == CoreEvent.ACCEPTED
        book.check_invariants()
        book.submit(COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, accepted[4]))
        book.check_invariants()
    assert book.resting_count == len(anchors)


@pytest.mark.parametrize("band", [(90, 110), (1, 9_999)], ids=["one leaf", "a tree"])
def test_an_instrument_whose_levels_are_all_empty_is_delisted_without_a_trace(band):
    """The records that its leaves held are given back; a listing after it starts with none."""
    book = OrderBook(order_capacity=4)
    for _ in range(8):
        book.list_instrument(1, price_min_ticks=band[0], price_max_ticks=band[1])
        for price in range(100, 104):
            book.submit(new(SELL, 1, price))
            book.submit(new(BUY, 1, price, flags=FLAG_IOC))
        book.check_invariants()
        book.delist_instrument(1)
        book.check_invariants()
