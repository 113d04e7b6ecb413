# cython: language_level=3
"""A core as bytes: layout in matching_core.snapshots. Seal and checksum are Python's."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from matching_core._cold_records cimport cold_of
from matching_core._order_pool cimport FLAGS_SHOWN, Core, Guard, Instrument, Order
from matching_core._price_level cimport next_level
from matching_core._resting cimport remaining_of
from matching_core._state_hash cimport cell_indices, cell_of, extension_of, guard_indices, instrument_indices


cdef packed struct SavedCounts:
    uint32_t order_capacity
    uint32_t instrument_limit
    uint32_t cell_limit
    uint32_t guard_limit
    uint32_t slots
    uint32_t free_slots
    uint32_t cells
    uint32_t guards
    uint32_t instruments
    uint32_t reserved
    uint64_t arrivals
    uint64_t now

cdef packed struct SavedCell:
    uint32_t id
    int64_t position

cdef packed struct SavedGuard:
    uint32_t id
    uint32_t is_frozen
    int64_t interval
    int64_t limits[4]
    int64_t start
    int64_t sums[4]
    uint32_t count

cdef packed struct SavedInstrument:
    uint32_t id
    uint32_t phase
    int64_t price_min
    int64_t price_max
    int64_t delta
    int64_t vega
    uint32_t orders[2]

cdef packed struct SavedOrder:
    int64_t price
    int64_t remaining
    int64_t hidden
    int64_t display
    uint64_t arrival
    uint32_t slot
    uint32_t owner
    uint32_t cell
    uint32_t guard
    uint32_t flags


cdef inline char* write(char* out, const void* record, size_t size) noexcept nogil:
    memcpy(out, record, size)
    return out + size


cdef inline SavedCounts count_all(const Core* core) noexcept nogil:
    cdef SavedCounts counts
    counts.order_capacity = core.order_capacity
    counts.instrument_limit = core.instrument_limit
    counts.cell_limit = core.cell_limit
    counts.guard_limit = core.guard_limit
    counts.slots = core.order_top
    counts.free_slots = core.order_top - core.order_count
    counts.cells = core.cell_top
    counts.guards = core.guard_top
    counts.instruments = core.instrument_count
    counts.reserved = 0
    counts.arrivals = core.arrivals
    counts.now = core.now
    return counts


cdef inline size_t slots_size(const Core* core) noexcept nogil:
    return (<size_t>core.order_top * 2 - core.order_count) * sizeof(uint32_t)


cdef inline void write_slots(const Core* core, char* out) noexcept nogil:
    """Generations, then the free slots; `out` has slots_size bytes."""
    cdef uint32_t slot
    for slot in range(1, core.order_top + 1):
        out = write(out, &core.orders[slot].generation, sizeof(uint32_t))
    slot = core.order_free
    while slot:
        out = write(out, &slot, sizeof(uint32_t))
        slot = core.orders[slot].next


cdef inline size_t guard_size(const Core* core, uint32_t index) noexcept nogil:
    return sizeof(SavedGuard) + core.guards[index].count * sizeof(uint32_t)


cdef inline void write_guard(const Core* core, uint32_t index, char* out) noexcept nogil:
    """A guard and its line; `out` has guard_size bytes."""
    cdef const Guard* guard = &core.guards[index]
    cdef SavedGuard record
    cdef uint32_t slot = guard.head
    record.id = guard.id
    record.is_frozen = guard.now.is_frozen
    record.interval = guard.interval
    record.limits[0] = guard.quantity_limit
    record.limits[1] = guard.delta_limit
    record.limits[2] = guard.vega_limit
    record.limits[3] = guard.count_limit
    record.start = guard.now.start
    record.sums[0] = guard.now.quantity
    record.sums[1] = guard.now.delta
    record.sums[2] = guard.now.vega
    record.sums[3] = guard.now.count
    record.count = guard.count
    out = write(out, &record, sizeof(SavedGuard))
    while slot:
        out = write(out, &slot, sizeof(uint32_t))
        slot = cold_of(core, slot).line_next


cdef inline uint32_t count_side(const Core* core, uint32_t ladder) noexcept nogil:
    cdef uint32_t level = core.ladders[ladder].best
    cdef uint32_t count = 0
    while level:
        count += core.levels[level].count
        level = next_level(core, level)
    return count


cdef inline size_t instrument_size(const Core* core, uint32_t index) noexcept nogil:
    cdef size_t orders = <size_t>count_side(core, 2 * index) + count_side(core, 2 * index + 1)
    return sizeof(SavedInstrument) + orders * sizeof(SavedOrder)


cdef inline void write_instrument(const Core* core, uint32_t index, char* out) noexcept nogil:
    """An instrument and its orders in match order; `out` has instrument_size bytes."""
    cdef const Instrument* listing = &core.instruments[index]
    cdef SavedInstrument record
    cdef SavedOrder order
    cdef uint32_t ladder, level, slot
    record.id = listing.id
    record.phase = listing.is_auction
    record.price_min = listing.price_min
    record.price_max = listing.price_max
    record.delta = listing.delta
    record.vega = listing.vega
    record.orders[0] = count_side(core, 2 * index)
    record.orders[1] = count_side(core, 2 * index + 1)
    out = write(out, &record, sizeof(SavedInstrument))
    for ladder in range(2 * index, 2 * index + 2):
        level = core.ladders[ladder].best
        while level:
            slot = core.levels[level].head
            while slot:
                order = saved_order(core, slot)
                out = write(out, &order, sizeof(SavedOrder))
                slot = core.orders[slot].next
            level = next_level(core, level)


cdef inline SavedOrder saved_order(const Core* core, uint32_t slot) noexcept nogil:
    cdef const Order* order = &core.orders[slot]
    cdef SavedOrder record
    record.price = core.levels[order.level].price
    record.remaining = remaining_of(core, slot)
    record.hidden = extension_of(core, slot).hidden
    record.display = extension_of(core, slot).display
    record.arrival = extension_of(core, slot).arrival
    record.slot = slot
    record.owner = order.owner
    record.cell = cell_of(core, slot)
    record.guard = extension_of(core, slot).guard
    record.flags = order.flags & FLAGS_SHOWN
    return record


cdef inline bytes snapshot_body(const Core* core):
    """The body of a snapshot."""
    cdef SavedCounts counts = count_all(core)
    cdef SavedCell cell
    cdef uint32_t index
    slots = PyBytes_FromStringAndSize(NULL, slots_size(core))
    write_slots(core, PyBytes_AS_STRING(slots))
    parts = [(<const char*>&counts)[:sizeof(SavedCounts)], slots]
    for each in cell_indices(core):
        index = each
        cell.id = core.cells[index].id
        cell.position = core.cells[index].position
        parts.append((<const char*>&cell)[:sizeof(SavedCell)])
    for each in guard_indices(core):
        index = each
        packed = PyBytes_FromStringAndSize(NULL, guard_size(core, index))
        write_guard(core, index, PyBytes_AS_STRING(packed))
        parts.append(packed)
    for each in instrument_indices(core):
        index = each
        packed = PyBytes_FromStringAndSize(NULL, instrument_size(core, index))
        write_instrument(core, index, PyBytes_AS_STRING(packed))
        parts.append(packed)
    return b"".join(parts)
