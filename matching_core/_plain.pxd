# cython: language_level=3
"""The short way of what most commands are: NEW without options but IOC, CANCEL and AMEND of an order without extras.

Each function first makes sure that its command is one it knows and that nothing refuses it; otherwise it changes
nothing and answers 0, and the next, at last the general way, which knows everything, takes the command from its start.
A walk that meets a maker with an option, or its own owner, hands over in the middle. All ways write the same bytes.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_ACCEPTED, EVENT_AMENDED, EVENT_CANCELED, EVENT_DEPTH, EVENT_TRADE, IOC, IOC_REMAINDER, NO_LIQUIDITY,
    POST_ONLY, QUANTITY_MAX, REDUCE_ONLY, SIDE_MAX, STP_MASK, USER_REQUEST,
)
from matching_core._commands cimport proceed, start
from matching_core._counters cimport find_cell, move_cell
from matching_core._order_pool cimport (
    LEAVES_KNOWN, ORDER_COLD, ORDER_HAS_CELL, PHASE_WALK, Command, Core, Event, Ladder, Level, Node, Order, Taker,
    apart_t, chosen, find_instrument, following_generation, handle_of, has_slot, long_word_at,
    put_event, rare, release_slot, take_slot, word_at,
)
from matching_core._price_level cimport (
    drop_level, make_level, offset_of, push_order, reduce_order, take_up, unlink_order,
)
from matching_core._sweep cimport MAKER_RARE, sweep_level
from matching_core._trie_nodes cimport has_nodes


cdef enum:
    CODE_SHIFT = 16                  # of an event's first eight bytes
    SIDE_BITS = 62                   # of SIDE_MAX
    EVENTS_KEPT_FREE = 4             # by a walk beside one per touched level: trade, the taker's end, its own level


cdef struct Plain:                   # a plain order on its way through the other side
    int64_t remaining
    uint32_t ladder                  # its own
    uint32_t slot
    uint32_t cell                    # index
    uint32_t touched_count
    Event* out                       # next event


cdef inline bint is_in_range(const Ladder* ladder, int64_t price, int64_t quantity) noexcept nogil:
    """Whether price and quantity are of the band and no auction is on."""
    return offset_of(ladder, price) < ladder.limit and <uint64_t>quantity - 1 < <uint64_t>QUANTITY_MAX


cdef inline bint reaches(const Core* core, uint32_t ladder, int64_t price) noexcept nogil:
    """Whether an order of this side at this price meets the other side's best; an empty side lies out of reach."""
    return price ^ core.ladders[ladder].mask <= core.ladders[ladder].reach


cdef inline uint32_t leaf_of(const Ladder* own, uint64_t offset) noexcept nogil:
    """The leaf among those used last that may be an offset's."""
    return own.leaves[(offset >> 6) & (LEAVES_KNOWN - 1)]


cdef inline uint32_t known_level(const Core* core, const Ladder* own, uint64_t offset) noexcept nogil:
    """Level at an offset of the band, left empty or not, where its leaf is one of those used last; else 0."""
    cdef const Node* leaf = &core.nodes[leaf_of(own, offset)]
    return 0 if rare(leaf.key != offset >> 6) else leaf.child[offset & 63]


cdef inline apart_t make_level_apart(Core* core, uint32_t ladder, int64_t price) noexcept nogil:
    return make_level(core, ladder, price) if has_nodes(core) else 0


cdef inline apart_t drop_level_apart(Core* core, uint32_t index) noexcept nogil:
    drop_level(core, index)
    return 2


