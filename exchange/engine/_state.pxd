# cython: language_level=3
"""The compiled state for other compiled modules."""

from libc.stdint cimport uint32_t

from exchange.engine._rows cimport Engine, OrderRow
from matching_core._order_book cimport OrderBook


cdef class Store:
    cdef Engine engine
    cdef readonly OrderBook book
    cdef int need(self, bint is_there) except -1
    cdef int require_sound(self) except -1
    cdef void* rows(self, void* answer) except NULL
    cdef uint32_t listing_row(self, number) except 0
    cdef uint32_t key_row(self, uint32_t owner, bytes address) except 0
    cdef bytes address_of(self, uint32_t row)
    cdef uint32_t owner_of(self, bytes address) except? 0
    cdef int set_text(self, OrderRow* order, object place) except -1
    cdef uint32_t row_of(self, object number) except 0
    cdef OrderRow* live(self, uint32_t row, object number) except NULL
