# cython: language_level=3
"""Funding charged at an account's first touch after a round; twin: funding."""

from libc.stdint cimport int64_t, uint32_t

from exchange.engine._events cimport PACKED_FUNDING, PACKED_FUNDING_MONEY, emit, put_money
from exchange.engine._integers cimport floor_div, int128
from exchange.engine._margin cimport PPM, invalidate_cell
from exchange.engine._rows cimport AccountRow, CellRow, Engine, PackedEvent


cdef enum:
    CLEARING_ROW = 2                 # account rows of the venue: behind the fund's


cdef inline bint is_due(const Engine* engine, const CellRow* cell) noexcept nogil:
    return cell.is_position and cell.fund_index != engine.listings[cell.instrument].fund_index


cdef inline uint32_t next_due(const Engine* engine, uint32_t account, uint32_t after) noexcept nogil:
    """Cell of an account's perpetual with the lowest id above `after` on which something is due, 0 for none."""
    cdef uint32_t row = engine.accounts[account].groups
    cdef uint32_t found = 0
    cdef uint32_t lowest = 0
    cdef uint32_t number
    cdef const CellRow* cell
    while row:
        if engine.markets[engine.groups[row].group].perpetual:
            cell = &engine.cells[engine.groups[row].cells]
            number = engine.listings[cell.instrument].id
            if number > after and (found == 0 or number < lowest) and is_due(engine, cell):
                found = engine.groups[row].cells
                lowest = number
        row = engine.groups[row].next
    return found


cdef inline void pay_cell(Engine* engine, uint32_t row) noexcept nogil:
    """Charge what is due on one position, rounded against the account; the clearing account takes the opposite."""
    cdef CellRow* cell = &engine.cells[row]
    cdef AccountRow* account = &engine.accounts[cell.account]
    cdef int64_t index = engine.listings[cell.instrument].fund_index
    # Indexes are below 2^62 either way and lots below 2^63: the product stays inside 128 bits.
    cdef int128 amount = floor_div(-<int128>cell.lots * (index - cell.fund_index), PPM)
    cdef PackedEvent* event
    cell.fund_index = index
    cell.funding += amount
    account.cash += amount
    engine.accounts[CLEARING_ROW].cash -= amount
    account.sequence += 1
    invalidate_cell(engine, row)
    event = emit(engine, PACKED_FUNDING, account.id, 0)
    event.account_seq = account.sequence
    event.body[0] = engine.listings[cell.instrument].id
    event.body[1] = cell.lots
    event.body[2] = index
    event = emit(engine, PACKED_FUNDING_MONEY, account.id, 0)
    put_money(event, amount, account.cash, account.cash + account.perpetual_cost)


cdef inline void pay_funding(Engine* engine, uint32_t account) noexcept nogil:
    """Charge what is due on an account's perpetuals, ascending."""
    cdef uint32_t row
    cdef uint32_t after = 0
    if engine.accounts[account].funded_round == engine.oracle_round:
        return
    engine.accounts[account].funded_round = engine.oracle_round
    row = next_due(engine, account, after)
    while row:
        pay_cell(engine, row)
        after = engine.listings[engine.cells[row].instrument].id
        row = next_due(engine, account, after)
