"""Hostile and slow clients: the connection lives where it can, the others notice nothing."""

import asyncio
import json
import socket
import struct
from collections.abc import Coroutine
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from exchange.gateway.settings import GatewaySettings
from tests.fakes.live_gateway import Client, Live, login_params, serve, until


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


UPGRADE = (
    b"GET /v3/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def text(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """A masked client frame."""
    return bytes(Frame(opcode, payload, fin).serialize(mask=True))


async def raw(live: Live, after: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Upgrade by hand, with bytes behind the request in the same segment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(UPGRADE + after)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head.splitlines()[0]
    return reader, writer


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one unmasked server frame as (opcode, payload)."""
    first, second = await asyncio.wait_for(reader.readexactly(2), 5)
    size = second & 127
    if size == 126:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", await reader.readexactly(8))
    return first & 15, await reader.readexactly(size)


async def closing(live: Live, data: bytes) -> int:
    """Send bytes and return the close code."""
    reader, writer = await raw(live)
    writer.write(data)
    opcode, payload = await frame(reader)
    writer.close()
    assert opcode == Opcode.CLOSE
    return int.from_bytes(payload[:2], "big")


GET_TIME = b'{"id":1,"method":"public/get_time"}'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (text(b"\xff\xfe"), 1007),
        (text(b'{"id":1,"method":"\xff"}'), 1007),
        (b"\x81\xff" + struct.pack(">Q", (1 << 20) + 1) + b"mask", 1009),
        (b"\x81\xff" + struct.pack(">Q", 1 << 62) + b"mask", 1009),
        (bytes(Frame(Opcode.TEXT, b"{}").serialize(mask=False)), 1002),
        (b"\xf1\x80mask", 1002),
        (b"\x83\x80mask", 1002),
        (text(b"x", Opcode.CONT), 1002),
        (b"\x89\xfe\x00\x7emask" + bytes(126), 1002),
    ],
    ids=[
        "not utf-8",
        "utf-8 broken in json",
        "frame over the limit",
        "frame of 2**62 bytes",
        "no mask",
        "reserved bits",
        "unknown opcode",
        "continuation of nothing",
        "long ping",
    ],
)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "library"])
def test_protocol_errors_close_with_their_code(data: bytes, code: int, *, compiled: bool) -> None:
    """Bad UTF-8 1007, too long 1009, everything else against RFC 6455 1002; other sockets go on."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(compiled_frames=compiled)) as live, live.client() as bystander:
            assert await closing(live, data) == code
            assert await bystander.call("public/get_time")

    run(story())


@pytest.mark.parametrize("bomb", [b'{"id":' + b"[" * 100_000, b'{"id":1,"method":"x","params":' + b'{"a":' * 100_000])
def test_a_depth_bomb_is_an_error_and_stops_nobody(bomb: bytes) -> None:
    """JSON that nests 100,000 deep is -32700; the same tick goes on with the frames behind it and other sockets."""

    async def story() -> None:
        async with serve() as live, live.client() as bystander:
            reader, writer = await raw(live)
            writer.write(text(bomb) + text(GET_TIME))
            await writer.drain()
            assert await bystander.call("public/get_time")
            assert json.loads((await frame(reader))[1])["error"]["code"] == -32700
            assert "result" in json.loads((await frame(reader))[1])
            writer.close()

    run(story())


def test_large_fragments_count_together() -> None:
    """Fragments that add up to more than 1 MiB are 1009 as well."""

    async def story() -> None:
        async with serve() as live:
            half = b" " * (600 << 10)
            data = text(half, fin=False) + text(half, Opcode.CONT)
            assert await closing(live, data) == 1009

    run(story())


@pytest.mark.parametrize(
    "data",
    [
        text(GET_TIME),
        text(GET_TIME, Opcode.BINARY),
        text(GET_TIME[:9], fin=False) + text(GET_TIME[9:], Opcode.CONT),
        text(GET_TIME[:9], fin=False) + text(b"", Opcode.CONT, fin=False) + text(GET_TIME[9:], Opcode.CONT),
    ],
    ids=["text", "binary", "two fragments", "three fragments, one empty"],
)
@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "library"])
def test_messages_survive_any_split(data: bytes, step: int, *, compiled: bool) -> None:
    """Text, binary and fragmented messages arrive whole, whatever the segments."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(compiled_frames=compiled)) as live:
            reader, writer = await raw(live)
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()
                await asyncio.sleep(0)
            opcode, payload = await frame(reader)
            assert opcode == Opcode.TEXT
            assert "result" in json.loads(payload)
            writer.close()

    run(story())


