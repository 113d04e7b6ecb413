# cython: language_level=3
"""Price ladder (a 64-ary bitmap trie per side), levels and the line of orders in each."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from matching_core._order_pool cimport LEAVES_KNOWN, Core, Instrument, Ladder, Level, Order, pick, rare, take_level
from matching_core._trie_nodes cimport release_node, take_node


cdef extern from *:
    """
    #define offbook_lowest_bit(bits) ((uint32_t)__builtin_ctzll(bits))
    #define OFFBOOK_NO_BEST (1LL << 60)
    """
    const int64_t NO_BEST "OFFBOOK_NO_BEST"
    uint32_t lowest_bit "offbook_lowest_bit" (uint64_t bits) noexcept nogil


cdef inline uint64_t offset_of(const Ladder* ladder, int64_t price) noexcept nogil:
    return <uint64_t>(price ^ ladder.mask) - <uint64_t>ladder.base


cdef inline void switch_phase(Core* core, uint32_t index, bint is_auction) noexcept nogil:
    """Put an instrument into an auction or back into continuous matching."""
    cdef Instrument* listing = &core.instruments[index]
    listing.is_auction = is_auction
    core.ladders[2 * index].limit = 0 if is_auction else <uint64_t>(listing.price_max - listing.price_min) + 1
    core.ladders[2 * index + 1].limit = core.ladders[2 * index].limit


cdef inline uint32_t first_level(const Core* core, uint32_t node, uint32_t depth) noexcept nogil:
    """Best level under a non-empty node that stands `depth` digits above the leaves."""
    while depth:
        node = core.nodes[node].child[lowest_bit(core.nodes[node].bits)]
        depth -= 1
    return core.nodes[node].child[lowest_bit(core.nodes[node].bits)]


cdef inline uint32_t find_leaf(const Core* core, const Ladder* ladder, uint64_t offset) noexcept nogil:
    """Leaf for an offset, 0 when absent."""
    cdef uint32_t leaf = ladder.leaves[(offset >> 6) & (LEAVES_KNOWN - 1)]
    return leaf if core.nodes[leaf].key == offset >> 6 else seek_leaf(core, ladder, offset)


cdef inline uint32_t seek_leaf(const Core* core, const Ladder* ladder, uint64_t offset) noexcept nogil:
    """Leaf for an offset from the root down, 0 when absent."""
    cdef uint32_t node = ladder.root
    cdef uint32_t digit
    cdef uint32_t shift = 6 * (ladder.height - 1)
    while shift:
        digit = (offset >> shift) & 63
        if not core.nodes[node].bits >> digit & 1:
            return 0
        node = core.nodes[node].child[digit]
        shift -= 6
    return node


cdef inline uint32_t make_leaf(Core* core, Ladder* ladder, uint64_t offset) noexcept nogil:
    """Leaf for an offset with every node above it."""
    cdef uint32_t node = ladder.root
    cdef uint32_t child, digit
    cdef uint32_t shift = 6 * (ladder.height - 1)
    while shift:
        digit = (offset >> shift) & 63
        if not core.nodes[node].bits >> digit & 1:
            child = take_node(core, node, offset >> shift)
            core.nodes[node].bits |= <uint64_t>1 << digit
            core.nodes[node].child[digit] = child
        node = core.nodes[node].child[digit]
        shift -= 6
    return node


cdef inline uint32_t find_level(Core* core, uint32_t ladder_index, int64_t price) noexcept nogil:
    """Level at a price, 0 when nothing rests there."""
    cdef Ladder* ladder = &core.ladders[ladder_index]
    cdef uint64_t offset = offset_of(ladder, price)
    cdef uint32_t leaf = find_leaf(core, ladder, offset)
    if leaf == 0 or not core.nodes[leaf].bits >> (offset & 63) & 1:
        return 0
    return core.nodes[leaf].child[offset & 63]


cdef inline uint32_t make_level(Core* core, uint32_t ladder_index, int64_t price) noexcept nogil:
    """Level at a price, opened when nothing rests there; reserve_nodes has run in this command."""
    cdef Ladder* ladder = &core.ladders[ladder_index]
    cdef uint64_t offset = offset_of(ladder, price)
    cdef uint32_t leaf = find_leaf(core, ladder, offset)
    ladder.leaves[(offset >> 6) & (LEAVES_KNOWN - 1)] = leaf
    if leaf and core.nodes[leaf].bits >> (offset & 63) & 1:
        return core.nodes[leaf].child[offset & 63]
    return open_level(core, ladder_index, price, leaf)


cdef inline uint32_t open_level(Core* core, uint32_t ladder_index, int64_t price, uint32_t leaf) noexcept nogil:
    """A new level in its leaf, 0: which has to be made as well."""
    cdef Ladder* ladder = &core.ladders[ladder_index]
    cdef uint64_t offset = offset_of(ladder, price)
    cdef uint32_t digit = offset & 63
    cdef uint32_t index
    if leaf == 0:
        leaf = make_leaf(core, ladder, offset)
        ladder.leaves[(offset >> 6) & (LEAVES_KNOWN - 1)] = leaf
    index = core.nodes[leaf].child[digit]
    if index == 0:
        index = take_level(core)
        core.levels[index].price = price
        core.levels[index].total = 0
        core.levels[index].head = core.levels[index].tail = core.levels[index].count = 0
        core.levels[index].ladder = ladder_index
        core.nodes[leaf].held |= <uint64_t>1 << digit
        core.nodes[leaf].child[digit] = index
    take_up(core, ladder_index, leaf, index, price)
    return index


cdef inline void take_up(
    Core* core, uint32_t ladder_index, uint32_t leaf, uint32_t index, int64_t price
) noexcept nogil:
    """Make a level count that gets an order now, whether it has any or was left empty; no jump depends on which."""
    cdef Ladder* ladder = &core.ladders[ladder_index]
    cdef int64_t key = price ^ ladder.mask
    cdef bint is_better = key < ladder.best_key
    core.nodes[leaf].bits |= <uint64_t>1 << (offset_of(ladder, price) & 63)
    ladder.best = <uint32_t>pick(is_better, index, ladder.best)
    key = pick(is_better, key, ladder.best_key)
    ladder.best_key = key
    core.ladders[ladder_index ^ 1].reach = ~key


cdef inline void set_best(Core* core, Ladder* ladder, uint32_t index) noexcept nogil:
    ladder.best = index
    ladder.best_key = core.levels[index].price ^ ladder.mask if index else NO_BEST
    core.ladders[(ladder - core.ladders) ^ 1].reach = ~ladder.best_key


cdef inline uint32_t next_level(const Core* core, uint32_t index) noexcept nogil:
    """Next worse level of the same side, 0 after the last."""
    cdef const Level* level = &core.levels[index]
    cdef const Ladder* ladder = &core.ladders[level.ladder]
    cdef uint64_t offset = offset_of(ladder, level.price)
    cdef uint32_t node = find_leaf(core, ladder, offset)
    cdef uint32_t digit = offset & 63
    cdef uint32_t depth = 0
    cdef uint64_t above
    while True:
        above = core.nodes[node].bits & ~((<uint64_t>2 << digit) - 1)
        if above:
            break
        if node == ladder.root:
            return 0
        digit = core.nodes[node].key & 63
        node = core.nodes[node].parent
        depth += 1
    node = core.nodes[node].child[lowest_bit(above)]
    return node if depth == 0 else first_level(core, node, depth - 1)


cdef inline uint32_t count_levels(const Core* core, uint32_t ladder) noexcept nogil:
    """Levels of a side."""
    cdef uint32_t index = core.ladders[ladder].best
    cdef uint32_t count = 0
    while index:
        count += 1
        index = next_level(core, index)
    return count


cdef inline void drop_level(Core* core, uint32_t index) noexcept nogil:
    """Close an empty level: clear its bit, free the nodes left empty, find the next best from where it stood.

    The leaf holds its record, so that an order at this price finds it again as if it had never been empty.
    """
    cdef const Level* level = &core.levels[index]
    cdef Ladder* ladder = &core.ladders[level.ladder]
    cdef uint64_t offset = offset_of(ladder, level.price)
    cdef uint32_t node = find_leaf(core, ladder, offset)
    cdef uint32_t depth = 0
    core.nodes[node].bits &= ~(<uint64_t>1 << (offset & 63))
    if rare(holds_too_many(core)):
        core.nodes[node].held &= ~(<uint64_t>1 << (offset & 63))
        release_level(core, node, offset & 63)
    if core.nodes[node].bits == 0 and node != ladder.root:
        ladder.leaves[(offset >> 6) & (LEAVES_KNOWN - 1)] = 0
        release_held(core, node)
        node = prune(core, ladder, node, &depth)
    if ladder.best == index:
        # Everything left lies above the gone best, so the surviving ancestor holds the new one, if any is left.
        set_best(core, ladder, 0 if core.nodes[node].bits == 0 else first_level(core, node, depth))


cdef inline void close_leaf(Core* core, Ladder* ladder, uint32_t leaf) noexcept nogil:
    """Free the best levels' leaf, which has no orders left, with the nodes left empty above it; find the next best."""
    cdef uint32_t depth = 0
    if leaf != ladder.root:
        ladder.leaves[core.nodes[leaf].key & (LEAVES_KNOWN - 1)] = 0
        release_held(core, leaf)
        leaf = prune(core, ladder, leaf, &depth)
    set_best(core, ladder, 0 if core.nodes[leaf].bits == 0 else first_level(core, leaf, depth))


