# cython: language_level=3
"""Commands about many orders: which records belong to them, who opens them, who runs their steps."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from matching_core._auction cimport apply_set_phase, apply_uncross, step_uncross
from matching_core._bulk_cancels cimport apply_cancel_guard, apply_cancel_many, step_close, step_guard, step_sweep
from matching_core._codes cimport (
    EVENT_REJECTED, EXTENDED, KIND_AMEND, KIND_CANCEL, KIND_CANCEL_GUARD, KIND_CANCEL_INSTRUMENT, KIND_CANCEL_OWNER,
    KIND_MASS_QUOTE, KIND_NEW, KIND_SET_PHASE, KIND_UNCROSS, MISSING_RECORDS, UNKNOWN_KIND, USER_REQUEST,
)
from matching_core._commands cimport apply_amend, apply_cancel, apply_new, proceed, refuse
from matching_core._entry_checks cimport emit
from matching_core._order_pool cimport (
    PHASE_CLOSE, PHASE_DEPTH, PHASE_GUARD, PHASE_QUOTE, PHASE_SWEEP, Command, Core, Event, rare,
)
from matching_core._quotes cimport apply_mass_quote, step_quote


# Most events of one step: a pair of an uncross.
cdef enum:
    EVENTS_PER_STEP = 10


cdef inline Py_ssize_t records_of(const Command* command, Py_ssize_t left) noexcept nogil:
    """Records of 32 bytes that belong to a command with itself; left + 1 when its count is absurd."""
    if rare(command.flags & EXTENDED) and command.kind == KIND_NEW:
        return 2
    if rare(command.kind == KIND_MASS_QUOTE):
        return 1 + 2 * command.quantity if 0 <= command.quantity <= left else left + 1
    return 1


cdef inline uint16_t apply_many(Core* core, const Command* command) noexcept nogil:
    """Check and open a command about many orders."""
    if command.kind == KIND_MASS_QUOTE:
        return apply_mass_quote(core, command)
    if command.kind == KIND_CANCEL_GUARD:
        return apply_cancel_guard(core, command)
    if command.kind == KIND_CANCEL_OWNER or command.kind == KIND_CANCEL_INSTRUMENT:
        return apply_cancel_many(core, command)
    if command.kind == KIND_SET_PHASE:
        return apply_set_phase(core, command)
    return apply_uncross(core, command) if command.kind == KIND_UNCROSS else UNKNOWN_KIND


cdef inline void proceed_many(Core* core) noexcept nogil:
    """Run the steps of a command about many orders as far as the buffer allows."""
    while core.phase and core.out_count + EVENTS_PER_STEP <= core.out_capacity:
        if core.phase <= PHASE_DEPTH:
            proceed(core)
        elif core.phase == PHASE_QUOTE:
            step_quote(core)
        elif core.phase == PHASE_GUARD:
            step_guard(core)
        elif core.phase == PHASE_SWEEP:
            step_sweep(core)
        elif core.phase == PHASE_CLOSE:
            step_close(core)
        else:
            step_uncross(core)


cdef inline uint32_t apply_any(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    """The general way: every command with every option."""
    cdef uint16_t code
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    if command.kind == KIND_NEW:
        code = apply_new(core, command)
    elif command.kind == KIND_CANCEL:
        code = apply_cancel(core, <uint64_t>command.cell << 32 | command.owner, USER_REQUEST)
    elif rare(command.kind != KIND_AMEND):
        code = apply_many(core, command)
    else:
        code = apply_amend(core, command)
    if code:
        refuse(core, command, code)
    else:
        proceed(core)
        if rare(core.many):
            proceed_many(core)
    return core.out_count


cdef inline uint32_t refuse_missing(Core* core, const Command* command, Event* events) noexcept nogil:
    """One REJECTED for a command whose records are not all there."""
    core.out = events
    core.out_count = 0
    core.out_capacity = 1
    emit(core, EVENT_REJECTED, command.side, MISSING_RECORDS, command.instrument, 0, 0, 0)
    return 1
