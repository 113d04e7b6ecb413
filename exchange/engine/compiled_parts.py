"""Parts of the compiled state that live in both worlds: Python for the handlers, a mirror or the rows for C."""

from collections.abc import MutableMapping
from typing import Any, Final

from exchange.domain.instrument import Instrument
from exchange.engine._lines import BatchLines
from exchange.engine._mirror import Mirror, NonceRows
from exchange.engine._state import Store
from exchange.engine.compiled_maps import BatchCash, BatchFills, BatchLegs, BatchOrders, LastTicks
from exchange.engine.links import Links
from exchange.engine.nonces import NonceStore
from exchange.engine.price_rings import PriceRings
from exchange.engine.price_table import PriceTable
from exchange.engine.records import Batch, Order, Session

__all__ = ["Counter", "RowBatch", "RowLinks", "RowNonces", "RowPrices", "RowRings", "Sessions"]

_NUMBERS: Final = (
    "number",
    "first_sequence",
    "from_s",
    "to_s",
    "fee_e6",
    "fill_count",
    "request_count",
    "expired_count",
)


class Counter:
    """An attribute of a state that its store keeps."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, state: Any, _: type | None = None) -> int:
        return int(getattr(state.store, self._name))

    def __set__(self, state: Any, value: int) -> None:
        setattr(state.store, self._name, value)


class BatchNumber:
    """An attribute of the open batch."""

    def __init__(self, name: str) -> None:
        self._place = _NUMBERS.index(name)

    def __get__(self, batch: Any, _: type | None = None) -> int:
        return int(batch.lines.numbers()[self._place])

    def __set__(self, batch: Any, value: int) -> None:
        numbers = list(batch.lines.numbers())
        numbers[self._place] = value
        batch.lines.set_numbers(*numbers)


class RowBatch:
    """The open batch under the names of `records.Batch`."""

    number = BatchNumber("number")
    first_sequence = BatchNumber("first_sequence")
    from_s = BatchNumber("from_s")
    to_s = BatchNumber("to_s")
    fee_e6 = BatchNumber("fee_e6")
    fill_count = BatchNumber("fill_count")
    request_count = BatchNumber("request_count")
    expired_count = BatchNumber("expired_count")

    def __init__(self, store: Store) -> None:
        self.lines = BatchLines(store)
        self.cash_e6 = BatchCash(store)
        self.legs = BatchLegs(store)
        self.instruments = BatchFills(store)
        self.orders = BatchOrders(store)

    @property
    def has_content(self) -> bool:
        """Whether there is anything to post."""
        return bool(self.fill_count or self.request_count or self.expired_count)

    def take(self, batch: Batch) -> None:
        """Become another batch, of a number that was not listed before."""
        self.lines.clear()
        self.lines.set_numbers(*(getattr(batch, name) for name in _NUMBERS))
        self.cash_e6.update(batch.cash_e6)
        self.orders.update(batch.orders)
        self.legs.update(batch.legs)
        self.instruments.update(batch.instruments)


class Sessions(dict[int, Session]):
    """Sessions by number; C knows their owners."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror

    def __setitem__(self, number: int, session: Session) -> None:
        super().__setitem__(number, session)
        self._mirror.set_session(number, session.owner)

    def __delitem__(self, number: int) -> None:
        super().__delitem__(number)
        self._mirror.set_session(number, None)


class RowLinks(Links):
    """Ties of orders; C knows who ever was a parent."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def add(self, order: Order) -> None:
        """Note a live order's ties."""
        super().add(order)
        trigger = order.place.trigger
        if trigger is not None and trigger.parent:
            self._store.mark_parent(trigger.parent)


class RowPrices(PriceTable):
    """Latest prices; those of trades are in the rows."""

    def __init__(self, store: Store, mirror: Mirror, instruments: dict[int, Instrument]) -> None:
        self._last_ticks = LastTicks(store, mirror, instruments)
        super().__init__()

    @property
    def last_ticks(self) -> MutableMapping[int, int]:
        """Price of the last trade by instrument."""
        return self._last_ticks

    @last_ticks.setter
    def last_ticks(self, rows: MutableMapping[int, int]) -> None:
        for number, ticks in rows.items():
            self._last_ticks[number] = ticks


class RowRings(PriceRings):
    """Highs and lows of trades in the rows."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror

    def load(self, instrument: int) -> list[int]:
        """Integers of an instrument's rings, zeros before its first trade."""
        return self._mirror.rings(instrument)

    def store(self, instrument: int, ring: list[int]) -> None:
        """Inverse of `load`."""
        self._mirror.set_rings(instrument, ring)


class RowNonces(NonceStore):
    """Used nonces in rows of 24 bytes."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._rows = NonceRows(store)

    def find(self, owner: bytes, signer: bytes, nonce: int) -> int | None:
        """Number of the order that used the nonce (0: refused), None when unused."""
        found: int | None = self._rows.nonce_order(owner, signer, nonce)
        return found

    def spend(self, owner: bytes, signer: bytes, nonce: int, order: int) -> None:
        """Mark a nonce as used; a second call may name its order."""
        self._rows.spend(owner, signer, nonce, order)

    def drop_stale(self, now_ns: int) -> None:
        """Forget buckets of which every nonce is behind the window for good."""
        self._rows.drop_stale(now_ns)

    def rows(self) -> list[tuple[int, list[tuple[bytes, bytes, int, int]]]]:
        """All of it, sorted."""
        rows: list[tuple[int, list[tuple[bytes, bytes, int, int]]]] = self._rows.nonce_rows()
        return rows

    def restore(self, rows: list[Any]) -> None:
        """Inverse of `rows`."""
        for bucket, used in rows:
            self._rows.open_bucket(bucket)
            for owner, signer, nonce, order in used:
                self._rows.spend(owner, signer, nonce, order)