cdef inline bint holds_too_many(const Core* core) noexcept nogil:
    """Whether so many level records are in use that one left empty is given back: as many as orders may rest.

    So levels left empty are never more than that, and as many again are there for levels with orders.
    """
    return core.level_top - core.level_free_count > core.order_capacity


cdef inline void release_level(Core* core, uint32_t leaf, uint32_t digit) noexcept nogil:
    """Give back the record of a level left empty."""
    cdef uint32_t index = core.nodes[leaf].child[digit]
    core.nodes[leaf].child[digit] = 0
    core.levels[index].head = core.level_free
    core.level_free = index
    core.level_free_count += 1


cdef inline void release_held(Core* core, uint32_t leaf) noexcept nogil:
    """Give back the records of all levels of a leaf without orders."""
    cdef uint64_t held = core.nodes[leaf].held
    while held:
        release_level(core, leaf, lowest_bit(held))
        held &= held - 1
    core.nodes[leaf].held = 0


cdef inline uint32_t prune(Core* core, const Ladder* ladder, uint32_t node, uint32_t* depth) noexcept nogil:
    """Free empty nodes from a leaf upwards; the one that stays, and in `depth` its digits above the leaves."""
    cdef uint32_t parent
    while core.nodes[node].bits == 0 and node != ladder.root:
        parent = core.nodes[node].parent
        core.nodes[parent].bits &= ~(<uint64_t>1 << (core.nodes[node].key & 63))
        core.nodes[parent].child[core.nodes[node].key & 63] = 0
        release_node(core, node)
        node = parent
        depth[0] += 1
    return node


