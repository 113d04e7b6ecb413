"""An exchange and a market-data gateway with real sockets in one loop, joined by Redis and the exchange's socket."""

import asyncio
import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from exchange.app.config import Settings
from exchange.app.layout import DataDirectory
from exchange.app.market_gateway_process import FeedSession
from exchange.app.public_feeds import PublicFeeds
from exchange.bus.endings import end_tasks
from exchange.bus.unix_socket import UnixSocketServer
from exchange.client import BookMirror, BookOutOfStep
from exchange.gateway.market_data import MarketDataGateway
from exchange.wire.objects import BatchRow
from tests.fakes.live_gateway import Live, serve, until

__all__ = ["Listener", "Twins", "get", "listening", "serve_twins"]


@dataclass
class Listener:
    """Everything a subscriber got, as bytes, by channel and `seq`; of books also the copy that follows them."""

    raw: ClientConnection
    books: dict[str, BookMirror] = field(default_factory=dict)
    trouble: str = ""
    """Why a book's copy is wrong."""
    frames: dict[str, dict[int, bytes]] = field(default_factory=dict)
    close_code: int | None = None

    async def run(self) -> None:
        """Receive until the socket closes."""
        try:
            while True:
                self._take(await self.raw.recv(decode=False))
        except ConnectionClosed:
            self.close_code = self.raw.close_code
        except BookOutOfStep as error:
            self.trouble = str(error)

    def _take(self, data: bytes) -> None:
        frame = json.loads(data)
        if frame.get("method") == "subscription":
            params = frame["params"]
            if params["channel"].startswith("book."):
                book = self.books.setdefault(params["channel"], BookMirror())
                if not book.apply(params["data"]):
                    return
            got = self.frames.setdefault(params["channel"], {})
            assert params["seq"] not in got, f"twice: {data!r}"
            got[params["seq"]] = data

    def seqs(self, channel: str) -> list[int]:
        """Numbers of the items of a channel, in the order they came."""
        return list(self.frames.get(channel, ()))


@contextlib.asynccontextmanager
async def listening(port: int, *channels: str) -> AsyncIterator[Listener]:
    """Subscribe on the gateway at `port`."""
    async with connect(f"ws://127.0.0.1:{port}/v3/ws", compression=None) as raw:
        await raw.send(json.dumps({"id": 1, "method": "subscribe", "params": {"channels": list(channels)}}))
        reply = json.loads(await asyncio.wait_for(raw.recv(), 5))
        assert reply["result"]["status"] == dict.fromkeys(channels, "ok"), reply
        listener = Listener(raw)
        task = asyncio.create_task(listener.run())
        try:
            yield listener
        finally:
            task.cancel()


async def get(port: int, method: str, **params: Any) -> dict[str, Any]:
    """Envelope of a REST call."""

    def send() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v3/{method}?{urlencode(params)}", timeout=5) as reply:
            envelope: dict[str, Any] = json.load(reply)
            return envelope

    return await asyncio.to_thread(send)


@dataclass
class Twins:
    """The exchange's gateway, and the one that follows it."""

    live: Live
    feeds: PublicFeeds
    session: FeedSession
    market_data: MarketDataGateway
    bus: UnixSocketServer
    port: int

    @property
    def live_port(self) -> int:
        """Port of the exchange itself."""
        return self.live.port

    def update_batch(self, row: BatchRow) -> None:
        """The settler reported a batch."""
        self.live.gateway.update_batch(row)
        self.feeds.update_batch(row)

    def figure(self, name: str) -> float:
        """A counter of either side: the exchange's publisher, or the follower's."""
        return (self.feeds.metrics() | {f"follower_{key}": value for key, value in self.session.metrics().items()})[
            name
        ]


@contextlib.asynccontextmanager
async def serve_twins(
    folder: Path, url: str, *, before: Callable[[Live], Awaitable[None]] | None = None
) -> AsyncIterator[Twins]:
    """Run both until the block ends; the gateway is in step when it begins. `before` happens on the exchange alone."""
    directory = DataDirectory(folder / "data")
    directory.prepare()
    async with serve() as live:
        if before is not None:
            await before(live)
        bus = UnixSocketServer(live.exchange.port, directory.socket)
        await bus.start()
        feeds = PublicFeeds(Settings(data=directory.root, redis=url), directory, live.gateway, 1)
        session = FeedSession(url, directory, "gateway1")
        market_data = MarketDataGateway(
            live.exchange.venue, exchange_url=live.http, clock_ns=time.time_ns, trouble=session.trouble
        )
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(market_data.gateway.uvicorn_config("127.0.0.1", 0))
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        feeds.start(bus)
        following = asyncio.create_task(session.run(market_data))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.wait_for(until(lambda: server.started and not session.trouble()), 10)
            yield Twins(live, feeds, session, market_data, bus, listener.getsockname()[1])
        finally:
            await end_tasks(following)
            await feeds.stop()
            market_data.gateway.stop()
            server.should_exit = True
            await serving
            await bus.stop()
            listener.close()
