# cython: language_level=3
"""Mass quote: a first pass over all entries cancels what is replaced, a second places, keeps or refuses.

Each entry is one step, made of the same commands a client could send: CANCEL, NEW, AMEND. The lines are read where the
caller has them, so they stay readable until the command is finished.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._bulk_cancels cimport begin_many, end_many
from matching_core._codes cimport (
    BAD_FLAGS, EVENT_APPLIED, EXTENDED, GUARD_FROZEN, KIND_AMEND, KIND_NEW, LINES_MAX, OK, POST_ONLY,
    QUANTITY_OUT_OF_RANGE, QUOTE_CROSSED, QUOTE_FLAGS_KNOWN, QUOTE_REPLACED, SLIDE, UNKNOWN_GUARD, UNKNOWN_HANDLE,
    UNKNOWN_INSTRUMENT, USER_REQUEST,
)
from matching_core._cold_records cimport cold_of
from matching_core._commands cimport apply_amend, apply_cancel, apply_new, emit_refusal
from matching_core._counters cimport find_guard
from matching_core._entry_checks cimport check_numbers, emit
from matching_core._order_pool cimport (
    ORDER_GUARDED, PHASE_QUOTE, Command, Core, Extension, Level, Order, Quote, QuoteLine, find_instrument, find_slot,
)
from matching_core._resting cimport remaining_of


# Outcome of the first pass beside the codes.
cdef enum:
    KEPT = -1


cdef inline uint16_t apply_mass_quote(Core* core, const Command* header) noexcept nogil:
    cdef uint32_t guard
    cdef uint32_t flags = header.flags
    if flags & ~<uint32_t>QUOTE_FLAGS_KNOWN or (flags & SLIDE and not flags & POST_ONLY):
        return BAD_FLAGS
    if header.quantity < 1 or header.quantity > LINES_MAX:
        return QUANTITY_OUT_OF_RANGE
    if header.cell:
        guard = find_guard(core, header.cell)
        if guard == 0:
            return UNKNOWN_GUARD
        if core.guards[guard].now.is_frozen:
            return GUARD_FROZEN
    emit(core, EVENT_APPLIED, 0, OK, 0, 0, 0, header.quantity)
    core.quote.header = header
    core.quote.line_count = <uint32_t>header.quantity
    core.quote.step = 0
    begin_many(core, PHASE_QUOTE)
    return OK


cdef inline void step_quote(Core* core) noexcept nogil:
    """One entry of one pass; the command ends behind the last of the second."""
    cdef Quote* quote = &core.quote
    cdef uint32_t entries = 2 * quote.line_count
    cdef uint32_t entry = quote.step if quote.step < entries else quote.step - entries
    cdef uint8_t side = entry & 1
    cdef const QuoteLine* line = <const QuoteLine*>(quote.header + 1) + (entry >> 1)
    if quote.step == 2 * entries:
        end_many(core)
        return
    quote.step += 1
    if line.side[side].quantity == 0 and line.handle[side] == 0:
        return
    if quote.step <= entries:
        quote.outcome[entry] = replace_entry(core, line, side)
    else:
        place_entry(core, line, side, quote.outcome[entry])


cdef inline uint16_t check_line(const QuoteLine* line, uint32_t instrument) noexcept nogil:
    """What refuses both entries of a line."""
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    if line.reserved:
        return BAD_FLAGS
    if line.side[0].quantity and line.side[1].quantity and line.side[0].price >= line.side[1].price:
        return QUOTE_CROSSED
    return OK


cdef inline int32_t replace_entry(Core* core, const QuoteLine* line, uint8_t side) noexcept nogil:
    """First pass: cancel the named order unless it may stay; OK, KEPT or why the entry is refused."""
    cdef uint32_t instrument = find_instrument(core, line.instrument)
    cdef uint16_t code = check_line(line, instrument)
    cdef int64_t quantity = line.side[side].quantity
    cdef uint32_t slot
    if code == OK and quantity:
        code = check_numbers(core, instrument, line.side[side].price, quantity)
    if code or line.handle[side] == 0:
        return code
    slot = find_slot(core, line.handle[side])
    if slot == 0 or not is_quote_of(core, slot, 2 * instrument + side):
        return UNKNOWN_HANDLE
    if quantity and core.levels[core.orders[slot].level].price == line.side[side].price:
        if quantity <= remaining_of(core, slot):
            return KEPT
    apply_cancel(core, line.handle[side], QUOTE_REPLACED if quantity else USER_REQUEST)
    return OK


cdef inline bint is_quote_of(const Core* core, uint32_t slot, uint32_t ladder) noexcept nogil:
    """Whether an order is one that an entry of this command for this ladder may replace."""
    cdef const Order* order = &core.orders[slot]
    cdef uint32_t guard = core.guards[cold_of(core, slot).guard].id if order.flags & ORDER_GUARDED else 0
    cdef const Command* header = core.quote.header
    return core.levels[order.level].ladder == ladder and order.owner == header.owner and guard == header.cell


cdef inline void place_entry(Core* core, const QuoteLine* line, uint8_t side, int32_t outcome) noexcept nogil:
    """Second pass: place, keep or refuse."""
    cdef uint16_t code = OK
    if outcome == KEPT:
        code = keep_entry(core, line, side)
    elif outcome:
        code = <uint16_t>outcome
    elif line.side[side].quantity:
        code = place_new(core, line, side)
    if code:
        emit_refusal(core, side, code, line.instrument, line.handle[side])


cdef inline uint16_t keep_entry(Core* core, const QuoteLine* line, uint8_t side) noexcept nogil:
    cdef Command* command = &core.quote.command[0]
    command.kind = KIND_AMEND
    command.instrument = line.instrument
    command.price = line.side[side].price
    command.quantity = line.side[side].quantity
    command.owner = <uint32_t>line.handle[side]
    command.cell = <uint32_t>(line.handle[side] >> 32)
    return apply_amend(core, command)


cdef inline uint16_t place_new(Core* core, const QuoteLine* line, uint8_t side) noexcept nogil:
    cdef const Command* header = core.quote.header
    cdef Command* command = &core.quote.command[0]
    cdef Extension* extension = <Extension*>&core.quote.command[1]
    command.kind = KIND_NEW
    command.side = side
    command.flags = header.flags | (EXTENDED if header.cell else 0)
    command.instrument = line.instrument
    command.price = line.side[side].price
    command.quantity = line.side[side].quantity
    command.owner = header.owner
    command.cell = line.cell
    extension.display = 0
    extension.guard = header.cell
    extension.spare = 0
    extension.reserved[0] = extension.reserved[1] = 0
    return apply_new(core, command)
