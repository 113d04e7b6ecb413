# cython: language_level=3
"""Digest of a core's state: packed records, fields in the order and width of reference_audit. Changes nothing."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from matching_core._codes cimport EXTENDED
from matching_core._cold_records cimport cell_index, cold_of
from matching_core._order_pool cimport (
    FLAGS_SHOWN, ORDER_ARRIVED, ORDER_COLD, ORDER_GUARDED, ORDER_HAS_CELL, ORDER_ICEBERG, Cold, Core, Guard, Level,
)
from matching_core._price_level cimport count_levels, next_level
from matching_core._resting cimport remaining_of


cdef packed struct HashInstrument:
    uint32_t id
    int64_t price_min
    int64_t price_max
    uint32_t bid_count
    uint32_t ask_count

cdef packed struct HashLevel:
    int64_t price
    int64_t total
    uint32_t count

cdef packed struct HashOrder:
    int64_t remaining
    uint32_t owner
    uint32_t cell
    uint16_t flags

cdef packed struct HashCell:
    uint32_t id
    int64_t position

cdef packed struct HashExtension:
    int64_t display
    int64_t hidden
    uint32_t guard
    uint64_t arrival

cdef packed struct HashMarket:
    char tag
    uint32_t id
    int64_t delta
    int64_t vega
    uint32_t phase

cdef packed struct HashGuard:
    char tag
    uint32_t id
    uint32_t is_frozen
    int64_t interval
    int64_t limits[4]
    int64_t start
    int64_t sums[4]
    uint32_t count

cdef packed struct HashMember:
    uint32_t instrument
    uint32_t side
    int64_t price
    int64_t remaining

cdef packed struct HashArrivals:
    char tag
    uint64_t count


cdef inline HashInstrument hash_instrument(const Core* core, uint32_t index) noexcept nogil:
    cdef HashInstrument record
    record.id = core.instruments[index].id
    record.price_min = core.instruments[index].price_min
    record.price_max = core.instruments[index].price_max
    record.bid_count = count_levels(core, 2 * index)
    record.ask_count = count_levels(core, 2 * index + 1)
    return record


cdef inline HashExtension extension_of(const Core* core, uint32_t slot) noexcept nogil:
    """The cold part of an order, zeros where it has none."""
    cdef uint32_t flags = core.orders[slot].flags
    cdef const Cold* cold = cold_of(core, slot)
    cdef HashExtension record
    record.display = cold.display if flags & ORDER_ICEBERG else 0
    record.hidden = cold.hidden if flags & ORDER_ICEBERG else 0
    record.guard = core.guards[cold.guard].id if flags & ORDER_GUARDED else 0
    record.arrival = cold.arrival if flags & ORDER_ARRIVED else 0
    return record


cdef inline uint32_t cell_of(const Core* core, uint32_t slot) noexcept nogil:
    """Id of an order's cell, 0 for none."""
    return core.cells[cell_index(core, slot)].id if core.orders[slot].flags & ORDER_HAS_CELL else 0


cdef inline size_t packed_size(const Core* core, uint32_t level) noexcept nogil:
    cdef size_t size = sizeof(HashLevel) + core.levels[level].count * sizeof(HashOrder)
    cdef uint32_t slot = core.levels[level].head
    while slot:
        if core.orders[slot].flags & ORDER_COLD:
            size += sizeof(HashExtension)
        slot = core.orders[slot].next
    return size


cdef inline void pack_level(const Core* core, uint32_t index, char* out) noexcept nogil:
    """Write a level and its orders in line; `out` has packed_size bytes."""
    cdef HashLevel record
    cdef HashOrder entry
    cdef HashExtension extension
    cdef bint is_extended
    cdef uint32_t slot = core.levels[index].head
    record.price = core.levels[index].price
    record.total = core.levels[index].total
    record.count = core.levels[index].count
    memcpy(out, &record, sizeof(HashLevel))
    out += sizeof(HashLevel)
    while slot:
        is_extended = core.orders[slot].flags & ORDER_COLD != 0
        entry.remaining = remaining_of(core, slot)
        entry.owner = core.orders[slot].owner
        entry.cell = cell_of(core, slot)
        entry.flags = core.orders[slot].flags & FLAGS_SHOWN | (EXTENDED if is_extended else 0)
        memcpy(out, &entry, sizeof(HashOrder))
        out += sizeof(HashOrder)
        if is_extended:
            extension = extension_of(core, slot)
            memcpy(out, &extension, sizeof(HashExtension))
            out += sizeof(HashExtension)
        slot = core.orders[slot].next


