"""A market-data gateway: public reads and channels on a port of its own, from Redis and the exchange's feeds.

Redis pub/sub --> follower --> state and subscriptions --> clients
Redis Stream, exchange --^ what is missing              Compare, once a second --> exchange
"""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Final

import uvloop

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.app.public_feeds import feed_name
from exchange.app.serving import Server, listen
from exchange.app.venue import venue_of
from exchange.bus.endings import end_tasks
from exchange.bus.feed_desk import FeedOrigin
from exchange.bus.feed_follower import FeedFollower
from exchange.bus.redis_reader import RedisReader
from exchange.bus.unix_socket import LinkClosed, UnixPort
from exchange.gateway.market_data import MarketDataGateway
from settlement.onchain.deployment import load_deployment

__all__ = ["FeedSession", "run"]

_COMPARE_S: Final = 1.0
_RETRY_S: Final = 0.2
_ANSWER_S: Final = 2.0


def run(settings: Settings, name: str) -> None:
    """Serve until SIGTERM. `name` ends in the gateway's number, counted from 1. Raises Failure."""
    directory = DataDirectory(settings.data.resolve())
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; `offbook up` deploys the contracts first")
    session = FeedSession(settings.redis, directory, name)
    market_data = MarketDataGateway(
        venue_of(settings, deployment),
        exchange_url=f"http://{settings.host}:{settings.port}",
        clock_ns=time.time_ns,
        trouble=session.trouble,
        extra_metrics=session.metrics,
    )
    port = settings.gateway_ports[int(name.removeprefix("gateway")) - 1]
    uvloop.run(_serve(settings, port, session, market_data))


async def _serve(settings: Settings, port: int, session: "FeedSession", market_data: MarketDataGateway) -> None:
    stop = stop_event()
    listener: socket.socket = listen(settings.host, port)
    server = Server(market_data.gateway.uvicorn_config(settings.host, port))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    following = asyncio.create_task(session.run(market_data))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    market_data.gateway.stop()
    server.should_exit = True
    await serving
    if following.done():
        following.result()
    await end_tasks(following)


class FeedSession:
    """Keeps a gateway in step with the exchange: the subscription to Redis and the link to the exchange itself."""

    def __init__(self, redis_url: str, directory: DataDirectory, name: str) -> None:
        """Nothing is connected before `run`."""
        self._path = directory.socket
        self._name = name
        self._reader = RedisReader(redis_url, feed_name(directory), self._hear)
        self._follower: FeedFollower | None = None
        self._changed = asyncio.Event()
        self._compared_s = float("-inf")

    def trouble(self) -> str:
        """Why the gateway is not in step, "" when it is. A Redis that is away only makes it slower."""
        if time.monotonic() - self._compared_s > 3 * _COMPARE_S:
            return "the exchange does not answer; what is shown may be old"
        if self._follower is None or not self._follower.is_whole:
            return "loading the public state"
        return ""

    def metrics(self) -> dict[str, float]:
        """Counters for /metrics."""
        follower = self._follower
        return {
            "redis_up": int(self._reader.is_connected),
            "redis_failures_total": self._reader.failure_count,
            "feed_blobs_heard_total": self._reader.heard_count,
            "feed_gaps_total": follower.gap_count if follower else 0,
            "feed_reloads_total": follower.reload_count if follower else 0,
        }

    async def run(self, sink: MarketDataGateway) -> None:
        """Follow until cancelled."""
        follower = self._follower = FeedFollower(self._reader, sink)
        sink.fanout.on_change = self._changed.set
        reading = asyncio.create_task(self._reader.run())
        try:
            while True:
                with suppress(OSError, LinkClosed, LookupError, TimeoutError):
                    await self._linked(follower, sink)
                follower.origin = None
                await asyncio.sleep(_RETRY_S)
        finally:
            follower.stop()
            await end_tasks(reading)

    async def _linked(self, follower: FeedFollower, sink: MarketDataGateway) -> None:
        port = await UnixPort.connect(self._path)
        origin = FeedOrigin(port.fetch)
        try:
            while True:
                self._changed.clear()
                async with asyncio.timeout(_ANSWER_S):
                    compared = await origin.compare(self._name, sink.fanout.channels)
                if compared.epoch:
                    follower.origin = origin
                    follower.compare(compared, time.monotonic())
                    self._compared_s = time.monotonic()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_COMPARE_S if follower.is_whole else _RETRY_S):
                        await self._changed.wait()
        finally:
            port.close()

    def _hear(self, feed: str, data: bytes) -> None:
        if self._follower is not None:
            self._follower.hear(feed, data)
