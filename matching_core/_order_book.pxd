# cython: language_level=3
"""The compiled book for other compiled modules: one command in, its events out, no Python object in between."""

from libc.stdint cimport int64_t, uint32_t

from matching_core._order_pool cimport Command, Core, Event

# Smallest event buffer core_apply and core_continue make progress with.
cdef enum:
    EVENTS_MIN = 16

# Apply one command at a time in ns (0..2**63-1, for guards) and write its events (capacity >= EVENTS_MIN); returns
# their count. The records that belong to the command (records_of) stand behind it and stay readable until it is
# finished. While core.phase is not 0 it is unfinished for want of room: drain, then call core_continue.
cdef uint32_t core_apply(
    Core* core, const Command* command, int64_t now_ns, Event* events, uint32_t capacity
) noexcept nogil
# Apply commands of one time from `at` on, up to the first that is more than a NEW without an extension, a CANCEL or an
# AMEND, that is left unfinished, or that the buffer may have no room for; `at` then points behind the last one applied.
# What stopped it is for core_apply or core_continue.
cdef uint32_t core_apply_many(
    Core* core, const Command** at, const Command* end, int64_t now_ns, Event* events, uint32_t capacity
) noexcept nogil
cdef uint32_t core_continue(Core* core, Event* events, uint32_t capacity) noexcept nogil


cdef class OrderBook:
    cdef Core core
    cdef Event* events
    cdef size_t event_capacity
    cdef object __weakref__
    cdef uint32_t require_index(self, instrument) except 0
    cdef int finish(self, size_t* used) except -1
    cdef int grow_events(self) except -1
    cdef void shrink_events(self) noexcept
    cdef tuple order_row(self, uint32_t slot)
    cdef list side_depth(self, uint32_t ladder, levels)
    cdef uint32_t require_guard_index(self, guard) except 0
