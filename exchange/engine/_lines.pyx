# cython: language_level=3, embedsignature=False, binding=True
"""Which orders stand where, and what the open batch lists: rows of the compiled state by number and id."""

from libc.stdint cimport uint32_t, uint64_t

from exchange.engine._booking cimport touch_account, touch_instrument, touch_leg
from exchange.engine._integers cimport int_of, wide_from
from exchange.engine._lookup cimport find_account, find_listing
from exchange.engine._orders cimport append_closed, link_open, unlink_open
from exchange.engine._rows cimport (
    AT_BOOK, AT_CLOSED, AT_NOWHERE, AccountRow, Batch, CellRow, Engine, Listing, OrderRow, order_at,
)
from exchange.engine._state cimport Store

__all__ = ["BatchLines", "OrderLines"]


cdef class OrderLines:
    """Where orders stand: among the open ones, in their account's line, under a handle, among the closed ones."""

    cdef Store store

    def __init__(self, Store store):
        self.store = store

    def counts(self):
        """Return (open, closed, under a handle)."""
        cdef Engine* engine = &self.store.engine
        return engine.open_count, engine.closed_count, engine.core.order_count

    def is_open(self, number):
        """Whether an order is among the open ones."""
        cdef uint32_t row = self.store.find_order(number)
        return row != 0 and order_at(&self.store.engine, row).where == AT_BOOK

    def is_closed(self, number):
        """Whether it is among the closed ones."""
        cdef uint32_t row = self.store.find_order(number)
        return row != 0 and order_at(&self.store.engine, row).where == AT_CLOSED

    def set_open(self, number, is_open):
        """Put an order among the open ones or take it away."""
        cdef OrderRow* order = order_at(&self.store.engine, self.store.row_of(number))
        self.store.engine.open_count += <int>(1 if is_open else 0) - (order.where == AT_BOOK)
        order.where = AT_BOOK if is_open else AT_NOWHERE

    def append_closed(self, number):
        """Put an order behind all that closed before."""
        append_closed(&self.store.engine, self.store.row_of(number))

    def open_numbers(self):
        """List the open orders."""
        return self.numbers(AT_BOOK)

    cdef list numbers(self, int where):
        cdef uint32_t row
        cdef const OrderRow* order
        answer = []
        for row in range(1, self.store.engine.order_top + 1):
            order = order_at(&self.store.engine, row)
            if order.number and order.where == where:
                answer.append(order.number)
        return answer

    def closed_numbers(self):
        """List the closed orders, in order of closing."""
        cdef uint32_t row = self.store.engine.closed_head
        answer = []
        while row:
            answer.append(order_at(&self.store.engine, row).number)
            row = order_at(&self.store.engine, row).next
        return answer

    def of_account(self, subaccount):
        """List an account's orders in the book, by age there."""
        cdef uint32_t row = self.store.engine.accounts[find_account(&self.store.engine, subaccount)].head
        answer = []
        while row:
            answer.append(order_at(&self.store.engine, row).number)
            row = order_at(&self.store.engine, row).next
        return answer

    def count_of_account(self, subaccount):
        """How many of an account's orders are in the book."""
        return self.store.engine.accounts[find_account(&self.store.engine, subaccount)].open_count

    def link(self, number):
        """Put an order into its account's line."""
        link_open(&self.store.engine, self.store.row_of(number))

    def unlink(self, number):
        """Take it out."""
        unlink_open(&self.store.engine, self.store.row_of(number))

    def handle(self, number):
        """Handle of an order in the book, 0 when it is not there."""
        cdef uint32_t row = self.store.find_order(number)
        return order_at(&self.store.engine, row).handle if row else 0

    def set_handle(self, number, handle):
        """An order stands in the book under a handle; 0: no more."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = self.store.row_of(number)
        cdef OrderRow* order = order_at(engine, row)
        if order.handle and engine.order_of_slot[<uint32_t>order.handle] == row:
            engine.order_of_slot[<uint32_t>order.handle] = 0
        order.handle = handle
        if order.handle:
            engine.order_of_slot[<uint32_t>order.handle] = row

    def of_handle(self, handle):
        """Row of the order that stands under a handle, 0 when there is none."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t slot = <uint32_t><uint64_t>handle
        cdef uint32_t row = engine.order_of_slot[slot] if slot <= engine.core.order_capacity else 0
        return row if row and order_at(engine, row).handle == <uint64_t>handle else 0


cdef class BatchLines:
    """The open settlement batch."""

    cdef Store store

    def __init__(self, Store store):
        self.store = store

    cdef Batch* at(self) noexcept:
        return &self.store.engine.batch

    def numbers(self):
        """Return (number, first sequence, from_s, to_s, fees, fills, requests, expired positions)."""
        cdef const Batch* batch = self.at()
        return (
            batch.number, batch.first_sequence, batch.from_s, batch.to_s, int_of(batch.fee), batch.fills,
            batch.requests, batch.expired,
        )

    def set_numbers(self, number, first_sequence, from_s, to_s, fee, fills, requests, expired):
        """Inverse of `numbers`."""
        cdef Batch* batch = self.at()
        batch.number, batch.first_sequence, batch.from_s, batch.to_s = number, first_sequence, from_s, to_s
        batch.fee, batch.fills, batch.requests, batch.expired = wide_from(fee), fills, requests, expired

    def clear(self):
        """Nothing is listed; the number is set before anything is again."""
        cdef Batch* batch = self.at()
        batch.account_count = batch.leg_count = batch.instrument_count = 0

    def accounts(self):
        """List (account, cash delta, orders with fills)."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t at
        cdef const AccountRow* row
        answer = []
        for at in range(engine.batch.account_count):
            row = &engine.accounts[engine.batch.accounts[at]]
            answer.append((row.id, int_of(row.batch_cash), row.batch_orders))
        return answer

    def legs(self):
        """List (instrument, account, lots)."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t at
        cdef const CellRow* row
        answer = []
        for at in range(engine.batch.leg_count):
            row = &engine.cells[engine.batch.legs[at]]
            answer.append((engine.listings[row.instrument].id, engine.accounts[row.account].id, row.batch_lots))
        return answer

    def instruments(self):
        """List (instrument, fills)."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t at
        cdef const Listing* row
        answer = []
        for at in range(engine.batch.instrument_count):
            row = &engine.listings[engine.batch.instruments[at]]
            answer.append((row.id, row.batch_fills))
        return answer

    def set_cash(self, account, cash):
        """List an account with its cash delta."""
        cdef uint32_t row = self.store.account_row(account)
        touch_account(&self.store.engine, row)
        self.store.engine.accounts[row].batch_cash = wide_from(cash)

    def set_orders(self, account, orders):
        """How many of a listed account's orders have fills."""
        cdef uint32_t row = self.store.account_row(account)
        touch_account(&self.store.engine, row)
        self.store.engine.accounts[row].batch_orders = orders

    def set_leg(self, instrument, account, lots):
        """List an account's position delta."""
        cdef uint32_t row = self.store.cell_row(account, instrument)
        touch_leg(&self.store.engine, row)
        self.store.engine.cells[row].batch_lots = lots

    def set_fills(self, instrument, fills):
        """List an instrument with its fills."""
        cdef uint32_t row = find_listing(&self.store.engine, instrument)
        touch_instrument(&self.store.engine, row)
        self.store.engine.listings[row].batch_fills = fills
