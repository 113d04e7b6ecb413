# cython: language_level=3
"""Orders that rest: how they come, show slices, are filled and go, with what each keeps in its cold record."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from matching_core._codes cimport EVENT_CANCELED, EVENT_REFILLED, OK, REDUCE_ONLY
from matching_core._cold_records cimport attach_cold, cell_index, cold_of, detach_cold
from matching_core._counters cimport cell_room, leave_line
from matching_core._entry_checks cimport emit
from matching_core._order_pool cimport (
    ORDER_ARRIVED, ORDER_COLD, ORDER_GUARDED, ORDER_ICEBERG, Cold, Core, Ladder, Level, Order, handle_of, rare,
    release_slot,
)
from matching_core._price_level cimport move_to_back, push_order, reduce_order, unlink_order


cdef inline int64_t remaining_of(const Core* core, uint32_t slot) noexcept nogil:
    """Lots a resting order has left, hidden ones included."""
    cdef int64_t shown = core.orders[slot].quantity
    return shown + cold_of(core, slot).hidden if core.orders[slot].flags & ORDER_ICEBERG else shown


cdef inline void hide(Core* core, uint32_t slot, int64_t hidden) noexcept nogil:
    """Set the hidden lots of a resting iceberg; what the side holds in all moves with them."""
    cdef Cold* cold = cold_of(core, slot)
    cdef Ladder* ladder = &core.ladders[core.levels[core.orders[slot].level].ladder]
    ladder.hidden_lots += hidden - cold.hidden
    ladder.open_lots += hidden - cold.hidden
    cold.hidden = hidden


cdef inline void leave_level(Core* core, uint32_t slot) noexcept nogil:
    """Take a resting order out of its level with all it has left; it keeps its slot and its place in a guard's line."""
    if rare(core.orders[slot].flags & ORDER_ICEBERG):
        hide(core, slot, 0)
    unlink_order(core, slot)


cdef inline void free_order(Core* core, uint32_t slot) noexcept nogil:
    """Give the slot of an order back that rests in no level."""
    if rare(core.orders[slot].flags & ORDER_GUARDED):
        leave_line(core, slot)
    if rare(core.orders[slot].flags & ORDER_COLD):
        detach_cold(core, slot)
    release_slot(core, slot)


cdef inline void forget_arrival(Core* core, uint32_t slot) noexcept nogil:
    """Take from an order that rests in no level what an auction gave it."""
    cdef Order* order = &core.orders[slot]
    if order.flags & ORDER_COLD == ORDER_ARRIVED:
        detach_cold(core, slot)
    order.flags &= ~<uint32_t>ORDER_ARRIVED


cdef inline void drop_order(Core* core, uint32_t slot) noexcept nogil:
    if rare(core.orders[slot].flags & ORDER_COLD):
        leave_level(core, slot)
        free_order(core, slot)
        return
    unlink_order(core, slot)
    release_slot(core, slot)


cdef inline void emit_resting(Core* core, uint8_t kind, uint16_t code, uint32_t slot, int64_t quantity) noexcept nogil:
    """An event about a resting order, at its price."""
    cdef const Level* level = &core.levels[core.orders[slot].level]
    emit(
        core, kind, level.ladder & 1, code, core.instruments[level.ladder >> 1].id, handle_of(core, slot), level.price,
        quantity,
    )


cdef inline void cancel_resting(Core* core, uint32_t slot, uint16_t code) noexcept nogil:
    """End a resting order; the caller has noted its level."""
    emit_resting(core, EVENT_CANCELED, code, slot, remaining_of(core, slot))
    drop_order(core, slot)


cdef inline void rest_cold(Core* core, uint32_t slot, uint32_t index, int64_t quantity, bint is_auction) noexcept nogil:
    """Rest an order that is an iceberg or comes during an auction."""
    cdef Cold* cold = cold_of(core, slot) if core.orders[slot].flags & ORDER_COLD else attach_cold(core, slot)
    cdef int64_t hidden = 0
    if is_auction:
        core.arrivals += 1
        cold.arrival = core.arrivals
        core.orders[slot].flags |= ORDER_ARRIVED
    if core.orders[slot].flags & ORDER_ICEBERG:
        hidden = max(0, quantity - cold.display)
        cold.hidden = 0
    push_order(core, slot, index, quantity - hidden)
    if hidden:
        hide(core, slot, hidden)
        emit_resting(core, EVENT_REFILLED, OK, slot, quantity - hidden)


cdef inline bint take_from_maker(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Reduce a maker, which leaves with its last lot; True when it stays."""
    if core.orders[slot].quantity > quantity:
        reduce_order(core, slot, quantity)
        return True
    if rare(core.orders[slot].flags & ORDER_ICEBERG) and remaining_of(core, slot) > quantity:
        refill(core, slot, quantity)
        return True
    drop_order(core, slot)
    return False


cdef inline void refill(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Take at least all that an iceberg shows, and put its next slice at the back of the level."""
    cdef Order* order = &core.orders[slot]
    cdef Level* level = &core.levels[order.level]
    cdef Ladder* ladder = &core.ladders[level.ladder]
    cdef int64_t left = remaining_of(core, slot) - quantity
    cdef int64_t shown = min(cold_of(core, slot).display, left)
    level.total += shown - order.quantity
    ladder.open_lots += shown - order.quantity
    order.quantity = shown
    hide(core, slot, left - shown)
    move_to_back(core, slot)
    emit_resting(core, EVENT_REFILLED, OK, slot, shown)


cdef inline void shrink_resting(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Take lots off a resting order that keeps its place and some lots: hidden ones first."""
    cdef int64_t hidden = cold_of(core, slot).hidden if core.orders[slot].flags & ORDER_ICEBERG else 0
    if hidden:
        hide(core, slot, hidden - min(hidden, quantity))
        quantity -= min(hidden, quantity)
    reduce_order(core, slot, quantity)


cdef inline bint has_room(const Core* core, uint32_t slot) noexcept nogil:
    """Whether a resting order's cell lets it trade at all."""
    cdef uint8_t side = core.levels[core.orders[slot].level].ladder & 1
    return not core.orders[slot].flags & REDUCE_ONLY or cell_room(core, cell_index(core, slot), side) > 0
