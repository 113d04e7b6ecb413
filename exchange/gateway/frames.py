"""Bytes of an upgraded socket into messages, and messages into frames (RFC 6455), server side.

`MessageReader` has two ways to the same messages: everything through websockets' own protocol, or plain data frames
through the compiled codec and the rest, in its place, through that protocol. The compiled functions are used when they
are built; the references are always importable by name, so that the differential tests can compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State

if TYPE_CHECKING:
    from exchange.gateway._frames import FrameReader

__all__ = [
    "COMPILED",
    "MessageReader",
    "joined_frames",
    "reference_joined_frames",
    "reference_text_frame",
    "text_frame",
]

_FIN_TEXT: Final = b"\x81"
_FAST_BYTES: Final = 0xFFFF
"""Longest frame that the codec reads (gateway.md 5)."""


def reference_text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return _FIN_TEXT + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def reference_joined_frames(payloads: list[bytes], frames: list[bytes]) -> bytes:
    """Return each payload as a text frame, then ready frames as they are: what one write sends."""
    return b"".join((*map(reference_text_frame, payloads), *frames))


text_frame: Callable[[bytes], bytes]
joined_frames: Callable[[list[bytes], list[bytes]], bytes]
# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("exchange.gateway._frames") is not None
if COMPILED:
    from exchange.gateway import _frames

    text_frame, joined_frames = _frames.text_frame, _frames.joined_frames
else:
    text_frame, joined_frames = reference_text_frame, reference_joined_frames


class MessageReader:
    """Reads a client's frames from the byte after the handshake on.

    `protocol` is open and has `max_size`; it answers pings, closes and errors, so the caller writes what it has to say
    after each `read`. `refuse_text` is called at a text message that is not UTF-8, which the protocol does not look
    for, and sends the close frame with 1007. `compiled=False` reads everything with the protocol.
    """

    __slots__ = ("_codec", "_fragments", "_is_open", "_is_text", "_protocol", "_refuse_text")

    def __init__(
        self, protocol: Protocol, refuse_text: Callable[[], None], *, max_bytes: int, compiled: bool = COMPILED
    ) -> None:
        """`max_bytes`: of a message, the protocol's own limit."""
        self._protocol = protocol
        self._refuse_text = refuse_text
        self._fragments: list[bytes] = []
        self._is_text = False
        self._is_open = True
        self._codec: FrameReader | None = None
        if compiled:
            self._codec = _frames.FrameReader(min(max_bytes, _FAST_BYTES))

    def read(self, data: bytes) -> list[bytes]:
        """Return the messages that end in `data`, in order; none that follow a close of either side."""
        messages: list[bytes] = []
        if self._codec is None:
            self._read_by_protocol(data, messages)
            return messages
        for piece in self._codec.read(data):
            if piece is None:
                self._refuse()
            elif isinstance(piece, bytes):
                self._read_by_protocol(piece, messages)
            elif self._protocol.state is State.OPEN:
                messages += piece
        return messages

    def _read_by_protocol(self, data: bytes, messages: list[bytes]) -> None:
        # Asked before: a close frame in `data` ends what the protocol reads, not what stood before it.
        self._is_open = self._protocol.state is State.OPEN
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event, messages)

    def _take(self, frame: Frame, messages: list[bytes]) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            self._fragments = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
        else:
            return
        if not frame.fin:
            return
        message, self._fragments = b"".join(self._fragments), []
        if not self._is_open:
            return
        if self._is_text and not _is_utf8(message):
            self._refuse()
        else:
            messages.append(message)

    def _refuse(self) -> None:
        self._is_open = False
        if self._protocol.state is State.OPEN:
            self._refuse_text()


def _is_utf8(message: bytes) -> bool:
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
