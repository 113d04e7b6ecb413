# cython: language_level=3
"""Writing packed events of 64 bytes: kind, flags, code, account | sequence | account_seq | order | 32 bytes by kind.

accepted       flags side | time in force << 1   body price, replaced order
refused        code                               body instrument, price, quantity
amended                                           body instrument, quantity, remaining, version
closed         flags status, code reason          body instrument, unfilled
trade          flags side of the taker, account: instrument, order: trade number    body price, lots, mark, index
fill           maker's then taker's, behind a trade   body fee, position, filled, remaining
fill money     behind each fill                   from byte 16: realized, ledger cash, cash; 16 bytes each
funding                                           body instrument, lots, index
funding money  behind it                          from byte 16: amount, ledger cash, cash; 16 bytes each
quoted         its quotes follow                  body group
quote placed   flags 2 * line + side              body instrument, price, quantity, replaced order
kept           flags 2 * line + side
quote refused  flags 2 * line + side, code        body instrument, price
trip           code of the core, order: group    body instrument, lots in the window, thaw time
level          flags side, account: instrument    body price, total
batch          order: batch                       body first sequence, from_s, to_s, fills
batch money    behind a batch                     account_seq: requests; from byte 32: fees, 16 bytes
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from exchange.engine._integers cimport int128
from exchange.engine._rows cimport Engine, Note, PackedEvent


cdef enum:
    PACKED_ACCEPTED = 1
    PACKED_REFUSED = 2
    PACKED_AMENDED = 4
    PACKED_CLOSED = 5
    PACKED_TRADE = 7
    PACKED_LEVEL = 8
    PACKED_QUOTED = 14
    PACKED_QUOTE_PLACED = 15
    PACKED_KEPT = 16
    PACKED_QUOTE_REFUSED = 17
    PACKED_TRIP = 18
    PACKED_BATCH = 30
    PACKED_FUNDING = 50
    PACKED_FILL = 64
    PACKED_FILL_MONEY = 65
    PACKED_BATCH_MONEY = 66
    PACKED_FUNDING_MONEY = 67


cdef inline bint reserve_events(Engine* engine, size_t count) noexcept nogil:
    cdef size_t room = engine.out_room if engine.out_room else 1024
    cdef PackedEvent* rows
    if engine.out_count + count <= engine.out_room:
        return True
    while room < engine.out_count + count:
        room *= 2
    rows = <PackedEvent*>realloc(engine.out, room * sizeof(PackedEvent))
    if rows == NULL:
        return False
    engine.out = rows
    engine.out_room = room
    return True


cdef inline PackedEvent* emit(Engine* engine, uint8_t kind, uint32_t account, uint64_t number) noexcept nogil:
    """The next event, zeroed but for its head; without memory the state is not to be used any more."""
    cdef PackedEvent* event
    if not reserve_events(engine, 1):
        engine.defect = "no memory for events"
        engine.out_count = 0
    event = &engine.out[engine.out_count]
    engine.out_count += 1
    memset(event, 0, sizeof(PackedEvent))
    event.kind = kind
    event.account = account
    event.sequence = engine.sequence
    event.number = number
    return event


cdef inline void emit_level(
    Engine* engine, uint32_t instrument, uint8_t side, int64_t price, int64_t total
) noexcept nogil:
    cdef PackedEvent* event = emit(engine, PACKED_LEVEL, instrument, 0)
    event.flags = side
    event.body[0] = price
    event.body[1] = total


cdef inline void emit_refusal(
    Engine* engine, uint32_t account, uint64_t number, uint16_t code, uint32_t instrument, int64_t price, int64_t lots
) noexcept nogil:
    cdef PackedEvent* event = emit(engine, PACKED_REFUSED, account, number)
    event.code = code
    event.body[0] = instrument
    event.body[1] = price
    event.body[2] = lots


cdef inline void put_money(PackedEvent* event, int128 moved, int128 ledger, int128 shown) noexcept nogil:
    memcpy(<char*>event + 16, &moved, 16)
    memcpy(<char*>event + 32, &ledger, 16)
    memcpy(<char*>event + 48, &shown, 16)


cdef inline void note(Engine* engine, uint32_t order, bint is_close) noexcept nogil:
    """Remember a fill or an end until the command is finished."""
    cdef size_t room = engine.note_room * 2 if engine.note_room else 256
    cdef Note* rows
    if engine.note_count == engine.note_room:
        rows = <Note*>realloc(engine.notes, room * sizeof(Note))
        if rows == NULL:
            engine.defect = "no memory for the notes of a command"
            return
        engine.notes = rows
        engine.note_room = room
    engine.notes[engine.note_count].order = order
    engine.notes[engine.note_count].is_close = is_close
    engine.note_count += 1
