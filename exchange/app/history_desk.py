"""Questions to the history on disk, answered on a thread of their own: SQLite works without the interpreter's lock."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from exchange.gateway.archive import HistoryUnavailable
from exchange.historian.account_events import EventPage
from exchange.historian.rows import Kind, Page, Place
from exchange.historian.store import BadHistoryFile, HistoryReader

__all__ = ["HistoryDesk"]

Answer = TypeVar("Answer")
_PATIENCE_S: Final = 1.0
"""How long an answer waits for a historian that lags; then it shows what there is, and says how far that is."""
_LOOK_S: Final = 0.02
_MAX_WAITING: Final = 64


class HistoryDesk:
    """An Archive over the historian's file."""

    def __init__(self, folder: Path, committed: Callable[[], int]) -> None:
        """`committed` says how far the journal is durable. Nothing is opened yet."""
        self._reader = HistoryReader(folder)
        self._committed = committed
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._waiting = 0

    async def page(self, subaccount: int, kind: Kind, after: Place, limit: int) -> Page:
        """See Archive."""
        with self._one_more():
            await self._wait_until(self._committed())
            return await self._ask(lambda: self._reader.page(subaccount, kind, after, limit))

    async def events(self, subaccount: int, after_seq: int, limit_bytes: int) -> EventPage:
        """See Archive; waits for the historian only where it has nothing yet."""
        with self._one_more():
            committed = self._committed()
            page = await self._ask(lambda: self._reader.events(subaccount, after_seq, limit_bytes))
            if not page.rows and page.sequence < committed:
                await self._wait_until(committed)
                page = await self._ask(lambda: self._reader.events(subaccount, after_seq, limit_bytes))
            return replace(page, is_current=page.sequence >= committed)

    def close(self) -> None:
        """Answer no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reader.close()

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._waiting >= _MAX_WAITING:
            raise HistoryUnavailable("too many questions at once")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _wait_until(self, sequence: int) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _PATIENCE_S
        # The historian is another process: nothing here could be set when it has come so far.
        while await self._ask(self._reader.reached) < sequence and loop.time() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        except BadHistoryFile as error:
            raise HistoryUnavailable(str(error)) from error
