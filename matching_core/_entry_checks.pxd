# cython: language_level=3
"""Writing events, cells, and every check that may refuse a command before the book changes."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    BAD_FLAGS, BAD_SIDE, CAPACITY, EVENT_DEPTH, FLAGS_KNOWN, FOK, FOK_NOT_FILLED, IOC, OK, POST_ONLY,
    POST_ONLY_WOULD_CROSS, PRICE_OUT_OF_RANGE, QUANTITY_MAX, QUANTITY_OUT_OF_RANGE, REDUCE_ONLY,
    REDUCE_ONLY_WOULD_INCREASE, SELF_TRADE, SIDE_MAX, SLIDE, STP_CANCEL_MAKER, STP_CANCEL_TAKER, STP_MASK,
    UNKNOWN_INSTRUMENT,
)
from matching_core._order_pool cimport (
    PHASE_IDLE, Cell, Command, Core, Event, Instrument, Level, Order, Taker, handle_of, has_slot, reserve_cell,
    reserve_nodes,
)
from matching_core._price_level cimport next_level


cdef inline void emit(
    Core* core, uint8_t kind, uint8_t side, uint16_t code, uint32_t instrument, uint64_t handle, int64_t price,
    int64_t quantity,
) noexcept nogil:
    cdef Event* event = &core.out[core.out_count]
    event.kind = kind
    event.side = side
    event.code = code
    event.instrument = instrument
    event.handle = handle
    event.price = price
    event.quantity = quantity
    core.out_count += 1


cdef inline void emit_taker(Core* core, uint8_t kind, uint16_t code, int64_t quantity) noexcept nogil:
    cdef Taker* taker = &core.taker
    emit(
        core, kind, taker.side, code, core.instruments[taker.instrument].id, handle_of(core, taker.slot), taker.price,
        quantity,
    )


cdef inline int64_t other_total(const Core* core, int64_t price) noexcept nogil:
    """Total of the level the walk stopped in: it is the opposite best, or gone as all before it are."""
    cdef uint32_t best = core.ladders[core.taker.ladder ^ 1].best
    return core.levels[best].total if best and core.levels[best].price == price else 0


cdef inline void emit_depth(Core* core) noexcept nogil:
    """Close the command: touched levels, bids before asks, best first; stops when the buffer is full."""
    cdef Taker* taker = &core.taker
    cdef uint32_t own = taker.own_count
    cdef uint32_t other = taker.touched_count
    cdef uint32_t instrument = core.instruments[taker.instrument].id
    cdef uint32_t own_start = other if taker.side else 0
    cdef uint32_t other_start = 0 if taker.side else own
    cdef uint32_t index
    cdef int64_t total
    while taker.depth_index < own + other:
        if core.out_count == core.out_capacity:
            return
        index = taker.depth_index
        if index >= own_start and index < own_start + own:
            index -= own_start
            emit(core, EVENT_DEPTH, taker.side, OK, instrument, 0, taker.own_price[index], taker.own_total[index])
        else:
            index -= other_start
            total = other_total(core, core.touched[index]) if index + 1 == other else 0
            emit(core, EVENT_DEPTH, 1 - taker.side, OK, instrument, 0, core.touched[index], total)
        taker.depth_index += 1
    core.phase = PHASE_IDLE


# Cells.

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


# Checks.

cdef inline uint16_t check_numbers(const Core* core, uint32_t instrument, const Command* command) noexcept nogil:
    cdef const Instrument* listing = &core.instruments[instrument]
    if command.price < listing.price_min or command.price > listing.price_max:
        return PRICE_OUT_OF_RANGE
    if command.quantity < 1 or command.quantity > QUANTITY_MAX:
        return QUANTITY_OUT_OF_RANGE
    return OK


cdef inline bint are_flags_valid(uint32_t flags, uint32_t cell) noexcept nogil:
    if flags & ~<uint32_t>FLAGS_KNOWN:
        return False
    if flags & (IOC | FOK) == IOC | FOK or (flags & (IOC | FOK) and flags & POST_ONLY):
        return False
    if flags & SLIDE and not flags & POST_ONLY:
        return False
    return not (flags & REDUCE_ONLY and cell == 0)


cdef inline uint16_t check_new(const Core* core, uint32_t instrument, const Command* command) noexcept nogil:
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    if command.side > 1:
        return BAD_SIDE
    if command.flags and not are_flags_valid(command.flags, command.cell):
        return BAD_FLAGS
    return check_numbers(core, instrument, command)


cdef inline bint crosses(const Core* core, const Level* level) noexcept nogil:
    """Whether the taker's price reaches a level of the other side."""
    if core.taker.side:
        return core.taker.price <= level.price
    return core.taker.price >= level.price


cdef inline uint32_t crossed_level(const Core* core) noexcept nogil:
    """Best level of the other side if the taker reaches it, else 0."""
    cdef uint32_t best = core.ladders[core.taker.ladder ^ 1].best
    return best if best and crosses(core, &core.levels[best]) else 0


