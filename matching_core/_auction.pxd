# cython: language_level=3
"""Call auction: phases, the price of an uncross, and the uncross itself, pair by pair."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from matching_core._bulk_cancels cimport begin_many, emit_applied, start_sweep, touch_side
from matching_core._codes cimport (
    BAD_SIDE, BOOK_CROSSED, EVENT_CANCELED, EVENT_FILL, EVENT_UNCROSSED, OK, PRICE_OUT_OF_RANGE, REDUCE_ONLY_EXCESS,
    SELF_TRADE, SELF_TRADE_DECREMENT, SELF_TRADE_MAKER, SIDE_MAX, STP_CANCEL_BOTH, STP_CANCEL_MAKER, STP_CANCEL_TAKER,
    STP_MASK, UNKNOWN_INSTRUMENT, WRONG_PHASE,
)
from matching_core._cold_records cimport cold_of, is_one_cell
from matching_core._commands cimport start
from matching_core._dry_walk cimport crosses, dry_fill_level
from matching_core._entry_checks cimport emit
from matching_core._matching cimport count_in_guard, move_order_cell, room_in_cell, room_in_guard, unfit
from matching_core._order_pool cimport (
    ORDER_ARRIVED, ORDER_GUARDED, PHASE_CLOSE, PHASE_UNCROSS, Command, Core, Instrument, Level, Order, Sweep, Taker,
    find_instrument, handle_of,
)
from matching_core._price_level cimport next_level, switch_phase
from matching_core._resting cimport cancel_resting, emit_resting, has_room, remaining_of, take_from_maker


cdef struct Indication:              # one price of an uncross, and what it would do
    int64_t price
    int64_t volume
    int64_t surplus                  # demand - supply


cdef inline bint is_crossed(const Core* core, uint32_t instrument) noexcept nogil:
    cdef uint32_t bid = core.ladders[2 * instrument].best
    cdef uint32_t ask = core.ladders[2 * instrument + 1].best
    return bid and ask and core.levels[bid].price >= core.levels[ask].price


cdef inline uint16_t apply_set_phase(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    if command.side > 1:
        return BAD_SIDE
    if command.side == 0 and is_crossed(core, instrument):
        return BOOK_CROSSED
    switch_phase(core, instrument, command.side)
    emit_applied(core, command)
    return OK


cdef inline uint16_t apply_uncross(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t instrument = find_instrument(core, command.instrument)
    cdef const Instrument* listing = &core.instruments[instrument]
    if instrument == 0:
        return UNKNOWN_INSTRUMENT
    if command.price < listing.price_min or command.price > listing.price_max:
        return PRICE_OUT_OF_RANGE
    if not listing.is_auction:
        return WRONG_PHASE
    emit_applied(core, command)
    start_sweep(core, instrument)
    core.sweep.reference = command.price
    core.sweep.is_round_open = False
    begin_many(core, PHASE_UNCROSS)
    return OK


# The price.

cdef inline void aim(Core* core, uint32_t instrument, uint8_t side, int64_t price) noexcept nogil:
    """Begin a dry walk of an endless ownerless order, to see what the other side has for it."""
    cdef Taker* taker = &core.taker
    start(core, instrument, side)
    taker.price = price
    taker.remaining = SIDE_MAX
    taker.owner = taker.flags = taker.cell = 0
    core.walk += 1


cdef inline int64_t tradable(Core* core, uint32_t level) noexcept nogil:
    """Lots of one level that the endless order would trade."""
    cdef int64_t left = SIDE_MAX
    dry_fill_level(core, level, &left)
    return SIDE_MAX - left


cdef inline uint32_t draw_demand(Core* core, uint32_t instrument) noexcept nogil:
    """Write price and lots at or above it for each bid level that reaches the asks; returns how many."""
    cdef int64_t demand = 0
    cdef uint32_t count = 0
    cdef uint32_t level = core.ladders[2 * instrument].best
    aim(core, instrument, 1, core.levels[core.ladders[2 * instrument + 1].best].price)
    while level and crosses(core, &core.levels[level]):
        demand += tradable(core, level)
        core.curve[2 * count] = core.levels[level].price
        core.curve[2 * count + 1] = demand
        count += 1
        level = next_level(core, level)
    return count


cdef inline int64_t magnitude(int64_t value) noexcept nogil:
    return -value if value < 0 else value


cdef inline void consider(
    Indication* best, int64_t low, int64_t high, int64_t reference, int64_t demand, int64_t supply
) noexcept nogil:
    """Keep the better of `best` and the price of low..high nearest to the reference; called for rising prices."""
    cdef int64_t price = min(high, max(low, reference))
    cdef int64_t volume = min(demand, supply)
    cdef int64_t surplus = demand - supply
    cdef bint is_better = volume > best.volume
    if volume == best.volume:
        is_better = magnitude(surplus) < magnitude(best.surplus)
        if magnitude(surplus) == magnitude(best.surplus):
            is_better = magnitude(price - reference) < magnitude(best.price - reference)
    if is_better:
        best.price = price
        best.volume = volume
        best.surplus = surplus


cdef inline Indication indicate(Core* core, uint32_t instrument, int64_t reference) noexcept nogil:
    """Most volume, then least surplus, then nearest to the reference, then lowest; the book is crossed."""
    cdef uint32_t bids = draw_demand(core, instrument)
    cdef uint32_t ask = core.ladders[2 * instrument + 1].best
    cdef int64_t supply = 0
    cdef int64_t price = core.levels[ask].price
    cdef int64_t above
    cdef Indication best
    best.price = 0
    best.volume = -1
    best.surplus = 0
    aim(core, instrument, 0, core.curve[0])
    while bids:
        if ask and core.levels[ask].price == price:
            supply += tradable(core, ask)
            ask = next_level(core, ask)
            if ask and not crosses(core, &core.levels[ask]):
                ask = 0
        consider(&best, price, price, reference, core.curve[2 * bids - 1], supply)
        if core.curve[2 * bids - 2] == price:
            bids -= 1
        if bids == 0:
            break
        above = core.curve[2 * bids - 2]
        if ask:
            above = min(above, core.levels[ask].price)
        if above > price + 1:
            consider(&best, price + 1, above - 1, reference, core.curve[2 * bids - 1], supply)
        price = above
    return best


# The uncross.

cdef inline void step_uncross(Core* core) noexcept nogil:
    """Open a round, match or drop one pair of it, or close it; the book then trades continuously."""
    cdef Sweep* sweep = &core.sweep
    cdef const Level* bid = &core.levels[core.ladders[2 * sweep.instrument].best]
    cdef const Level* ask = &core.levels[core.ladders[2 * sweep.instrument + 1].best]
    if not is_crossed(core, sweep.instrument):
        close_round(core)
        switch_phase(core, sweep.instrument, False)
        core.phase = PHASE_CLOSE
    elif not sweep.is_round_open:
        sweep.price = indicate(core, sweep.instrument, sweep.reference).price
        sweep.volume = 0
        sweep.is_round_open = True
    elif bid.price < sweep.price or ask.price > sweep.price:
        close_round(core)
    else:
        match_heads(core, bid.head, ask.head)


cdef inline void close_round(Core* core) noexcept nogil:
    cdef Sweep* sweep = &core.sweep
    if sweep.is_round_open and sweep.volume:
        emit(
            core, EVENT_UNCROSSED, 0, OK, core.instruments[sweep.instrument].id, 0, sweep.price, sweep.volume,
        )
    sweep.is_round_open = False


cdef inline void match_heads(Core* core, uint32_t bid, uint32_t ask) noexcept nogil:
    cdef uint16_t code
    if core.orders[bid].owner and core.orders[bid].owner == core.orders[ask].owner:
        prevent_self_uncross(core, bid, ask)
        return
    code = unfit(core, bid)
    if code:
        uncross_cancel(core, bid, code)
        return
    code = unfit(core, ask)
    if code:
        uncross_cancel(core, ask, code)
        return
    match_pair(core, bid, ask)


cdef inline void uncross_cancel(Core* core, uint32_t slot, uint16_t code) noexcept nogil:
    touch_side(core, slot)
    cancel_resting(core, slot, code)


cdef inline void match_pair(Core* core, uint32_t bid, uint32_t ask) noexcept nogil:
    """Fill both as far as quantities, cells and guards allow, hidden lots included."""
    cdef uint32_t instrument = core.instruments[core.sweep.instrument].id
    cdef int64_t price = core.sweep.price
    cdef int64_t quantity = min(remaining_of(core, bid), remaining_of(core, ask))
    cdef uint32_t guard = guard_of(core, bid)
    quantity = min(quantity, min(room_in_guard(core, bid), room_in_guard(core, ask)))
    if not is_one_cell(core, bid, ask):
        quantity = min(quantity, min(room_in_cell(core, bid), room_in_cell(core, ask)))
    emit(core, EVENT_FILL, 0, OK, instrument, handle_of(core, bid), price, quantity)
    emit(core, EVENT_FILL, 1, OK, instrument, handle_of(core, ask), price, quantity)
    move_order_cell(core, bid, 0, quantity)
    move_order_cell(core, ask, 1, quantity)
    count_in_guard(core, bid, quantity)
    if guard_of(core, ask) != guard:
        # Two orders of one guard that meet without an owner are one fill of it, counted for the buyer.
        count_in_guard(core, ask, quantity)
    core.sweep.volume += quantity
    settle_side(core, bid, quantity)
    settle_side(core, ask, quantity)


cdef inline uint32_t guard_of(const Core* core, uint32_t slot) noexcept nogil:
    return cold_of(core, slot).guard if core.orders[slot].flags & ORDER_GUARDED else 0


cdef inline void settle_side(Core* core, uint32_t slot, int64_t quantity) noexcept nogil:
    """Take a fill off one order; what its cell leaves no room for is canceled at once."""
    touch_side(core, slot)
    if take_from_maker(core, slot, quantity) and not has_room(core, slot):
        cancel_resting(core, slot, REDUCE_ONLY_EXCESS)


cdef inline void prevent_self_uncross(Core* core, uint32_t bid, uint32_t ask) noexcept nogil:
    """The younger of two own orders is the taker whose mode counts."""
    cdef bint is_bid_younger = arrival_of(core, bid) > arrival_of(core, ask)
    cdef uint32_t younger = bid if is_bid_younger else ask
    cdef uint32_t older = ask if is_bid_younger else bid
    cdef uint32_t mode = core.orders[younger].flags & STP_MASK
    if mode == STP_CANCEL_MAKER or mode == STP_CANCEL_BOTH:
        uncross_cancel(core, older, SELF_TRADE_MAKER)
    if mode == STP_CANCEL_TAKER or mode == STP_CANCEL_BOTH:
        uncross_cancel(core, younger, SELF_TRADE)
    if mode != STP_CANCEL_TAKER and mode != STP_CANCEL_MAKER and mode != STP_CANCEL_BOTH:
        decrement_pair(core, older, younger)


cdef inline uint64_t arrival_of(const Core* core, uint32_t slot) noexcept nogil:
    return cold_of(core, slot).arrival if core.orders[slot].flags & ORDER_ARRIVED else 0


cdef inline void decrement_pair(Core* core, uint32_t older, uint32_t younger) noexcept nogil:
    cdef int64_t quantity = min(remaining_of(core, older), remaining_of(core, younger))
    touch_side(core, older)
    touch_side(core, younger)
    emit_resting(core, EVENT_CANCELED, SELF_TRADE_DECREMENT, older, quantity)
    emit_resting(core, EVENT_CANCELED, SELF_TRADE_DECREMENT, younger, quantity)
    take_from_maker(core, older, quantity)
    take_from_maker(core, younger, quantity)
