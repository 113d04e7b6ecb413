# cython: language_level=3
"""Writing events, and every check that may refuse a command about one order before the book changes."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._codes cimport (
    BAD_FLAGS, BAD_SIDE, CAPACITY, EVENT_DEPTH, EXTENDED, FLAGS_KNOWN, FOK, FOK_NOT_FILLED, GUARD_FROZEN, IOC, OK,
    POST_ONLY, POST_ONLY_WOULD_CROSS, PRICE_OUT_OF_RANGE, QUANTITY_MAX, QUANTITY_OUT_OF_RANGE, REDUCE_ONLY,
    REDUCE_ONLY_WOULD_INCREASE, SELF_TRADE, SIDE_MAX, SLICES_MAX, SLIDE, STP_CANCEL_TAKER, STP_MASK, UNKNOWN_GUARD,
    UNKNOWN_INSTRUMENT, WRONG_PHASE,
)
from matching_core._cold_records cimport cell_index, cold_of
from matching_core._counters cimport cell_room, find_guard, reserve_cell
from matching_core._dry_walk cimport crossed_level, crosses, dry_fill
from matching_core._order_pool cimport (
    ORDER_GUARDED, ORDER_HAS_CELL, Command, Core, Extension, Instrument, Level, Order, Taker, handle_of, has_slot,
    head_of, put_event, rare,
)
from matching_core._price_level cimport next_level
from matching_core._trie_nodes cimport reserve_nodes


cdef inline void emit(
    Core* core, uint8_t kind, uint8_t side, uint16_t code, uint32_t instrument, uint64_t handle, int64_t price,
    int64_t quantity,
) noexcept nogil:
    put_event(&core.out[core.out_count], head_of(kind, side, code, instrument), handle, price, quantity)
    core.out_count += 1


cdef inline void emit_taker(Core* core, uint8_t kind, uint16_t code, int64_t quantity) noexcept nogil:
    cdef Taker* taker = &core.taker
    emit(
        core, kind, taker.side, code, core.instruments[taker.instrument].id, handle_of(core, taker.slot), taker.price,
        quantity,
    )


cdef inline int64_t other_total(const Core* core, int64_t price) noexcept nogil:
    """Total of the level the walk stopped in: it is the opposite best, or gone as all before it are."""
    cdef uint32_t best = core.ladders[core.taker.ladder ^ 1].best
    return core.levels[best].total if best and core.levels[best].price == price else 0


cdef inline void emit_depth(Core* core) noexcept nogil:
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
    # A step of a command about many orders goes back to it.
    core.phase = core.many


# Checks.

cdef inline uint16_t check_numbers(
    const Core* core, uint32_t instrument, int64_t price, int64_t quantity
) noexcept nogil:
    cdef const Instrument* listing = &core.instruments[instrument]
    if price < listing.price_min or price > listing.price_max:
        return PRICE_OUT_OF_RANGE
    if quantity < 1 or quantity > QUANTITY_MAX:
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


cdef inline bint is_extension_valid(const Command* command) noexcept nogil:
    """Reserved bytes are zero; what never rests has neither slice nor guard."""
    cdef const Extension* extension = <const Extension*>(command + 1)
    if extension.spare or extension.reserved[0] or extension.reserved[1]:
        return False
    return not (command.flags & (IOC | FOK) and (extension.display or extension.guard))


cdef inline bint has_too_many_slices(int64_t quantity, int64_t display) noexcept nogil:
    return display > 0 and quantity > display * SLICES_MAX


cdef inline uint16_t check_extension(const Core* core, const Command* command) noexcept nogil:
    cdef const Extension* extension = <const Extension*>(command + 1)
    if extension.display < 0 or extension.display > QUANTITY_MAX:
        return QUANTITY_OUT_OF_RANGE
    if has_too_many_slices(command.quantity, extension.display):
        return QUANTITY_OUT_OF_RANGE
    return UNKNOWN_GUARD if extension.guard and not find_guard(core, extension.guard) else OK


cdef inline uint16_t check_new(const Core* core, uint32_t instrument, const Command* command) noexcept nogil:
    cdef uint16_t code
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    if command.side > 1:
        return BAD_SIDE
    if command.flags and not are_flags_valid(command.flags, command.cell):
        return BAD_FLAGS
    if rare(command.flags & EXTENDED) and not is_extension_valid(command):
        return BAD_FLAGS
    code = check_numbers(core, instrument, command.price, command.quantity)
    if code == OK and rare(command.flags & EXTENDED):
        code = check_extension(core, command)
    if code == OK and rare(core.instruments[instrument].is_auction) and command.flags & (IOC | FOK):
        code = WRONG_PHASE
    return code


cdef inline uint16_t check_entry(Core* core, int64_t added, bint is_new) noexcept nogil:
    """First refusal that depends on the book; a sliding order gets its new price here."""
    cdef Taker* taker = &core.taker
    cdef uint16_t code = check_options(core) if taker.flags else OK
    if code:
        return code
    if is_new and not has_slot(core):
        return CAPACITY
    if taker.flags & ORDER_HAS_CELL and taker.cell == 0 and not has_cell_room(core):
        return CAPACITY
    if not taker.flags & (IOC | FOK) and core.ladders[taker.ladder].open_lots + added > SIDE_MAX:
        return CAPACITY
    if not reserve_nodes(core):
        return CAPACITY
    if taker.owner and taker.flags & STP_MASK == STP_CANCEL_TAKER and meets_itself_first(core):
        return SELF_TRADE
    return OK


cdef inline bint has_cell_room(Core* core) noexcept nogil:
    """Whether the capacity and the machine's memory have room for one more cell."""
    return core.cell_top < core.cell_limit and reserve_cell(core)


