# cython: language_level=3
"""The hot commands: check, then match, then book; twins: orders, matching, cancels, amendments.

A command is DONE, or COLD (nothing changed: the Python handlers take it), or HANDED: matched and booked, but its fills
or ends mean something to waiting orders; its ends are not reported yet, and Python goes on from the notes.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy

from exchange.engine._answers cimport DONE, book_all, refusal_of, report_ends
from exchange.engine._booking cimport CANCELED, FILLED, OPEN, close_order, lower_quantity, next_seq
from exchange.engine._entry cimport (
    COLD, FLAG_MARKET, FLAG_POST_ONLY, FLAG_REDUCE_ONLY, FLAG_SLIDE, FLAG_STP, FLAG_STP_ACCOUNT, FORCE_FOK, FORCE_IOC,
    SUBACCOUNT_NOT_FOUND, Entry, Terms,
)
from exchange.engine._events cimport PACKED_ACCEPTED, emit, emit_level, emit_refusal
from exchange.engine._integers cimport mix
from exchange.engine._lookup cimport (
    find_account, find_client_id, find_nonce_order, find_number, hash_text, index_names, reserve_names,
)
from exchange.engine._order_rows cimport reserve_orders, take_order
from exchange.engine._orders cimport find_deadline, reserve_timer
from exchange.engine._rows cimport (
    AT_BOOK, AT_CLOSED, CORE_EVENTS, RECORD_BYTES, CellRow, CoreEvent, Engine, OrderRow, PackedEvent, order_at,
)
from exchange.engine._tables cimport fold, put
from exchange.engine._used_nonces cimport reserve_nonce, spend_nonce
from matching_core cimport _codes as core_codes
from matching_core._counters cimport find_cell, reserve_cell, take_cell
from matching_core._order_book cimport core_apply
from matching_core._order_pool cimport Command


cdef enum:
    # ResultCode and CloseReason
    ALREADY_CANCELED = 11003
    ALREADY_FILLED = 11004
    ALREADY_EXPIRED = 11005
    ORDER_NOT_FOUND = 11006
    BY_USER_REQUEST = 1


cdef inline uint16_t core_flags(const Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """The core's flags of an order; a market order is an IOC at its worst price, the account may set the STP mode."""
    cdef uint16_t flags = terms.record.flags
    cdef uint16_t core = flags & FLAG_STP
    if flags & FLAG_STP_ACCOUNT:
        core = engine.accounts[entry.account].self_trade_mode & FLAG_STP
    if entry.force == FORCE_FOK:
        core |= core_codes.FOK
    elif entry.force == FORCE_IOC or flags & FLAG_MARKET:
        core |= core_codes.IOC
    if flags & FLAG_POST_ONLY:
        core |= core_codes.POST_ONLY | (core_codes.SLIDE if flags & FLAG_SLIDE else 0)
    return core | (core_codes.REDUCE_ONLY if flags & FLAG_REDUCE_ONLY else 0)


cdef inline bint open_cell(Engine* engine, uint32_t row) noexcept nogil:
    """Make the core's counter of a position say what the ledger says; False when the core has none left."""
    cdef CellRow* cell = &engine.cells[row]
    if cell.core_cell:
        return True
    cell.core_cell = find_cell(engine.core, row)
    if cell.core_cell == 0:
        if engine.core.cell_top == engine.core.cell_limit or not reserve_cell(engine.core):
            return False
        cell.core_cell = take_cell(engine.core, row)
        engine.core.cells[cell.core_cell].position = cell.lots
    return True


