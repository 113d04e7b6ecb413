"""Private streams of a subaccount: `account` (everything, in order), `orders` and `trades`, with resume (api.md 10.8).

All three are read from one log, so what is replayed is what was sent; what is not in its memory comes from the history
on disk, and then the log again. Their `seq` is an `account_seq`: that of the item on `account`, that of the last row on
the others. Nothing is ever dropped: a reader that cannot follow is closed.
"""

import asyncio
from collections import ChainMap
from collections.abc import Iterable
from typing import Any, Final

from exchange.domain.account_events import AccountEvent
from exchange.gateway.account_frames import AccountFrames
from exchange.gateway.account_log import AccountLog
from exchange.gateway.account_replay import REPLAY_BYTES, Reach, ReplayReads
from exchange.gateway.core import Core
from exchange.gateway.topics import Subscriber, Topic
from exchange.historian.account_events import EventPage
from exchange.wire.channels import BadChannel, Channel

__all__ = ["ACCOUNT_KINDS", "AccountStreams", "AccountTopic"]

ACCOUNT_KINDS: Final = frozenset({"account", "orders", "trades"})
_REPLAY_PAUSE_S: Final = 0.005
_SLOW_CONSUMER: Final = 1013


class AccountTopic(Topic):
    """One private channel: who is live, who is being sent the log, and up to where it was shown."""

    __slots__ = ("account", "live", "resuming", "sent", "shown_seq")

    def __init__(self, channel: Channel, account: int, shown_seq: int) -> None:
        """Begin behind `shown_seq`."""
        super().__init__(channel, 0)
        self.account = account
        self.seq = shown_seq
        """Of the last frame: `prev_seq` of the next."""
        self.shown_seq = shown_seq
        """Up to here the log was looked at."""
        self.live: dict[Any, None] = {}
        self.resuming: dict[Any, int] = {}
        """Up to which `account_seq` each was shown everything."""
        self.sent: dict[Any, int] = {}
        """`seq` of the last frame of each that resumes: `prev_seq` of its next."""

    def forget(self, subscriber: object) -> None:
        """Drop a subscriber."""
        for members in (self.live, self.resuming, self.sent):
            members.pop(subscriber, None)


