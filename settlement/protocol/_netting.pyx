# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Compiled netting of fills: one open-addressed table of cells and one of accounts, summed in checked int64.

A value or a sum that does not fit int64 raises OverflowError; the caller then takes the reference, which has no
limit. Cells keep the order in which they were first seen, like the maps of the reference.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef extern from *:
    bint add_overflows "__builtin_add_overflow"(int64_t left, int64_t right, int64_t* total) noexcept nogil

cdef enum:
    FIRST_SLOTS = 256


cdef struct Cell:
    uint64_t key
    int64_t total


cdef class Sums:
    """Map of unsigned 64-bit keys to int64 sums that remembers the order of first use."""

    cdef Cell* cells
    cdef Py_ssize_t* slots
    cdef Py_ssize_t used
    cdef Py_ssize_t slot_count

    def __cinit__(self):
        self.used = 0
        self.slot_count = 0
        self.grow(FIRST_SLOTS)

    def __dealloc__(self):
        free(self.cells)
        free(self.slots)

    cdef int grow(self, Py_ssize_t slot_count) except -1:
        """Move to `slot_count` slots (a power of two); half of them may hold a cell."""
        cdef Cell* cells = <Cell*> calloc(slot_count // 2, sizeof(Cell))
        cdef Py_ssize_t* slots = <Py_ssize_t*> calloc(slot_count, sizeof(Py_ssize_t))
        cdef Py_ssize_t place
        if cells == NULL or slots == NULL:
            free(cells)
            free(slots)
            raise MemoryError
        if self.used:
            memcpy(cells, self.cells, self.used * sizeof(Cell))
        free(self.cells)
        free(self.slots)
        self.cells = cells
        self.slots = slots
        self.slot_count = slot_count
        for place in range(self.used):
            slots[self.slot_of(cells[place].key)] = place + 1
        return 0

    cdef inline Py_ssize_t slot_of(self, uint64_t key) noexcept nogil:
        """Return the slot that holds `key`, or the free one where it belongs; a slot holds cell number + 1."""
        cdef Py_ssize_t mask = self.slot_count - 1
        cdef Py_ssize_t slot = <Py_ssize_t> ((key * <uint64_t> 0x9E3779B97F4A7C15) >> 32) & mask
        while self.slots[slot] != 0 and self.cells[self.slots[slot] - 1].key != key:
            slot = (slot + 1) & mask
        return slot

    cdef inline int add(self, uint64_t key, int64_t amount) except -1:
        cdef Py_ssize_t slot = self.slot_of(key)
        cdef Cell* cell
        if self.slots[slot] == 0:
            if 2 * (self.used + 1) > self.slot_count:
                self.grow(2 * self.slot_count)
                slot = self.slot_of(key)
            self.cells[self.used].key = key
            self.used += 1
            self.slots[slot] = self.used
        cell = &self.cells[self.slots[slot] - 1]
        if add_overflows(cell.total, amount, &cell.total):
            raise OverflowError("a sum does not fit int64")
        return 0


cdef inline uint64_t as_u32(object value) except? 0xFFFFFFFFFFFFFFFF:
    cdef int64_t number = value
    if number < 0 or number > 0xFFFFFFFF:
        raise OverflowError("an id does not fit u32")
    return <uint64_t> number


cdef inline int64_t plus(int64_t left, int64_t right) except? -1:
    cdef int64_t total = 0
    if add_overflows(left, right, &total):
        raise OverflowError("a sum does not fit int64")
    return total


cdef int64_t negated(int64_t value) except? -1:
    if value == -0x7FFFFFFFFFFFFFFF - 1:
        raise OverflowError("a value does not fit int64")
    return -value


def sum_fills(fills):
    """Return (account -> cash, (account, instrument) -> lots) over `fills`, zero sums included."""
    cdef Sums cash = Sums()
    cdef Sums positions = Sums()
    cdef uint64_t buyer, seller, instrument
    cdef int64_t lots, notional
    cdef Py_ssize_t place
    for fill in fills:
        buyer = as_u32(fill.buyer)
        seller = as_u32(fill.seller)
        instrument = as_u32(fill.instrument)
        lots = fill.quantity_lots
        notional = fill.notional_e6
        cash.add(buyer, negated(plus(notional, fill.buyer_fee_e6)))
        cash.add(seller, plus(notional, negated(fill.seller_fee_e6)))
        positions.add(buyer << 32 | instrument, lots)
        positions.add(seller << 32 | instrument, negated(lots))
    cash_e6 = {cash.cells[place].key: cash.cells[place].total for place in range(cash.used)}
    cells = {
        (positions.cells[place].key >> 32, positions.cells[place].key & 0xFFFFFFFF): positions.cells[place].total
        for place in range(positions.used)
    }
    return cash_e6, cells
