# cython: language_level=3
"""Rows of the rings of prices, see `_price_moves.pxd`."""

from libc.stdint cimport int64_t


cdef enum:
    RING_WINDOWS = 2
    RING_SLOTS = 6

cdef struct PriceSlot:               # highest and lowest trade of some seconds
    int64_t slot
    int64_t high
    int64_t low
