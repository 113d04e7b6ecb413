# cython: language_level=3
"""The numbers of matching_core.fills and matching_core.limits for C; a test compares them."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #define OFFBOOK_QUANTITY_MAX (1LL << 47)
    #define OFFBOOK_SIDE_MAX (1LL << 62)
    """
    const int64_t QUANTITY_MAX "OFFBOOK_QUANTITY_MAX"
    const int64_t SIDE_MAX "OFFBOOK_SIDE_MAX"

cdef enum:
    KIND_NEW = 1
    KIND_CANCEL = 2
    KIND_AMEND = 3
    EVENT_ACCEPTED = 1
    EVENT_REJECTED = 2
    EVENT_TRADE = 3
    EVENT_CANCELED = 4
    EVENT_AMENDED = 5
    EVENT_DEPTH = 6
    OK = 0
    UNKNOWN_KIND = 1
    UNKNOWN_INSTRUMENT = 2
    BAD_SIDE = 3
    BAD_FLAGS = 4
    PRICE_OUT_OF_RANGE = 5
    QUANTITY_OUT_OF_RANGE = 6
    UNKNOWN_HANDLE = 7
    REDUCE_ONLY_WOULD_INCREASE = 8
    POST_ONLY_WOULD_CROSS = 9
    FOK_NOT_FILLED = 10
    NO_LIQUIDITY = 11
    CAPACITY = 12
    SELF_TRADE = 13
    IOC_REMAINDER = 20
    USER_REQUEST = 21
    SELF_TRADE_MAKER = 22
    SELF_TRADE_DECREMENT = 23
    REDUCE_ONLY_EXCESS = 24
    IOC = 1
    FOK = 2
    POST_ONLY = 4
    SLIDE = 8
    REDUCE_ONLY = 16
    FLAGS_KNOWN = 0x31F
    STP_MASK = 0x300
    STP_CANCEL_TAKER = 0
    STP_CANCEL_MAKER = 0x100
    STP_CANCEL_BOTH = 0x200
