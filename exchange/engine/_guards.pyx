# cython: language_level=3, embedsignature=False, binding=True
"""Protection groups of the compiled state and the quotes in them: rows by the core's number of each group."""

from libc.stdint cimport uint32_t

from exchange.engine._lookup cimport find_account, find_listing
from exchange.engine._quotes cimport find_quote, forget_spent, rest_quote, spend_quote, unrest_quote
from exchange.engine._rows cimport Engine, GuardRow, OrderRow, grown, order_at
from exchange.engine._state cimport Store
from exchange.engine._tables cimport reserve

__all__ = ["GuardRows"]


cdef class GuardRows:
    """Rows of groups; `guard` is the core's number, given in ascending order from 1."""

    cdef Store store

    def __init__(self, Store store):
        self.store = store

    def open_group(self, guard, subaccount, number, instrument, *, lot_e9, quantity_lots, frozen_ns):
        """Open or change a group; `instrument` is any of its underlying."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = guard
        cdef uint32_t account = find_account(engine, subaccount)
        cdef GuardRow* group
        engine.guards = <GuardRow*>self.store.rows(grown(engine.guards, &engine.guard_room, row, sizeof(GuardRow)))
        group = &engine.guards[row]
        if group.account == 0:
            group.account = account
            group.number = number
            group.next = engine.accounts[account].guards
            engine.accounts[account].guards = row
        group.underlying = engine.listings[self.store.listing_row(instrument)].underlying
        group.lot_e9, group.limit, group.frozen = lot_e9, quantity_lots, frozen_ns
        group.round = -1

    def count(self, guard):
        """How many quotes of a group are in the book."""
        return self.store.engine.guards[<uint32_t>guard].quotes

    def find(self, guard, instrument, side):
        """Number of the group's quote on one side of an instrument, 0 when there is none."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = find_quote(engine, guard, find_listing(engine, instrument), side)
        return order_at(engine, row).number if row else 0

    def set_guard(self, number, guard):
        """Say which group an order belongs to; 0: none."""
        order_at(&self.store.engine, self.store.row_of(number)).guard = guard

    def rest(self, number):
        """A quote rests in the book."""
        self.store.need(reserve(&self.store.engine.quotes))
        rest_quote(&self.store.engine, self.store.row_of(number))

    def unrest(self, number):
        """Undo `rest`."""
        unrest_quote(&self.store.engine, self.store.row_of(number))

    def spend(self, number):
        """A quote ended without a fill; its row goes with the next command."""
        spend_quote(&self.store.engine, self.store.row_of(number))

    def forget_spent(self):
        """A command begins."""
        forget_spent(&self.store.engine)

    def rows(self):
        """List (subaccount, group, instrument, side, number) of the quotes in the book."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t place, row
        cdef const OrderRow* order
        answer = []
        for place in range(engine.quotes.mask + 1):
            row = <uint32_t>engine.quotes.places[place]
            if row:
                order = order_at(engine, row)
                group = engine.guards[order.guard].number
                instrument = engine.listings[order.instrument].id
                answer.append((engine.accounts[order.account].id, group, instrument, order.side, order.number))
        return answer
