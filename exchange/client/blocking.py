"""The same client without async: each call runs on a loop in a background thread and waits for the answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from exchange.client.client import DEMO_ACCOUNTS_FILE, DEMO_URL, Connecting, OffbookClient
from exchange.client.markets import Number
from exchange.client.streams import Subscription

__all__ = ["BlockingClient"]

_T = TypeVar("_T")


class BlockingClient:
    """A thin wrapper; `client` is the async client behind it, for everything that is not repeated here."""

    def __init__(self, connecting: Connecting) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="offbook-client", daemon=True)
        self._thread.start()
        try:
            self.client: OffbookClient = self.run(_opened(connecting))
        except BaseException:
            self._stop()
            raise

    @classmethod
    def connect(cls, url: str, *, owner: str, session_key: str, subaccount_id: int) -> "BlockingClient":
        """Connect and log in; raises like OffbookClient.connect."""
        return cls(OffbookClient.connect(url, owner=owner, session_key=session_key, subaccount_id=subaccount_id))

    @classmethod
    def from_demo(
        cls, path: str | Path = DEMO_ACCOUNTS_FILE, *, url: str = DEMO_URL, index: int = 0
    ) -> "BlockingClient":
        """Connect as account `index` of the demo's account file."""
        return cls(OffbookClient.from_demo(path, url=url, index=index))

    def run(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Wait for any coroutine of `client`."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    def buy(self, instrument: str, amount: Number, price: Number | None = None, **options: Any) -> dict[str, Any]:
        """See OffbookClient.buy."""
        return self.run(self.client.buy(instrument, amount, price, **options))

    def sell(self, instrument: str, amount: Number, price: Number | None = None, **options: Any) -> dict[str, Any]:
        """See OffbookClient.sell."""
        return self.run(self.client.sell(instrument, amount, price, **options))

    def cancel(self, order_id: str, instrument: str) -> dict[str, Any]:
        """See OffbookClient.cancel."""
        return self.run(self.client.cancel(order_id, instrument))

    def cancel_all(self, instrument: str | None = None) -> Any:
        """See OffbookClient.cancel_all."""
        return self.run(self.client.cancel_all(instrument))

    def cancel_all_after(self, timeout_ms: int, *, spare_reduce_only: bool = False) -> dict[str, Any]:
        """See OffbookClient.cancel_all_after."""
        return self.run(self.client.cancel_all_after(timeout_ms, spare_reduce_only=spare_reduce_only))

    def positions(self) -> list[dict[str, Any]]:
        """See OffbookClient.positions."""
        return self.run(self.client.positions())

    def subaccount(self) -> dict[str, Any]:
        """See OffbookClient.subaccount."""
        return self.run(self.client.subaccount())

    def listen(self, channel: str, *, flatten: bool = False) -> Iterator[Any]:
        """Subscribe now and return an iterator over the channel's data."""
        stream = self.run(self.client.subscribe(channel, flatten=flatten))
        return self._items(stream)

    def export(self, kind: str, from_cursor: str | None = None) -> Iterator[dict[str, Any]]:
        """See OffbookClient.export."""
        rows = aiter(self.client.export(kind, from_cursor))
        with suppress(StopAsyncIteration):
            while True:
                yield self.run(_next(rows))

    def close(self) -> None:
        """Close the connection and end the thread. Idempotent."""
        if self._thread.is_alive():
            self.run(self.client.close())
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _items(self, stream: Subscription) -> Iterator[Any]:
        while True:
            yield self.run(stream.__anext__())

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(rows: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    return await anext(rows)


async def _opened(connecting: Connecting) -> OffbookClient:
    return await connecting
