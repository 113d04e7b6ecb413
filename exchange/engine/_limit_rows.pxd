# cython: language_level=3
"""Rows of what a market may hold; twin: limit_table."""

from libc.stdint cimport int64_t, uint8_t

from exchange.engine._integers cimport int128


cdef struct MarketRoom:              # lots at the index, rounded down
    int128 open_lots                 # open interest: the sum of all long positions
    int64_t cap
    int64_t subaccount
    int64_t owner
    uint8_t is_set                   # 0: none of the three bounds anything