cdef inline HashGuard hash_guard(const Core* core, uint32_t index) noexcept nogil:
    cdef const Guard* guard = &core.guards[index]
    cdef HashGuard record
    record.tag = b"G"
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
    return record


cdef inline HashMember hash_member(const Core* core, uint32_t slot) noexcept nogil:
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef HashMember record
    record.instrument = core.instruments[level.ladder >> 1].id
    record.side = level.ladder & 1
    record.price = level.price
    record.remaining = remaining_of(core, slot)
    return record


cdef inline list instrument_indices(const Core* core):
    """Indices of the listed instruments, by id."""
    cdef uint32_t index
    pairs = [(core.instruments[index].id, index) for index in range(1, core.instrument_top + 1)
             if core.instruments[index].is_listed]
    return [found for _, found in sorted(pairs)]


cdef inline list cell_indices(const Core* core):
    """Indices of the cells, by id."""
    cdef uint32_t index
    return [found for _, found in sorted([(core.cells[index].id, index) for index in range(1, core.cell_top + 1)])]


cdef inline list guard_indices(const Core* core):
    """Indices of the guards, by id."""
    cdef uint32_t index
    return [found for _, found in sorted([(core.guards[index].id, index) for index in range(1, core.guard_top + 1)])]


cdef inline int hash_side(const Core* core, digest, uint32_t ladder) except -1:
    cdef uint32_t index = core.ladders[ladder].best
    while index:
        packed = PyBytes_FromStringAndSize(NULL, packed_size(core, index))
        pack_level(core, index, PyBytes_AS_STRING(packed))
        digest.update(packed)
        index = next_level(core, index)
    return 0


cdef inline int hash_books(const Core* core, digest) except -1:
    cdef HashInstrument record
    cdef uint32_t index
    for each in instrument_indices(core):
        index = each
        record = hash_instrument(core, index)
        digest.update((<const char*>&record)[:sizeof(HashInstrument)])
        hash_side(core, digest, 2 * index)
        hash_side(core, digest, 2 * index + 1)
    return 0


cdef inline int hash_cells(const Core* core, digest) except -1:
    cdef HashCell record
    cdef uint32_t index
    for each in cell_indices(core):
        index = each
        record.id = core.cells[index].id
        record.position = core.cells[index].position
        if record.position:
            digest.update((<const char*>&record)[:sizeof(HashCell)])
    return 0


cdef inline int hash_markets(const Core* core, digest) except -1:
    """Phases and weights where they are not zero."""
    cdef HashMarket record
    cdef uint32_t index
    for each in instrument_indices(core):
        index = each
        record.tag = b"M"
        record.id = core.instruments[index].id
        record.delta = core.instruments[index].delta
        record.vega = core.instruments[index].vega
        record.phase = core.instruments[index].is_auction
        if record.delta or record.vega or record.phase:
            digest.update((<const char*>&record)[:sizeof(HashMarket)])
    return 0


cdef inline int hash_guards(const Core* core, digest) except -1:
    """Guards, each with the orders in its line."""
    cdef HashGuard record
    cdef HashMember member
    cdef uint32_t index, slot
    for each in guard_indices(core):
        index = each
        record = hash_guard(core, index)
        digest.update((<const char*>&record)[:sizeof(HashGuard)])
        slot = core.guards[index].head
        while slot:
            member = hash_member(core, slot)
            digest.update((<const char*>&member)[:sizeof(HashMember)])
            slot = cold_of(core, slot).line_next
    return 0


cdef inline int hash_arrivals(const Core* core, digest) except -1:
    cdef HashArrivals record
    record.tag = b"A"
    record.count = core.arrivals
    if core.arrivals:
        digest.update((<const char*>&record)[:sizeof(HashArrivals)])
    return 0


cdef inline int hash_core(const Core* core, digest) except -1:
    """Feed a digest with everything that decides future events except slots and capacities."""
    hash_books(core, digest)
    hash_cells(core, digest)
    hash_markets(core, digest)
    hash_guards(core, digest)
    return hash_arrivals(core, digest)
