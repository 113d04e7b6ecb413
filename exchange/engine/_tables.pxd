# cython: language_level=3
"""Open addressing from a hash to a row number: eight bytes per place, linear probing, deletion without graves.

A place holds 32 bits of hash and the row; the caller compares the row itself. At most half the places are used, and the
room for one more is made before a command changes anything.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef struct Table:
    uint64_t* places                 # hash << 32 | row; row 0: free
    uint32_t mask
    uint32_t count


cdef enum:
    PLACES_START = 1 << 10


cdef inline bint open_table(Table* table) noexcept nogil:
    table.places = <uint64_t*>calloc(PLACES_START, sizeof(uint64_t))
    table.mask = PLACES_START - 1
    table.count = 0
    return table.places != NULL


cdef inline void close_table(Table* table) noexcept nogil:
    free(table.places)
    table.places = NULL


cdef inline uint32_t fold(uint64_t key_hash) noexcept nogil:
    return <uint32_t>(key_hash >> 32)


cdef inline void put(Table* table, uint32_t key_hash, uint32_t row) noexcept nogil:
    """Add a row that is not there; the caller has reserved the room."""
    cdef uint32_t place = key_hash & table.mask
    while <uint32_t>table.places[place]:
        place = (place + 1) & table.mask
    table.places[place] = <uint64_t>key_hash << 32 | row
    table.count += 1


cdef inline bint reserve(Table* table) noexcept nogil:
    """Room for one more row; False when the machine has no memory."""
    return table.count * 2 <= table.mask or widen(table)


cdef inline bint reserve_more(Table* table, uint32_t count) noexcept nogil:
    """Room for `count` more rows."""
    while (table.count + count) * 2 > table.mask:
        if not widen(table):
            return False
    return True


cdef inline bint widen(Table* table) noexcept nogil:
    """Twice the places."""
    cdef Table grown
    cdef uint32_t place
    grown.mask = table.mask * 2 + 1
    grown.count = 0
    grown.places = <uint64_t*>calloc(<size_t>grown.mask + 1, sizeof(uint64_t))
    if grown.places == NULL:
        return False
    for place in range(table.mask + 1):
        if <uint32_t>table.places[place]:
            put(&grown, <uint32_t>(table.places[place] >> 32), <uint32_t>table.places[place])
    free(table.places)
    table[0] = grown
    return True


cdef inline uint32_t place_of(const Table* table, uint32_t key_hash, uint32_t row) noexcept nogil:
    """Place of a row that is there."""
    cdef uint32_t place = key_hash & table.mask
    while <uint32_t>table.places[place] != row:
        place = (place + 1) & table.mask
    return place


cdef inline void take_out(Table* table, uint32_t key_hash, uint32_t row) noexcept nogil:
    """Remove a row that is there, and move up what probing had pushed behind it."""
    cdef uint32_t hole = place_of(table, key_hash, row)
    cdef uint32_t place = hole
    cdef uint32_t home
    while True:
        place = (place + 1) & table.mask
        if not <uint32_t>table.places[place]:
            break
        home = <uint32_t>(table.places[place] >> 32) & table.mask
        if ((place - home) & table.mask) >= ((place - hole) & table.mask):
            table.places[hole] = table.places[place]
            hole = place
    table.places[hole] = 0
    table.count -= 1
