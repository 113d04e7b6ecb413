# cython: language_level=3
"""A core from the bytes of a snapshot. Nothing is trusted: what could lead outside the pools is refused at once, what
only contradicts itself by find_defect afterwards. Each function returns False where it will not go on.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from matching_core._codes cimport EXTENDED, FLAGS_KNOWN, FOK, IOC, QUANTITY_MAX, REDUCE_ONLY, SIDE_MAX
from matching_core._cold_records cimport attach_cold, cold_of
from matching_core._core_memory cimport open_listing, take_guard, take_instrument
from matching_core._counters cimport find_cell, find_guard, join_line, reserve_cell, take_cell
from matching_core._order_pool cimport (
    ORDER_ARRIVED, ORDER_GUARDED, ORDER_HAS_CELL, ORDER_ICEBERG, Cold, Core, Guard, Instrument, Order,
)
from matching_core._price_level cimport make_level, push_order, switch_phase
from matching_core._resting cimport hide
from matching_core._snapshot cimport SavedCell, SavedCounts, SavedGuard, SavedInstrument, SavedOrder
from matching_core._trie_nodes cimport reserve_nodes


cdef struct Reader:                  # what is left of a body
    const char* at
    size_t left


cdef inline bint read(Reader* reader, void* record, size_t size) noexcept nogil:
    """Take a record off the front; False when too few bytes are left."""
    if reader.left < size:
        return False
    memcpy(record, reader.at, size)
    reader.at += size
    reader.left -= size
    return True


cdef inline bint read_slots(Core* core, Reader* reader, const SavedCounts* counts) noexcept nogil:
    """Generations, then the free list."""
    cdef uint32_t slot, _
    cdef uint32_t before = 0
    if counts.free_slots > counts.slots or reader.left < (<size_t>counts.slots + counts.free_slots) * sizeof(uint32_t):
        return False
    for slot in range(1, counts.slots + 1):
        read(reader, &core.orders[slot].generation, sizeof(uint32_t))
        if core.orders[slot].generation == 0:
            return False
    core.order_top = counts.slots
    for _ in range(counts.free_slots):
        slot = 0
        read(reader, &slot, sizeof(uint32_t))
        # `level` marks the slots already seen; a free order has none.
        if slot == 0 or slot > counts.slots or core.orders[slot].level:
            return False
        core.orders[slot].level = 1
        if before:
            core.orders[before].next = slot
        else:
            core.order_free = slot
        before = slot
    core.order_count = counts.slots - counts.free_slots
    return True


cdef inline bint read_guard_limits(Guard* guard, const SavedGuard* record) noexcept nogil:
    """Limits and sums of one guard, each within its range."""
    cdef uint32_t index
    for index in range(4):
        if record.limits[index] < 0 or record.limits[index] > SIDE_MAX:
            return False
        if record.sums[index] < -SIDE_MAX or record.sums[index] > SIDE_MAX:
            return False
    if record.sums[0] < 0 or record.sums[3] < 0:
        return False
    if record.is_frozen > 1 or record.interval < 0 or record.interval > SIDE_MAX or record.start < 0:
        return False
    guard.interval = record.interval
    guard.quantity_limit = record.limits[0]
    guard.delta_limit = record.limits[1]
    guard.vega_limit = record.limits[2]
    guard.count_limit = record.limits[3]
    guard.now.is_frozen = record.is_frozen
    guard.now.start = record.start
    guard.now.quantity = record.sums[0]
    guard.now.delta = record.sums[1]
    guard.now.vega = record.sums[2]
    guard.now.count = record.sums[3]
    return True


cdef inline bint read_instrument(
    Core* core, Reader* reader, const SavedInstrument* record, uint32_t index
) noexcept nogil:
    """Phase, weights and orders of an instrument that is listed under `index`."""
    cdef uint32_t side, place
    cdef int64_t worst = 0
    if record.phase > 1:
        return False
    switch_phase(core, index, record.phase)
    core.instruments[index].delta = record.delta
    core.instruments[index].vega = record.vega
    for side in range(2):
        for place in range(record.orders[side]):
            if not read_order(core, reader, 2 * index + side, place == 0, &worst):
                return False
    return True


cdef inline bint read_order(
    Core* core, Reader* reader, uint32_t ladder, bint is_first, int64_t* worst
) noexcept nogil:
    """One order, put at the back of its side; `worst` is the price of the one before."""
    cdef SavedOrder record
    if not read(reader, &record, sizeof(SavedOrder)) or not is_order_valid(core, &record, ladder):
        return False
    if not is_first and (record.price < worst[0] if ladder & 1 else record.price > worst[0]):
        return False
    worst[0] = record.price
    cdef Order* order = &core.orders[record.slot]
    order.owner = record.owner
    order.flags = record.flags
    if record.cell:
        order.flags |= ORDER_HAS_CELL
        core.links[record.slot] = find_cell(core, record.cell)
    if record.arrival or record.guard or record.display:
        read_cold(core, &record)
    push_order(core, record.slot, make_level(core, ladder, record.price), record.remaining - record.hidden)
    if record.display:
        hide(core, record.slot, record.hidden)
    return True


cdef inline void read_cold(Core* core, const SavedOrder* record) noexcept nogil:
    """What an order has beyond its hot record but hidden lots; a guard's line is joined when all orders are there."""
    cdef Order* order = &core.orders[record.slot]
    cdef Cold* cold = attach_cold(core, record.slot)
    cold.arrival = record.arrival
    cold.guard = find_guard(core, record.guard) if record.guard else 0
    cold.display = record.display
    order.flags |= ORDER_ARRIVED if record.arrival else 0
    order.flags |= ORDER_GUARDED if record.guard else 0
    order.flags |= ORDER_ICEBERG if record.display else 0


