# cython: language_level=3
"""The ladder of checks of a new order over C rows, in the declared order; twins: authority, orders, entry_checks.

`examine` changes nothing but caches. COLD: the handlers decide of repeats, odd texts, triggers, limits, wide prices.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from exchange.engine._booking cimport seconds_of
from exchange.engine._integers cimport int128, uint128
from exchange.engine._limits cimport is_limit_near
from exchange.engine._lookup cimport (
    find_account, find_client_id, find_key_row, find_listing, hash_text, make_cell_row,
)
from exchange.engine._margin cimport IS_CHECKED, LISTED_PERPETUAL, Change
from exchange.engine._portfolio cimport is_order_affordable
from exchange.engine._price_moves cimport is_restricted, may_move_too_far
from exchange.engine._rows cimport AccountRow, CellRow, Engine, KeyEntry, Listing, NonceEntry
from exchange.engine._used_nonces cimport NINETEEN_DIGITS, find_used, is_in_window


cdef enum:
    COLD = 1
    SIGNED_BYTES = 166
    NO_CODE = 0
    # ResultCode
    INSUFFICIENT_MARGIN = 11000
    NO_LIQUIDITY_CODE = 11009
    POST_ONLY_NOT_ALLOWED = 11010
    BAD_SIGNATURE_EXPIRY = 11011
    BAD_AMOUNT = 11012
    BAD_PRICE = 11013
    NONCE_USED = 11017
    NONCE_OUTSIDE_WINDOW = 11018
    TOO_MANY_OPEN_ORDERS = 11019
    INSTRUMENT_NOT_LIVE = 11021
    REJECT_TIMESTAMP_PASSED = 11022
    REDUCE_ONLY_REJECTED = 11025
    TOO_MANY_POSITIONS = 10007
    INSTRUMENT_NOT_FOUND = 12001
    SUBACCOUNT_NOT_FOUND = 14001
    SESSION_MISSING = 14021
    SIGNER_UNKNOWN = 14023
    SESSION_KEY_EXPIRED = 14030
    SCOPE_MISSING = 14031
    ACTION_OUTLIVES_KEY = 14038
    # OrderFlag and TimeInForce
    FLAG_POST_ONLY = 1
    FLAG_SLIDE = 2
    FLAG_REDUCE_ONLY = 4
    FLAG_MARKET = 8
    FLAG_MMP = 16
    FLAG_QUOTE = 64
    FLAG_STP = 768
    FLAG_STP_ACCOUNT = 1024
    FLAG_OF_ENGINE = 2048 | 8192        # LIQUIDATION, BLOCK
    FORCE_IOC = 1
    FORCE_FOK = 2
    # Scopes (authority.py)
    SCOPES_ALWAYS = 1 << 0 | 1 << 2 | 1 << 3
    SCOPE_PERPETUAL = 1 << 5
    SCOPE_OPTION = 1 << 6

cdef extern from *:
    """
    #define OFFBOOK_LIFE_MIN_S 10LL
    #define OFFBOOK_LIFE_MAX_S 10368000LL
    #define OFFBOOK_NS_PER_S 1000000000LL
    """
    const int64_t LIFE_MIN_S "OFFBOOK_LIFE_MIN_S"
    const int64_t LIFE_MAX_S "OFFBOOK_LIFE_MAX_S"
    const int64_t NS_PER_S "OFFBOOK_NS_PER_S"
    const int64_t ENTRY_MONEY_MAX "OFFBOOK_MONEY_MAX"
    const uint64_t PERPETUAL_MASK "0x80000000U"


cdef struct Record:                  # 64 bytes, architecture.md 12
    uint8_t kind
    uint8_t side_and_force
    uint16_t flags
    uint32_t account
    uint32_t instrument
    uint32_t signer
    int64_t price
    int64_t quantity
    uint64_t nonce
    uint64_t target
    uint32_t session
    uint32_t group
    uint32_t expiry_s
    uint32_t attachment_bytes

cdef struct Terms:                   # a command with its attachments read
    const Record* record
    const char* attachments
    const char* signed               # 166 bytes: signer, digest, signature, domain, fee cap, dates; NULL without one
    const char* client_id
    const char* label
    uint32_t id_bytes
    uint32_t label_bytes
    uint32_t digest_bytes
    uint32_t signature_bytes
    uint128 max_fee
    uint64_t expires_at_s
    uint64_t reject_after_ms
    int64_t expected_filled

cdef struct Entry:                   # what `examine` found
    uint32_t account
    uint32_t listing
    uint32_t cell
    uint32_t owner
    uint32_t signer
    uint32_t id_hash
    uint16_t code
    bint is_spent                    # the nonce counts, whatever the code says
    uint64_t about                   # order a refusal is about
    uint8_t side
    uint8_t force


cdef inline bint is_plain_text(const char* text, uint32_t size) noexcept nogil:
    cdef uint32_t index
    for index in range(size):
        if <uint8_t>text[index] >= 128:
            return False
    return True


cdef inline bint read_attachments(Terms* terms) noexcept nogil:
    """Find signature, client order id and label; False when the command carries anything else or is not canonical."""
    cdef uint32_t at = 0
    cdef uint32_t size = 0
    cdef uint32_t total = terms.record.attachment_bytes
    cdef uint16_t kind = 0
    cdef uint16_t before = 0
    cdef const char* head
    while at < total:
        head = terms.attachments + at
        if total - at < 8:
            return False
        memcpy(&kind, head, 2)
        memcpy(&size, head + 4, 4)
        if kind <= before or kind > 3 or head[2] or head[3] or size == 0 or size > total - at - 8:
            return False
        before = kind
        if kind == 1:
            if size != SIGNED_BYTES:
                return False
            terms.signed = head + 8
        elif not is_plain_text(head + 8, size):
            return False
        elif kind == 2:
            terms.client_id = head + 8
            terms.id_bytes = size
        else:
            terms.label = head + 8
            terms.label_bytes = size
        at += 8 + size
        while at & 7:
            if at >= total or terms.attachments[at]:
                return False
            at += 1
    return at == total


cdef inline bint is_blank(const char* text, uint32_t size) noexcept nogil:
    cdef uint32_t index
    for index in range(size):
        if text[index]:
            return False
    return True


cdef inline bint read_lengths(Terms* terms) noexcept nogil:
    """How much of digest and signature was given; False unless the rest is blank, as `pack_command` leaves it."""
    cdef uint64_t lengths
    memcpy(&lengths, terms.signed + 158, 8)
    if lengths & 0xFF > 32 or lengths >> 8 > 65:
        return False
    terms.digest_bytes = lengths & 0xFF
    terms.signature_bytes = <uint32_t>(lengths >> 8)
    return is_blank(terms.signed + 20 + terms.digest_bytes, 32 - terms.digest_bytes) \
        and is_blank(terms.signed + 52 + terms.signature_bytes, 65 - terms.signature_bytes)


cdef inline bint read_terms(Terms* terms, const Record* record, const char* attachments) noexcept nogil:
    terms.record = record
    terms.attachments = attachments
    terms.signed = terms.client_id = terms.label = NULL
    terms.id_bytes = terms.label_bytes = 0
    if not read_attachments(terms):
        return False
    if terms.signed != NULL:
        if not read_lengths(terms):
            return False
        memcpy(&terms.max_fee, terms.signed + 118, 16)
        memcpy(&terms.expires_at_s, terms.signed + 134, 8)
        memcpy(&terms.reject_after_ms, terms.signed + 142, 8)
        memcpy(&terms.expected_filled, terms.signed + 150, 8)
    return True


cdef inline uint16_t check_key(const Engine* engine, const Terms* terms, Entry* entry) noexcept nogil:
    cdef uint32_t row = find_key_row(engine, entry.owner, terms.signed)
    cdef const KeyEntry* key = &engine.keys[row]
    cdef uint32_t scope = SCOPE_PERPETUAL if terms.record.instrument & PERPETUAL_MASK else SCOPE_OPTION
    cdef uint32_t index
    cdef bint is_named = row != 0 and key.account_count == 0
    if row == 0 or key.is_limited:
        return COLD if row else SIGNER_UNKNOWN
    entry.signer = key.signer
    if key.is_revoked or (not key.is_far and key.valid_to_s <= seconds_of(engine.now)):
        return SESSION_KEY_EXPIRED
    for index in range(key.account_count):
        is_named = is_named or key.accounts[index] == terms.record.account
    if not key.scopes & (SCOPES_ALWAYS | scope) or not is_named:
        return SCOPE_MISSING
    return ACTION_OUTLIVES_KEY if not key.is_far and terms.record.expiry_s > key.valid_to_s else NO_CODE


cdef inline uint16_t check_authority(const Engine* engine, const Terms* terms, Entry* entry) noexcept nogil:
    """First failing code of: subaccount, signer, key's life, scope, lock, session."""
    cdef const AccountRow* account
    cdef uint16_t code
    entry.account = find_account(engine, terms.record.account)
    account = &engine.accounts[entry.account]
    if entry.account == 0 or not account.is_open or account.owner == 0:
        return SUBACCOUNT_NOT_FOUND
    entry.owner = entry.signer = account.owner
    if memcmp(terms.signed, engine.keys[account.owner].address, 20) != 0:
        code = check_key(engine, terms, entry)
        if code:
            return code
    if account.is_locked:
        return SCOPE_MISSING
    if terms.record.session:
        if terms.record.session >= engine.session_room or engine.session_owner[terms.record.session] != account.owner:
            return SESSION_MISSING
    return NO_CODE


