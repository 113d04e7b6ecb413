# cython: language_level=3
"""One trade in the books of both parties, the open batch, and the ends of orders; twins: booking, batches, matching."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from exchange.engine._events cimport (
    PACKED_AMENDED, PACKED_BATCH, PACKED_BATCH_MONEY, PACKED_CLOSED, PACKED_FILL, PACKED_FILL_MONEY, PACKED_TRADE,
    emit, note, put_money,
)
from exchange.engine._funding cimport pay_funding
from exchange.engine._integers cimport capped, ceil_div, floor_div, int128, share_ceil, uint128
from exchange.engine._margin cimport LISTED_PERPETUAL, PPM, invalidate_cell, is_exposed, note_lots
from exchange.engine._orders cimport append_closed, stop_timer, unlink_open
from exchange.engine._price_moves cimport note_price
from exchange.engine._quotes cimport is_forgotten, spend_quote, unrest_quote
from exchange.engine._rows cimport (
    AT_NOWHERE, ORDER_QUOTE, AccountRow, Batch, CellRow, Engine, Listing, OrderRow, PackedEvent, order_at,
)


cdef extern from *:
    """
    #define OFFBOOK_E18 1000000000000000000LL
    #define OFFBOOK_MONEY_MAX (1LL << 62)
    #define OFFBOOK_LEG_MAX ((1LL << 47) - 1)
    #define offbook_seconds(ns) ((ns) / 1000000000LL)
    """
    const int64_t E18 "OFFBOOK_E18"
    const int64_t MONEY_MAX "OFFBOOK_MONEY_MAX"
    const int64_t LEG_MAX "OFFBOOK_LEG_MAX"
    int64_t seconds_of "offbook_seconds" (int64_t ns) noexcept nogil

cdef enum:
    OPEN = 1                         # OrderStatus
    FILLED = 2
    CANCELED = 3
    FUND_ROW = 1                     # account rows of the venue: the fund's is the first


cdef inline uint64_t next_seq(Engine* engine, uint32_t account) noexcept nogil:
    engine.accounts[account].sequence += 1
    return engine.accounts[account].sequence


# The open batch.

cdef inline bint is_in_batch(const Engine* engine, uint32_t account) noexcept nogil:
    return engine.accounts[account].batch == engine.batch.number


cdef inline void touch_account(Engine* engine, uint32_t row) noexcept nogil:
    """List an account in the open batch; its room is the cap and what one fill adds."""
    cdef AccountRow* account = &engine.accounts[row]
    if account.batch != engine.batch.number:
        account.batch = engine.batch.number
        account.batch_cash = 0
        account.batch_orders = 0
        engine.batch.accounts[engine.batch.account_count] = row
        engine.batch.account_count += 1


cdef inline void touch_leg(Engine* engine, uint32_t row) noexcept nogil:
    cdef CellRow* cell = &engine.cells[row]
    if cell.batch != engine.batch.number:
        cell.batch = engine.batch.number
        cell.batch_lots = 0
        engine.batch.legs[engine.batch.leg_count] = row
        engine.batch.leg_count += 1


cdef inline void touch_instrument(Engine* engine, uint32_t row) noexcept nogil:
    cdef Listing* listing = &engine.listings[row]
    if listing.batch != engine.batch.number:
        listing.batch = engine.batch.number
        listing.batch_fills = 0
        engine.batch.instruments[engine.batch.instrument_count] = row
        engine.batch.instrument_count += 1


cdef inline void open_next_batch(Engine* engine, uint64_t first_sequence) noexcept nogil:
    cdef Batch* batch = &engine.batch
    batch.number += 1
    batch.first_sequence = first_sequence
    batch.fee = 0
    batch.from_s = batch.to_s = 0
    batch.fills = batch.requests = batch.expired = 0
    batch.account_count = batch.leg_count = batch.instrument_count = 0


cdef inline void close_batch(Engine* engine) noexcept nogil:
    """Report the open batch; the next begins with the command at hand."""
    cdef Batch* batch = &engine.batch
    cdef PackedEvent* event = emit(engine, PACKED_BATCH, 0, batch.number)
    event.body[0] = <int64_t>batch.first_sequence
    event.body[1] = batch.from_s
    event.body[2] = batch.to_s
    event.body[3] = <int64_t>batch.fills
    event = emit(engine, PACKED_BATCH_MONEY, 0, 0)
    event.account_seq = engine.request_index
    memcpy(event.body, &batch.fee, sizeof(int128))
    open_next_batch(engine, engine.sequence)


cdef inline bint lacks_place(const Engine* engine, const OrderRow* maker, const OrderRow* taker) noexcept nogil:
    cdef const Batch* batch = &engine.batch
    cdef uint64_t accounts = batch.account_count
    cdef uint64_t legs = batch.leg_count
    cdef uint64_t instruments = batch.instrument_count
    accounts += not is_in_batch(engine, maker.account)
    accounts += not is_in_batch(engine, taker.account)
    legs += engine.cells[maker.cell].batch != batch.number
    legs += engine.cells[taker.cell].batch != batch.number
    instruments += engine.listings[taker.instrument].batch != batch.number
    if accounts > engine.rules.batch_accounts_max or instruments > engine.rules.batch_instruments_max:
        return True
    return legs > engine.rules.batch_legs_max


cdef inline uint64_t filled_orders(const Engine* engine, uint32_t account) noexcept nogil:
    return engine.accounts[account].batch_orders if is_in_batch(engine, account) else 0


cdef inline bint has_too_many_orders(const Engine* engine, const OrderRow* maker, const OrderRow* taker) noexcept nogil:
    """Whether the fill could give an account more orders than the tree takes; a fill with itself may add two."""
    cdef uint64_t makers = maker.filled_batch != engine.batch.number
    cdef uint64_t takers = taker.filled_batch != engine.batch.number
    if maker.account == taker.account:
        makers += takers
        takers = makers
    if filled_orders(engine, maker.account) + makers > engine.rules.batch_orders_max:
        return True
    return filled_orders(engine, taker.account) + takers > engine.rules.batch_orders_max


cdef inline bint overflows(const Engine* engine, const OrderRow* order, int64_t lots, int128 notional) noexcept nogil:
    """Whether a delta could leave the field it is written to."""
    cdef const CellRow* cell = &engine.cells[order.cell]
    cdef int64_t leg = cell.batch_lots if cell.batch == engine.batch.number else 0
    cdef int128 cash = engine.accounts[order.account].batch_cash if is_in_batch(engine, order.account) else <int128>0
    leg = -leg if leg < 0 else leg
    cash = -cash if cash < 0 else cash
    return leg + lots > LEG_MAX or cash + notional > MONEY_MAX


cdef inline void make_room_for_fill(
    Engine* engine, const OrderRow* maker, const OrderRow* taker, int64_t lots, int128 notional
) noexcept nogil:
    """Close the open batch first when this fill would pass a cap of the batch format."""
    if not engine.batch.fills and not engine.batch.requests and not engine.batch.expired:
        return
    if lacks_place(engine, maker, taker) or has_too_many_orders(engine, maker, taker):
        close_batch(engine)
    elif overflows(engine, maker, lots, notional) or overflows(engine, taker, lots, notional):
        close_batch(engine)


cdef inline void add_fill(Engine* engine, OrderRow* order, int64_t delta, int128 cash, int128 fee) noexcept nogil:
    cdef Batch* batch = &engine.batch
    cdef int64_t second = seconds_of(engine.now)
    if not batch.fills and not batch.requests and not batch.account_count:
        batch.from_s = second
    batch.to_s = second
    touch_account(engine, order.account)
    touch_leg(engine, order.cell)
    if order.filled_batch != batch.number:
        order.filled_batch = batch.number
        engine.accounts[order.account].batch_orders += 1
    engine.accounts[order.account].batch_cash += cash
    engine.cells[order.cell].batch_lots += delta
    batch.fee += fee


# One trade.

cdef inline int128 fee_of(
    const Engine* engine, const Listing* listing, const OrderRow* order, int128 notional, int64_t lots, bint is_taker
) noexcept nogil:
    """Fee of one fill, rounded up and capped by signature and by the option's value; the listing is narrow."""
    cdef int128 amount = <int128>lots * listing.lot_e9
    cdef int64_t ppm = listing.taker_ppm if is_taker else listing.maker_ppm
    cdef int128 due = ceil_div(amount * engine.underlyings[listing.underlying].index * ppm, E18)
    cdef int128 most
    if is_taker and listing.kind != LISTED_PERPETUAL:
        most = floor_div(notional * engine.rules.option_fee_cap, PPM)
        due = most if most < due else due
    return capped(due, order.max_fee, <uint128>amount)


