# cython: language_level=3
"""What is wrong with a core's structure. Changes nothing."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from matching_core._auction cimport is_crossed
from matching_core._codes cimport OK, QUANTITY_MAX
from matching_core._cold_records cimport cold_of
from matching_core._counters cimport reached_limit
from matching_core._entry_checks cimport has_too_many_slices
from matching_core._order_pool cimport (
    ORDER_ARRIVED, ORDER_COLD, ORDER_GUARDED, ORDER_ICEBERG, PHASE_IDLE, Cold, Core, Guard, Ladder, Level, Node, Order,
    find_slot, handle_of,
)
from matching_core._price_level cimport NO_BEST, find_level, next_level, offset_of
from matching_core._resting cimport remaining_of
from matching_core._state_hash cimport HashExtension, extension_of


cdef inline const char* find_defect(Core* core) noexcept nogil:
    """What contradicts itself in the core, NULL when nothing does."""
    cdef uint64_t resting = 0
    cdef uint64_t nodes = 0
    cdef uint64_t held = 0
    cdef uint32_t index
    cdef const char* defect
    if core.phase != PHASE_IDLE or core.many != PHASE_IDLE:
        return "unfinished command"
    if core.ladders[0].best or core.levels[0].head:
        return "the empty ladder or level is not empty"
    for index in range(2, 2 * (core.instrument_top + 1)):
        if not core.instruments[index >> 1].is_listed:
            continue
        defect = ladder_defect(core, index, &resting)
        if defect == NULL:
            defect = node_defect(core, core.ladders[index].root, core.ladders[index].height, &nodes, &held)
        if defect == NULL and not core.instruments[index >> 1].is_auction and is_crossed(core, index >> 1):
            defect = "book is crossed"
        if defect != NULL:
            return defect
    if resting != core.order_count:
        return "slots in use differ from resting orders"
    if nodes + core.node_free_count != core.node_top:
        return "trie nodes leaked"
    if held + core.level_free_count != core.level_top:
        return "level records leaked"
    if count_cold(core) != core.cold_count:
        return "cold records leaked"
    defect = free_slot_defect(core)
    return guards_defect(core) if defect == NULL else defect


cdef inline uint64_t count_cold(const Core* core) noexcept nogil:
    cdef uint64_t count = 0
    cdef uint32_t slot
    for slot in range(1, core.order_top + 1):
        count += core.orders[slot].quantity != 0 and core.orders[slot].flags & ORDER_COLD != 0
    return count


cdef inline const char* guards_defect(const Core* core) noexcept nogil:
    """Lines hold just their guard's orders; only a frozen guard stands at a limit."""
    cdef const Guard* guard
    cdef uint32_t index, slot, before, count
    for index in range(1, core.guard_top + 1):
        guard = &core.guards[index]
        if not guard.now.is_frozen and reached_limit(guard, &guard.now) != OK:
            return "guard at its limit is not frozen"
        if guard.now.count == 0 and guard.now.quantity:
            return "guard counts lots without a fill"
        before = count = 0
        slot = guard.head
        while slot and count < guard.count:
            if cold_of(core, slot).line_prev != before or cold_of(core, slot).guard != index:
                return "guard's line is broken"
            if core.orders[slot].quantity == 0 or not core.orders[slot].flags & ORDER_GUARDED:
                return "guard's line holds an order that is gone"
            before = slot
            count += 1
            slot = cold_of(core, slot).line_next
        if slot or guard.tail != before or guard.count != count:
            return "guard's line has the wrong end"
    return NULL


