"""The compiled state's rows as the mappings that the Python handlers know. Views: nothing is kept here."""

from collections.abc import Iterator, MutableMapping
from typing import Any, Final, Generic, TypeVar

from exchange.engine._account_views import AccountView, ExposureView, PositionView
from exchange.engine._lines import BatchLines, OrderLines
from exchange.engine._mirror import Mirror
from exchange.engine._order_view import OrderView
from exchange.engine._state import Store
from exchange.engine.exposure import Exposure
from exchange.engine.records import Order, Position

__all__ = [
    "AccountOrders",
    "BatchCash",
    "BatchFills",
    "BatchLegs",
    "BatchOrders",
    "Cells",
    "ClosedOrders",
    "Exposures",
    "Handles",
    "LastTicks",
    "OpenLots",
    "OpenOrders",
    "OrderOfHandle",
    "PositionSums",
    "Positions",
    "Timers",
    "WaitingOrders",
]

_POSITION_NAMES: Final = (
    "lots", "cost_e6", "realized_pnl_e6", "fee_e6", "opened_ns", "fund_index_e12", "funding_e6",
)  # fmt: skip
K = TypeVar("K")
V = TypeVar("V")


class _Rows(MutableMapping[K, V], Generic[K, V]):
    """A mapping over rows; what its rows cannot do raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines = OrderLines(store)

    def __delitem__(self, key: K) -> None:
        raise TypeError("rows of this kind are not taken away")

    def _order(self, number: int) -> Order:
        return OrderView(self._store, self._store.find_order(number))


class OpenOrders(_Rows[int, Order]):
    """Orders with the book, by number."""

    def __contains__(self, number: object) -> bool:
        return self._lines.is_open(number)

    def __getitem__(self, number: int) -> Order:
        if not self._lines.is_open(number):
            raise KeyError(number)
        return self._order(number)

    def __setitem__(self, number: int, _: Order) -> None:
        self._lines.set_open(number, True)

    def __delitem__(self, number: int) -> None:
        self._lines.set_open(number, False)

    def __iter__(self) -> Iterator[int]:
        return iter(self._lines.open_numbers())

    def __len__(self) -> int:
        return int(self._lines.counts()[0])


class ClosedOrders(_Rows[int, Order]):
    """Remembered orders, in order of closing."""

    def __getitem__(self, number: int) -> Order:
        if not self._lines.is_closed(number):
            raise KeyError(number)
        return self._order(number)

    def __setitem__(self, number: int, _: Order) -> None:
        self._lines.append_closed(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._lines.closed_numbers())

    def __len__(self) -> int:
        return int(self._lines.counts()[1])


class AccountOrders(_Rows[int, Order]):
    """An account's orders in the book, by number."""

    def __init__(self, store: Store, subaccount: int) -> None:
        super().__init__(store)
        self._subaccount = subaccount

    def __getitem__(self, number: int) -> Order:
        if number not in self._lines.of_account(self._subaccount):
            raise KeyError(number)
        return self._order(number)

    def __setitem__(self, number: int, _: Order) -> None:
        self._lines.link(number)

    def __delitem__(self, number: int) -> None:
        self._lines.unlink(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._lines.of_account(self._subaccount))

    def __len__(self) -> int:
        return int(self._lines.count_of_account(self._subaccount))


class Handles(_Rows[int, int]):
    """Handle of each order in the book, by number."""

    def __getitem__(self, number: int) -> int:
        handle = int(self._lines.handle(number))
        if not handle:
            raise KeyError(number)
        return handle

    def __setitem__(self, number: int, handle: int) -> None:
        self._lines.set_handle(number, handle)

    def __delitem__(self, number: int) -> None:
        self._lines.set_handle(number, 0)

    def __iter__(self) -> Iterator[int]:
        return (number for number in self._lines.open_numbers() if self._lines.handle(number))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class OrderOfHandle(_Rows[int, Order]):
    """Order of each handle; follows `Handles`, so that setting and deleting here say what is true already."""

    def __getitem__(self, handle: int) -> Order:
        row = self._lines.of_handle(handle)
        if not row:
            raise KeyError(handle)
        return OrderView(self._store, row)

    def __setitem__(self, handle: int, order: Order) -> None:
        if self[handle].number != order.number:
            raise KeyError(handle)

    def __delitem__(self, handle: int) -> None:
        if self._lines.of_handle(handle):
            raise KeyError(handle)

    def __iter__(self) -> Iterator[int]:
        return (self._lines.handle(number) for number in Handles(self._store))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class WaitingOrders(dict[int, Order]):
    """An account's waiting orders; the row counts them, so that the hot path sees them."""

    def __init__(self, account: AccountView) -> None:
        super().__init__()
        self._account = account

    def __setitem__(self, number: int, order: Order) -> None:
        self._account.count_waiting(number not in self)
        super().__setitem__(number, order)

    def __delitem__(self, number: int) -> None:
        super().__delitem__(number)
        self._account.count_waiting(-1)


