# cython: language_level=3
"""A signed mass quote read and checked over C rows; twin: mass_quotes. Only calls of which every side passes are hot.

`read_call` and `check_call` change nothing but caches; what is unusual, refusals too, is the handlers' (COLD).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from exchange.engine._entry cimport (
    ENTRY_MONEY_MAX, SIGNED_BYTES, Entry, Record, Terms, check_authority, check_nonce, is_life_valid, is_priced,
    read_lengths,
)
from exchange.engine._booking cimport seconds_of
from exchange.engine._integers cimport add, floor_div, int128
from exchange.engine._limits cimport is_crowded, is_position_near
from exchange.engine._lookup cimport find_listing, make_cell_row
from exchange.engine._margin cimport LISTED_PERPETUAL, PPM, guard_reserve, is_exposed
from exchange.engine._quotes cimport find_quote
from exchange.engine._portfolio cimport account_margin, lacks_scenarios
from exchange.engine._price_moves cimport is_restricted
from exchange.engine._rows cimport AccountRow, CellRow, Engine, GuardRow, Listing, OrderRow, Underlying, order_at
from matching_core._counters cimport find_guard


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint32_t offbook_big32(const char* at) {
        uint32_t value; memcpy(&value, at, 4); return __builtin_bswap32(value);
    }
    static inline int64_t offbook_big64(const char* at) {
        uint64_t value; memcpy(&value, at, 8); return (int64_t)__builtin_bswap64(value);
    }
    """
    uint32_t big32 "offbook_big32" (const char* at) noexcept nogil
    int64_t big64 "offbook_big64" (const char* at) noexcept nogil


cdef enum:
    CALL_LINES_MAX = 64
    LINE_BYTES = 36
    SIGNED_ROOM = 176                # signature with its head, padded

cdef struct Side:                    # one side of a line
    int64_t price
    int64_t lots
    uint32_t held                    # row of the quote in its place, 0: none
    uint8_t is_kept
    uint8_t is_unchanged

cdef struct Line:
    Side side[2]
    uint32_t listing
    uint32_t cell

cdef struct Call:
    Terms terms                      # of the call as if it were an order
    Entry entry
    uint32_t guard
    uint32_t core_guard
    uint32_t count
    uint32_t placed                  # sides that become orders
    Line lines[CALL_LINES_MAX]


cdef inline bint read_call(Call* call, const Record* record, const char* attachments) noexcept nogil:
    """Signature and lines of a canonical call; False for anything else."""
    cdef uint32_t size = 0
    cdef uint32_t kind = 0
    cdef const char* at = attachments + SIGNED_ROOM
    cdef Terms* terms = &call.terms
    if record.attachment_bytes < SIGNED_ROOM + 8 or record.quantity < 1 or record.quantity > CALL_LINES_MAX:
        return False
    if record.side_and_force or record.flags or record.instrument or record.signer or record.price or record.target:
        return False
    memcpy(&kind, attachments, 4)
    memcpy(&size, attachments + 4, 4)
    if kind != 1 or size != SIGNED_BYTES or attachments[174] or attachments[175]:
        return False
    memcpy(&kind, at, 4)
    memcpy(&size, at + 4, 4)
    call.count = <uint32_t>record.quantity
    if kind != 8 or size != call.count * LINE_BYTES:
        return False
    if record.attachment_bytes != SIGNED_ROOM + 8 + size + (-<int>size & 7):
        return False
    terms.record = record
    terms.attachments = attachments
    terms.signed = attachments + 8
    terms.client_id = terms.label = NULL
    terms.id_bytes = terms.label_bytes = 0
    memcpy(&terms.max_fee, terms.signed + 118, 16)
    memcpy(&terms.expires_at_s, terms.signed + 134, 8)
    memcpy(&terms.reject_after_ms, terms.signed + 142, 8)
    memcpy(&terms.expected_filled, terms.signed + 150, 8)
    if not read_lengths(terms):
        return False
    return terms.expires_at_s == 0 and terms.reject_after_ms == 0 and terms.expected_filled == -1


