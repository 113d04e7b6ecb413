# cython: language_level=3
"""Cold records: what few orders have beyond the hot one. Taken with an order's first bit of ORDER_COLD, given back with
its last; the cell then stands in the cold record, and Core.links says which one it is.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from matching_core._order_pool cimport ORDER_COLD, ORDER_HAS_CELL, Cold, Core


cdef inline Cold* cold_of(const Core* core, uint32_t slot) noexcept nogil:
    """An order's cold record; the one of nobody where it has none."""
    return &core.cold[core.links[slot] if core.orders[slot].flags & ORDER_COLD else 0]


cdef inline uint32_t cell_index(const Core* core, uint32_t slot) noexcept nogil:
    """Index of the cell of an order with ORDER_HAS_CELL."""
    return cold_of(core, slot).cell if core.orders[slot].flags & ORDER_COLD else core.links[slot]


cdef inline bint is_one_cell(const Core* core, uint32_t slot, uint32_t other) noexcept nogil:
    """Whether two resting orders count in one cell: a fill of theirs moves nothing, so the cell does not bound it."""
    if not core.orders[slot].flags & core.orders[other].flags & ORDER_HAS_CELL:
        return False
    return cell_index(core, slot) == cell_index(core, other)


cdef inline bint is_takers_cell(const Core* core, uint32_t slot) noexcept nogil:
    """The same of the taker and a resting order."""
    if not core.orders[slot].flags & core.taker.flags & ORDER_HAS_CELL:
        return False
    return cell_index(core, slot) == core.taker.cell


cdef inline Cold* attach_cold(Core* core, uint32_t slot) noexcept nogil:
    """Give an order without one an empty cold record, before its first bit of ORDER_COLD; each slot has one to take."""
    cdef uint32_t index = core.cold_free
    if index:
        core.cold_free = core.cold[index].line_next
    else:
        core.cold_top += 1
        index = core.cold_top
    core.cold_count += 1
    memset(&core.cold[index], 0, sizeof(Cold))
    core.cold[index].cell = core.links[slot]
    core.links[slot] = index
    return &core.cold[index]


cdef inline void detach_cold(Core* core, uint32_t slot) noexcept nogil:
    """Give an order's cold record back; the caller takes the bits of ORDER_COLD or frees the slot."""
    cdef uint32_t index = core.links[slot]
    core.links[slot] = core.cold[index].cell
    core.cold[index].line_next = core.cold_free
    core.cold_free = index
    core.cold_count -= 1
