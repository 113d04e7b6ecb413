"""The exchange's door for the other processes of the host: a unix socket with length-prefixed msgpack frames.

    frame  length u32 (little endian) | msgpack array tagged by its kind

One server lives in the exchange process and forwards to its `ExchangePort`; `UnixPort` is the same interface on the
client's side, plus awaitable forms. A reply carries the events of the caller's own commands. The doorbell tells every
client the committed sequence after each commit, at most every 5 ms of commits merged into one; consumers then read the
event log. A connection that sends garbage is closed; nobody else notices.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from exchange.bus.interface import AnswerCallback, Busy, ExchangePort, OutputListener, ReplyCallback
from exchange.bus.link_frames import (
    ANSWER_DECODERS,
    AnswerFrame,
    AskFrame,
    BusyFrame,
    DoorbellFrame,
    FetchedFrame,
    FetchFrame,
    FrameReader,
    ReplyFrame,
    SubmitFrame,
    TopicFrame,
    decode_request,
    decode_response,
    encode_value,
    pack_frame,
)
from exchange.domain.commands import Command
from exchange.domain.packing import BadRecord, CommandEvents, pack_command, unpack_commands
from exchange.domain.views import Answer, Output, Query, Unanswered

__all__ = ["FetchHandler", "LinkClosed", "TopicHandler", "UnixPort", "UnixSocketServer"]

MAX_UNANSWERED: Final = 4_096
MAX_LINK_BACKLOG_BYTES: Final = 16 << 20
"""Unread bytes of a link at which it is closed: its process hangs, and it may connect again when it does not."""
_UNANSWERED_RETRY_MS: Final = 1_000

TopicHandler = Callable[[bytes], None]
FetchHandler = Callable[[bytes], bytes]


class LinkClosed(ConnectionError):
    """The other side of the socket is gone; what was unanswered may or may not have happened."""


class _ServerLink(asyncio.Protocol):
    """One connected process."""

    def __init__(self, server: "UnixSocketServer", port: ExchangePort) -> None:
        self._port = port
        self._links = server.links
        self._topics = server.topics
        self._fetches = server.fetches
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._links.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._serve(decode_request(frame))
        except (BadRecord, msgspec.MsgspecError, ValueError):
            self.close()

    def send(self, message: object) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_LINK_BACKLOG_BYTES:
            transport.abort()
        else:
            transport.write(pack_frame(message))

    def ring(self, committed_sequence: int) -> None:
        """Say what is committed, unless older news still waits to be read."""
        if self._transport is not None and not self._transport.get_write_buffer_size():
            self.send(DoorbellFrame(committed_sequence))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _serve(self, request: SubmitFrame | AskFrame | TopicFrame | FetchFrame) -> None:
        if isinstance(request, TopicFrame):
            handler = self._topics.get(request.topic)
            if handler is not None:
                handler(request.body)
            return
        if isinstance(request, FetchFrame):
            fetch = self._fetches.get(request.topic)
            body = fetch(request.body) if fetch is not None else b""
            self.send(FetchedFrame(request.number, fetch is not None, body))
            return
        number = request.number
        try:
            if isinstance(request, AskFrame):
                self._port.ask(request.query, lambda answer: self._answer(number, answer))
                return
            commands = list(unpack_commands(request.records, request.attachments))
            self._port.submit_together(commands, lambda outputs: self.send(ReplyFrame(number, _history(outputs))))
        except Busy as busy:
            self.send(BusyFrame(number, busy.retry_after_ms))

    def _answer(self, number: int, answer: Answer) -> None:
        """A question without an answer is refused like one too many: the exchange's log says what was wrong."""
        if isinstance(answer, Unanswered):
            self.send(BusyFrame(number, _UNANSWERED_RETRY_MS))
        else:
            self.send(AnswerFrame(number, encode_value(answer)))


