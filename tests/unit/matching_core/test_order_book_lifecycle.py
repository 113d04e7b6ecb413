"""Handles, capacity, listings, batches and views: what holds whatever the prices are."""

import pytest

from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    CoreCode,
    CoreCommand,
    CoreEvent,
)
from tests.unit.matching_core.book_drawing import INSTRUMENT, DrawnBook

BUY, SELL = 0, 1


def new(side, quantity, price, instrument=INSTRUMENT, flags=0, owner=0, cell=0):
    """Pack a NEW."""
    return COMMAND.pack(CoreCommand.NEW, side, flags, instrument, price, quantity, owner, cell)


def cancel(handle):
    """Pack a CANCEL."""
    return COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, handle)


def events_of(book, *commands):
    """Submit commands in one batch and unpack the events."""
    return list(EVENT.iter_unpack(book.submit(b"".join(commands))))


def make_book(order_book_class, *, low=1, high=1000, **options):
    """Make a book with one instrument."""
    book = order_book_class(**options)
    book.list_instrument(INSTRUMENT, price_min_ticks=low, price_max_ticks=high)
    return book


MALFORMED = [
    (COMMAND.pack(0, 0, 0, INSTRUMENT, 5, 1, 0, 0), CoreCode.UNKNOWN_KIND),
    (COMMAND.pack(10, 0, 0, INSTRUMENT, 5, 1, 0, 0), CoreCode.UNKNOWN_KIND),
    (COMMAND.pack(255, 9, 0xFFFF, 1, -1, -1, 1, 1), CoreCode.UNKNOWN_KIND),
    (new(9, -1, -1, instrument=8, flags=0xFFDF), CoreCode.UNKNOWN_INSTRUMENT),
    (new(2, -1, -1, flags=0xFFDF), CoreCode.BAD_SIDE),
    (new(BUY, -1, -1, flags=64), CoreCode.BAD_FLAGS),
    (new(BUY, -1, -1, flags=0x400), CoreCode.BAD_FLAGS),
    (new(BUY, -1, -1, flags=FLAG_SLIDE), CoreCode.BAD_FLAGS),
    (new(BUY, -1, -1), CoreCode.PRICE_OUT_OF_RANGE),
    (new(BUY, 1, 2**63 - 1), CoreCode.PRICE_OUT_OF_RANGE),
    (new(BUY, 1, -(2**63)), CoreCode.PRICE_OUT_OF_RANGE),
    (new(BUY, -(2**63), 5), CoreCode.QUANTITY_OUT_OF_RANGE),
    (COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, 8, -1, -1, 1), CoreCode.UNKNOWN_INSTRUMENT),
    (COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, INSTRUMENT, 5, 1, 1), CoreCode.UNKNOWN_HANDLE),
    (cancel(0), CoreCode.UNKNOWN_HANDLE),
    (cancel(1), CoreCode.UNKNOWN_HANDLE),
    (cancel(2**64 - 1), CoreCode.UNKNOWN_HANDLE),
]


@pytest.mark.parametrize(("command", "code"), MALFORMED, ids=[str(index) for index in range(len(MALFORMED))])
def test_checks_run_in_declared_order(order_book_class, command, code):
    """The first failing check names the code; the refusal echoes side, instrument and handle."""
    book = make_book(order_book_class)
    kind, side, _, instrument, *_, handle = COMMAND_HANDLE.unpack(command)
    handle = handle if kind in (CoreCommand.CANCEL, CoreCommand.AMEND) else 0
    assert events_of(book, command) == [(CoreEvent.REJECTED, side, code, instrument, handle, 0, 0)]


@pytest.mark.parametrize("size", [1, 31, 33])
def test_broken_commands_are_refused_as_a_whole(order_book_class, size):
    """Bytes that are not whole commands raise before anything is applied."""
    book = make_book(order_book_class)
    with pytest.raises(ValueError, match="whole commands"):
        book.submit((new(BUY, 1, 5) * 2)[:size])
    assert book.resting_count == 0
    assert book.submit(b"") == b""


