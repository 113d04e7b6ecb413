# cython: language_level=3
"""The three commands about one order: check, then change the book, then close with the touched levels."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_ACCEPTED, EVENT_AMENDED, EVENT_CANCELED, EVENT_REJECTED, EXTENDED, KIND_AMEND, KIND_CANCEL, OK,
    POST_ONLY_WOULD_CROSS, QUANTITY_OUT_OF_RANGE, UNKNOWN_HANDLE, UNKNOWN_INSTRUMENT,
)
from matching_core._cold_records cimport attach_cold, cell_index, cold_of
from matching_core._counters cimport find_cell, find_guard, join_line, take_cell
from matching_core._entry_checks cimport (
    check_entry, check_new, check_numbers, emit, emit_depth, emit_taker, has_too_many_slices,
)
from matching_core._matching cimport finish, touch_own, walk
from matching_core._order_pool cimport (
    ORDER_COLD, ORDER_GUARDED, ORDER_HAS_CELL, ORDER_ICEBERG, PHASE_DEPTH, PHASE_WALK, Command, Core, Extension, Level,
    Order, Taker, find_instrument, find_slot, rare, take_slot,
)
from matching_core._resting cimport drop_order, forget_arrival, leave_level, remaining_of, shrink_resting


cdef inline void start(Core* core, uint32_t instrument, uint8_t side) noexcept nogil:
    cdef Taker* taker = &core.taker
    taker.instrument = instrument
    taker.side = side
    taker.ladder = 2 * instrument + side
    taker.opposite = 0 if core.instruments[instrument].is_auction else taker.ladder ^ 1
    taker.own_count = 0
    taker.touched_count = 0
    taker.depth_index = 0
    taker.end = OK
    taker.has_traded = False


cdef inline void extend(Core* core, const Command* command) noexcept nogil:
    """Put what a checked extension asks for into the taker's flags."""
    cdef const Extension* extension = <const Extension*>(command + 1)
    cdef Taker* taker = &core.taker
    taker.flags &= ~<uint32_t>EXTENDED
    if extension.display:
        taker.flags |= ORDER_ICEBERG
    if extension.guard:
        taker.flags |= ORDER_GUARDED
        taker.guard = find_guard(core, extension.guard)


cdef inline void keep_extension(Core* core, const Command* command) noexcept nogil:
    """Write an accepted order's cold record."""
    cdef const Extension* extension = <const Extension*>(command + 1)
    cdef Taker* taker = &core.taker
    if taker.flags & ORDER_COLD:
        attach_cold(core, taker.slot).display = extension.display
    if taker.flags & ORDER_GUARDED:
        join_line(core, taker.slot, taker.guard)


cdef inline uint16_t apply_new(Core* core, const Command* command) noexcept nogil:
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
    if command.cell:
        taker.flags |= ORDER_HAS_CELL
        taker.cell = find_cell(core, command.cell)
    if rare(command.flags & EXTENDED):
        extend(core, command)
    code = check_entry(core, command.quantity, True)
    if code:
        return code
    # After this point it must succeed.
    taker.slot = take_slot(core)
    core.orders[taker.slot].owner = command.owner
    core.orders[taker.slot].flags = taker.flags
    if command.cell:
        taker.cell = take_cell(core, command.cell)
        core.links[taker.slot] = taker.cell
    if rare(command.flags & EXTENDED):
        keep_extension(core, command)
    emit_taker(core, EVENT_ACCEPTED, OK, command.quantity)
    core.phase = PHASE_WALK
    return OK


cdef inline uint16_t apply_cancel(Core* core, uint64_t handle, uint16_t reason) noexcept nogil:
    cdef uint32_t slot = find_slot(core, handle)
    if slot == 0:
        return UNKNOWN_HANDLE
    cdef uint32_t index = core.orders[slot].level
    load_resting(core, slot)
    emit_taker(core, EVENT_CANCELED, reason, core.taker.remaining)
    touch_own(core, core.taker.price, core.levels[index].total - core.orders[slot].quantity)
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
    taker.remaining = remaining_of(core, slot)
    taker.owner = order.owner
    taker.flags = order.flags
    if order.flags & ORDER_HAS_CELL:
        taker.cell = cell_index(core, slot)
    if rare(order.flags & ORDER_GUARDED):
        taker.guard = cold_of(core, slot).guard


cdef inline uint16_t apply_amend(Core* core, const Command* command) noexcept nogil:
    cdef Taker* taker = &core.taker
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    cdef uint16_t code = UNKNOWN_INSTRUMENT
    cdef uint32_t slot
    if instrument:
        code = check_numbers(core, instrument, command.price, command.quantity)
    if code:
        return code
    slot = find_slot(core, <uint64_t>command.cell << 32 | command.owner)
    if slot == 0 or core.levels[core.orders[slot].level].ladder >> 1 != instrument:
        return UNKNOWN_HANDLE
    load_resting(core, slot)
    if command.price == taker.price and command.quantity <= taker.remaining:
        emit_taker(core, EVENT_AMENDED, OK, command.quantity)
        shrink_resting(core, slot, taker.remaining - command.quantity)
        touch_own(core, taker.price, core.levels[core.orders[slot].level].total)
        core.phase = PHASE_DEPTH
        return OK
    return amend_to_back(core, command)


cdef inline uint16_t amend_to_back(Core* core, const Command* command) noexcept nogil:
    """Give up the place in line: leave the level, then act like a new order under the same handle."""
    cdef Taker* taker = &core.taker
    cdef Order* order = &core.orders[taker.slot]
    cdef int64_t price_before = taker.price
    cdef int64_t total_after = core.levels[order.level].total - order.quantity
    cdef int64_t added = command.quantity - taker.remaining
    cdef uint16_t code
    if order.flags & ORDER_ICEBERG and has_too_many_slices(command.quantity, cold_of(core, taker.slot).display):
        return QUANTITY_OUT_OF_RANGE
    taker.price = command.price
    taker.remaining = command.quantity
    code = check_entry(core, added, False)
    if code:
        return code
    # After this point it must succeed.
    emit_taker(core, EVENT_AMENDED, OK, command.quantity)
    touch_own(core, price_before, total_after)
    leave_level(core, taker.slot)
    forget_arrival(core, taker.slot)
    taker.flags = order.flags
    core.phase = PHASE_WALK
    return OK


cdef inline void emit_refusal(
    Core* core, uint8_t side, uint16_t code, uint32_t instrument, uint64_t handle
) noexcept nogil:
    """REJECTED, with the best opposite level where that is the reason."""
    cdef const Level* best
    cdef int64_t price = 0
    cdef int64_t quantity = 0
    if code == POST_ONLY_WOULD_CROSS:
        best = &core.levels[core.ladders[core.taker.ladder ^ 1].best]
        price = best.price
        quantity = best.total
    emit(core, EVENT_REJECTED, side, code, instrument, handle, price, quantity)


cdef inline void refuse(Core* core, const Command* command, uint16_t code) noexcept nogil:
    cdef uint64_t handle = 0
    if command.kind == KIND_CANCEL or command.kind == KIND_AMEND:
        handle = <uint64_t>command.cell << 32 | command.owner
    emit_refusal(core, command.side, code, command.instrument, handle)


cdef inline void proceed(Core* core) noexcept nogil:
    """Run what is left of the current command as far as the buffer allows."""
    if core.phase == PHASE_WALK:
        if not walk(core):
            return
        finish(core)
        core.phase = PHASE_DEPTH
    if core.phase == PHASE_DEPTH:
        emit_depth(core)
