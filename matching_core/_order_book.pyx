# cython: language_level=3, embedsignature=False, binding=True
"""The compiled order book: the matching loop in C, and the Python class around it.

A command runs in three steps: check everything, change the book while writing events, close with the touched levels.
Only the first may refuse. The loop owns no Python object and raises nothing; whatever needs memory (a longer event
buffer) happens between two calls of it. Every rule here has its plain form in `order_book`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

from matching_core._codes cimport KIND_AMEND, KIND_CANCEL, KIND_NEW, UNKNOWN_KIND
from matching_core._commands cimport apply_amend, apply_cancel, apply_new, proceed, refuse, start
from matching_core._core_memory cimport allocate, deallocate, map_instruments, open_ladder, take_instrument
from matching_core._entry_checks cimport dry_fill
from matching_core._inspection cimport HashCell, HashInstrument, find_defect, hash_instrument, pack_level, packed_size
from matching_core._order_pool cimport (
    PHASE_IDLE, Command, Core, Event, Level, Order, Taker, find_cell, find_instrument, find_slot, handle_of,
    release_node, reserve_cell, reserve_nodes, take_cell,
)
from matching_core._price_level cimport next_level

from hashlib import sha256

from matching_core.invariants import InvariantViolated
from matching_core.limits import (
    DEFAULT_ORDER_CAPACITY, require_capacity, require_cell, require_instrument, require_price_range,
)

__all__ = ["OrderBook"]

cdef enum:
    EVENTS_START = 4096
    EVENTS_KEPT = 1 << 18


cdef uint32_t core_apply(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef uint16_t code = UNKNOWN_KIND
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    if command.kind == KIND_NEW:
        code = apply_new(core, command)
    elif command.kind == KIND_CANCEL:
        code = apply_cancel(core, command)
    elif command.kind == KIND_AMEND:
        code = apply_amend(core, command)
    if code:
        refuse(core, command, code)
    else:
        proceed(core)
    return core.out_count


cdef uint32_t core_continue(Core* core, Event* events, uint32_t capacity) noexcept nogil:
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    proceed(core)
    return core.out_count


cdef class OrderBook:
    """All books of one core: commands in, events out (layouts in `fills`), no clock and no randomness."""

    def __cinit__(self, *, order_capacity=DEFAULT_ORDER_CAPACITY):
        require_capacity(order_capacity)
        self.event_capacity = EVENTS_START
        self.events = <Event*>malloc(EVENTS_START * sizeof(Event))
        if not allocate(&self.core, order_capacity) or self.events == NULL:
            raise MemoryError(f"no memory for {order_capacity} orders")

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
        index = take_instrument(core) if reserve_nodes(core) else 0
        if index == 0:
            raise MemoryError("no memory for one more instrument")
        core.instruments[index].id = instrument
        core.instruments[index].price_min = price_min_ticks
        core.instruments[index].price_max = price_max_ticks
        core.instruments[index].is_listed = True
        open_ladder(core, index, 0)
        open_ladder(core, index, 1)
        map_instruments(core)

    def delist_instrument(self, instrument):
        """Close an empty book; KeyError when unknown, ValueError while orders rest in it."""
        cdef Core* core = &self.core
        cdef uint32_t index = self.require_index(instrument)
        if core.ladders[2 * index].best or core.ladders[2 * index + 1].best:
            raise ValueError(f"instrument {instrument} still has resting orders")
        core.instruments[index].is_listed = False
        release_node(core, core.ladders[2 * index].root)
        release_node(core, core.ladders[2 * index + 1].root)
        map_instruments(core)

    def set_cell(self, cell, position_lots):
        """Set the signed position reduce-only orders of this cell are measured against (+-2**61 lots)."""
        require_cell(cell, position_lots)
        if not reserve_cell(&self.core):
            raise MemoryError("no memory for one more cell")
        self.core.cells[take_cell(&self.core, cell)].position = position_lots

    def cell(self, cell):
        """Signed position of a cell in lots; 0 for a cell never set or moved."""
        cdef uint32_t index = find_cell(&self.core, cell) if 0 < cell < 1 << 32 else 0
        return self.core.cells[index].position

    def submit(self, bytes commands not None):
        """Apply packed commands in order and return all their events; ValueError unless whole commands are given."""
        cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(commands)
        cdef size_t used = 0
        if left % <Py_ssize_t>sizeof(Command):
            raise ValueError(f"{left} bytes are not whole commands of {sizeof(Command)} bytes")
        if self.core.phase != PHASE_IDLE:
            raise RuntimeError("the book ran out of memory in the middle of a command")
        while left > 0:
            if self.event_capacity - used < EVENTS_MIN:
                self.grow_events()
            used += core_apply(&self.core, command, self.events + used, room_for(self.event_capacity - used))
            while self.core.phase != PHASE_IDLE:
                self.grow_events()
                used += core_continue(&self.core, self.events + used, room_for(self.event_capacity - used))
            command += 1
            left -= sizeof(Command)
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
        """Lots an ownerless order would trade at `price_ticks` or better, at most `quantity_lots`; changes nothing."""
        cdef uint32_t index = self.require_index(instrument)
        cdef Taker* taker = &self.core.taker
        start(&self.core, index, 1 if side else 0)
        taker.price = price_ticks
        taker.remaining = quantity_lots
        taker.owner = taker.cell = taker.flags = 0
        return dry_fill(&self.core)

    def state_hash(self):
        """SHA-256 over everything that decides future events except slots: bands, levels, orders in line, cells."""
        cdef Core* core = &self.core
        cdef HashInstrument record
        cdef HashCell entry
        cdef uint32_t index
        digest = sha256()
        listed = {core.instruments[index].id: index for index in range(1, core.instrument_top + 1)
                  if core.instruments[index].is_listed}
        for _, listing in sorted(listed.items()):
            index = listing
            record = hash_instrument(core, index)
            digest.update((<const char*>&record)[:sizeof(HashInstrument)])
            self.hash_side(digest, 2 * index)
            self.hash_side(digest, 2 * index + 1)
        positions = {core.cells[index].id: core.cells[index].position for index in range(1, core.cell_top + 1)}
        for cell, position in sorted(positions.items()):
            if position:
                entry.id = cell
                entry.position = position
                digest.update((<const char*>&entry)[:sizeof(HashCell)])
        return digest.digest()

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
        cell = self.core.cells[self.core.order_cell[slot]].id
        handle = handle_of(&self.core, slot)
        return handle, level.ladder & 1, level.price, order.quantity, order.owner, cell, order.flags

    cdef list side_depth(self, uint32_t ladder, levels):
        cdef uint32_t index = self.core.ladders[ladder].best
        rows = []
        while index and len(rows) < levels:
            rows.append((self.core.levels[index].price, self.core.levels[index].total, self.core.levels[index].count))
            index = next_level(&self.core, index)
        return rows

    cdef int hash_side(self, digest, uint32_t ladder) except -1:
        cdef uint32_t index = self.core.ladders[ladder].best
        while index:
            packed = PyBytes_FromStringAndSize(NULL, packed_size(&self.core, index))
            pack_level(&self.core, index, PyBytes_AS_STRING(packed))
            digest.update(packed)
            index = next_level(&self.core, index)
        return 0


cdef inline uint32_t room_for(size_t events) noexcept:
    return <uint32_t>min(events, <size_t>1 << 30)