cdef inline uint16_t check_options(Core* core) noexcept nogil:
    """First refusal that an option of the order asks for."""
    cdef Taker* taker = &core.taker
    if taker.flags & ORDER_GUARDED and core.guards[taker.guard].now.is_frozen:
        return GUARD_FROZEN
    if taker.flags & REDUCE_ONLY and cell_room(core, taker.cell, taker.side) == 0:
        return REDUCE_ONLY_WOULD_INCREASE
    if taker.flags & POST_ONLY and crossed_level(core) and not slide(core):
        return POST_ONLY_WOULD_CROSS
    if taker.flags & FOK and dry_fill(core) < taker.remaining:
        return FOK_NOT_FILLED
    return OK


cdef inline bint slide(Core* core) noexcept nogil:
    """Move a crossing sliding order one tick behind the opposite best; False when it may not or cannot."""
    cdef Taker* taker = &core.taker
    cdef const Instrument* listing = &core.instruments[taker.instrument]
    cdef int64_t behind = core.levels[core.ladders[taker.ladder ^ 1].best].price + (1 if taker.side else -1)
    if not taker.flags & SLIDE or behind < listing.price_min or behind > listing.price_max:
        return False
    taker.price = behind
    return True


cdef inline bint meets_itself_first(const Core* core) noexcept nogil:
    """Whether the first maker that would trade or stop the taker is the taker's own."""
    cdef uint32_t slot
    cdef uint32_t index = crossed_level(core)
    while index and crosses(core, &core.levels[index]):
        slot = core.levels[index].head
        while slot:
            if core.orders[slot].owner == core.taker.owner:
                return True
            if may_trade(core, slot):
                return False
            slot = core.orders[slot].next
        index = next_level(core, index)
    return False


cdef inline bint may_trade(const Core* core, uint32_t slot) noexcept nogil:
    """Whether neither its guard nor its cell keeps a maker from any match."""
    cdef uint32_t flags = core.orders[slot].flags
    if flags & ORDER_GUARDED and core.guards[cold_of(core, slot).guard].now.is_frozen:
        return False
    return not flags & REDUCE_ONLY or cell_room(core, cell_index(core, slot), 1 - core.taker.side) > 0