class Timers:
    """Deadlines in ascending order of (ns, number), of which the first can be read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __len__(self) -> int:
        return int(self._store.timer_count())

    def __getitem__(self, place: int) -> tuple[int, int]:
        if place:
            raise IndexError("only the first timer can be read")
        deadline_s, number = self._store.first_timer()
        return deadline_s * 1_000_000_000, number

    def add(self, timer: tuple[int, int]) -> None:
        """Watch (deadline_ns, number)."""
        self._store.start_timer(timer[1], timer[0] // 1_000_000_000)

    def remove(self, timer: tuple[int, int]) -> None:
        """Stop watching it."""
        self._store.stop_timer(timer[1])


class Positions(_Rows[int, Position]):
    """An account's open positions, by instrument."""

    def __init__(self, store: Store, subaccount: int) -> None:
        super().__init__(store)
        self._subaccount = subaccount

    def __getitem__(self, instrument: int) -> Position:
        row = self._store.find_cell(self._subaccount, instrument)
        view = PositionView(self._store, row)
        if not row or not view.is_open:
            raise KeyError(instrument)
        return view

    def __setitem__(self, instrument: int, position: Position) -> None:
        view = PositionView(self._store, self._store.cell_row(self._subaccount, instrument))
        view.set_open(True)
        for name in _POSITION_NAMES:
            setattr(view, name, getattr(position, name))

    def __delitem__(self, instrument: int) -> None:
        PositionView(self._store, self._store.find_cell(self._subaccount, instrument)).set_open(False)

    def __iter__(self) -> Iterator[int]:
        members = self._store.group_members(self._subaccount)
        return (number for group in members for number in group if number in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Exposures(_Rows[int, Exposure]):
    """What an account's open orders add up to, by instrument."""

    def __init__(self, store: Store, subaccount: int) -> None:
        super().__init__(store)
        self._subaccount = subaccount

    def __getitem__(self, instrument: int) -> Exposure:
        row = self._store.find_cell(self._subaccount, instrument)
        if not row:
            raise KeyError(instrument)
        return ExposureView(self._store, row)

    def __setitem__(self, instrument: int, _: Exposure) -> None:
        raise TypeError("exposures follow the orders")

    def __iter__(self) -> Iterator[int]:
        return (number for group in self._store.group_members(self._subaccount) for number in group)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Cells(dict[tuple[int, int], int]):
    """The core's counter of each position, by (subaccount, instrument)."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def __getitem__(self, pair: tuple[int, int]) -> int:
        return int(self._store.cell_row(*pair))


class PositionSums(_Rows[int, int]):
    """Sum of all positions, by instrument."""

    def __init__(self, store: Store, mirror: Mirror, instruments: dict[int, Any]) -> None:
        super().__init__(store)
        self._mirror = mirror
        self._instruments = instruments

    def __getitem__(self, instrument: int) -> int:
        return int(self._mirror.position_sum(instrument))

    def __setitem__(self, instrument: int, lots: int) -> None:
        self._mirror.set_position_sum(instrument, lots)

    def __iter__(self) -> Iterator[int]:
        return iter(self._instruments)

    def __len__(self) -> int:
        return len(self._instruments)


class OpenLots(PositionSums):
    """Open interest, by instrument."""

    def __getitem__(self, instrument: int) -> int:
        return int(self._mirror.open_lots(instrument))

    def __setitem__(self, instrument: int, lots: int) -> None:
        self._mirror.set_open_lots(instrument, lots)


class LastTicks(PositionSums):
    """Price of the last trade, by instrument that had one."""

    def __getitem__(self, instrument: int) -> int:
        ticks: int | None = self._mirror.last_ticks(instrument)
        if ticks is None:
            raise KeyError(instrument)
        return ticks

    def __setitem__(self, instrument: int, ticks: int) -> None:
        self._mirror.set_last_ticks(instrument, ticks)

    def __iter__(self) -> Iterator[int]:
        return (number for number in self._instruments if self._mirror.last_ticks(number) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _BatchRows(_Rows[K, int], Generic[K]):
    """What the open batch lists."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._batch = BatchLines(store)

    def _rows(self) -> dict[K, int]:
        raise NotImplementedError

    def __getitem__(self, key: K) -> int:
        return self._rows()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())


class BatchCash(_BatchRows[int]):
    """Cash delta by account."""

    def _rows(self) -> dict[int, int]:
        return {account: cash for account, cash, _ in self._batch.accounts()}

    def __setitem__(self, account: int, cash_e6: int) -> None:
        self._batch.set_cash(account, cash_e6)


class BatchOrders(_BatchRows[int]):
    """Orders with fills by account."""

    def _rows(self) -> dict[int, int]:
        return {account: orders for account, _, orders in self._batch.accounts() if orders}

    def __setitem__(self, account: int, orders: int) -> None:
        self._batch.set_orders(account, orders)


class BatchLegs(_BatchRows[tuple[int, int]]):
    """Position delta by (instrument, account)."""

    def _rows(self) -> dict[tuple[int, int], int]:
        return {(instrument, account): lots for instrument, account, lots in self._batch.legs()}

    def __setitem__(self, leg: tuple[int, int], lots: int) -> None:
        self._batch.set_leg(*leg, lots)


class BatchFills(_BatchRows[int]):
    """Fills by instrument."""

    def _rows(self) -> dict[int, int]:
        return dict(self._batch.instruments())

    def __setitem__(self, instrument: int, fills: int) -> None:
        self._batch.set_fills(instrument, fills)
