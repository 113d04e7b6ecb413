# cython: language_level=3
"""A checked mass quote in the book: cancels, then placements, booked answer by answer; twin: mass_quotes."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from exchange.engine._answers cimport DONE, reason_of, refusal_of
from exchange.engine._booking cimport CANCELED, OPEN, close_order, flush_closes, lower_quantity, next_seq
from exchange.engine._commands cimport open_cell
from exchange.engine._entry cimport COLD, FLAG_STP, Record, Terms
from exchange.engine._events cimport (
    PACKED_KEPT, PACKED_QUOTED, PACKED_QUOTE_PLACED, PACKED_QUOTE_REFUSED, emit, emit_level,
)
from exchange.engine._integers cimport mix
from exchange.engine._margin cimport note_lots
from exchange.engine._order_rows cimport QUOTE_TEXT_BYTES, give_text, reserve_fresh, take_order, take_text
from exchange.engine._orders cimport find_deadline, link_open, reserve_timers, start_timer
from exchange.engine._quote_call cimport CALL_LINES_MAX, SIGNED_ROOM, Call, Line, Side, check_call, read_call
from exchange.engine._quotes cimport rest_quote
from exchange.engine._rows cimport (
    AT_BOOK, CORE_EVENTS, RECORD_BYTES, CoreEvent, Engine, OrderRow, PackedEvent, order_at,
)
from exchange.engine._tables cimport fold, put, reserve_more
from exchange.engine._used_nonces cimport reserve_nonce, spend_nonce
from matching_core cimport _codes as core_codes
from matching_core._order_book cimport core_apply, core_continue
from matching_core._order_pool cimport PHASE_IDLE, Command, QuoteLine


cdef enum:
    # Post-only, MMP, cancel on disconnect, quote, self-trade mode of the account
    QUOTE_FLAGS = 1 | 16 | 32 | 64 | 1024
    TOUCHED_PLACES = 1024            # of a table of levels; a call touches at most 256
    TOUCHED_MAX = 256

cdef struct Touched:                 # a level with its newest total
    int64_t price
    int64_t total
    uint32_t instrument
    uint8_t side

cdef struct Levels:                  # in the order of first touch; `places` holds index + 1
    uint32_t count
    uint16_t places[TOUCHED_PLACES]
    Touched rows[TOUCHED_MAX]

cdef struct Request:                 # the command of the core
    Command head
    QuoteLine lines[CALL_LINES_MAX]

cdef struct Turn:                    # one call on its way through the book
    Call call
    Request request
    Levels levels
    char* texts[2 * CALL_LINES_MAX]  # of the orders to come
    uint64_t replaced[2 * CALL_LINES_MAX]
    uint32_t text_count
    uint32_t entry                   # next side to answer: 2 * line + side
    bint is_second                   # placements have begun, ends are reported


cdef inline void touch(Levels* levels, const CoreEvent* event) noexcept nogil:
    """Remember a level's newest total."""
    cdef uint32_t place = fold(mix(<uint64_t>event.price, <uint64_t>event.instrument << 1 | event.side))
    cdef Touched* row
    place &= TOUCHED_PLACES - 1
    while levels.places[place]:
        row = &levels.rows[levels.places[place] - 1]
        if row.price == event.price and row.instrument == event.instrument and row.side == event.side:
            row.total = event.quantity
            return
        place = (place + 1) & (TOUCHED_PLACES - 1)
    row = &levels.rows[levels.count]
    row.price = event.price
    row.total = event.quantity
    row.instrument = event.instrument
    row.side = event.side
    levels.count += 1
    levels.places[place] = <uint16_t>levels.count


# Before the book.

cdef inline void free_texts(Engine* engine, Turn* turn) noexcept nogil:
    while turn.text_count:
        turn.text_count -= 1
        give_text(engine, turn.texts[turn.text_count])


cdef inline bint reserve_call(Engine* engine, Turn* turn) noexcept nogil:
    """All memory that the call needs, so that nothing fails behind the checks."""
    cdef const Call* call = &turn.call
    cdef uint32_t index
    if not reserve_nonce(engine, call.terms.record.nonce) or not reserve_fresh(engine, call.placed):
        return False
    if not reserve_more(&engine.numbers, call.placed) or not reserve_more(&engine.quotes, call.placed):
        return False
    if not reserve_timers(engine, call.placed):
        return False
    for index in range(call.count):
        if not open_cell(engine, call.lines[index].cell):
            return False
    turn.text_count = 0
    while turn.text_count < call.placed:
        turn.texts[turn.text_count] = take_text(engine)
        if turn.texts[turn.text_count] == NULL:
            free_texts(engine, turn)
            return False
        turn.text_count += 1
    return True


