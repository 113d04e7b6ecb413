"""One websocket: requests with their answers, notifications to subscriptions, reconnection with backoff.

A dropped socket fails every open request (ConnectionLost, `sent`), then a new one is opened; `on_open` logs in again
and all channels are subscribed again before `request` works for others.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import WebSocketException

from exchange.client.errors import AnswerMissing, ConnectionLost, OffbookError, StreamBroken
from exchange.client.streams import Subscription

__all__ = ["Connection"]

_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0
_MAX_FRAME_BYTES = 8 << 20
_HISTORY_UNAVAILABLE = "20040"
_HISTORY_ATTEMPTS = 20
"""Reconnections in a row after which a stream whose place cannot be looked up ends: about 80 s."""
_OUTSIDE = (OSError, WebSocketException, TimeoutError)


class Connection:
    """A reconnecting JSON-RPC socket. `open()` raises what the first attempt raises; later ones are retried."""

    def __init__(self, url: str, *, on_open: Callable[[], Awaitable[None]], answer_timeout_s: float = 10.0) -> None:
        self._url = url
        self._on_open = on_open
        self._timeout_s = answer_timeout_s
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[str, list[Subscription]] = {}
        self._socket: ClientConnection | None = None
        self._ready = asyncio.Event()
        self._closed = False
        self._lookups_failed = 0
        self._keeper: asyncio.Task[None] | None = None
        self.reconnections = 0

    async def open(self) -> None:
        """Connect, run `on_open` and keep the connection from now on. Raises ConnectionLost or OffbookError."""
        try:
            socket = await self._dial()
        except _OUTSIDE as error:
            raise ConnectionLost(f"cannot reach {self._url}: {error}") from error
        reader = asyncio.create_task(self._read(socket))
        try:
            await self._greet()
        except BaseException:
            await self._abandon(socket, reader)
            raise
        self._keeper = asyncio.create_task(self._keep(socket, reader))

    async def ready(self) -> None:
        """Wait until the socket is open and logged in. Raises ConnectionLost once the client is closed."""
        await self._ready.wait()
        if self._closed:
            raise ConnectionLost("the client is closed")

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        """Send one request and return its `result`. Raises OffbookError, ConnectionLost, AnswerMissing."""
        if not self._ready.is_set():
            raise ConnectionLost("not connected")
        return await self.call(method, params)

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """Like `request`, but open to `on_open`, which runs before the connection is ready."""
        if self._socket is None or self._closed:
            raise ConnectionLost("not connected")
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._socket.send(msgspec.json.encode({"id": number, "method": method, "params": params}), text=True)
            async with asyncio.timeout(self._timeout_s):  # wait_for of Python 3.11 can swallow a cancellation
                return await answer
        except TimeoutError as error:
            raise AnswerMissing(f"{method}: no answer within {self._timeout_s} s") from error
        except WebSocketException as error:
            raise ConnectionLost(f"{method}: {error}", sent=True) from error
        finally:
            self._waiting.pop(number, None)

    async def subscribe(self, stream: Subscription) -> None:
        """Attach `stream` to its channel. Raises StreamBroken with the exchange's reason when it is refused."""
        streams = self._streams.setdefault(stream.channel, [])
        streams.append(stream)
        if len(streams) > 1:
            return
        try:
            refused = await self._subscribe([stream.channel])
        except BaseException:
            self._detach(stream)
            raise
        if refused:
            self._detach(stream)
            raise StreamBroken(f"{stream.channel}: {refused.get(stream.channel, refused)}")

    def _detach(self, stream: Subscription) -> None:
        streams = self._streams.get(stream.channel, [])
        if stream in streams:
            streams.remove(stream)
        if not streams:
            self._streams.pop(stream.channel, None)

    async def unsubscribe(self, stream: Subscription) -> None:
        """Detach `stream`; the channel is left with its last one."""
        streams = self._streams.get(stream.channel, [])
        if stream in streams:
            streams.remove(stream)
        if not streams and self._streams.pop(stream.channel, None) is not None:
            with contextlib.suppress(ConnectionLost, AnswerMissing, OffbookError):
                await self.request("unsubscribe", {"channels": [stream.channel]})
        stream.end("closed")

    async def close(self) -> None:
        """End the socket, the reader and every subscription. Idempotent."""
        self._closed = True
        self._ready.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for stream in list(itertools.chain.from_iterable(self._streams.values())):
            stream.end("the client is closed")
        self._streams.clear()

    async def _dial(self) -> ClientConnection:
        # No proxy from the environment and no compression: the peer is usually this host.
        socket = await open_socket(self._url, compression=None, proxy=None, max_size=_MAX_FRAME_BYTES, close_timeout=1)
        self._socket = socket
        return socket

    async def _greet(self) -> None:
        await self._on_open()
        if self._streams:
            await self._subscribe(list(self._streams))
        self._ready.set()

    async def _subscribe(self, channels: list[str]) -> dict[str, str]:
        """Subscribe and return what was refused, whose streams end; after a reconnection that is their news alone."""
        seqs = {name: stream.resume_from for name in channels for stream in self._streams.get(name, ())[:1]}
        resume_from = {name: seq for name, seq in seqs.items() if seq is not None}
        params = {"channels": channels} | ({"resume_from": resume_from} if resume_from else {})
        result = await self.call("subscribe", params)
        for name, seq in result.get("account_seq", {}).items():
            for stream in self._streams.get(name, ()):
                stream.begin(seq)
        refused = {name: text for name, text in result["status"].items() if text != "ok"}
        self._check_history([str(text) for name, text in refused.items() if name in resume_from])
        for name, text in refused.items():
            for stream in self._streams.get(name, []):
                stream.end(str(text))
        return refused

    def _check_history(self, refusals: list[str]) -> None:
        """ConnectionLost, so that a new socket asks again, while the exchange cannot tell what it remembers."""
        is_unavailable = any(text.startswith(_HISTORY_UNAVAILABLE) for text in refusals)
        self._lookups_failed = self._lookups_failed + 1 if is_unavailable else 0
        if 0 < self._lookups_failed < _HISTORY_ATTEMPTS:
            raise ConnectionLost("the exchange cannot read its history now")

    async def _keep(self, socket: ClientConnection, reader: asyncio.Task[None]) -> None:
        try:
            while True:
                await asyncio.wait([reader])
                await self._abandon(socket, reader)
                socket, reader = await self._reopen()
                self.reconnections += 1
        finally:
            await self._abandon(socket, reader)

    async def _reopen(self) -> tuple[ClientConnection, asyncio.Task[None]]:
        pause_s = _FIRST_BACKOFF_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_BACKOFF_S)
            try:
                socket = await self._dial()
            except _OUTSIDE:
                continue
            reader = asyncio.create_task(self._read(socket))
            try:
                await self._greet()
            except (ConnectionLost, AnswerMissing, OffbookError, *_OUTSIDE):
                await self._abandon(socket, reader)
                continue
            except BaseException:
                await self._abandon(socket, reader)
                raise
            return socket, reader

    async def _abandon(self, socket: ClientConnection, reader: asyncio.Task[None]) -> None:
        self._lose_socket()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        self._fail_waiting()
        await socket.close()

    def _lose_socket(self) -> None:
        self._socket = None
        if not self._closed:
            self._ready.clear()

    def _fail_waiting(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionLost("the socket ended before the answer", sent=True))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                self._take(msgspec.json.decode(frame))
        except WebSocketException:
            pass
        finally:
            if self._socket is socket:
                self._lose_socket()
            self._fail_waiting()

    def _take(self, frame: dict[str, Any]) -> None:
        if frame.get("method") == "subscription":
            params = frame["params"]
            for stream in self._streams.get(params["channel"], ()):
                stream.put(params["data"], params.get("seq"))
            return
        answer = self._waiting.get(frame.get("id", 0))
        if answer is None or answer.done():
            return
        error = frame.get("error")
        if error is None:
            answer.set_result(frame.get("result"))
        else:
            answer.set_exception(OffbookError(error["code"], error["message"], error.get("data")))
