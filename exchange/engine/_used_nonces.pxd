# cython: language_level=3
"""Used nonces by (owner, signer, nonce), 24 bytes each, in buckets of ten minutes; the twin is `nonces`."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from exchange.engine._integers cimport mix
from exchange.engine._rows cimport Engine, NonceBucket, NonceEntry, grown


cdef enum:
    ENTRIES_START = 1 << 10

cdef extern from *:
    """
    #define OFFBOOK_NINETEEN_DIGITS 1000000000000000000ULL
    #define OFFBOOK_NONCE_WINDOW_NS 600000000000LL
    #define offbook_bucket(claimed) ((uint64_t)(claimed) / (uint64_t)OFFBOOK_NONCE_WINDOW_NS)
    """
    const uint64_t NINETEEN_DIGITS "OFFBOOK_NINETEEN_DIGITS"
    const int64_t NONCE_WINDOW_NS "OFFBOOK_NONCE_WINDOW_NS"
    uint64_t bucket_at "offbook_bucket" (uint64_t claimed) noexcept nogil


cdef inline uint64_t nonce_time(uint64_t nonce) noexcept nogil:
    """The time a nonce claims, in ns: its decimal digits padded with zeros on the right to 19."""
    cdef uint64_t padded = nonce
    if nonce == 0:
        return 0
    while padded < NINETEEN_DIGITS:
        padded *= 10
    return padded


cdef inline bint is_in_window(uint64_t nonce, int64_t now) noexcept nogil:
    cdef uint64_t claimed = nonce_time(nonce)
    cdef uint64_t current = <uint64_t>now
    cdef uint64_t apart = claimed - current if claimed > current else current - claimed
    return apart <= <uint64_t>NONCE_WINDOW_NS


cdef inline uint64_t bucket_number(uint64_t nonce) noexcept nogil:
    return bucket_at(nonce_time(nonce))


cdef inline NonceBucket* find_bucket(Engine* engine, uint64_t number) noexcept nogil:
    cdef uint32_t index
    for index in range(engine.bucket_room):
        if engine.buckets[index].entries != NULL and engine.buckets[index].number == number:
            return &engine.buckets[index]
    return NULL


cdef inline const NonceEntry* entry_place(
    const NonceBucket* bucket, uint32_t owner, uint32_t signer, uint64_t nonce
) noexcept nogil:
    """Where the search for a nonce begins."""
    return &bucket.entries[<uint32_t>(mix(nonce, <uint64_t>owner << 32 | signer) >> 32) & bucket.mask]


cdef inline NonceEntry* entry_of(
    const NonceBucket* bucket, uint32_t owner, uint32_t signer, uint64_t nonce
) noexcept nogil:
    """The entry of a used nonce, or the free one where it would stand."""
    cdef uint32_t place = <uint32_t>(mix(nonce, <uint64_t>owner << 32 | signer) >> 32) & bucket.mask
    cdef NonceEntry* entry = &bucket.entries[place]
    while entry.owner and (entry.nonce != nonce or entry.owner != owner or entry.signer != signer):
        place = (place + 1) & bucket.mask
        entry = &bucket.entries[place]
    return entry


cdef inline NonceEntry* find_used(Engine* engine, uint32_t owner, uint32_t signer, uint64_t nonce) noexcept nogil:
    """Entry of a used nonce, NULL when it is unused."""
    cdef NonceBucket* bucket = find_bucket(engine, bucket_number(nonce))
    cdef NonceEntry* entry
    if bucket == NULL:
        return NULL
    entry = entry_of(bucket, owner, signer, nonce)
    return entry if entry.owner else NULL


cdef inline NonceBucket* make_bucket(Engine* engine, uint64_t number) noexcept nogil:
    """The bucket of a number, opened when new; NULL without memory."""
    cdef NonceBucket* bucket = find_bucket(engine, number)
    cdef uint32_t index = 0
    cdef void* rows
    if bucket != NULL:
        return bucket
    while index < engine.bucket_room and engine.buckets[index].entries != NULL:
        index += 1
    rows = grown(engine.buckets, &engine.bucket_room, index, sizeof(NonceBucket))
    if rows == NULL:
        return NULL
    engine.buckets = <NonceBucket*>rows
    bucket = &engine.buckets[index]
    bucket.entries = <NonceEntry*>calloc(ENTRIES_START, sizeof(NonceEntry))
    bucket.number = number
    bucket.mask = ENTRIES_START - 1
    bucket.count = 0
    return bucket if bucket.entries != NULL else NULL


cdef inline bint reserve_nonce(Engine* engine, uint64_t nonce) noexcept nogil:
    """Room for one more nonce in its bucket."""
    cdef NonceBucket* bucket = make_bucket(engine, bucket_number(nonce))
    cdef NonceBucket more
    cdef NonceEntry* old
    cdef uint32_t place
    if bucket == NULL:
        return False
    if bucket.count * 2 <= bucket.mask:
        return True
    more = bucket[0]
    more.mask = bucket.mask * 2 + 1
    more.entries = <NonceEntry*>calloc(<size_t>more.mask + 1, sizeof(NonceEntry))
    if more.entries == NULL:
        return False
    for place in range(bucket.mask + 1):
        old = &bucket.entries[place]
        if old.owner:
            entry_of(&more, old.owner, old.signer, old.nonce)[0] = old[0]
    free(bucket.entries)
    bucket[0] = more
    return True


cdef inline void spend_nonce(
    Engine* engine, uint32_t owner, uint32_t signer, uint64_t nonce, uint64_t number
) noexcept nogil:
    """Mark a nonce as used by an order (0: refused); a second call may name its order. Room was reserved."""
    cdef NonceBucket* bucket = find_bucket(engine, bucket_number(nonce))
    cdef NonceEntry* entry = entry_of(bucket, owner, signer, nonce)
    if not entry.owner:
        bucket.count += 1
        entry.owner = owner
        entry.signer = signer
        entry.nonce = nonce
    entry.number = number


cdef inline void drop_stale_nonces(Engine* engine, int64_t now) noexcept nogil:
    """Forget buckets of which every nonce is behind the window for good."""
    cdef uint32_t index
    cdef NonceBucket* bucket
    for index in range(engine.bucket_room):
        bucket = &engine.buckets[index]
        if bucket.entries != NULL:
            if <int64_t>((bucket.number + 1) * <uint64_t>NONCE_WINDOW_NS) <= now - NONCE_WINDOW_NS:
                free(bucket.entries)
                bucket.entries = NULL
