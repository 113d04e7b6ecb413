# cython: language_level=3
"""The walk of an accepted order through the other side, and what becomes of its rest."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_CANCELED, EVENT_GUARD_TRIPPED, EVENT_TRADE, IOC, IOC_REMAINDER, MMP_TRIGGERED, NO_LIQUIDITY, OK, QUANTITY_MAX,
    REDUCE_ONLY, REDUCE_ONLY_EXCESS, SELF_TRADE, SELF_TRADE_DECREMENT, SELF_TRADE_MAKER, STP_CANCEL_BOTH,
    STP_CANCEL_MAKER, STP_CANCEL_TAKER, STP_MASK,
)
from matching_core._cold_records cimport cell_index, cold_of, is_takers_cell
from matching_core._counters cimport cell_room, count_fill, move_cell, window_room
from matching_core._dry_walk cimport crossed_level
from matching_core._entry_checks cimport emit, emit_taker
from matching_core._order_pool cimport (
    ORDER_COLD, ORDER_GUARDED, ORDER_HAS_CELL, ORDER_RARE, Core, Event, Guard, Level, Order, Taker, handle_of, head_of,
    rare,
)
from matching_core._price_level cimport make_level, push_order
from matching_core._resting cimport (
    cancel_resting, emit_resting, free_order, has_room, rest_cold, take_from_maker,
)
from matching_core._sweep cimport sweep_level


# Trade, guard tripped, refill and cancel for a maker, one for the taker's end.
cdef enum:
    EVENTS_PER_MAKER = 5


cdef inline void touch(Core* core, int64_t price) noexcept nogil:
    cdef Taker* taker = &core.taker
    if taker.touched_count == 0 or core.touched[taker.touched_count - 1] != price:
        core.touched[taker.touched_count] = price
        taker.touched_count += 1


cdef inline void cancel_maker(Core* core, uint32_t slot, uint16_t code) noexcept nogil:
    touch(core, core.levels[core.orders[slot].level].price)
    cancel_resting(core, slot, code)


cdef inline void prevent_self_trade(Core* core, uint32_t slot) noexcept nogil:
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


cdef inline void decrement_both(Core* core, uint32_t slot) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef int64_t quantity = min(taker.remaining, core.orders[slot].quantity)
    touch(core, core.levels[core.orders[slot].level].price)
    emit_resting(core, EVENT_CANCELED, SELF_TRADE_DECREMENT, slot, quantity)
    emit_taker(core, EVENT_CANCELED, SELF_TRADE_DECREMENT, quantity)
    taker.remaining -= quantity
    take_from_maker(core, slot, quantity)


cdef inline void emit_trade(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef int64_t price = core.levels[core.orders[slot].level].price
    touch(core, price)
    emit(
        core, EVENT_TRADE, taker.side, OK, core.instruments[taker.instrument].id, handle_of(core, slot), price,
        quantity,
    )
    taker.remaining -= quantity
    taker.has_traded = True


cdef inline void trade(Core* core, uint32_t slot) noexcept nogil:
    """Fill as much as both quantities allow at the maker's price."""
    cdef int64_t quantity
    if (core.orders[slot].flags | core.taker.flags) & ORDER_RARE:
        trade_counted(core, slot)
        return
    quantity = min(core.taker.remaining, core.orders[slot].quantity)
    emit_trade(core, slot, quantity)
    take_from_maker(core, slot, quantity)


cdef inline uint16_t unfit(const Core* core, uint32_t slot) noexcept nogil:
    """Why a resting order may not trade at all, OK if it may."""
    if core.orders[slot].flags & ORDER_GUARDED and core.guards[cold_of(core, slot).guard].now.is_frozen:
        return MMP_TRIGGERED
    return OK if has_room(core, slot) else REDUCE_ONLY_EXCESS


cdef inline int64_t room_in_cell(const Core* core, uint32_t slot) noexcept nogil:
    """Lots a resting order's cell leaves it."""
    if not core.orders[slot].flags & REDUCE_ONLY:
        return QUANTITY_MAX
    return cell_room(core, cell_index(core, slot), core.levels[core.orders[slot].level].ladder & 1)


cdef inline int64_t room_in_guard(const Core* core, uint32_t slot) noexcept nogil:
    """Lots a resting order's guard leaves it."""
    cdef const Guard* guard
    if not core.orders[slot].flags & ORDER_GUARDED:
        return QUANTITY_MAX
    guard = &core.guards[cold_of(core, slot).guard]
    return window_room(core, guard, &guard.now)


cdef inline void move_order_cell(Core* core, uint32_t slot, uint8_t side, int64_t quantity) noexcept nogil:
    if core.orders[slot].flags & ORDER_HAS_CELL:
        move_cell(core, cell_index(core, slot), side, quantity)