cdef inline int128 move_position(CellRow* cell, int64_t delta, int128 notional) noexcept nogil:
    """Add signed lots bought for signed `notional`; returns the profit realized, rounded down."""
    cdef int64_t lots = cell.lots
    cdef int64_t held = -lots if lots < 0 else lots
    cdef int64_t moved = -delta if delta < 0 else delta
    cdef int64_t closed
    cdef int128 closing, released
    cell.lots += delta
    if lots == 0 or (lots > 0) == (delta > 0):
        cell.cost += notional
        return 0
    closed = moved if moved < held else held
    # Exact: the notional is price x lots x unit.
    closing = notional if closed == moved else floor_div(notional, moved) * closed
    released = cell.cost if closed == held else share_ceil(cell.cost, closed, held)
    cell.cost += notional - closing - released
    return -closing - released


cdef inline int128 move_cell(Engine* engine, uint32_t row, int64_t delta, int128 notional) noexcept nogil:
    """Move an account's position; returns the profit realized."""
    cdef CellRow* cell = &engine.cells[row]
    cdef AccountRow* account = &engine.accounts[cell.account]
    cdef int64_t was = cell.lots
    cdef int128 cost = cell.cost
    cdef int128 realized
    if not cell.is_position:
        cell.is_position = True
        cell.cost = cell.realized = cell.fee = cell.funding = 0
        cell.fund_index = engine.listings[cell.instrument].fund_index
        cell.opened = engine.now
        account.position_count += 1
    realized = move_position(cell, delta, notional)
    cell.realized += realized
    if (was < 0 and cell.lots > 0) or (was > 0 and cell.lots < 0):
        cell.opened = engine.now
    if engine.listings[cell.instrument].kind == LISTED_PERPETUAL:
        account.perpetual_cost += cell.cost - cost
    return realized


