"""Brings the blobs of all feeds from Redis: pub/sub as they are published, Stream and snapshots when asked.

Nothing here fails its caller: a Redis that does not answer is an empty answer, and the connection is made again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from redis.exceptions import RedisError

from exchange.bus.feed_blobs import Blob, decode_blob
from exchange.bus.feed_desk import Snapshot
from exchange.bus.redis_keys import STREAM_BLOBS, connect, feed_key, feed_of, feed_pattern, snapshot_key
from exchange.domain.packing import BadRecord

__all__ = ["RedisReader"]

_IDLE_S: Final = 0.5
_SILENT_S: Final = 2.0
_RETRY_S: Final = 0.2
_PAGE: Final = 128
_decode_snapshot: Final = msgspec.msgpack.Decoder(Snapshot).decode
_FAILURES: Final = (RedisError, OSError, TimeoutError, ValueError)
_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


class RedisReader:
    """One subscription to all feeds of the exchange called `name`."""

    def __init__(self, url: str, name: str, on_blob: Callable[[str, bytes], None]) -> None:
        """`on_blob` gets feed and bytes of each blob that arrives."""
        self._url = url
        self._name = name
        self._on_blob = on_blob
        self._client: Any = None
        self.is_connected = False
        self.failure_count = 0
        self.heard_count = 0

    async def run(self) -> None:
        """Listen until cancelled; a broken connection is made again."""
        while True:
            client = connect(self._url)
            try:
                await self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, the follower asks the exchange meanwhile
                self.failure_count += 1
                if self.is_connected:
                    _log.warning("redis_lost error=%r", error)
            finally:
                self.is_connected, self._client = False, None
                with contextlib.suppress(*_FAILURES):
                    await client.aclose()
            await asyncio.sleep(_RETRY_S)

    async def since(self, feed: str, epoch: int, seq: int) -> list[Blob]:
        """Blobs of `epoch` from the Stream, newest pages first until item `seq` is among them."""
        return await self._read(lambda client: self._pages(client, feed, epoch, seq), [])

    async def snapshot(self, feed: str) -> Snapshot | None:
        """Newest snapshot that was kept, None when there is none that can be read."""

        async def read(client: Any) -> Snapshot | None:
            body = await client.get(snapshot_key(self._name, feed))
            return None if body is None else _decode_snapshot(body)

        return await self._read(read, None)

    async def _read(self, read: Callable[[Any], Awaitable[_Value]], otherwise: _Value) -> _Value:
        client = self._client
        if client is None:
            return otherwise
        try:
            return await read(client)
        except (*_FAILURES, BadRecord, LookupError, msgspec.MsgspecError):
            self.failure_count += 1
            return otherwise

    async def _pages(self, client: Any, feed: str, epoch: int, seq: int) -> list[Blob]:
        found: list[Blob] = []
        newest = "+"
        while len(found) < 2 * STREAM_BLOBS:
            rows = await client.xrevrange(feed_key(self._name, feed), newest, "-", count=_PAGE)
            blobs = [decode_blob(fields[b"b"]) for _, fields in rows]
            found += [blob for blob in blobs if blob.epoch == epoch]
            if len(rows) < _PAGE or blobs[-1].epoch != epoch or blobs[-1].first_seq <= seq:
                break
            newest = f"({rows[-1][0].decode()}"
        return found

    async def _listen(self, client: Any) -> None:
        pubsub = client.pubsub()
        try:
            await pubsub.psubscribe(feed_pattern(self._name))
            await self._hear(client, pubsub)
        finally:
            with contextlib.suppress(*_FAILURES):
                await pubsub.aclose()

    async def _hear(self, client: Any, pubsub: Any) -> None:
        """Take messages; a server that answers no ping for a while is left."""
        clock = asyncio.get_running_loop().time
        heard_s = clock()
        while True:
            message = await pubsub.get_message(timeout=_IDLE_S)
            if message is None:
                if clock() - heard_s > _SILENT_S:
                    raise TimeoutError("Redis is silent")
                await pubsub.ping()
                continue
            heard_s = clock()
            if message["type"] == "psubscribe":
                self._client, self.is_connected = client, True
            elif message["type"] == "pmessage":
                self.heard_count += 1
                self._on_blob(feed_of(message["channel"].decode()), message["data"])