cdef inline uint32_t write_request(Engine* engine, Turn* turn) noexcept nogil:
    """Lines of the core's command: the sides that change. Returns their number."""
    cdef const Call* call = &turn.call
    cdef const Line* line
    cdef const Side* side
    cdef QuoteLine* out
    cdef uint32_t index, count
    cdef uint8_t at
    count = 0
    for index in range(call.count):
        line = &call.lines[index]
        out = &turn.request.lines[count]
        out.instrument = engine.listings[line.listing].id
        out.cell = line.cell
        out.reserved = 0
        for at in range(2):
            side = &line.side[at]
            out.side[at].price = side.price
            out.side[at].quantity = 0 if side.is_unchanged else side.lots
            out.handle[at] = order_at(engine, side.held).handle if side.held and not side.is_unchanged else 0
        if out.side[0].quantity or out.side[1].quantity or out.handle[0] or out.handle[1]:
            count += 1
    return count


# Answers of the book.

cdef inline PackedEvent* emit_side(
    Engine* engine, const Call* call, uint8_t kind, uint32_t entry, uint64_t number
) noexcept nogil:
    cdef PackedEvent* event = emit(engine, kind, call.terms.record.account, number)
    event.flags = <uint8_t>entry
    return event


cdef inline void keep(Engine* engine, const Call* call, uint32_t entry) noexcept nogil:
    """A quote stays; a smaller one was lowered in the book already."""
    cdef const Side* side = &call.lines[entry >> 1].side[entry & 1]
    cdef const OrderRow* order = order_at(engine, side.held)
    cdef int64_t less = order.quantity - order.filled - side.lots
    if less:
        lower_quantity(engine, side.held, less)
    emit_side(engine, call, PACKED_KEPT, entry, order.number)


cdef inline void write_text(const Call* call, OrderRow* order, uint32_t instrument) noexcept nogil:
    """The side as an order that its owner signed, as `pack_command` would."""
    cdef Record* record = <Record*>order.text
    record[0] = call.terms.record[0]
    record.kind = 1
    record.side_and_force = order.side
    record.flags = QUOTE_FLAGS
    record.instrument = instrument
    record.price = order.price
    record.quantity = order.quantity
    record.attachment_bytes = SIGNED_ROOM
    memcpy(order.text + RECORD_BYTES, call.terms.attachments, SIGNED_ROOM)


cdef inline void make_quote(Engine* engine, Turn* turn, uint32_t entry, uint32_t row) noexcept nogil:
    """Fill the row of a side that rests."""
    cdef const Call* call = &turn.call
    cdef const Line* line = &call.lines[entry >> 1]
    cdef const Side* side = &line.side[entry & 1]
    cdef OrderRow* order = order_at(engine, row)
    order.number = order.rank = engine.sequence << 8 | entry
    engine.text_count += 1
    turn.text_count -= 1
    order.text_serial = engine.text_count
    order.text = turn.texts[turn.text_count]
    order.text_bytes = QUOTE_TEXT_BYTES
    order.price = side.price
    order.quantity = side.lots
    order.created = order.updated = engine.now
    order.nonce = call.terms.record.nonce
    order.max_fee = call.terms.max_fee
    order.account = call.entry.account
    order.instrument = line.listing
    order.cell = line.cell
    order.guard = call.guard
    order.version = 1
    order.flags = QUOTE_FLAGS
    order.side = entry & 1
    order.status = OPEN
    order.replaces = turn.replaced[entry]
    write_text(call, order, engine.listings[line.listing].id)
    find_deadline(engine, order, call.terms.record.expiry_s, 0)


cdef inline void rest(Engine* engine, Turn* turn, uint32_t entry, uint64_t handle) noexcept nogil:
    """A side rests in the book under `handle`."""
    cdef uint32_t row = take_order(engine)
    cdef OrderRow* order = order_at(engine, row)
    cdef PackedEvent* event
    make_quote(engine, turn, entry, row)
    order.number_hash = fold(mix(order.number, 1))
    put(&engine.numbers, order.number_hash, row)
    order.where = AT_BOOK
    engine.open_count += 1
    event = emit_side(engine, &turn.call, PACKED_QUOTE_PLACED, entry, order.number)
    event.account_seq = next_seq(engine, order.account)
    event.body[0] = engine.listings[order.instrument].id
    event.body[1] = order.price
    event.body[2] = order.quantity
    event.body[3] = <int64_t>order.replaces
    order.handle = handle
    engine.order_of_slot[<uint32_t>handle] = row
    link_open(engine, row)
    rest_quote(engine, row)
    start_timer(engine, row)
    note_lots(engine, row, order.quantity)


cdef inline void refuse_side(Engine* engine, Turn* turn, uint32_t entry, const CoreEvent* answer) noexcept nogil:
    cdef PackedEvent* event = emit_side(
        engine, &turn.call, PACKED_QUOTE_REFUSED, entry, engine.sequence << 8 | entry
    )
    event.code = refusal_of(answer.code)
    if event.code == 0:
        engine.defect = "the book refused an admitted quote"
    event.body[0] = answer.instrument
    event.body[1] = answer.price


