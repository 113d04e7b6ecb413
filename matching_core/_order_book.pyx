# cython: language_level=3, embedsignature=False, binding=True
"""The compiled order book: the matching loop in C, and the Python class around it.

A command runs in three steps: check everything, change the book while writing events, close with the touched levels.
Only the first may refuse. The loop owns no Python object and raises nothing; whatever needs memory (a longer event
buffer) happens between two calls of it. Every rule here has its plain form in `order_book`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from matching_core._order_pool cimport (
    HEIGHT_MAX, PHASE_DEPTH, PHASE_IDLE, PHASE_WALK, Cell, Command, Core, Event, Instrument, Ladder, Level, Node, Order,
    Taker, find_cell, find_instrument, find_slot, handle_of, has_slot, release_node, release_slot, reserve_cell, reserve_nodes,
    take_cell, take_node, take_slot,
)
from matching_core._price_level cimport find_level, make_level, next_level, push_order, reduce_order, unlink_order

from hashlib import sha256

from matching_core.invariants import require
from matching_core.limits import (
    DEFAULT_ORDER_CAPACITY, require_capacity, require_cell, require_instrument, require_price_range,
)

__all__ = ["OrderBook"]

cdef enum:  # the numbers of matching_core.fills and matching_core.limits, which a test compares
    KIND_NEW = 1
    KIND_CANCEL = 2
    KIND_AMEND = 3
    EVENT_ACCEPTED = 1
    EVENT_REJECTED = 2
    EVENT_TRADE = 3
    EVENT_CANCELED = 4
    EVENT_AMENDED = 5
    EVENT_DEPTH = 6
    OK = 0
    UNKNOWN_KIND = 1
    UNKNOWN_INSTRUMENT = 2
    BAD_SIDE = 3
    BAD_FLAGS = 4
    PRICE_OUT_OF_RANGE = 5
    QUANTITY_OUT_OF_RANGE = 6
    UNKNOWN_HANDLE = 7
    REDUCE_ONLY_WOULD_INCREASE = 8
    POST_ONLY_WOULD_CROSS = 9
    FOK_NOT_FILLED = 10
    NO_LIQUIDITY = 11
    CAPACITY = 12
    SELF_TRADE = 13
    IOC_REMAINDER = 20
    USER_REQUEST = 21
    SELF_TRADE_MAKER = 22
    SELF_TRADE_DECREMENT = 23
    REDUCE_ONLY_EXCESS = 24
    IOC = 1
    FOK = 2
    POST_ONLY = 4
    SLIDE = 8
    REDUCE_ONLY = 16
    FLAGS_KNOWN = 0x31F
    STP_MASK = 0x300
    STP_CANCEL_TAKER = 0
    STP_CANCEL_MAKER = 0x100
    STP_CANCEL_BOTH = 0x200
    EVENTS_PER_MAKER = 4  # two for the maker, one for the taker's end, one spare

cdef int64_t QUANTITY_MAX = <int64_t>1 << 47
cdef int64_t SIDE_MAX = <int64_t>1 << 62


# Events.

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


cdef void emit_depth(Core* core) noexcept nogil:
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


cdef inline int64_t other_total(const Core* core, int64_t price) noexcept nogil:
    """Total of the level the walk stopped in: it is the opposite best, or gone as all before it are."""
    cdef uint32_t best = core.ladders[core.taker.ladder ^ 1].best
    return core.levels[best].total if best and core.levels[best].price == price else 0


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


cdef uint16_t check_entry(Core* core, int64_t added, bint needs_slot) noexcept nogil:
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


cdef bint slide(Core* core) noexcept nogil:
    """Move a crossing sliding order one tick behind the opposite best; False when it may not or cannot."""
    cdef Taker* taker = &core.taker
    cdef const Instrument* listing = &core.instruments[taker.instrument]
    cdef int64_t behind = core.levels[core.ladders[taker.ladder ^ 1].best].price + (1 if taker.side else -1)
    if not taker.flags & SLIDE or behind < listing.price_min or behind > listing.price_max:
        return False
    taker.price = behind
    return True


cdef bint meets_itself_first(const Core* core) noexcept nogil:
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

cdef bint levels_suffice(Core* core) noexcept nogil:
    """Whether the totals of the crossed levels reach the taker's quantity: the quick refusal of FOK."""
    cdef int64_t left = core.taker.remaining
    cdef uint32_t index = crossed_level(core)
    while index and crosses(core, &core.levels[index]):
        left -= core.levels[index].total
        if left <= 0:
            return True
        index = next_level(core, index)
    return False


