# cython: language_level=3
"""The compiled book for other compiled modules: one command in, its events out, no Python object in between."""

from libc.stdint cimport uint32_t

from matching_core._order_pool cimport Command, Core, Event

# Smallest event buffer core_apply and core_continue make progress with.
cdef enum:
    EVENTS_MIN = 16

# Apply one command and write its events (capacity >= EVENTS_MIN); returns their count. While core.phase is not 0 the
# command is unfinished for want of room: drain, then call core_continue.
cdef uint32_t core_apply(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil
cdef uint32_t core_continue(Core* core, Event* events, uint32_t capacity) noexcept nogil


cdef class OrderBook:
    cdef Core core
    cdef Event* events
    cdef size_t event_capacity
    cdef object __weakref__
    cdef uint32_t require_index(self, instrument) except 0
    cdef int grow_events(self) except -1
    cdef void shrink_events(self) noexcept
    cdef tuple order_row(self, uint32_t slot)
    cdef list side_depth(self, uint32_t ladder, levels)
    cdef int hash_side(self, digest, uint32_t ladder) except -1
