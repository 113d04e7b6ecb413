# cython: language_level=3
"""The doors of the loop: one command, the rest of one, and a run of plain commands, which is what most batches are.

The short ways of NEW without a cell and of CANCEL are written out in a run, so that a command costs no call and none of
its registers; whatever else comes takes the way it takes alone.
"""

from libc.stdint cimport uint32_t

from matching_core._codes cimport EXTENDED, KIND_AMEND, KIND_CANCEL, KIND_NEW
from matching_core._commands cimport proceed
from matching_core._many cimport proceed_many
from matching_core._order_pool cimport PHASE_IDLE, Command, Core, Event, Ladder, prefetch, rare
from matching_core._plain cimport is_plain, level_to_join, plain_cancel, plain_rest
from matching_core._ways cimport apply_generally, apply_go, apply_move, apply_rest, apply_rest_of_cell, apply_take


cdef enum:
    AHEAD = 6                        # commands between the fetch of an order and its use


cdef inline uint32_t room_for(size_t events) noexcept nogil:
    """Events of a buffer as the loop counts them."""
    return <uint32_t>min(events, <size_t>1 << 30)


cdef inline uint32_t apply_one(Core* core, const Command* command, Event* events, uint32_t capacity) noexcept nogil:
    """Events of any command."""
    if command.kind == KIND_NEW:
        if command.cell:
            return apply_rest_of_cell(core, command, events, capacity)
        return apply_rest(core, command, events, capacity)
    if command.kind == KIND_CANCEL:
        return apply_go(core, command, events, capacity)
    return apply_move(core, command, events, capacity)


cdef inline uint32_t go_on(Core* core, Event* events, uint32_t capacity) noexcept nogil:
    """Events of the rest of an unfinished command."""
    core.out = events
    core.out_count = 0
    core.out_capacity = capacity
    proceed(core)
    if rare(core.many):
        proceed_many(core)
    return core.out_count


cdef inline const Command* sure_end(
    const Core* core, const Command* command, const Command* end, const Event* event, const Event* last
) noexcept nogil:
    """How far a run may go without a look at the room, where each command answers with two events at most."""
    if event > last or core.phase != PHASE_IDLE:
        return command
    return min(end, command + ((last - event) >> 1) + 1)


cdef inline uint32_t apply_run(
    Core* core, const Command** at, const Command* end, Event* events, Event* last, uint32_t spare
) noexcept nogil:
    """Events of the commands from `at` up to the first that is not of a run, is left unfinished, or would begin behind
    `last`, where `spare` events still fit; `at` then points behind the last one applied."""
    cdef const Command* command = at[0]
    cdef Event* event = events
    cdef const Command* sure = sure_end(core, command, end, event, last)
    cdef Ladder* own = NULL
    cdef uint32_t index
    while command < sure:
        # The order of a cancel or amend is anywhere in the pool: it is on its way while the commands before are done.
        if sure - command > AHEAD:
            prefetch(&core.orders[command[AHEAD].owner])
        if command.kind == KIND_NEW:
            index = level_to_join(core, command, &own) if command.cell == 0 else 0
            if index:
                event += plain_rest(core, command, own, index, 0, event)
                command += 1
                continue
            if command.flags & EXTENDED:
                break
            if command.cell:
                event += apply_rest_of_cell(core, command, event, <uint32_t>(last - event) + spare)
            else:
                event += apply_take(core, command, event, <uint32_t>(last - event) + spare)
        elif command.kind == KIND_CANCEL:
            if is_plain(core, command.owner, command.cell):
                event += plain_cancel(core, command, event)
                command += 1
                continue
            event += apply_generally(core, command, event, <uint32_t>(last - event) + spare)
        elif command.kind == KIND_AMEND:
            event += apply_move(core, command, event, <uint32_t>(last - event) + spare)
        else:
            break
        command += 1
        sure = sure_end(core, command, end, event, last)
    at[0] = command
    return <uint32_t>(event - events)