cdef inline bint has_authority(Engine* engine, Call* call, const char* lines) noexcept nogil:
    """Signer, scopes of every kind of line, session, life and nonce."""
    cdef Record head = call.terms.record[0]
    cdef Terms terms = call.terms
    cdef uint32_t index
    cdef uint32_t kinds = 0
    if not head.session:
        return False
    for index in range(call.count):
        kinds |= 1 << (big32(lines + index * LINE_BYTES) >> 31)
    terms.record = &head
    call.entry.about = 0
    for index in range(2):
        head.instrument = index << 31
        if kinds >> index & 1 and check_authority(engine, &terms, &call.entry):
            return False
    if not is_life_valid(engine, &call.terms) or engine.accounts[call.entry.account].is_in_liquidation:
        return False
    return check_nonce(engine, &call.terms, &call.entry) == 0


cdef inline bint find_group(Engine* engine, Call* call) noexcept nogil:
    """The account's group that the call names, with a limit and not frozen."""
    cdef uint32_t row = engine.accounts[call.entry.account].guards
    while row and engine.guards[row].number != call.terms.record.group:
        row = engine.guards[row].next
    call.guard = row
    if row == 0 or engine.guards[row].limit == 0:
        return False
    call.core_guard = find_guard(engine.core, row)
    return call.core_guard != 0 and not engine.core.guards[call.core_guard].now.is_frozen


cdef inline bint check_listing(const Engine* engine, const Call* call, const Listing* listing) noexcept nogil:
    """Live, priced, not restricted, inside 128 bits, and counted by the group."""
    cdef const GuardRow* guard = &engine.guards[call.guard]
    if (listing.expiry_s and seconds_of(engine.now) >= listing.expiry_s) or not is_priced(engine, listing):
        return False
    if is_restricted(engine, listing):
        return False
    return listing.is_narrow and listing.underlying == guard.underlying and listing.lot_e9 == guard.lot_e9


cdef inline bint is_side_valid(const Listing* listing, const Side* side) noexcept nogil:
    """Price and size on the instrument's scale."""
    if side.price <= 0 or side.price > listing.price_max:
        return False
    if side.lots < listing.minimum or side.lots > listing.maximum:
        return False
    return <int128>side.price * listing.unit_e6 * side.lots <= ENTRY_MONEY_MAX


cdef inline bint is_reserved(const Engine* engine, const Listing* listing, uint8_t at, int64_t price) noexcept nogil:
    """Whether a unit at this price costs no more than a unit of its group's limit reserves at least."""
    cdef const Underlying* underlying = &engine.underlyings[listing.underlying]
    cdef int128 cost = <int128>price * listing.tick_e9
    cdef int64_t room = engine.rules.maximum_spot
    if listing.kind == LISTED_PERPETUAL:
        room -= engine.rules.large[0].initial_ppm if underlying.is_large else engine.rules.major[0].initial_ppm
    if listing.kind == LISTED_PERPETUAL or at:
        cost = cost - listing.mark
        cost = -cost if at else cost
    return cost <= floor_div(<int128>underlying.index * room, PPM)


cdef inline bint find_held(Engine* engine, const Call* call, Line* line, uint8_t at) noexcept nogil:
    """The quote in place of a side, and what becomes of it; False when other orders are tied to it."""
    cdef Side* side = &line.side[at]
    cdef const OrderRow* order
    cdef int64_t left
    side.held = find_quote(engine, call.guard, line.listing, at)
    side.is_kept = side.is_unchanged = False
    if side.held == 0:
        return True
    order = order_at(engine, side.held)
    left = order.quantity - order.filled
    side.is_kept = side.lots != 0 and order.price == side.price and side.lots <= left
    side.is_unchanged = side.is_kept and side.lots == left
    return not order.group and order.trigger == NULL and not order.is_parent


