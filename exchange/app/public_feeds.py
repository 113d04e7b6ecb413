"""The exchange's public feeds for other gateways: composed here, carried by Redis, answered for over the bus."""

import asyncio
import hashlib
import logging
import os
import time
from typing import Final

from exchange.app.config import Settings
from exchange.app.layout import DataDirectory
from exchange.bus.endings import end_tasks
from exchange.bus.feed_desk import FEED_TOPIC, FeedDesk
from exchange.bus.redis_publisher import RedisPublisher
from exchange.bus.unix_socket import UnixSocketServer
from exchange.gateway.gateway import Gateway
from exchange.gateway.public_feed import PublicFeed
from exchange.wire.objects import BatchRow

__all__ = ["PublicFeeds", "feed_name"]

_EXPIRE_S: Final = 1.0
_log = logging.getLogger(__name__)


def feed_name(directory: DataDirectory) -> str:
    """What tells this exchange from others on the same Redis: 8 hex digits of its data directory's path."""
    return hashlib.sha256(os.fsencode(directory.root)).hexdigest()[:8]


class PublicFeeds:
    """Feed, publisher and desk of one exchange process. Nothing here can end or delay it."""

    def __init__(self, settings: Settings, directory: DataDirectory, gateway: Gateway, epoch: int) -> None:
        """Nothing is heard or sent before `start`."""
        self._gateway = gateway
        self._epoch = epoch
        self.name = feed_name(directory)
        self._url = settings.redis
        self._feed: PublicFeed | None = None
        self._publisher: RedisPublisher | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, bus: UnixSocketServer) -> None:
        """Publish from now on; after the gateway's start, so that a commit is in its state before it is published."""
        news = asyncio.Event()
        feed = self._feed = PublicFeed(self._gateway, self._epoch, news.set, time.monotonic)
        publisher = self._publisher = RedisPublisher(self._url, self.name, feed.writer, news)
        desk = FeedDesk(feed.writer, snapshot=feed.snapshot, want=feed.want, keep=publisher.keep_snapshot)
        bus.on_fetch(FEED_TOPIC, desk.answer)
        self._tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(_expire(feed))]

    async def stop(self) -> None:
        """End it; what Redis has not got by now it does not get."""
        await end_tasks(*self._tasks)

    def update_batch(self, row: BatchRow) -> None:
        """Take the chain's view of a batch, after the gateway."""
        if self._feed is not None:
            self._feed.update_batch(row)

    def metrics(self) -> dict[str, float]:
        """Counters for /metrics."""
        if self._feed is None or self._publisher is None:
            return {}
        return {**self._publisher.metrics(), "feed_channels": self._feed.channel_count}


async def _expire(feed: PublicFeed) -> None:
    while True:
        await asyncio.sleep(_EXPIRE_S)
        try:
            feed.expire()
        except Exception:  # noqa: BLE001 - gateways lose channels, the exchange loses nothing
            _log.exception("feed_expiry_failed")
