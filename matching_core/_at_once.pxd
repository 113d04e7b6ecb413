# cython: language_level=3
"""The short way of an IOC order through the levels of the best one's leaf.

Whether a level is used up is asked of the level, not of its orders: these are anywhere in the pool, and a jump that
nobody foresees costs as much as it takes to learn which way it goes. So a level whose total is wanted is filled whole,
order by order but without a question, and only the last one is asked how far it goes.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_ACCEPTED, EVENT_CANCELED, EVENT_DEPTH, EVENT_TRADE, IOC, IOC_REMAINDER, KIND_NEW, NO_LIQUIDITY, SIDE_MAX,
)
from matching_core._counters cimport move_cell
from matching_core._order_pool cimport (
    LEAVES_KNOWN, ORDER_HAS_CELL, TOUCHED_AT_ONCE, Command, Core, Event, Ladder, Level, Node, Order, apart_t,
    find_instrument, following_generation, handle_of, put_event, rare, word_at,
)
from matching_core._plain cimport CODE_SHIFT, Plain, finish_plainly, hand_over, is_in_range, walk_plainly
from matching_core._price_level cimport close_leaf, holds_too_many, lowest_bit, set_best
from matching_core._sweep cimport MAKER_RARE
from matching_core._trie_nodes cimport has_nodes


cdef enum:
    FEW = 8                          # orders of a level that is filled whole; longer lines are for sweep_level
    EVENTS_LEFT = 96                 # room behind the last level begun: 8 trades, 64 levels, the order's end, spare
    EVENTS_LEAST = 128
    IOC_HEAD = KIND_NEW | IOC << 16  # of a command's first four bytes, but for the side


cdef struct Walk:                    # an IOC order among the levels of one leaf
    Event* out                       # next event
    const Event* limit               # no level and no order is begun behind it
    uint64_t head                    # of a TRADE
    uint64_t owner                   # one that no order has, where the taker has none
    uint64_t open                    # levels in reach that are not filled whole
    int64_t left
    uint32_t released                # slot freed last
    uint32_t gone                    # makers used up
    uint32_t touched                 # levels
    uint32_t ladder                  # of the taker


cdef inline uint64_t bits_up_to(const Node* leaf, uint64_t offset) noexcept nogil:
    """Levels of a leaf up to an offset."""
    cdef int64_t digit = <int64_t>(offset - (leaf.key << 6))
    cdef uint64_t reached = ((<uint64_t>2 << (digit & 63)) - 1) | -<uint64_t>(digit > 63)
    return leaf.bits & (0 if digit < 0 else reached)


cdef inline bint is_odd(const Order* maker, uint64_t owner) noexcept nogil:
    """Whether a match needs more rules than price and time."""
    return maker.flags & MAKER_RARE or maker.owner == owner


cdef inline int64_t fill_order(Core* core, Walk* walk, const Level* level, uint32_t* slot) noexcept nogil:
    """Use up the order in front, `slot` is the next then; its lots, 0 where it is not plain or there is no room."""
    cdef Order* maker = &core.orders[slot[0]]
    cdef uint32_t following = maker.next
    cdef int64_t quantity = maker.quantity
    if rare(is_odd(maker, walk.owner) or walk.out > walk.limit + FEW):
        return 0
    put_event(walk.out, walk.head, handle_of(core, slot[0]), level.price, quantity)
    walk.out += 1
    if rare(maker.flags & ORDER_HAS_CELL):
        move_cell(core, core.links[slot[0]], level.ladder & 1, quantity)
    maker.quantity = 0
    maker.generation = following_generation(maker.generation)
    maker.next = walk.released
    walk.released = slot[0]
    slot[0] = following
    return quantity


cdef inline void settle_level(
    Core* core, Walk* walk, Level* level, uint32_t slot, uint32_t gone, int64_t lots
) noexcept nogil:
    """Book what has been filled of a level that stays: `slot` is in front now."""
    core.touched[walk.touched] = level.price
    walk.touched += lots != 0
    walk.gone += gone
    level.total -= lots
    level.count -= gone
    level.head = slot
    core.orders[slot].prev = 0


cdef inline bint fill_whole(Core* core, Walk* walk, Level* level) noexcept nogil:
    """Fill a level of few orders whose total is wanted; False where one of them is not plain."""
    cdef uint32_t slot = level.head
    cdef uint32_t count = level.count
    cdef int64_t lots = 0
    while count:
        if rare(is_odd(&core.orders[slot], walk.owner)):
            settle_level(core, walk, level, slot, level.count - count, lots)
            walk.left -= lots
            return False
        lots += fill_order(core, walk, level, &slot)
        count -= 1
    core.touched[walk.touched] = level.price
    walk.touched += 1
    walk.gone += level.count
    walk.left -= level.total
    level.total = 0
    level.head = level.tail = level.count = 0
    return True


cdef inline bint fill_levels(Core* core, Walk* walk, const Node* leaf) noexcept nogil:
    """Fill the levels that are wanted whole; False where the general walk has to go on."""
    cdef Level* level
    while walk.open:
        level = &core.levels[leaf.child[lowest_bit(walk.open)]]
        if walk.left < level.total:
            return True
        if rare(level.count > FEW or walk.out > walk.limit or not fill_whole(core, walk, level)):
            return False
        walk.open &= walk.open - 1
    return True


cdef inline bint fill_part(Core* core, Walk* walk, Level* level) noexcept nogil:
    """Fill what is left of the order in a level that has more; False where the general walk has to go on."""
    cdef int64_t wanted = walk.left
    cdef int64_t quantity
    cdef uint32_t slot = level.head
    cdef uint32_t gone = 0
    cdef Order* maker
    while walk.left >= core.orders[slot].quantity:
        quantity = fill_order(core, walk, level, &slot)
        if rare(quantity == 0):
            break
        walk.left -= quantity
        gone += 1
    maker = &core.orders[slot]
    if rare(walk.left and (is_odd(maker, walk.owner) or walk.left >= maker.quantity)):
        settle_level(core, walk, level, slot, gone, wanted - walk.left)
        return False
    put_event(walk.out, walk.head, handle_of(core, slot), level.price, walk.left)
    walk.out += walk.left != 0
    # With nothing left the maker was not looked at: its link may be that of an extension.
    if rare(maker.flags & ORDER_HAS_CELL and walk.left):
        move_cell(core, core.links[slot], level.ladder & 1, walk.left)
    maker.quantity -= walk.left
    settle_level(core, walk, level, slot, gone, wanted)
    walk.left = 0
    return True


cdef inline void settle_leaf(
    Core* core, uint32_t ladder, uint32_t index, uint64_t filled, int64_t lots, uint32_t gone
) noexcept nogil:
    """Book what a walk has filled in a leaf: the levels left empty, the best of those that stay, lots and orders."""
    cdef Ladder* other = &core.ladders[ladder]
    cdef Node* leaf = &core.nodes[index]
    leaf.bits ^= filled
    if rare(leaf.bits == 0):
        close_leaf(core, other, index)
    else:
        set_best(core, other, leaf.child[lowest_bit(leaf.bits)])
    other.open_lots -= lots
    core.order_count -= gone


cdef inline apart_t go_on_plainly(
    Core* core, const Command* command, Walk walk, uint32_t index, uint64_t filled, Event* events, uint32_t capacity
) noexcept nogil:
    """Let the walk through every level go on from here, with the order in its slot."""
    cdef Plain plain
    settle_leaf(core, walk.ladder ^ 1, index, filled, command.quantity - walk.left, walk.gone)
    plain.slot = core.order_free
    plain.ladder = walk.ladder
    plain.cell = 0
    plain.remaining = walk.left
    plain.touched_count = walk.touched
    plain.out = walk.out
    core.order_free = walk.released
    core.order_count += 1
    core.orders[plain.slot].owner = command.owner
    core.orders[plain.slot].flags = command.flags
    core.links[plain.slot] = 0
    if not walk_plainly(core, command, &plain, events, capacity):
        return hand_over(core, command, &plain, events, capacity)
    finish_plainly(core, command, &plain)
    return <uint32_t>(plain.out - events)


cdef inline uint32_t finish_at_once(Core* core, const Walk* walk, int64_t total, Event* events) noexcept nogil:
    """Free the order's slot and write the touched levels, of which the last has `total`; all events."""
    cdef const Ladder* other = &core.ladders[walk.ladder ^ 1]
    cdef Order* taker = &core.orders[core.order_free]
    cdef uint32_t place
    taker.generation = following_generation(taker.generation)
    taker.next = walk.released
    # Some more than there are cost less than a jump on how many they are.
    for place in range(<uint32_t>TOUCHED_AT_ONCE):
        put_event(walk.out + place, other.mark | EVENT_DEPTH, 0, core.touched[place], 0)
    for place in range(<uint32_t>TOUCHED_AT_ONCE, walk.touched):
        put_event(walk.out + place, other.mark | EVENT_DEPTH, 0, core.touched[place], 0)
    walk.out[walk.touched - (walk.touched != 0)].quantity = total
    return <uint32_t>(walk.out + walk.touched - events)


