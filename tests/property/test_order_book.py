"""Rules every stream of commands keeps, found by search: twins agree, FOK is all or nothing, books mirror.

The metamorphic rules run over seeded streams that draw every kind of command (tests/differential/command_streams.py).
"""

import os
from collections import defaultdict

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
    EXTENSION,
    FLAG_EXTENDED,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    QUOTE_LINE,
    STP_SHIFT,
    CoreCode,
    CoreCommand,
    CoreEvent,
)
from tests.differential.command_streams import GUARDS, INSTRUMENTS, CommandStream, open_book

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
    book.set_weights(INSTRUMENT, delta_e9=2, vega_e9=-1)
    book.set_guard(1, interval_ns=5, quantity_lots=15)
    book.set_guard(2, interval_ns=0, delta_e9=20, count=4)
    return book


class TwinMachine(RuleBasedStateMachine):
    """Both books see the same commands; every answer and every view is equal."""

    @initialize()
    def open_books(self):
        self.twins = [make_book(ReferenceOrderBook), make_book(matching_core.OrderBook)]
        self.handles = []
        self.now_ns = 0

    def submit(self, command):
        """Submit to both and compare."""
        expected, actual = (book.submit(command, self.now_ns) for book in self.twins)
        assert expected == actual
        self.handles += [row[4] for row in EVENT.iter_unpack(expected) if row[0] == CoreEvent.ACCEPTED]

    @rule(order=orders, slice_lots=st.integers(0, 4), guard=st.integers(0, 3))
    def place_extended(self, order, slice_lots, guard):
        command = COMMAND.pack(CoreCommand.NEW, order[0], order[1] | FLAG_EXTENDED, *order[2:])
        self.submit(command + EXTENSION.pack(slice_lots, guard, 0, 0, 0))

    @rule(data=st.data(), owner=owners, guard=st.integers(0, 2), flag=st.sampled_from([0, FLAG_POST_ONLY]))
    def quote(self, data, owner, guard, flag):
        lines = b""
        for _ in range(data.draw(st.integers(1, 3))):
            bid, ask = data.draw(prices), data.draw(prices)
            lots = data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
            named = [data.draw(st.sampled_from([0, *self.handles[-6:]])) for _ in range(2)]
            lines += QUOTE_LINE.pack(INSTRUMENT, 0, bid, lots[0], ask, lots[1], *named, 0)
        count = len(lines) // QUOTE_LINE.size
        self.submit(COMMAND.pack(CoreCommand.MASS_QUOTE, 0, flag, 0, 0, count, owner, guard) + lines)

    @rule(
        kind=st.sampled_from([CoreCommand.CANCEL_GUARD, CoreCommand.CANCEL_OWNER, CoreCommand.SET_PHASE]),
        number=st.integers(0, 2),
    )
    def apply_many(self, kind, number):
        self.submit(COMMAND.pack(kind, min(number, 1), 0, INSTRUMENT, 0, 0, number, number))

    @rule(price=prices)
    def uncross(self, price):
        expected, actual = (book.indicative(INSTRUMENT, price) for book in self.twins)
        assert expected == actual
        self.submit(COMMAND.pack(CoreCommand.UNCROSS, 0, 0, INSTRUMENT, price, 0, 0, 0))

    @rule(guard=st.integers(1, 2), later_ns=st.integers(0, 6))
    def thaw(self, guard, later_ns):
        self.now_ns += later_ns
        for book in self.twins:
            book.reset_guard(guard)

    @rule()
    def restore(self):
        snapshots = [book.snapshot() for book in self.twins]
        assert snapshots[0] == snapshots[1]
        self.twins = [type(book).restore(snapshots[0]) for book in self.twins]

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
TestTwins.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)

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


def drawn_stream(seed, count=400):
    """Draw commands of every kind with the handles of a book that plays them; returns commands with their events."""
    stream, book = CommandStream(seed, bank=256), open_book(matching_core.OrderBook)
    played = []
    for command in stream.batch(count):
        events = book.submit(command)
        stream.observe(events)
        played.append((command, events))
    return played


seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(seed=seeds, data=st.data())
def test_batches_split_anywhere_give_the_same_bytes(seed, data):
    """How commands are cut into batches is invisible, whatever their kinds."""
    played = drawn_stream(seed)
    cut = data.draw(st.integers(0, len(played)))
    commands = [command for command, _ in played]
    expected = b"".join(events for _, events in played)
    whole, parts = open_book(matching_core.OrderBook), open_book(matching_core.OrderBook)
    assert whole.submit(b"".join(commands)) == expected
    assert parts.submit(b"".join(commands[:cut])) + parts.submit(b"".join(commands[cut:])) == expected


@few
@given(seed=seeds, cut=st.integers(0, 400))
def test_snapshot_in_mid_stream_is_invisible(seed, cut):
    """A book that was saved and restored on the way answers and ends like one that was not."""
    played = drawn_stream(seed)
    book = open_book(matching_core.OrderBook)
    book.submit(b"".join(command for command, _ in played[:cut]))
    before = book.state_hash()
    book = matching_core.OrderBook.restore(book.snapshot())
    assert book.state_hash() == before
    events = book.submit(b"".join(command for command, _ in played[cut:]))
    assert events == b"".join(events for _, events in played[cut:])


def moved(command, ticks):
    """Move every price of a packed command by `ticks`, if it names one."""
    kind, side, flags, instrument, price, *rest = COMMAND.unpack_from(command)
    if kind == CoreCommand.MASS_QUOTE:
        lines = [
            QUOTE_LINE.pack(number, cell, bid + ticks, bid_lots, ask + ticks, *ask_rest)
            for number, cell, bid, bid_lots, ask, *ask_rest in QUOTE_LINE.iter_unpack(command[COMMAND.size :])
        ]
        return command[: COMMAND.size] + b"".join(lines)
    if kind in (CoreCommand.NEW, CoreCommand.AMEND, CoreCommand.UNCROSS):
        price += ticks
    return COMMAND.pack(kind, side, flags, instrument, price, *rest) + command[COMMAND.size :]


def moved_event(row, ticks):
    """Move the price of an event as `moved` does that of a command; events without a price have 0."""
    kind, side, code, instrument, handle, price, lots = row
    has_price = kind not in (CoreEvent.REJECTED, CoreEvent.GUARD_TRIPPED, CoreEvent.APPLIED)
    if has_price or code == CoreCode.POST_ONLY_WOULD_CROSS:
        price += ticks
    return kind, side, code, instrument, handle, price, lots


@few
@given(seed=seeds, ticks=st.sampled_from([1, -1, 64, 64_000, -64_000, 2**40]))
def test_shifted_prices_shift_the_events(seed, ticks):
    """One tick, a leaf, 64k ticks and more: only prices differ."""
    stream = CommandStream(seed, bank=256)
    straight, shifted = (matching_core.OrderBook() for _ in range(2))
    for book, offset in ((straight, 0), (shifted, ticks)):
        for instrument, (low, high) in INSTRUMENTS.items():
            book.list_instrument(instrument, price_min_ticks=low + offset, price_max_ticks=high + offset)
        for guard, limits in GUARDS.items():
            book.set_guard(guard, interval_ns=0, **limits)
    for command in stream.batch(300):
        if abs(COMMAND.unpack_from(command)[4]) > 2**50:
            continue
        events = straight.submit(command)
        stream.observe(events)
        expected = [moved_event(row, ticks) for row in EVENT.iter_unpack(events)]
        actual = list(EVENT.iter_unpack(shifted.submit(moved(command, ticks))))
        opened = [row for row in actual if row[0] == CoreEvent.APPLIED]
        assert [row for row in actual if row[0] != CoreEvent.APPLIED] == [
            row for row in expected if row[0] != CoreEvent.APPLIED
        ]
        assert len(opened) == sum(row[0] == CoreEvent.APPLIED for row in expected)


@few
@given(first=st.lists(orders, max_size=25), second=st.lists(orders, max_size=25), data=st.data())
def test_instruments_do_not_see_each_other(first, second, data):
    """Interleaving two instruments' commands gives each the events it has alone, handles apart."""
    alone = []
    for stream in (first, second):
        book = make_book(matching_core.OrderBook)
        alone.append(nameless(book.submit(b"".join(pack_new((*row[:6], 0)) for row in map(unreduced, stream)))))
    both = make_book(matching_core.OrderBook)
    both.list_instrument(INSTRUMENT + 1, price_min_ticks=LOW - 60, price_max_ticks=HIGH + 60)
    queues = [list(map(unreduced, first)), [(*row[:2], INSTRUMENT + 1, *row[3:]) for row in map(unreduced, second)]]
    seen = ([], [])
    while any(queues):
        which = data.draw(st.integers(0, 1)) if all(queues) else (0 if queues[0] else 1)
        seen[which].extend(nameless(both.submit(pack_new((*queues[which].pop(0)[:6], 0)))))
    assert [seen[0], seen[1]] == alone