cdef inline bint is_life_valid(const Engine* engine, const Terms* terms) noexcept nogil:
    cdef int64_t now_s = seconds_of(engine.now)
    cdef int64_t expiry_s = terms.record.expiry_s
    if expiry_s < now_s + LIFE_MIN_S or expiry_s > now_s + LIFE_MAX_S:
        return False
    if not terms.expires_at_s:
        return True
    return terms.expires_at_s > <uint64_t>now_s and terms.expires_at_s <= <uint64_t>expiry_s


cdef inline uint16_t check_nonce(Engine* engine, const Terms* terms, Entry* entry) noexcept nogil:
    cdef int64_t cancel_all = engine.accounts[entry.account].cancel_all
    cdef uint64_t nonce = terms.record.nonce
    cdef const NonceEntry* used
    if cancel_all and (nonce < NINETEEN_DIGITS or nonce <= <uint64_t>cancel_all):
        return NONCE_OUTSIDE_WINDOW
    if not is_in_window(nonce, engine.now):
        return NONCE_OUTSIDE_WINDOW
    used = find_used(engine, entry.owner, entry.signer, nonce)
    if used != NULL:
        entry.about = used.number
        return NONCE_USED
    return NO_CODE


cdef inline bint is_priced(const Engine* engine, const Listing* listing) noexcept nogil:
    return listing.has_mark and engine.underlyings[listing.underlying].index != 0


