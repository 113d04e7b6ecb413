"""Carries feeds to Redis: each blob to the pub/sub channel of its feed and to a bounded Stream under the same name.

It reads the writer's rings with a cursor per feed. A Redis that is slow, paused, dead or full moves no cursor and costs
the exchange nothing but this task: what falls off a ring meanwhile is counted as dropped, readers find the gap and ask
the exchange. Nothing here is waited for by anybody.
"""

import asyncio
import contextlib
import logging
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from exchange.bus.feed_blobs import FeedWriter
from exchange.bus.redis_keys import KEPT_S, STREAM_BLOBS, connect, feed_key, snapshot_key

__all__ = ["RedisPublisher"]

_PIPELINE_BLOBS: Final = 128
_IDLE_S: Final = 1.0
_RETRY_S: Final = 0.2
_BETWEEN_S: Final = 0.002
"""Pause between two writes: ticks that come faster leave together."""
_log = logging.getLogger(__name__)


class RedisPublisher:
    """One task that sends what is new. `name` keeps exchanges on one server apart."""

    def __init__(self, url: str, name: str, writer: FeedWriter, news: asyncio.Event) -> None:
        """Nothing is sent before `run`. `news` is set when the writer cut something."""
        self._url = url
        self._name = name
        self._writer = writer
        self._epoch = writer.epoch
        self._sent: dict[str, int] = {}
        self._snapshots: dict[str, bytes] = {}
        self._news = news
        self.sent_count = 0
        self.dropped_count = 0
        self.failure_count = 0
        self.refused_count = 0
        """Stream entries and snapshots that a full Redis refused; pub/sub goes on."""
        self.is_connected = False

    def keep_snapshot(self, feed: str, body: bytes) -> None:
        """Put a snapshot beside the feed, in place of the one before."""
        self._snapshots[feed] = body
        self._news.set()

    def metrics(self) -> dict[str, float]:
        """Counters for /metrics."""
        return {
            "redis_up": int(self.is_connected),
            "redis_blobs_sent_total": self.sent_count,
            "redis_blobs_dropped_total": self.dropped_count,
            "redis_failures_total": self.failure_count,
            "redis_refused_total": self.refused_count,
            "public_items_total": self._writer.item_count,
        }

    async def run(self) -> None:
        """Send until cancelled; a failure is counted, and the next attempt begins with a new connection."""
        while True:
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - whatever it is, the exchange goes on and this begins again
                self.failure_count += 1
                if self.is_connected or self.failure_count == 1:
                    _log.warning("redis_lost error=%r", error)
                self.is_connected = False
            await asyncio.sleep(_RETRY_S)

    async def _session(self) -> None:
        client = connect(self._url)
        try:
            await client.ping()
            self.is_connected = True
            while True:
                self._news.clear()
                if not await self._send(client):
                    await self._idle(client)
                await asyncio.sleep(_BETWEEN_S)
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await client.aclose()

    async def _idle(self, client: Any) -> None:
        """Wait for news; a quiet second asks whether Redis is still there."""
        try:
            async with asyncio.timeout(_IDLE_S):
                await self._news.wait()
        except TimeoutError:
            await client.ping()

    async def _send(self, client: Any) -> int:
        """Send a bounded part of what is new; returns how much. Cursors move when Redis has answered."""
        pipe = client.pipeline(transaction=False)
        if self._epoch != self._writer.epoch:
            self._epoch, self._sent = self._writer.epoch, {}
        published: list[int] = []
        after: dict[str, int] = {}
        for feed in list(self._writer.rings):
            self._put(pipe, feed, published, after)
        snapshots, self._snapshots = self._snapshots, {}
        for feed, body in snapshots.items():
            pipe.set(snapshot_key(self._name, feed), body, ex=KEPT_S)
        if not len(pipe):
            return 0
        self._count_refusals(await pipe.execute(raise_on_error=False), published)
        if self._epoch == self._writer.epoch:
            self._sent.update(after)
        self.sent_count += len(published)
        return len(published) + len(snapshots)

    def _put(self, pipe: Any, feed: str, published: list[int], after: dict[str, int]) -> None:
        """Put what is new of a feed into the pipeline: the places of its publications, and where the cursor goes."""
        ring = self._writer.rings[feed]
        number = self._sent.get(feed, 0)
        if number < ring.first_number:
            self.dropped_count += ring.first_number - number
            number = self._sent[feed] = ring.first_number
        blobs = ring.numbered(number, _PIPELINE_BLOBS - len(published))
        key = feed_key(self._name, feed)
        for blob in blobs:
            pipe.xadd(key, {"b": blob}, maxlen=STREAM_BLOBS, approximate=True)
            pipe.publish(key, blob)
            published.append(len(pipe) - 1)
        if blobs:
            pipe.expire(key, KEPT_S)
            after[feed] = number + len(blobs)

    def _count_refusals(self, results: list[object], published: list[int]) -> None:
        """A refused publication ends the session; entries that a full Redis refuses are counted."""
        for place in published:
            if isinstance(failed := results[place], Exception):
                raise failed
        for result in results:
            if isinstance(result, ResponseError):
                self.refused_count += 1
            elif isinstance(result, Exception):
                raise result
