# cython: language_level=3
"""Cancels of many orders: by guard, one step per order; by instrument or owner, one walk through the book."""

from libc.stdint cimport int64_t, uint32_t, uint8_t, uint16_t

from matching_core._codes cimport (
    EVENT_APPLIED, EVENT_DEPTH, KIND_CANCEL_INSTRUMENT, OK, UNKNOWN_GUARD, UNKNOWN_INSTRUMENT, USER_REQUEST,
)
from matching_core._commands cimport apply_cancel
from matching_core._counters cimport find_guard
from matching_core._entry_checks cimport emit
from matching_core._order_pool cimport (
    PHASE_CLOSE, PHASE_GUARD, PHASE_IDLE, PHASE_SWEEP, Command, Core, Level, Order, Sweep, find_instrument, handle_of,
)
from matching_core._price_level cimport find_level, next_level
from matching_core._resting cimport cancel_resting


cdef inline void emit_applied(Core* core, const Command* command) noexcept nogil:
    emit(core, EVENT_APPLIED, command.side, OK, command.instrument, 0, command.price, command.quantity)


cdef inline void end_many(Core* core) noexcept nogil:
    core.many = PHASE_IDLE
    core.phase = PHASE_IDLE


cdef inline void begin_many(Core* core, uint32_t phase) noexcept nogil:
    """Open a command about many orders: its steps come back to `phase`."""
    core.many = phase
    core.phase = phase


cdef inline void start_sweep(Core* core, uint32_t instrument) noexcept nogil:
    cdef Sweep* sweep = &core.sweep
    sweep.instrument = instrument
    sweep.touched_count[0] = sweep.touched_count[1] = 0
    sweep.depth_index = 0


cdef inline uint16_t apply_cancel_guard(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t guard = find_guard(core, command.cell) if command.cell else 0
    if guard == 0:
        return UNKNOWN_GUARD
    emit_applied(core, command)
    core.sweep.guard = guard
    begin_many(core, PHASE_GUARD)
    return OK


cdef inline void step_guard(Core* core) noexcept nogil:
    """Cancel the guard's first order; the command ends when there is none."""
    cdef uint32_t slot = core.guards[core.sweep.guard].head
    if slot == 0:
        end_many(core)
        return
    apply_cancel(core, handle_of(core, slot), USER_REQUEST)


cdef inline uint16_t apply_cancel_many(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    cdef Sweep* sweep = &core.sweep
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    emit_applied(core, command)
    start_sweep(core, instrument)
    sweep.owner = command.owner
    sweep.is_any_owner = command.kind == KIND_CANCEL_INSTRUMENT
    sweep.slot = core.levels[core.ladders[2 * instrument].best].head
    if sweep.slot == 0:
        sweep.slot = core.levels[core.ladders[2 * instrument + 1].best].head
    begin_many(core, PHASE_SWEEP)
    return OK


cdef inline void step_sweep(Core* core) noexcept nogil:
    """Look at one order: cancel it if it is meant."""
    cdef Sweep* sweep = &core.sweep
    cdef uint32_t slot = sweep.slot
    if slot == 0:
        core.phase = PHASE_CLOSE
        return
    sweep.slot = following(core, slot)
    if sweep.is_any_owner or core.orders[slot].owner == sweep.owner:
        touch_side(core, slot)
        cancel_resting(core, slot, USER_REQUEST)


cdef inline uint32_t following(const Core* core, uint32_t slot) noexcept nogil:
    """Next order of the instrument in match order, bids before asks; 0 behind the last."""
    cdef const Order* order = &core.orders[slot]
    cdef uint32_t ladder = core.levels[order.level].ladder
    cdef uint32_t level
    if order.next:
        return order.next
    level = next_level(core, order.level)
    if level == 0 and ladder & 1 == 0:
        level = core.ladders[ladder + 1].best
    return core.levels[level].head if level else 0


cdef inline void touch_side(Core* core, uint32_t slot) noexcept nogil:
    """Note an order's level for the closing depth; levels of one side come best first, so repeats stand together."""
    cdef const Level* level = &core.levels[core.orders[slot].level]
    cdef uint8_t side = level.ladder & 1
    cdef uint32_t count = core.sweep.touched_count[side]
    if count and core.touched[touched_place(core, side, count - 1)] == level.price:
        return
    core.touched[touched_place(core, side, count)] = level.price
    core.sweep.touched_count[side] += 1


cdef inline uint32_t touched_place(const Core* core, uint8_t side, uint32_t index) noexcept nogil:
    """Bids from the front, asks from the end: together they are at most the levels there were, one per order."""
    return core.order_capacity - index if side else index


cdef inline void step_close(Core* core) noexcept nogil:
    """Write one DEPTH; the command ends behind the last."""
    cdef Sweep* sweep = &core.sweep
    cdef uint32_t index = sweep.depth_index
    cdef uint8_t side = index >= sweep.touched_count[0]
    cdef uint32_t ladder = 2 * sweep.instrument + side
    cdef int64_t price
    cdef uint32_t level
    if side:
        index -= sweep.touched_count[0]
    if index == sweep.touched_count[side]:
        end_many(core)
        return
    price = core.touched[touched_place(core, side, index)]
    level = find_level(core, ladder, price)
    emit(
        core, EVENT_DEPTH, side, OK, core.instruments[sweep.instrument].id, 0, price,
        core.levels[level].total if level else 0,
    )
    sweep.depth_index += 1
