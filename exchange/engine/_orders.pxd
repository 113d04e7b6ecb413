# cython: language_level=3
"""Life of an order row: timers, the account's line of open orders, the line of closed ones, forgetting."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from exchange.engine._lookup cimport forget_names
from exchange.engine._order_rows cimport release_order
from exchange.engine._rows cimport (
    AT_BOOK, AT_CLOSED, AT_NOWHERE, AccountRow, Engine, OrderRow, Timer, grown, order_at,
)
from exchange.engine._tables cimport take_out


cdef enum:
    STOPPED_MAX = 256                # stopped timers that stay, beside as many as run


cdef inline bint is_earlier(const Timer* one, const Timer* other) noexcept nogil:
    if one.deadline_s != other.deadline_s:
        return one.deadline_s < other.deadline_s
    return one.number < other.number


cdef inline void set_timer(Engine* engine, uint32_t place, const Timer* timer) noexcept nogil:
    engine.timers[place] = timer[0]
    if timer.order:
        order_at(engine, timer.order).timer = place


cdef inline void rise(Engine* engine, uint32_t place, Timer timer) noexcept nogil:
    """Put a timer at `place` or nearer to the root, where it belongs."""
    cdef uint32_t parent
    while place > 1:
        parent = (place + 2) >> 2
        if not is_earlier(&timer, &engine.timers[parent]):
            break
        set_timer(engine, place, &engine.timers[parent])
        place = parent
    set_timer(engine, place, &timer)


cdef inline void sink(Engine* engine, uint32_t place, Timer timer) noexcept nogil:
    """Put a timer at `place` or farther from the root, where it belongs."""
    cdef uint32_t child, best, last
    while True:
        best = child = 4 * place - 2
        if child > engine.timer_top:
            break
        last = min(child + 3, engine.timer_top)
        while child < last:
            child += 1
            if is_earlier(&engine.timers[child], &engine.timers[best]):
                best = child
        if not is_earlier(&engine.timers[best], &timer):
            break
        set_timer(engine, place, &engine.timers[best])
        place = best
    set_timer(engine, place, &timer)


cdef inline bint reserve_timer(Engine* engine) noexcept nogil:
    return reserve_timers(engine, 1)


cdef inline bint reserve_timers(Engine* engine, uint32_t count) noexcept nogil:
    cdef void* rows = grown(engine.timers, &engine.timer_room, engine.timer_top + count, sizeof(Timer))
    if rows == NULL:
        return False
    engine.timers = <Timer*>rows
    return True


cdef inline void start_timer(Engine* engine, uint32_t row) noexcept nogil:
    """Watch an order's deadline; reserve_timer has made the room."""
    cdef OrderRow* order = order_at(engine, row)
    cdef Timer timer
    timer.number = order.number
    timer.deadline_s = order.deadline_s
    timer.order = row
    engine.timer_count += 1
    engine.timer_top += 1
    rise(engine, engine.timer_top, timer)


cdef inline void stop_timer(Engine* engine, uint32_t row) noexcept nogil:
    """Watch it no more: its timer stays where it is, for it would be sought a place for another one's sake."""
    cdef OrderRow* order = order_at(engine, row)
    if order.timer == 0:
        return
    engine.timers[order.timer].order = 0
    order.timer = 0
    engine.timer_count -= 1
    if engine.timer_top > 2 * engine.timer_count + STOPPED_MAX:
        sift_timers(engine)


cdef inline void sift_timers(Engine* engine) noexcept nogil:
    """Throw the stopped timers away and put the others in heap order anew."""
    cdef uint32_t index
    cdef uint32_t kept = 0
    for index in range(1, engine.timer_top + 1):
        if engine.timers[index].order:
            kept += 1
            set_timer(engine, kept, &engine.timers[index])
    engine.timer_top = kept
    for index in range((kept + 2) >> 2, 0, -1):
        sink(engine, index, engine.timers[index])


cdef inline void drop_stopped(Engine* engine) noexcept nogil:
    """Take stopped timers off the front, so that the first one runs."""
    cdef Timer last
    while engine.timer_top and engine.timers[1].order == 0:
        last = engine.timers[engine.timer_top]
        engine.timer_top -= 1
        if engine.timer_top:
            sink(engine, 1, last)


cdef inline void find_deadline(
    const Engine* engine, OrderRow* order, int64_t expiry_s, uint64_t expires_at_s
) noexcept nogil:
    """When an order dies by time: its signature, its own date or its instrument's end."""
    cdef int64_t end_s = engine.listings[order.instrument].expiry_s
    if expires_at_s and expires_at_s < <uint64_t>expiry_s:
        expiry_s = expires_at_s
    if end_s and end_s < expiry_s:
        expiry_s = end_s
    order.deadline_s = <uint32_t>expiry_s


cdef inline void link_open(Engine* engine, uint32_t row) noexcept nogil:
    """Youngest of its account's orders in the book."""
    cdef OrderRow* order = order_at(engine, row)
    cdef AccountRow* account = &engine.accounts[order.account]
    order.next = 0
    order.prev = account.tail
    if account.tail:
        order_at(engine, account.tail).next = row
    else:
        account.head = row
    account.tail = row
    account.open_count += 1


cdef inline void unlink_open(Engine* engine, uint32_t row) noexcept nogil:
    cdef OrderRow* order = order_at(engine, row)
    cdef AccountRow* account = &engine.accounts[order.account]
    if order.prev:
        order_at(engine, order.prev).next = order.next
    else:
        account.head = order.next
    if order.next:
        order_at(engine, order.next).prev = order.prev
    else:
        account.tail = order.prev
    order.next = order.prev = 0
    account.open_count -= 1


cdef inline void append_closed(Engine* engine, uint32_t row) noexcept nogil:
    """Behind all that closed before."""
    cdef OrderRow* order = order_at(engine, row)
    order.where = AT_CLOSED
    order.next = 0
    if engine.closed_tail:
        order_at(engine, engine.closed_tail).next = row
    else:
        engine.closed_head = row
    engine.closed_tail = row
    engine.closed_count += 1


cdef inline void pop_closed(Engine* engine) noexcept nogil:
    """Take the first of the closed orders out of their line and forget its number."""
    cdef uint32_t row = engine.closed_head
    cdef OrderRow* order = order_at(engine, row)
    engine.closed_head = order.next
    if order.next == 0:
        engine.closed_tail = 0
    engine.closed_count -= 1
    order.where = AT_NOWHERE


cdef inline void forget_first(Engine* engine) noexcept nogil:
    """Forget the order that closed first, with its names."""
    cdef uint32_t row = engine.closed_head
    pop_closed(engine)
    forget_names(engine, row)
    take_out(&engine.numbers, order_at(engine, row).number_hash, row)
    release_order(engine, row)


cdef inline void forget_old(Engine* engine) noexcept nogil:
    """Drop closed orders beyond the count or the time for which they are remembered."""
    cdef const OrderRow* oldest
    while engine.closed_head:
        oldest = order_at(engine, engine.closed_head)
        if engine.closed_count <= engine.rules.closed_max:
            if oldest.updated > engine.now - engine.rules.closed_life:
                return
        forget_first(engine)
