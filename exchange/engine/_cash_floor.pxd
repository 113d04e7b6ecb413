# cython: language_level=3
"""The cash floor of an account with Portfolio Margin in C, filled while its scenarios are summed; twin: cash_floor.

1e-18 USDC. What is beyond 128 bits raises `is_wide`, and the Python handlers decide.
"""

from libc.stdint cimport int64_t

from exchange.engine._integers cimport add, int128, mul
from exchange.engine._margin cimport LISTED_PERPETUAL, Change, fees_e18, perpetual_initial
from exchange.engine._rows cimport CellRow, Engine, Listing


cdef struct Floor:                   # of one account, 1e-18 USDC
    int128 perpetuals                # at their marks, with what is due, less requirement, losses and fees of orders
    int128 options                   # at their marks, less the losses of their orders
    int128 premiums                  # of bids for options
    int128 fees                      # of orders on options


cdef inline void charge_reach(
    const Engine* engine, const Listing* listing, int128 bought, int128 sold, int128 open_lots, Floor* floor,
    int* is_wide
) noexcept nogil:
    """Initial requirement of the widest position that orders may leave, and their fees into it and out again."""
    cdef int128 reach = bought if bought > -sold else -sold
    if reach > 0:
        reach = mul(mul(reach, listing.lot_e9, is_wide), listing.mark, is_wide)
        reach = perpetual_initial(engine, listing.underlying, reach, is_wide)
        floor.perpetuals = add(floor.perpetuals, -reach, is_wide)
    floor.perpetuals = add(floor.perpetuals, -fees_e18(engine, listing, open_lots, 2, is_wide), is_wide)


cdef inline void charge_premiums(
    const Engine* engine, const CellRow* cell, const Listing* listing, int64_t wanted, int128 sells,
    const Change* change, Floor* floor, int* is_wide
) noexcept nogil:
    """Prices of all bids for an option, `wanted` lots of the hypothesis among them, and the fees of all its orders."""
    cdef int128 tick_lots = cell.buy_tick_lots
    if wanted:
        tick_lots += <int128>wanted * change.price
    if tick_lots == 0 and sells == 0:
        return
    tick_lots = mul(mul(tick_lots, listing.tick_e9, is_wide), listing.lot_e9, is_wide)
    floor.premiums = add(floor.premiums, tick_lots, is_wide)
    floor.fees = add(floor.fees, fees_e18(engine, listing, cell.buys + wanted + sells, 1, is_wide), is_wide)


cdef inline void note_loss(const Listing* listing, int128 change, Floor* floor, int* is_wide) noexcept nogil:
    """What a fill at the limit changes against the mark, below 0."""
    if listing.kind == LISTED_PERPETUAL:
        floor.perpetuals = add(floor.perpetuals, change, is_wide)
    else:
        floor.options = add(floor.options, change, is_wide)


cdef inline int128 floor_margin(const Floor* floor, int* is_wide) noexcept nogil:
    """What the floor leaves of all but cash; twin: floor_margin_e18."""
    cdef int128 options = floor.options if floor.options < -floor.premiums else -floor.premiums
    return add(add(floor.perpetuals, options, is_wide), -floor.fees, is_wide)
