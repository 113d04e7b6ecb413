# cython: language_level=3
"""The short way of what most commands are: NEW without options but IOC, CANCEL and AMEND of an order without extras.

Each function first makes sure that its command is one it knows and that nothing refuses it; otherwise it changes
nothing and answers 0, and the general way, which knows everything, takes the command from its start. A walk that meets
a maker with an option, or its own owner, hands over in the middle. Both ways write the same bytes.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_ACCEPTED, EVENT_AMENDED, EVENT_CANCELED, EVENT_DEPTH, EVENT_TRADE, IOC, IOC_REMAINDER, NO_LIQUIDITY, OK,
    POST_ONLY, QUANTITY_MAX, REDUCE_ONLY, SIDE_MAX, STP_MASK, USER_REQUEST,
)
from matching_core._commands cimport proceed, start
from matching_core._order_pool cimport (
    HEIGHT_MAX, ORDER_COLD, ORDER_RARE, PHASE_WALK, Command, Core, Event, Instrument, Ladder, Level, Order, Taker,
    find_instrument, find_slot, has_slot, rare, release_slot, take_slot,
)
from matching_core._price_level cimport make_level, push_order, reduce_order, unlink_order


# What a plain NEW may ask for: the last two change nothing for an order that meets nobody.
cdef enum:
    PLAIN_FLAGS = IOC | POST_ONLY | STP_MASK


# Events a walk keeps free beside one per touched level: trade, the taker's end, its own level.
cdef enum:
    EVENTS_KEPT_FREE = 4


cdef struct Plain:                   # a plain order on its way through the other side
    int64_t remaining
    uint32_t index                   # of the instrument
    uint32_t slot
    uint32_t touched_count
    uint32_t written                 # events


cdef inline void write_event(
    Event* event, uint8_t kind, uint8_t side, uint16_t code, uint32_t instrument, uint64_t handle, int64_t price,
    int64_t quantity,
) noexcept nogil:
    event.kind = kind
    event.side = side
    event.code = code
    event.instrument = instrument
    event.handle = handle
    event.price = price
    event.quantity = quantity


cdef inline uint64_t handle_in(const Order* order, uint32_t slot) noexcept nogil:
    return <uint64_t>order.generation << 32 | slot


cdef inline bint is_in_range(const Instrument* listing, int64_t price, int64_t quantity) noexcept nogil:
    return listing.price_min <= price and price <= listing.price_max and 1 <= quantity and quantity <= QUANTITY_MAX


cdef inline bint has_room_to_rest(const Core* core, const Ladder* own, int64_t quantity) noexcept nogil:
    """Whether neither the side's sum nor the trie may run out."""
    if own.open_lots + quantity > SIDE_MAX:
        return False
    return core.node_free_count + (core.node_capacity - 1 - core.node_top) >= HEIGHT_MAX


cdef inline bint reaches(const Core* core, uint32_t ladder, int64_t price) noexcept nogil:
    """Whether an order of this side at this price meets the other side's best; an empty side lies out of reach."""
    return (price - core.ladders[ladder ^ 1].best_price) * core.ladders[ladder].sign <= 0


