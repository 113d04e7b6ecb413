# cython: language_level=3
"""Looking at a core from outside: packed state for the hash, and what is wrong with its structure. Changes nothing."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from matching_core._codes cimport QUANTITY_MAX
from matching_core._order_pool cimport PHASE_IDLE, Core, Ladder, Level, Node, Order, find_slot, handle_of
from matching_core._price_level cimport find_level, next_level


# Packed records of the state hash: fields in the order and width of reference_views.
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


cdef inline HashInstrument hash_instrument(const Core* core, uint32_t index) noexcept nogil:
    cdef HashInstrument record
    record.id = core.instruments[index].id
    record.price_min = core.instruments[index].price_min
    record.price_max = core.instruments[index].price_max
    record.bid_count = core.ladders[2 * index].level_count
    record.ask_count = core.ladders[2 * index + 1].level_count
    return record


cdef inline size_t packed_size(const Core* core, uint32_t level) noexcept nogil:
    return sizeof(HashLevel) + core.levels[level].count * sizeof(HashOrder)


cdef inline void pack_level(const Core* core, uint32_t index, char* out) noexcept nogil:
    """Write a level and its orders in line; `out` has packed_size bytes."""
    cdef HashLevel record
    cdef HashOrder entry
    cdef uint32_t slot = core.levels[index].head
    record.price = core.levels[index].price
    record.total = core.levels[index].total
    record.count = core.levels[index].count
    memcpy(out, &record, sizeof(HashLevel))
    out += sizeof(HashLevel)
    while slot:
        entry.remaining = core.orders[slot].quantity
        entry.owner = core.orders[slot].owner
        entry.cell = core.cells[core.order_cell[slot]].id
        entry.flags = core.orders[slot].flags
        memcpy(out, &entry, sizeof(HashOrder))
        out += sizeof(HashOrder)
        slot = core.orders[slot].next


cdef inline const char* find_defect(Core* core) noexcept nogil:
    """What contradicts itself in the core, NULL when nothing does."""
    cdef uint64_t resting = 0
    cdef uint64_t nodes = 0
    cdef uint32_t index
    cdef const char* defect
    if core.phase != PHASE_IDLE:
        return "unfinished command"
    for index in range(2, 2 * (core.instrument_top + 1)):
        if not core.instruments[index >> 1].is_listed:
            continue
        defect = ladder_defect(core, index, &resting)
        if defect == NULL:
            defect = node_defect(core, core.ladders[index].root, core.ladders[index].height, &nodes)
        if defect == NULL and index & 1 and is_crossed(core, index):
            defect = "book is crossed"
        if defect != NULL:
            return defect
    if resting != core.order_count:
        return "slots in use differ from resting orders"
    if nodes + core.node_free_count != core.node_top:
        return "trie nodes leaked"
    return free_slot_defect(core)


cdef inline bint is_crossed(const Core* core, uint32_t asks) noexcept nogil:
    cdef uint32_t ask = core.ladders[asks].best
    cdef uint32_t bid = core.ladders[asks ^ 1].best
    return bid and ask and core.levels[bid].price >= core.levels[ask].price


cdef inline const char* free_slot_defect(const Core* core) noexcept nogil:
    cdef uint64_t count = core.order_count
    cdef uint32_t slot = core.order_free
    while slot and count <= core.order_top:
        if core.orders[slot].quantity:
            return "free slot with a quantity"
        slot = core.orders[slot].next
        count += 1
    if count == core.order_top:
        return NULL
    return "slots leaked"


cdef inline const char* ladder_defect(Core* core, uint32_t ladder_index, uint64_t* resting) noexcept nogil:
    """Check one side's levels in order; adds its orders to `resting`."""
    cdef const Ladder* ladder = &core.ladders[ladder_index]
    cdef const Level* level
    cdef const char* defect
    cdef uint32_t index = ladder.best
    cdef uint32_t before = 0
    cdef uint32_t count = 0
    cdef int64_t open_lots = 0
    while index:
        level = &core.levels[index]
        if before and core.levels[before].price * ladder.sign >= level.price * ladder.sign:
            return "levels out of order"
        if level.ladder != ladder_index or find_level(core, ladder_index, level.price) != index:
            return "level not indexed"
        defect = line_defect(core, index)
        if defect != NULL:
            return defect
        resting[0] += level.count
        open_lots += level.total
        count += 1
        before = index
        index = next_level(core, index)
    if count != ladder.level_count:
        return "level count is off"
    if open_lots == ladder.open_lots:
        return NULL
    return "open quantity is off"


cdef inline const char* line_defect(const Core* core, uint32_t index) noexcept nogil:
    """Check one level's line of orders."""
    cdef const Level* level = &core.levels[index]
    cdef const Order* order
    cdef uint32_t slot = level.head
    cdef uint32_t before = 0
    cdef uint32_t count = 0
    cdef int64_t total = 0
    if slot == 0:
        return "empty level"
    while slot and count < level.count:
        order = &core.orders[slot]
        if order.prev != before or order.level != index:
            return "line is broken"
        if order.quantity < 1 or order.quantity > QUANTITY_MAX or find_slot(core, handle_of(core, slot)) != slot:
            return "order is not indexed or out of range"
        total += order.quantity
        count += 1
        before = slot
        slot = order.next
    if slot or level.tail != before or level.count != count:
        return "line has the wrong end"
    if level.total == total:
        return NULL
    return "level total is off"


cdef inline const char* node_defect(const Core* core, uint32_t index, uint32_t height, uint64_t* nodes) noexcept nogil:
    """Check a trie node against its children; adds the nodes under and with it to `nodes`."""
    cdef const Node* node = &core.nodes[index]
    cdef const char* defect
    cdef uint32_t digit, child
    nodes[0] += 1
    for digit in range(64):
        if not node.bits >> digit & 1:
            continue
        child = node.child[digit]
        if height == 1:
            if core.levels[child].leaf != index:
                return "level names another leaf"
            continue
        if core.nodes[child].parent != index or core.nodes[child].bits == 0:
            return "node names another parent or is empty"
        defect = node_defect(core, child, height - 1, nodes)
        if defect != NULL:
            return defect
    return NULL
