# cython: language_level=3, embedsignature=False, binding=True
"""Accounts, positions and exposures of the compiled state under the names that the Python handlers know."""

from libc.stdint cimport int64_t, uint32_t

from exchange.engine._integers cimport int128, int_of, wide_from
from exchange.engine._margin cimport is_exposed
from exchange.engine._rows cimport AccountRow, CellRow
from exchange.engine._state cimport Store

from exchange.domain.commands import OrderFlag

__all__ = ["AccountView", "ExposureView", "PositionView"]


cdef class AccountView:
    """A subaccount: has the names of `records.Account`; its row never goes."""

    cdef Store store
    cdef uint32_t row
    cdef readonly bytes owner
    cdef readonly object positions

    def __init__(self, Store store, account, positions):
        self.store = store
        self.row = store.account_row(account.index)
        self.owner = account.owner
        self.positions = positions
        self.at().owner = store.owner_of(account.owner)
        self.at().is_open = True
        self.at().book_owner = account.index
        for name in (
            "opened_ns", "ledger_cash_e6", "perpetual_cost_e6", "account_seq", "cancel_all_ns", "is_locked",
            "is_close_all_requested", "is_in_liquidation", "self_trade_mode", "is_self_trade_by_owner",
        ):
            setattr(self, name, getattr(account, name))

    cdef AccountRow* at(self) noexcept:
        return &self.store.engine.accounts[self.row]

    def next_seq(self):
        """Number of the account's next event."""
        self.at().sequence += 1
        return self.at().sequence

    def lots(self, instrument):
        """Signed position."""
        cdef uint32_t cell = self.store.find_cell(self.index, instrument)
        return self.store.engine.cells[cell].lots if cell else 0

    @property
    def index(self):
        return self.at().id

    @property
    def cash_e6(self):
        """Cash as shown to users."""
        return int_of(self.at().cash) + int_of(self.at().perpetual_cost)

    @property
    def opened_ns(self):
        return self.at().opened

    @opened_ns.setter
    def opened_ns(self, value):
        self.at().opened = value

    @property
    def ledger_cash_e6(self):
        return int_of(self.at().cash)

    @ledger_cash_e6.setter
    def ledger_cash_e6(self, value):
        self.at().cash = wide_from(value)

    @property
    def perpetual_cost_e6(self):
        return int_of(self.at().perpetual_cost)

    @perpetual_cost_e6.setter
    def perpetual_cost_e6(self, value):
        self.at().perpetual_cost = wide_from(value)

    @property
    def account_seq(self):
        return self.at().sequence

    @account_seq.setter
    def account_seq(self, value):
        self.at().sequence = value

    @property
    def cancel_all_ns(self):
        return self.at().cancel_all

    @cancel_all_ns.setter
    def cancel_all_ns(self, value):
        self.at().cancel_all = value

    @property
    def is_locked(self):
        return bool(self.at().is_locked)

    @is_locked.setter
    def is_locked(self, value):
        self.at().is_locked = value

    @property
    def is_close_all_requested(self):
        return bool(self.at().is_close_all)

    @is_close_all_requested.setter
    def is_close_all_requested(self, value):
        self.at().is_close_all = value

    @property
    def is_in_liquidation(self):
        return bool(self.at().is_in_liquidation)

    @is_in_liquidation.setter
    def is_in_liquidation(self, value):
        self.at().is_in_liquidation = value

    @property
    def self_trade_mode(self):
        return OrderFlag(self.at().self_trade_mode)

    @self_trade_mode.setter
    def self_trade_mode(self, value):
        self.at().self_trade_mode = value

    @property
    def is_self_trade_by_owner(self):
        return bool(self.at().is_self_trade_by_owner)

    @is_self_trade_by_owner.setter
    def is_self_trade_by_owner(self, value):
        self.at().is_self_trade_by_owner = value

    def set_book_owner(self, number):
        """Whom the core takes for the owner of its orders."""
        self.at().book_owner = number

    def set_sibling(self, AccountView other not None, count):
        """The next account of its owner, and how many there are."""
        self.at().sibling, self.at().sibling_count = other.row, count

    def set_portfolio(self, is_portfolio):
        """Say whether scenarios margin it; what its quotes reserve is another sum then."""
        cdef uint32_t guard = self.at().guards
        self.at().is_portfolio = is_portfolio
        while guard:
            self.store.engine.guards[guard].round = -1
            guard = self.store.engine.guards[guard].next

    def count_waiting(self, by):
        """One more or one less of its orders waits."""
        self.at().waiting_count += <int>by


