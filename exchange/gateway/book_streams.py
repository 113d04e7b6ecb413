"""Sequenced book channels (api.md 10.2): `raw` shows each command that changed the book, the others cut by time.

A frame depends on nothing but the committed book and where the last frame ended, so a market-data gateway that applies
the same commits sends the same bytes. Where `20ms` and `100ms` end a frame is the exchange's timer's decision: `on_cut`
tells followers, who `cut` at the same place among the commits. Nobody listens: nothing is kept and no timer runs.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from exchange.domain.events import BookLevel
from exchange.domain.views import Output
from exchange.gateway.book_topics import BookTopic
from exchange.gateway.core import Core
from exchange.gateway.frames import text_frame
from exchange.gateway.market import Book
from exchange.gateway.topics import Subscriber
from exchange.wire.book_frames import BookHeartbeat
from exchange.wire.channels import Channel
from exchange.wire.envelope import notification

__all__ = ["BOOK_INTERVALS_MS", "BookStreams"]

BOOK_INTERVALS_MS: Final = (20, 100)
_HOUSEKEEPING_MS: Final = 100
_HEARTBEAT_S: Final = 5.0
_LINGER_S: Final = 60.0
"""A channel without subscribers keeps its ring for so long, so that a socket that was cut can resume."""
_REPLAY_BYTES: Final = 32 << 10
"""Of a resumed channel at a time, and only to a reader that has no more than this unread."""
_REPLAY_PAUSE_S: Final = 0.005


class BookStreams:
    """All book channels of a gateway. `is_follower`: cuts come from the exchange, not from a timer here."""

    def __init__(self, core: Core, *, is_follower: bool = False) -> None:
        """Show the books of `core`'s market."""
        self._core = core
        self._is_follower = is_follower
        self._topics: dict[str, BookTopic] = {}
        self._of_instrument: dict[int, list[BookTopic]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._replay: asyncio.TimerHandle | None = None
        self._cut_for_others: frozenset[int] = frozenset()
        core.market.on_book_loaded = self._loaded
        self.on_cut: Callable[[int], None] = lambda _interval_ms: None
        self.sent_count = 0
        self.dropped_count = 0

    @property
    def is_idle(self) -> bool:
        """Whether no channel is kept."""
        return not self._topics

    def stop(self) -> None:
        """End all timers."""
        for timer in (*self._timers.values(), self._replay):
            if timer is not None:
                timer.cancel()
        self._timers.clear()
        self._replay = None

    def topic(self, channel: Channel) -> BookTopic:
        """State of a channel, also of one whose last subscriber left a moment ago. The instrument exists."""
        topic = self._topics.get(channel.name)
        if topic is None:
            instrument = self._core.market.by_name[channel.instrument]
            book = self._core.market.book(instrument.instrument_id)
            topic = BookTopic(channel, instrument, book, asyncio.get_running_loop().time())
            self._topics[channel.name] = topic
            self._of_instrument.setdefault(instrument.instrument_id, []).append(topic)
        self._arm(_HOUSEKEEPING_MS)
        if channel.interval_ms and not self._is_follower:
            self._arm(channel.interval_ms)
        return topic

    def join(self, topic: BookTopic, subscriber: Subscriber, resume_from: int | None) -> None:
        """Bring a new subscriber into step: what follows `resume_from` when the ring has it, else a snapshot."""
        if resume_from == topic.shown_seq:
            topic.synced[subscriber] = None
        elif resume_from is not None and topic.ring.holds(resume_from):
            topic.resuming[subscriber] = resume_from
            self._send_rings()
        else:
            topic.waiting[subscriber] = None
            if not topic.channel.interval_ms:
                self._greet(topic)

    def leave(self, topic: BookTopic, subscriber: Subscriber) -> None:
        """Take a subscriber off the channel."""
        topic.forget(subscriber)
        if not topic.subscribers:
            topic.left_at = asyncio.get_running_loop().time()

    def take(self, output: Output) -> None:
        """See the events of one command, which the market has applied and nothing behind them."""
        changed: dict[int, None] = {}
        for event in output.events:
            if type(event) is BookLevel and event.instrument in self._of_instrument:
                changed[event.instrument] = None
                for topic in self._of_instrument[event.instrument]:
                    topic.changed[event.side, event.price_ticks] = event.quantity_lots
        for instrument in changed:
            for topic in self._of_instrument[instrument]:
                if not topic.channel.interval_ms:
                    self._show(topic)

    def cut(self, interval_ms: int, underlying: str = "") -> None:
        """End a frame on every channel of `interval_ms`, of one underlying or of all."""
        for topic in self._topics.values():
            if topic.channel.interval_ms == interval_ms and underlying in ("", topic.instrument.underlying):
                self._show(topic)

    def cut_for_others(self, intervals_ms: Iterable[int]) -> None:
        """Cut at these intervals from now on even though nobody here listens."""
        self._cut_for_others = frozenset(intervals_ms)
        for interval_ms in self._cut_for_others:
            self._arm(interval_ms)

    def reload(self, underlying: str) -> None:
        """The books of `underlying` were replaced by other ones: everybody on them gets a snapshot."""
        for topic in self._topics.values():
            if topic.instrument.underlying == underlying:
                topic.begin_again(self._book(topic))
                if not topic.channel.interval_ms:
                    self._greet(topic)

    def _loaded(self, instrument: int) -> None:
        for topic in self._of_instrument.get(instrument, ()):
            topic.begin_again(self._book(topic))

    def _book(self, topic: BookTopic) -> Book:
        return self._core.market.book(topic.instrument_id)

    def _show(self, topic: BookTopic) -> None:
        """Send what changed, then bring in who waits. A crossed book (in a call auction) is not shown."""
        book = self._book(topic)
        if book.is_crossed():
            return
        if topic.changed:
            prev_seq = topic.shown_seq
            change = topic.take_change(book)
            frame = text_frame(notification(topic.channel.name, change, book.seq, prev_seq))
            topic.ring.append(prev_seq, book.seq, frame)
            topic.heard_at = asyncio.get_running_loop().time()
            self._send(topic, frame)
        self._greet(topic)

    def _send(self, topic: BookTopic, frame: bytes) -> None:
        for subscriber in list(topic.synced):
            if subscriber.notify(frame, is_private=False):
                self.sent_count += 1
            else:
                self.dropped_count += 1
                topic.synced.pop(subscriber, None)
                topic.waiting[subscriber] = None

    def _greet(self, topic: BookTopic) -> None:
        """Send a snapshot to everybody who waits and reads again. Only at the end of a frame."""
        if not topic.waiting:
            return
        book = self._book(topic)
        if topic.changed or book.is_crossed():
            return
        topic.shown_seq = book.seq
        if topic.snapshot[0] != book.seq:
            snapshot = topic.make_snapshot(book)
            topic.snapshot = book.seq, text_frame(notification(topic.channel.name, snapshot, book.seq, None))
        for subscriber in list(topic.waiting):
            if subscriber.notify(topic.snapshot[1], is_private=False):
                self.sent_count += 1
                del topic.waiting[subscriber]
                topic.synced[subscriber] = None

    def _send_rings(self) -> None:
        self._replay = None
        for topic in self._topics.values():
            for subscriber, seq in list(topic.resuming.items()):
                self._send_ring(topic, subscriber, seq)
        if self._replay is None and any(topic.resuming for topic in self._topics.values()):
            self._replay = asyncio.get_running_loop().call_later(_REPLAY_PAUSE_S, self._send_rings)

    def _send_ring(self, topic: BookTopic, subscriber: Any, seq: int) -> None:
        """Send one part of the ring behind `seq`. Who does not take it, or stayed too long, gets a snapshot."""
        if seq != topic.shown_seq and not topic.ring.holds(seq):
            self._give_up(topic, subscriber)
            return
        if subscriber.queued_bytes() > _REPLAY_BYTES:
            return
        left = _REPLAY_BYTES
        for next_seq, frame in topic.ring.since(seq):
            if not subscriber.notify(frame, is_private=False):
                self._give_up(topic, subscriber)
                return
            self.sent_count += 1
            seq, left = next_seq, left - len(frame)
            if left < 0:
                break
        topic.resuming[subscriber] = seq
        if seq == topic.shown_seq:
            del topic.resuming[subscriber]
            topic.synced[subscriber] = None

    @staticmethod
    def _give_up(topic: BookTopic, subscriber: object) -> None:
        topic.resuming.pop(subscriber, None)
        topic.waiting[subscriber] = None

    def _arm(self, interval_ms: int) -> None:
        if interval_ms not in self._timers:
            later = asyncio.get_running_loop().call_later
            self._timers[interval_ms] = later(interval_ms / 1_000, self._tick, interval_ms)

    def _tick(self, interval_ms: int) -> None:
        del self._timers[interval_ms]
        if interval_ms == _HOUSEKEEPING_MS:
            self._look_after()
        if not self._is_follower:
            self.cut(interval_ms)
            if interval_ms in self._cut_for_others:
                self.on_cut(interval_ms)
        if self._needs(interval_ms):
            self._arm(interval_ms)

    def _needs(self, interval_ms: int) -> bool:
        if interval_ms in self._cut_for_others or (interval_ms == _HOUSEKEEPING_MS and self._topics):
            return True
        return any(topic.channel.interval_ms == interval_ms for topic in self._topics.values())

    def _look_after(self) -> None:
        """Snapshots for readers that caught up, heartbeats, channels that nobody came back to."""
        now_s = asyncio.get_running_loop().time()
        for topic in list(self._topics.values()):
            if not topic.subscribers:
                if now_s - topic.left_at > _LINGER_S:
                    self._drop(topic)
                continue
            if not topic.channel.interval_ms:
                self._greet(topic)
            if now_s - topic.heard_at >= _HEARTBEAT_S:
                self._beat(topic, now_s)

    def _beat(self, topic: BookTopic, now_s: float) -> None:
        topic.heard_at = now_s
        timestamp_ms = self._core.clock_ns() // 1_000_000
        beat = BookHeartbeat(instrument_name=topic.instrument.name, timestamp=timestamp_ms, seq=topic.shown_seq)
        frame = text_frame(notification(topic.channel.name, beat, topic.shown_seq, topic.shown_seq))
        for subscriber in topic.synced:
            subscriber.notify(frame, is_private=False)

    def _drop(self, topic: BookTopic) -> None:
        del self._topics[topic.channel.name]
        of_instrument = self._of_instrument[topic.instrument_id]
        of_instrument.remove(topic)
        if not of_instrument:
            del self._of_instrument[topic.instrument_id]
