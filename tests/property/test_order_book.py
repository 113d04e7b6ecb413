"""Rules every stream of commands keeps, found by search: twins agree, FOK is all or nothing, books mirror."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import matching_core
from matching_core import ReferenceOrderBook
from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_SHIFT,
    CoreCommand,
    CoreEvent,
)

if not matching_core.COMPILED:
    REASON = "matching_core._order_book is not built: make build"
    if os.environ.get("STRICT") == "1":
        pytest.fail(REASON, pytrace=False)
    pytest.skip(REASON, allow_module_level=True)

INSTRUMENT = 3
LOW, HIGH = 60, 68
prices = st.integers(LOW, HIGH)
quantities = st.integers(1, 12)
owners = st.integers(0, 2)
cells = st.integers(0, 2)
flags = st.builds(
    lambda kind, mode, reduce_only: kind | mode << STP_SHIFT | reduce_only,
    st.sampled_from([0, 0, FLAG_IOC, FLAG_FOK, FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE]),
    st.integers(0, 3),
    st.sampled_from([0, 0, FLAG_REDUCE_ONLY]),
)
orders = st.tuples(st.integers(0, 1), flags, st.just(INSTRUMENT), prices, quantities, owners, cells)


def pack_new(order):
    """Pack a NEW from a drawn tuple."""
    return COMMAND.pack(CoreCommand.NEW, *order)


def make_book(book_class):
    """Make a book whose band straddles a trie leaf, with a long and a short cell."""
    book = book_class(order_capacity=64)
    book.list_instrument(INSTRUMENT, price_min_ticks=LOW - 60, price_max_ticks=HIGH + 60)
    book.set_cell(1, 15)
    book.set_cell(2, -15)
    return book


class TwinMachine(RuleBasedStateMachine):
    """Both books see the same commands; every answer and every view is equal."""

    @initialize()
    def open_books(self):
        self.twins = [make_book(ReferenceOrderBook), make_book(matching_core.OrderBook)]
        self.handles = []

    def submit(self, command):
        """Submit to both and compare."""
        expected, actual = (book.submit(command) for book in self.twins)
        assert expected == actual
        first = EVENT.unpack_from(expected)
        if first[0] == CoreEvent.ACCEPTED:
            self.handles.append(first[4])

    @rule(order=orders)
    def place(self, order):
        self.submit(pack_new(order))

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def cancel(self, data):
        handle = data.draw(st.sampled_from(self.handles))
        self.submit(COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, INSTRUMENT, 0, 0, handle))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), price=prices, quantity=quantities)
    def amend(self, data, price, quantity):
        handle = data.draw(st.sampled_from(self.handles))
        self.submit(COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, INSTRUMENT, price, quantity, handle))

    @rule(cell=st.integers(1, 2), position=st.integers(-20, 20))
    def set_cell(self, cell, position):
        for book in self.twins:
            book.set_cell(cell, position)

    @rule(side=st.integers(0, 1), price=prices, quantity=quantities)
    def ask_fillable(self, side, price, quantity):
        expected, actual = (book.fillable(INSTRUMENT, side, price, quantity) for book in self.twins)
        assert expected == actual

    @invariant()
    def twins_are_sound_and_equal(self):
        if not hasattr(self, "twins"):
            return
        views = []
        for book in self.twins:
            book.check_invariants()
            views.append((book.state_hash(), book.orders(INSTRUMENT), book.best(INSTRUMENT), book.cell(1)))
        assert views[0] == views[1]


TestTwins = TwinMachine.TestCase
TestTwins.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

modest = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def traded_lots(events):
    """Sum of trades in packed events."""
    return sum(row[6] for row in EVENT.iter_unpack(events) if row[0] == CoreEvent.TRADE)


@modest
@given(resting=st.lists(orders, max_size=12), taker=orders)
def test_fok_trades_all_or_nothing(resting, taker):
    """A FOK is accepted iff the same order as IOC would trade its whole quantity, and then it does."""
    kept = taker[1] & ~(FLAG_IOC | FLAG_FOK | FLAG_POST_ONLY | FLAG_SLIDE)
    books = [make_book(matching_core.OrderBook) for _ in range(2)]
    for book in books:
        book.submit(b"".join(map(pack_new, resting)))
    before = books[0].state_hash()
    fok = books[0].submit(pack_new((taker[0], kept | FLAG_FOK, *taker[2:])))
    ioc = books[1].submit(pack_new((taker[0], kept | FLAG_IOC, *taker[2:])))
    if EVENT.unpack_from(fok)[0] == CoreEvent.ACCEPTED:
        assert traded_lots(fok) == traded_lots(ioc) == taker[4]
    else:
        assert traded_lots(ioc) < taker[4]
        assert books[0].state_hash() == before


@modest
@given(stream=st.lists(orders, max_size=25))
def test_mirrored_stream_gives_mirrored_events(stream):
    """Swapping sides, mirroring prices and negating cells mirrors every event but the closing depth's order."""
    straight, mirror = make_book(matching_core.OrderBook), make_book(matching_core.OrderBook)
    for cell in (1, 2):
        mirror.set_cell(cell, -straight.cell(cell))
    for side, bits, instrument, price, *rest in stream:
        seen = list(EVENT.iter_unpack(straight.submit(pack_new((side, bits, instrument, price, *rest)))))
        flipped = pack_new((1 - side, bits, instrument, LOW + HIGH - price, *rest))
        mirrored = [
            (kind, 1 - of_side, code, of, handle, LOW + HIGH - at if at else 0, lots)
            for kind, of_side, code, of, handle, at, lots in EVENT.iter_unpack(mirror.submit(flipped))
        ]
        assert sorted(seen) == sorted(mirrored)
        assert [row for row in seen if row[0] != CoreEvent.DEPTH] == [r for r in mirrored if r[0] != CoreEvent.DEPTH]


@modest
@given(stream=st.lists(orders, max_size=25), cut=st.integers(0, 25))
def test_batches_split_anywhere_give_the_same_bytes(stream, cut):
    """How commands are cut into batches is invisible."""
    whole, parts = make_book(matching_core.OrderBook), make_book(matching_core.OrderBook)
    commands = [pack_new(order) for order in stream]
    expected = whole.submit(b"".join(commands))
    assert expected == parts.submit(b"".join(commands[:cut])) + parts.submit(b"".join(commands[cut:]))


@modest
@given(stream=st.lists(orders, max_size=30))
def test_lots_are_conserved_and_cells_follow_fills(stream):
    """Cells move by signed fills; each order's trades, cancels and rest add up to what was accepted."""
    book = make_book(matching_core.OrderBook)
    accepted, spent = {}, {}
    for order in stream:
        events = list(EVENT.iter_unpack(book.submit(pack_new(order))))
        taker = events[0][4] if events[0][0] == CoreEvent.ACCEPTED else 0
        for kind, _side, _code, _of, handle, _at, lots in events:
            if kind == CoreEvent.ACCEPTED:
                accepted[handle] = lots
            elif kind in (CoreEvent.TRADE, CoreEvent.CANCELED):
                spent[handle] = spent.get(handle, 0) + lots
            if kind == CoreEvent.TRADE:
                spent[taker] = spent.get(taker, 0) + lots
    left = {row[0]: row[3] for row in book.orders(INSTRUMENT)}
    assert {handle: spent.get(handle, 0) + left.get(handle, 0) for handle in accepted} == accepted
