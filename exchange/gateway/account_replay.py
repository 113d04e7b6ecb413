"""The history on disk behind private streams: how far back a subaccount reaches, and pages for who resumes there.

Few reads run at a time, each of about REPLAY_BYTES and only for a reader that took what it was sent, so neither many
readers nor slow ones hold memory or the loop. Who takes nothing for too long is closed with its place.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from exchange.domain.views import AccountView, Answer, GetAccount
from exchange.gateway.archive import HistoryUnavailable
from exchange.gateway.calls import Call
from exchange.gateway.core import Core
from exchange.historian.account_events import EventPage

__all__ = ["NO_REACH", "REPLAY_BYTES", "Places", "Reach", "ReplayReads"]

REPLAY_BYTES: Final = 32 << 10
"""Of a resumed channel at a time, and only to a reader that has no more than this unread."""
_READS_AT_ONCE: Final = 4
_REASON_CHARACTERS: Final = 200
_log = logging.getLogger(__name__)


class Reach(msgspec.Struct, frozen=True):
    """How far back the history on disk has a subaccount's events: behind `forgotten_seq`; or why nobody can tell."""

    forgotten_seq: int
    problem: str = ""


NO_REACH: Final[Mapping[int, Reach]] = {}


class Places:
    """What must be asked before a subscription is answered: where numberings stand, and how far back they reach."""

    def __init__(self, core: Core) -> None:
        """Ask `core`'s port and archive."""
        self._core = core
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Give up what is being asked."""
        for task in self._tasks:
            task.cancel()

    def find(self, call: Call, wanted: dict[int, int | None], then: Callable[[dict[int, Reach]], None]) -> None:
        """Ask about accounts, each with the place to resume from, None for now; later calls of the socket wait."""
        unknown = [account for account in wanted if self._core.account_log.span(account) is None]
        self._hold(call, needed=bool(unknown))
        self._learn(call, unknown, lambda: self._look_back(call, wanted, then))

    def _hold(self, call: Call, *, needed: bool) -> None:
        if needed and call.when_answered is None:
            call.client.block()
            call.when_answered = call.client.unblock

    def _learn(self, call: Call, accounts: list[int], then: Callable[[], None]) -> None:
        """Ask where the numbering of `accounts` stands, one after another."""
        if not accounts:
            then()
            return

        def learned(answer: Answer) -> None:
            if isinstance(answer, AccountView):
                self._core.account_log.begin(answer.subaccount, answer.account_seq)
            self._learn(call, accounts[1:], then)

        self._core.ask(call, GetAccount(subaccount=accounts[0]), learned)

    def _look_back(self, call: Call, wanted: dict[int, int | None], then: Callable[[dict[int, Reach]], None]) -> None:
        old = {account: seq for account, seq in wanted.items() if seq is not None and 0 <= seq < self._oldest(account)}
        if not old or self._core.archive is None:
            then({})
            return
        self._hold(call, needed=True)

        async def run() -> None:
            try:
                reach = {account: await self._reach(account, seq) for account, seq in old.items()}
                call.guarded(then)(reach)
            except Exception as error:  # noqa: BLE001 - a fault of one answer must not end the loop
                call.crash(error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _oldest(self, account: int) -> int:
        return (self._core.account_log.span(account) or (0, 0))[0]

    async def _reach(self, account: int, seq: int) -> Reach:
        """What the archive has behind `seq`. Where it has nothing, memory is all there is."""
        archive, oldest = self._core.archive, self._oldest(account)
        if archive is None:
            return Reach(oldest)
        try:
            page = await archive.events(account, seq, 1)
        except HistoryUnavailable as error:
            return Reach(oldest, str(error)[:_REASON_CHARACTERS])
        if page.forgotten_seq is None:
            return Reach(oldest, "" if page.is_current else "the history lags")
        return Reach(page.forgotten_seq)


class ReplayReads:
    """Pages of events for readers of channels, few at a time."""

    def __init__(
        self, core: Core, take: Callable[[Any, Any, EventPage], None], cut: Callable[[Any, Any, int], None]
    ) -> None:
        """`take` is given (topic, reader, page), `cut` (topic, reader, its place) of one that cannot go on."""
        self._core = core
        self._take = take
        self._cut = cut
        self._tasks: dict[tuple[Any, Any], asyncio.Task[None]] = {}
        self._since: dict[tuple[Any, Any], tuple[int, float]] = {}
        """Place of each reader and when it came there, in seconds of the loop."""

    def stop(self) -> None:
        """Give up what is being read."""
        for task in self._tasks.values():
            task.cancel()

    def forget(self, topic: Any, subscriber: Any) -> None:
        """Read no more for this one."""
        self._since.pop((topic, subscriber), None)
        task = self._tasks.get((topic, subscriber))
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def want(self, topic: Any, subscriber: Any, seq: int) -> None:
        """Read what is behind `seq` when it is this reader's turn; cut it when it takes nothing for too long."""
        key = (topic, subscriber)
        if key in self._tasks:
            return
        now = asyncio.get_running_loop().time()
        place, since = self._since.setdefault(key, (seq, now))
        if place != seq:
            self._since[key] = (seq, now)
        elif self._core.archive is None or now - since > self._core.settings.replay_stall_s:
            self._cut(topic, subscriber, seq)
            return
        if subscriber.queued_bytes() <= REPLAY_BYTES and len(self._tasks) < _READS_AT_ONCE:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(self._read(topic, subscriber, seq))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _read(self, topic: Any, subscriber: Any, seq: int) -> None:
        archive = self._core.archive
        if archive is None:
            return
        try:
            page = await archive.events(topic.account, seq, REPLAY_BYTES)
            if topic.resuming.get(subscriber) == seq:
                self._take_one(topic, subscriber, seq, page)
        except HistoryUnavailable:
            # Asked again at the next turn, until the reader has waited for too long.
            return
        except Exception as error:  # noqa: BLE001 - one reader's fault must not end in silence
            _log.error("replay_failed", exc_info=error)
            self._cut(topic, subscriber, topic.resuming.get(subscriber, seq))

    def _take_one(self, topic: Any, subscriber: Any, seq: int, page: EventPage) -> None:
        if page.rows:
            self._take(topic, subscriber, page)
        elif page.forgotten_seq is not None and page.forgotten_seq > seq:
            self._cut(topic, subscriber, seq)
