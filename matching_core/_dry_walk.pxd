# cython: language_level=3
"""What an order would trade, by the rules of the real walk, on scratch cells and scratch guards."""

from libc.stdint cimport int64_t, uint32_t

from matching_core._codes cimport FOK, QUANTITY_MAX, REDUCE_ONLY, STP_CANCEL_MAKER, STP_MASK
from matching_core._cold_records cimport cell_index, cold_of, is_takers_cell
from matching_core._counters cimport count_fill, move_scratch, room_of, scratch_cell, scratch_window, window_room
from matching_core._order_pool cimport (
    ORDER_GUARDED, ORDER_HAS_CELL, ORDER_ICEBERG, ORDER_RARE, Cold, Core, Guard, Level, Order, Taker,
)
from matching_core._price_level cimport next_level


cdef inline bint crosses(const Core* core, const Level* level) noexcept nogil:
    """Whether the taker's price reaches a level of the other side."""
    if core.taker.side:
        return core.taker.price <= level.price
    return core.taker.price >= level.price


cdef inline uint32_t crossed_level(const Core* core) noexcept nogil:
    """Best level of the other side if the taker reaches it, else 0."""
    cdef uint32_t best = core.ladders[core.taker.opposite].best
    return best if best and crosses(core, &core.levels[best]) else 0


cdef inline bint levels_suffice(Core* core) noexcept nogil:
    """Whether the totals of the crossed levels reach the taker's quantity: the quick refusal of FOK."""
    cdef int64_t left = core.taker.remaining
    cdef uint32_t index = crossed_level(core)
    if core.ladders[core.taker.opposite].hidden_lots:
        return True
    while index and crosses(core, &core.levels[index]):
        left -= core.levels[index].total
        if left <= 0:
            return True
        index = next_level(core, index)
    return False


cdef inline int64_t dry_fill(Core* core) noexcept nogil:
    """Lots the taker would trade, by the rules of the real walk on scratch cells; fewer when totals already refuse."""
    cdef int64_t left = core.taker.remaining
    cdef uint32_t index = crossed_level(core)
    if core.taker.flags & FOK and not levels_suffice(core):
        return 0
    core.walk += 1
    while index and left and crosses(core, &core.levels[index]):
        if not dry_fill_level(core, index, &left):
            break
        index = next_level(core, index)
    return core.taker.remaining - left


cdef inline bint dry_fill_level(Core* core, uint32_t index, int64_t* left) noexcept nogil:
    """Take one level off `left`; False when the taker's walk would end in it.

    Pass by pass: the first takes what every order shows, the next the slices that used-up icebergs have put at the
    back, in the same order as before, and so on.
    """
    cdef int64_t number = 0
    cdef bint has_slices = True
    while has_slices:
        has_slices = False
        if not dry_fill_pass(core, index, number, left, &has_slices):
            return False
        number += 1
    return True


cdef inline bint dry_fill_pass(
    Core* core, uint32_t index, int64_t number, int64_t* left, bint* has_slices
) noexcept nogil:
    """One pass through a level; sets `has_slices` when another one finds lots."""
    cdef const Taker* taker = &core.taker
    cdef int64_t shown, quantity
    cdef uint32_t slot = core.levels[index].head
    while slot and left[0]:
        shown = slice_of(core, slot, number)
        if shown and taker.owner and core.orders[slot].owner == taker.owner:
            if taker.flags & STP_MASK != STP_CANCEL_MAKER:
                return False
        elif shown:
            quantity = dry_fill_maker(core, slot, min(shown, left[0]))
            left[0] -= quantity
            if taker.flags & REDUCE_ONLY and room_of(scratch_cell(core, taker.cell)[0], taker.side) == 0:
                return False
            if slice_of(core, slot, number + 1):
                has_slices[0] = True
        slot = core.orders[slot].next
    return True


cdef inline int64_t slice_of(const Core* core, uint32_t slot, int64_t number) noexcept nogil:
    """Lots an order shows in a pass of the dry walk, 0 when it has none left or has ended in this walk."""
    cdef const Cold* cold
    cdef int64_t left
    if number == 0:
        return core.orders[slot].quantity
    cold = cold_of(core, slot)
    if not core.orders[slot].flags & ORDER_ICEBERG or cold.walk == core.walk:
        return 0
    left = cold.hidden - (number - 1) * cold.display
    return max(0, min(cold.display, left))


cdef inline int64_t dry_fill_maker(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Lots of at most `quantity` the maker trades, booked on the scratch counters."""
    cdef const Taker* taker = &core.taker
    cdef uint32_t flags = core.orders[slot].flags
    if (flags | taker.flags) & ORDER_RARE == 0:
        return quantity
    quantity = min(quantity, dry_room(core, slot))
    if taker.flags & REDUCE_ONLY and not is_takers_cell(core, slot):
        quantity = min(quantity, room_of(scratch_cell(core, taker.cell)[0], taker.side))
    if quantity:
        dry_book(core, slot, quantity)
    if flags & ORDER_ICEBERG and (quantity == 0 or is_out_of_room(core, slot)):
        cold_of(core, slot).walk = core.walk
    return quantity


cdef inline int64_t dry_room(Core* core, uint32_t slot) noexcept nogil:
    """Lots the maker's cell and guard leave it."""
    cdef int64_t room = QUANTITY_MAX
    cdef Guard* guard
    if core.orders[slot].flags & REDUCE_ONLY:
        room = room_of(scratch_cell(core, cell_index(core, slot))[0], 1 - core.taker.side)
        if room and is_takers_cell(core, slot):
            room = QUANTITY_MAX
    if core.orders[slot].flags & ORDER_GUARDED:
        guard = &core.guards[cold_of(core, slot).guard]
        room = min(room, window_room(core, guard, scratch_window(core, cold_of(core, slot).guard)))
    return room


cdef inline bint is_out_of_room(Core* core, uint32_t slot) noexcept nogil:
    """Whether the walk would cancel a reduce-only maker behind its fill."""
    if not core.orders[slot].flags & REDUCE_ONLY:
        return False
    return room_of(scratch_cell(core, cell_index(core, slot))[0], 1 - core.taker.side) == 0


cdef inline void dry_book(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    cdef const Taker* taker = &core.taker
    cdef uint32_t guard
    if core.orders[slot].flags & ORDER_HAS_CELL:
        move_scratch(core, cell_index(core, slot), 1 - taker.side, quantity)
    if taker.flags & ORDER_HAS_CELL:
        move_scratch(core, taker.cell, taker.side, quantity)
    if core.orders[slot].flags & ORDER_GUARDED:
        guard = cold_of(core, slot).guard
        count_fill(
            core, &core.guards[guard], scratch_window(core, guard), &core.instruments[taker.instrument],
            1 - taker.side, quantity,
        )