def unreduced(order):
    """Take reduce-only off: cells are shared between instruments on purpose."""
    return (order[0], order[1] & ~FLAG_REDUCE_ONLY, *order[2:])


def nameless(events):
    """Events without instrument and handle."""
    return [(*row[:3], *row[5:]) for row in EVENT.iter_unpack(events)]


class BookOfEvents:
    """Rebuilds lines of orders from commands' flags and events alone: what a consumer of the core may rely on."""

    def __init__(self):
        self.lines = defaultdict(list)
        self.orders = {}
        self.pending = None

    def apply(self, command, events):
        """Take one command's events; only what a client knows of its own order is read from the command."""
        for kind, side, code, instrument, handle, price, lots in EVENT.iter_unpack(events):
            if kind in (CoreEvent.ACCEPTED, CoreEvent.AMENDED, CoreEvent.DEPTH, CoreEvent.REJECTED):
                self.settle()
            if kind == CoreEvent.ACCEPTED:
                self.pending = handle
                self.orders[handle] = [instrument, side, price, lots, lots]
            elif kind == CoreEvent.AMENDED:
                self.amend(handle, price, lots)
            elif kind in (CoreEvent.TRADE, CoreEvent.FILL):
                self.take(handle, lots)
                if kind == CoreEvent.TRADE and self.pending:
                    self.take(self.pending, lots)
            elif kind == CoreEvent.CANCELED:
                self.cancel(handle, lots, code)
            elif kind == CoreEvent.REFILLED:
                self.refill(handle, lots)
        self.settle()

    def settle(self):
        """An accepted order that has lots left when the next thing happens to another rests."""
        handle, self.pending = self.pending, None
        if handle in self.orders:
            self.lines[tuple(self.orders[handle][:3])].append(handle)

    def amend(self, handle, price, lots):
        row = self.orders[handle]
        if price == row[2] and lots <= row[3]:
            row[3:] = lots, min(row[4], lots)
            return
        self.lines[tuple(row[:3])].remove(handle)
        row[2:] = price, lots, lots
        self.pending = handle

    def take(self, handle, lots):
        row = self.orders[handle]
        row[3] -= lots
        row[4] -= min(lots, row[4])
        if row[3] == 0:
            self.drop(handle)

    def cancel(self, handle, lots, code):
        if code == CoreCode.SELF_TRADE_DECREMENT:
            self.take(handle, lots)
            return
        assert lots == self.orders[handle][3]
        self.drop(handle)

    def refill(self, handle, lots):
        if handle == self.pending:
            self.settle()
        row = self.orders[handle]
        row[4] = lots
        line = self.lines[tuple(row[:3])]
        line.remove(handle)
        line.append(handle)

    def drop(self, handle):
        line = self.lines[tuple(self.orders.pop(handle)[:3])]
        if handle in line:
            line.remove(handle)

    def rows(self, instrument):
        """(handle, side, price, remaining, shown) in match order."""
        keys = [key for key, line in self.lines.items() if key[0] == instrument and line]
        keys.sort(key=lambda key: (key[1], key[2] if key[1] else -key[2]))
        return [(handle, key[1], key[2], *self.orders[handle][3:]) for key in keys for handle in self.lines[key]]


@few
@given(seed=seeds)
def test_books_can_be_rebuilt_from_events_alone(seed):
    """Orders, lines, remaining and shown lots follow from the events: icebergs say when and what they refill."""
    stream, book = CommandStream(seed, bank=256), open_book(matching_core.OrderBook)
    rebuilt = BookOfEvents()
    for command in stream.batch(400):
        events = book.submit(command)
        stream.observe(events)
        rebuilt.apply(command, events)
    for instrument in INSTRUMENTS:
        expected = [
            (handle, side, price, remaining, remaining - book.extension(handle)[1])
            for handle, side, price, remaining, *_ in book.orders(instrument)
        ]
        assert rebuilt.rows(instrument) == expected


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