def test_gone_orders_are_unknown(order_book_class):
    """A canceled, filled or never resting order cannot be canceled again, nor can its slot's next generation."""
    book = make_book(order_book_class)
    filled = events_of(book, new(SELL, 1, 5))[0][4]
    taker = events_of(book, new(BUY, 1, 5))[0][4]
    canceled = events_of(book, new(BUY, 1, 4))[0][4]
    assert events_of(book, cancel(canceled))[0][0] == CoreEvent.CANCELED
    for handle in (filled, taker, canceled, canceled + 2**32):
        assert events_of(book, cancel(handle))[0][2] == CoreCode.UNKNOWN_HANDLE
        assert book.order(handle) is None


def test_handles_are_never_reused(order_book_class):
    """The last freed slot is used first, always under a new generation."""
    book = make_book(order_book_class)
    seen = []
    for _ in range(20):
        seen.append(events_of(book, new(BUY, 1, 5))[0][4])
        book.submit(cancel(seen[-1]))
    assert [handle & 0xFFFF_FFFF for handle in seen] == [1] * 20
    assert [handle >> 32 for handle in seen] == list(range(1, 21))


def test_amend_needs_the_order_s_own_instrument(order_book_class):
    """A handle of another instrument is unknown there."""
    book = make_book(order_book_class)
    book.list_instrument(5, price_min_ticks=1, price_max_ticks=9)
    handle = events_of(book, new(BUY, 1, 5))[0][4]
    amend = COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, 5, 5, 1, handle)
    assert events_of(book, amend)[0][2] == CoreCode.UNKNOWN_HANDLE


def test_full_book_refuses_with_capacity(order_book_class):
    """A NEW needs a slot even if it would not rest; a freed slot is enough; FOK is judged first."""
    book = make_book(order_book_class, order_capacity=2)
    events_of(book, new(BUY, 1, 5), new(BUY, 1, 6))
    assert events_of(book, new(SELL, 1, 6))[0][2] == CoreCode.CAPACITY
    assert events_of(book, new(SELL, 9, 6, flags=2))[0][2] == CoreCode.FOK_NOT_FILLED
    handle = book.orders(INSTRUMENT)[0][0]
    assert [e[0] for e in events_of(book, cancel(handle), new(SELL, 1, 5))][2:4] == [
        CoreEvent.ACCEPTED, CoreEvent.TRADE,
    ]  # fmt: skip


def test_one_side_holds_at_most_2_to_the_62_lots(order_book_class):
    """Totals stay inside 64 bits: the order that could exceed the bound is refused, an IOC is not."""
    book = make_book(order_book_class)
    book.submit(new(BUY, 2**47, 5) * 2**15)
    assert book.depth(INSTRUMENT, 1) == ([(5, 2**62, 2**15)], [])
    assert events_of(book, new(BUY, 1, 5))[0][2] == CoreCode.CAPACITY
    assert events_of(book, new(BUY, 1, 5, flags=1))[0][0] == CoreEvent.ACCEPTED
    book.check_invariants()


def test_first_handle_is_not_zero(order_book_class):
    """Slot and generation both count from 1, so that 0 can mean none."""
    book = make_book(order_book_class)
    assert events_of(book, new(BUY, 1, 5))[0][4] == 1 << 32 | 1


@pytest.mark.parametrize(("low", "high"), [(5, 4), (-(2**58) - 1, 0), (0, 2**58 + 1)])
def test_bad_band_is_refused(order_book_class, low, high):
    """An empty band or one beyond 2**58 raises."""
    with pytest.raises(ValueError, match="price range"):
        order_book_class().list_instrument(1, price_min_ticks=low, price_max_ticks=high)


def test_listing_refusals(order_book_class):
    """Listed twice, ids beyond 32 bits, unknown ids and full books raise."""
    book = make_book(order_book_class)
    for instrument in (INSTRUMENT, -1, 2**32):
        with pytest.raises(ValueError, match="instrument"):
            book.list_instrument(instrument, price_min_ticks=1, price_max_ticks=2)
    for look in (book.delist_instrument, book.best, book.orders):
        with pytest.raises(KeyError):
            look(99)
    book.submit(new(SELL, 1, 5))
    with pytest.raises(ValueError, match="resting"):
        book.delist_instrument(INSTRUMENT)