cdef inline uint32_t plain_new(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    """Events of a NEW without cell and options but IOC; 0: take the general way."""
    cdef uint32_t index = find_instrument(core, command.instrument)
    cdef const Instrument* listing = &core.instruments[index]
    cdef uint8_t side = command.side & 1
    cdef Ladder* own = &core.ladders[2 * index + side]
    cdef uint32_t slot
    cdef Order* order
    if rare(command.side > 1 or command.cell or command.flags & ~<uint32_t>PLAIN_FLAGS or index == 0):
        return 0
    if rare(listing.is_auction):
        return 0
    if rare(not is_in_range(listing, command.price, command.quantity)):
        return 0
    if rare(not has_slot(core) or not has_room_to_rest(core, own, command.quantity)):
        return 0
    if reaches(core, 2 * index + side, command.price) or command.flags & IOC:
        return plain_taker(core, command, index, events, capacity)
    slot = take_slot(core)
    order = &core.orders[slot]
    order.owner = command.owner
    order.flags = command.flags
    write_event(
        events, EVENT_ACCEPTED, side, OK, command.instrument, handle_in(order, slot), command.price, command.quantity
    )
    rest_plain(core, command, 2 * index + side, slot, command.quantity, &events[1])
    return 2


cdef inline void rest_plain(
    Core* core, const Command* command, uint32_t ladder, uint32_t slot, int64_t quantity, Event* event
) noexcept nogil:
    """Rest an order and write its level's DEPTH."""
    cdef uint32_t level = make_level(core, ladder, command.price)
    push_order(core, slot, level, quantity)
    write_event(
        event, EVENT_DEPTH, ladder & 1, OK, core.ladders[ladder].instrument_id, 0, command.price,
        core.levels[level].total,
    )


cdef inline bint is_met_plainly(const Core* core, uint32_t slot, uint32_t owner) noexcept nogil:
    """Whether a match with this maker needs no counter, no slice and no self-trade rule."""
    cdef const Order* maker = &core.orders[slot]
    return not maker.flags & (ORDER_RARE | ORDER_COLD) and (owner == 0 or maker.owner != owner)


cdef inline uint32_t plain_taker(
    Core* core, const Command* command, uint32_t index, Event* events, uint32_t capacity
) noexcept nogil:
    """Events of a checked NEW that reaches the other side or never rests; 0: take the general way."""
    cdef uint8_t side = command.side
    cdef const Ladder* other = &core.ladders[2 * index + 1 - side]
    cdef Order* order
    cdef Plain plain
    if rare(command.flags & ~<uint32_t>IOC):
        return 0
    # An own order in front would refuse the command.
    if other.best and not is_met_plainly(core, core.levels[other.best].head, command.owner):
        return 0
    plain.index = index
    plain.slot = take_slot(core)
    plain.remaining = command.quantity
    plain.touched_count = 0
    plain.written = 1
    order = &core.orders[plain.slot]
    order.owner = command.owner
    order.flags = command.flags
    write_event(
        events, EVENT_ACCEPTED, side, OK, command.instrument, handle_in(order, plain.slot), command.price,
        command.quantity,
    )
    if not walk_plainly(core, command, &plain, events, capacity):
        return hand_over(core, command, &plain, events, capacity)
    return finish_plainly(core, command, &plain, events)


cdef inline bint walk_plainly(
    Core* core, const Command* command, Plain* plain, Event* events, uint32_t capacity
) noexcept nogil:
    """Match while every maker is plain; False where the general walk has to go on."""
    cdef const Ladder* other = &core.ladders[2 * plain.index + 1 - command.side]
    cdef int64_t price = 0
    cdef int64_t quantity
    cdef uint32_t slot
    cdef Order* maker
    while plain.remaining and reaches(core, 2 * plain.index + command.side, command.price):
        slot = core.levels[other.best].head
        maker = &core.orders[slot]
        if rare(not is_met_plainly(core, slot, command.owner)):
            return False
        if rare(plain.written + plain.touched_count + EVENTS_KEPT_FREE > capacity):
            return False
        if plain.touched_count == 0 or price != other.best_price:
            price = other.best_price
            core.touched[plain.touched_count] = price
            plain.touched_count += 1
        quantity = min(plain.remaining, maker.quantity)
        write_event(
            &events[plain.written], EVENT_TRADE, command.side, OK, command.instrument, handle_in(maker, slot), price,
            quantity,
        )
        plain.written += 1
        plain.remaining -= quantity
        if maker.quantity > quantity:
            reduce_order(core, slot, quantity)
        else:
            unlink_order(core, slot)
            release_slot(core, slot)
    return True


cdef inline uint32_t finish_plainly(
    Core* core, const Command* command, Plain* plain, Event* events
) noexcept nogil:
    """End or rest a walked taker, then the touched levels: bids before asks."""
    cdef Order* order = &core.orders[plain.slot]
    cdef uint32_t ladder = 2 * plain.index + command.side
    if plain.remaining and command.flags == 0:
        if command.side:
            write_touched(core, command, plain, events)
        rest_plain(core, command, ladder, plain.slot, plain.remaining, &events[plain.written])
        plain.written += 1
        if command.side == 0:
            write_touched(core, command, plain, events)
        return plain.written
    if plain.remaining:
        write_event(
            &events[plain.written], EVENT_CANCELED, command.side,
            IOC_REMAINDER if plain.touched_count else NO_LIQUIDITY, command.instrument, handle_in(order, plain.slot),
            command.price, plain.remaining,
        )
        plain.written += 1
    release_slot(core, plain.slot)
    write_touched(core, command, plain, events)
    return plain.written


cdef inline void write_touched(Core* core, const Command* command, Plain* plain, Event* events) noexcept nogil:
    """DEPTH of the touched levels of the other side: all but the last are gone."""
    cdef const Ladder* other = &core.ladders[2 * plain.index + 1 - command.side]
    cdef uint32_t index
    cdef int64_t price
    for index in range(plain.touched_count):
        price = core.touched[index]
        write_event(
            &events[plain.written], EVENT_DEPTH, 1 - command.side, OK, command.instrument, 0, price,
            core.levels[other.best].total if price == other.best_price else 0,
        )
        plain.written += 1


cdef inline uint32_t hand_over(
    Core* core, const Command* command, const Plain* plain, Event* events, uint32_t capacity
) noexcept nogil:
    """Let the general walk go on from here."""
    cdef Taker* taker = &core.taker
    start(core, plain.index, command.side)
    taker.slot = plain.slot
    taker.price = command.price
    taker.remaining = plain.remaining
    taker.owner = command.owner
    taker.flags = command.flags
    taker.touched_count = plain.touched_count
    taker.has_traded = plain.touched_count > 0
    core.out = events
    core.out_count = plain.written
    core.out_capacity = capacity
    core.phase = PHASE_WALK
    proceed(core)
    return core.out_count


cdef inline uint32_t plain_cancel(Core* core, const Command* command, Event* events) noexcept nogil:
    """Events of a CANCEL of an order without a cold record; 0: take the general way."""
    cdef uint32_t slot = find_slot(core, <uint64_t>command.cell << 32 | command.owner)
    cdef const Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    cdef uint32_t instrument = core.ladders[level.ladder].instrument_id
    cdef uint8_t side = level.ladder & 1
    if rare(slot == 0 or order.flags & ORDER_COLD):
        return 0
    write_event(
        &events[0], EVENT_CANCELED, side, USER_REQUEST, instrument, handle_in(order, slot), level.price, order.quantity
    )
    write_event(&events[1], EVENT_DEPTH, side, OK, instrument, 0, level.price, level.total - order.quantity)
    unlink_order(core, slot)
    release_slot(core, slot)
    return 2


cdef inline uint32_t plain_amend(Core* core, const Command* command, Event* events) noexcept nogil:
    """Events of an AMEND of an order without a cold record that meets nobody at its new price; 0: the general way."""
    cdef uint32_t index = find_instrument(core, command.instrument)
    cdef uint32_t slot = find_slot(core, <uint64_t>command.cell << 32 | command.owner)
    cdef Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    cdef uint32_t ladder = level.ladder
    if rare(index == 0 or not is_in_range(&core.instruments[index], command.price, command.quantity)):
        return 0
    if rare(slot == 0 or order.flags & (ORDER_COLD | REDUCE_ONLY) or ladder >> 1 != index):
        return 0
    if command.price == level.price and command.quantity <= order.quantity:
        write_event(
            &events[0], EVENT_AMENDED, ladder & 1, OK, command.instrument, handle_in(order, slot), command.price,
            command.quantity,
        )
        reduce_order(core, slot, order.quantity - command.quantity)
        write_event(&events[1], EVENT_DEPTH, ladder & 1, OK, command.instrument, 0, level.price, level.total)
        return 2
    if rare(core.instruments[index].is_auction or reaches(core, ladder, command.price)):
        return 0
    if rare(not has_room_to_rest(core, &core.ladders[ladder], command.quantity)):
        return 0
    return move_plainly(core, command, slot, events)


cdef inline uint32_t move_plainly(Core* core, const Command* command, uint32_t slot, Event* events) noexcept nogil:
    """Put a checked order at the back of the level of its new price; DEPTH of both levels, the better first."""
    cdef const Order* order = &core.orders[slot]
    cdef const Level* level = &core.levels[order.level]
    cdef uint32_t ladder = level.ladder
    cdef int64_t price = level.price
    cdef int64_t total = level.total - order.quantity
    cdef uint32_t place = (command.price - price) * core.ladders[ladder].sign > 0
    write_event(
        &events[0], EVENT_AMENDED, ladder & 1, OK, command.instrument, handle_in(order, slot), command.price,
        command.quantity,
    )
    unlink_order(core, slot)
    rest_plain(core, command, ladder, slot, command.quantity, &events[1 + place])
    if price == command.price:
        return 2
    write_event(&events[2 - place], EVENT_DEPTH, ladder & 1, OK, command.instrument, 0, price, total)
    return 3