cdef inline uint16_t check_terms(const Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """Instrument live and priced, a possible combination of options, price and size on the instrument's scale."""
    cdef const Listing* listing = &engine.listings[entry.listing]
    cdef uint16_t flags = terms.record.flags
    cdef int64_t lots = terms.record.quantity
    cdef bint is_immediate = entry.force == FORCE_IOC or entry.force == FORCE_FOK or flags & FLAG_MARKET
    if entry.listing == 0:
        return INSTRUMENT_NOT_FOUND
    if (listing.expiry_s and seconds_of(engine.now) >= listing.expiry_s) or not is_priced(engine, listing):
        return INSTRUMENT_NOT_LIVE
    if flags & (FLAG_POST_ONLY | FLAG_SLIDE) == FLAG_SLIDE or (is_immediate and flags & FLAG_POST_ONLY):
        return POST_ONLY_NOT_ALLOWED
    if terms.record.price <= 0 or terms.record.price > listing.price_max:
        return BAD_PRICE
    if lots < listing.minimum or lots > listing.maximum:
        return BAD_AMOUNT
    return BAD_AMOUNT if <int128>terms.record.price * listing.unit_e6 * lots > ENTRY_MONEY_MAX else NO_CODE


cdef inline uint16_t check_limits(const Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """Reduce-only has something to reduce; open orders and positions are bounded."""
    cdef const AccountRow* account = &engine.accounts[entry.account]
    cdef const CellRow* cell = &engine.cells[entry.cell]
    if terms.record.flags & FLAG_REDUCE_ONLY and (cell.lots == 0 or (cell.lots > 0) == (entry.side == 0)):
        return REDUCE_ONLY_REJECTED
    if account.open_count >= engine.rules.open_orders_max:
        return TOO_MANY_OPEN_ORDERS
    if cell.lots == 0 and not cell.buys and not cell.sells and not cell.quotes:
        if <uint64_t>account.position_count + account.exposed_count >= engine.rules.positions_max:
            return TOO_MANY_POSITIONS
    return NO_CODE


cdef inline bint has_liquidity(const Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """A market order needs somebody to trade with, a limit IOC ends instead; in a call the core refuses both."""
    cdef uint32_t ladder, best
    if not terms.record.flags & FLAG_MARKET or engine.core.instruments[entry.listing].is_auction:
        return True
    ladder = 2 * entry.listing + (1 - entry.side)
    best = engine.core.ladders[ladder].best
    if best == 0:
        return False
    if entry.side:
        return engine.core.levels[best].price >= terms.record.price
    return engine.core.levels[best].price <= terms.record.price


cdef inline bint may_begin_call(const Engine* engine, const Terms* terms, const Entry* entry) noexcept nogil:
    """Whether the handlers must look if the order would move a perpetual's price too far."""
    cdef const Listing* listing = &engine.listings[entry.listing]
    cdef uint32_t best = engine.core.ladders[2 * entry.listing + (1 - entry.side)].best
    if listing.kind != LISTED_PERPETUAL or best == 0 or terms.record.flags & FLAG_POST_ONLY:
        return False
    if engine.core.instruments[entry.listing].is_auction:
        return False
    return may_move_too_far(engine, listing, entry.side, terms.record.price, engine.core.levels[best].price)


cdef inline uint16_t check_entry(Engine* engine, const Terms* terms, Entry* entry, int* is_wide) noexcept nogil:
    """First failing code of: limits, time, margin, somebody to trade with; the book's come after."""
    cdef uint16_t code = check_limits(engine, terms, entry)
    cdef Change wanted
    if code:
        return code
    if terms.reject_after_ms and <int128>engine.now > <int128>terms.reject_after_ms * 1000000:
        return REJECT_TIMESTAMP_PASSED
    wanted.cell = entry.cell
    wanted.side = entry.side
    wanted.is_filled = False
    wanted.lots = terms.record.quantity
    wanted.price = terms.record.price
    if IS_CHECKED and not is_order_affordable(engine, entry.cell, &wanted, terms.record.flags, is_wide):
        return INSUFFICIENT_MARGIN
    return NO_CODE if has_liquidity(engine, terms, entry) else NO_LIQUIDITY_CODE


cdef inline bint is_canonical(const Terms* terms) noexcept nogil:
    """Whether fields that an unguarded order does not use are as `pack_command` leaves them."""
    cdef const Record* record = terms.record
    if record.flags & (FLAG_MMP | FLAG_QUOTE | FLAG_OF_ENGINE):
        return False
    return record.signer == 0 and record.group == 0 and record.target == 0 and terms.expected_filled == -1


cdef inline uint16_t admit(Engine* engine, const Terms* terms, Entry* entry) noexcept nogil:
    """Checks that spend nothing; COLD for a client order id that is known."""
    cdef uint16_t code = check_authority(engine, terms, entry)
    entry.about = engine.sequence << 8
    if code:
        return code
    if terms.id_bytes:
        entry.id_hash = hash_text(entry.account, terms.client_id, terms.id_bytes)
        if find_client_id(engine, entry.account, terms.client_id, terms.id_bytes, entry.id_hash):
            return COLD
    if not is_life_valid(engine, terms):
        return BAD_SIGNATURE_EXPIRY
    code = check_nonce(engine, terms, entry)
    entry.is_spent = code == NO_CODE
    return code


cdef inline uint16_t examine(Engine* engine, const Terms* terms, Entry* entry) noexcept nogil:
    """Everything before the book; `entry.code`, or COLD."""
    cdef int is_wide = 0
    entry.is_spent = False
    entry.side = terms.record.side_and_force & 1
    entry.force = terms.record.side_and_force >> 1
    if terms.signed == NULL or entry.force > 3 or not is_canonical(terms):
        return COLD
    entry.code = admit(engine, terms, entry)
    if entry.code:
        return COLD if entry.code == COLD else NO_CODE
    if engine.accounts[entry.account].is_in_liquidation:
        return COLD
    entry.listing = find_listing(engine, terms.record.instrument)
    if entry.listing and is_priced(engine, &engine.listings[entry.listing]):
        if not engine.listings[entry.listing].is_narrow or is_restricted(engine, &engine.listings[entry.listing]):
            return COLD
    entry.code = check_terms(engine, terms, entry)
    if entry.code:
        return NO_CODE
    entry.cell = make_cell_row(engine, entry.account, entry.listing)
    if not entry.cell or is_limit_near(engine, entry.cell, entry.side, terms.record.quantity, terms.record.flags):
        return COLD
    entry.code = check_entry(engine, terms, entry, &is_wide)
    if entry.code == NO_CODE and may_begin_call(engine, terms, entry):
        return COLD
    return COLD if is_wide else NO_CODE