cdef inline bint reserve_for_place(Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """All memory that a new order needs, so that nothing fails behind the checks."""
    if entry.code == 0 and not open_cell(engine, entry.cell):
        return False
    return reserve_nonce(engine, terms.record.nonce) and reserve_orders(engine) and reserve_names(engine) \
        and reserve_timer(engine)


cdef inline char* copy_text(const Terms* terms) noexcept nogil:
    cdef char* text = <char*>malloc(RECORD_BYTES + terms.record.attachment_bytes)
    if text != NULL:
        memcpy(text, terms.record, RECORD_BYTES)
        memcpy(text + RECORD_BYTES, terms.attachments, terms.record.attachment_bytes)
    return text


cdef inline uint32_t accept_order(
    Engine* engine, const Terms* terms, const Entry* entry, char* text, int64_t price
) noexcept nogil:
    """Make and report the order of this command; it stands nowhere yet."""
    cdef uint32_t row = take_order(engine)
    cdef OrderRow* order = order_at(engine, row)
    cdef PackedEvent* event
    order.number = order.rank = engine.sequence << 8
    engine.text_count += 1
    order.text_serial = engine.text_count
    order.text = text
    order.text_bytes = RECORD_BYTES + terms.record.attachment_bytes
    order.id_bytes = terms.id_bytes
    if terms.id_bytes:
        order.id_at = RECORD_BYTES + <uint32_t>(terms.client_id - terms.attachments)
    order.price = price
    order.quantity = terms.record.quantity
    order.created = order.updated = engine.now
    order.nonce = terms.record.nonce
    order.max_fee = terms.max_fee
    order.account = entry.account
    order.instrument = entry.listing
    order.cell = entry.cell
    order.version = 1
    order.flags = terms.record.flags
    order.side = entry.side
    order.time_in_force = entry.force
    order.status = OPEN
    find_deadline(engine, order, terms.record.expiry_s, terms.expires_at_s)
    order.number_hash = fold(mix(order.number, 1))
    put(&engine.numbers, order.number_hash, row)
    index_names(engine, row)
    event = emit(engine, PACKED_ACCEPTED, terms.record.account, order.number)
    event.account_seq = next_seq(engine, entry.account)
    event.flags = terms.record.side_and_force
    event.body[0] = price
    return row


cdef inline void refuse_place(
    Engine* engine, const Terms* terms, uint16_t code, uint64_t about, int64_t best
) noexcept nogil:
    emit_refusal(
        engine, terms.record.account, about, code, terms.record.instrument, best, terms.record.quantity
    )


cdef inline int match_place(Engine* engine, const Terms* terms, const Entry* entry, char* text) noexcept nogil:
    """Hand an admitted order to the book and book what happens."""
    cdef Command command
    cdef const CoreEvent* first = engine.core_events
    cdef uint32_t count, taker
    command.kind = core_codes.KIND_NEW
    command.side = entry.side
    command.flags = core_flags(engine, terms, entry)
    command.instrument = terms.record.instrument
    command.price = terms.record.price
    command.quantity = terms.record.quantity
    command.owner = engine.accounts[entry.account].book_owner
    command.cell = entry.cell
    count = core_apply(engine.core, &command, engine.now, engine.core_events, CORE_EVENTS)
    if first.kind == core_codes.EVENT_REJECTED:
        if refusal_of(first.code) == 0:
            engine.defect = "the book refused an admitted order"
        refuse_place(engine, terms, refusal_of(first.code), engine.sequence << 8, first.price)
        return -1
    taker = accept_order(engine, terms, entry, text, first.price)
    order_at(engine, taker).where = AT_BOOK
    engine.open_count += 1
    return book_all(engine, count, taker, first.handle)


cdef inline int place(Engine* engine, const Terms* terms, Entry* entry, char* text) noexcept nogil:
    """A new order whose text was copied; `text` is used up only where this returns DONE or HANDED with an order."""
    cdef int outcome = -1
    if not entry.is_spent:
        refuse_place(engine, terms, entry.code, entry.about, 0)
        return -1
    if entry.code:
        refuse_place(engine, terms, entry.code, engine.sequence << 8, 0)
    else:
        outcome = match_place(engine, terms, entry, text)
    spend_nonce(
        engine, entry.owner, entry.signer, terms.record.nonce, engine.sequence << 8 if outcome >= 0 else 0
    )
    return outcome


cdef inline uint32_t find_target(const Engine* engine, const Terms* terms, uint32_t account) noexcept nogil:
    """The one order a cancel names: by number, else client order id, else nonce; 0 when the account has none such."""
    cdef uint32_t row
    if terms.record.target:
        row = find_number(engine, terms.record.target)
    elif terms.id_bytes:
        row = find_client_id(
            engine, account, terms.client_id, terms.id_bytes, hash_text(account, terms.client_id, terms.id_bytes)
        )
    else:
        row = find_nonce_order(engine, account, terms.record.nonce, fold(mix(terms.record.nonce, account)))
    return row if row and order_at(engine, row).account == account else 0


cdef inline uint16_t check_target(const Engine* engine, uint32_t account, uint32_t row) noexcept nogil:
    """Why an order that was looked up cannot be changed: no account, no such order, or what became of it."""
    cdef uint8_t status
    if account == 0 or not engine.accounts[account].is_open:
        return SUBACCOUNT_NOT_FOUND
    if row == 0:
        return ORDER_NOT_FOUND
    status = order_at(engine, row).status
    if order_at(engine, row).where != AT_CLOSED:
        return 0
    if status == FILLED:
        return ALREADY_FILLED
    return ALREADY_EXPIRED if status == 4 else ALREADY_CANCELED


cdef inline int cancel(Engine* engine, const Terms* terms) noexcept nogil:
    """Cancel the one order named; an order that ended already is refused with what became of it."""
    cdef uint32_t account = find_account(engine, terms.record.account)
    cdef uint32_t row = find_target(engine, terms, account) if account else 0
    cdef uint32_t wanted = terms.record.instrument
    cdef uint16_t code
    cdef uint32_t listed = 0
    if row and wanted and engine.listings[order_at(engine, row).instrument].id != wanted:
        row = 0
    code = check_target(engine, account, row)
    if code == 0 and order_at(engine, row).handle == 0:
        return COLD
    if code == 0:
        return cancel_row(engine, row)
    if row:
        listed = engine.listings[order_at(engine, row).instrument].id
    emit_refusal(
        engine, terms.record.account, order_at(engine, row).number if row else terms.record.target, code, listed, 0, 0
    )
    return DONE


cdef inline int cancel_row(Engine* engine, uint32_t row) noexcept nogil:
    """Take a resting order out of the book and close it."""
    cdef Command command
    cdef const OrderRow* order = order_at(engine, row)
    cdef uint32_t count
    command.kind = core_codes.KIND_CANCEL
    command.side = 0
    command.flags = 0
    command.instrument = engine.listings[order.instrument].id
    command.price = command.quantity = 0
    command.owner = <uint32_t>order.handle
    command.cell = <uint32_t>(order.handle >> 32)
    count = core_apply(engine.core, &command, 0, engine.core_events, CORE_EVENTS)
    if count != 2 or engine.core_events[0].kind != core_codes.EVENT_CANCELED:
        engine.defect = "the book does not know a resting order"
        return DONE
    close_order(engine, row, CANCELED, BY_USER_REQUEST)
    count = report_ends(engine)
    emit_level(
        engine, engine.core_events[1].instrument, engine.core_events[1].side, engine.core_events[1].price,
        engine.core_events[1].quantity,
    )
    return <int>count


cdef inline int lower(Engine* engine, const Terms* terms) noexcept nogil:
    """Amend: a smaller total at the same price keeps the order's place in line; COLD for anything rarer."""
    cdef uint32_t account = find_account(engine, terms.record.account)
    cdef uint32_t row = find_number(engine, terms.record.target) if account else 0
    cdef OrderRow* order
    cdef Command command
    cdef uint32_t count
    if row == 0 or order_at(engine, row).account != account or order_at(engine, row).handle == 0:
        return COLD
    order = order_at(engine, row)
    if terms.record.price or terms.record.quantity > order.quantity or terms.record.quantity <= order.filled:
        return COLD
    command.kind = core_codes.KIND_AMEND
    command.side = order.side
    command.flags = 0
    command.instrument = engine.listings[order.instrument].id
    command.price = order.price
    command.quantity = terms.record.quantity - order.filled
    command.owner = <uint32_t>order.handle
    command.cell = <uint32_t>(order.handle >> 32)
    count = core_apply(engine.core, &command, 0, engine.core_events, CORE_EVENTS)
    if engine.core_events[0].kind != core_codes.EVENT_AMENDED:
        engine.defect = "the book refused to lower a resting order"
        return DONE
    lower_quantity(engine, row, order.quantity - terms.record.quantity)
    if count > 1:
        emit_level(
            engine, engine.core_events[1].instrument, engine.core_events[1].side, engine.core_events[1].price,
            engine.core_events[1].quantity,
        )
    return DONE
