# cython: language_level=3
"""Highs and lows of a perpetual's trades, whether an order may pass them, and whether prices are too old to trade on.

Twins: price_rings, price_moves, market_state.
"""

from libc.stdint cimport int64_t, uint8_t

from exchange.engine._integers cimport ceil_div, floor_div, int128
from exchange.engine._price_slots cimport RING_SLOTS, RING_WINDOWS, PriceSlot
from exchange.engine._rows cimport Engine, Listing


cdef extern from *:
    """
    #define offbook_slot(now, window) ((now) / ((window) ? 60000000000LL : 2000000000LL))
    #define offbook_ring_place(slot) ((slot) % 6)
    """
    int64_t slot_of "offbook_slot" (int64_t now, int window) noexcept nogil
    int64_t ring_place "offbook_ring_place" (int64_t slot) noexcept nogil

cdef enum:
    MOVE_PPM = 1000000


cdef inline bint is_restricted(const Engine* engine, const Listing* listing) noexcept nogil:
    """Whether index or mark is stale, or the index halted, so that only what reduces is taken."""
    return engine.now > engine.underlyings[listing.underlying].open_until or engine.now > listing.mark_until


cdef inline void note_price(Listing* listing, int64_t price, int64_t now) noexcept nogil:
    """Take a trade; the oldest slot makes room for a new one."""
    cdef int window
    cdef int64_t slot
    cdef PriceSlot* row
    for window in range(RING_WINDOWS):
        slot = slot_of(now, window)
        row = &listing.rings[window][ring_place(slot)]
        if row.slot != slot or row.high == 0:
            row.slot = slot
            row.high = row.low = price
        row.high = max(row.high, price)
        row.low = min(row.low, price)


cdef inline int64_t bound_of(const Engine* engine, const Listing* listing, uint8_t side, int64_t best) noexcept nogil:
    """Worst price that a trade may have which begins at `best`: the narrower of both windows."""
    cdef int window, index
    cdef int64_t extreme, bound, ppm
    cdef int64_t answer = 0
    cdef const PriceSlot* row
    for window in range(RING_WINDOWS):
        extreme = best
        for index in range(RING_SLOTS):
            row = &listing.rings[window][index]
            if row.high and row.slot > slot_of(engine.now, window) - RING_SLOTS:
                extreme = max(extreme, row.high) if side else min(extreme, row.low)
        ppm = engine.rules.move_ppm[window]
        if side:
            bound = <int64_t>ceil_div(<int128>extreme * (MOVE_PPM - ppm), MOVE_PPM)
            answer = max(answer, bound)
        else:
            bound = <int64_t>floor_div(<int128>extreme * (MOVE_PPM + ppm), MOVE_PPM)
            answer = bound if window == 0 else min(answer, bound)
    return answer


cdef inline bint may_move_too_far(
    const Engine* engine, const Listing* listing, uint8_t side, int64_t price, int64_t best
) noexcept nogil:
    """Whether an order that begins to trade at `best` has its limit beyond the bound: the handlers look further."""
    cdef int64_t bound = bound_of(engine, listing, side, best)
    return price < bound if side else price > bound
