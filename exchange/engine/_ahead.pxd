# cython: language_level=3
"""Asking the memory early for what the next records of a run will touch. Nothing here can change an outcome.

An order named by number is fetched in four steps: its place in the table, its row, the rows beside it, and what stands
beside it in the core; of a new order the account and the places of its names, then what its account leads to. Orders
that will be forgotten are fetched along their line, two commands ahead. Rows of accounts and cells are longer than a
cache line and begin anywhere in one, so more than their first line is asked for.
"""

from libc.stdint cimport uint32_t

from exchange.engine._entry cimport Record
from exchange.engine._integers cimport mix
from exchange.engine._lookup cimport find_listing
from exchange.engine._margin cimport CELL_NAMES
from exchange.engine._rows cimport AccountRow, CellRow, Engine, NonceBucket, OrderRow, fetch, order_at
from exchange.engine._tables cimport Table, fold
from exchange.engine._used_nonces cimport bucket_number, entry_place, find_bucket
from matching_core._order_pool cimport Order


cdef enum:
    PLACE_AHEAD = 14
    ROW_AHEAD = 10
    REST_AHEAD = 6
    CORE_AHEAD = 3
    LINE_BYTES = 64
    ACCOUNT_COUNTS = 96              # where the row tells of open orders, margin groups and locks
    PROBES_MAX = 8
    RECORD_KIND_PLACE = 1


cdef inline void fetch_lines(const void* row, size_t size) noexcept nogil:
    """Every line of a row; its rest lies in a line that was asked for, or in the last one."""
    cdef size_t at = 0
    while at < size:
        fetch(<const char*>row + at)
        at += LINE_BYTES
    fetch(<const char*>row + size - 1)


cdef inline uint32_t likely(const Table* table, uint32_t key_hash) noexcept nogil:
    """The row whose place has this hash: nearly always the one looked for; 0 where there is none near."""
    cdef uint32_t place = key_hash & table.mask
    cdef uint32_t last = (place + PROBES_MAX) & table.mask
    while place != last:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t likely_row(const Engine* engine, const Record* record) noexcept nogil:
    """The order that a record names by its number; 0 for one that names none."""
    if record.kind == RECORD_KIND_PLACE or record.target == 0:
        return 0
    return likely(&engine.numbers, fold(mix(record.target, 1)))


cdef inline void fetch_place(const Engine* engine, const Record* record) noexcept nogil:
    if record.kind != RECORD_KIND_PLACE and record.target:
        fetch(&engine.numbers.places[fold(mix(record.target, 1)) & engine.numbers.mask])


cdef inline void fetch_row(const Engine* engine, const Record* record) noexcept nogil:
    cdef const OrderRow* order
    cdef uint32_t row = likely_row(engine, record)
    if row:
        order = order_at(engine, row)
        fetch(order)
        fetch(<const char*>order + 64)


cdef inline void fetch_rest(const Engine* engine, const Record* record) noexcept nogil:
    """Neighbors in the account's line, the place of the deadline, the core's order."""
    cdef const OrderRow* order
    cdef uint32_t row = likely_row(engine, record)
    if row == 0:
        return
    order = order_at(engine, row)
    fetch(<const char*>order_at(engine, order.next) + 64)
    fetch(<const char*>order_at(engine, order.prev) + 64)
    fetch(&engine.timers[order.timer])
    fetch(&engine.order_of_slot[<uint32_t>order.handle])
    fetch(&engine.core.orders[<uint32_t>order.handle])
    fetch_lines(&engine.accounts[order.account], sizeof(AccountRow))
    fetch_lines(&engine.cells[order.cell], sizeof(CellRow))


cdef inline void fetch_core(const Engine* engine, const Record* record) noexcept nogil:
    """Level and neighbors of the core's order, and the row whose deadline stands last."""
    cdef const OrderRow* order
    cdef const Order* resting
    cdef uint32_t row = likely_row(engine, record)
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


cdef inline void fetch_names(const Engine* engine, const Record* record, uint32_t ahead) noexcept nogil:
    """Of a new order: its account, and the places of its number and its nonce, `ahead` commands from now."""
    cdef uint32_t account = likely(&engine.account_ids, fold(mix(record.account, 2)))
    fetch(&engine.accounts[account])
    fetch(<const char*>&engine.accounts[account] + ACCOUNT_COUNTS)
    fetch(&engine.numbers.places[fold(mix((engine.sequence + ahead) << 8, 1)) & engine.numbers.mask])
    fetch(&engine.nonce_orders.places[fold(mix(record.nonce, account)) & engine.nonce_orders.mask])


cdef inline uint32_t likely_cell(const Engine* engine, const Record* record, uint32_t account) noexcept nogil:
    """What an account has on the instrument of a record, 0 for nothing."""
    return likely(&engine.cell_keys, fold(mix(account, find_listing(engine, record.instrument))))


cdef inline void fetch_account(Engine* engine, const Record* record) noexcept nogil:
    """Of a new order: its cell, the owner's address, the first margin group, the used nonce, the youngest order."""
    cdef uint32_t account = likely(&engine.account_ids, fold(mix(record.account, 2)))
    cdef const AccountRow* row = &engine.accounts[account]
    cdef uint32_t cell = likely_cell(engine, record, account)
    cdef const NonceBucket* bucket = find_bucket(engine, bucket_number(record.nonce))
    fetch(&engine.cells[cell])
    fetch(<const char*>&engine.cells[cell] + CELL_NAMES)
    fetch(&engine.keys[row.owner])
    fetch(&engine.groups[row.groups])
    if row.tail:
        fetch(<const char*>order_at(engine, row.tail) + 64)
    if bucket != NULL:
        fetch(entry_place(bucket, row.owner, row.owner, record.nonce))


cdef inline void look_ahead(Engine* engine, const Record* record, Py_ssize_t left) noexcept nogil:
    """Fetch for the records behind `record`, of which `left` are there with itself."""
    if left > PLACE_AHEAD:
        fetch_place(engine, record + PLACE_AHEAD)
    if left > ROW_AHEAD:
        fetch_row(engine, record + ROW_AHEAD)
    if left > REST_AHEAD:
        if record[REST_AHEAD].kind == RECORD_KIND_PLACE:
            fetch_names(engine, record + REST_AHEAD, REST_AHEAD + 1)
        else:
            fetch_rest(engine, record + REST_AHEAD)
    if left > CORE_AHEAD:
        if record[CORE_AHEAD].kind == RECORD_KIND_PLACE:
            fetch_account(engine, record + CORE_AHEAD)
        else:
            fetch_core(engine, record + CORE_AHEAD)
    fetch_oldest(engine)