cdef inline bint fits(
    const Core* core, const Command* command, const Ladder* own, const Ladder* other, uint32_t capacity
) noexcept nogil:
    """Whether a command is one that goes this way and nothing refuses it."""
    cdef const Order* first = &core.orders[core.levels[other.best].head]
    if word_at(command) & ~<uint32_t>0x100 != IOC_HEAD or command.cell:
        return False
    if rare(not is_in_range(own, command.price, command.quantity) or capacity < EVENTS_LEAST or core.order_free == 0):
        return False
    if rare(own.open_lots > SIDE_MAX - command.quantity or not has_nodes(core) or holds_too_many(core)):
        return False
    # An own order in front would refuse the command.
    return not rare(first.flags & MAKER_RARE or (command.owner and first.owner == command.owner))


cdef inline uint32_t take_at_once(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    """Events of an IOC order without a cell whose reach ends in the best level's leaf; 0: another way takes it."""
    cdef uint32_t ladder = 2 * find_instrument(core, command.instrument) + (command.side & 1)
    cdef const Ladder* own = &core.ladders[ladder]
    cdef const Ladder* other = &core.ladders[ladder ^ 1]
    cdef uint64_t best = <uint64_t>other.best_key - <uint64_t>other.base
    cdef uint64_t reach = <uint64_t>(command.price ^ other.mask) - <uint64_t>other.base
    cdef uint32_t index = other.leaves[(best >> 6) & (LEAVES_KNOWN - 1)]
    cdef const Node* leaf = &core.nodes[index]
    cdef uint64_t reached = bits_up_to(leaf, reach)
    cdef uint64_t handle = handle_of(core, core.order_free)
    cdef int64_t total = 0
    cdef bint is_last
    cdef Level* level
    cdef Walk walk
    if not fits(core, command, own, other, capacity) or rare(leaf.key != best >> 6 or reach >> 6 > leaf.key):
        return 0
    put_event(events, own.mark | EVENT_ACCEPTED, handle, command.price, command.quantity)
    walk.out, walk.limit = events + 1, events + capacity - EVENTS_LEFT
    walk.head, walk.owner = own.mark | EVENT_TRADE, command.owner if command.owner else <uint64_t>1 << 32
    walk.open, walk.left, walk.ladder = reached, command.quantity, ladder
    walk.released, walk.gone, walk.touched = core.orders[core.order_free].next, 0, 0
    if rare(not fill_levels(core, &walk, leaf)):
        return go_on_plainly(core, command, walk, index, reached ^ walk.open, events, capacity)
    if walk.open:
        level = &core.levels[leaf.child[lowest_bit(walk.open)]]
        # Where nothing is left, the level is not touched.
        is_last = walk.left != 0
        if rare(not fill_part(core, &walk, level)):
            return go_on_plainly(core, command, walk, index, reached ^ walk.open, events, capacity)
        total = level.total if is_last else 0
    else:
        put_event(
            walk.out, own.mark | EVENT_CANCELED | (IOC_REMAINDER if walk.touched else NO_LIQUIDITY) << CODE_SHIFT,
            handle, command.price, walk.left,
        )
        walk.out += walk.left != 0
    settle_leaf(core, ladder ^ 1, index, reached ^ walk.open, command.quantity - walk.left, walk.gone)
    return finish_at_once(core, &walk, total, events)
