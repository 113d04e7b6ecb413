# cython: language_level=3
"""Where a limit of a market or of an owner may be near, and the handlers decide; twin: market_limits.

A market without limits costs one byte's look; an owner whose subaccounts cannot reach the bound of open orders, one
product.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from exchange.engine._lookup cimport find_cell_row
from exchange.engine._integers cimport int128
from exchange.engine._rows cimport AccountRow, CellRow, Engine, Listing


cdef enum:
    PASSIVE = 1                      # OrderFlag.POST_ONLY
    ONLY_REDUCES = 4                 # OrderFlag.REDUCE_ONLY


cdef inline int128 side_reach(const CellRow* cell, uint8_t side) noexcept nogil:
    """Lots that a subaccount holds on a side once all that rests there has filled; signed, of quotes both sides."""
    if side:
        return <int128>cell.sells + cell.quotes - cell.lots
    return <int128>cell.buys + cell.quotes + cell.lots


cdef inline int128 others_reach(
    const Engine* engine, uint32_t account, uint32_t listing, uint8_t side
) noexcept nogil:
    """Sum over the owner's other subaccounts, none below 0."""
    cdef uint32_t at = engine.accounts[account].sibling
    cdef int128 total = 0, reach
    while at != account and at != 0:
        reach = side_reach(&engine.cells[find_cell_row(engine, at, listing)], side)
        total += reach if reach > 0 else 0
        at = engine.accounts[at].sibling
    return total


cdef inline bint is_position_near(
    const Engine* engine, uint32_t cell, uint32_t listing, uint8_t side, int64_t lots
) noexcept nogil:
    """Whether `lots` more on a side might pass what a subaccount or its owner may hold."""
    cdef const Listing* market = &engine.listings[listing]
    cdef uint32_t account = engine.cells[cell].account
    cdef int128 reach
    if not market.room.is_set:
        return False
    reach = side_reach(&engine.cells[cell], side) + lots
    if reach > market.room.subaccount:
        return True
    return (reach if reach > 0 else 0) + others_reach(engine, account, listing, side) > market.room.owner


cdef inline bint is_crowded(const Engine* engine, uint32_t account, uint32_t added) noexcept nogil:
    """Whether `added` orders more might be too many for the owner."""
    cdef const AccountRow* row = &engine.accounts[account]
    cdef uint32_t at = row.sibling
    cdef uint64_t count = <uint64_t>row.open_count + added
    if row.sibling_count * engine.rules.open_orders_max <= engine.rules.owner_orders_max:
        return False
    while at != account and at != 0:
        count += engine.accounts[at].open_count
        at = engine.accounts[at].sibling
    return count > engine.rules.owner_orders_max


cdef inline bint is_limit_near(
    const Engine* engine, uint32_t cell, uint8_t side, int64_t lots, uint32_t flags
) noexcept nogil:
    """Whether an order might be refused for open interest, a position limit, or its owner's open orders."""
    cdef uint32_t listing = engine.cells[cell].instrument
    cdef const Listing* market = &engine.listings[listing]
    if is_crowded(engine, engine.cells[cell].account, 1):
        return True
    if not market.room.is_set or flags & ONLY_REDUCES:
        return False
    if market.room.open_lots + lots > market.room.cap:
        if not flags & PASSIVE or engine.core.instruments[listing].is_auction:
            return True
    return is_position_near(engine, cell, listing, side, lots)