class UnixSocketServer:
    """Listens on a path (mode 0600) and rings the doorbell after commits."""

    def __init__(self, port: ExchangePort, path: Path) -> None:
        """`path` is replaced when it exists; the directory must be private to the operator."""
        self._port = port
        self._path = path
        self.links: set[_ServerLink] = set()
        self.topics: dict[str, TopicHandler] = {}
        self.fetches: dict[str, FetchHandler] = {}
        self._server: asyncio.Server | None = None
        self._ring_at: asyncio.TimerHandle | None = None
        self._committed = 0

    async def start(self) -> None:
        """Bind and listen."""
        self._path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _ServerLink(self, self._port), str(self._path))
        self._path.chmod(0o600)
        self._port.listen(self._on_outputs)

    async def stop(self) -> None:
        """Close the listener and all links."""
        if self._ring_at is not None:
            self._ring_at.cancel()
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            link.close()
        self._path.unlink(missing_ok=True)

    def on_topic(self, topic: str, handler: TopicHandler) -> None:
        """Call `handler` with the body of each message on `topic` from any link."""
        self.topics[topic] = handler

    def on_fetch(self, topic: str, handler: FetchHandler) -> None:
        """Answer questions on `topic` with what `handler` returns; what it raises as ValueError closes the link."""
        self.fetches[topic] = handler

    def publish(self, topic: str, body: bytes) -> int:
        """Send to every connected process; returns to how many."""
        links = list(self.links)
        for link in links:
            link.send(TopicFrame(topic, body))
        return len(links)

    def _on_outputs(self, outputs: Sequence[Output]) -> None:
        self._committed = outputs[-1].sequence
        if self._ring_at is None:
            self._ring_at = asyncio.get_running_loop().call_later(0.005, self._ring)

    def _ring(self) -> None:
        self._ring_at = None
        for link in list(self.links):
            link.ring(self._committed)


