# cython: language_level=3
"""Events as the canonical bytes of `exchange.domain.packing.pack_events`, written without making them.

One command is [sequence, time in ns, [event, ...]], an event its tag and fields; integers, texts and arrays take the
shortest msgpack form. Twin: `pack_events` over the decoded events.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from exchange.engine._entry cimport Record, Terms
from exchange.engine._events cimport (
    PACKED_ACCEPTED, PACKED_AMENDED, PACKED_BATCH, PACKED_CLOSED, PACKED_FUNDING, PACKED_KEPT, PACKED_LEVEL,
    PACKED_QUOTED, PACKED_QUOTE_PLACED, PACKED_QUOTE_REFUSED, PACKED_REFUSED, PACKED_TRADE,
)
from exchange.engine._integers cimport high_of, int128, low_of, uint128
from exchange.engine._rows cimport Engine, PackedEvent


cdef enum:
    # Bytes that one row of a packed event, and one command with an order's fields, take at most.
    ROW_BYTES_MAX = 128
    HEAD_BYTES_MAX = 640
    TAG_WIDE_FEE = 32
    MSGPACK_FALSE = 0xC2
    PLACE_RECORD = 1                 # CommandKind
    CANCEL_RECORD = 2

cdef extern from *:
    """
    static inline uint8_t *offbook_put_big(uint8_t *at, uint8_t head, uint64_t value, int bytes) {
        *at++ = head;
        while (bytes--) *at++ = (uint8_t)(value >> 8 * bytes);
        return at;
    }
    static inline uint8_t *offbook_put_uint(uint8_t *at, uint64_t value) {
        if (value < 0x80) { *at = (uint8_t)value; return at + 1; }
        if (value <= 0xff) return offbook_put_big(at, 0xcc, value, 1);
        if (value <= 0xffff) return offbook_put_big(at, 0xcd, value, 2);
        if (value <= 0xffffffff) return offbook_put_big(at, 0xce, value, 4);
        return offbook_put_big(at, 0xcf, value, 8);
    }
    static inline uint8_t *offbook_put_int(uint8_t *at, int64_t value) {
        if (value >= 0) return offbook_put_uint(at, (uint64_t)value);
        if (value >= -32) { *at = (uint8_t)value; return at + 1; }
        if (value >= -0x80) return offbook_put_big(at, 0xd0, (uint64_t)value, 1);
        if (value >= -0x8000) return offbook_put_big(at, 0xd1, (uint64_t)value, 2);
        if (value >= -0x80000000LL) return offbook_put_big(at, 0xd2, (uint64_t)value, 4);
        return offbook_put_big(at, 0xd3, (uint64_t)value, 8);
    }
    static inline uint8_t *offbook_put_array(uint8_t *at, uint64_t count) {
        if (count < 16) { *at = (uint8_t)(0x90 | count); return at + 1; }
        if (count <= 0xffff) return offbook_put_big(at, 0xdc, count, 2);
        return offbook_put_big(at, 0xdd, count, 4);
    }
    static inline uint8_t *offbook_put_bytes(uint8_t *at, const char *bytes, uint32_t size) {
        if (size <= 0xff) at = offbook_put_big(at, 0xc4, size, 1);
        else if (size <= 0xffff) at = offbook_put_big(at, 0xc5, size, 2);
        else at = offbook_put_big(at, 0xc6, size, 4);
        if (size) __builtin_memcpy(at, bytes, size);
        return at + size;
    }
    static inline uint8_t *offbook_put_text(uint8_t *at, const char *text, uint32_t size) {
        if (size < 32) *at++ = (uint8_t)(0xa0 | size);
        else if (size <= 0xff) at = offbook_put_big(at, 0xd9, size, 1);
        else if (size <= 0xffff) at = offbook_put_big(at, 0xda, size, 2);
        else at = offbook_put_big(at, 0xdb, size, 4);
        if (size) __builtin_memcpy(at, text, size);
        return at + size;
    }
    """
    uint8_t* put_uint "offbook_put_uint" (uint8_t* at, uint64_t value) noexcept nogil
    uint8_t* put_int "offbook_put_int" (uint8_t* at, int64_t value) noexcept nogil
    uint8_t* put_array "offbook_put_array" (uint8_t* at, uint64_t count) noexcept nogil
    uint8_t* put_bytes "offbook_put_bytes" (uint8_t* at, const char* data, uint32_t size) noexcept nogil
    uint8_t* put_text "offbook_put_text" (uint8_t* at, const char* text, uint32_t size) noexcept nogil


cdef struct Blob:
    uint8_t* bytes
    size_t size
    size_t room


cdef inline bint reserve_blob(Blob* blob, size_t count) noexcept nogil:
    cdef size_t room = blob.room if blob.room else 1 << 16
    cdef uint8_t* grown
    if blob.size + count <= blob.room:
        return True
    while room < blob.size + count:
        room *= 2
    grown = <uint8_t*>realloc(blob.bytes, room)
    if grown == NULL:
        return False
    blob.bytes = grown
    blob.room = room
    return True


cdef inline size_t rows_of(const PackedEvent* event) noexcept nogil:
    """Rows that an event takes."""
    if event.kind == PACKED_TRADE:
        return 5
    return 2 if event.kind == PACKED_BATCH or event.kind == PACKED_FUNDING else 1


cdef inline uint8_t* put_money(Engine* engine, uint8_t* at, const char* money) noexcept nogil:
    """16 bytes of money; beyond 64 bits the events have no packed form and the state is not to be used any more."""
    cdef int128 value
    cdef int64_t high
    memcpy(&value, money, 16)
    high = high_of(value)
    if high == 0:
        return put_uint(at, low_of(value))
    if high != -1 or low_of(value) >> 63 == 0:
        engine.defect = "an amount in an event does not fit 64 bits"
    return put_int(at, <int64_t>low_of(value))


cdef inline uint8_t* put_side(Engine* engine, uint8_t* at, const PackedEvent* event) noexcept nogil:
    """One party of a trade: its fill and the row of money behind it."""
    cdef const char* money = <const char*>(event + 1)
    at = put_array(at, 10)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_uint(at, event.number)
    at = put_int(at, event.body[0])
    at = put_money(engine, at, money + 16)
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    at = put_int(at, event.body[3])
    at = put_money(engine, at, money + 32)
    return put_money(engine, at, money + 48)


cdef inline uint8_t* put_trade(Engine* engine, uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 11)
    at = put_uint(at, PACKED_TRADE)
    at = put_uint(at, event.number)
    at = put_uint(at, event.account)
    at = put_int(at, event.body[0])
    at = put_int(at, event.body[1])
    at = put_uint(at, event.flags)
    at = put_int(at, event.body[2])
    at = put_int(at, event.body[3])
    at = put_side(engine, at, event + 1)
    at = put_side(engine, at, event + 3)
    at[0] = MSGPACK_FALSE                # auctions are not matched here
    return at + 1


cdef inline uint8_t* put_batch(Engine* engine, uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 9)
    at = put_uint(at, PACKED_BATCH)
    at = put_uint(at, event.number)
    at = put_int(at, event.body[0])
    at = put_uint(at, event.sequence)
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    at = put_uint(at, (event + 1).account_seq)
    at = put_money(engine, at, <const char*>(event + 1) + 32)
    return put_int(at, event.body[3])


cdef inline uint8_t* put_funding(Engine* engine, uint8_t* at, const PackedEvent* event) noexcept nogil:
    cdef const char* money = <const char*>(event + 1)
    at = put_array(at, 9)
    at = put_uint(at, PACKED_FUNDING)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_int(at, event.body[0])
    at = put_money(engine, at, money + 16)
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    at = put_money(engine, at, money + 32)
    return put_money(engine, at, money + 48)


cdef inline uint8_t* put_level(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 5)
    at = put_uint(at, PACKED_LEVEL)
    at = put_uint(at, event.account)
    at = put_uint(at, event.flags)
    at = put_int(at, event.body[0])
    return put_int(at, event.body[1])


cdef inline uint8_t* put_closed(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 8)
    at = put_uint(at, PACKED_CLOSED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_uint(at, event.number)
    at = put_int(at, event.body[0])
    at = put_uint(at, event.flags)
    at = put_uint(at, event.code)
    return put_int(at, event.body[1])


cdef inline uint8_t* put_amended(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 8)
    at = put_uint(at, PACKED_AMENDED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_uint(at, event.number)
    at = put_int(at, event.body[0])
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    return put_int(at, event.body[3])


cdef inline uint8_t* put_refused(uint8_t* at, const PackedEvent* event, const Terms* terms) noexcept nogil:
    """A refusal repeats the names that the command gave."""
    cdef bint is_place = terms.record.kind == PLACE_RECORD
    cdef bint is_named = is_place or terms.record.kind == CANCEL_RECORD
    at = put_array(at, 10)
    at = put_uint(at, PACKED_REFUSED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.number)
    at = put_uint(at, event.code)
    at = put_int(at, event.body[0])
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    at = put_text(at, terms.client_id, terms.id_bytes if is_named else 0)
    at = put_text(at, terms.label, terms.label_bytes if is_place else 0)
    return put_uint(at, terms.record.nonce if is_named else 0)


cdef inline uint8_t* put_accepted(uint8_t* at, const PackedEvent* event, const Terms* terms) noexcept nogil:
    """An accepted order; a fee cap beyond 64 bits stands behind it, as 16 bytes."""
    cdef const Record* record = terms.record
    cdef const char* signed = terms.signed
    cdef bint is_wide = terms.max_fee >> 64 != 0
    cdef char fee[16]
    if is_wide:
        at = put_uint(put_array(at, 3), TAG_WIDE_FEE)
    at = put_array(at, 22)
    at = put_uint(at, PACKED_ACCEPTED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_uint(at, event.number)
    at = put_uint(at, record.instrument)
    at = put_uint(at, record.side_and_force & 1)
    at = put_uint(at, record.side_and_force >> 1)
    at = put_uint(at, record.flags)
    at = put_int(at, event.body[0])
    at = put_int(at, record.quantity)
    at = put_uint(at, record.nonce)
    at = put_uint(at, record.expiry_s)
    at = put_uint(at, terms.expires_at_s)
    at = put_uint(at, 0 if is_wide else <uint64_t>terms.max_fee)
    at = put_bytes(at, signed, 20)
    at = put_uint(at, <uint8_t>signed[117])
    at = put_bytes(at, signed + 20, terms.digest_bytes)
    at = put_bytes(at, signed + 52, terms.signature_bytes)
    at = put_text(at, terms.client_id, terms.id_bytes)
    at = put_text(at, terms.label, terms.label_bytes)
    at = put_int(at, event.body[1])
    at = put_uint(at, 0)  # lots shown: icebergs are not placed here
    if is_wide:
        memcpy(fee, &terms.max_fee, 16)
        at = put_bytes(at, fee, 16)
    return at


cdef inline uint8_t* put_quoted(uint8_t* at, const PackedEvent* event, const Terms* terms) noexcept nogil:
    """A mass quote with what it is signed with; a wide fee cap as in `put_accepted`."""
    cdef const Record* record = terms.record
    cdef const char* signed = terms.signed
    cdef bint is_wide = terms.max_fee >> 64 != 0
    cdef char fee[16]
    if is_wide:
        at = put_uint(put_array(at, 3), TAG_WIDE_FEE)
    at = put_array(at, 10)
    at = put_uint(at, PACKED_QUOTED)
    at = put_uint(at, event.account)
    at = put_int(at, event.body[0])
    at = put_uint(at, record.nonce)
    at = put_uint(at, record.expiry_s)
    at = put_uint(at, 0 if is_wide else <uint64_t>terms.max_fee)
    at = put_bytes(at, signed, 20)
    at = put_uint(at, <uint8_t>signed[117])
    at = put_bytes(at, signed + 20, terms.digest_bytes)
    at = put_bytes(at, signed + 52, terms.signature_bytes)
    if is_wide:
        memcpy(fee, &terms.max_fee, 16)
        at = put_bytes(at, fee, 16)
    return at


cdef inline uint8_t* put_placed(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 9)
    at = put_uint(at, PACKED_QUOTE_PLACED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.account_seq)
    at = put_uint(at, event.number)
    at = put_int(at, event.body[0])
    at = put_uint(at, event.flags & 1)
    at = put_int(at, event.body[1])
    at = put_int(at, event.body[2])
    return put_int(at, event.body[3])


cdef inline uint8_t* put_kept(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 4)
    at = put_uint(at, PACKED_KEPT)
    at = put_uint(at, event.account)
    at = put_uint(at, event.number)
    return put_uint(at, event.flags)


cdef inline uint8_t* put_quote_refused(uint8_t* at, const PackedEvent* event) noexcept nogil:
    at = put_array(at, 7)
    at = put_uint(at, PACKED_QUOTE_REFUSED)
    at = put_uint(at, event.account)
    at = put_uint(at, event.number)
    at = put_uint(at, event.code)
    at = put_int(at, event.body[0])
    at = put_uint(at, event.flags & 1)
    return put_int(at, event.body[1])


cdef inline uint8_t* put_quote_event(
    Engine* engine, uint8_t* at, const PackedEvent* event, const Terms* terms
) noexcept nogil:
    if event.kind == PACKED_QUOTE_PLACED:
        return put_placed(at, event)
    if event.kind == PACKED_KEPT:
        return put_kept(at, event)
    if event.kind == PACKED_QUOTE_REFUSED:
        return put_quote_refused(at, event)
    if event.kind == PACKED_QUOTED:
        return put_quoted(at, event, terms)
    engine.defect = "an event of a kind without packed form"
    return at


cdef inline uint8_t* put_event(
    Engine* engine, uint8_t* at, const PackedEvent* event, const Terms* terms
) noexcept nogil:
    if event.kind == PACKED_TRADE:
        return put_trade(engine, at, event)
    if event.kind == PACKED_LEVEL:
        return put_level(at, event)
    if event.kind == PACKED_CLOSED:
        return put_closed(at, event)
    if event.kind == PACKED_ACCEPTED:
        return put_accepted(at, event, terms)
    if event.kind == PACKED_REFUSED:
        return put_refused(at, event, terms)
    if event.kind == PACKED_AMENDED:
        return put_amended(at, event)
    if event.kind == PACKED_BATCH:
        return put_batch(engine, at, event)
    if event.kind == PACKED_FUNDING:
        return put_funding(engine, at, event)
    return put_quote_event(engine, at, event, terms)


cdef inline void put_command(Engine* engine, Blob* blob, const Terms* terms) noexcept nogil:
    """Add the events of the command that was just applied, the only ones there are."""
    cdef size_t index = 0
    cdef uint64_t count = 0
    cdef uint8_t* at
    if not reserve_blob(blob, engine.out_count * ROW_BYTES_MAX + HEAD_BYTES_MAX + terms.record.attachment_bytes):
        engine.defect = "no memory for packed events"
        return
    while index < engine.out_count:
        index += rows_of(&engine.out[index])
        count += 1
    at = put_array(blob.bytes + blob.size, 3)
    at = put_uint(at, engine.sequence)
    at = put_int(at, engine.now)
    at = put_array(at, count)
    index = 0
    while index < engine.out_count:
        at = put_event(engine, at, &engine.out[index], terms)
        index += rows_of(&engine.out[index])
    blob.size = at - blob.bytes