cdef int64_t dry_fill(Core* core) noexcept nogil:
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


cdef bint dry_fill_level(Core* core, uint32_t index, int64_t* left) noexcept nogil:
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


cdef int64_t dry_fill_maker(Core* core, uint32_t slot, int64_t left) noexcept nogil:
    cdef const Taker* taker = &core.taker
    cdef const Order* maker = &core.orders[slot]
    cdef int64_t quantity = min(left, maker.quantity)
    if maker.flags & REDUCE_ONLY:
        quantity = min(quantity, room_of(scratch_cell(core, core.order_cell[slot])[0], 1 - taker.side))
    if taker.flags & REDUCE_ONLY:
        quantity = min(quantity, room_of(scratch_cell(core, taker.cell)[0], taker.side))
    return quantity


# The walk.

cdef inline void touch(Core* core, int64_t price) noexcept nogil:
    cdef Taker* taker = &core.taker
    if taker.touched_count == 0 or core.touched[taker.touched_count - 1] != price:
        core.touched[taker.touched_count] = price
        taker.touched_count += 1


cdef inline void drop_order(Core* core, uint32_t slot) noexcept nogil:
    unlink_order(core, slot)
    release_slot(core, slot)


cdef void cancel_maker(Core* core, uint32_t slot, uint16_t code) noexcept nogil:
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef uint32_t instrument = core.instruments[core.taker.instrument].id
    touch(core, level.price)
    emit(
        core, EVENT_CANCELED, 1 - core.taker.side, code, instrument, handle_of(core, slot), level.price,
        core.orders[slot].quantity,
    )
    drop_order(core, slot)


cdef void prevent_self_trade(Core* core, uint32_t slot) noexcept nogil:
    """Apply the taker's mode to a maker of its own owner; may set taker.end."""
    cdef Taker* taker = &core.taker
    cdef uint32_t mode = taker.flags & STP_MASK
    if mode == STP_CANCEL_TAKER:
        taker.end = SELF_TRADE
    elif mode == STP_CANCEL_MAKER:
        cancel_maker(core, slot, SELF_TRADE_MAKER)
    elif mode == STP_CANCEL_BOTH:
        cancel_maker(core, slot, SELF_TRADE_MAKER)
        taker.end = SELF_TRADE
    else:
        decrement_both(core, slot)


cdef void decrement_both(Core* core, uint32_t slot) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef uint32_t instrument = core.instruments[taker.instrument].id
    cdef int64_t quantity = min(taker.remaining, core.orders[slot].quantity)
    touch(core, level.price)
    emit(
        core, EVENT_CANCELED, 1 - taker.side, SELF_TRADE_DECREMENT, instrument, handle_of(core, slot), level.price,
        quantity,
    )
    emit_taker(core, EVENT_CANCELED, SELF_TRADE_DECREMENT, quantity)
    taker.remaining -= quantity
    take_from_maker(core, slot, quantity)


