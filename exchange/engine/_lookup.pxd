# cython: language_level=3
"""From names to rows: orders by number, client order id and nonce; accounts, listings, cells and keys by theirs."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from exchange.engine._integers cimport mix
from exchange.engine._rows cimport (
    ORDER_NAMELESS, AccountRow, CellRow, Engine, GroupRow, KeyEntry, Listing, OrderRow, grown, order_at,
)
from exchange.engine._tables cimport Table, fold, put, reserve, take_out


cdef inline uint32_t find_number(const Engine* engine, uint64_t number) noexcept nogil:
    """Row of an order that is open, waiting or remembered; 0 when unknown."""
    cdef uint32_t key_hash = fold(mix(number, 1))
    cdef const Table* table = &engine.numbers
    cdef uint32_t place = key_hash & table.mask
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            if order_at(engine, <uint32_t>table.places[place]).number == number:
                return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t hash_text(uint32_t account, const char* text, uint32_t size) noexcept nogil:
    cdef uint64_t state = mix(account, size)
    cdef uint64_t piece
    cdef uint32_t at = 0
    while at < size:
        piece = 0
        memcpy(&piece, text + at, min(<uint32_t>8, size - at))
        state = mix(state, piece)
        at += 8
    return fold(state)


cdef inline uint32_t find_client_id(
    const Engine* engine, uint32_t account, const char* text, uint32_t size, uint32_t key_hash
) noexcept nogil:
    """Row of the youngest order of an account with this client order id, 0 when there is none."""
    cdef const Table* table = &engine.client_ids
    cdef uint32_t place = key_hash & table.mask
    cdef const OrderRow* order
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            order = order_at(engine, <uint32_t>table.places[place])
            if order.account == account and order.id_bytes == size:
                if memcmp(order.text + order.id_at, text, size) == 0:
                    return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t find_nonce_order(
    const Engine* engine, uint32_t account, uint64_t nonce, uint32_t key_hash
) noexcept nogil:
    """Row of the youngest order of an account with this nonce, 0 when there is none."""
    cdef const Table* table = &engine.nonce_orders
    cdef uint32_t place = key_hash & table.mask
    cdef const OrderRow* order
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            order = order_at(engine, <uint32_t>table.places[place])
            if order.account == account and order.nonce == nonce:
                return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline bint reserve_names(Engine* engine) noexcept nogil:
    return reserve(&engine.numbers) and reserve(&engine.client_ids) and reserve(&engine.nonce_orders)


cdef inline void index_names(Engine* engine, uint32_t row) noexcept nogil:
    """Client order id and nonce lead to this order from now on, whoever had them."""
    cdef OrderRow* order = order_at(engine, row)
    cdef uint32_t older
    if order.id_bytes:
        order.id_hash = hash_text(order.account, order.text + order.id_at, order.id_bytes)
        older = find_client_id(engine, order.account, order.text + order.id_at, order.id_bytes, order.id_hash)
        if older:
            take_out(&engine.client_ids, order.id_hash, older)
        put(&engine.client_ids, order.id_hash, row)
    order.nonce_hash = fold(mix(order.nonce, order.account))
    older = find_nonce_order(engine, order.account, order.nonce, order.nonce_hash)
    if older:
        take_out(&engine.nonce_orders, order.nonce_hash, older)
    put(&engine.nonce_orders, order.nonce_hash, row)


cdef inline void forget_names(Engine* engine, uint32_t row) noexcept nogil:
    """Undo `index_names`, where the names were not taken over by a younger order."""
    cdef OrderRow* order = order_at(engine, row)
    if order.flags & ORDER_NAMELESS:
        return
    if order.id_bytes:
        if find_client_id(engine, order.account, order.text + order.id_at, order.id_bytes, order.id_hash) == row:
            take_out(&engine.client_ids, order.id_hash, row)
    if find_nonce_order(engine, order.account, order.nonce, order.nonce_hash) == row:
        take_out(&engine.nonce_orders, order.nonce_hash, row)


cdef inline uint32_t find_account(const Engine* engine, uint32_t account) noexcept nogil:
    """Row of an account, opened or only named by a request; 0 when never seen."""
    cdef const Table* table = &engine.account_ids
    cdef uint32_t key_hash = fold(mix(account, 2))
    cdef uint32_t place = key_hash & table.mask
    while <uint32_t>table.places[place]:
        if engine.accounts[<uint32_t>table.places[place]].id == account:
            return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t make_account(Engine* engine, uint32_t account) noexcept nogil:
    """Row of an account, not opened yet when new; 0 when the machine has no memory."""
    cdef uint32_t row = find_account(engine, account)
    cdef void* rows
    if row:
        return row
    rows = grown(engine.accounts, &engine.account_room, engine.account_top + 1, sizeof(AccountRow))
    if rows == NULL:
        return 0
    engine.accounts = <AccountRow*>rows
    if not reserve(&engine.account_ids):
        return 0
    engine.account_top += 1
    engine.accounts[engine.account_top].id = account
    put(&engine.account_ids, fold(mix(account, 2)), engine.account_top)
    return engine.account_top


cdef inline uint32_t find_listing(const Engine* engine, uint32_t instrument) noexcept nogil:
    """Row of a listed instrument, 0 when unknown."""
    cdef const Table* table = &engine.listing_ids
    cdef uint32_t place = fold(mix(instrument, 3)) & table.mask
    while <uint32_t>table.places[place]:
        if engine.listings[<uint32_t>table.places[place]].id == instrument:
            return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t find_cell_row(const Engine* engine, uint32_t account, uint32_t listing) noexcept nogil:
    """Row of what an account has on an instrument (rows of both), 0 when it never had anything."""
    cdef const Table* table = &engine.cell_keys
    cdef uint32_t key_hash = fold(mix(account, listing))
    cdef uint32_t place = key_hash & table.mask
    cdef const CellRow* cell
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            cell = &engine.cells[<uint32_t>table.places[place]]
            if cell.account == account and cell.instrument == listing:
                return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0


cdef inline uint32_t find_group_row(const Engine* engine, uint32_t account, uint32_t market) noexcept nogil:
    cdef uint32_t row = engine.accounts[account].groups
    while row and engine.groups[row].group != market:
        row = engine.groups[row].next
    return row


cdef inline uint32_t make_group_row(Engine* engine, uint32_t account, uint32_t market) noexcept nogil:
    cdef uint32_t row = find_group_row(engine, account, market)
    cdef void* rows
    if row:
        return row
    rows = grown(engine.groups, &engine.group_room, engine.group_top + 1, sizeof(GroupRow))
    if rows == NULL:
        return 0
    engine.groups = <GroupRow*>rows
    engine.group_top += 1
    row = engine.group_top
    engine.groups[row].group = market
    engine.groups[row].round = -1
    engine.groups[row].next = engine.accounts[account].groups
    engine.accounts[account].groups = row
    return row


cdef inline void link_by_strike(Engine* engine, uint32_t group, uint32_t row) noexcept nogil:
    """Put a cell among those of its margin group, which ascend by strike: the margin of an expiry relies on it."""
    cdef int64_t strike = engine.listings[engine.cells[row].instrument].strike
    cdef uint32_t* place = &engine.groups[group].cells
    while place[0] and engine.listings[engine.cells[place[0]].instrument].strike < strike:
        place = &engine.cells[place[0]].next
    engine.cells[row].next = place[0]
    place[0] = row


cdef inline uint32_t make_cell_row(Engine* engine, uint32_t account, uint32_t listing) noexcept nogil:
    """Row of what an account has on an instrument, made when new; 0 when the machine has no memory."""
    cdef uint32_t row = find_cell_row(engine, account, listing)
    cdef uint32_t group
    cdef void* rows
    if row:
        return row
    rows = grown(engine.cells, &engine.cell_room, engine.cell_top + 1, sizeof(CellRow))
    if rows == NULL:
        return 0
    engine.cells = <CellRow*>rows
    group = make_group_row(engine, account, engine.listings[listing].market)
    if group == 0 or not reserve(&engine.cell_keys):
        return 0
    engine.cell_top += 1
    row = engine.cell_top
    engine.cells[row].account = account
    engine.cells[row].instrument = listing
    engine.cells[row].loss_round = -1
    engine.cells[row].group = group
    link_by_strike(engine, group, row)
    put(&engine.cell_keys, fold(mix(account, listing)), row)
    return row


cdef inline uint32_t hash_address(uint32_t owner, const char* address) noexcept nogil:
    cdef uint64_t words[3]
    words[2] = 0
    memcpy(words, address, 20)
    return fold(mix(mix(words[0], words[1]), mix(words[2], owner)))


cdef inline uint32_t find_key_row(const Engine* engine, uint32_t owner, const char* address) noexcept nogil:
    """Row of a session key of an owner, revoked or not; with owner 0 of an address by itself."""
    cdef const Table* table = &engine.key_ids
    cdef uint32_t key_hash = hash_address(owner, address)
    cdef uint32_t place = key_hash & table.mask
    cdef const KeyEntry* key
    while <uint32_t>table.places[place]:
        if <uint32_t>(table.places[place] >> 32) == key_hash:
            key = &engine.keys[<uint32_t>table.places[place]]
            if key.owner == owner and memcmp(key.address, address, 20) == 0:
                return <uint32_t>table.places[place]
        place = (place + 1) & table.mask
    return 0