cdef class CellView:
    """What an account has on an instrument."""

    cdef Store store
    cdef uint32_t row

    def __init__(self, Store store, uint32_t row):
        self.store = store
        self.row = row

    cdef CellRow* at(self) noexcept:
        return &self.store.engine.cells[self.row]

    cdef int count(self, bint was_exposed) except -1:
        """Keep the account's count of cells that open orders alone could turn into positions."""
        self.store.engine.accounts[self.at().account].exposed_count += is_exposed(self.at()) - was_exposed
        return 0


cdef class PositionView(CellView):
    """An open position: has the names of `records.Position`."""

    @property
    def lots(self):
        return self.at().lots

    @lots.setter
    def lots(self, value):
        self.at().lots = value

    @property
    def cost_e6(self):
        return int_of(self.at().cost)

    @cost_e6.setter
    def cost_e6(self, value):
        self.at().cost = wide_from(value)

    @property
    def realized_pnl_e6(self):
        return int_of(self.at().realized)

    @realized_pnl_e6.setter
    def realized_pnl_e6(self, value):
        self.at().realized = wide_from(value)

    @property
    def fee_e6(self):
        return int_of(self.at().fee)

    @fee_e6.setter
    def fee_e6(self, value):
        self.at().fee = wide_from(value)

    @property
    def opened_ns(self):
        return self.at().opened

    @opened_ns.setter
    def opened_ns(self, value):
        self.at().opened = value

    @property
    def fund_index_e12(self):
        return self.at().fund_index

    @fund_index_e12.setter
    def fund_index_e12(self, value):
        self.at().fund_index = value

    @property
    def funding_e6(self):
        return int_of(self.at().funding)

    @funding_e6.setter
    def funding_e6(self, value):
        self.at().funding = wide_from(value)

    def set_open(self, is_position):
        """Make it a position or none; what it counted is gone with it."""
        cdef CellRow* cell = self.at()
        cdef bint was_exposed = is_exposed(cell)
        self.store.engine.accounts[cell.account].position_count += <int>is_position - cell.is_position
        cell.is_position = is_position
        cell.lots, cell.opened, cell.fund_index = 0, 0, 0
        cell.cost = cell.realized = cell.fee = cell.funding = 0
        self.count(was_exposed)

    @property
    def is_open(self):
        """Whether there is a position."""
        return bool(self.at().is_position)


cdef class ExposureView(CellView):
    """Open orders of one account on one instrument: has the names of `exposure.Exposure`."""

    cdef object wide

    def add(self, side, *, price_ticks, lots):
        """Book `lots` (negative: take off) of an order at its price."""
        cdef bint was_exposed = is_exposed(self.at())
        if side:
            self.at().sells += <int64_t>lots
        else:
            self.at().buys += <int64_t>lots
            self.at().buy_tick_lots += <int128><int64_t>price_ticks * <int64_t>lots
        self.count(was_exposed)

    def add_quote(self, lots):
        """Book `lots` (negative: take off) of a quote."""
        cdef bint was_exposed = is_exposed(self.at())
        self.at().quotes += <int64_t>lots
        self.count(was_exposed)

    @property
    def is_open(self):
        """Whether an open order may open a position."""
        return bool(self.at().buys or self.at().sells or self.at().quotes)

    @property
    def quote_lots(self):
        return self.at().quotes

    @property
    def buy_lots(self):
        return self.at().buys

    @property
    def sell_lots(self):
        return self.at().sells

    @property
    def buy_tick_lots(self):
        return int_of(self.at().buy_tick_lots)

    @property
    def loss_round(self):
        return self.at().loss_round

    @loss_round.setter
    def loss_round(self, value):
        self.at().loss_round = value

    @property
    def loss_e18(self):
        return int_of(self.at().loss) if self.wide is None else self.wide

    @loss_e18.setter
    def loss_e18(self, value):
        # A sum beyond 128 bits is not kept: whoever asks next adds it up again.
        self.wide = value if not -1 << 127 <= value < 1 << 127 else None
        if self.wide is None:
            self.at().loss = wide_from(value)
        else:
            self.at().loss_round = -1