def test_bytes_behind_the_upgrade_are_not_lost() -> None:
    """A frame in the same segment as the upgrade request is answered."""

    async def story() -> None:
        async with serve() as live:
            reader, writer = await raw(live, after=text(GET_TIME))
            assert "result" in json.loads((await frame(reader))[1])
            writer.close()

    run(story())


def test_the_codec_reads_who_fragments_once_and_who_is_hasty() -> None:
    """Neither bytes behind the upgrade nor a fragmented message leave a connection to the library for good."""

    async def story() -> None:
        async with serve() as live:
            hasty = text(GET_TIME)
            reader, writer = await raw(live, after=hasty[:9])
            writer.write(hasty[9:] + text(GET_TIME[:9], fin=False) + text(GET_TIME[9:], Opcode.CONT))
            for _ in range(2):
                assert "result" in json.loads((await frame(reader))[1])
            connection = next(iter(live.gateway.sockets))
            assert connection._reader is not None
            assert connection._reader._codec is not None
            assert connection._reader._codec.read(text(b"{}")) == [[b"{}"]]
            writer.close()

    run(story())


def test_a_bare_ping_is_answered_in_either_form() -> None:
    """As many pongs as pings, and the request between them has its reply."""

    async def story() -> None:
        async with serve() as live:
            reader, writer = await raw(live)
            writer.write(text(b"ping") + text(GET_TIME) + text(b"ping", Opcode.BINARY))
            answers = [(await frame(reader))[1] for _ in range(3)]
            assert answers[:2] == [b"pong", b"pong"]
            assert "result" in json.loads(answers[2])
            writer.close()

    run(story())


def test_pings_between_fragments() -> None:
    """A ping inside a fragmented message gets its pong, and the message its reply."""

    async def story() -> None:
        async with serve() as live:
            reader, writer = await raw(live)
            writer.write(text(GET_TIME[:9], fin=False) + text(b"hello", Opcode.PING) + text(GET_TIME[9:], Opcode.CONT))
            assert await frame(reader) == (Opcode.PONG, b"hello")
            assert (await frame(reader))[0] == Opcode.TEXT
            writer.close()

    run(story())


def test_a_polite_close_is_answered() -> None:
    """A close frame gets a close frame, and the session ends."""

    async def story() -> None:
        async with serve() as live:
            async with live.client(live.exchange.traders[0]) as client:
                assert live.exchange.port.state.sessions
                await client.raw.close(1000)
                assert client.raw.close_code == 1000
            await until(lambda: not live.exchange.port.state.sessions)

    run(story())


def test_upgrade_headers_name_the_environment() -> None:
    """X-Offbook-* tell environment, chain and schema before any frame."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert client.raw.response is not None
            headers = client.raw.response.headers
            assert (headers["X-Offbook-Env"], headers["X-Offbook-Chain-Id"]) == ("test", "424242")

    run(story())


def test_all_frames_of_one_read_get_one_write() -> None:
    """A hundred requests in one segment are answered in their order, in at most two writes."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            connection = next(iter(live.gateway.sockets))
            writes: list[bytes] = []
            transport = connection._transport
            assert transport is not None
            connection._transport = _Spy(transport, writes)  # type: ignore[assignment]
            frames = [text(b'{"id":%d,"method":"public/get_time"}' % number) for number in range(100)]
            assert client.raw.transport is not None
            client.raw.transport.write(b"".join(frames))
            for number in range(100):
                assert (await client.reply(number))["id"] == number
            assert len(writes) <= 2

    run(story())