cdef inline void drop_flat(Engine* engine, uint32_t row, bint was_exposed) noexcept nogil:
    """A position of no lots is none."""
    cdef CellRow* cell = &engine.cells[row]
    cdef AccountRow* account = &engine.accounts[cell.account]
    if cell.lots == 0:
        cell.is_position = False
        cell.cost = cell.realized = cell.fee = cell.funding = 0
        cell.opened = cell.fund_index = 0
        account.position_count -= 1
    account.exposed_count += is_exposed(cell) - was_exposed


cdef inline void note_open(Listing* listing, int64_t before, int64_t after) noexcept nogil:
    """Open interest behind a change of a position."""
    listing.room.open_lots += (after if after > 0 else 0) - (before if before > 0 else 0)


cdef inline void book_side(
    Engine* engine, uint32_t row, int64_t price, int64_t lots, int128 notional, int128 fee
) noexcept nogil:
    cdef OrderRow* order = order_at(engine, row)
    cdef CellRow* cell = &engine.cells[order.cell]
    cdef AccountRow* account = &engine.accounts[order.account]
    cdef int64_t delta = -lots if order.side else lots
    cdef bint was_exposed = is_exposed(cell)
    cdef int128 signed_notional = -notional if order.side else notional
    cdef int128 realized = move_cell(engine, order.cell, delta, signed_notional)
    cdef PackedEvent* event
    note_open(&engine.listings[order.instrument], cell.lots - delta, cell.lots)
    engine.listings[order.instrument].position_sum += delta
    invalidate_cell(engine, order.cell)
    cell.fee += fee
    drop_flat(engine, order.cell, was_exposed)
    account.cash -= signed_notional + fee
    engine.accounts[FUND_ROW].cash += fee
    engine.cash_sum -= signed_notional
    order.filled += lots
    order.notional += notional
    order.fee += fee
    order.updated = engine.now
    add_fill(engine, order, delta, -signed_notional - fee, fee)
    note(engine, row, False)
    event = emit(engine, PACKED_FILL, account.id, order.number)
    event.account_seq = next_seq(engine, order.account)
    event.body[0] = <int64_t>fee
    event.body[1] = cell.lots
    event.body[2] = order.filled
    event.body[3] = order.quantity - order.filled
    event = emit(engine, PACKED_FILL_MONEY, account.id, 0)
    put_money(event, realized, account.cash, account.cash + account.perpetual_cost)


