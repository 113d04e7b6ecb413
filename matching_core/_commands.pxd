# cython: language_level=3
"""The three commands: check, then change the book, then close with the touched levels."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    EVENT_ACCEPTED, EVENT_AMENDED, EVENT_CANCELED, EVENT_REJECTED, KIND_AMEND, KIND_CANCEL, OK, POST_ONLY_WOULD_CROSS,
    UNKNOWN_HANDLE, UNKNOWN_INSTRUMENT, USER_REQUEST,
)
from matching_core._entry_checks cimport check_entry, check_new, check_numbers, emit, emit_depth, emit_taker
from matching_core._matching cimport drop_order, finish, touch_own, walk
from matching_core._order_pool cimport (
    PHASE_DEPTH, PHASE_WALK, Command, Core, Level, Order, Taker, find_cell, find_instrument, find_slot, handle_of,
    take_cell, take_slot,
)
from matching_core._price_level cimport reduce_order, unlink_order


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


cdef inline uint16_t apply_cancel(Core* core, const Command* command) noexcept nogil:
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


cdef inline uint16_t apply_amend(Core* core, const Command* command) noexcept nogil:
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


cdef inline uint16_t amend_to_back(Core* core, const Command* command) noexcept nogil:
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


cdef inline void refuse(Core* core, const Command* command, uint16_t code) noexcept nogil:
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