@pytest.mark.parametrize("capacity", [0, -1, 2**28 + 1])
def test_bad_capacity_is_refused(order_book_class, capacity):
    """A book holds 1 to 2**28 orders."""
    with pytest.raises(ValueError, match="capacity"):
        order_book_class(order_capacity=capacity)


@pytest.mark.parametrize(("cell", "position"), [(0, 1), (2**32, 1), (1, 2**61 + 1), (1, -(2**61) - 1)])
def test_bad_cell_is_refused(order_book_class, cell, position):
    """Cell 0 is none; positions stay within 2**61 lots."""
    book = order_book_class()
    with pytest.raises(ValueError, match=r"cell|position"):
        book.set_cell(cell, position)
    assert book.cell(cell) == 0


def test_many_instruments_and_cells(order_book_class):
    """Ids are arbitrary: a thousand of each stay apart, and delisted ones make room."""
    book = order_book_class(order_capacity=4096)
    ids = [index * 2_654_435_761 % 2**32 for index in range(1, 1001)]
    for index, instrument in enumerate(ids):
        book.list_instrument(instrument, price_min_ticks=0, price_max_ticks=100)
        book.set_cell(instrument, index)
        book.submit(new(BUY, index + 1, 50, instrument=instrument, cell=instrument))
    assert [book.best(instrument)[1] for instrument in ids] == list(range(1, 1001))
    assert [book.cell(instrument) for instrument in ids] == list(range(1000))
    for instrument in ids[::2]:
        book.submit(cancel(book.orders(instrument)[0][0]))
        book.delist_instrument(instrument)
    for instrument in ids[::2]:
        book.list_instrument(instrument, price_min_ticks=0, price_max_ticks=2**40)
        assert book.best(instrument) == (None, 0, None, 0)
    book.check_invariants()


EDGES = [0, 63, 64, 4095, 4096, 2**18 - 1, 2**18, 2**40, 2**58]


@pytest.mark.parametrize("shift", [0, -(2**57), 64 * 1000])
def test_prices_at_the_edges_of_trie_nodes(order_book_class, shift):
    """Levels at leaf and node boundaries are found, ordered and dropped on both sides."""
    prices = [price + shift for price in EDGES if abs(price + shift) <= 2**58]
    book = make_book(order_book_class, low=min(prices), high=max(prices))
    for side in (BUY, SELL):
        book.submit(b"".join(new(side, 1, price) for price in prices))
        best_first = sorted(prices, reverse=side == BUY)
        assert [row[0] for row in book.depth(INSTRUMENT, 99)[side]] == best_first
        book.check_invariants()
        worst = best_first[-1]
        sweep = events_of(book, new(1 - side, len(prices), worst))
        assert [event[5] for event in sweep if event[0] == CoreEvent.TRADE] == best_first
        assert book.resting_count == 0
        book.check_invariants()


def test_sweep_of_ten_thousand_orders_loses_no_event(order_book_class):
    """An answer longer than the event buffer comes whole: accept, each trade, each level's end."""
    book = make_book(order_book_class, high=20_000)
    book.submit(b"".join(new(SELL, 1, 1 + index) for index in range(10_000)))
    events = events_of(book, new(BUY, 10_001, 20_000))
    kinds = [event[0] for event in events]
    assert kinds == [CoreEvent.ACCEPTED] + [CoreEvent.TRADE] * 10_000 + [CoreEvent.DEPTH] * 10_001
    assert [event[5] for event in events if event[0] == CoreEvent.TRADE] == list(range(1, 10_001))
    assert book.best(INSTRUMENT) == (20_000, 1, None, 0)