cdef inline uint32_t next_entry(Engine* engine, Turn* turn) noexcept nogil:
    """The side that the book's next answer is about; those before it, which need none, are reported."""
    cdef const Call* call = &turn.call
    cdef const Side* side
    while turn.entry < 2 * call.count:
        side = &call.lines[turn.entry >> 1].side[turn.entry & 1]
        turn.entry += 1
        if side.is_unchanged:
            keep(engine, call, turn.entry - 1)
        elif side.lots:
            return turn.entry - 1
    return 2 * call.count


cdef inline void begin_second(Engine* engine, Turn* turn) noexcept nogil:
    """The ends are reported before the first placement."""
    if not turn.is_second:
        flush_closes(engine)
        turn.is_second = True


cdef inline void answer_side(Engine* engine, Turn* turn, const CoreEvent* event) noexcept nogil:
    """One answer of the second pass."""
    cdef uint32_t entry
    begin_second(engine, turn)
    entry = next_entry(engine, turn)
    if entry == 2 * turn.call.count:
        engine.defect = "the book answers for more sides than it was given"
    elif event.kind == core_codes.EVENT_REJECTED:
        refuse_side(engine, turn, entry, event)
    elif event.kind == core_codes.EVENT_AMENDED:
        keep(engine, &turn.call, entry)
    else:
        rest(engine, turn, entry, event.handle)


cdef inline void book_answers(Engine* engine, Turn* turn, uint32_t count) noexcept nogil:
    """Book one buffer of the core's events."""
    cdef uint32_t index
    cdef const CoreEvent* event
    for index in range(count):
        event = &engine.core_events[index]
        if event.kind == core_codes.EVENT_DEPTH:
            touch(&turn.levels, event)
        elif event.kind == core_codes.EVENT_CANCELED:
            close_order(engine, engine.order_of_slot[<uint32_t>event.handle], CANCELED, reason_of(event.code))
        elif event.kind != core_codes.EVENT_APPLIED:
            answer_side(engine, turn, event)


cdef inline void submit(Engine* engine, Turn* turn, uint32_t lines) noexcept nogil:
    """Hand the lines to the book and book its answers."""
    cdef Command* head = &turn.request.head
    cdef uint32_t count
    head.kind = core_codes.KIND_MASS_QUOTE
    head.side = 0
    head.flags = core_codes.POST_ONLY | engine.accounts[turn.call.entry.account].self_trade_mode & FLAG_STP
    head.instrument = 0
    head.price = 0
    head.quantity = lines
    head.owner = engine.accounts[turn.call.entry.account].book_owner
    head.cell = turn.call.guard
    count = core_apply(engine.core, head, engine.now, engine.core_events, CORE_EVENTS)
    if engine.core_events[0].kind != core_codes.EVENT_APPLIED:
        engine.defect = "the book refused an admitted mass quote"
        return
    book_answers(engine, turn, count)
    while engine.core.phase != PHASE_IDLE:
        count = core_continue(engine.core, engine.core_events, CORE_EVENTS)
        book_answers(engine, turn, count)


cdef inline void report_levels(Engine* engine, const Levels* levels) noexcept nogil:
    cdef uint32_t index
    for index in range(levels.count):
        emit_level(
            engine, levels.rows[index].instrument, levels.rows[index].side, levels.rows[index].price,
            levels.rows[index].total,
        )


cdef inline void open_turn(Engine* engine, Turn* turn) noexcept nogil:
    """Nothing done yet; numbers of the quotes that sides will replace are remembered, their rows may go."""
    cdef uint32_t index, held
    turn.entry = 0
    turn.is_second = False
    turn.levels.count = 0
    memset(turn.levels.places, 0, sizeof(turn.levels.places))
    for index in range(2 * turn.call.count):
        held = turn.call.lines[index >> 1].side[index & 1].held
        turn.replaced[index] = order_at(engine, held).number if held else 0


cdef inline int mass_quote(
    Engine* engine, Terms* terms, const Record* record, const char* attachments
) noexcept nogil:
    """A signed call of which every side passes the checks, its terms read into `terms`; COLD for any other."""
    cdef Turn turn
    cdef uint32_t lines
    if not read_call(&turn.call, record, attachments) or not check_call(engine, &turn.call):
        return COLD
    if not reserve_call(engine, &turn):
        return COLD
    # After this point it must succeed.
    open_turn(engine, &turn)
    spend_nonce(engine, turn.call.entry.owner, turn.call.entry.signer, record.nonce, engine.sequence << 8)
    terms[0] = turn.call.terms
    emit(engine, PACKED_QUOTED, record.account, 0).body[0] = record.group
    lines = write_request(engine, &turn)
    if lines:
        submit(engine, &turn, lines)
    begin_second(engine, &turn)
    next_entry(engine, &turn)
    report_levels(engine, &turn.levels)
    free_texts(engine, &turn)
    return DONE
