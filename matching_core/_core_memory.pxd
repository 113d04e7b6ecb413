# cython: language_level=3
"""Memory of one core: pools for a whole capacity, tables of instruments and guards. Runs between commands only."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from matching_core._price_level cimport NO_BEST, release_held, switch_phase
from matching_core._order_pool cimport (
    INSTRUMENTS_DIRECT, TOUCHED_AT_ONCE, Block, Cell, Cold, Core, Guard, Instrument, Ladder, Level, ListedId, Node,
    Order, head_of,
)
from matching_core._trie_nodes cimport release_node, take_node


cdef enum:
    CACHE_LINE = 64
    NODES_START = 256
    CELLS_START = 256
    GUARDS_START = 64
    HUGE_PAGE = 1 << 21
    INSTRUMENTS_START = 64


cdef extern from *:
    """
    #define OFFBOOK_NO_KEY UINT64_MAX
    /* Large pools lie on huge pages where the system has them: orders are met in no order, and each would cost a walk
     * of the page tables. Under a sanitizer memory comes from its own allocator, which sees where a block ends. */
    #if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    #include <sys/mman.h>
    static void *offbook_map_huge(size_t size) {
        void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED) return NULL;
        madvise(start, size, MADV_HUGEPAGE);
        return start;
    }
    static void offbook_unmap(void *start, size_t size) { munmap(start, size); }
    #else
    static void *offbook_map_huge(size_t size) { (void)size; return NULL; }
    static void offbook_unmap(void *start, size_t size) { (void)start, (void)size; }
    #endif
    """
    const uint64_t NO_KEY "OFFBOOK_NO_KEY"
    void* map_huge "offbook_map_huge" (size_t size) noexcept
    void unmap "offbook_unmap" (void* start, size_t size) noexcept


cdef inline bint allocate(Core* core, uint32_t order_capacity) noexcept:
    """Zeroed pools for a whole capacity; False when one of them could not be had."""
    memset(core, 0, sizeof(Core))
    core.order_capacity = order_capacity
    core.orders = <Order*>take_block(core, order_capacity + 1, sizeof(Order))
    core.links = <uint32_t*>calloc(order_capacity + 1, sizeof(uint32_t))
    core.cold = <Cold*>calloc(order_capacity + 1, sizeof(Cold))
    core.levels = <Level*>take_block(core, 2 * <size_t>order_capacity + 1, sizeof(Level))
    core.touched = <int64_t*>calloc(order_capacity + TOUCHED_AT_ONCE, sizeof(int64_t))
    core.curve = <int64_t*>calloc(order_capacity + 1, 2 * sizeof(int64_t))
    if not (core.orders and core.links and core.cold and core.levels and core.touched and core.curve):
        return False
    return allocate_tables(core)


cdef inline void* take_block(Core* core, size_t count, size_t size) noexcept:
    """Zeroed records, the first at the start of a cache line so that none straddles two; NULL without memory."""
    cdef Block* block = &core.blocks[core.block_count]
    cdef size_t step = HUGE_PAGE if count * size >= HUGE_PAGE else CACHE_LINE
    block.size = count * size + step
    block.start = map_huge(block.size) if step == HUGE_PAGE else NULL
    block.is_mapped = block.start != NULL
    if block.start == NULL:
        step = CACHE_LINE
        block.start = calloc(block.size, 1)
    if block.start == NULL:
        return NULL
    core.block_count += 1
    return <char*>block.start + step - <size_t>block.start % step


cdef inline bint allocate_tables(Core* core) noexcept:
    """Small tables that double when they are full."""
    core.node_capacity = NODES_START
    core.cell_capacity = CELLS_START
    core.guard_capacity = GUARDS_START
    core.instrument_capacity = INSTRUMENTS_START
    core.cell_shift = 32 - 9
    core.guard_shift = 32 - 7
    core.instrument_shift = 32 - 7
    core.nodes = <Node*>calloc(NODES_START, sizeof(Node))
    if core.nodes:
        core.nodes[0].key = NO_KEY
    core.cells = <Cell*>calloc(CELLS_START, sizeof(Cell))
    core.cell_map = <uint32_t*>calloc(CELLS_START * 2, sizeof(uint32_t))
    core.guards = <Guard*>calloc(GUARDS_START, sizeof(Guard))
    core.guard_map = <uint32_t*>calloc(GUARDS_START * 2, sizeof(uint32_t))
    core.instruments = <Instrument*>calloc(INSTRUMENTS_START, sizeof(Instrument))
    core.ladders = <Ladder*>calloc(INSTRUMENTS_START * 2, sizeof(Ladder))
    core.instrument_map = <ListedId*>calloc(INSTRUMENTS_START * 2, sizeof(ListedId))
    core.instrument_direct = <uint32_t*>calloc(INSTRUMENTS_DIRECT, sizeof(uint32_t))
    if not (core.nodes and core.cells and core.cell_map and core.guards and core.guard_map):
        return False
    return core.instruments and core.ladders and core.instrument_map and core.instrument_direct


cdef inline void deallocate(Core* core) noexcept:
    cdef uint32_t index
    for index in range(core.block_count):
        if core.blocks[index].is_mapped:
            unmap(core.blocks[index].start, core.blocks[index].size)
        else:
            free(core.blocks[index].start)
    free(core.links)
    free(core.cold)
    free(core.touched)
    free(core.curve)
    free(core.nodes)
    free(core.cells)
    free(core.cell_map)
    free(core.guards)
    free(core.guard_map)
    free(core.instruments)
    free(core.ladders)
    free(core.instrument_map)
    free(core.instrument_direct)


cdef inline bint grow_instruments(Core* core) noexcept:
    """Twice the room for instruments; False when the machine has no memory."""
    cdef size_t capacity = <size_t>core.instrument_capacity * 2
    cdef void* grown = realloc(core.instruments, capacity * sizeof(Instrument))
    if grown == NULL:
        return False
    core.instruments = <Instrument*>grown
    grown = realloc(core.ladders, capacity * 2 * sizeof(Ladder))
    if grown == NULL:
        return False
    core.ladders = <Ladder*>grown
    grown = realloc(core.instrument_map, capacity * 2 * sizeof(ListedId))
    if grown == NULL:
        return False
    core.instrument_map = <ListedId*>grown
    core.instrument_capacity = capacity
    core.instrument_shift -= 1
    map_instruments(core)
    return True


cdef inline void map_instrument(Core* core, uint32_t index) noexcept:
    cdef uint32_t mask = core.instrument_capacity * 2 - 1
    cdef uint32_t place = (core.instruments[index].id * <uint32_t>2654435769) >> core.instrument_shift
    while core.instrument_map[place].index:
        place = (place + 1) & mask
    core.instrument_map[place].id = core.instruments[index].id
    core.instrument_map[place].index = index
    if core.instruments[index].id < INSTRUMENTS_DIRECT:
        core.instrument_direct[core.instruments[index].id] = index


cdef inline void map_instruments(Core* core) noexcept:
    """Rebuild the id map from the listed instruments."""
    cdef uint32_t index
    memset(core.instrument_map, 0, <size_t>core.instrument_capacity * 2 * sizeof(ListedId))
    memset(core.instrument_direct, 0, INSTRUMENTS_DIRECT * sizeof(uint32_t))
    for index in range(1, core.instrument_top + 1):
        if core.instruments[index].is_listed:
            map_instrument(core, index)


cdef inline uint32_t take_instrument(Core* core) noexcept:
    """Index of an unlisted instrument record, 0 when there is no memory for one more."""
    cdef uint32_t index
    if core.instrument_count < core.instrument_top:
        for index in range(1, core.instrument_top + 1):
            if not core.instruments[index].is_listed:
                return index
    if core.instrument_top + 1 >= core.instrument_capacity and not grow_instruments(core):
        return 0
    core.instrument_top += 1
    return core.instrument_top


cdef inline void open_listing(
    Core* core, uint32_t index, uint32_t instrument, int64_t price_min, int64_t price_max
) noexcept:
    """Make a taken record the empty book of an instrument."""
    cdef Instrument* listing = &core.instruments[index]
    memset(listing, 0, sizeof(Instrument))
    listing.id = instrument
    listing.price_min = price_min
    listing.price_max = price_max
    listing.is_listed = True
    core.instrument_count += 1
    open_ladder(core, index, 0)
    open_ladder(core, index, 1)
    switch_phase(core, index, False)
    map_instrument(core, index)


cdef inline void close_listing(Core* core, uint32_t index) noexcept:
    """Take an instrument without orders off the list."""
    core.instruments[index].is_listed = False
    core.instrument_count -= 1
    close_ladder(core, &core.ladders[2 * index])
    close_ladder(core, &core.ladders[2 * index + 1])
    map_instruments(core)


cdef inline void close_ladder(Core* core, const Ladder* ladder) noexcept:
    """Give back the root of a side without orders; where it is a leaf, its levels left empty too."""
    if ladder.height == 1:
        release_held(core, ladder.root)
    release_node(core, ladder.root)


cdef inline void open_ladder(Core* core, uint32_t index, uint8_t side) noexcept:
    cdef const Instrument* listing = &core.instruments[index]
    cdef Ladder* ladder = &core.ladders[2 * index + side]
    cdef uint64_t band = <uint64_t>(listing.price_max - listing.price_min)
    memset(ladder, 0, sizeof(Ladder))
    ladder.mask = 0 if side else -1
    ladder.base = listing.price_min if side else ~listing.price_max
    ladder.mark = head_of(0, side, 0, listing.id)
    ladder.best_key = NO_BEST
    ladder.reach = ~NO_BEST
    ladder.height = 1
    while band >> (6 * ladder.height):
        ladder.height += 1
    ladder.root = take_node(core, 0, 0)


cdef inline uint32_t take_guard(Core* core, uint32_t guard) noexcept:
    """Index of a new guard without limits, 0 when there is no memory for one more."""
    if core.guard_top + 1 >= core.guard_capacity and not grow_guards(core):
        return 0
    core.guard_top += 1
    memset(&core.guards[core.guard_top], 0, sizeof(Guard))
    core.guards[core.guard_top].id = guard
    map_guard(core, core.guard_top)
    return core.guard_top


cdef inline bint grow_guards(Core* core) noexcept:
    """Twice the room for guards; False when the machine has no memory."""
    cdef size_t capacity = <size_t>core.guard_capacity * 2
    cdef uint32_t index
    cdef void* grown = realloc(core.guards, capacity * sizeof(Guard))
    if grown == NULL:
        return False
    core.guards = <Guard*>grown
    grown = realloc(core.guard_map, capacity * 2 * sizeof(uint32_t))
    if grown == NULL:
        return False
    core.guard_map = <uint32_t*>grown
    core.guard_capacity = capacity
    core.guard_shift -= 1
    memset(core.guard_map, 0, capacity * 2 * sizeof(uint32_t))
    for index in range(1, core.guard_top + 1):
        map_guard(core, index)
    return True


cdef inline void map_guard(Core* core, uint32_t index) noexcept:
    cdef uint32_t mask = core.guard_capacity * 2 - 1
    cdef uint32_t place = (core.guards[index].id * <uint32_t>2654435769) >> core.guard_shift
    while core.guard_map[place]:
        place = (place + 1) & mask
    core.guard_map[place] = index