cdef inline uint32_t level_to_join(Core* core, const Command* command, Ladder** joined) noexcept nogil:
    """Level in which a NEW rests without meeting anyone, opened where it has to be; 0: another way takes it."""
    cdef uint32_t head = word_at(command)
    cdef uint32_t ladder = 2 * find_instrument(core, command.instrument) + (head >> 8 & 1)
    cdef Ladder* own = &core.ladders[ladder]
    cdef int64_t price = command.price
    cdef uint32_t index
    joined[0] = own
    # Post-only and the self-trade mode change nothing for an order that meets nobody. No instrument has limit 0.
    if rare(head & ~(<uint32_t>(POST_ONLY | STP_MASK) << 16 | 0x1FF)):
        return 0
    if rare(not is_in_range(own, price, command.quantity)) or reaches(core, ladder, price):
        return 0
    if rare(core.order_free == 0 or (own.open_lots + command.quantity - 1) >> SIDE_BITS):
        return 0
    index = known_level(core, own, offset_of(own, price))
    if rare(index == 0):
        return make_level_apart(core, ladder, price)
    take_up(core, ladder, leaf_of(own, offset_of(own, price)), index, price)
    return index


cdef inline uint32_t plain_rest(
    Core* core, const Command* command, Ladder* own, uint32_t index, uint32_t cell, Event* events
) noexcept nogil:
    """Put a checked order at the back of its level, into the slot freed last; its two events."""
    cdef uint32_t slot = core.order_free
    cdef Order* orders = core.orders
    cdef Order* order = &orders[slot]
    cdef Level* level = &core.levels[index]
    cdef int64_t quantity = command.quantity
    cdef uint32_t tail = level.tail
    put_event(events, own.mark | EVENT_ACCEPTED, <uint64_t>order.generation << 32 | slot, command.price, quantity)
    own.open_lots += quantity
    level.total += quantity
    put_event(events + 1, own.mark | EVENT_DEPTH, 0, command.price, level.total)
    level.count += 1
    level.tail = slot
    chosen(tail, &orders[tail].next, &level.head)[0] = slot
    core.order_free = order.next
    core.order_count += 1
    order.quantity = quantity
    order.next = 0
    order.prev = tail
    order.level = index
    order.owner = command.owner
    order.flags = command.flags
    if cell:
        order.flags |= ORDER_HAS_CELL
        core.links[slot] = cell
    return 2


cdef inline uint32_t find_or_make(Core* core, uint32_t ladder, int64_t price) noexcept nogil:
    """Level at a price of the band; the caller has made sure of the trie's room."""
    cdef const Ladder* own = &core.ladders[ladder]
    cdef uint32_t index = known_level(core, own, offset_of(own, price))
    if rare(index == 0):
        return make_level_apart(core, ladder, price)
    take_up(core, ladder, leaf_of(own, offset_of(own, price)), index, price)
    return index


cdef inline void rest_plain(
    Core* core, uint32_t ladder, uint32_t slot, int64_t price, int64_t quantity, Event* event
) noexcept nogil:
    """Rest an order and write its level's DEPTH."""
    cdef uint32_t index = find_or_make(core, ladder, price)
    push_order(core, slot, index, quantity)
    put_event(event, core.ladders[ladder].mark | EVENT_DEPTH, 0, price, core.levels[index].total)