cdef inline bint read_line(Engine* engine, Call* call, Line* line, const char* at) noexcept nogil:
    """One line, checked but for room; False also for an instrument that the call has named already."""
    cdef Listing* listing
    cdef uint8_t side
    line.listing = find_listing(engine, big32(at))
    listing = &engine.listings[line.listing]
    if line.listing == 0 or listing.quoted == engine.sequence or not check_listing(engine, call, listing):
        return False
    listing.quoted = engine.sequence
    for side in range(2):
        line.side[side].price = big64(at + 4 + 16 * side)
        line.side[side].lots = big64(at + 12 + 16 * side)
        if line.side[side].lots and not is_side_valid(listing, &line.side[side]):
            return False
        if not find_held(engine, call, line, side):
            return False
        if line.side[side].lots and not line.side[side].is_kept:
            if not is_reserved(engine, listing, side, line.side[side].price):
                return False
    if line.side[0].lots and line.side[1].lots and line.side[0].price >= line.side[1].price:
        return False
    line.cell = make_cell_row(engine, call.entry.account, line.listing)
    if line.cell == 0:
        return False
    for side in range(2):
        if line.side[side].lots and is_position_near(
            engine, line.cell, line.listing, side, line.side[0].lots + line.side[1].lots
        ):
            return False
    return True


cdef inline uint32_t is_fresh(const Side* side) noexcept nogil:
    """Whether a side takes nobody's place."""
    return side.lots != 0 and side.held == 0


cdef inline bint has_room(const Engine* engine, const Call* call) noexcept nogil:
    """Room for the open orders and positions that sides without a predecessor add."""
    cdef const AccountRow* account = &engine.accounts[call.entry.account]
    cdef uint64_t added = account.open_count
    cdef uint64_t reach = <uint64_t>account.position_count + account.exposed_count
    cdef const CellRow* cell
    cdef const Line* line
    cdef uint32_t index, fresh
    for index in range(call.count):
        line = &call.lines[index]
        fresh = is_fresh(&line.side[0]) + is_fresh(&line.side[1])
        cell = &engine.cells[line.cell]
        added += fresh
        if fresh and cell.lots == 0 and not cell.buys and not cell.sells and not cell.quotes:
            reach += 1
            if reach > engine.rules.positions_max:
                return False
    if is_crowded(engine, call.entry.account, <uint32_t>(added - account.open_count)):
        return False
    return added <= engine.rules.open_orders_max


cdef inline bint is_call_affordable(Engine* engine, const Call* call) noexcept nogil:
    """One check for the call: the group's reserve beside everything else of the account."""
    cdef int is_wide = 0
    cdef int128 left = account_margin(engine, call.entry.account, &is_wide)
    cdef uint32_t index
    if engine.accounts[call.entry.account].is_portfolio:
        for index in range(call.count):
            if lacks_scenarios(engine, &engine.listings[call.lines[index].listing]):
                return False
    if engine.guards[call.guard].quotes == 0:
        left = add(left, -guard_reserve(engine, call.guard, &is_wide), &is_wide)
    return left >= 0 and not is_wide


cdef inline bint check_call(Engine* engine, Call* call) noexcept nogil:
    """Whether the call goes to the book with every side of it."""
    cdef const char* lines = call.terms.attachments + SIGNED_ROOM + 8
    cdef Line* line
    cdef uint32_t index
    cdef uint8_t side
    if not has_authority(engine, call, lines) or not find_group(engine, call):
        return False
    call.placed = 0
    for index in range(call.count):
        line = &call.lines[index]
        if not read_line(engine, call, line, lines + index * LINE_BYTES):
            return False
        for side in range(2):
            call.placed += line.side[side].lots != 0 and not line.side[side].is_kept
    if not has_room(engine, call):
        return False
    return call.placed == 0 or is_call_affordable(engine, call)
