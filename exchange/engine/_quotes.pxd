# cython: language_level=3
"""Quotes in the book by group, instrument and side, and those that are forgotten at once."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from exchange.engine._integers cimport mix
from exchange.engine._order_rows cimport release_order
from exchange.engine._rows cimport ORDER_QUOTE, Engine, OrderRow, grown, order_at
from exchange.engine._tables cimport Table, fold, put, take_out


cdef inline uint32_t hash_quote(uint32_t guard, uint32_t listing, uint8_t side) noexcept nogil:
    return fold(mix(<uint64_t>guard << 1 | side, listing))


cdef inline uint32_t find_quote(const Engine* engine, uint32_t guard, uint32_t listing, uint8_t side) noexcept nogil:
    """Row of a group's quote on one side of an instrument, 0 when there is none."""
    cdef const Table* table = &engine.quotes
    cdef uint32_t key_hash = hash_quote(guard, listing, side)
    cdef uint32_t place = key_hash & table.mask
    cdef const OrderRow* order
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            order = order_at(engine, <uint32_t>table.places[place])
            if order.guard == guard and order.instrument == listing and order.side == side:
                return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline void rest_quote(Engine* engine, uint32_t row) noexcept nogil:
    """A quote rests in the book; the room was reserved."""
    cdef const OrderRow* order = order_at(engine, row)
    put(&engine.quotes, hash_quote(order.guard, order.instrument, order.side), row)
    engine.guards[order.guard].quotes += 1


cdef inline void unrest_quote(Engine* engine, uint32_t row) noexcept nogil:
    """Undo `rest_quote`."""
    cdef const OrderRow* order = order_at(engine, row)
    take_out(&engine.quotes, hash_quote(order.guard, order.instrument, order.side), row)
    engine.guards[order.guard].quotes -= 1


cdef inline bint is_forgotten(const OrderRow* order) noexcept nogil:
    """Whether an order that ended is one that nobody will ask for: a quote without a fill."""
    return order.flags & ORDER_QUOTE and order.filled == 0


cdef inline void spend_quote(Engine* engine, uint32_t row) noexcept nogil:
    """A quote ended without a fill: who asks for it in this command still finds it, the next one frees its row."""
    cdef void* rows = grown(engine.spent, &engine.spent_room, engine.spent_count, sizeof(uint32_t))
    if rows == NULL:
        engine.defect = "no memory for ended quotes"
        return
    engine.spent = <uint32_t*>rows
    engine.spent[engine.spent_count] = row
    engine.spent_count += 1


cdef inline void forget_spent(Engine* engine) noexcept nogil:
    """A command begins."""
    cdef uint32_t index, row
    for index in range(engine.spent_count):
        row = engine.spent[index]
        take_out(&engine.numbers, order_at(engine, row).number_hash, row)
        release_order(engine, row)
    engine.spent_count = 0
