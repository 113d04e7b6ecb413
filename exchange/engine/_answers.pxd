# cython: language_level=3
"""What the core answered, booked event by event, and the end of a command; the twin is `matching`."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from exchange.engine._booking cimport (
    CANCELED, FILLED, OPEN, book_trade, close_order, flush_closes, lower_quantity, next_seq,
)
from exchange.engine._events cimport PACKED_TRIP, emit, emit_level
from exchange.engine._margin cimport note_lots
from exchange.engine._orders cimport forget_old, link_open, start_timer
from exchange.engine._rows cimport (
    CORE_EVENTS, CellRow, CoreEvent, Engine, GuardRow, OrderRow, PackedEvent, order_at,
)
from matching_core cimport _codes as core_codes
from matching_core._counters cimport find_cell
from matching_core._order_book cimport core_continue
from matching_core._order_pool cimport PHASE_IDLE


cdef enum:
    DONE = 0
    HANDED = 2
    NO_REASON = 0


cdef inline uint16_t refusal_of(uint16_t code) noexcept nogil:
    """Public code of a refusal by the core, 0 for one that an admitted order cannot meet; book_codes.REFUSALS."""
    if code == core_codes.POST_ONLY_WOULD_CROSS:
        return 11008
    if code == core_codes.FOK_NOT_FILLED:
        return 11014
    if code == core_codes.REDUCE_ONLY_WOULD_INCREASE:
        return 11025
    if code == core_codes.SELF_TRADE:
        return 11007
    if code == core_codes.CAPACITY:
        return 20006
    if code == core_codes.PRICE_OUT_OF_RANGE:
        return 11013
    if code == core_codes.QUANTITY_OUT_OF_RANGE:
        return 11012
    if code == core_codes.WRONG_PHASE:
        return 20017
    return 11009 if code == core_codes.NO_LIQUIDITY else 0


cdef inline uint8_t reason_of(uint16_t code) noexcept nogil:
    """CloseReason of an order that the core ended, 0 for a code that ends none; book_codes.REASONS."""
    if code == core_codes.IOC_REMAINDER:
        return 2
    if code == core_codes.NO_LIQUIDITY:
        return 13
    if code == core_codes.REDUCE_ONLY_EXCESS:
        return 4
    if code == core_codes.MMP_TRIGGERED:
        return 18
    if code == core_codes.SELF_TRADE or code == core_codes.SELF_TRADE_MAKER or code == core_codes.SELF_TRADE_DECREMENT:
        return 3
    if code == core_codes.QUOTE_REPLACED:
        return 10
    return 1 if code == core_codes.USER_REQUEST else NO_REASON


cdef inline bint means_more(const Engine* engine, uint32_t row, bint is_close) noexcept nogil:
    """Whether a fill or an end concerns orders that wait."""
    cdef const OrderRow* order = order_at(engine, row)
    if order.group or order.trigger != NULL or order.is_parent:
        return True
    return not is_close and (
        engine.accounts[order.account].waiting_count or engine.listings[order.instrument].is_watched
    )


cdef inline bint must_hand_over(const Engine* engine) noexcept nogil:
    cdef size_t index
    if engine.trip_count:
        return True
    for index in range(engine.note_count):
        if means_more(engine, engine.notes[index].order, engine.notes[index].is_close):
            return True
    return False


cdef inline void check_notes(Engine* engine) noexcept nogil:
    """After trades: cash adds up to the collateral, positions to zero, and the core counts what the ledger holds."""
    cdef size_t index
    cdef const OrderRow* order
    cdef CellRow* cell
    for index in range(engine.note_count):
        if not engine.notes[index].is_close:
            order = order_at(engine, engine.notes[index].order)
            cell = &engine.cells[order.cell]
            if cell.core_cell == 0:
                cell.core_cell = find_cell(engine.core, order.cell)
            if engine.listings[order.instrument].position_sum != 0:
                engine.defect = "positions do not sum to zero"
            elif engine.core.cells[cell.core_cell].position != cell.lots:
                engine.defect = "the core counts another position than the ledger"
            elif engine.cash_sum != engine.collateral:
                engine.defect = "the cash of all accounts is not the collateral"


cdef inline void book_cancel(Engine* engine, uint32_t row, uint16_t code, int64_t lots) noexcept nogil:
    """The core ended an order, or took `lots` off it to prevent a self-trade."""
    cdef const OrderRow* order = order_at(engine, row)
    if reason_of(code) == NO_REASON:
        engine.defect = "the book ended an order for no known reason"
    if lots < order.quantity - order.filled:
        lower_quantity(engine, row, lots)
    else:
        close_order(engine, row, CANCELED, reason_of(code))


cdef inline void book_trip(Engine* engine, const CoreEvent* event) noexcept nogil:
    """A fill reached a limit of a group: report it. The handlers freeze the group and end its orders."""
    cdef const GuardRow* guard = &engine.guards[<uint32_t>event.handle]
    cdef PackedEvent* out = emit(engine, PACKED_TRIP, engine.accounts[guard.account].id, guard.number)
    out.account_seq = next_seq(engine, guard.account)
    out.code = event.code
    out.body[0] = event.instrument
    out.body[1] = event.quantity
    out.body[2] = engine.now + guard.frozen if guard.frozen else 0
    engine.trip_count += 1


cdef inline void book_refill(Engine* engine, uint32_t maker, uint32_t taker, uint32_t place) noexcept nogil:
    """An iceberg came behind its whole level, as the `place`th that this taker used up the slice of."""
    order_at(engine, maker).rank = order_at(engine, taker).rank
    order_at(engine, maker).refill_rank = place


cdef inline uint32_t row_of(Engine* engine, uint64_t handle, uint32_t taker, uint64_t taker_handle) noexcept nogil:
    return taker if handle == taker_handle else engine.order_of_slot[<uint32_t>handle]


cdef inline bint book_events(
    Engine* engine, uint32_t count, uint32_t taker, uint64_t taker_handle, int* outcome, uint32_t* refills
) noexcept nogil:
    """Book one buffer of the core's events; with the first level the orders' ends are reported or handed over."""
    cdef uint32_t index, maker
    cdef const CoreEvent* event
    for index in range(count):
        event = &engine.core_events[index]
        if event.kind == core_codes.EVENT_TRADE:
            maker = engine.order_of_slot[<uint32_t>event.handle]
            book_trade(engine, taker, maker, event.price, event.quantity)
            if order_at(engine, maker).filled == order_at(engine, maker).quantity:
                close_order(engine, maker, FILLED, NO_REASON)
        elif event.kind == core_codes.EVENT_CANCELED:
            book_cancel(engine, row_of(engine, event.handle, taker, taker_handle), event.code, event.quantity)
        elif event.kind == core_codes.EVENT_GUARD_TRIPPED:
            book_trip(engine, event)
        elif event.kind == core_codes.EVENT_REFILLED and event.handle != taker_handle:
            refills[0] += 1
            book_refill(engine, engine.order_of_slot[<uint32_t>event.handle], taker, refills[0])
        elif event.kind == core_codes.EVENT_DEPTH:
            if outcome[0] < 0:
                end_taker(engine, taker, taker_handle)
                outcome[0] = report_ends(engine)
            emit_level(engine, event.instrument, event.side, event.price, event.quantity)
    return True


cdef inline int report_ends(Engine* engine) noexcept nogil:
    """The ends of orders, unless waiting orders come first."""
    if must_hand_over(engine):
        return HANDED
    flush_closes(engine)
    return DONE


cdef inline void end_taker(Engine* engine, uint32_t row, uint64_t handle) noexcept nogil:
    """The taker is filled, or rests with what is left."""
    cdef OrderRow* order = order_at(engine, row)
    if order.status != OPEN:
        return
    if order.filled == order.quantity:
        close_order(engine, row, FILLED, NO_REASON)
        return
    order.handle = handle
    engine.order_of_slot[<uint32_t>handle] = row
    link_open(engine, row)
    start_timer(engine, row)
    note_lots(engine, row, order.quantity - order.filled)


cdef inline int book_all(Engine* engine, uint32_t count, uint32_t taker, uint64_t handle) noexcept nogil:
    """Book all that the core does with the taker, however many buffers it takes; DONE or HANDED."""
    cdef int outcome = -1
    cdef uint32_t refills = 0
    book_events(engine, count, taker, handle, &outcome, &refills)
    while engine.core.phase != PHASE_IDLE:
        count = core_continue(engine.core, engine.core_events, CORE_EVENTS)
        book_events(engine, count, taker, handle, &outcome, &refills)
    if outcome < 0:
        end_taker(engine, taker, handle)
        outcome = report_ends(engine)
    return outcome


cdef inline int finish(Engine* engine, int outcome) noexcept nogil:
    """Close a command that is not handed over."""
    if outcome == DONE:
        check_notes(engine)
        engine.note_count = 0
        forget_old(engine)
    return outcome
