# cython: language_level=3
"""The walk of an accepted order through the other side, and what becomes of its rest."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from matching_core._codes cimport (
    EVENT_CANCELED, EVENT_TRADE, IOC, IOC_REMAINDER, NO_LIQUIDITY, OK, REDUCE_ONLY, REDUCE_ONLY_EXCESS, SELF_TRADE,
    SELF_TRADE_DECREMENT, SELF_TRADE_MAKER, STP_CANCEL_BOTH, STP_CANCEL_MAKER, STP_CANCEL_TAKER, STP_MASK,
)
from matching_core._entry_checks cimport cell_room, crossed_level, emit, emit_taker, move_cell
from matching_core._order_pool cimport Core, Level, Order, Taker, handle_of, release_slot
from matching_core._price_level cimport make_level, push_order, reduce_order, unlink_order


# Two events for a maker, one for the taker's end, one spare.
cdef enum:
    EVENTS_PER_MAKER = 4


cdef inline void touch(Core* core, int64_t price) noexcept nogil:
    cdef Taker* taker = &core.taker
    if taker.touched_count == 0 or core.touched[taker.touched_count - 1] != price:
        core.touched[taker.touched_count] = price
        taker.touched_count += 1


cdef inline void drop_order(Core* core, uint32_t slot) noexcept nogil:
    unlink_order(core, slot)
    release_slot(core, slot)


cdef inline void cancel_maker(Core* core, uint32_t slot, uint16_t code) noexcept nogil:
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef uint32_t instrument = core.instruments[core.taker.instrument].id
    touch(core, level.price)
    emit(
        core, EVENT_CANCELED, 1 - core.taker.side, code, instrument, handle_of(core, slot), level.price,
        core.orders[slot].quantity,
    )
    drop_order(core, slot)


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
        push_order(core, taker.slot, index, taker.remaining)
        touch_own(core, taker.price, core.levels[index].total)
        return
    if taker.remaining:
        emit_taker(core, EVENT_CANCELED, taker.end, taker.remaining)
    release_slot(core, taker.slot)


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
