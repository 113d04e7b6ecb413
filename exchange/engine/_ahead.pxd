# cython: language_level=3
"""Asking the memory early for what the next records of a run will touch. Nothing here can change an outcome.

An order named by number is fetched in three steps: its place in the table, its row, and the rows beside it.
"""

from libc.stdint cimport uint32_t

from exchange.engine._entry cimport Record
from exchange.engine._integers cimport mix
from exchange.engine._rows cimport Engine, OrderRow, fetch, order_at
from exchange.engine._tables cimport fold


cdef enum:
    PLACE_AHEAD = 12
    ROW_AHEAD = 8
    REST_AHEAD = 4
    RECORD_KIND_PLACE = 1


cdef inline uint32_t likely_row(const Engine* engine, const Record* record) noexcept nogil:
    """The row at the first place of a number's hash: nearly always the order's own."""
    cdef uint32_t place = fold(mix(record.target, 1)) & engine.numbers.mask
    return <uint32_t>engine.numbers.places[place]


cdef inline void fetch_place(const Engine* engine, const Record* record) noexcept nogil:
    if record.kind != RECORD_KIND_PLACE and record.target:
        fetch(&engine.numbers.places[fold(mix(record.target, 1)) & engine.numbers.mask])


cdef inline void fetch_row(const Engine* engine, const Record* record) noexcept nogil:
    cdef const OrderRow* order
    if record.kind != RECORD_KIND_PLACE and record.target:
        order = order_at(engine, likely_row(engine, record)) if engine.block_count else NULL
        fetch(order)
        fetch(<const char*>order + 64)


cdef inline void fetch_rest(const Engine* engine, const Record* record) noexcept nogil:
    """Neighbors in the account's line, the place of the deadline, the core's order."""
    cdef const OrderRow* order
    if record.kind == RECORD_KIND_PLACE or not record.target or not engine.block_count:
        return
    order = order_at(engine, likely_row(engine, record))
    fetch(<const char*>order_at(engine, order.next) + 64)
    fetch(<const char*>order_at(engine, order.prev) + 64)
    fetch(&engine.timers[order.timer])
    fetch(&engine.order_of_slot[<uint32_t>order.handle])
    fetch(&engine.core.orders[<uint32_t>order.handle])
    fetch(&engine.accounts[order.account])
    fetch(&engine.cells[order.cell])


cdef inline void fetch_oldest(const Engine* engine) noexcept nogil:
    """What forgetting the order that closed first will touch."""
    cdef const OrderRow* order
    if engine.closed_head and engine.closed_count >= engine.rules.closed_max:
        order = order_at(engine, engine.closed_head)
        fetch(&engine.numbers.places[order.number_hash & engine.numbers.mask])
        fetch(&engine.nonce_orders.places[order.nonce_hash & engine.nonce_orders.mask])
        fetch(order.text)
        fetch(order_at(engine, order.next))
        fetch(<const char*>order_at(engine, order.next) + 64)


cdef inline void look_ahead(const Engine* engine, const Record* record, Py_ssize_t left) noexcept nogil:
    """Fetch for the records behind `record`, of which `left` are there with itself."""
    if left > PLACE_AHEAD:
        fetch_place(engine, record + PLACE_AHEAD)
    if left > ROW_AHEAD:
        fetch_row(engine, record + ROW_AHEAD)
    if left > REST_AHEAD:
        fetch_rest(engine, record + REST_AHEAD)
    fetch_oldest(engine)