cdef inline uint16_t check_entry(Core* core, int64_t added, bint needs_slot) noexcept nogil:
    """First refusal that depends on the book; a sliding order gets its new price here."""
    cdef Taker* taker = &core.taker
    if taker.flags & REDUCE_ONLY and cell_room(core, taker.cell, taker.side) == 0:
        return REDUCE_ONLY_WOULD_INCREASE
    if taker.flags & POST_ONLY and crossed_level(core) and not slide(core):
        return POST_ONLY_WOULD_CROSS
    if taker.flags & FOK and dry_fill(core) < taker.remaining:
        return FOK_NOT_FILLED
    if needs_slot and not has_slot(core):
        return CAPACITY
    if not taker.flags & (IOC | FOK) and core.ladders[taker.ladder].open_lots + added > SIDE_MAX:
        return CAPACITY
    if not reserve_nodes(core) or not reserve_cell(core):
        return CAPACITY
    if taker.owner and taker.flags & STP_MASK == STP_CANCEL_TAKER and meets_itself_first(core):
        return SELF_TRADE
    return OK


cdef inline bint slide(Core* core) noexcept nogil:
    """Move a crossing sliding order one tick behind the opposite best; False when it may not or cannot."""
    cdef Taker* taker = &core.taker
    cdef const Instrument* listing = &core.instruments[taker.instrument]
    cdef int64_t behind = core.levels[core.ladders[taker.ladder ^ 1].best].price + (1 if taker.side else -1)
    if not taker.flags & SLIDE or behind < listing.price_min or behind > listing.price_max:
        return False
    taker.price = behind
    return True


cdef inline bint meets_itself_first(const Core* core) noexcept nogil:
    """Whether the first maker that would trade or stop the taker is the taker's own."""
    cdef const Order* maker
    cdef uint32_t slot
    cdef uint8_t maker_side = 1 - core.taker.side
    cdef uint32_t index = crossed_level(core)
    while index and crosses(core, &core.levels[index]):
        slot = core.levels[index].head
        while slot:
            maker = &core.orders[slot]
            if maker.owner == core.taker.owner:
                return True
            if not maker.flags & REDUCE_ONLY or cell_room(core, core.order_cell[slot], maker_side):
                return False
            slot = maker.next
        index = next_level(core, index)
    return False


# Dry walk.

cdef inline bint levels_suffice(Core* core) noexcept nogil:
    """Whether the totals of the crossed levels reach the taker's quantity: the quick refusal of FOK."""
    cdef int64_t left = core.taker.remaining
    cdef uint32_t index = crossed_level(core)
    while index and crosses(core, &core.levels[index]):
        left -= core.levels[index].total
        if left <= 0:
            return True
        index = next_level(core, index)
    return False


cdef inline int64_t dry_fill(Core* core) noexcept nogil:
    """Lots the taker would trade, by the rules of the real walk on scratch cells; fewer when totals already refuse."""
    cdef int64_t left = core.taker.remaining
    cdef uint32_t index = crossed_level(core)
    if core.taker.flags & FOK and not levels_suffice(core):
        return 0
    core.walk += 1
    while index and left and crosses(core, &core.levels[index]):
        if not dry_fill_level(core, index, &left):
            break
        index = next_level(core, index)
    return core.taker.remaining - left


cdef inline bint dry_fill_level(Core* core, uint32_t index, int64_t* left) noexcept nogil:
    """Take one level off `left`; False when the taker's walk would end in it."""
    cdef const Taker* taker = &core.taker
    cdef int64_t quantity
    cdef uint32_t slot = core.levels[index].head
    while slot and left[0]:
        if taker.owner and core.orders[slot].owner == taker.owner:
            if taker.flags & STP_MASK != STP_CANCEL_MAKER:
                return False
        else:
            quantity = dry_fill_maker(core, slot, left[0])
            move_scratch(core, core.order_cell[slot], 1 - taker.side, quantity)
            move_scratch(core, taker.cell, taker.side, quantity)
            left[0] -= quantity
            if taker.flags & REDUCE_ONLY and room_of(scratch_cell(core, taker.cell)[0], taker.side) == 0:
                return False
        slot = core.orders[slot].next
    return True


cdef inline int64_t dry_fill_maker(Core* core, uint32_t slot, int64_t left) noexcept nogil:
    cdef const Taker* taker = &core.taker
    cdef const Order* maker = &core.orders[slot]
    cdef int64_t quantity = min(left, maker.quantity)
    if maker.flags & REDUCE_ONLY:
        quantity = min(quantity, room_of(scratch_cell(core, core.order_cell[slot])[0], 1 - taker.side))
    if taker.flags & REDUCE_ONLY:
        quantity = min(quantity, room_of(scratch_cell(core, taker.cell)[0], taker.side))
    return quantity
