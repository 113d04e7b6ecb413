# cython: language_level=3
"""C rows of the compiled state. Row 0 of every array means "none".

Order rows live in blocks that never move; a row is an order from its acceptance until it is forgotten. Accounts, cells
and instruments live in arrays that grow between commands. What is rare stays in Python.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from exchange.engine._integers cimport int128, uint128
from exchange.engine._limit_rows cimport MarketRoom
from exchange.engine._price_slots cimport RING_SLOTS, RING_WINDOWS, PriceSlot
from exchange.engine._scenario_rows cimport ScenarioPlan, Scenarios, Trust
from exchange.engine._tables cimport Table
from matching_core._order_pool cimport Core, Event as CoreEvent


cdef extern from *:
    """
    #define offbook_fetch(address) __builtin_prefetch((const void*)(address), 1)
    """
    void fetch "offbook_fetch" (const void* address) noexcept nogil


cdef enum:
    BLOCK_BITS = 12
    BLOCK_ROWS = 1 << BLOCK_BITS
    # OrderRow.where
    AT_NOWHERE = 0
    AT_BOOK = 1
    AT_CLOSED = 2
    ORDER_QUOTE = 64                 # OrderFlag.QUOTE
    ORDER_NAMELESS = 64 | 2048 | 8192    # QUOTE, LIQUIDATION, BLOCK: no client order id, and a nonce with others
    # Commands and events of one run
    RECORD_BYTES = 64
    CORE_EVENTS = 1 << 12
    TIERS_MAX = 16
    GROUP_MEMBERS_MAX = 512


cdef struct TriggerRow:              # what only trigger orders have
    int64_t trigger_e9
    int64_t offset_e9
    int64_t extreme_e9
    int64_t fired_e9

cdef struct OrderRow:                # 256 bytes; the first 128 are what a cancel reads and writes
    uint64_t number
    uint64_t handle                  # in the core; 0: not in its book
    int64_t price
    int64_t quantity                 # total, after amendments
    int64_t filled
    int64_t updated
    uint32_t account
    uint32_t instrument
    uint32_t cell
    uint32_t timer                   # place in the heap, 0: none
    int64_t group
    TriggerRow* trigger
    char* text                       # 64-byte record and attachments of the signed order, exactly as packed
    uint32_t next                    # of the account's open orders, or the next closed or free row
    uint32_t prev
    uint32_t number_hash
    uint32_t id_hash
    uint32_t nonce_hash
    uint32_t id_at                   # client order id inside the text
    uint32_t id_bytes
    uint32_t version
    uint16_t flags
    uint8_t stage
    uint8_t is_parent                # somebody waited for it once
    uint8_t side
    uint8_t where
    uint8_t status
    uint8_t reason
    uint64_t nonce
    uint64_t filled_batch
    int128 notional                  # filled, 1e-6 USDC
    int128 fee
    uint128 max_fee
    int64_t created
    uint64_t rank
    uint64_t replaces
    char* first                      # of the command that made it, once another replaced it
    uint32_t text_serial             # changes with the text
    uint32_t text_bytes
    uint32_t first_bytes
    uint32_t deadline_s
    uint32_t guard                   # protection group of a quote
    uint32_t refill_rank             # of the last refill, among those of the command in `rank`
    uint16_t refusal
    uint8_t time_in_force

cdef struct Timer:
    uint64_t number
    uint32_t deadline_s
    uint32_t order                   # 0: stopped

cdef struct NonceEntry:
    uint64_t nonce
    uint64_t number                  # of the order that used it, 0: refused
    uint32_t owner                   # 0: free
    uint32_t signer

cdef struct NonceBucket:
    uint64_t number                  # of ten minutes
    NonceEntry* entries              # NULL: bucket not in use
    uint32_t mask
    uint32_t count

cdef struct AccountRow:
    int128 cash                      # ledger cash, 1e-6 USDC
    int128 perpetual_cost
    int128 batch_cash
    int64_t opened
    int64_t cancel_all
    uint64_t sequence
    uint64_t batch                   # number of the batch that the next two belong to
    uint64_t funded_round            # oracle round up to which it paid its funding
    uint32_t batch_orders
    uint32_t id
    uint32_t owner                   # address; 0: the venue's own
    uint32_t open_count
    uint32_t head                    # of its open orders, by age
    uint32_t tail
    uint32_t groups                  # first group row
    uint32_t position_count
    uint32_t exposed_count           # cells without a position but with open orders that could open one
    uint32_t waiting_count
    uint32_t guards                  # first of its protection groups
    uint32_t sibling                 # next account of its owner, itself in the end; 0: the venue's own
    uint32_t sibling_count           # with itself
    uint32_t book_owner              # whom the core takes for the owner of its orders
    uint16_t self_trade_mode         # of orders that leave it to the account
    uint8_t is_self_trade_by_owner
    uint8_t is_open
    uint8_t is_locked
    uint8_t is_close_all
    uint8_t is_in_liquidation
    uint8_t is_portfolio             # margined by scenarios

cdef struct CellRow:                 # one account on one instrument: position, open orders, batch leg
    int128 cost
    int128 realized
    int128 fee
    int128 buy_tick_lots
    int128 loss                      # of open orders against the mark, 1e-18 USDC
    int128 funding                   # paid (< 0) or received since the position was opened
    int64_t lots
    int64_t opened
    int64_t buys
    int64_t sells
    int64_t quotes                   # lots of both sides, which their group reserves for
    int64_t batch_lots
    int64_t loss_round
    int64_t fund_index               # up to which a perpetual is paid, 1e-12 USDC per lot
    uint64_t batch
    uint32_t account
    uint32_t instrument
    uint32_t group                   # group row
    uint32_t next                    # cell of the same group row
    uint32_t core_cell               # index in the core, 0: not looked up yet
    uint8_t is_position

cdef struct GroupRow:                # what one account has in one margin group, with its cached margin
    int128 margin
    int64_t round                    # price round it holds for; -1: none
    uint32_t group
    uint32_t cells
    uint32_t next

cdef struct GuardRow:                # a protection group; its row is the core's number of it
    int128 reserve                   # what its quotes reserve, 1e-18 USDC
    int64_t round                    # price round it holds for; -1: none
    int64_t lot_e9
    int64_t limit                    # lots
    int64_t frozen                   # ns, 0: until a reset
    uint32_t account
    uint32_t number
    uint32_t underlying
    uint32_t quotes                  # in the book
    uint32_t next                    # of the account

cdef struct Market:                  # a margin group: one perpetual, or the options of one expiry
    int64_t forward                  # 0: unknown, the index stands in
    uint32_t underlying
    uint32_t perpetual               # instrument, 0 for options
    Trust trust

cdef struct Underlying:
    int64_t index                    # 1e-9 USDC, 0: unknown
    int64_t open_until               # ns, the last at which it is not stale; 0: halted
    int64_t initial_ppm[TIERS_MAX]   # of its perpetual's brackets, as open interest has them grow
    uint8_t is_large

cdef struct Listing:
    PriceSlot rings[RING_WINDOWS][RING_SLOTS]
    Scenarios scenarios
    int64_t tick_e9
    int64_t lot_e9
    int64_t unit_e6
    int64_t minimum
    int64_t maximum
    int64_t price_max
    int64_t strike
    int64_t expiry_s
    int64_t mark
    int64_t mark_until               # ns, the last at which it is not stale
    int64_t last
    int64_t fund_index               # published, 1e-12 USDC per lot
    int64_t maker_ppm
    int64_t taker_ppm
    int64_t worst_ppm                # highest of both and 0
    int128 position_sum
    MarketRoom room
    uint64_t batch
    uint64_t batch_fills
    uint64_t quoted                  # last mass quote that named it
    uint32_t id
    uint32_t underlying
    uint32_t market
    uint8_t kind                     # InstrumentKind
    uint8_t has_mark
    uint8_t has_last
    uint8_t is_narrow                # its prices keep every product of a fill inside 128 bits
    uint8_t is_watched               # some order waits for its last trade

cdef struct KeyEntry:                # a session key of an owner; with owner 0 an address, whose row is its number
    uint8_t address[20]
    uint32_t owner
    uint32_t signer
    uint32_t valid_to_s
    uint32_t scopes
    uint32_t account_count           # 0: all
    uint32_t* accounts
    uint8_t is_revoked
    uint8_t is_far                   # valid beyond 32 bits of seconds
    uint8_t is_limited               # to instruments or to a notional: the handlers check them

cdef struct Tier:
    int128 upper_e18                 # 0: no bound
    int64_t initial_ppm

cdef struct Parameters:
    ScenarioPlan plan
    Tier large[TIERS_MAX]
    Tier major[TIERS_MAX]
    uint32_t large_count
    uint32_t major_count
    int64_t maximum_spot
    int64_t minimum_spot
    int64_t call_maintenance
    int64_t put_maintenance
    int64_t put_maintenance_mark
    int64_t unpaired_initial
    int64_t put_offset
    int64_t option_fee_cap
    int64_t move_ppm[RING_WINDOWS]
    uint64_t open_orders_max
    uint64_t owner_orders_max
    uint64_t positions_max
    uint64_t closed_max
    int64_t closed_life
    uint64_t batch_accounts_max
    uint64_t batch_instruments_max
    uint64_t batch_legs_max
    uint64_t batch_orders_max

cdef struct Batch:
    int128 fee
    uint64_t number
    uint64_t first_sequence
    int64_t from_s
    int64_t to_s
    uint64_t fills
    uint64_t requests
    uint64_t expired                 # positions that became cash
    uint32_t account_count
    uint32_t leg_count
    uint32_t instrument_count
    uint32_t account_room
    uint32_t leg_room
    uint32_t instrument_room
    uint32_t* accounts
    uint32_t* legs
    uint32_t* instruments

cdef struct Note:                    # what became of an order inside the current command
    uint32_t order
    uint8_t is_close                 # 0: a fill

cdef struct PackedEvent:             # 64 bytes; layouts in _events.pxd
    uint8_t kind
    uint8_t flags
    uint16_t code
    uint32_t account
    uint64_t sequence
    uint64_t account_seq
    uint64_t number
    int64_t body[4]

cdef struct Engine:
    Core* core
    uint64_t sequence
    int64_t now
    uint64_t trade_count
    int64_t price_round
    uint64_t oracle_round
    int128 cash_sum
    int128 collateral
    OrderRow** blocks
    uint32_t block_count
    uint32_t block_room
    uint32_t order_top
    uint32_t order_free
    uint32_t order_count             # rows in use
    uint32_t text_count
    uint64_t open_count
    uint32_t closed_head
    uint32_t closed_tail
    uint64_t closed_count
    uint32_t* order_of_slot          # by slot of the core
    Table numbers
    Table client_ids
    Table nonce_orders
    Timer* timers                    # heap of four children, place 1 first; stopped ones stay until they are many
    uint32_t timer_top
    uint32_t timer_count             # that run
    uint32_t timer_room
    NonceBucket* buckets
    uint32_t bucket_room
    AccountRow* accounts
    uint32_t account_top
    uint32_t account_room
    Table account_ids
    CellRow* cells
    uint32_t cell_top
    uint32_t cell_room
    Table cell_keys
    GroupRow* groups
    uint32_t group_top
    uint32_t group_room
    Listing* listings
    GuardRow* guards
    uint32_t guard_room
    Table quotes
    uint32_t listing_top
    uint32_t listing_room
    Table listing_ids
    Market* markets
    uint32_t market_top
    uint32_t market_room
    Underlying* underlyings
    uint32_t underlying_top
    uint32_t underlying_room
    KeyEntry* keys
    uint32_t key_top
    uint32_t key_room
    Table key_ids
    uint32_t* session_owner          # by session number
    uint32_t session_room
    Parameters rules
    Batch batch
    uint64_t request_index
    PackedEvent* out
    size_t out_count
    size_t out_room
    CoreEvent* core_events
    Note* notes
    size_t note_count
    size_t note_room
    char* texts                      # free room for texts of quotes, each begins with the address of the next
    uint32_t* spent                  # quotes that ended in the last command without a fill: their rows go with the next
    uint32_t spent_count
    uint32_t spent_room
    uint32_t trip_count              # groups that froze in the current command
    uint32_t fired_count             # triggers that wait for a Clock
    bint fund_is_exposed             # the fund holds a position: its cash is not free for rebates
    const char* defect               # what does not add up: the state is not to be used any more


cdef inline OrderRow* order_at(const Engine* engine, uint32_t row) noexcept nogil:
    return &engine.blocks[row >> BLOCK_BITS][row & (BLOCK_ROWS - 1)]


cdef inline void* grown(void* rows, uint32_t* room, uint32_t needed, size_t size) noexcept nogil:
    """An array with place for row `needed`, new rows zeroed; NULL without memory (the old one stays)."""
    cdef size_t more = room[0] if room[0] else 64
    cdef char* answer
    if needed < room[0]:
        return rows
    while more <= needed:
        more *= 2
    answer = <char*>realloc(rows, more * size)
    if answer != NULL:
        memset(answer + room[0] * size, 0, (more - room[0]) * size)
        room[0] = <uint32_t>more
    return answer
