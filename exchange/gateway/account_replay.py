"""The history on disk behind private streams: how far back a subaccount reaches, and pages for who resumes there.

Few reads run at a time, in turn, each for about REPLAY_BYTES and a reader that took what it was sent, so neither many
readers nor slow ones hold memory or the loop. Who takes nothing for too long is closed with its place.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
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
_PAGE_BYTES: Final = REPLAY_BYTES // 2
"""Of a page on disk: frames are nearly twice as large, and what is not sent is read again."""
_READS_AT_ONCE: Final = 2
_NOTHING: Final = EventPage([], None, 0)
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
    """Pages of events for readers of channels, in turn and few at a time.

    `start` is called again and again while somebody resumes: that is the pace, whatever the disk could give.
    """

    def __init__(
        self, core: Core, take: Callable[[Any, Any, EventPage], None], cut: Callable[[Any, Any, int], None]
    ) -> None:
        """`take` is given (topic, reader, page), `cut` (topic, reader, its place) of one that cannot go on."""
        self._core = core
        self._take = take
        self._cut = cut
        self._turns: dict[tuple[Any, Any], int] = {}
        """Place of each reader that waits for its page, longest first."""
        self._tasks: dict[tuple[Any, Any], asyncio.Task[None]] = {}
        self._blocked_s: dict[tuple[Any, Any], float] = {}
        """Since when, on the loop's clock, a reader takes nothing or gets nothing."""

    def stop(self) -> None:
        """Give up what is being read."""
        for task in self._tasks.values():
            task.cancel()

    def forget(self, topic: Any, subscriber: Any) -> None:
        """Read no more for this one."""
        key = (topic, subscriber)
        self._turns.pop(key, None)
        self._blocked_s.pop(key, None)
        task = self._tasks.get(key)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def want(self, topic: Any, subscriber: Any, seq: int) -> None:
        """Line up for what is behind `seq`, once the reader took what it was sent."""
        key = (topic, subscriber)
        if self._core.archive is None:
            self._cut(topic, subscriber, seq)
        elif subscriber.queued_bytes() > REPLAY_BYTES:
            self._turns.pop(key, None)
            self._block(topic, subscriber, seq)
        elif key not in self._tasks:
            self._turns[key] = seq

    def start(self) -> None:
        """Begin reads for those who wait longest, as many as may run."""
        while self._turns and len(self._tasks) < _READS_AT_ONCE:
            key = next(iter(self._turns))
            seq = self._turns.pop(key)
            task = self._tasks[key] = asyncio.get_running_loop().create_task(self._read(*key, seq))
            task.add_done_callback(partial(self._end, key))

    def _end(self, key: tuple[Any, Any], _task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)

    def _block(self, topic: Any, subscriber: Any, seq: int) -> None:
        """A reader did not move; cut it when it has not for too long."""
        now = asyncio.get_running_loop().time()
        since = self._blocked_s.setdefault((topic, subscriber), now)
        if now - since > self._core.settings.replay_stall_s:
            self._cut(topic, subscriber, seq)

    async def _read(self, topic: Any, subscriber: Any, seq: int) -> None:
        archive = self._core.archive
        if archive is None:
            return
        try:
            page = await archive.events(topic.account, seq, _PAGE_BYTES)
            self._give(topic, subscriber, seq, page)
        except HistoryUnavailable:
            self._give(topic, subscriber, seq, _NOTHING)
        except Exception as error:  # noqa: BLE001 - one reader's fault must not end in silence
            _log.error("replay_failed", exc_info=error)
            self._cut(topic, subscriber, topic.resuming.get(subscriber, seq))

    def _give(self, topic: Any, subscriber: Any, seq: int, page: EventPage) -> None:
        if topic.resuming.get(subscriber) != seq:
            # It left while this was read, and may have come back.
            return
        if page.rows:
            self._blocked_s.pop((topic, subscriber), None)
            self._take(topic, subscriber, page)
        elif page.forgotten_seq is not None and page.forgotten_seq > seq:
            self._cut(topic, subscriber, seq)
        else:
            # The historian lags or its file cannot be read now: asked again at the next turn.
            self._block(topic, subscriber, seq)
