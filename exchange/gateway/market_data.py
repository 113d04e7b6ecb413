"""A market-data gateway: the public half of a gateway, fed by another process and without a port to the exchange.

State comes as items of the `events` feeds, notifications as frames of the `frames` feeds; what a client gets is what
the exchange itself would send. Orders, logins and private reads are refused with the exchange's address (20019).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn

from exchange.bus.feed_blobs import EVENTS
from exchange.bus.interface import AnswerCallback, OutputListener, ReplyCallback
from exchange.domain.commands import Command
from exchange.domain.views import Output, Query
from exchange.gateway.account_replay import NO_REACH, Reach
from exchange.gateway.core import Core
from exchange.gateway.fanout import Fanout
from exchange.gateway.gateway import Gateway
from exchange.gateway.option_chain_stream import KIND as OPTION_CHAIN
from exchange.gateway.public_items import (
    BatchItem,
    CommitItem,
    CutItem,
    FrameItem,
    ReadinessItem,
    decode_item,
    output_of,
)
from exchange.gateway.public_state import clear_state, load_state
from exchange.gateway.settings import GatewaySettings, Readiness
from exchange.gateway.topics import Subscriber
from exchange.wire.channels import BadChannel, parse_channel
from exchange.wire.errors import elsewhere
from exchange.wire.objects import BatchRow
from exchange.wire.venue import VenueInfo

__all__ = ["ForwardingFanout", "MarketDataGateway"]

_SAMPLED: Final = frozenset({"orderbook", "ticker_slim"})
"""Kinds whose frames are whole states: a new subscriber gets the last one."""
_MENDED: Final = _SAMPLED | {"book"}
"""Kinds that lost frames do not harm: whole states, and what is made here of commits."""


class _NoPort:
    """Takes nothing: who asks is sent to the exchange."""

    def __init__(self, exchange_url: str) -> None:
        self._exchange_url = exchange_url

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> NoReturn:  # noqa: ARG002 - ExchangePort
        raise elsewhere(self._exchange_url)

    def submit_together(
        self,
        commands: Sequence[Command],  # noqa: ARG002 - ExchangePort
        reply: Callable[[Sequence[Output]], None] | None = None,  # noqa: ARG002 - ExchangePort
    ) -> NoReturn:
        raise elsewhere(self._exchange_url)

    def ask(self, query: Query, answer: AnswerCallback) -> NoReturn:  # noqa: ARG002 - ExchangePort
        raise elsewhere(self._exchange_url)

    def listen(self, listener: OutputListener) -> None:
        """Nothing is committed here."""


class ForwardingFanout(Fanout):
    """Subscriptions whose frames come from elsewhere. Channels and refusals are those of `Fanout`."""

    def __init__(self, core: Core) -> None:
        """`on_change` is called when the wanted channels change."""
        super().__init__(core, is_follower=True)
        self.on_change: Callable[[], None] = lambda: None
        self._last: dict[str, bytes] = {}

    @property
    def channels(self) -> list[str]:
        """Channels with at least one subscriber."""
        return sorted(self._topics)

    def start(self) -> None:
        """Nothing is sampled here."""

    def publish(self, outputs: Sequence[Output]) -> None:
        """Frames come from the exchange."""

    def publish_batch(self, row: BatchRow) -> None:
        """Frames come from the exchange."""

    def add(
        self,
        name: str,
        subscriber: Subscriber,
        resume_from: int | None = None,
        reach: Mapping[int, Reach] = NO_REACH,
    ) -> None:
        """As Fanout; a channel that streams whole states begins with the last one."""
        channel = parse_channel(name)
        if channel.is_private:
            raise BadChannel(f"20019 private channels are at {self._core.exchange_url}")
        if channel.kind == OPTION_CHAIN:
            # Its changes mean nothing without the snapshot that only the exchange sends each subscriber.
            raise BadChannel(f"20019 option chains are streamed at {self._core.exchange_url}")
        if name in subscriber.channels:
            return
        is_new = name not in self._topics
        super().add(name, subscriber, resume_from, reach)
        if is_new:
            self.on_change()
        elif name in self._last:
            subscriber.notify(self._last[name], is_private=False)

    def forward(self, name: str, frame: bytes) -> None:
        """Send a frame of the exchange to everybody on its channel."""
        topic = self._topics.get(name)
        if topic is None:
            return
        if topic.channel.kind in _SAMPLED:
            self._last[name] = frame
        for subscriber in list(topic.subscribers):
            if subscriber.notify(frame, is_private=False):
                self.sent_count += 1
            else:
                self.dropped_count += 1

    def subscribers_of(self, feed_channel: Callable[[str], bool]) -> list[Subscriber]:
        """Everybody on a channel for which `feed_channel` holds."""
        topics = [topic for name, topic in self._topics.items() if feed_channel(name)]
        return list(dict.fromkeys(one for topic in topics for one in topic.subscribers))

    def _remove(self, name: str, subscriber: Subscriber) -> None:
        super()._remove(name, subscriber)
        if name not in self._topics:
            self._last.pop(name, None)
            self.on_change()


class MarketDataGateway:
    """A `Gateway` that is a sink of feeds."""

    def __init__(
        self,
        venue: VenueInfo,
        *,
        exchange_url: str,
        clock_ns: Callable[[], int],
        trouble: Callable[[], str],
        settings: GatewaySettings | None = None,
        extra_metrics: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """`trouble` says why this gateway is not up to date, "" when it is."""
        self._heard = Readiness()
        self._trouble = trouble
        self.gateway = Gateway(
            _NoPort(exchange_url),
            venue,
            clock_ns=clock_ns,
            settings=settings,
            readiness=self._readiness,
            fanout=ForwardingFanout,
            exchange_url=exchange_url,
            extra_metrics=extra_metrics,
        )

    @property
    def fanout(self) -> ForwardingFanout:
        """The subscriptions."""
        fanout = self.gateway.fanout
        if not isinstance(fanout, ForwardingFanout):
            raise TypeError("a market-data gateway forwards")
        return fanout

    def restart(self) -> None:
        """Another writer began: its channels count anew, so every socket is closed as the exchange closed its own."""
        clear_state(self.gateway.core)
        for connection in list(self.gateway.sockets):
            connection.shutdown()

    def load(self, feed: str, body: bytes) -> None:
        """Take the state of a feed."""
        underlying, channel = feed.split(".")
        if channel == EVENTS:
            venue = load_state(self.gateway.core, underlying, body)
            self.fanout.books.reload(underlying)
            if venue is not None:
                self._heard = venue.readiness

    def whole(self) -> None:
        """Answer reads from now on; before, they are busy."""
        self.gateway.core.market.is_loaded = True

    def apply(self, feed: str, items: Iterable[bytes]) -> None:
        """Take items of a feed in order."""
        for data in items:
            item = decode_item(data)
            if isinstance(item, FrameItem):
                self.fanout.forward(item.channel, item.frame)
            elif isinstance(item, CommitItem):
                self.gateway.committed((output_of(item),))
            elif isinstance(item, CutItem):
                self.fanout.books.cut(item.interval_ms, feed.partition(".")[0])
            elif isinstance(item, BatchItem):
                self.gateway.update_batch(item.row)
            elif isinstance(item, ReadinessItem):
                self._heard = item.readiness

    def missed(self, feed: str) -> None:
        """Frames are lost for good: who listens to single events is told by a closed socket, states come again."""
        if feed.endswith(EVENTS):
            return
        lost = self.fanout.subscribers_of(lambda name: parse_channel(name).kind not in _MENDED)
        for connection in list(self.gateway.sockets):
            if connection in lost:
                connection.shutdown()

    def _readiness(self) -> Readiness:
        trouble = self._trouble()
        if trouble:
            return Readiness(ready=False, reason=trouble, chain=self._heard.chain, degraded=True)
        return self._heard
