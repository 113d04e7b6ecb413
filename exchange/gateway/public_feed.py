"""The exchange's side of the public feeds: what was committed and what was streamed becomes items.

Nothing is encoded inside a commit: outputs are kept until the loop has written the replies, then become items of one
blob per feed and tick. Channels that gateways listen to are subscribed here like by any socket, so that their frames
are those of the exchange, byte for byte.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from exchange.bus.feed_blobs import EVENTS, FeedWriter
from exchange.domain.views import Output
from exchange.gateway.calls import Identity
from exchange.gateway.gateway import Gateway
from exchange.gateway.public_items import (
    BatchItem,
    CutItem,
    FrameItem,
    ReadinessItem,
    encode_item,
    events_feed,
    frames_feed,
    public_commits,
)
from exchange.gateway.public_state import dump_state
from exchange.gateway.settings import Readiness
from exchange.gateway.topics import Topic
from exchange.wire.channels import BadChannel, parse_channel
from exchange.wire.objects import BatchRow

__all__ = ["PublicFeed"]

LEASE_S: Final = 5.0
"""A gateway that says nothing for so long listens to nothing any more."""
_CHANNELS_MAX: Final = 16_384
_EPOCH_BITS: Final = 16
"""A feed's epoch is the journal's with room for beginning again within it."""
_log = logging.getLogger(__name__)


class _Tap:
    """A subscriber of one channel that puts its frames into a feed."""

    identity: Identity | None = None
    is_open = True

    def __init__(self, feed: str, channel: str, writer: FeedWriter) -> None:
        self.channels: dict[str, Topic] = {}
        self._feed, self._channel, self._writer = feed, channel, writer

    def notify(self, frame: bytes, *, is_private: bool) -> bool:
        """Take a frame; private channels refuse a subscriber without identity, so there is none of them."""
        if not is_private:
            self._writer.add(self._feed, encode_item(FrameItem(self._channel, frame)))
        return True

    def close(self, code: int, reason: str) -> None:
        """Nothing to close."""

    def queued_bytes(self) -> int:
        """Nothing waits: the feed is bounded by itself."""
        return 0

    def refresh(self) -> None:
        """Ask for a whole state soon, as a new subscriber of the exchange does: another gateway begins to listen."""
        for topic in self.channels.values():
            topic.shown_version = None


class PublicFeed:
    """Feeds of one exchange. Create it after `gateway.start()`, so that it hears of a commit after the gateway."""

    def __init__(self, gateway: Gateway, epoch: int, news: Callable[[], None], clock_s: Callable[[], float]) -> None:
        """`epoch` is the journal's. `news` is called after each tick that brought items."""
        self._gateway = gateway
        self._news = news
        self._clock_s = clock_s
        self._loop = asyncio.get_running_loop()
        self._outputs: list[Sequence[Output] | int] = []
        """Commits, and between them the intervals of book channels that were cut there."""
        self._cut_feeds: dict[int, set[str]] = {}
        self._is_scheduled = False
        self._told = 0
        self._taps: dict[str, _Tap] = {}
        self._wanted: dict[str, tuple[frozenset[str], float]] = {}
        self._readiness = Readiness()
        self.writer = FeedWriter(epoch << _EPOCH_BITS, self._wake, self._fill)
        gateway.fanout.books.on_cut = self._cut
        gateway.core.port.listen(self._committed)

    @property
    def channel_count(self) -> int:
        """Channels that some gateway listens to."""
        return len(self._taps)

    def update_batch(self, row: BatchRow) -> None:
        """Take the chain's view of a batch, after the gateway."""
        self.writer.add(events_feed(""), encode_item(BatchItem(row)))

    def snapshot(self, feed: str) -> bytes:
        """State of a feed as of its last item; frames have none."""
        underlying, channel = feed.split(".")
        return dump_state(self._gateway.core, underlying) if channel == EVENTS else b""

    def want(self, gateway: str, channels: list[str]) -> bool:
        """Hear what `gateway` listens to from now on. False: the exchange has no state to follow yet."""
        market = self._gateway.core.market
        if not market.is_loaded:
            return False
        for underlying in {"", *(row.underlying for row in market.by_name.values())}:
            self.writer.ring(events_feed(underlying))
        before = self._wanted.get(gateway, (frozenset(), 0.0))[0]
        self._wanted[gateway] = frozenset(channels), self._clock_s() + LEASE_S
        self.expire()
        for channel in self._taps.keys() & (frozenset(channels) - before):
            self._taps[channel].refresh()
        self._tell_readiness()
        return True

    def expire(self) -> None:
        """Leave the channels that nobody wants any more and join the new ones."""
        now_s = self._clock_s()
        self._wanted = {name: row for name, row in self._wanted.items() if row[1] > now_s}
        wanted: set[str] = set().union(*(row[0] for row in self._wanted.values()))
        wanted -= self._cut_books({name for name in wanted if name.startswith("book.")})
        for channel in self._taps.keys() - wanted:
            self._gateway.fanout.drop(self._taps.pop(channel))
        for channel in sorted(wanted - self._taps.keys()):
            if len(self._taps) < _CHANNELS_MAX:
                self._join(channel)

    def _cut_books(self, names: set[str]) -> set[str]:
        """Book channels need no frames, gateways make them of the commits: only where frames end is told."""
        feeds: dict[int, set[str]] = {}
        for name in names:
            with contextlib.suppress(BadChannel):
                channel = parse_channel(name)
                instrument = self._gateway.core.market.by_name.get(channel.instrument)
                if channel.interval_ms and instrument is not None:
                    feeds.setdefault(channel.interval_ms, set()).add(events_feed(instrument.underlying))
        self._cut_feeds = feeds
        self._gateway.fanout.books.cut_for_others(feeds)
        return names

    def _cut(self, interval_ms: int) -> None:
        self._outputs.append(interval_ms)
        self._wake()

    def _join(self, name: str) -> None:
        try:
            channel = parse_channel(name)
            instrument = self._gateway.core.market.by_name.get(channel.instrument)
            underlying = instrument.underlying if instrument is not None else channel.currency
            tap = _Tap(frames_feed(underlying), name, self.writer)
            self._gateway.fanout.add(name, tap)
        except BadChannel:
            return
        self.writer.ring(frames_feed(underlying))
        self._taps[name] = tap

    def _tell_readiness(self) -> None:
        readiness = self._gateway.readiness()
        if readiness != self._readiness:
            self._readiness = readiness
            self.writer.add(events_feed(""), encode_item(ReadinessItem(readiness)))

    def _committed(self, outputs: Sequence[Output]) -> None:
        self._outputs.append(outputs)
        self._wake()

    def _wake(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            # Behind the gateway's own flush, which waits in the loop already when a commit had replies.
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._is_scheduled = False
        self.writer.cut()
        if self.writer.item_count != self._told:
            self._told = self.writer.item_count
            self._news()

    def _fill(self) -> None:
        waiting, self._outputs = self._outputs, []
        try:
            for outputs in waiting:
                if isinstance(outputs, int):
                    for feed in sorted(self._cut_feeds.get(outputs, ())):
                        self.writer.add(feed, encode_item(CutItem(outputs)))
                    continue
                for feed, item in public_commits(outputs, self._gateway.core.market):
                    self.writer.add(feed, item)
        except Exception:  # noqa: BLE001 - the exchange goes on, its followers begin again
            # An item that cannot be made would be a loss without a gap.
            _log.exception("feed_failed epoch=%d", self.writer.epoch)
            self.writer.begin_again()
