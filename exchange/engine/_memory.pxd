# cython: language_level=3
"""Memory of one compiled state: tables and arrays that grow, and all of it back."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc

from exchange.engine._order_rows cimport release_order, take_text
from exchange.engine._rows cimport (
    CORE_EVENTS, AccountRow, CellRow, CoreEvent, Engine, GroupRow, GuardRow, KeyEntry, Listing, Market,
    Underlying, grown,
)
from exchange.engine._tables cimport close_table, open_table
from matching_core._order_pool cimport Core


cdef inline bint open_engine(Engine* engine, Core* core) noexcept:
    """Empty tables and arrays with row 0; False when the machine has no memory."""
    engine.core = core
    engine.order_of_slot = <uint32_t*>calloc(<size_t>core.order_capacity + 1, sizeof(uint32_t))
    engine.core_events = <CoreEvent*>malloc(CORE_EVENTS * sizeof(CoreEvent))
    engine.accounts = <AccountRow*>grown(NULL, &engine.account_room, 1, sizeof(AccountRow))
    engine.cells = <CellRow*>grown(NULL, &engine.cell_room, 1, sizeof(CellRow))
    engine.groups = <GroupRow*>grown(NULL, &engine.group_room, 1, sizeof(GroupRow))
    engine.guards = <GuardRow*>grown(NULL, &engine.guard_room, 1, sizeof(GuardRow))
    engine.keys = <KeyEntry*>grown(NULL, &engine.key_room, 1, sizeof(KeyEntry))
    engine.listings = <Listing*>grown(NULL, &engine.listing_room, 1, sizeof(Listing))
    engine.markets = <Market*>grown(NULL, &engine.market_room, 1, sizeof(Market))
    engine.underlyings = <Underlying*>grown(NULL, &engine.underlying_room, 1, sizeof(Underlying))
    engine.session_owner = <uint32_t*>grown(NULL, &engine.session_room, 1, sizeof(uint32_t))
    if engine.order_of_slot == NULL or engine.core_events == NULL or engine.accounts == NULL or engine.cells == NULL:
        return False
    if engine.groups == NULL or engine.keys == NULL or engine.listings == NULL or engine.markets == NULL:
        return False
    if engine.guards == NULL or engine.underlyings == NULL or engine.session_owner == NULL:
        return False
    return open_tables(engine)


cdef inline bint open_tables(Engine* engine) noexcept:
    if not (open_table(&engine.numbers) and open_table(&engine.client_ids) and open_table(&engine.nonce_orders)):
        return False
    if not (open_table(&engine.account_ids) and open_table(&engine.cell_keys)):
        return False
    return open_table(&engine.listing_ids) and open_table(&engine.key_ids) and open_table(&engine.quotes)


cdef inline void close_engine(Engine* engine) noexcept:
    """Free everything, rows with their texts first."""
    cdef uint32_t row
    if engine.blocks != NULL:
        for row in range(1, engine.order_top + 1):
            release_order(engine, row)
    while engine.texts != NULL:
        free(take_text(engine))
    for row in range(engine.block_count):
        free(engine.blocks[row])
    for row in range(engine.bucket_room):
        free(engine.buckets[row].entries)
    for row in range(1, engine.key_top + 1):
        free(engine.keys[row].accounts)
    if engine.listings != NULL:
        for row in range(engine.listing_room):
            free(engine.listings[row].scenarios.cells)
    close_table(&engine.numbers)
    close_table(&engine.client_ids)
    close_table(&engine.nonce_orders)
    close_table(&engine.account_ids)
    close_table(&engine.cell_keys)
    close_table(&engine.listing_ids)
    close_table(&engine.key_ids)
    close_table(&engine.quotes)
    free_arrays(engine)


cdef inline void free_arrays(Engine* engine) noexcept:
    free(engine.blocks)
    free(engine.order_of_slot)
    free(engine.timers)
    free(engine.buckets)
    free(engine.accounts)
    free(engine.cells)
    free(engine.groups)
    free(engine.guards)
    free(engine.listings)
    free(engine.markets)
    free(engine.underlyings)
    free(engine.keys)
    free(engine.session_owner)
    free(engine.batch.accounts)
    free(engine.batch.legs)
    free(engine.batch.instruments)
    free(engine.out)
    free(engine.core_events)
    free(engine.notes)
    free(engine.spent)