class AccountStreams:
    """All private channels that resume."""

    def __init__(self, core: Core) -> None:
        """Read `core`'s log."""
        self._core = core
        self._log: AccountLog = core.account_log
        self._of_account: dict[int, list[AccountTopic]] = {}
        self._frames = AccountFrames(core.shapes, core.market.by_id)
        self._reads = ReplayReads(core, self._take_page, self._cut)
        self._replay: asyncio.TimerHandle | None = None
        self.sent_count = 0

    def stop(self) -> None:
        """End timer and reads."""
        self._reads.stop()
        if self._replay is not None:
            self._replay.cancel()

    def topic(self, channel: Channel) -> AccountTopic:
        """Make a channel that nobody listens to yet."""
        account = self._core.venue.account(channel.subaccount_id)
        span = self._log.span(account)
        topic = AccountTopic(channel, account, span[1] if span is not None else 0)
        self._of_account.setdefault(account, []).append(topic)
        return topic

    def join(
        self, topic: AccountTopic, subscriber: Subscriber, resume_from: int | None, reach: Reach | None = None
    ) -> None:
        """Begin now, or behind `resume_from`; `reach` is how far back the history on disk goes.

        Raises BadChannel: 20002 when `resume_from` is not to be had, 20040 when that cannot be told now.
        """
        oldest, newest = self._log.span(topic.account) or (0, 0)
        if resume_from is None:
            topic.live[subscriber] = None
            return
        if reach is not None and resume_from < oldest:
            if reach.problem and resume_from >= 0:
                raise BadChannel(f"20040 HISTORY_UNAVAILABLE: {reach.problem}; ask again")
            oldest = min(oldest, reach.forgotten_seq)
        if not oldest <= resume_from <= newest:
            raise BadChannel(f"20002 SNAPSHOT_REQUIRED: the oldest available is {oldest + 1}, the newest {newest}")
        topic.resuming[subscriber] = topic.sent[subscriber] = resume_from
        self._send_all()

    def leave(self, topic: AccountTopic, subscriber: Subscriber) -> None:
        """Take a subscriber off the channel, and the channel away with its last one."""
        topic.forget(subscriber)
        self._reads.forget(topic, subscriber)
        if not topic.subscribers and topic in self._of_account.get(topic.account, ()):
            self._of_account[topic.account].remove(topic)
            if not self._of_account[topic.account]:
                del self._of_account[topic.account]

    def last_seq(self, topic: AccountTopic) -> int:
        """Newest `account_seq` of the channel's subaccount: what `resume_from` of an idle channel may name."""
        return (self._log.span(topic.account) or (0, 0))[1]

    def take(self) -> None:
        """Send what a commit brought; the log has it."""
        touched, self._log.touched = self._log.touched, set()
        for account in self._of_account.keys() & touched if self._of_account else ():
            for topic in self._of_account[account]:
                self._show(topic)

    def _cut(self, topic: AccountTopic, subscriber: Subscriber, seq: int) -> None:
        """Close a reader that stands at `seq`, behind which there is a gap or it takes nothing: it must know."""
        topic.forget(subscriber)
        self._reads.forget(topic, subscriber)
        subscriber.close(_SLOW_CONSUMER, f"SLOW_CONSUMER {topic.channel.name} {seq}")

    def _show(self, topic: AccountTopic) -> None:
        oldest, _ = self._log.span(topic.account) or (0, 0)
        if oldest > topic.shown_seq:
            for subscriber in list(topic.live):
                self._cut(topic, subscriber, topic.shown_seq)
            topic.shown_seq = oldest
        rows = list(self._log.since(topic.account, topic.shown_seq))
        topic.shown_seq = max(topic.shown_seq, rows[-1].account_seq) if rows else topic.shown_seq
        for seq, frame in self._frames.frames(topic.channel, rows, topic.seq):
            topic.seq = seq
            for subscriber in list(topic.live):
                self._send(subscriber, frame)

    def _send(self, subscriber: Subscriber, frame: bytes) -> None:
        subscriber.notify(frame, is_private=True)
        self.sent_count += 1

    def _send_all(self) -> None:
        """Send a part to everybody who resumes, and come again while there is somebody."""
        if self._replay is not None:
            self._replay.cancel()
            self._replay = None
        topics = [topic for topics in self._of_account.values() for topic in topics if topic.resuming]
        for topic in topics:
            for subscriber in list(topic.resuming):
                self._send_next(topic, subscriber)
        self._reads.start()
        if any(topic.resuming for topic in topics):
            self._replay = asyncio.get_running_loop().call_later(_REPLAY_PAUSE_S, self._send_all)

    def _send_next(self, topic: AccountTopic, subscriber: Subscriber) -> None:
        """Send one part of what lies behind the reader's place; at the log's end it is live."""
        seq = topic.resuming[subscriber]
        oldest, newest = self._log.span(topic.account) or (0, 0)
        if seq < oldest:
            self._reads.want(topic, subscriber, seq)
        elif subscriber.queued_bytes() <= REPLAY_BYTES:
            rows = self._log.since(topic.account, seq)
            if self._send_part(topic, subscriber, self._frames, rows, newest):
                self._go_live(topic, subscriber)

    def _take_page(self, topic: AccountTopic, subscriber: Subscriber, page: EventPage) -> None:
        """Send what was read on disk, unless it was not committed here yet: that comes from the log."""
        _, newest = self._log.span(topic.account) or (0, 0)
        rows = [row for row in page.rows if row.account_seq <= newest]
        if rows:
            frames = AccountFrames(self._core.shapes, ChainMap(self._core.market.by_id, page.instruments))
            self._send_part(topic, subscriber, frames, rows, rows[-1].account_seq)

    def _send_part(
        self, topic: AccountTopic, subscriber: Subscriber, frames: AccountFrames, rows: Iterable[AccountEvent], end: int
    ) -> bool:
        """Send frames of `rows`, which reach to `end`, until they are enough at a time; whether all were sent."""
        left = REPLAY_BYTES
        for seq, frame in frames.frames(topic.channel, rows, topic.sent[subscriber]):
            if left < 0:
                return False
            self._send(subscriber, frame)
            topic.resuming[subscriber] = topic.sent[subscriber] = seq
            left -= len(frame)
        topic.resuming[subscriber] = end
        return True

    def _go_live(self, topic: AccountTopic, subscriber: Subscriber) -> None:
        if not topic.live:
            # Nobody was sent another frame of this channel, so the next one follows this reader's last.
            topic.seq = topic.sent[subscriber]
        topic.forget(subscriber)
        self._reads.forget(topic, subscriber)
        topic.live[subscriber] = None
