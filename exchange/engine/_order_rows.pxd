# cython: language_level=3
"""Rows of orders: room for one more, taking one, giving it back with its texts."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from exchange.engine._rows cimport (
    AT_NOWHERE, BLOCK_BITS, BLOCK_ROWS, ORDER_QUOTE, RECORD_BYTES, Engine, OrderRow, grown, order_at,
)


cdef enum:
    QUOTE_TEXT_BYTES = RECORD_BYTES + 176


cdef extern from *:
    """
    #include <stdlib.h>
    """
    void* aligned_alloc(size_t alignment, size_t size) noexcept nogil


cdef inline bint add_block(Engine* engine) noexcept nogil:
    """Rows never used, behind the others; False without memory."""
    cdef void* blocks = grown(engine.blocks, &engine.block_room, engine.block_count, sizeof(OrderRow*))
    if blocks == NULL:
        return False
    engine.blocks = <OrderRow**>blocks
    engine.blocks[engine.block_count] = <OrderRow*>aligned_alloc(64, BLOCK_ROWS * sizeof(OrderRow))
    if engine.blocks[engine.block_count] == NULL:
        return False
    memset(engine.blocks[engine.block_count], 0, BLOCK_ROWS * sizeof(OrderRow))
    engine.block_count += 1
    return True


cdef inline bint reserve_orders(Engine* engine) noexcept nogil:
    """A free row for one more order."""
    return engine.order_free or (engine.order_top + 1) >> BLOCK_BITS < engine.block_count or add_block(engine)


cdef inline bint reserve_fresh(Engine* engine, uint32_t count) noexcept nogil:
    """Rows for `count` more orders, whatever was given back before."""
    while (engine.order_top + count) >> BLOCK_BITS >= engine.block_count:
        if not add_block(engine):
            return False
    return True


cdef inline uint32_t take_order(Engine* engine) noexcept nogil:
    """A zeroed row; reserve_orders has made sure that there is one."""
    cdef uint32_t row = engine.order_free
    if row:
        engine.order_free = order_at(engine, row).next
        memset(order_at(engine, row), 0, sizeof(OrderRow))
    else:
        engine.order_top += 1
        row = engine.order_top
    engine.order_count += 1
    return row


cdef inline char* take_text(Engine* engine) noexcept nogil:
    """Room for the text of a quote; NULL without memory."""
    cdef char* text = engine.texts
    if text == NULL:
        return <char*>malloc(QUOTE_TEXT_BYTES)
    memcpy(&engine.texts, text, sizeof(char*))
    return text


cdef inline void give_text(Engine* engine, char* text) noexcept nogil:
    memcpy(text, &engine.texts, sizeof(char*))
    engine.texts = text


cdef inline void release_order(Engine* engine, uint32_t row) noexcept nogil:
    """Free a row and its texts."""
    cdef OrderRow* order = order_at(engine, row)
    if order.text != NULL and order.flags & ORDER_QUOTE and order.text_bytes == QUOTE_TEXT_BYTES:
        give_text(engine, order.text)
    else:
        free(order.text)
    free(order.first)
    free(order.trigger)
    # The rest is wiped when the row is taken again.
    order.text = order.first = NULL
    order.trigger = NULL
    order.number = order.handle = 0
    order.where = AT_NOWHERE
    order.next = engine.order_free
    engine.order_free = row
    engine.order_count -= 1