class _Spy:
    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_a_stalled_reader_is_conflated_then_closed() -> None:
    """Public items stop for a reader that does not read; private ones close it with 1013; others get everything."""

    async def story() -> None:
        settings = GatewaySettings(
            dirty_bytes=8 << 10,
            clean_bytes=1 << 10,
            close_bytes=64 << 10,
            send_buffer_bytes=4 << 10,
            stream_interval_s=0.005,
            quiet_interval_s=0.005,
            close_after_s=1.0,
        )
        async with serve(settings=settings) as live:
            one, two = live.exchange.traders[:2]
            channel = "orderbook.BTC-PERP.1.100"
            async with live.client(one) as maker, live.client(two) as watcher:
                reader, writer = await raw_small_buffer(live)
                writer.write(
                    text(json.dumps({"id": 1, "method": "subscribe", "params": {"channels": [channel]}}).encode())
                )
                await watcher.call("subscribe", {"channels": [channel]})
                for step in range(40):
                    await maker.place("BTC-PERP", "buy", "1", str(70_000 + step))
                stalled = next(row for row in live.gateway.sockets if row.identity is None)
                await until(lambda: stalled._is_lagging)
                assert live.gateway.fanout.dropped_count >= 0
                assert stalled.queued_bytes() < 64 << 10
                data = await watcher.note(channel, lambda shown: len(shown["bids"]) == 40)
                assert data["bids"][0][0] == "70039"
                await until(lambda: stalled not in live.gateway.sockets)
                assert stalled not in live.gateway.sockets
                assert live.gateway.slow_closed_count == 1
                assert await watcher.call("public/get_time")
                # Its own end would wait behind frames that nobody reads any more.
                await watcher.call("unsubscribe", {"channels": [channel]})
                writer.close()
                assert reader is not None

    run(story())


def test_a_burst_of_requests_is_slowed_down_and_not_punished() -> None:
    """Replies of a reader that is behind wait with it: its buffer stays bounded, cancels pass, and nothing is lost."""

    async def story() -> None:
        settings = GatewaySettings(
            dirty_bytes=8 << 10, clean_bytes=1 << 10, close_bytes=64 << 10, send_buffer_bytes=4 << 10, frames_per_tick=4
        )
        async with serve(settings=settings) as live:
            reader, writer = await raw_small_buffer(live)
            trader = live.exchange.traders[0]
            writer.write(_request(0, "public/login", login_params(trader)))
            writer.write(b"".join(_request(number, "public/get_limits", {}) for number in range(1, 200)))
            connection = next(iter(live.gateway.sockets))
            await until(lambda: connection._is_lagging)
            cancel_all = {"subaccount_id": trader.subaccount_id}
            writer.write(_request(200, "private/cancel_all", cancel_all))
            assert connection.queued_bytes() < 64 << 10
            replies = [json.loads((await frame(reader))[1]) for _ in range(201)]
            assert sorted(row["id"] for row in replies) == list(range(201))
            assert all("result" in row for row in replies)
            assert not connection._is_lagging
            assert live.gateway.slow_closed_count == 0
            writer.close()

    run(story())


def _request(number: int, method: str, params: dict[str, Any]) -> bytes:
    return text(json.dumps({"id": number, "method": method, "params": params}).encode())


async def raw_small_buffer(live: Live) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose kernel takes little and whose program reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 10)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", live.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 10)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_reading_pauses_while_too_much_is_unanswered() -> None:
    """Above 256 unanswered requests the socket is not read; below 64 it is again, and nothing is lost."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            port = live.exchange.port
            sub = live.exchange.traders[0].subaccount_id
            connection = next(iter(live.gateway.sockets))
            port.held = True
            numbers = [await client.send("private/get_open_orders", {"subaccount_id": sub}) for _ in range(400)]
            await until(lambda: connection._is_paused)
            port.held = False
            port.commit()
            replies = [await client.reply(number) for number in numbers]
            assert all("result" in row for row in replies)
            assert not connection._is_paused

    run(story())


def test_shutdown_says_1012() -> None:
    """A server that stops closes its sockets with 1012."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            live.gateway.stop()
            with pytest.raises(ConnectionClosed):
                await client.raw.recv()
            assert client.raw.close_code == 1012

    run(story())


def test_sockets_per_address_are_bounded() -> None:
    """One socket too many is refused with 503 and a code in its text."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(sockets_per_ip=1)) as live, live.client():
            with pytest.raises(Exception, match="503"):
                async with live.client():
                    pass

    run(story())


async def read_for_ever(client: Client) -> None:
    """Read until the socket is closed."""
    while True:
        await client.raw.recv()


def test_heartbeats() -> None:
    """set_heartbeat is answered, test tells the version, disable ends it."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert await client.call("public/set_heartbeat", {"interval": 10}) == "ok"
            connection = next(iter(live.gateway.sockets))
            connection.set_heartbeat(0.2)
            while not any(row.get("method") == "heartbeat" for row in client.frames):
                assert (await client.call("public/test"))["version"]
                await asyncio.sleep(0.05)
            assert await client.call("public/disable_heartbeat") == "ok"
            connection.set_heartbeat(0.2)
            with pytest.raises(ConnectionClosed):
                await read_for_ever(client)
            assert client.raw.close_code == 4002

    run(story())
