# cython: language_level=3
"""Money in 128 bits, products that say when they leave them, and divisions that name their rounding.

Stored sums cannot leave 128 bits: one command moves at most 2**64 and there are fewer than 2**48 commands.
Products inside a check can; `mul` and `add` then raise a flag, and the caller hands the command to the Python handlers.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from *:
    """
    #ifndef OFFBOOK_ENGINE_INTEGERS
    #define OFFBOOK_ENGINE_INTEGERS
    #include <stdint.h>
    typedef __int128 offbook_int128;
    typedef unsigned __int128 offbook_uint128;
    static inline offbook_int128 offbook_mul(offbook_int128 a, offbook_int128 b, int *is_wide) {
        offbook_int128 product;
        *is_wide |= __builtin_mul_overflow(a, b, &product);
        return product;
    }
    static inline offbook_int128 offbook_add(offbook_int128 a, offbook_int128 b, int *is_wide) {
        offbook_int128 sum;
        *is_wide |= __builtin_add_overflow(a, b, &sum);
        return sum;
    }
    /* Towards zero, by a divisor that the compiler knows: each step is a product, no 128-bit division is called. */
    static inline offbook_int128 offbook_in_steps(offbook_int128 a, uint32_t b, uint32_t *rest) {
        offbook_uint128 size = a < 0 ? -(offbook_uint128)a : (offbook_uint128)a;
        uint64_t high = (uint64_t)(size >> 64), low = (uint64_t)size;
        uint64_t middle = (high % b) << 32 | low >> 32;
        uint64_t last = (middle % b) << 32 | (uint32_t)low;
        size = (offbook_uint128)(high / b) << 64 | (middle / b << 32) | last / b;
        *rest = (uint32_t)(last % b);
        return a < 0 ? -(offbook_int128)size : (offbook_int128)size;
    }
    #define OFFBOOK_IS_KNOWN(b) (__builtin_constant_p(b) && (b) > 1 && (b) <= (int64_t)UINT32_MAX)
    static inline offbook_int128 offbook_floor_div(offbook_int128 a, int64_t b) {
        uint32_t rest;
        if ((int64_t)a == a) {
            int64_t small = (int64_t)a, quotient = small / b;
            return quotient - (small % b < 0);
        }
        if (OFFBOOK_IS_KNOWN(b)) {
            offbook_int128 quotient = offbook_in_steps(a, (uint32_t)b, &rest);
            return quotient - (a < 0 && rest);
        }
        return a / b - (a % b < 0);
    }
    static inline offbook_int128 offbook_ceil_div(offbook_int128 a, int64_t b) {
        uint32_t rest;
        if ((int64_t)a == a) {
            int64_t small = (int64_t)a, quotient = small / b;
            return quotient + (small % b > 0);
        }
        if (OFFBOOK_IS_KNOWN(b)) {
            offbook_int128 quotient = offbook_in_steps(a, (uint32_t)b, &rest);
            return quotient + (a > 0 && rest);
        }
        return a / b + (a % b > 0);
    }
    /* amount * part / whole, rounded up, for 0 <= part <= whole < 2**63: no product of the amount is made. */
    static inline offbook_int128 offbook_share_ceil(offbook_int128 amount, int64_t part, int64_t whole) {
        offbook_int128 each = offbook_floor_div(amount, whole);
        offbook_int128 rest = amount - each * whole;
        return each * part + offbook_ceil_div(rest * part, whole);
    }
    /* Lowest of `due` and cap * lots_e9 / 10**21, rounded down; a product beyond 128 bits is above any fee. */
    static inline offbook_int128 offbook_capped(offbook_int128 due, offbook_uint128 cap, offbook_uint128 lots_e9) {
        offbook_uint128 product, most;
        if (__builtin_mul_overflow(cap, lots_e9, &product))
            return due;
        most = product / 1000000000000000000ULL / 1000ULL;
        return due > 0 && (offbook_uint128)due > most ? (offbook_int128)most : due;
    }
    static inline int64_t offbook_high(offbook_int128 a) { return (int64_t)(a >> 64); }
    static inline uint64_t offbook_low(offbook_int128 a) { return (uint64_t)a; }
    static inline offbook_int128 offbook_wide(int64_t high, uint64_t low) {
        return (offbook_int128)(((offbook_uint128)(uint64_t)high << 64) | low);
    }
    static inline uint64_t offbook_mix(uint64_t a, uint64_t b) {
        uint64_t x = a * 0x9E3779B97F4A7C15ULL ^ (b + 0xD6E8FEB86659FD93ULL) * 0xC2B2AE3D27D4EB4FULL;
        x ^= x >> 32; x *= 0xD6E8FEB86659FD93ULL; x ^= x >> 32;
        return x;
    }
    #endif
    """
    ctypedef long long int128 "offbook_int128"
    ctypedef unsigned long long uint128 "offbook_uint128"
    int128 mul "offbook_mul" (int128 a, int128 b, int* is_wide) noexcept nogil
    int128 add "offbook_add" (int128 a, int128 b, int* is_wide) noexcept nogil
    int128 floor_div "offbook_floor_div" (int128 a, int64_t b) noexcept nogil
    int128 ceil_div "offbook_ceil_div" (int128 a, int64_t b) noexcept nogil
    int128 share_ceil "offbook_share_ceil" (int128 amount, int64_t part, int64_t whole) noexcept nogil
    int128 capped "offbook_capped" (int128 due, uint128 cap, uint128 lots_e9) noexcept nogil
    int64_t high_of "offbook_high" (int128 a) noexcept nogil
    uint64_t low_of "offbook_low" (int128 a) noexcept nogil
    int128 wide_of "offbook_wide" (int64_t high, uint64_t low) noexcept nogil
    uint64_t mix "offbook_mix" (uint64_t a, uint64_t b) noexcept nogil


cdef inline object int_of(int128 value):
    """A Python integer; most fit 64 bits."""
    cdef int64_t high = high_of(value)
    cdef uint64_t low = low_of(value)
    if (high == 0 and low >> 63 == 0) or (high == -1 and low >> 63 == 1):
        return <int64_t>low
    return (<object>high << 64) | low


cdef inline int128 wide_from(object value) except? -1:
    """128 bits of a Python integer; OverflowError beyond +-2**127."""
    cdef int64_t high = value >> 64
    cdef uint64_t low = value & 0xFFFFFFFFFFFFFFFF
    return wide_of(high, low)
