# cython: language_level=3
"""Cells (positions of reduce-only orders) and guards (market-maker protection), each once for real and once as scratch.

A guard's sums stay within +-2**62, which is at least any limit, so the product of a quantity (2**47) and a weight
(2**62) is added in 128 bits and cut back.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport realloc

from matching_core._codes cimport GUARD_COUNT, GUARD_DELTA, GUARD_QUANTITY, GUARD_VEGA, OK, QUANTITY_MAX
from matching_core._cold_records cimport cold_of
from matching_core._order_pool cimport Cell, Cold, Core, Guard, Instrument, Window


cdef extern from *:
    """
    static inline int64_t offbook_add_product(int64_t sum, int64_t quantity, int64_t weight) {
        const __int128 bound = (__int128)1 << 62;
        __int128 total = (__int128)sum + (__int128)quantity * weight;
        return (int64_t)(total > bound ? bound : total < -bound ? -bound : total);
    }
    #define offbook_reaches(sum, limit) ((limit) != 0 && ((sum) >= (limit) || -(sum) >= (limit)))
    """
    int64_t add_product "offbook_add_product" (int64_t sum, int64_t quantity, int64_t weight) noexcept nogil
    bint reaches "offbook_reaches" (int64_t sum, int64_t limit) noexcept nogil


cdef inline uint32_t find_cell(const Core* core, uint32_t cell) noexcept nogil:
    """Index of a cell, 0 when it was never set or moved."""
    cdef uint32_t mask = (<uint32_t>1 << (32 - core.cell_shift)) - 1
    cdef uint32_t place = (cell * <uint32_t>2654435769) >> core.cell_shift
    while core.cell_map[place]:
        if core.cells[core.cell_map[place]].id == cell:
            return core.cell_map[place]
        place = (place + 1) & mask
    return 0


cdef inline void map_cell(Core* core, uint32_t index) noexcept nogil:
    cdef uint32_t mask = (<uint32_t>1 << (32 - core.cell_shift)) - 1
    cdef uint32_t place = (core.cells[index].id * <uint32_t>2654435769) >> core.cell_shift
    while core.cell_map[place]:
        place = (place + 1) & mask
    core.cell_map[place] = index


cdef inline uint32_t take_cell(Core* core, uint32_t cell) noexcept nogil:
    """Index of a cell, made when new; reserve_cell has made sure of the room."""
    cdef uint32_t index = find_cell(core, cell)
    if index:
        return index
    core.cell_top += 1
    index = core.cell_top
    core.cells[index].id = cell
    core.cells[index].position = 0
    core.cells[index].walk = 0
    map_cell(core, index)
    return index


cdef inline bint reserve_cell(Core* core) noexcept nogil:
    """Make sure one more cell fits at half load; False when the machine has no memory."""
    cdef uint32_t capacity, index
    cdef Cell* cells
    cdef uint32_t* places
    if core.cell_top + 1 < core.cell_capacity:
        return True
    capacity = core.cell_capacity * 2
    cells = <Cell*>realloc(core.cells, <size_t>capacity * sizeof(Cell))
    if cells == NULL:
        return False
    core.cells = cells
    places = <uint32_t*>realloc(core.cell_map, <size_t>capacity * 2 * sizeof(uint32_t))
    if places == NULL:
        return False
    core.cell_map = places
    core.cell_capacity = capacity
    core.cell_shift -= 1
    for index in range(capacity * 2):
        places[index] = 0
    for index in range(1, core.cell_top + 1):
        map_cell(core, index)
    return True


cdef inline int64_t room_of(int64_t position, uint8_t side) noexcept nogil:
    """Lots an order of `side` may trade before the position would cross zero."""
    if side == 0:
        position = -position
    return position if position > 0 else 0


cdef inline int64_t cell_room(const Core* core, uint32_t cell, uint8_t side) noexcept nogil:
    return room_of(core.cells[cell].position, side)


cdef inline void move_cell(Core* core, uint32_t cell, uint8_t side, int64_t quantity) noexcept nogil:
    if cell:
        core.cells[cell].position += -quantity if side else quantity


cdef inline int64_t* scratch_cell(Core* core, uint32_t cell) noexcept nogil:
    """Position inside the current dry walk, copied from the real one on first use."""
    cdef Cell* entry = &core.cells[cell]
    if entry.walk != core.walk:
        entry.walk = core.walk
        entry.scratch = entry.position
    return &entry.scratch


cdef inline void move_scratch(Core* core, uint32_t cell, uint8_t side, int64_t quantity) noexcept nogil:
    if cell:
        scratch_cell(core, cell)[0] += -quantity if side else quantity


cdef inline uint32_t find_guard(const Core* core, uint32_t guard) noexcept nogil:
    """Index of a guard, 0 when it was never set."""
    cdef uint32_t mask = (<uint32_t>1 << (32 - core.guard_shift)) - 1
    cdef uint32_t place = (guard * <uint32_t>2654435769) >> core.guard_shift
    while core.guard_map[place]:
        if core.guards[core.guard_map[place]].id == guard:
            return core.guard_map[place]
        place = (place + 1) & mask
    return 0


cdef inline bint is_window_over(const Core* core, const Guard* guard, const Window* window) noexcept nogil:
    return window.count == 0 or (guard.interval > 0 and core.now - window.start >= guard.interval)


cdef inline int64_t window_room(const Core* core, const Guard* guard, const Window* window) noexcept nogil:
    """Lots that may trade before the quantity limit; 0 while frozen."""
    if window.is_frozen:
        return 0
    if guard.quantity_limit == 0:
        return QUANTITY_MAX
    return guard.quantity_limit - (0 if is_window_over(core, guard, window) else window.quantity)


cdef inline uint8_t reached_limit(const Guard* guard, const Window* window) noexcept nogil:
    """Code of the first limit that the window has reached, else OK."""
    if reaches(window.quantity, guard.quantity_limit):
        return GUARD_QUANTITY
    if reaches(window.delta, guard.delta_limit):
        return GUARD_DELTA
    if reaches(window.vega, guard.vega_limit):
        return GUARD_VEGA
    return GUARD_COUNT if reaches(window.count, guard.count_limit) else OK


cdef inline void restart_window(Window* window, int64_t now) noexcept nogil:
    window.start = now
    window.quantity = window.delta = window.vega = window.count = 0


cdef inline uint8_t count_fill(
    const Core* core, const Guard* guard, Window* window, const Instrument* listing, uint8_t side, int64_t quantity
) noexcept nogil:
    """Count one fill of an order of `side`; freezes and returns the code of the first limit reached, else OK."""
    cdef int64_t signed_lots = -quantity if side else quantity
    cdef uint8_t code
    if is_window_over(core, guard, window):
        restart_window(window, core.now)
    window.quantity = add_product(window.quantity, quantity, 1)
    window.delta = add_product(window.delta, signed_lots, listing.delta)
    window.vega = add_product(window.vega, signed_lots, listing.vega)
    window.count += 1
    code = reached_limit(guard, window)
    window.is_frozen = code != OK
    return code


cdef inline Window* scratch_window(Core* core, uint32_t index) noexcept nogil:
    """Window inside the current dry walk, copied from the real one on first use."""
    cdef Guard* guard = &core.guards[index]
    if guard.walk != core.walk:
        guard.walk = core.walk
        guard.scratch = guard.now
    return &guard.scratch


cdef inline void join_line(Core* core, uint32_t slot, uint32_t index) noexcept nogil:
    """Put an order at the end of its guard's line."""
    cdef Guard* guard = &core.guards[index]
    cdef Cold* cold = cold_of(core, slot)
    cold.guard = index
    cold.line_next = 0
    cold.line_prev = guard.tail
    if guard.tail:
        cold_of(core, guard.tail).line_next = slot
    else:
        guard.head = slot
    guard.tail = slot
    guard.count += 1


cdef inline void leave_line(Core* core, uint32_t slot) noexcept nogil:
    """Take an order out of its guard's line."""
    cdef const Cold* cold = cold_of(core, slot)
    cdef uint32_t after = cold.line_next
    cdef uint32_t before = cold.line_prev
    cdef Guard* guard = &core.guards[cold.guard]
    if before:
        cold_of(core, before).line_next = after
    else:
        guard.head = after
    if after:
        cold_of(core, after).line_prev = before
    else:
        guard.tail = before
    guard.count -= 1