class UnixPort(asyncio.Protocol):
    """`ExchangePort` over the socket. Create with `connect`; all calls belong to one event loop."""

    def __init__(self) -> None:
        """Use `connect`."""
        self.committed_sequence = 0
        self.closed = asyncio.Event()
        self.doorbell = asyncio.Event()
        self._reader = FrameReader()
        self._topics: dict[str, TopicHandler] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._number = 0
        self._replies: dict[int, Callable[[list[CommandEvents] | Exception], None]] = {}
        self._answers: dict[int, tuple[type, Callable[[Answer | Exception], None]]] = {}
        self._fetches: dict[int, asyncio.Future[bytes]] = {}

    @classmethod
    async def connect(cls, path: Path) -> "UnixPort":
        """Connect; raises OSError when nobody listens."""
        loop = asyncio.get_running_loop()
        _, port = await loop.create_unix_connection(cls, str(path))
        return port

    def close(self) -> None:
        """Close the link."""
        if self._transport is not None:
            self._transport.close()

    async def execute(self, *commands: Command) -> list[CommandEvents]:
        """Sequence `commands` together; their events once durable. Raises Busy, LinkClosed."""
        future: asyncio.Future[list[CommandEvents]] = asyncio.get_running_loop().create_future()
        self._submit(commands, lambda result: _resolve(future, result))
        return await future

    async def query(self, query: Query) -> Answer:
        """Answer of a question. Raises Busy, LinkClosed."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._ask(query, lambda result: _resolve(future, result))
        return await future

    async def fetch(self, topic: str, body: bytes) -> bytes:
        """Ask the part of the exchange's process that answers on `topic`. Raises LookupError when none does."""
        number = self._next_number()
        future = self._fetches[number] = asyncio.get_running_loop().create_future()
        try:
            self._write(FetchFrame(number, topic, body))
            answer: bytes = await future
        finally:
            self._fetches.pop(number, None)
        return answer

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> None:
        """As ExchangePort; a refusal by the server for overload shows as a command without reply."""
        self.submit_together((command,), None if reply is None else lambda outputs: reply(outputs[0]))

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        """As ExchangePort; outputs carry events, no order views."""

        def deliver(result: list[CommandEvents] | Exception) -> None:
            if reply is not None and not isinstance(result, Exception):
                reply([_output(item) for item in result])

        self._submit(commands, deliver)

    def ask(self, query: Query, answer: AnswerCallback) -> None:
        """As ExchangePort."""

        def deliver(result: Answer | Exception) -> None:
            if not isinstance(result, Exception):
                answer(result)

        self._ask(query, deliver)

    def listen(self, listener: OutputListener) -> None:
        """Not carried: other processes read the event log, rung by `doorbell`."""
        raise NotImplementedError("read the event log; `doorbell` says when")

    def on_topic(self, topic: str, handler: TopicHandler) -> None:
        """Call `handler` with the body of each message on `topic`."""
        self._topics[topic] = handler

    def publish(self, topic: str, body: bytes) -> None:
        """Send to the exchange process. Raises LinkClosed."""
        self._write(TopicFrame(topic, body))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio callback."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        """Asyncio callback: everything unanswered fails with LinkClosed."""
        self._transport = None
        gone = LinkClosed("the exchange closed the link")
        replies, self._replies = self._replies, {}
        answers, self._answers = self._answers, {}
        for deliver in replies.values():
            deliver(gone)
        for _, deliver_answer in answers.values():
            deliver_answer(gone)
        for future in self._fetches.values():
            _resolve(future, gone)
        self.closed.set()
        self.doorbell.set()

    def data_received(self, data: bytes) -> None:
        """Asyncio callback."""
        for frame in self._reader.feed(data):
            self._take(decode_response(frame))

    def _take(self, message: ReplyFrame | AnswerFrame | BusyFrame | DoorbellFrame | TopicFrame | FetchedFrame) -> None:
        if isinstance(message, FetchedFrame):
            if (future := self._fetches.get(message.number)) is not None:
                _resolve(future, message.body if message.is_known else LookupError("nobody there knows the topic"))
        elif isinstance(message, TopicFrame):
            handler = self._topics.get(message.topic)
            if handler is not None:
                handler(message.body)
        elif isinstance(message, DoorbellFrame):
            self.committed_sequence = message.committed_sequence
            self.doorbell.set()
        elif isinstance(message, ReplyFrame):
            self._replies.pop(message.number)(message.history)
        elif isinstance(message, AnswerFrame):
            kind, deliver = self._answers.pop(message.number)
            deliver(ANSWER_DECODERS[kind](message.body))
        else:
            busy = Busy(message.retry_after_ms)
            if message.number in self._replies:
                self._replies.pop(message.number)(busy)
            else:
                self._answers.pop(message.number)[1](busy)

    def _submit(self, commands: Sequence[Command], deliver: Callable[[list[CommandEvents] | Exception], None]) -> None:
        packed = [pack_command(command) for command in commands]
        number = self._next_number()
        self._replies[number] = deliver
        records = b"".join(record for record, _ in packed)
        self._write(SubmitFrame(number, records, b"".join(attachments for _, attachments in packed)))

    def _ask(self, query: Query, deliver: Callable[[Answer | Exception], None]) -> None:
        number = self._next_number()
        self._answers[number] = (type(query), deliver)
        self._write(AskFrame(number, query))

    def _next_number(self) -> int:
        if self._transport is None:
            raise LinkClosed("the exchange is not connected")
        if len(self._replies) + len(self._answers) + len(self._fetches) >= MAX_UNANSWERED:
            raise Busy
        self._number += 1
        return self._number

    def _write(self, message: object) -> None:
        if self._transport is None:
            raise LinkClosed("the exchange is not connected")
        self._transport.write(pack_frame(message))


def _resolve(future: "asyncio.Future[Any]", result: object) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _history(outputs: Sequence[Output]) -> list[CommandEvents]:
    return [CommandEvents(output.sequence, output.timestamp_ns, list(output.events)) for output in outputs]


def _output(item: CommandEvents) -> Output:
    return Output(sequence=item.sequence, timestamp_ns=item.timestamp_ns, events=tuple(item.events), orders={})
