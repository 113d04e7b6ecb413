"""One socket: uvicorn hands us the upgraded transport, `frames` turns bytes into messages and back.

All frames of one read enter the inbox together; everything that a tick or a commit answers leaves in one write.
"""

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from exchange.gateway.calls import Call, Identity
from exchange.gateway.frames import COMPILED, MessageReader, joined_frames, text_frame
from exchange.gateway.intake import Lane
from exchange.wire.venue import SCHEMA_VERSION

if TYPE_CHECKING:
    from exchange.gateway.gateway import Gateway
    from exchange.gateway.topics import Topic

__all__ = ["SocketConnection", "connection_class"]

_PATHS: Final = frozenset({"/v3/ws", "/ws"})
_HEAD_END: Final = b"\r\n\r\n"
_PING: Final = b"ping"
_BAD_TEXT: Final = 1007
_SLOW_CONSUMER: Final = 1013
_HEARTBEAT_MISSED: Final = 4002
_GOING_AWAY: Final = 1012
_REASON_BYTES: Final = 123
"""Of a close frame, beside its code."""
_CLOSE_GRACE_S: Final = 5.0
_STOP_GRACE_S: Final = 1.0


class SocketConnection(asyncio.Protocol):
    """A client's socket. It is a `Client` of its calls and a `Subscriber` of channels."""

    gateway: "Gateway"
    is_socket: bool = True

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], **_: object) -> None:  # noqa: ARG002 - uvicorn's call
        """Be constructed by uvicorn at an upgrade."""
        self._connections = cast("set[Any]", server_state.connections)
        self._loop = asyncio.get_event_loop()
        self._protocol = ServerProtocol(max_size=self.gateway.settings.max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._reader: MessageReader | None = None
        self._replies: list[bytes] = []
        self._notes: list[bytes] = []
        self._is_flush_queued = False
        self._unanswered = 0
        self._is_paused = False
        self._is_lagging = False
        self._lag_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_s = 0.0
        self._test_sent = False
        self.heard_at = self._loop.time()
        self.is_open = False
        self.is_legacy = False
        self.address = ""
        self.identity: Identity | None = None
        self.cancel_on_disconnect = False
        self.has_logged_out = False
        self.channels: dict[str, Topic] = {}
        self.lane = Lane(self)

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        settings = self.gateway.settings
        # A reader that lags comes back by `resume_writing`, whatever else is sent to it.
        self._transport.set_write_buffer_limits(high=settings.dirty_bytes, low=settings.clean_bytes)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "local"
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        """Parse one read; what it asks is answered in the next tick."""
        reader = self._reader
        if reader is not None:
            self._take(reader.read(data))
        else:
            self._begin(data)
        self._write_protocol_output()
        self._pause_when_full()

    def eof_received(self) -> None:
        """Let the transport close itself."""
        self._protocol.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's call
        """End session, subscriptions and everything that has no sequence yet."""
        self._connections.discard(self)
        for timer in (self._timer, self._heartbeat):
            if timer is not None:
                timer.cancel()
        self._replies.clear()
        self._notes.clear()
        if self.is_open:
            self.is_open = False
            self.gateway.socket_closed(self)

    def pause_writing(self) -> None:
        """Do nothing: buffer sizes are checked at every flush instead."""

    def resume_writing(self) -> None:
        """Bring a lagging reader back to fresh snapshots."""
        self._check_lag()

    # --- uvicorn ----------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Close with 1012 when the server stops."""
        self.close(_GOING_AWAY, "server going down")

    # --- Client and Subscriber --------------------------------------------------------------------------------------

    def deliver(self, call: Call, frame: bytes) -> None:
        """Queue the reply of a call."""
        self._unanswered -= 1
        self.gateway.count_reply(call)
        self._queue_reply(frame)
        self._resume_when_drained()

    def refuse(self, frame: bytes) -> None:
        """Queue the reply to a frame that became no call."""
        self._unanswered -= 1
        self._queue_reply(frame)

    def notify(self, frame: bytes, *, is_private: bool) -> bool:
        """Queue a channel item. A lagging reader loses public ones, which are snapshots and come again."""
        if not self.is_open or (self._is_lagging and not is_private):
            return False
        self._notes.append(frame)
        self._queue_flush()
        return True

    def block(self) -> None:
        """Hold later calls of this socket."""
        self.lane.blocks += 1

    def unblock(self) -> None:
        """Let them go on."""
        self.lane.blocks -= 1
        if not self.lane.blocks:
            self.gateway.intake.resume(self.lane)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with `code`; what is queued goes first."""
        self._flush_now()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            self._protocol.send_close(code, reason)
        except InvalidState:
            transport.close()
            return
        self._write_protocol_output()
        self._loop.call_later(_STOP_GRACE_S if code == _GOING_AWAY else _CLOSE_GRACE_S, transport.abort)

    def queued_bytes(self) -> int:
        """Bytes that wait in user space for this reader."""
        written = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return written + sum(map(len, self._notes))

    def send_ping(self) -> None:
        """Send a protocol ping, or close a socket that has been silent too long."""
        settings = self.gateway.settings
        if self._loop.time() - self.heard_at > settings.idle_close_s:
            self.close(1000, "no frame for 10 minutes")
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._write_protocol_output()
        self._timer = self._loop.call_later(settings.ping_interval_s, self.send_ping)

    def set_heartbeat(self, interval_s: float) -> None:
        """Begin (or with 0 end) the application heartbeat (api.md 10.7)."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        self._heartbeat_s, self._test_sent = interval_s, False
        if interval_s:
            self._heartbeat = self._loop.call_later(interval_s, self._beat)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> None:
        """Read the handshake. Who sends it in one piece has the frames behind it read from their first byte on."""
        head, end, rest = data.partition(_HEAD_END)
        is_whole = head.startswith(b"GET ") and bool(end)
        self._protocol.receive_data(head + end if is_whole else data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._handshake(event)
        if self.is_open:
            settings = self.gateway.settings
            compiled = COMPILED and settings.compiled_frames and is_whole
            self._reader = MessageReader(
                self._protocol, self._refuse_text, max_bytes=settings.max_frame_bytes, compiled=compiled
            )
            self._take(self._reader.read(rest if is_whole else b""))

    def _take(self, messages: list[bytes]) -> None:
        """Queue what one read brought. A bare `ping` is answered here (T12)."""
        self.heard_at = self._loop.time()
        pings = messages.count(_PING)
        if pings:
            messages = [message for message in messages if message != _PING]
            for _ in range(pings):
                self._queue_reply(b"pong")
        if messages:
            self._unanswered += len(messages)
            self.gateway.intake.put_all(self.lane, messages)

    def _refuse_text(self) -> None:
        self.close(_BAD_TEXT, "text frames are UTF-8")

    def _beat(self) -> None:
        silent_s = self._loop.time() - self.heard_at
        if self._test_sent and silent_s >= 2 * self._heartbeat_s:
            self.close(_HEARTBEAT_MISSED, "heartbeat missed")
            return
        self._test_sent = silent_s >= self._heartbeat_s
        kind = b"test_request" if self._test_sent else b"heartbeat"
        self._notes.append(text_frame(b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"%s"}}' % kind))
        self._queue_flush()
        self._heartbeat = self._loop.call_later(self._heartbeat_s, self._beat)

    def _handshake(self, request: Request) -> None:
        refusal = self.gateway.refuse_socket(self.address)
        path = request.path.partition("?")[0]
        self.is_legacy = path == "/ws"
        if path not in _PATHS:
            response = self._protocol.reject(404, "no socket here; use /v3/ws\n")
        elif refusal:
            response = self._protocol.reject(503, refusal + "\n")
        else:
            response = self._protocol.accept(request)
        if response.status_code == 101:
            venue = self.gateway.core.venue
            response.headers["X-Offbook-Env"] = venue.env
            response.headers["X-Offbook-Chain-Id"] = str(venue.chain_id)
            response.headers["X-Offbook-Schema"] = SCHEMA_VERSION
        self._protocol.send_response(response)
        if response.status_code == 101:
            self.is_open = True
            self.gateway.socket_opened(self)
            self._timer = self._loop.call_later(self.gateway.settings.ping_interval_s, self.send_ping)

    def _pause_when_full(self) -> None:
        is_full = self._is_lagging or self._unanswered > self.gateway.settings.pause_at
        if is_full and not self._is_paused and self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume_when_drained(self) -> None:
        is_drained = not self._is_lagging and self._unanswered <= self.gateway.settings.resume_at
        if is_drained and self._is_paused and self._transport is not None and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _queue_reply(self, payload: bytes) -> None:
        if self.is_open:
            self._replies.append(payload)
            self._queue_flush()

    def _queue_flush(self) -> None:
        if not self._is_flush_queued:
            self._is_flush_queued = True
            self.gateway.queue_flush(self)

    def flush(self) -> None:
        """Write everything queued in one piece: replies first, so that no fill precedes the reply to its order."""
        self._is_flush_queued = False
        self._flush_now()
        self._check_lag()

    def _flush_now(self) -> None:
        if not self._replies and not self._notes:
            return
        data = joined_frames(self._replies, self._notes)
        self._replies.clear()
        self._notes.clear()
        transport = self._transport
        if transport is not None and not transport.is_closing() and self._protocol.state is State.OPEN:
            transport.write(data)

    def _check_lag(self) -> None:
        """Conflate a reader above 64 KiB, close it above 1 MiB or after 10 s (gateway.md 6).

        Meanwhile nothing more is read from it and its requests wait, cancels excepted: what it asks for itself is
        bounded by what it takes, so a burst of requests is slowed down and not punished.
        """
        transport, settings = self._transport, self.gateway.settings
        if transport is None or transport.is_closing() or not self.is_open:
            return
        size = transport.get_write_buffer_size()
        if not self._is_lagging:
            if size > settings.dirty_bytes:
                self._is_lagging = self.lane.is_slow = True
                self._lag_count += 1
                self._pause_when_full()
                self._loop.call_later(settings.close_after_s, self._judge_lag, self._lag_count, size)
        elif size <= settings.clean_bytes:
            self._is_lagging = False
            self._resume_when_drained()
            self.gateway.intake.speed_up(self.lane)
        elif size > settings.close_bytes:
            self._close_slow()

    def _judge_lag(self, lag_count: int, size_before: int) -> None:
        """Close a reader that is as far behind as it was; one that comes nearer gets as long again."""
        transport, settings = self._transport, self.gateway.settings
        if transport is None or transport.is_closing() or not self.is_open:
            return
        if not self._is_lagging or lag_count != self._lag_count:
            return
        size = transport.get_write_buffer_size()
        if size > settings.dirty_bytes or size >= size_before:
            self._close_slow()
        else:
            self._loop.call_later(settings.close_after_s, self._judge_lag, lag_count, size)

    def _close_slow(self) -> None:
        self.gateway.slow_closed_count += 1
        self.close(_SLOW_CONSUMER, self._slow_reason())
        if self._transport is not None:
            self._transport.abort()

    def _slow_reason(self) -> str:
        """The close frame's text: where private channels stand, as far as it has room."""
        private = [f"{topic.channel.name} {topic.seq}" for topic in self.channels.values() if topic.channel.is_private]
        return " ".join(["SLOW_CONSUMER", *private])[:_REASON_BYTES]

    def _write_protocol_output(self) -> None:
        transport = self._transport
        if transport is None:
            return
        output = self._protocol.data_to_send()
        data = b"".join(output)
        if data and not transport.is_closing():
            transport.write(data)
        if output and output[-1] == b"":
            # Not close(): with unread input the kernel would answer with a reset, and the close code would be lost.
            transport.write_eof()
            self._loop.call_later(_CLOSE_GRACE_S, transport.abort)
        elif self._protocol.close_expected():
            self._loop.call_later(_CLOSE_GRACE_S, transport.abort)


def connection_class(gateway: "Gateway") -> type[SocketConnection]:
    """Bind a connection class to one gateway, because uvicorn constructs connections itself."""
    return type("BoundSocketConnection", (SocketConnection,), {"gateway": gateway})
