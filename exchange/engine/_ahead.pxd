# cython: language_level=3
"""Asking the memory early for what the next records of a run will touch. Nothing here can change an outcome.

An order named by number is fetched in four steps: its place in the table, its row, the rows beside it, and what stands
beside it in the core. Orders that will be forgotten are fetched along their line, two commands ahead.
"""

from libc.stdint cimport uint32_t

from exchange.engine._entry cimport Record
from exchange.engine._integers cimport mix
from exchange.engine._rows cimport Engine, OrderRow, fetch, order_at
from exchange.engine._tables cimport fold
from matching_core._order_pool cimport Order


cdef enum:
    PLACE_AHEAD = 14
    ROW_AHEAD = 10
    REST_AHEAD = 6
    CORE_AHEAD = 3
    PROBES_MAX = 8
    RECORD_KIND_PLACE = 1


cdef inline uint32_t likely_row(const Engine* engine, const Record* record) noexcept nogil:
    """The row whose place has a number's hash: nearly always the order's own; 0 where there is none near."""
    cdef uint32_t key_hash = fold(mix(record.target, 1))
    cdef uint32_t place = key_hash & engine.numbers.mask
    cdef uint32_t tries
    for tries in range(PROBES_MAX):
        if <uint32_t>(engine.numbers.places[place] >> 32) == key_hash:
            return <uint32_t>engine.numbers.places[place]
        place = (place + 1) & engine.numbers.mask
    return 0


cdef inline void fetch_place(const Engine* engine, const Record* record) noexcept nogil:
    if record.kind != RECORD_KIND_PLACE and record.target:
        fetch(&engine.numbers.places[fold(mix(record.target, 1)) & engine.numbers.mask])


cdef inline void fetch_row(const Engine* engine, const Record* record) noexcept nogil:
    cdef const OrderRow* order
    cdef uint32_t row = likely_row(engine, record) if record.kind != RECORD_KIND_PLACE and record.target else 0
    if row:
        order = order_at(engine, row)
        fetch(order)
        fetch(<const char*>order + 64)


cdef inline void fetch_rest(const Engine* engine, const Record* record) noexcept nogil:
    """Neighbors in the account's line, the place of the deadline, the core's order."""
    cdef const OrderRow* order
    cdef uint32_t row = likely_row(engine, record) if record.kind != RECORD_KIND_PLACE and record.target else 0
    if row == 0:
        return
    order = order_at(engine, row)
    fetch(<const char*>order_at(engine, order.next) + 64)
    fetch(<const char*>order_at(engine, order.prev) + 64)
    fetch(&engine.timers[order.timer])
    fetch(&engine.order_of_slot[<uint32_t>order.handle])
    fetch(&engine.core.orders[<uint32_t>order.handle])
    fetch(&engine.accounts[order.account])
    fetch(&engine.cells[order.cell])


cdef inline void fetch_core(const Engine* engine, const Record* record) noexcept nogil:
    """Level and neighbors of the core's order, and the row whose deadline stands last."""
    cdef const OrderRow* order
    cdef const Order* resting
    cdef uint32_t row = likely_row(engine, record) if record.kind != RECORD_KIND_PLACE and record.target else 0
    if row == 0:
        return
    order = order_at(engine, row)
    resting = &engine.core.orders[<uint32_t>order.handle]
    fetch(&engine.core.levels[resting.level])
    fetch(&engine.core.orders[resting.next])
    fetch(&engine.core.orders[resting.prev])
    fetch(&engine.groups[engine.cells[order.cell].group])


cdef inline void fetch_oldest(const Engine* engine) noexcept nogil:
    """What forgetting the orders that closed first will touch: names of the second, rows of the third."""
    cdef const OrderRow* order
    if not engine.closed_head or engine.closed_count + 2 < engine.rules.closed_max or engine.closed_count < 4:
        return
    order = order_at(engine, order_at(engine, engine.closed_head).next)
    fetch(&engine.numbers.places[order.number_hash & engine.numbers.mask])
    fetch(&engine.nonce_orders.places[order.nonce_hash & engine.nonce_orders.mask])
    fetch(order.text)
    if order.id_bytes:
        fetch(&engine.client_ids.places[order.id_hash & engine.client_ids.mask])
    order = order_at(engine, order.next)
    fetch(<const char*>order_at(engine, order.next))
    fetch(<const char*>order_at(engine, order.next) + 64)
    fetch(<const char*>order_at(engine, order.next) + 128)


cdef inline void look_ahead(const Engine* engine, const Record* record, Py_ssize_t left) noexcept nogil:
    """Fetch for the records behind `record`, of which `left` are there with itself."""
    if left > PLACE_AHEAD:
        fetch_place(engine, record + PLACE_AHEAD)
    if left > ROW_AHEAD:
        fetch_row(engine, record + ROW_AHEAD)
    if left > REST_AHEAD:
        fetch_rest(engine, record + REST_AHEAD)
    if left > CORE_AHEAD:
        fetch_core(engine, record + CORE_AHEAD)
    fetch_oldest(engine)