cdef inline void push_order(Core* core, uint32_t slot, uint32_t index, int64_t quantity) noexcept nogil:
    """Rest an order at the back of a level."""
    cdef Level* level = &core.levels[index]
    cdef Order* order = &core.orders[slot]
    order.quantity = quantity
    order.level = index
    order.next = 0
    order.prev = level.tail
    if level.tail:
        core.orders[level.tail].next = slot
    else:
        level.head = slot
    level.tail = slot
    level.count += 1
    level.total += quantity
    core.ladders[level.ladder].open_lots += quantity


cdef inline void reduce_order(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Take quantity off a resting order; it keeps its place."""
    cdef Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    order.quantity -= quantity
    level.total -= quantity
    core.ladders[level.ladder].open_lots -= quantity


cdef inline void unlink_order(Core* core, uint32_t slot) noexcept nogil:
    """Take a resting order out of its level with all it has left; the level goes with its last order."""
    cdef Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    reduce_order(core, slot, order.quantity)
    # Without a branch that depends on the place in line; order 0 takes what concerns no neighbour.
    core.orders[order.prev].next = order.next
    core.orders[order.next].prev = order.prev
    level.head = level.head if order.prev else order.next
    level.tail = level.tail if order.next else order.prev
    level.count -= 1
    if level.count == 0:
        drop_level(core, order.level)


cdef inline void move_to_back(Core* core, uint32_t slot) noexcept nogil:
    """Put a resting order behind all others of its level."""
    cdef Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    if order.next == 0:
        return
    core.orders[order.next].prev = order.prev
    if order.prev:
        core.orders[order.prev].next = order.next
    else:
        level.head = order.next
    order.prev = level.tail
    order.next = 0
    core.orders[level.tail].next = slot
    level.tail = slot