cdef inline void book_trade(
    Engine* engine, uint32_t taker_row, uint32_t maker_row, int64_t price, int64_t lots
) noexcept nogil:
    """Apply one match at the maker's price and report it."""
    cdef OrderRow* taker = order_at(engine, taker_row)
    cdef OrderRow* maker = order_at(engine, maker_row)
    cdef Listing* listing = &engine.listings[taker.instrument]
    cdef int128 notional = <int128>price * listing.unit_e6 * lots
    cdef int128 taker_fee, maker_fee, least
    cdef PackedEvent* event
    make_room_for_fill(engine, maker, taker, lots, notional)
    pay_funding(engine, maker.account)
    pay_funding(engine, taker.account)
    note_lots(engine, maker_row, -lots)
    engine.trade_count += 1
    taker_fee = fee_of(engine, listing, taker, notional, lots, True)
    maker_fee = fee_of(engine, listing, maker, notional, lots, False)
    # A rebate is paid out of fees: settlement refuses a batch after which the fund owes money.
    least = -taker_fee if engine.fund_is_exposed else -(engine.accounts[FUND_ROW].cash + taker_fee)
    maker_fee = least if least > maker_fee else maker_fee
    event = emit(engine, PACKED_TRADE, listing.id, engine.trade_count)
    event.flags = taker.side
    event.body[0] = price
    event.body[1] = lots
    event.body[2] = listing.mark
    event.body[3] = engine.underlyings[listing.underlying].index
    book_side(engine, maker_row, price, lots, notional, maker_fee)
    book_side(engine, taker_row, price, lots, notional, taker_fee)
    touch_instrument(engine, taker.instrument)
    engine.batch.fills += 1
    listing.batch_fills += 1
    listing.last = price
    listing.has_last = True
    if listing.kind == LISTED_PERPETUAL:
        note_price(listing, price, engine.now)


# Ends.

cdef inline void leave_book(Engine* engine, uint32_t row) noexcept nogil:
    """An order stands in the book no more; what is left of it reserves nothing."""
    cdef OrderRow* order = order_at(engine, row)
    engine.order_of_slot[<uint32_t>order.handle] = 0
    order.handle = 0
    if order.flags & ORDER_QUOTE:
        unrest_quote(engine, row)
    unlink_open(engine, row)
    stop_timer(engine, row)
    note_lots(engine, row, order.filled - order.quantity)


cdef inline void close_order(Engine* engine, uint32_t row, uint8_t status, uint8_t reason) noexcept nogil:
    """Give an order its terminal state; it is reported when the command is finished."""
    cdef OrderRow* order = order_at(engine, row)
    if order.handle:
        leave_book(engine, row)
    engine.open_count -= 1
    if is_forgotten(order):
        order.where = AT_NOWHERE
        spend_quote(engine, row)
    else:
        append_closed(engine, row)
    order.status = status
    order.reason = reason
    order.updated = engine.now
    note(engine, row, True)


cdef inline void lower_quantity(Engine* engine, uint32_t row, int64_t lots) noexcept nogil:
    """Take `lots` off an order's total and report it."""
    cdef OrderRow* order = order_at(engine, row)
    cdef PackedEvent* event
    if order.handle:
        note_lots(engine, row, -lots)
    order.quantity -= lots
    order.version += 1
    order.updated = engine.now
    event = emit(engine, PACKED_AMENDED, engine.accounts[order.account].id, order.number)
    event.account_seq = next_seq(engine, order.account)
    event.body[0] = engine.listings[order.instrument].id
    event.body[1] = order.quantity
    event.body[2] = order.quantity - order.filled
    event.body[3] = order.version


cdef inline void flush_closes(Engine* engine) noexcept nogil:
    """Report the orders that ended."""
    cdef size_t index
    cdef const OrderRow* order
    cdef PackedEvent* event
    for index in range(engine.note_count):
        if engine.notes[index].is_close:
            order = order_at(engine, engine.notes[index].order)
            event = emit(engine, PACKED_CLOSED, engine.accounts[order.account].id, order.number)
            event.account_seq = next_seq(engine, order.account)
            event.flags = order.status
            event.code = order.reason
            event.body[0] = engine.listings[order.instrument].id
            event.body[1] = order.quantity - order.filled
