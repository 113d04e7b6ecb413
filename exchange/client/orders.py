"""A copy of the own orders that follows `{subaccount}.orders`, and finds out what became of uncertain ones.

async with client.order_mirror() as mirror:
    order = await mirror.place("BTC-PERP", "buy", "0.1", 84000)
    ...
    await mirror.reconcile()   # after anything uncertain; twice changes nothing more
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Protocol, Self

from exchange.client.errors import AnswerMissing, ConnectionLost, OffbookError, StreamBroken
from exchange.client.markets import decimal_e9
from exchange.client.streams import Subscription

__all__ = ["MirroredOrder", "OrderMirror", "OrderState", "Reconciled"]

_NOT_FOUND: Final = 11006


class OrderState(StrEnum):
    """Life of an order. UNKNOWN is a word that this version does not know: `raw_state` has it."""

    OPEN = "open"
    UNTRIGGERED = "untriggered"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def of(cls, raw: str) -> "OrderState":
        """The state that `raw` names, UNKNOWN for a word of a later version."""
        return next((state for state in cls if state is not cls.UNKNOWN and state.value == raw), cls.UNKNOWN)


_CLOSED: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED})


@dataclass(frozen=True, slots=True)
class MirroredOrder:
    """An order as of its newest row. What is UNKNOWN counts as open: nothing says yet that it cannot trade."""

    row: dict[str, Any]
    """The protocol's own object, with every member that the exchange sent."""
    state: OrderState

    @property
    def raw_state(self) -> str:
        """`order_status` as it was sent."""
        return str(self.row["order_status"])

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.state not in _CLOSED

    @property
    def progress(self) -> tuple[int, int, int, int]:
        """Where in its life the order is: every member only rises, so the larger of two rows is the later one."""
        stage = 0 if self.state is OrderState.UNTRIGGERED else 1 if self.is_open else 2
        row = self.row
        return stage, row["version"], decimal_e9(row["filled_amount"]), row["last_update_timestamp"]


@dataclass(slots=True)
class Reconciled:
    """What `reconcile` found to be otherwise, as order ids; `never_arrived` has client order ids."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    never_arrived: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.never_arrived)


class Orders(Protocol):
    """What the mirror needs of a client."""

    def order(self, instrument: str, direction: str, amount: Any, price: Any = None, **options: Any) -> Awaitable[Any]:
        """Place an order."""
        ...

    def open_orders(self) -> Awaitable[list[dict[str, Any]]]:
        """Open orders."""
        ...

    def order_updates(self) -> Awaitable[Subscription]:
        """Follow own orders."""
        ...

    def unsubscribe(self, stream: Subscription) -> Awaitable[None]:
        """Leave a channel."""
        ...

    def request(self, method: str, params: dict[str, Any] | None = None) -> Awaitable[Any]:
        """Any method."""
        ...

    def own(self, **params: Any) -> dict[str, Any]:
        """Params of a method of the own subaccount."""
        ...

    def ready(self) -> Awaitable[None]:
        """Wait for the connection."""
        ...


class OrderMirror:
    """Own orders by id. Rows may come in any order and more than once: the furthest in an order's life counts."""

    def __init__(self, client: Orders) -> None:
        """Follow nothing before `start` (or `async with`); rows can be given by hand with `apply`."""
        self.orders: dict[str, MirroredOrder] = {}
        self.pending: set[str] = set()
        """Client order ids of orders whose outcome is not known yet."""
        self._client = client
        self._task: asyncio.Task[None] | None = None

    @property
    def open(self) -> list[MirroredOrder]:
        """Orders that may still trade, oldest first."""
        return [order for order in self.orders.values() if order.is_open]

    def apply(self, row: dict[str, Any]) -> bool:
        """Take one row; False for one that is older than what is known, or the same."""
        order = MirroredOrder(row, OrderState.of(row["order_status"]))
        known = self.orders.get(row["order_id"])
        if known is not None and known.progress >= order.progress:
            return False
        self.orders[row["order_id"]] = order
        self.pending.discard(row["client_order_id"])
        return True

    async def place(
        self, instrument: str, direction: str, amount: Any, price: Any = None, **options: Any
    ) -> MirroredOrder:
        """Place an order as `OffbookClient.order` does, under a client order id of its own unless one is given.

        After ConnectionLost (`sent`) or AnswerMissing its id is in `pending`: `reconcile` tells what became of it.
        """
        options.setdefault("client_order_id", uuid.uuid4().hex)
        self.pending.add(options["client_order_id"])
        try:
            result = await self._client.order(instrument, direction, amount, price, **options)
        except Exception as error:
            if not (isinstance(error, AnswerMissing) or (isinstance(error, ConnectionLost) and error.sent)):
                self.pending.discard(options["client_order_id"])
            raise
        self.apply(result["order"])
        return self.orders[result["order"]["order_id"]]

    async def reconcile(self) -> Reconciled:
        """Compare with the exchange and find out what became of pending orders. Without news it changes nothing.

        Raises OffbookError, ConnectionLost, AnswerMissing; call it again then.
        """
        found = Reconciled()
        listed = [*await self._client.open_orders(), *await self._waiting()]
        self._note(listed, found)
        shown = {row["order_id"] for row in listed}
        for order_id in [order.row["order_id"] for order in self.open if order.row["order_id"] not in shown]:
            self._note([await self._order(order_id=order_id)], found)
        for client_order_id in sorted(self.pending):
            try:
                self._note([await self._order(client_order_id=client_order_id)], found)
            except OffbookError as error:
                if error.code != _NOT_FOUND:
                    raise
                found.never_arrived.append(client_order_id)
            self.pending.discard(client_order_id)
        return found

    async def start(self) -> None:
        """Follow the stream from now on, beginning with the orders that are open."""
        stream = await self._client.order_updates()
        await self.reconcile()
        self._task = asyncio.create_task(self._follow(stream))

    async def aclose(self) -> None:
        """Leave the stream; what is known stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _follow(self, stream: Subscription) -> None:
        """Apply rows; a stream that breaks is begun again, and what it missed is asked for."""
        try:
            while True:
                try:
                    async for row in stream:
                        self.apply(row)
                except StreamBroken:
                    await self._client.ready()
                    stream = await self._client.order_updates()
                    await self.reconcile()
        finally:
            with contextlib.suppress(ConnectionLost, AnswerMissing, OffbookError):
                await self._client.unsubscribe(stream)

    async def _waiting(self) -> list[dict[str, Any]]:
        result: dict[str, list[dict[str, Any]]] = await self._client.request(
            "private/get_trigger_orders", self._client.own()
        )
        return result["orders"]

    async def _order(self, **names: str) -> dict[str, Any]:
        row: dict[str, Any] = await self._client.request("private/get_order", self._client.own(**names))
        return row

    def _note(self, rows: Iterable[dict[str, Any]], found: Reconciled) -> None:
        for row in rows:
            is_new = row["order_id"] not in self.orders
            if self.apply(row):
                (found.added if is_new else found.changed).append(row["order_id"])
