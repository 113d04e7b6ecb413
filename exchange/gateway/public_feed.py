"""The exchange's side of the public feeds: what was committed and what was streamed becomes items.

Nothing is encoded inside a commit: outputs are kept until the loop has written the replies, then become items of one
blob per feed and tick. Channels that gateways listen to are subscribed here like by any socket, so that their frames
are those of the exchange, byte for byte.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from exchange.bus.feed_blobs import EVENTS, FeedWriter
from exchange.domain.views import Output
from exchange.gateway.calls import Identity
from exchange.gateway.fanout import Topic
from exchange.gateway.gateway import Gateway
from exchange.gateway.public_items import (
    BatchItem,
    FrameItem,
    ReadinessItem,
    encode_item,
    events_feed,
    frames_feed,
    public_commits,
)
from exchange.gateway.public_state import dump_state
from exchange.gateway.settings import Readiness
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

    def __init__(self, feed: str, channel: str, writer: FeedWriter) -> None:
        self.channels: dict[str, Topic] = {}
        self._feed, self._channel, self._writer = feed, channel, writer

    def notify(self, frame: bytes, *, is_private: bool) -> bool:
        """Take a frame; private channels refuse a subscriber without identity, so there is none of them."""
        if not is_private:
            self._writer.add(self._feed, encode_item(FrameItem(self._channel, frame)))
        return True

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
        self._outputs: list[Sequence[Output]] = []
        self._is_scheduled = False
        self._told = 0
        self._taps: dict[str, _Tap] = {}
        self._wanted: dict[str, tuple[frozenset[str], float]] = {}
        self._readiness = Readiness()
        self.writer = FeedWriter(epoch << _EPOCH_BITS, self._wake, self._fill)
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
        for channel in self._taps.keys() - wanted:
            self._gateway.fanout.drop(self._taps.pop(channel))
        for channel in sorted(wanted - self._taps.keys()):
            if len(self._taps) < _CHANNELS_MAX:
                self._join(channel)

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
                for feed, item in public_commits(outputs, self._gateway.core.market):
                    self.writer.add(feed, item)
        except Exception:  # noqa: BLE001 - the exchange goes on, its followers begin again
            # An item that cannot be made would be a loss without a gap.
            _log.exception("feed_failed epoch=%d", self.writer.epoch)
            self.writer.begin_again()