@pytest.mark.parametrize("room", range(16, 66))
def test_sweep_may_pause_at_any_event(order_book_class, room):
    """Wherever in a command the compiled book's first 4,096 events are used up, the answer is that of one alone."""

    def fill_book():
        book = make_book(order_book_class)
        book.set_cell(1, 25)
        flags = (0, FLAG_REDUCE_ONLY)
        book.submit(b"".join(new(SELL, 3, 10 + index, flags=flags[index % 2], cell=index % 2) for index in range(20)))
        return book

    sweep = new(BUY, 100, 40, owner=1)
    filler = COMMAND.pack(0, 0, 0, 0, 0, 0, 0, 0)
    alone, late = fill_book().submit(sweep), fill_book().submit(filler * (4096 - room) + sweep)
    assert late[(4096 - room) * EVENT.size :] == alone
    assert len(alone) // EVENT.size > 40


def test_cancels_in_a_deep_level_keep_the_line(order_book_class):
    """Middle, first and last of a level of 2,000 can go without losing a sibling."""
    book = make_book(order_book_class)
    book.submit(new(BUY, 3, 5) * 2000)
    handles = [row[0] for row in book.orders(INSTRUMENT)]
    gone = {handles[0], handles[1000], handles[1999], *handles[3::7]}
    book.submit(b"".join(map(cancel, sorted(gone))))
    assert [row[0] for row in book.orders(INSTRUMENT)] == [handle for handle in handles if handle not in gone]
    book.check_invariants()


def test_canceling_the_best_leaves_no_phantom(order_book_class):
    """The best price follows the last order of a level out."""
    book = make_book(order_book_class)
    handle = events_of(book, new(BUY, 3, 7), new(BUY, 2, 5))[0][4]
    book.submit(cancel(handle))
    assert book.best(INSTRUMENT) == (5, 2, None, 0)


def test_views_of_one_order(order_book_class):
    """Order, orders, depth and best tell the same."""
    book = make_book(order_book_class)
    flags = FLAG_POST_ONLY | 0x200
    handle = events_of(book, new(SELL, 3, 7, flags=flags, owner=9, cell=4))[0][4]
    assert book.order(handle) == (INSTRUMENT, SELL, 7, 3, 9, 4, flags)
    assert book.orders(INSTRUMENT) == [(handle, SELL, 7, 3, 9, 4, flags)]
    assert book.depth(INSTRUMENT, 5) == ([], [(7, 3, 1)])
    assert book.depth(INSTRUMENT, 0) == ([], [])
    assert book.best(INSTRUMENT) == (None, 0, 7, 3)


def test_fillable_is_dry(order_book_class):
    """It counts what could trade, clipped by reduce-only makers, ignores owners and changes nothing."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 102 | c:9\n | 101 | a:5:r1 b:4:o7", {1: 3})
    before = drawn.book.state_hash()
    wanted = [(100, 50), (101, 50), (102, 50), (102, 10), (101, 1)]
    assert [drawn.book.fillable(INSTRUMENT, BUY, *row) for row in wanted] == [0, 7, 16, 10, 1]
    assert drawn.book.fillable(INSTRUMENT, SELL, 101, 5) == 0
    assert drawn.book.state_hash() == before


def test_state_hash_sees_what_decides_the_future(order_book_class):
    """Each of quantity, owner, cell, flags, line and position changes it; the path to the state does not."""

    def build(*commands, cells=()):
        book = make_book(order_book_class)
        for cell, position in cells:
            book.set_cell(cell, position)
        book.submit(b"".join(commands))
        return book.state_hash()

    base, other = new(BUY, 3, 5), new(BUY, 4, 5)
    variants = [
        build(),
        build(base),
        build(other),
        build(base, other),
        build(other, base),
        build(new(BUY, 3, 6)),
        build(new(BUY, 3, 5, owner=1)),
        build(new(BUY, 3, 5, cell=1)),
        build(new(BUY, 3, 5, flags=FLAG_POST_ONLY)),
        build(base, cells=[(1, 1)]),
    ]
    assert len(set(variants)) == len(variants)
    assert build(other, cancel(1 << 32 | 1), base, cells=[(1, 0)]) == build(base)
