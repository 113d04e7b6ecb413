# cython: language_level=3
"""The ways a command takes: the short one of its kind first, then the next, at last the one that knows everything.

Each is a function of its own, so that none keeps registers for what another may need.
"""

from libc.stdint cimport uint32_t

from matching_core._at_once cimport take_at_once
from matching_core._codes cimport KIND_AMEND
from matching_core._counters cimport find_cell
from matching_core._many cimport apply_any
from matching_core._order_pool cimport Command, Core, Event, Ladder, apart_t, rare
from matching_core._plain cimport is_plain, level_to_join, plain_amend, plain_cancel, plain_rest, plain_take


cdef inline apart_t apply_generally(
    Core* core, const Command* command, Event* events, uint32_t capacity
) noexcept nogil:
    return apply_any(core, command, events, capacity)


cdef inline apart_t apply_walk(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef uint32_t written = plain_take(core, command, events, capacity)
    return written if written else apply_generally(core, command, events, capacity)


cdef inline apart_t apply_take(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef uint32_t written = take_at_once(core, command, events, capacity)
    return written if written else apply_walk(core, command, events, capacity)


cdef inline apart_t apply_rest(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef Ladder* own = NULL
    cdef uint32_t index = level_to_join(core, command, &own)
    if index == 0:
        return apply_take(core, command, events, capacity)
    return plain_rest(core, command, own, index, 0, events)


cdef inline apart_t apply_rest_of_cell(
    Core* core, const Command* command, Event* events, uint32_t capacity
) noexcept nogil:
    cdef Ladder* own = NULL
    cdef uint32_t cell = find_cell(core, command.cell)
    cdef uint32_t index = level_to_join(core, command, &own) if cell else 0
    if index == 0:
        return apply_take(core, command, events, capacity)
    return plain_rest(core, command, own, index, cell, events)


cdef inline apart_t apply_go(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    if rare(not is_plain(core, command.owner, command.cell)):
        return apply_generally(core, command, events, capacity)
    return plain_cancel(core, command, events)


cdef inline apart_t apply_move(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef uint32_t written = plain_amend(core, command, events) if command.kind == KIND_AMEND else 0
    return written if written else apply_generally(core, command, events, capacity)