cdef inline bint take_from_maker(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Reduce a maker, which leaves with its last lot; True when it stays."""
    if core.orders[slot].quantity == quantity:
        drop_order(core, slot)
        return False
    reduce_order(core, slot, quantity)
    return True


cdef inline void trade(Core* core, uint32_t slot) noexcept nogil:
    """Fill as much as both quantities and both cells allow at the maker's price, or cancel a maker without room."""
    cdef Taker* taker = &core.taker
    cdef const Order* maker = &core.orders[slot]
    cdef uint8_t maker_side = 1 - taker.side
    cdef uint32_t cell = core.order_cell[slot]
    cdef bint is_clipped = maker.flags & REDUCE_ONLY != 0
    cdef int64_t quantity = min(taker.remaining, maker.quantity)
    if is_clipped:
        quantity = min(quantity, cell_room(core, cell, maker_side))
        if quantity == 0:
            cancel_maker(core, slot, REDUCE_ONLY_EXCESS)
            return
    if taker.flags & REDUCE_ONLY:
        quantity = min(quantity, cell_room(core, taker.cell, taker.side))
    touch(core, core.levels[maker.level].price)
    emit(
        core, EVENT_TRADE, taker.side, OK, core.instruments[taker.instrument].id, handle_of(core, slot),
        core.levels[maker.level].price, quantity,
    )
    move_cell(core, cell, maker_side, quantity)
    move_cell(core, taker.cell, taker.side, quantity)
    taker.remaining -= quantity
    taker.has_traded = True
    if take_from_maker(core, slot, quantity) and is_clipped and cell_room(core, cell, maker_side) == 0:
        cancel_maker(core, slot, REDUCE_ONLY_EXCESS)
    if taker.flags & REDUCE_ONLY and cell_room(core, taker.cell, taker.side) == 0:
        taker.end = REDUCE_ONLY_EXCESS


cdef bint walk(Core* core) noexcept nogil:
    """Match until the taker is done; False when the buffer is full first."""
    cdef Taker* taker = &core.taker
    cdef uint32_t index, slot
    while taker.remaining and taker.end == OK:
        index = crossed_level(core)
        if index == 0:
            return True
        if core.out_count + EVENTS_PER_MAKER > core.out_capacity:
            return False
        slot = core.levels[index].head
        if taker.owner and core.orders[slot].owner == taker.owner:
            prevent_self_trade(core, slot)
        else:
            trade(core, slot)
    return True


cdef void finish(Core* core) noexcept nogil:
    """Free a taker that is done, cancel its rest with the reason, or rest it."""
    cdef Taker* taker = &core.taker
    cdef uint32_t index
    if taker.remaining and taker.end == OK and taker.flags & IOC:
        taker.end = IOC_REMAINDER if taker.has_traded else NO_LIQUIDITY
    if taker.remaining and taker.end == OK:
        index = make_level(core, taker.ladder, taker.price)
        push_order(core, taker.slot, index, taker.remaining)
        touch_own(core, taker.price, core.levels[index].total)
        return
    if taker.remaining:
        emit_taker(core, EVENT_CANCELED, taker.end, taker.remaining)
    release_slot(core, taker.slot)


cdef void touch_own(Core* core, int64_t price, int64_t total) noexcept nogil:
    """Note a level of the taker's own side with its total; at most two, best first, each once."""
    cdef Taker* taker = &core.taker
    cdef uint8_t place = taker.own_count
    if place and taker.own_price[0] == price:
        taker.own_total[0] = total
        return
    if place and (price < taker.own_price[0] if taker.side else price > taker.own_price[0]):
        taker.own_price[1] = taker.own_price[0]
        taker.own_total[1] = taker.own_total[0]
        place = 0
    taker.own_price[place] = price
    taker.own_total[place] = total
    taker.own_count += 1


# Commands.

cdef inline void start(Core* core, uint32_t instrument, uint8_t side) noexcept nogil:
    cdef Taker* taker = &core.taker
    taker.instrument = instrument
    taker.side = side
    taker.ladder = 2 * instrument + side
    taker.own_count = 0
    taker.touched_count = 0
    taker.depth_index = 0
    taker.end = OK
    taker.has_traded = False


cdef uint16_t apply_new(Core* core, const Command* command) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    cdef uint16_t code = check_new(core, instrument, command)
    if code:
        return code
    start(core, instrument, command.side)
    taker.price = command.price
    taker.remaining = command.quantity
    taker.owner = command.owner
    taker.flags = command.flags
    taker.cell = find_cell(core, command.cell) if command.cell else 0
    code = check_entry(core, command.quantity, True)
    if code:
        return code
    # After this point it must succeed.
    if command.cell:
        taker.cell = take_cell(core, command.cell)
    taker.slot = take_slot(core)
    core.orders[taker.slot].owner = command.owner
    core.orders[taker.slot].flags = command.flags
    core.order_cell[taker.slot] = taker.cell
    emit_taker(core, EVENT_ACCEPTED, OK, command.quantity)
    core.phase = PHASE_WALK
    return OK


cdef uint16_t apply_cancel(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t slot = find_slot(core, <uint64_t>command.cell << 32 | command.owner)
    if slot == 0:
        return UNKNOWN_HANDLE
    cdef uint32_t index = core.orders[slot].level
    load_resting(core, slot)
    emit_taker(core, EVENT_CANCELED, USER_REQUEST, core.taker.remaining)
    touch_own(core, core.taker.price, core.levels[index].total - core.taker.remaining)
    drop_order(core, slot)
    core.phase = PHASE_DEPTH
    return OK


cdef inline void load_resting(Core* core, uint32_t slot) noexcept nogil:
    """Make a resting order the taker."""
    cdef Taker* taker = &core.taker
    cdef const Order* order = &core.orders[slot]
    cdef const Level* level = &core.levels[order.level]
    start(core, level.ladder >> 1, level.ladder & 1)
    taker.slot = slot
    taker.price = level.price
    taker.remaining = order.quantity
    taker.owner = order.owner
    taker.flags = order.flags
    taker.cell = core.order_cell[slot]


cdef uint16_t apply_amend(Core* core, const Command* command) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    cdef uint16_t code = check_numbers(core, instrument, command) if instrument else UNKNOWN_INSTRUMENT
    cdef uint32_t slot
    if code:
        return code
    slot = find_slot(core, <uint64_t>command.cell << 32 | command.owner)
    if slot == 0 or core.levels[core.orders[slot].level].ladder >> 1 != instrument:
        return UNKNOWN_HANDLE
    load_resting(core, slot)
    if command.price == taker.price and command.quantity <= taker.remaining:
        emit_taker(core, EVENT_AMENDED, OK, command.quantity)
        reduce_order(core, slot, taker.remaining - command.quantity)
        touch_own(core, taker.price, core.levels[core.orders[slot].level].total)
        core.phase = PHASE_DEPTH
        return OK
    return amend_to_back(core, command)


cdef uint16_t amend_to_back(Core* core, const Command* command) noexcept nogil:
    """Give up the place in line: leave the level, then act like a new order under the same handle."""
    cdef Taker* taker = &core.taker
    cdef uint32_t index = core.orders[taker.slot].level
    cdef int64_t price_before = taker.price
    cdef int64_t quantity_before = taker.remaining
    cdef uint16_t code
    taker.price = command.price
    taker.remaining = command.quantity
    code = check_entry(core, command.quantity - quantity_before, False)
    if code:
        return code
    # After this point it must succeed.
    emit_taker(core, EVENT_AMENDED, OK, command.quantity)
    touch_own(core, price_before, core.levels[index].total - quantity_before)
    unlink_order(core, taker.slot)
    core.phase = PHASE_WALK
    return OK


cdef void refuse(Core* core, const Command* command, uint16_t code) noexcept nogil:
    cdef const Level* best
    cdef uint64_t handle = 0
    cdef int64_t price = 0
    cdef int64_t quantity = 0
    if command.kind == KIND_CANCEL or command.kind == KIND_AMEND:
        handle = <uint64_t>command.cell << 32 | command.owner
    if code == POST_ONLY_WOULD_CROSS:
        best = &core.levels[core.ladders[core.taker.ladder ^ 1].best]
        price = best.price
        quantity = best.total
    emit(core, EVENT_REJECTED, command.side, code, command.instrument, handle, price, quantity)


cdef inline void proceed(Core* core) noexcept nogil:
    """Run what is left of the current command as far as the buffer allows."""
    if core.phase == PHASE_WALK:
        if not walk(core):
            return
        finish(core)
        core.phase = PHASE_DEPTH
    if core.phase == PHASE_DEPTH:
        emit_depth(core)


cdef uint32_t core_apply(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    cdef uint16_t code = UNKNOWN_KIND
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    if command.kind == KIND_NEW:
        code = apply_new(core, command)
    elif command.kind == KIND_CANCEL:
        code = apply_cancel(core, command)
    elif command.kind == KIND_AMEND:
        code = apply_amend(core, command)
    if code:
        refuse(core, command, code)
    else:
        proceed(core)
    return core.out_count


cdef uint32_t core_continue(Core* core, Event* events, uint32_t capacity) noexcept nogil:
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    proceed(core)
    return core.out_count


# Memory.

cdef enum:
    NODES_START = 256
    CELLS_START = 256
    INSTRUMENTS_START = 64
    EVENTS_START = 4096
    EVENTS_KEPT = 1 << 18


cdef bint allocate(Core* core, uint32_t order_capacity) noexcept:
    """Zeroed pools for a whole capacity; False when one of them could not be had."""
    memset(core, 0, sizeof(Core))
    core.order_capacity = order_capacity
    core.node_capacity = NODES_START
    core.cell_capacity = CELLS_START
    core.instrument_capacity = INSTRUMENTS_START
    core.cell_shift = 32 - 9
    core.instrument_shift = 32 - 7
    core.orders = <Order*>calloc(order_capacity + 1, sizeof(Order))
    core.order_cell = <uint32_t*>calloc(order_capacity + 1, sizeof(uint32_t))
    core.levels = <Level*>calloc(order_capacity + 1, sizeof(Level))
    core.touched = <int64_t*>calloc(order_capacity + 1, sizeof(int64_t))
    core.nodes = <Node*>calloc(NODES_START, sizeof(Node))
    core.cells = <Cell*>calloc(CELLS_START, sizeof(Cell))
    core.cell_map = <uint32_t*>calloc(CELLS_START * 2, sizeof(uint32_t))
    core.instruments = <Instrument*>calloc(INSTRUMENTS_START, sizeof(Instrument))
    core.ladders = <Ladder*>calloc(INSTRUMENTS_START * 2, sizeof(Ladder))
    core.instrument_map = <uint32_t*>calloc(INSTRUMENTS_START * 2, sizeof(uint32_t))
    if not (core.orders and core.order_cell and core.levels and core.touched and core.nodes and core.cells):
        return False
    return core.cell_map and core.instruments and core.ladders and core.instrument_map


cdef void deallocate(Core* core) noexcept:
    free(core.orders)
    free(core.order_cell)
    free(core.levels)
    free(core.touched)
    free(core.nodes)
    free(core.cells)
    free(core.cell_map)
    free(core.instruments)
    free(core.ladders)
    free(core.instrument_map)


cdef bint grow_instruments(Core* core) noexcept:
    """Twice the room for instruments; False when the machine has no memory."""
    cdef size_t capacity = <size_t>core.instrument_capacity * 2
    cdef void* grown = realloc(core.instruments, capacity * sizeof(Instrument))
    if grown == NULL:
        return False
    core.instruments = <Instrument*>grown
    grown = realloc(core.ladders, capacity * 2 * sizeof(Ladder))
    if grown == NULL:
        return False
    core.ladders = <Ladder*>grown
    grown = realloc(core.instrument_map, capacity * 2 * sizeof(uint32_t))
    if grown == NULL:
        return False
    core.instrument_map = <uint32_t*>grown
    core.instrument_capacity = capacity
    core.instrument_shift -= 1
    return True


cdef void map_instruments(Core* core) noexcept:
    """Rebuild the id map from the listed instruments."""
    cdef uint32_t mask = core.instrument_capacity * 2 - 1
    cdef uint32_t index, place
    memset(core.instrument_map, 0, <size_t>core.instrument_capacity * 2 * sizeof(uint32_t))
    for index in range(1, core.instrument_top + 1):
        if core.instruments[index].is_listed:
            place = (core.instruments[index].id * <uint32_t>2654435769) >> core.instrument_shift
            while core.instrument_map[place]:
                place = (place + 1) & mask
            core.instrument_map[place] = index


cdef uint32_t take_instrument(Core* core) noexcept:
    """Index of an unlisted instrument record, 0 when there is no memory for one more."""
    cdef uint32_t index
    for index in range(1, core.instrument_top + 1):
        if not core.instruments[index].is_listed:
            return index
    if core.instrument_top + 1 >= core.instrument_capacity and not grow_instruments(core):
        return 0
    core.instrument_top += 1
    return core.instrument_top


cdef void open_ladder(Core* core, uint32_t index, uint8_t side) noexcept:
    cdef const Instrument* listing = &core.instruments[index]
    cdef Ladder* ladder = &core.ladders[2 * index + side]
    cdef uint64_t band = <uint64_t>(listing.price_max - listing.price_min)
    memset(ladder, 0, sizeof(Ladder))
    ladder.base = listing.price_min if side else listing.price_max
    ladder.sign = 1 if side else -1
    ladder.instrument = index
    ladder.height = 1
    while band >> (6 * ladder.height):
        ladder.height += 1
    ladder.root = take_node(core, 0, 0)


# Packed records of the state hash; fields in the order and width of reference_views.

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


cdef class OrderBook:
    """All books of one core: commands in, events out (layouts in `fills`), no clock and no randomness."""

    def __cinit__(self, *, order_capacity=DEFAULT_ORDER_CAPACITY):
        require_capacity(order_capacity)
        self.event_capacity = EVENTS_START
        self.events = <Event*>malloc(EVENTS_START * sizeof(Event))
        if not allocate(&self.core, order_capacity) or self.events == NULL:
            raise MemoryError(f"no memory for {order_capacity} orders")

    def __dealloc__(self):
        deallocate(&self.core)
        free(self.events)

    def list_instrument(self, instrument, *, price_min_ticks, price_max_ticks):
        """Open an empty book for an id (u32) and its inclusive price band; ValueError when listed or out of range."""
        cdef Core* core = &self.core
        cdef uint32_t index
        require_instrument(instrument)
        require_price_range(price_min_ticks, price_max_ticks)
        if find_instrument(core, instrument):
            raise ValueError(f"instrument {instrument} is listed already")
        index = take_instrument(core) if reserve_nodes(core) else 0
        if index == 0:
            raise MemoryError("no memory for one more instrument")
        core.instruments[index].id = instrument
        core.instruments[index].price_min = price_min_ticks
        core.instruments[index].price_max = price_max_ticks
        core.instruments[index].is_listed = True
        open_ladder(core, index, 0)
        open_ladder(core, index, 1)
        map_instruments(core)

    def delist_instrument(self, instrument):
        """Close an empty book; KeyError when unknown, ValueError while orders rest in it."""
        cdef Core* core = &self.core
        cdef uint32_t index = self.require_index(instrument)
        if core.ladders[2 * index].best or core.ladders[2 * index + 1].best:
            raise ValueError(f"instrument {instrument} still has resting orders")
        core.instruments[index].is_listed = False
        release_node(core, core.ladders[2 * index].root)
        release_node(core, core.ladders[2 * index + 1].root)
        map_instruments(core)

    def set_cell(self, cell, position_lots):
        """Set the signed position reduce-only orders of this cell are measured against (+-2**61 lots)."""
        require_cell(cell, position_lots)
        if not reserve_cell(&self.core):
            raise MemoryError("no memory for one more cell")
        self.core.cells[take_cell(&self.core, cell)].position = position_lots

    def cell(self, cell):
        """Signed position of a cell in lots; 0 for a cell never set or moved."""
        cdef uint32_t index = find_cell(&self.core, cell) if 0 < cell < 1 << 32 else 0
        return self.core.cells[index].position

    def submit(self, bytes commands not None):
        """Apply packed commands in order and return all their events; ValueError unless whole commands are given."""
        cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(commands)
        cdef size_t used = 0
        if left % <Py_ssize_t>sizeof(Command):
            raise ValueError(f"{left} bytes are not whole commands of {sizeof(Command)} bytes")
        if self.core.phase != PHASE_IDLE:
            raise RuntimeError("the book ran out of memory in the middle of a command")
        while left > 0:
            if self.event_capacity - used < EVENTS_MIN:
                self.grow_events()
            used += core_apply(&self.core, command, self.events + used, room_for(self.event_capacity - used))
            while self.core.phase != PHASE_IDLE:
                self.grow_events()
                used += core_continue(&self.core, self.events + used, room_for(self.event_capacity - used))
            command += 1
            left -= sizeof(Command)
        answer = PyBytes_FromStringAndSize(<const char*>self.events, used * sizeof(Event))
        if self.event_capacity > EVENTS_KEPT:
            self.shrink_events()
        return answer

    @property
    def resting_count(self):
        """Orders resting in all books."""
        return self.core.order_count

    def depth(self, instrument, levels):
        """Return up to `levels` (price_ticks, quantity_lots, order_count) per side, best first; KeyError if unknown."""
        cdef uint32_t index = self.require_index(instrument)
        return self.side_depth(2 * index, levels), self.side_depth(2 * index + 1, levels)

    def best(self, instrument):
        """Return (bid price or None, its quantity, ask price or None, its quantity); KeyError if unknown."""
        cdef uint32_t index = self.require_index(instrument)
        cdef uint32_t bid = self.core.ladders[2 * index].best
        cdef uint32_t ask = self.core.ladders[2 * index + 1].best
        cdef const Level* levels = self.core.levels
        return (
            levels[bid].price if bid else None, levels[bid].total if bid else 0,
            levels[ask].price if ask else None, levels[ask].total if ask else 0,
        )

    def order(self, handle):
        """Return (instrument, side, price_ticks, remaining_lots, owner, cell, flags) of a resting order, else None."""
        cdef uint32_t slot = find_slot(&self.core, handle) if 0 <= handle < 1 << 64 else 0
        if slot == 0:
            return None
        cdef const Level* level = &self.core.levels[self.core.orders[slot].level]
        return (self.core.instruments[level.ladder >> 1].id, *self.order_row(slot)[1:])

    def orders(self, instrument):
        """List (handle, side, price_ticks, remaining_lots, owner, cell, flags): bids, then asks, in match order."""
        cdef uint32_t index = self.require_index(instrument)
        cdef uint32_t level, slot
        rows = []
        for ladder in (2 * index, 2 * index + 1):
            level = self.core.ladders[<uint32_t>ladder].best
            while level:
                slot = self.core.levels[level].head
                while slot:
                    rows.append(self.order_row(slot))
                    slot = self.core.orders[slot].next
                level = next_level(&self.core, level)
        return rows

    def fillable(self, instrument, side, price_ticks, quantity_lots):
        """Lots an ownerless order would trade at `price_ticks` or better, at most `quantity_lots`; changes nothing."""
        cdef uint32_t index = self.require_index(instrument)
        cdef Taker* taker = &self.core.taker
        start(&self.core, index, 1 if side else 0)
        taker.price = price_ticks
        taker.remaining = quantity_lots
        taker.owner = taker.cell = taker.flags = 0
        return dry_fill(&self.core)

    def state_hash(self):
        """SHA-256 over everything that decides future events except slots: bands, levels, orders in line, cells."""
        cdef Core* core = &self.core
        cdef HashInstrument record
        cdef HashCell entry
        cdef uint32_t index
        digest = sha256()
        listed = [i for i in range(1, core.instrument_top + 1) if core.instruments[<uint32_t>i].is_listed]
        for listing in sorted(listed, key=self.instrument_id):
            index = listing
            record.id = core.instruments[index].id
            record.price_min = core.instruments[index].price_min
            record.price_max = core.instruments[index].price_max
            record.bid_count = core.ladders[2 * index].level_count
            record.ask_count = core.ladders[2 * index + 1].level_count
            digest.update((<const char*>&record)[:sizeof(HashInstrument)])
            self.hash_side(digest, 2 * index)
            self.hash_side(digest, 2 * index + 1)
        for cell, position in sorted((core.cells[<uint32_t>i].id, core.cells[<uint32_t>i].position)
                                     for i in range(1, core.cell_top + 1)):
            if position:
                entry.id = cell
                entry.position = position
                digest.update((<const char*>&entry)[:sizeof(HashCell)])
        return digest.digest()

    def check_invariants(self):
        """Raise InvariantViolated where levels, orders, trie or slots contradict each other."""
        cdef Core* core = &self.core
        cdef uint32_t index, slot
        resting = nodes = free_slots = 0
        require(core.phase == PHASE_IDLE, "unfinished command")
        for index in range(1, core.instrument_top + 1):
            if core.instruments[index].is_listed:
                bid, _, ask, _ = self.best(core.instruments[index].id)
                require(bid is None or ask is None or bid < ask, "book is crossed")
                resting += self.check_side(2 * index) + self.check_side(2 * index + 1)
                nodes += self.check_node(core.ladders[2 * index].root, core.ladders[2 * index].height)
                nodes += self.check_node(core.ladders[2 * index + 1].root, core.ladders[2 * index + 1].height)
        slot = core.order_free
        while slot:
            require(core.orders[slot].quantity == 0, "free slot with a quantity")
            slot = core.orders[slot].next
            free_slots += 1
        require(resting == core.order_count, "slots in use differ from resting orders")
        require(free_slots + resting == core.order_top, "slots leaked")
        require(nodes + core.node_free_count == core.node_top, "trie nodes leaked")

    cdef uint32_t require_index(self, instrument) except 0:
        cdef uint32_t index = find_instrument(&self.core, instrument) if 0 <= instrument < 1 << 32 else 0
        if index == 0:
            raise KeyError(instrument)
        return index

    cdef int grow_events(self) except -1:
        """Twice the room for events; what is written stays."""
        cdef Event* grown = <Event*>realloc(self.events, self.event_capacity * 2 * sizeof(Event))
        if grown == NULL:
            raise MemoryError("no memory for the events of this batch")
        self.events = grown
        self.event_capacity *= 2
        return 0

    cdef void shrink_events(self) noexcept:
        """Give back the memory of one huge answer."""
        cdef Event* small = <Event*>realloc(self.events, EVENTS_START * sizeof(Event))
        if small != NULL:
            self.events = small
            self.event_capacity = EVENTS_START

    cdef tuple order_row(self, uint32_t slot):
        cdef const Order* order = &self.core.orders[slot]
        cdef const Level* level = &self.core.levels[order.level]
        cell = self.core.cells[self.core.order_cell[slot]].id
        handle = handle_of(&self.core, slot)
        return handle, level.ladder & 1, level.price, order.quantity, order.owner, cell, order.flags

    cdef list side_depth(self, uint32_t ladder, levels):
        cdef uint32_t index = self.core.ladders[ladder].best
        rows = []
        while index and len(rows) < levels:
            rows.append((self.core.levels[index].price, self.core.levels[index].total, self.core.levels[index].count))
            index = next_level(&self.core, index)
        return rows

    def instrument_id(self, index):
        return self.core.instruments[<uint32_t>index].id

    cdef int hash_side(self, digest, uint32_t ladder) except -1:
        cdef HashLevel record
        cdef HashOrder entry
        cdef uint32_t slot
        cdef uint32_t index = self.core.ladders[ladder].best
        while index:
            record.price = self.core.levels[index].price
            record.total = self.core.levels[index].total
            record.count = self.core.levels[index].count
            digest.update((<const char*>&record)[:sizeof(HashLevel)])
            slot = self.core.levels[index].head
            while slot:
                entry.remaining = self.core.orders[slot].quantity
                entry.owner = self.core.orders[slot].owner
                entry.cell = self.core.cells[self.core.order_cell[slot]].id
                entry.flags = self.core.orders[slot].flags
                digest.update((<const char*>&entry)[:sizeof(HashOrder)])
                slot = self.core.orders[slot].next
            index = next_level(&self.core, index)
        return 0

    cdef uint32_t check_side(self, uint32_t ladder_index) except? 0:
        """Check one side's levels in order and return its count of orders."""
        cdef const Ladder* ladder = &self.core.ladders[ladder_index]
        cdef uint32_t index = ladder.best
        cdef uint32_t levels = 0
        cdef uint32_t orders = 0
        open_lots = 0
        before = None
        while index:
            rank = self.core.levels[index].price * ladder.sign
            require(before is None or before < rank, "levels out of order")
            require(find_level(&self.core, ladder_index, self.core.levels[index].price) == index, "level not indexed")
            require(self.core.levels[index].ladder == ladder_index, "level in the wrong ladder")
            orders += self.check_level(index)
            open_lots += self.core.levels[index].total
            levels += 1
            before = rank
            index = next_level(&self.core, index)
        require(levels == ladder.level_count, "level count is off")
        require(open_lots == ladder.open_lots, "open quantity is off")
        return orders

    cdef uint32_t check_level(self, uint32_t index) except? 0:
        """Check one line of orders and return its length."""
        cdef const Level* level = &self.core.levels[index]
        cdef const Order* order
        cdef uint32_t slot = level.head
        cdef uint32_t before = 0
        cdef uint32_t count = 0
        total = 0
        require(slot != 0, "empty level")
        while slot:
            order = &self.core.orders[slot]
            require(order.prev == before and order.level == index, "line is broken")
            require(0 < order.quantity <= QUANTITY_MAX, "remaining quantity out of range")
            require(self.order(handle_of(&self.core, slot)) is not None, "order is not indexed")
            total += order.quantity
            count += 1
            before = slot
            slot = order.next
        require(level.tail == before, "line has the wrong end")
        require(level.total == total and level.count == count, "level total is off")
        return count

    cdef uint32_t check_node(self, uint32_t index, uint32_t height) except? 0:
        """Check a trie node against its children and return the nodes under and with it."""
        cdef const Node* node = &self.core.nodes[index]
        cdef uint32_t digit
        cdef uint32_t count = 1
        for digit in range(64):
            if not node.bits >> digit & 1:
                continue
            if height == 1:
                require(self.core.levels[node.child[digit]].leaf == index, "level names another leaf")
                continue
            require(self.core.nodes[node.child[digit]].parent == index, "node names another parent")
            require(self.core.nodes[node.child[digit]].bits != 0, "empty node")
            count += self.check_node(node.child[digit], height - 1)
        return count


cdef inline uint32_t room_for(size_t events) noexcept:
    return <uint32_t>min(events, <size_t>1 << 30)