cdef inline const char* cold_defect(const Core* core, uint32_t slot) noexcept nogil:
    """Check what an order keeps in its cold record."""
    cdef HashExtension cold = extension_of(core, slot)
    cdef uint32_t flags = core.orders[slot].flags
    cdef const Cold* record = cold_of(core, slot)
    if flags & ORDER_ICEBERG and (cold.display < 1 or cold.hidden < 0):
        return "iceberg without a slice"
    if cold.hidden and core.orders[slot].quantity > cold.display:
        return "iceberg shows more than a slice"
    if remaining_of(core, slot) > QUANTITY_MAX or has_too_many_slices(remaining_of(core, slot), cold.display):
        return "remaining quantity out of range"
    if cold.arrival > core.arrivals or (flags & ORDER_ARRIVED and cold.arrival == 0):
        return "entry of an auction that was never counted"
    if flags & ORDER_GUARDED and record.line_prev == 0 and core.guards[record.guard].head != slot:
        return "order is missing in its guard's line"
    return NULL


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
    cdef int64_t shown_lots = 0
    cdef int64_t hidden_lots = 0
    while index:
        level = &core.levels[index]
        if before and core.levels[before].price ^ ladder.mask >= level.price ^ ladder.mask:
            return "levels out of order"
        if level.ladder != ladder_index or find_level(core, ladder_index, level.price) != index:
            return "level not indexed"
        defect = line_defect(core, index, &hidden_lots)
        if defect != NULL:
            return defect
        resting[0] += level.count
        shown_lots += level.total
        count += 1
        before = index
        index = next_level(core, index)
    if ladder.best_key != (core.levels[ladder.best].price ^ ladder.mask if ladder.best else NO_BEST):
        return "best price is off"
    if core.ladders[ladder_index ^ 1].reach != ~ladder.best_key:
        return "reach of the other side is off"
    if hidden_lots == ladder.hidden_lots and shown_lots + hidden_lots == ladder.open_lots:
        return NULL
    return "open quantity is off"


cdef inline const char* line_defect(const Core* core, uint32_t index, int64_t* hidden_lots) noexcept nogil:
    """Check one level's line of orders; adds what they hide to `hidden_lots`."""
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
        if order.flags & ORDER_COLD and cold_defect(core, slot) != NULL:
            return cold_defect(core, slot)
        hidden_lots[0] += remaining_of(core, slot) - order.quantity
        total += order.quantity
        count += 1
        before = slot
        slot = order.next
    if slot or level.tail != before or level.count != count:
        return "line has the wrong end"
    if level.total == total:
        return NULL
    return "level total is off"


cdef inline const char* node_defect(
    const Core* core, uint32_t index, uint32_t height, uint64_t* nodes, uint64_t* held
) noexcept nogil:
    """Check a trie node against its children; adds the nodes under and with it and the level records they hold."""
    cdef const Node* node = &core.nodes[index]
    cdef const char* defect
    cdef uint32_t digit, child
    nodes[0] += 1
    if height == 1:
        return leaf_defect(core, node, held)
    for digit in range(64):
        child = node.child[digit]
        if not node.bits >> digit & 1:
            if child:
                return "node keeps a child that is gone"
            continue
        if core.nodes[child].parent != index or core.nodes[child].key != node.key << 6 | digit:
            return "node names another parent"
        if core.nodes[child].bits == 0:
            return "node is empty"
        defect = node_defect(core, child, height - 1, nodes, held)
        if defect != NULL:
            return defect
    return NULL


cdef inline const char* leaf_defect(const Core* core, const Node* leaf, uint64_t* held) noexcept nogil:
    """Check a leaf against the levels it holds, with orders and without."""
    cdef const Level* level
    cdef uint32_t digit
    for digit in range(64):
        if (leaf.child[digit] != 0) != (leaf.held >> digit & 1):
            return "leaf counts another level than it names"
        if leaf.child[digit] == 0:
            if leaf.bits >> digit & 1:
                return "leaf names no level"
            continue
        level = &core.levels[leaf.child[digit]]
        held[0] += 1
        if offset_of(&core.ladders[level.ladder], level.price) != leaf.key << 6 | digit:
            return "level stands in another leaf"
        if not leaf.bits >> digit & 1 and (level.head or level.tail or level.count or level.total):
            return "level left empty has orders"
    return NULL