cdef inline uint32_t plain_take(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    """Events of a NEW that reaches the other side, or never rests, with no option but IOC; 0: take the general way."""
    cdef uint32_t ladder = 2 * find_instrument(core, command.instrument) + (command.side & 1)
    cdef const Ladder* own = &core.ladders[ladder]
    cdef const Order* first = &core.orders[core.levels[core.ladders[ladder ^ 1].best].head]
    cdef Plain plain
    if command.side > 1 or command.flags & ~<uint32_t>IOC or not is_in_range(own, command.price, command.quantity):
        return 0
    if not has_slot(core) or own.open_lots > SIDE_MAX - command.quantity or not has_nodes(core):
        return 0
    # An own order in front would refuse the command.
    if first.flags & MAKER_RARE or (command.owner and first.owner == command.owner):
        return 0
    plain.cell = find_cell(core, command.cell) if command.cell else 0
    if command.cell and plain.cell == 0:
        return 0
    plain.ladder = ladder
    plain.slot = take_slot(core)
    plain.remaining = command.quantity
    plain.touched_count = 0
    core.orders[plain.slot].owner = command.owner
    core.orders[plain.slot].flags = command.flags | (ORDER_HAS_CELL if plain.cell else 0)
    core.links[plain.slot] = plain.cell
    put_event(events, own.mark | EVENT_ACCEPTED, handle_of(core, plain.slot), command.price, command.quantity)
    plain.out = events + 1
    if not walk_plainly(core, command, &plain, events, capacity):
        return hand_over(core, command, &plain, events, capacity)
    finish_plainly(core, command, &plain)
    return <uint32_t>(plain.out - events)


cdef inline bint walk_plainly(
    Core* core, const Command* command, Plain* plain, Event* events, uint32_t capacity
) noexcept nogil:
    """Match while every maker is plain; False where the general walk has to go on."""
    cdef const Ladder* other = &core.ladders[plain.ladder ^ 1]
    cdef uint64_t head = core.ladders[plain.ladder].mark | EVENT_TRADE
    cdef int64_t price, quantity
    cdef Event* limit
    while plain.remaining and reaches(core, plain.ladder, command.price):
        limit = events + capacity + 1 - EVENTS_KEPT_FREE - min(plain.touched_count, capacity - EVENTS_KEPT_FREE)
        price = core.levels[other.best].price
        quantity = sweep_level(core, other.best, head, command.owner, plain.remaining, &plain.out, limit)
        if rare(quantity == 0):
            return False
        plain.remaining -= quantity
        move_cell(core, plain.cell, command.side, quantity)
        # A level that is not used up ends the walk, so none comes twice.
        core.touched[plain.touched_count] = price
        plain.touched_count += 1
    return True


cdef inline void finish_plainly(Core* core, const Command* command, Plain* plain) noexcept nogil:
    """End or rest a walked taker, then the touched levels: bids before asks."""
    cdef uint64_t head = core.ladders[plain.ladder].mark | EVENT_CANCELED
    if plain.remaining and command.flags == 0:
        if command.side:
            write_touched(core, plain)
        rest_plain(core, plain.ladder, plain.slot, command.price, plain.remaining, plain.out)
        plain.out += 1
        if command.side == 0:
            write_touched(core, plain)
        return
    if plain.remaining:
        head |= (IOC_REMAINDER if plain.touched_count else NO_LIQUIDITY) << CODE_SHIFT
        put_event(plain.out, head, handle_of(core, plain.slot), command.price, plain.remaining)
        plain.out += 1
    release_slot(core, plain.slot)
    write_touched(core, plain)


cdef inline int64_t total_at(const Core* core, const Ladder* other, int64_t price) noexcept nogil:
    """Total of the level where a walk has stopped: it is the best, or gone."""
    return core.levels[other.best].total if price ^ other.mask == other.best_key else 0


cdef inline void write_touched(Core* core, Plain* plain) noexcept nogil:
    """DEPTH of the touched levels of the other side: all but the last are gone."""
    cdef const Ladder* other = &core.ladders[plain.ladder ^ 1]
    cdef uint64_t head = other.mark | EVENT_DEPTH
    cdef uint32_t last = plain.touched_count - 1
    cdef uint32_t index
    if plain.touched_count == 0:
        return
    for index in range(last):
        put_event(plain.out + index, head, 0, core.touched[index], 0)
    put_event(plain.out + last, head, 0, core.touched[last], total_at(core, other, core.touched[last]))
    plain.out += plain.touched_count


cdef inline uint32_t hand_over(
    Core* core, const Command* command, const Plain* plain, Event* events, uint32_t capacity
) noexcept nogil:
    """Let the general walk go on from here."""
    cdef Taker* taker = &core.taker
    start(core, plain.ladder >> 1, command.side)
    taker.slot = plain.slot
    taker.price = command.price
    taker.remaining = plain.remaining
    taker.owner = command.owner
    taker.flags = core.orders[plain.slot].flags
    taker.cell = plain.cell
    taker.touched_count = plain.touched_count
    taker.has_traded = plain.touched_count > 0
    core.out = events
    core.out_count = <uint32_t>(plain.out - events)
    core.out_capacity = capacity
    core.phase = PHASE_WALK
    proceed(core)
    return core.out_count


cdef inline bint is_plain(const Core* core, uint32_t slot, uint32_t generation) noexcept nogil:
    """Whether a handle names an order that rests and has no cold record; slot 0 never has a quantity."""
    cdef const Order* order = &core.orders[slot]
    if slot > core.order_top or order.generation != generation:
        return False
    return order.quantity != 0 and order.flags & ORDER_COLD == 0


cdef inline uint32_t plain_cancel(Core* core, const Command* command, Event* events) noexcept nogil:
    """Take out an order that is_plain; its two events."""
    cdef uint32_t slot = command.owner
    cdef Order* orders = core.orders
    cdef Order* order = &orders[slot]
    cdef uint32_t index = order.level
    cdef Level* level = &core.levels[index]
    cdef Ladder* own = &core.ladders[level.ladder]
    cdef uint32_t before = order.prev
    cdef uint32_t after = order.next
    # Slot and generation stand in the command as they do in a handle.
    put_event(
        events, own.mark | EVENT_CANCELED | USER_REQUEST << CODE_SHIFT, long_word_at(&command.owner),
        level.price, order.quantity,
    )
    own.open_lots -= order.quantity
    level.total -= order.quantity
    put_event(events + 1, own.mark | EVENT_DEPTH, 0, level.price, level.total)
    chosen(before, &orders[before].next, &level.head)[0] = after
    chosen(after, &orders[after].prev, &level.tail)[0] = before
    order.quantity = 0
    order.generation = following_generation(command.cell)
    order.next = core.order_free
    core.order_free = slot
    core.order_count -= 1
    level.count -= 1
    return drop_level_apart(core, index) if level.count == 0 else 2


cdef inline uint32_t plain_amend(Core* core, const Command* command, Event* events) noexcept nogil:
    """Events of an AMEND of an order without a cold record that meets nobody at its new price; 0: the general way."""
    cdef uint32_t slot = command.owner
    cdef const Order* order = &core.orders[slot if is_plain(core, slot, command.cell) else 0]
    cdef const Level* level = &core.levels[order.level]
    cdef uint32_t ladder = level.ladder
    cdef const Ladder* own = &core.ladders[ladder]
    if rare(order.quantity == 0 or order.flags & REDUCE_ONLY or own.mark >> 32 != command.instrument):
        return 0
    if rare(not is_in_range(own, command.price, command.quantity)):
        return 0
    if command.price == level.price and command.quantity <= order.quantity:
        put_event(events, own.mark | EVENT_AMENDED, handle_of(core, slot), command.price, command.quantity)
        reduce_order(core, slot, order.quantity - command.quantity)
        put_event(events + 1, own.mark | EVENT_DEPTH, 0, level.price, level.total)
        return 2
    if reaches(core, ladder, command.price) or rare(own.open_lots > SIDE_MAX - command.quantity or not has_nodes(core)):
        return 0
    return move_plainly(core, command, slot, events)


cdef inline uint32_t move_plainly(Core* core, const Command* command, uint32_t slot, Event* events) noexcept nogil:
    """Put a checked order at the back of the level of its new price; DEPTH of both levels, the better first."""
    cdef const Order* order = &core.orders[slot]
    cdef const Level* level = &core.levels[order.level]
    cdef uint32_t ladder = level.ladder
    cdef const Ladder* own = &core.ladders[ladder]
    cdef int64_t price = level.price
    cdef int64_t total = level.total - order.quantity
    cdef uint32_t place = offset_of(own, command.price) > offset_of(own, price)
    put_event(events, own.mark | EVENT_AMENDED, handle_of(core, slot), command.price, command.quantity)
    unlink_order(core, slot)
    rest_plain(core, ladder, slot, command.price, command.quantity, events + 1 + place)
    if price == command.price:
        return 2
    put_event(events + 2 - place, own.mark | EVENT_DEPTH, 0, price, total)
    return 3
