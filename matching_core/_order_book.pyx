# cython: language_level=3, embedsignature=False, binding=True
"""The compiled order book: the matching loop in C, and the Python class around it.

A command runs in three steps: check everything, change the book while writing events, close with the touched levels.
Only the first may refuse. The loop owns no Python object and raises nothing; whatever needs memory (a longer event
buffer) happens between two calls of it. Every rule here has its plain form in `order_book`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

from matching_core._auction cimport Indication, indicate, is_crossed
from matching_core._cold_records cimport cold_of
from matching_core._commands cimport start
from matching_core._core_memory cimport allocate, close_listing, deallocate, open_listing, take_guard, take_instrument
from matching_core._counters cimport find_cell, find_guard, reserve_cell, restart_window, take_cell
from matching_core._dry_walk cimport dry_fill
from matching_core._inspection cimport find_defect
from matching_core._many cimport records_of, refuse_missing
from matching_core._order_pool cimport (
    FLAGS_SHOWN, PHASE_IDLE, Command, Core, Event, Level, Order, Taker, Window, find_instrument, find_slot, handle_of,
    rare,
)
from matching_core._price_level cimport next_level
from matching_core._resting cimport remaining_of
from matching_core._restore cimport Reader, read, read_body
from matching_core._runs cimport apply_one, apply_run, go_on, room_for
from matching_core._snapshot cimport SavedCounts, snapshot_body
from matching_core._state_hash cimport HashExtension, cell_of, extension_of, hash_core
from matching_core._trie_nodes cimport reserve_nodes

from hashlib import sha256

from matching_core.errors import CapacityExhausted, SnapshotDamaged
from matching_core.invariants import InvariantViolated
from matching_core.limits import (
    DEFAULT_CELL_CAPACITY, DEFAULT_GUARD_CAPACITY, DEFAULT_INSTRUMENT_CAPACITY, DEFAULT_ORDER_CAPACITY,
    require_capacities, require_cell, require_guard, require_instrument, require_now, require_price_range,
    require_weights, require_window,
)
from matching_core.snapshots import seal, unseal

__all__ = ["OrderBook"]

cdef enum:
    EVENTS_START = 4096
    EVENTS_KEPT = 1 << 18


cdef uint32_t core_apply(
    Core* core, const Command* command, int64_t now_ns, Event* events, uint32_t capacity
) noexcept nogil:
    core.now = now_ns
    return apply_one(core, command, events, capacity)


cdef uint32_t core_apply_many(
    Core* core, const Command** at, const Command* end, int64_t now_ns, Event* events, uint32_t capacity
) noexcept nogil:
    core.now = now_ns
    return apply_run(core, at, end, events, events + capacity - EVENTS_MIN, EVENTS_MIN)


cdef uint32_t core_continue(Core* core, Event* events, uint32_t capacity) noexcept nogil:
    return go_on(core, events, capacity)


cdef class OrderBook:
    """All books of one core: commands in, events out (layouts in `fills`), no clock and no randomness."""

    def __cinit__(
        self, *, order_capacity=DEFAULT_ORDER_CAPACITY, instrument_capacity=DEFAULT_INSTRUMENT_CAPACITY,
        cell_capacity=DEFAULT_CELL_CAPACITY, guard_capacity=DEFAULT_GUARD_CAPACITY,
    ):
        require_capacities(
            order=order_capacity, instrument=instrument_capacity, cell=cell_capacity, guard=guard_capacity
        )
        self.event_capacity = EVENTS_START
        self.events = <Event*>malloc(EVENTS_START * sizeof(Event))
        if not allocate(&self.core, order_capacity) or self.events == NULL:
            raise MemoryError(f"no memory for {order_capacity} orders")
        self.core.instrument_limit, self.core.cell_limit = instrument_capacity, cell_capacity
        self.core.guard_limit = guard_capacity

    def __dealloc__(self):
        deallocate(&self.core)
        free(self.events)

    def list_instrument(self, instrument, *, price_min_ticks, price_max_ticks):
        """Open an empty book for an id (u32) and its inclusive price band; ValueError when listed or out of range."""
        cdef Core* core = &self.core
        cdef uint32_t index
        require_instrument(instrument)
        require_price_range(price_min_ticks, price_max_ticks)
        if find_instrument(core, instrument):
            raise ValueError(f"instrument {instrument} is listed already")
        if core.instrument_count == core.instrument_limit:
            raise CapacityExhausted(f"{core.instrument_limit} instruments are listed already")
        index = take_instrument(core) if reserve_nodes(core) else 0
        if index == 0:
            raise MemoryError("no memory for one more instrument")
        open_listing(core, index, instrument, price_min_ticks, price_max_ticks)

    def delist_instrument(self, instrument):
        """Close an empty book; KeyError when unknown, ValueError while orders rest in it."""
        cdef uint32_t index = self.require_index(instrument)
        if self.core.ladders[2 * index].best or self.core.ladders[2 * index + 1].best:
            raise ValueError(f"instrument {instrument} still has resting orders")
        close_listing(&self.core, index)

    def set_weights(self, instrument, *, delta_e9, vega_e9):
        """Set what one lot bought adds to a guard's delta and vega (1e-9, +-2**62); KeyError if unknown."""
        require_weights(delta_e9, vega_e9)
        cdef uint32_t index = self.require_index(instrument)
        self.core.instruments[index].delta, self.core.instruments[index].vega = delta_e9, vega_e9

    def weights(self, instrument):
        """Return (delta_e9, vega_e9) of one lot; KeyError if unknown."""
        cdef uint32_t index = self.require_index(instrument)
        return self.core.instruments[index].delta, self.core.instruments[index].vega

    def phase(self, instrument):
        """Return the CorePhase of an instrument; KeyError if unknown."""
        return int(self.core.instruments[self.require_index(instrument)].is_auction)

    def set_cell(self, cell, position_lots):
        """Set the signed position reduce-only orders of this cell are measured against (+-2**61 lots)."""
        require_cell(cell, position_lots)
        if find_cell(&self.core, cell) == 0 and self.core.cell_top == self.core.cell_limit:
            raise CapacityExhausted(f"{self.core.cell_limit} cells are in use already")
        if not reserve_cell(&self.core):
            raise MemoryError("no memory for one more cell")
        self.core.cells[take_cell(&self.core, cell)].position = position_lots

    def cell(self, cell):
        """Signed position of a cell in lots; 0 for a cell never set or moved."""
        cdef uint32_t index = find_cell(&self.core, cell) if 0 < cell < 1 << 32 else 0
        return self.core.cells[index].position

    def set_guard(self, guard, *, interval_ns, quantity_lots=0, delta_e9=0, vega_e9=0, count=0):
        """Set the limits (0: none, at most 2**62) of a guard and start its window anew; a frozen one stays frozen."""
        cdef Core* core = &self.core
        cdef uint32_t index
        require_guard(guard, interval=interval_ns, quantity=quantity_lots, delta=delta_e9, vega=vega_e9, count=count)
        index = find_guard(core, guard)
        if index == 0 and core.guard_top == core.guard_limit:
            raise CapacityExhausted(f"{core.guard_limit} guards are in use already")
        if index == 0:
            index = take_guard(core, guard)
        if index == 0:
            raise MemoryError("no memory for one more guard")
        core.guards[index].interval = interval_ns
        core.guards[index].quantity_limit = quantity_lots
        core.guards[index].delta_limit = delta_e9
        core.guards[index].vega_limit = vega_e9
        core.guards[index].count_limit = count
        restart_window(&core.guards[index].now, 0)

    def reset_guard(self, guard):
        """Thaw a guard and forget its window; KeyError when it was never set."""
        cdef uint32_t index = self.require_guard_index(guard)
        self.core.guards[index].now.is_frozen = False
        restart_window(&self.core.guards[index].now, 0)

    def guard(self, guard):
        """Return (is_frozen, window start ns, quantity_lots, delta_e9, vega_e9, fills) of a guard; KeyError unset."""
        cdef const Window* now = &self.core.guards[self.require_guard_index(guard)].now
        return bool(now.is_frozen), now.start, now.quantity, now.delta, now.vega, now.count

    def set_window(self, guard, *, is_frozen, start_ns, quantity_lots, delta_e9, vega_e9, fills):
        """Set what `guard` returns, as restoring order by order needs; KeyError when it was never set."""
        cdef Window* now = &self.core.guards[self.require_guard_index(guard)].now
        require_window(start_ns, quantity_lots, delta_e9, vega_e9, fills)
        now.is_frozen, now.start, now.quantity = bool(is_frozen), start_ns, quantity_lots
        now.delta, now.vega, now.count = delta_e9, vega_e9, fills

    def guard_orders(self, guard):
        """List the handles of a guard's resting orders, the one that came to rest first in front; KeyError unset."""
        cdef uint32_t slot = self.core.guards[self.require_guard_index(guard)].head
        handles = []
        while slot:
            handles.append(handle_of(&self.core, slot))
            slot = cold_of(&self.core, slot).line_next
        return handles

    def submit(self, bytes commands not None, now_ns=0):
        """Apply packed commands in order at one time and return all their events.

        ValueError unless whole records are given and the time is 0..2**63-1. A command whose further records are not
        all there is refused with MISSING_RECORDS, and nothing behind it is read.
        """
        cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
        cdef const Command* first
        cdef Py_ssize_t records, left = PyBytes_GET_SIZE(commands) // <Py_ssize_t>sizeof(Command)
        cdef size_t used = 0
        cdef int64_t now = 0
        if left * <Py_ssize_t>sizeof(Command) != PyBytes_GET_SIZE(commands):
            raise ValueError(f"{len(commands)} bytes are not whole commands of {sizeof(Command)} bytes")
        if now_ns:
            require_now(now_ns)
            now = now_ns
        if self.core.phase != PHASE_IDLE:
            raise RuntimeError("the book ran out of memory in the middle of a command")
        self.core.now = now
        while left > 0:
            first = command
            if self.event_capacity - used < EVENTS_MIN:
                self.grow_events()
            used += core_apply_many(
                &self.core, &command, command + left, now, self.events + used, room_for(self.event_capacity - used)
            )
            left -= command - first
            if command != first:
                self.finish(&used)
                continue
            records = records_of(command, left)
            if rare(records > left):
                used += refuse_missing(&self.core, command, self.events + used)
                break
            used += core_apply(&self.core, command, now, self.events + used, room_for(self.event_capacity - used))
            self.finish(&used)
            command += records
            left -= records
        answer = PyBytes_FromStringAndSize(<const char*>self.events, used * sizeof(Event))
        if self.event_capacity > EVENTS_KEPT:
            self.shrink_events()
        return answer

    @property
    def resting_count(self):
        """Orders resting in all books."""
        return self.core.order_count

    def depth(self, instrument, levels):
        """Return up to `levels` (price_ticks, quantity_lots, order_count) per side, best first; KeyError if unknown."""
        cdef uint32_t index = self.require_index(instrument)
        return self.side_depth(2 * index, levels), self.side_depth(2 * index + 1, levels)

    def best(self, instrument):
        """Return (bid price or None, its quantity, ask price or None, its quantity); KeyError if unknown."""
        cdef uint32_t index = self.require_index(instrument)
        cdef uint32_t bid = self.core.ladders[2 * index].best
        cdef uint32_t ask = self.core.ladders[2 * index + 1].best
        cdef const Level* levels = self.core.levels
        return (
            levels[bid].price if bid else None, levels[bid].total if bid else 0,
            levels[ask].price if ask else None, levels[ask].total if ask else 0,
        )

    def order(self, handle):
        """Return (instrument, side, price_ticks, remaining_lots, owner, cell, flags) of a resting order, else None."""
        cdef uint32_t slot = find_slot(&self.core, handle) if 0 <= handle < 1 << 64 else 0
        if slot == 0:
            return None
        cdef const Level* level = &self.core.levels[self.core.orders[slot].level]
        return (self.core.instruments[level.ladder >> 1].id, *self.order_row(slot)[1:])

    def extension(self, handle):
        """Return (display_lots, hidden_lots, guard, arrival) of a resting order, else None; zeros if it is plain."""
        cdef uint32_t slot = find_slot(&self.core, handle) if 0 <= handle < 1 << 64 else 0
        if slot == 0:
            return None
        cdef HashExtension cold = extension_of(&self.core, slot)
        return cold.display, cold.hidden, cold.guard, cold.arrival

    def orders(self, instrument):
        """List (handle, side, price_ticks, remaining_lots, owner, cell, flags): bids, then asks, in match order."""
        cdef uint32_t index = self.require_index(instrument)
        cdef uint32_t level, slot
        rows = []
        for ladder in (2 * index, 2 * index + 1):
            level = self.core.ladders[<uint32_t>ladder].best
            while level:
                slot = self.core.levels[level].head
                while slot:
                    rows.append(self.order_row(slot))
                    slot = self.core.orders[slot].next
                level = next_level(&self.core, level)
        return rows

    def fillable(self, instrument, side, price_ticks, quantity_lots):
        """Lots an ownerless order would trade at `price_ticks` or better, at most `quantity_lots`; changes nothing.

        Guards stand where the last `submit` left them and count by its time; in an auction nothing would trade.
        """
        cdef uint32_t index = self.require_index(instrument)
        cdef Taker* taker = &self.core.taker
        start(&self.core, index, 1 if side else 0)
        taker.price = price_ticks
        taker.remaining = quantity_lots
        taker.owner = taker.cell = taker.flags = 0
        return dry_fill(&self.core)

    def indicative(self, instrument, reference_ticks):
        """Return (price or None, volume, demand - supply) of an uncross now; None unless bids reach asks; or KeyError.

        Each side is counted as if the other were endless: hidden lots included, clipped by its own cells and guards.
        """
        cdef uint32_t index = self.require_index(instrument)
        cdef Indication found
        if not is_crossed(&self.core, index):
            return None, 0, 0
        found = indicate(&self.core, index, reference_ticks)
        return found.price, found.volume, found.surplus

    def state_hash(self):
        """SHA-256 over everything that decides future events except slots and capacities.

        Bands, levels, orders in line, cells that are not zero; then, each only where there is any, phases and weights,
        guards with their lines, and the count of auction entries. A book of plain orders hashes none of the latter.
        """
        digest = sha256()
        hash_core(&self.core, digest)
        return digest.digest()

    def snapshot(self):
        """Everything this book is, handles and the order of free slots included; equal books give equal bytes."""
        return seal(snapshot_body(&self.core))

    @classmethod
    def restore(cls, bytes snapshot not None):
        """Return the book a snapshot was taken of; SnapshotRefused when the bytes are not one this core wrote."""
        cdef Reader reader
        cdef SavedCounts counts
        cdef OrderBook book
        cdef const char* defect
        body = unseal(snapshot)
        reader.at = PyBytes_AS_STRING(body)
        reader.left = PyBytes_GET_SIZE(body)
        if not read(&reader, &counts, sizeof(SavedCounts)):
            raise SnapshotDamaged("the snapshot contradicts itself: it has no counts")
        try:
            book = cls(
                order_capacity=counts.order_capacity, instrument_capacity=counts.instrument_limit,
                cell_capacity=counts.cell_limit, guard_capacity=counts.guard_limit,
            )
        except ValueError as refusal:
            raise SnapshotDamaged(f"the snapshot contradicts itself: {refusal}") from refusal
        defect = read_body(&book.core, &reader, &counts)
        if defect == NULL:
            defect = find_defect(&book.core)
        if defect != NULL:
            raise SnapshotDamaged(f"the snapshot contradicts itself: {(<bytes>defect).decode()}")
        return book

    def check_invariants(self):
        """Raise InvariantViolated where levels, orders, trie or slots contradict each other."""
        cdef const char* defect = find_defect(&self.core)
        if defect != NULL:
            raise InvariantViolated((<bytes>defect).decode())

    cdef uint32_t require_index(self, instrument) except 0:
        cdef uint32_t index = find_instrument(&self.core, instrument) if 0 <= instrument < 1 << 32 else 0
        if index == 0:
            raise KeyError(instrument)
        return index

    cdef uint32_t require_guard_index(self, guard) except 0:
        cdef uint32_t index = find_guard(&self.core, guard) if 0 < guard < 1 << 32 else 0
        if index == 0:
            raise KeyError(guard)
        return index

    cdef int finish(self, size_t* used) except -1:
        """Bring a command that ran out of room to its end."""
        while self.core.phase != PHASE_IDLE:
            self.grow_events()
            used[0] += core_continue(&self.core, self.events + used[0], room_for(self.event_capacity - used[0]))
        return 0

    cdef int grow_events(self) except -1:
        """Twice the room for events; what is written stays."""
        cdef Event* grown = <Event*>realloc(self.events, self.event_capacity * 2 * sizeof(Event))
        if grown == NULL:
            raise MemoryError("no memory for the events of this batch")
        self.events = grown
        self.event_capacity *= 2
        return 0

    cdef void shrink_events(self) noexcept:
        """Give back the memory of one huge answer."""
        cdef Event* small = <Event*>realloc(self.events, EVENTS_START * sizeof(Event))
        if small != NULL:
            self.events = small
            self.event_capacity = EVENTS_START

    cdef tuple order_row(self, uint32_t slot):
        cdef const Order* order = &self.core.orders[slot]
        cdef const Level* level = &self.core.levels[order.level]
        row = (remaining_of(&self.core, slot), order.owner, cell_of(&self.core, slot), order.flags & FLAGS_SHOWN)
        return handle_of(&self.core, slot), level.ladder & 1, level.price, *row

    cdef list side_depth(self, uint32_t ladder, levels):
        cdef uint32_t index = self.core.ladders[ladder].best
        rows = []
        while index and len(rows) < levels:
            rows.append((self.core.levels[index].price, self.core.levels[index].total, self.core.levels[index].count))
            index = next_level(&self.core, index)
        return rows