cdef inline void count_in_guard(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Book a resting order's fill in its guard; a limit it reaches freezes the guard."""
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef uint8_t side = level.ladder & 1
    cdef Guard* guard
    cdef uint16_t code
    if not core.orders[slot].flags & ORDER_GUARDED:
        return
    guard = &core.guards[cold_of(core, slot).guard]
    code = count_fill(core, guard, &guard.now, &core.instruments[level.ladder >> 1], side, quantity)
    if code:
        emit(
            core, EVENT_GUARD_TRIPPED, side, code, core.instruments[level.ladder >> 1].id, guard.id, 0,
            guard.now.quantity,
        )


cdef inline void trade_counted(Core* core, uint32_t slot) noexcept nogil:
    """Fill as much as quantities, cells and the maker's guard allow, or cancel a maker that may not trade."""
    cdef Taker* taker = &core.taker
    cdef uint16_t code = unfit(core, slot)
    cdef int64_t quantity
    if code:
        cancel_maker(core, slot, code)
        return
    quantity = min(min(taker.remaining, core.orders[slot].quantity), room_in_guard(core, slot))
    if not is_takers_cell(core, slot):
        quantity = min(quantity, room_in_cell(core, slot))
        if taker.flags & REDUCE_ONLY:
            quantity = min(quantity, cell_room(core, taker.cell, taker.side))
    emit_trade(core, slot, quantity)
    move_order_cell(core, slot, 1 - taker.side, quantity)
    if taker.flags & ORDER_HAS_CELL:
        move_cell(core, taker.cell, taker.side, quantity)
    count_in_guard(core, slot, quantity)
    if take_from_maker(core, slot, quantity) and not has_room(core, slot):
        cancel_maker(core, slot, REDUCE_ONLY_EXCESS)
    if taker.flags & REDUCE_ONLY and cell_room(core, taker.cell, taker.side) == 0:
        taker.end = REDUCE_ONLY_EXCESS


cdef inline bint sweep(Core* core, uint32_t index) noexcept nogil:
    """Fill the plain makers in front of a level; False when the first is not one."""
    cdef Taker* taker = &core.taker
    cdef int64_t price = core.levels[index].price
    cdef uint64_t head = head_of(EVENT_TRADE, taker.side, OK, core.instruments[taker.instrument].id)
    cdef Event* event = &core.out[core.out_count]
    # One maker writes one event here; the rest of what it may need is kept free.
    cdef Event* limit = &core.out[core.out_capacity + 1 - EVENTS_PER_MAKER]
    cdef int64_t quantity = sweep_level(core, index, head, taker.owner, taker.remaining, &event, limit)
    if quantity == 0:
        return False
    touch(core, price)
    core.out_count = event - core.out
    taker.remaining -= quantity
    taker.has_traded = True
    if taker.flags & ORDER_HAS_CELL:
        move_cell(core, taker.cell, taker.side, quantity)
    return True


cdef inline bint walk(Core* core) noexcept nogil:
    """Match until the taker is done; False when the buffer is full first."""
    cdef Taker* taker = &core.taker
    cdef uint32_t index, slot
    while taker.remaining and taker.end == OK:
        index = crossed_level(core)
        if index == 0:
            return True
        if core.out_count + EVENTS_PER_MAKER > core.out_capacity:
            return False
        if not taker.flags & REDUCE_ONLY and sweep(core, index):
            continue
        slot = core.levels[index].head
        if taker.owner and core.orders[slot].owner == taker.owner:
            prevent_self_trade(core, slot)
        else:
            trade(core, slot)
    return True


cdef inline void finish(Core* core) noexcept nogil:
    """Free a taker that is done, cancel its rest with the reason, or rest it."""
    cdef Taker* taker = &core.taker
    cdef uint32_t index
    if taker.remaining and taker.end == OK and taker.flags & IOC:
        taker.end = IOC_REMAINDER if taker.has_traded else NO_LIQUIDITY
    if taker.remaining and taker.end == OK:
        index = make_level(core, taker.ladder, taker.price)
        if rare(taker.flags & ORDER_COLD or taker.opposite == 0):
            rest_cold(core, taker.slot, index, taker.remaining, taker.opposite == 0)
        else:
            push_order(core, taker.slot, index, taker.remaining)
        touch_own(core, taker.price, core.levels[index].total)
        return
    if taker.remaining:
        emit_taker(core, EVENT_CANCELED, taker.end, taker.remaining)
    free_order(core, taker.slot)


cdef inline void touch_own(Core* core, int64_t price, int64_t total) noexcept nogil:
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
