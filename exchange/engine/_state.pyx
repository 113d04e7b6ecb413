# cython: language_level=3, embedsignature=False, binding=True
"""The arrays of the compiled state, and the doors through which Python handlers reach them.

Nothing here decides anything: rows are opened, filled, read and freed as `exchange.engine.compiled_state` asks, which
gives them the names that the handlers know. Numbers come and go as Python integers of any width that fits the row.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from exchange.engine._integers cimport int_of, mix, wide_from
from exchange.engine._lookup cimport (
    find_account, find_cell_row, find_client_id, find_key_row, find_listing, find_nonce_order, find_number,
    forget_names, hash_address, hash_text, index_names, make_account, make_cell_row, reserve_names,
)
from exchange.engine._memory cimport close_engine, open_engine
from exchange.engine._order_rows cimport reserve_orders, take_order
from exchange.engine._orders cimport (
    drop_stopped, find_deadline, forget_old, reserve_timer, start_timer, stop_timer,
)
from exchange.engine._portfolio cimport account_margin
from exchange.engine._rows cimport (
    ORDER_NAMELESS, RECORD_BYTES, TIERS_MAX, Engine, KeyEntry, OrderRow, Tier, grown, order_at,
)
from exchange.engine._tables cimport fold, put, reserve
from matching_core._order_book cimport OrderBook

from exchange.domain.packing import pack_command
from matching_core.invariants import InvariantViolated

__all__ = ["Store"]

cdef enum:
    ID_AT = 64 + 176 + 8             # of a client order id in a text: behind record, signature and its own head



cdef class Store:
    """C arrays behind a state; `book` is the compiled order book, `config` the engine's."""

    def __cinit__(self, OrderBook book not None, config):
        self.book = book
        self.need(open_engine(&self.engine, &book.core))
        self.take_rules(config)

    def __dealloc__(self):
        close_engine(&self.engine)

    cdef int need(self, bint is_there) except -1:
        if not is_there:
            raise MemoryError("no memory for the engine's rows")
        return 0

    cdef int require_sound(self) except -1:
        """Raise InvariantViolated when something did not add up."""
        if self.engine.defect != NULL:
            raise InvariantViolated((<bytes>self.engine.defect).decode())
        return 0

    def take_rules(self, config):
        """Copy the numbers of an EngineConfig."""
        cdef Engine* engine = &self.engine
        margin = config.margin
        engine.rules.large_count = fill_tiers(engine.rules.large, margin.large_cap_tiers)
        engine.rules.major_count = fill_tiers(engine.rules.major, margin.major_tiers)
        engine.rules.maximum_spot = margin.maximum_spot_ppm
        engine.rules.minimum_spot = margin.minimum_spot_ppm
        engine.rules.put_maintenance = margin.put_maintenance_ppm
        engine.rules.put_maintenance_mark = margin.put_maintenance_mark_ppm
        engine.rules.unpaired_initial = margin.unpaired_initial_ppm
        engine.rules.put_offset = margin.put_offset_ppm
        engine.rules.option_fee_cap = config.option_fee_cap_ppm
        engine.rules.move_ppm[0], engine.rules.move_ppm[1] = config.short_move_ppm, config.long_move_ppm
        engine.rules.open_orders_max = config.open_orders_max
        engine.rules.owner_orders_max = config.owner_orders_max
        engine.rules.positions_max = config.positions_max
        engine.rules.closed_max = config.closed_orders_max
        engine.rules.closed_life = config.closed_orders_life_ns
        engine.rules.batch_accounts_max = config.batch_accounts_max
        engine.rules.batch_instruments_max = config.batch_instruments_max
        engine.rules.batch_legs_max = config.batch_legs_max
        engine.rules.batch_orders_max = config.batch_orders_max
        self.open_batch_lists(config)

    def open_batch_lists(self, config):
        """Room for what a batch lists: its caps, and what the fill that starts an over-full one adds."""
        cdef Engine* engine = &self.engine
        engine.batch.accounts = <uint32_t*>calloc(config.batch_accounts_max + 8, sizeof(uint32_t))
        engine.batch.legs = <uint32_t*>calloc(config.batch_legs_max + 8, sizeof(uint32_t))
        engine.batch.instruments = <uint32_t*>calloc(config.batch_instruments_max + 8, sizeof(uint32_t))
        self.need(engine.batch.accounts != NULL and engine.batch.legs != NULL and engine.batch.instruments != NULL)

    # Scalars.

    @property
    def sequence(self):
        """Number of the last command."""
        return self.engine.sequence

    @sequence.setter
    def sequence(self, value):
        self.engine.sequence = value

    @property
    def now(self):
        """Time of the last command in ns."""
        return self.engine.now

    @now.setter
    def now(self, value):
        self.engine.now = value

    @property
    def trade_count(self):
        """Trades so far."""
        return self.engine.trade_count

    @trade_count.setter
    def trade_count(self, value):
        self.engine.trade_count = value

    @property
    def request_index(self):
        """Last entry of the chain's queue."""
        return self.engine.request_index

    @request_index.setter
    def request_index(self, value):
        self.engine.request_index = value

    @property
    def collateral_e6(self):
        """Deposits less approved withdrawals."""
        return int_of(self.engine.collateral)

    @collateral_e6.setter
    def collateral_e6(self, value):
        self.engine.collateral = wide_from(value)

    @property
    def cash_sum_e6(self):
        """Sum of all cash."""
        return int_of(self.engine.cash_sum)

    @cash_sum_e6.setter
    def cash_sum_e6(self, value):
        self.engine.cash_sum = wide_from(value)

    @property
    def price_round(self):
        """Round of the prices in the listings."""
        return self.engine.price_round

    @property
    def oracle_round(self):
        """Round of the funding indexes in the listings."""
        return self.engine.oracle_round

    @property
    def order_rows(self):
        """Rows in use: orders open, waiting and remembered."""
        return self.engine.order_count

    @property
    def fired_count(self):
        """Triggers that wait for a Clock; while there are any, nothing is hot."""
        return self.engine.fired_count

    @fired_count.setter
    def fired_count(self, value):
        self.engine.fired_count = value

    def expose_fund(self, is_exposed):
        """While the fund holds a position, no rebate is larger than the fee beside it."""
        self.engine.fund_is_exposed = is_exposed

    cdef void* rows(self, void* answer) except NULL:
        if answer == NULL:
            raise MemoryError("no memory for the engine's rows")
        return answer

    cdef uint32_t listing_row(self, number) except 0:
        cdef uint32_t row = find_listing(&self.engine, number)
        if row == 0:
            raise KeyError(number)
        return row

    cdef uint32_t key_row(self, uint32_t owner, bytes address) except 0:
        """Row of (owner, address), opened when new; with owner 0 the address itself."""
        cdef Engine* engine = &self.engine
        cdef bytes padded = address[:20] + bytes(20 - len(address[:20]))
        cdef uint32_t row = find_key_row(engine, owner, PyBytes_AS_STRING(padded))
        if row:
            return row
        row = engine.key_top + 1
        engine.keys = <KeyEntry*>self.rows(grown(engine.keys, &engine.key_room, row, sizeof(KeyEntry)))
        self.need(reserve(&engine.key_ids))
        engine.key_top = row
        engine.keys[row].owner = owner
        memcpy(engine.keys[row].address, PyBytes_AS_STRING(padded), 20)
        put(&engine.key_ids, hash_address(owner, PyBytes_AS_STRING(padded)), row)
        return row

    cdef bytes address_of(self, uint32_t row):
        return PyBytes_FromStringAndSize(<const char*>self.engine.keys[row].address, 20)

    # Order rows.

    def open_order(self, number, subaccount, instrument, place):
        """A zeroed row with its text and its number; InvariantViolated when the number is taken."""
        cdef Engine* engine = &self.engine
        cdef uint32_t row
        cdef OrderRow* order
        if find_number(engine, number):
            raise InvariantViolated(f"order {number} exists already")
        self.need(reserve_orders(engine) and reserve_names(engine) and reserve_timer(engine))
        cell = self.cell_row(subaccount, instrument)
        row = take_order(engine)
        order = order_at(engine, row)
        order.number = number
        order.number_hash = fold(mix(order.number, 1))
        order.account, order.cell = find_account(engine, subaccount), cell
        order.instrument = self.listing_row(instrument)
        put(&engine.numbers, order.number_hash, row)
        self.set_text(order, place)
        return row

    cdef int set_text(self, OrderRow* order, object place) except -1:
        cdef bytes packed = b"".join(pack_command(place))
        cdef char* text = <char*>malloc(PyBytes_GET_SIZE(packed))
        self.need(text != NULL)
        memcpy(text, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed))
        free(order.text)
        self.engine.text_count += 1
        order.text_serial = self.engine.text_count
        order.text, order.text_bytes = text, <uint32_t>PyBytes_GET_SIZE(packed)
        order.id_bytes = len(place.client_order_id.encode())
        order.id_at = ID_AT if order.id_bytes else 0
        order.flags, order.side, order.time_in_force = int(place.flags), int(place.side), int(place.time_in_force)
        order.nonce = place.nonce
        memcpy(&order.max_fee, text + RECORD_BYTES + 8 + 118, 16)
        find_deadline(&self.engine, order, place.expiry_s, place.expires_at_s)
        return 0

    def find_order(self, number):
        """Row of an order by number, 0 when unknown."""
        return find_number(&self.engine, number) if 0 <= number < 1 << 64 else 0

    cdef uint32_t row_of(self, object number) except 0:
        cdef uint32_t row = find_number(&self.engine, number)
        if row == 0:
            raise KeyError(number)
        return row

    cdef OrderRow* live(self, uint32_t row, object number) except NULL:
        cdef OrderRow* order = order_at(&self.engine, row)
        if order.number != <uint64_t>number:
            raise InvariantViolated(f"order {number} was forgotten")
        return order

    def find_by_name(self, subaccount, client_order_id, nonce):
        """Number of the account's youngest order of that client order id, or else that nonce; 0 when there is none."""
        cdef uint32_t account = find_account(&self.engine, subaccount)
        cdef uint32_t row
        cdef uint32_t size
        cdef bytes text = client_order_id.encode()
        if text:
            size = <uint32_t>PyBytes_GET_SIZE(text)
            row = find_client_id(
                &self.engine, account, PyBytes_AS_STRING(text), size, hash_text(account, PyBytes_AS_STRING(text), size)
            )
        else:
            row = find_nonce_order(&self.engine, account, nonce, fold(mix(nonce, account)))
        return order_at(&self.engine, row).number if row else 0

    def index_names(self, number):
        """Its client order id and nonce lead to this order; what shares a nonce with others has no names."""
        self.need(reserve_names(&self.engine))
        if not order_at(&self.engine, self.row_of(number)).flags & ORDER_NAMELESS:
            index_names(&self.engine, self.row_of(number))

    def forget_names(self, number):
        """Undo `index_names`, where a younger order did not take the name."""
        forget_names(&self.engine, self.row_of(number))

    def forget_old(self):
        """Drop closed orders beyond count or time."""
        forget_old(&self.engine)

    def mark_parent(self, number):
        """Some order waits for this one."""
        cdef uint32_t row = find_number(&self.engine, number)
        if row:
            order_at(&self.engine, row).is_parent = True

    # Timers.

    def timer_count(self):
        """Orders whose deadline is watched."""
        return self.engine.timer_count

    def first_timer(self):
        """Return (deadline_s, number) of the earliest; IndexError when there is none."""
        if self.engine.timer_count == 0:
            raise IndexError("no timers")
        drop_stopped(&self.engine)
        return self.engine.timers[1].deadline_s, self.engine.timers[1].number

    def start_timer(self, number, deadline_s):
        """Watch an order's deadline."""
        cdef uint32_t row = self.row_of(number)
        self.need(reserve_timer(&self.engine))
        order_at(&self.engine, row).deadline_s = deadline_s
        start_timer(&self.engine, row)

    def stop_timer(self, number):
        """Stop watching it; KeyError when it was not."""
        cdef uint32_t row = self.row_of(number)
        if order_at(&self.engine, row).timer == 0:
            raise KeyError(number)
        stop_timer(&self.engine, row)

    # Accounts and cells.

    def account_row(self, subaccount):
        """Row of an account or of one that a request named, opened when new."""
        cdef uint32_t row = make_account(&self.engine, subaccount)
        self.need(row != 0)
        return row

    cdef uint32_t owner_of(self, bytes address) except? 0:
        return self.key_row(0, address) if address else 0

    def cell_row(self, subaccount, instrument):
        """Row of what an account has on an instrument, opened when new: the core's number of its counter."""
        cdef uint32_t row = make_cell_row(&self.engine, self.account_row(subaccount), self.listing_row(instrument))
        self.need(row != 0)
        return row

    def find_cell(self, subaccount, instrument):
        """That row, 0 when there is none."""
        return find_cell_row(
            &self.engine, find_account(&self.engine, subaccount), find_listing(&self.engine, instrument)
        )

    def group_members(self, subaccount):
        """List of lists: instruments of each margin group that the account ever touched."""
        cdef uint32_t row = self.engine.accounts[find_account(&self.engine, subaccount)].groups
        cdef uint32_t cell
        answer = []
        while row:
            cell = self.engine.groups[row].cells
            members = []
            while cell:
                members.append(self.engine.listings[self.engine.cells[cell].instrument].id)
                cell = self.engine.cells[cell].next
            answer.append(members)
            row = self.engine.groups[row].next
        return answer

    def candidates(self):
        """List the accounts whose worst margin is below zero or too wide for C."""
        cdef uint32_t row
        cdef int is_wide
        answer = []
        for row in range(1, self.engine.account_top + 1):
            is_wide = 0
            if account_margin(&self.engine, row, &is_wide) < 0 or is_wide:
                answer.append(self.engine.accounts[row].id)
        return answer

    def holders(self, instrument):
        """List the accounts with a position."""
        cdef uint32_t listing = self.listing_row(instrument)
        cdef uint32_t row
        answer = []
        for row in range(1, self.engine.cell_top + 1):
            if self.engine.cells[row].instrument == listing and self.engine.cells[row].is_position:
                answer.append(self.engine.accounts[self.engine.cells[row].account].id)
        return answer

    def forget_margin(self, subaccount, instrument):
        """The account's position or orders on an instrument changed."""
        cdef uint32_t cell = self.find_cell(subaccount, instrument)
        if cell:
            self.engine.groups[self.engine.cells[cell].group].round = -1


cdef uint32_t fill_tiers(Tier* tiers, rows) except? 0:
    if len(rows) > TIERS_MAX:
        raise ValueError(f"{len(rows)} tiers; the compiled state holds {TIERS_MAX}")
    for index, tier in enumerate(rows):
        tiers[<uint32_t>index].upper_e18 = wide_from(tier.upper_e6 * 10**12)
        tiers[<uint32_t>index].initial_ppm = tier.initial_ppm
    return <uint32_t>len(rows)