cdef inline bint is_order_valid(Core* core, const SavedOrder* record, uint32_t ladder) noexcept nogil:
    """Whether the record may rest behind everything its side has so far."""
    cdef const Instrument* listing = &core.instruments[ladder >> 1]
    if record.slot == 0 or record.slot > core.order_top or core.orders[record.slot].level:
        return False
    if record.price < listing.price_min or record.price > listing.price_max:
        return False
    if record.remaining < 1 or record.remaining > QUANTITY_MAX or record.hidden < 0 or record.display < 0:
        return False
    if record.hidden >= record.remaining or (record.hidden and record.display == 0):
        return False
    if record.display > QUANTITY_MAX or core.ladders[ladder].open_lots + record.remaining > SIDE_MAX:
        return False
    if record.flags & ~<uint32_t>(FLAGS_KNOWN & ~(EXTENDED | IOC | FOK)):
        return False
    if record.flags & REDUCE_ONLY and record.cell == 0:
        return False
    if (record.cell and find_cell(core, record.cell) == 0) or (record.guard and find_guard(core, record.guard) == 0):
        return False
    return reserve_nodes(core)


cdef inline bint read_line(Core* core, Reader* reader, uint32_t guard, uint32_t count) noexcept nogil:
    """The orders of one guard, in line."""
    cdef uint32_t slot = 0
    cdef uint32_t _
    for _ in range(count):
        if not read(reader, &slot, sizeof(uint32_t)):
            return False
        if slot == 0 or slot > core.order_top or core.orders[slot].quantity == 0:
            return False
        if not core.orders[slot].flags & ORDER_GUARDED or cold_of(core, slot).guard != guard:
            return False
        # A slot that stands in the line already has a neighbour or is the whole line.
        if cold_of(core, slot).line_prev or cold_of(core, slot).line_next or core.guards[guard].head == slot:
            return False
        join_line(core, slot, guard)
    return True


cdef inline bint read_cells(Core* core, Reader* reader, uint32_t count) noexcept:
    """Cells with rising ids."""
    cdef SavedCell cell
    cdef int64_t before = 0
    cdef uint32_t _
    for _ in range(count):
        if not read(reader, &cell, sizeof(SavedCell)) or cell.id <= before:
            return False
        if core.cell_top == core.cell_limit or not reserve_cell(core):
            return False
        before = cell.id
        core.cells[take_cell(core, cell.id)].position = cell.position
    return True


cdef inline bint read_guards(Core* core, Reader* reader, uint32_t count) noexcept:
    """Guards with rising ids; their lines are passed over."""
    cdef SavedGuard guard
    cdef int64_t before = 0
    cdef uint32_t index, _
    for _ in range(count):
        if not read(reader, &guard, sizeof(SavedGuard)) or guard.id <= before or core.guard_top == core.guard_limit:
            return False
        before = guard.id
        index = take_guard(core, guard.id)
        if index == 0 or not read_guard_limits(&core.guards[index], &guard):
            return False
        if reader.left < guard.count * sizeof(uint32_t):
            return False
        reader.at += guard.count * sizeof(uint32_t)
        reader.left -= guard.count * sizeof(uint32_t)
    return True


cdef inline bint read_instruments(Core* core, Reader* reader, uint32_t count) noexcept:
    """Instruments with rising ids, each with its orders."""
    cdef SavedInstrument listing
    cdef int64_t before = -1
    cdef uint32_t index, _
    for _ in range(count):
        if not read(reader, &listing, sizeof(SavedInstrument)) or listing.id <= before:
            return False
        if core.instrument_count == core.instrument_limit or not is_listing_valid(&listing) or not reserve_nodes(core):
            return False
        before = listing.id
        index = take_instrument(core)
        if index == 0:
            return False
        open_listing(core, index, listing.id, listing.price_min, listing.price_max)
        if not read_instrument(core, reader, &listing, index):
            return False
    return True


cdef inline bint is_listing_valid(const SavedInstrument* listing) noexcept nogil:
    """Band within +-2**58 and not empty, weights within +-2**62."""
    cdef int64_t bound = <int64_t>1 << 58
    if listing.price_min < -bound or listing.price_max > bound or listing.price_min > listing.price_max:
        return False
    if listing.delta < -SIDE_MAX or listing.delta > SIDE_MAX:
        return False
    return -SIDE_MAX <= listing.vega <= SIDE_MAX


cdef inline bint read_lines(Core* core, Reader* reader, uint32_t count) noexcept:
    """The guards once more, now for their lines."""
    cdef SavedGuard guard
    cdef uint32_t _
    for _ in range(count):
        if not read(reader, &guard, sizeof(SavedGuard)):
            return False
        if not read_line(core, reader, find_guard(core, guard.id), guard.count):
            return False
    return True


cdef inline const char* read_body(Core* core, Reader* reader, const SavedCounts* counts) noexcept:
    """Fill an empty core; what contradicts itself, NULL when nothing does."""
    cdef Reader lines
    if counts.reserved or counts.slots > counts.order_capacity or counts.now >> 63:
        return "counts out of range"
    if not read_slots(core, reader, counts):
        return "slots out of range"
    core.arrivals = counts.arrivals
    core.now = counts.now
    if not read_cells(core, reader, counts.cells):
        return "cells out of range"
    lines = reader[0]
    if not read_guards(core, reader, counts.guards):
        return "guards out of range"
    if not read_instruments(core, reader, counts.instruments):
        return "instruments or orders out of range"
    if reader.left:
        return "bytes behind the last order"
    if not read_lines(core, &lines, counts.guards):
        return "guard lines out of range"
    return NULL
