# cython: language_level=3
"""The inner loop of every match: the makers in front of one level that need no rule but price and time."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from matching_core._codes cimport REDUCE_ONLY
from matching_core._counters cimport move_cell
from matching_core._order_pool cimport (
    ORDER_COLD, ORDER_HAS_CELL, Core, Event, Ladder, Level, Order, following_generation, prefetch, put_event,
)
from matching_core._price_level cimport drop_level


cdef enum:
    MAKER_RARE = ORDER_COLD | REDUCE_ONLY    # what a match must look at beyond the hot record and the cell's position


cdef inline int64_t sweep_level(
    Core* core, uint32_t index, uint64_t head, uint32_t owner, int64_t wanted, Event** out, Event* limit
) noexcept nogil:
    """Fill makers of a level, oldest first, until `wanted` lots are used up, a maker is the owner's or not plain, or
    `out` stands at `limit`. One TRADE with `head` is written for each; returns the lots filled. Makers' cells move, the
    taker's does not. Level and side are summed up once, at the end; a level left empty is dropped.
    """
    cdef Level* level = &core.levels[index]
    cdef Order* orders = core.orders
    cdef Event* event = out[0]
    cdef int64_t price = level.price
    cdef int64_t left = wanted
    cdef int64_t quantity
    # An owner that no order has, where the taker has none.
    cdef uint64_t own = owner if owner else <uint64_t>1 << 32
    cdef uint32_t slot = level.head
    cdef uint32_t behind = level.tail
    cdef uint32_t released = core.order_free
    cdef uint32_t count = 0
    cdef uint32_t following
    cdef Order* maker
    while slot and left and event < limit:
        maker = &orders[slot]
        if maker.flags & MAKER_RARE or maker.owner == own:
            break
        # From the other end towards the middle: half of the line is there when its turn comes.
        behind = orders[behind].prev
        prefetch(&orders[behind])
        quantity = min(left, maker.quantity)
        put_event(event, head, <uint64_t>maker.generation << 32 | slot, price, quantity)
        event += 1
        left -= quantity
        if maker.flags & ORDER_HAS_CELL:
            move_cell(core, core.links[slot], level.ladder & 1, quantity)
        maker.quantity -= quantity
        if maker.quantity:
            break
        following = maker.next
        maker.generation = following_generation(maker.generation)
        maker.next = released
        released = slot
        slot = following
        count += 1
    if left != wanted:
        settle(core, level, slot, released, count, wanted - left)
    out[0] = event
    return wanted - left


cdef inline void settle(
    Core* core, Level* level, uint32_t slot, uint32_t released, uint32_t count, int64_t filled
) noexcept nogil:
    """Book what a sweep has filled: `slot` is in front now, `count` orders are gone."""
    core.order_free = released
    core.order_count -= count
    core.ladders[level.ladder].open_lots -= filled
    level.total -= filled
    level.count -= count
    level.head = slot
    core.orders[slot].prev = 0
    if slot == 0:
        level.tail = 0
        drop_level(core, <uint32_t>(level - core.levels))
