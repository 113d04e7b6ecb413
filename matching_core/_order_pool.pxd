# cython: language_level=3
"""C structs of the compiled book and the pools they live in.

Index 0 of every pool means "none", so zeroed memory is an empty book. Orders and levels are allocated once for the
whole capacity (untouched pages cost nothing); trie nodes and cells grow between commands, never inside one.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef struct Command:                 # one packed command; the last eight bytes are a handle for cancel and amend
    uint8_t kind
    uint8_t side
    uint16_t flags
    uint32_t instrument
    int64_t price
    int64_t quantity
    uint32_t owner
    uint32_t cell

cdef struct Extension:               # the record behind a command with the flag EXTENDED
    int64_t display
    uint32_t guard
    uint32_t spare
    int64_t reserved[2]

cdef struct QuoteSide:
    int64_t price
    int64_t quantity

cdef struct QuoteLine:               # 64 bytes behind the header of a mass quote: bid and ask
    uint32_t instrument
    uint32_t cell
    QuoteSide side[2]
    uint64_t handle[2]
    uint64_t reserved

cdef struct Event:                   # one packed event
    uint8_t kind
    uint8_t side
    uint16_t code
    uint32_t instrument
    uint64_t handle
    int64_t price
    int64_t quantity

cdef struct Order:                   # 32 bytes, the hot record; cell or cold record stand beside it in Core.links
    int64_t quantity                 # remaining lots; 0: the slot is free
    uint32_t generation              # upper half of the handle
    uint32_t next                    # younger order of the level, or next free slot
    uint32_t prev
    uint32_t level
    uint32_t owner
    uint32_t flags                   # flags of the command, and the ORDER_ bits

cdef struct Cold:                    # of an order with a bit of ORDER_COLD, found through Core.links
    int64_t display                  # slice of an iceberg
    int64_t hidden                   # lots that Order.quantity does not show
    uint64_t arrival                 # number of an entry in an auction
    uint64_t walk                    # dry walk in which the order has ended
    uint32_t guard                   # index
    uint32_t line_next               # orders of one guard, the one that came first in front; or next free record
    uint32_t line_prev
    uint32_t cell                    # index

cdef struct Level:                   # 32 bytes, all orders of one side at one price
    int64_t price
    int64_t total                    # of the quantities shown
    uint32_t head                    # oldest order, or next free level
    uint32_t tail
    uint32_t count
    uint32_t ladder

cdef struct Node:                    # trie node: bit set = child present; the children of a leaf are levels
    uint64_t bits
    uint64_t held                    # of a leaf: children that are not 0; without its bit one is a level left empty
    uint64_t key                     # offset without the digits that the node and those under it index
    uint32_t parent                  # or next free node
    uint32_t child[64]

cdef struct Ladder:                  # 128 bytes, one side; key = price ^ mask is smaller for the better price
    int64_t mask                     # 0 of asks, -1 of bids; a taker of the other side at a price has the key ~key
    int64_t base                     # key of the best possible price; offset = key - base
    uint64_t limit                   # offsets below it are of the band; 0 in an auction: the short way is closed
    int64_t best_key                 # of the best level; beyond every band when empty, so that nothing reaches it
    int64_t reach                    # keys up to it meet the other side's best: ~best_key of that side
    int64_t open_lots                # resting quantity of the side, hidden lots included
    int64_t hidden_lots
    uint64_t mark                    # side and instrument id where an event's first eight bytes have them
    uint32_t root
    uint32_t best                    # best level, 0 when empty
    uint32_t height                  # digits of six bits that index the band
    uint32_t leaves[8]               # leaves used last by their key's lowest digits; 0, whose key fits none: not known
    uint32_t spare[5]

cdef struct ListedId:                # place of an id map
    uint32_t id
    uint32_t index                   # 0: free

cdef struct Instrument:              # ladders stand at 2 * index (bids) and 2 * index + 1 (asks)
    int64_t price_min
    int64_t price_max
    uint32_t id
    uint8_t is_listed
    uint8_t is_auction
    int64_t delta                    # what a lot bought adds to a guard, 1e-9
    int64_t vega

cdef struct Cell:
    int64_t position
    int64_t scratch                  # position inside the dry walk number `walk`
    uint64_t walk
    uint32_t id

cdef struct Window:                  # what a guard has counted since its window began
    int64_t start
    int64_t quantity
    int64_t delta
    int64_t vega
    int64_t count
    bint is_frozen

cdef struct Guard:                   # one quote group; limits 0: none
    int64_t interval
    int64_t quantity_limit
    int64_t delta_limit
    int64_t vega_limit
    int64_t count_limit
    Window now
    Window scratch                   # inside the dry walk number `walk`
    uint64_t walk
    uint32_t id
    uint32_t head                    # line of its orders
    uint32_t tail
    uint32_t count                   # orders in line

cdef struct Taker:                   # the order being matched; lives in the core so that a full buffer can pause it
    int64_t price
    int64_t remaining
    int64_t own_price[2]             # touched levels of its own side with their totals
    int64_t own_total[2]
    uint32_t slot
    uint32_t ladder
    uint32_t opposite                # ladder it matches against; 0, which is always empty, in an auction
    uint32_t instrument
    uint32_t owner
    uint32_t cell
    uint32_t guard
    uint32_t flags
    uint32_t touched_count           # levels touched on the other side, prices in Core.touched
    uint32_t depth_index             # next DEPTH event to write
    uint16_t end
    uint8_t side
    uint8_t own_count
    bint has_traded

cdef struct Quote:                   # a mass quote under way
    const Command* header
    uint32_t step                    # entries by lines and sides: all of them cancel, then all of them place
    uint32_t line_count
    int32_t outcome[2 * 64]          # of the first pass, by entry
    Command command[2]               # the placement being made, with its extension

cdef struct Sweep:                   # a bulk cancel or an uncross under way; touched bids stand in front in
    uint32_t instrument              # Core.touched, touched asks at its end
    uint32_t slot                    # next order to look at
    uint32_t owner
    uint32_t guard
    uint32_t touched_count[2]
    uint32_t depth_index
    bint is_any_owner
    bint is_round_open
    int64_t reference
    int64_t price                    # of the round
    int64_t volume

cdef struct Block:
    void* start
    size_t size
    bint is_mapped

cdef struct Core:
    Event* out
    uint32_t out_count
    uint32_t out_capacity
    uint32_t phase                   # PHASE_ values: what is left of the current command
    uint32_t many                    # phase of the command about many orders that the current step belongs to
    int64_t now
    uint32_t order_capacity
    uint32_t order_top               # slots ever used
    uint32_t order_free
    uint32_t order_count             # slots in use
    uint32_t cold_top                # cold records ever used
    uint32_t cold_free
    uint32_t cold_count              # cold records in use
    uint32_t level_top
    uint32_t level_free
    uint32_t level_free_count
    uint32_t node_capacity
    uint32_t node_top
    uint32_t node_free
    uint32_t node_free_count
    uint32_t instrument_capacity
    uint32_t instrument_top
    uint32_t instrument_count        # listed
    uint32_t cell_capacity
    uint32_t cell_top
    uint32_t guard_capacity
    uint32_t guard_top
    uint32_t instrument_limit        # what the caller allows, however much memory there is
    uint32_t cell_limit
    uint32_t guard_limit
    uint32_t instrument_shift        # hash shift of the id maps
    uint32_t cell_shift
    uint32_t guard_shift
    uint64_t walk
    uint64_t arrivals
    Order* orders
    uint32_t* links                  # by slot: index of the cold record where ORDER_COLD, else of the cell
    Cold* cold
    Level* levels
    Node* nodes
    Instrument* instruments
    Ladder* ladders
    Cell* cells
    Guard* guards
    ListedId* instrument_map         # open addressing: id -> index
    uint32_t* instrument_direct      # index by id, for the first INSTRUMENTS_DIRECT ids
    uint32_t* cell_map
    uint32_t* guard_map
    int64_t* touched
    int64_t* curve                   # demand of an uncross: price and lots, best bid first
    Block blocks[2]                  # what orders and levels were allocated as
    uint32_t block_count
    Taker taker
    Sweep sweep
    Quote quote

cdef enum:
    HEIGHT_MAX = 10
    INSTRUMENTS_DIRECT = 4096
    LEAVES_KNOWN = 8
    TOUCHED_AT_ONCE = 4              # touched levels that are written without a look at their number
    PHASE_IDLE = 0
    PHASE_WALK = 1
    PHASE_DEPTH = 2
    PHASE_QUOTE = 3
    PHASE_GUARD = 4
    PHASE_SWEEP = 5
    PHASE_UNCROSS = 6
    PHASE_CLOSE = 7
    # Bits of Order.flags above the command's sixteen.
    ORDER_HAS_CELL = 0x10000
    ORDER_GUARDED = 0x20000
    ORDER_ICEBERG = 0x40000
    ORDER_ARRIVED = 0x80000
    ORDER_COLD = 0xE0000             # any that has something in Core.cold
    ORDER_RARE = 0x70010             # any that a match must look at: reduce-only and the first three
    FLAGS_SHOWN = 0xFFFF


cdef extern from *:
    """
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "records are little-endian"
    #endif
    #define offbook_rare(condition) __builtin_expect(!!(condition), 0)
    /* A return type that keeps a function out of those that call it, so that they need few registers. */
    #pragma GCC diagnostic ignored "-Wattributes"
    #define offbook_apart __attribute__((noinline)) uint32_t
    /* Where to write, chosen by arithmetic: a jump that depends on an order's place in line is not to be foreseen. */
    static inline uint32_t *offbook_chosen(uint32_t condition, uint32_t *first, uint32_t *second) {
        uintptr_t one = (uintptr_t)first, other = (uintptr_t)second;
        /* Both are made before the choice, so that it is a move under a condition and no jump. */
        __asm__("" : "+r"(one), "+r"(other));
        return (uint32_t *)(condition ? one : other);
    }
    /* The same for a number. */
    static inline int64_t offbook_pick(int condition, int64_t one, int64_t other) {
        __asm__("" : "+r"(one), "+r"(other));
        return condition ? one : other;
    }
    /* One load where the fields beside each other would be two or three; memcpy, since the types differ. */
    static inline uint32_t offbook_word(const void *fields) {
        uint32_t word;
        memcpy(&word, fields, sizeof word);
        return word;
    }
    static inline uint32_t offbook_following(uint32_t generation) {
        uint32_t following;
        return __builtin_add_overflow(generation, 1u, &following) + following;
    }
    static inline uint64_t offbook_long_word(const void *fields) {
        uint64_t word;
        memcpy(&word, fields, sizeof word);
        return word;
    }
    #define offbook_prefetch(address) __builtin_prefetch(address, 1)
    /* An event in four whole stores; its fields one by one would be seven. A type of its own, so that the compiler
     * knows that no record of the pools changes; nothing in the core reads an event. */
    struct offbook_packed_event { uint64_t head, handle; int64_t price, quantity; };
    static inline void offbook_put_event(
        void *event, uint64_t head, uint64_t handle, int64_t price, int64_t quantity
    ) {
        struct offbook_packed_event *packed = (struct offbook_packed_event *)event;
        packed->head = head;
        packed->handle = handle;
        packed->price = price;
        packed->quantity = quantity;
    }
    """
    ctypedef uint32_t apart_t "offbook_apart"
    bint rare "offbook_rare" (bint condition) noexcept nogil
    uint32_t* chosen "offbook_chosen" (uint32_t condition, uint32_t* first, uint32_t* second) noexcept nogil
    int64_t pick "offbook_pick" (bint condition, int64_t one, int64_t other) noexcept nogil
    uint32_t word_at "offbook_word" (const void* fields) noexcept nogil
    uint64_t long_word_at "offbook_long_word" (const void* fields) noexcept nogil
    uint32_t following "offbook_following" (uint32_t generation) noexcept nogil
    void prefetch "offbook_prefetch" (const void* address) noexcept nogil
    void put_event "offbook_put_event" (
        Event* event, uint64_t head, uint64_t handle, int64_t price, int64_t quantity
    ) noexcept nogil


cdef inline uint64_t head_of(uint8_t kind, uint8_t side, uint16_t code, uint32_t instrument) noexcept nogil:
    """First eight bytes of an event."""
    return kind | <uint32_t>side << 8 | <uint32_t>code << 16 | <uint64_t>instrument << 32


cdef inline uint64_t handle_of(const Core* core, uint32_t slot) noexcept nogil:
    return <uint64_t>core.orders[slot].generation << 32 | slot


cdef inline uint32_t find_slot(const Core* core, uint64_t handle) noexcept nogil:
    """Slot of a resting order, 0 for a handle that is stale, free or was never given out."""
    cdef uint32_t slot = <uint32_t>handle
    if slot > core.order_top or core.orders[slot].quantity == 0:
        return 0
    return slot if core.orders[slot].generation == <uint32_t>(handle >> 32) else 0


cdef inline bint has_slot(const Core* core) noexcept nogil:
    return core.order_free != 0 or core.order_top < core.order_capacity


cdef inline uint32_t take_slot(Core* core) noexcept nogil:
    """Last freed slot first; the caller has checked has_slot."""
    cdef uint32_t slot = core.order_free
    core.order_count += 1
    if slot:
        core.order_free = core.orders[slot].next
        return slot
    core.order_top += 1
    core.orders[core.order_top].generation = 1
    return core.order_top


cdef inline uint32_t following_generation(uint32_t generation) noexcept nogil:
    """The next one, 0 skipped."""
    return following(generation)


cdef inline void release_slot(Core* core, uint32_t slot) noexcept nogil:
    """Free a slot and age its generation (0 is skipped), so that the old handle never resolves again."""
    cdef Order* order = &core.orders[slot]
    order.quantity = 0
    order.generation = following_generation(order.generation)
    order.next = core.order_free
    core.order_free = slot
    core.order_count -= 1


cdef inline uint32_t take_level(Core* core) noexcept nogil:
    """A level record; there are two for each slot, one for levels left empty, so this cannot run dry."""
    cdef uint32_t index = core.level_free
    if index:
        core.level_free = core.levels[index].head
        core.level_free_count -= 1
        return index
    core.level_top += 1
    return core.level_top


cdef inline uint32_t find_instrument(const Core* core, uint32_t instrument) noexcept nogil:
    """Index of a listed instrument, 0 when unknown."""
    if instrument < INSTRUMENTS_DIRECT:
        return core.instrument_direct[instrument]
    return seek_instrument(core, instrument)


cdef inline apart_t seek_instrument(const Core* core, uint32_t instrument) noexcept nogil:
    cdef uint32_t mask = (<uint32_t>1 << (32 - core.instrument_shift)) - 1
    cdef uint32_t place = (instrument * <uint32_t>2654435769) >> core.instrument_shift
    while core.instrument_map[place].index:
        if core.instrument_map[place].id == instrument:
            return core.instrument_map[place].index
        place = (place + 1) & mask
    return 0
