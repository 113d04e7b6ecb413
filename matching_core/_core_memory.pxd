# cython: language_level=3
"""Memory of one core: the pools for a whole capacity, and the table of instruments. Runs between commands only."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from matching_core._order_pool cimport Cell, Core, Instrument, Ladder, Level, Node, Order, take_node


cdef enum:
    NODES_START = 256
    CELLS_START = 256
    INSTRUMENTS_START = 64


cdef inline bint allocate(Core* core, uint32_t order_capacity) noexcept:
    """Zeroed pools for a whole capacity; False when one of them could not be had."""
    memset(core, 0, sizeof(Core))
    core.order_capacity = order_capacity
    core.node_capacity = NODES_START
    core.cell_capacity = CELLS_START
    core.instrument_capacity = INSTRUMENTS_START
    core.cell_shift = 32 - 9
    core.instrument_shift = 32 - 7
    core.orders = <Order*>calloc(order_capacity + 1, sizeof(Order))
    core.order_cell = <uint32_t*>calloc(order_capacity + 1, sizeof(uint32_t))
    core.levels = <Level*>calloc(order_capacity + 1, sizeof(Level))
    core.touched = <int64_t*>calloc(order_capacity + 1, sizeof(int64_t))
    core.nodes = <Node*>calloc(NODES_START, sizeof(Node))
    core.cells = <Cell*>calloc(CELLS_START, sizeof(Cell))
    core.cell_map = <uint32_t*>calloc(CELLS_START * 2, sizeof(uint32_t))
    core.instruments = <Instrument*>calloc(INSTRUMENTS_START, sizeof(Instrument))
    core.ladders = <Ladder*>calloc(INSTRUMENTS_START * 2, sizeof(Ladder))
    core.instrument_map = <uint32_t*>calloc(INSTRUMENTS_START * 2, sizeof(uint32_t))
    if not (core.orders and core.order_cell and core.levels and core.touched and core.nodes and core.cells):
        return False
    return core.cell_map and core.instruments and core.ladders and core.instrument_map


cdef inline void deallocate(Core* core) noexcept:
    free(core.orders)
    free(core.order_cell)
    free(core.levels)
    free(core.touched)
    free(core.nodes)
    free(core.cells)
    free(core.cell_map)
    free(core.instruments)
    free(core.ladders)
    free(core.instrument_map)


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
    grown = realloc(core.instrument_map, capacity * 2 * sizeof(uint32_t))
    if grown == NULL:
        return False
    core.instrument_map = <uint32_t*>grown
    core.instrument_capacity = capacity
    core.instrument_shift -= 1
    return True


cdef inline void map_instruments(Core* core) noexcept:
    """Rebuild the id map from the listed instruments."""
    cdef uint32_t mask = core.instrument_capacity * 2 - 1
    cdef uint32_t index, place
    memset(core.instrument_map, 0, <size_t>core.instrument_capacity * 2 * sizeof(uint32_t))
    for index in range(1, core.instrument_top + 1):
        if core.instruments[index].is_listed:
            place = (core.instruments[index].id * <uint32_t>2654435769) >> core.instrument_shift
            while core.instrument_map[place]:
                place = (place + 1) & mask
            core.instrument_map[place] = index


cdef inline uint32_t take_instrument(Core* core) noexcept:
    """Index of an unlisted instrument record, 0 when there is no memory for one more."""
    cdef uint32_t index
    for index in range(1, core.instrument_top + 1):
        if not core.instruments[index].is_listed:
            return index
    if core.instrument_top + 1 >= core.instrument_capacity and not grow_instruments(core):
        return 0
    core.instrument_top += 1
    return core.instrument_top


cdef inline void open_ladder(Core* core, uint32_t index, uint8_t side) noexcept:
    cdef const Instrument* listing = &core.instruments[index]
    cdef Ladder* ladder = &core.ladders[2 * index + side]
    cdef uint64_t band = <uint64_t>(listing.price_max - listing.price_min)
    memset(ladder, 0, sizeof(Ladder))
    ladder.base = listing.price_min if side else listing.price_max
    ladder.sign = 1 if side else -1
    ladder.instrument = index
    ladder.height = 1
    while band >> (6 * ladder.height):
        ladder.height += 1
    ladder.root = take_node(core, 0, 0)
