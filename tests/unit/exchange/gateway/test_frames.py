"""Tests of exchange.gateway.frames; tests/differential/test_frames.py has websockets judge both ways on any stream."""

import struct

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from exchange.gateway._frames import FrameReader
from exchange.gateway.frames import (
    MessageReader,
    joined_frames,
    reference_joined_frames,
    reference_text_frame,
    text_frame,
)

LIMIT = 1 << 20
SIZES = (0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_000)


def sent(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    """A client's frame."""
    return bytes(Frame(opcode, payload, fin=fin).serialize(mask=mask))


BEFORE, AFTER = sent(b'{"id":1}'), sent(b'{"id":2}')
BROKEN = {
    "unmasked": sent(b"{}", mask=False),
    "continuation of nothing": sent(b"}", Opcode.CONT),
    "reserved bit": b"\xc1\x80mask",
    "reserved opcode": b"\x83\x80mask",
    "reserved control": b"\x8b\x80mask",
    "fragment of a ping": b"\x09\x80mask",
    "long control": b"\x89\xfe\x00\x7emask" + bytes(126),
    "unmasked control": b"\x89\x00",
    "above every limit": b"\x81\xff" + struct.pack(">Q", 1 << 31) + b"mask",
    "length with the sign bit": b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"mask",
    "text within a message": sent(b"{", fin=False) + sent(b"{}"),
}
PASSED = {
    "ping": sent(b"hello", Opcode.PING),
    "empty pong": sent(b"", Opcode.PONG),
    "close": sent(struct.pack(">H", 1000), Opcode.CLOSE),
    "fragments": sent(b"{", fin=False) + sent(b"", Opcode.PING) + sent(b"}", Opcode.CONT),
    "long frame": sent(bytes(65_536)),
    "64 bits for a long ping's neighbour": sent(bytes(70_000), Opcode.BINARY),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("step", [1, 3, LIMIT])
def test_a_frame_that_breaks_the_protocol_leaves_the_library_all_the_rest(name: str, step: int) -> None:
    """The frames before it are messages; from its first byte on nothing is read here any more."""
    stream = BEFORE + BROKEN[name] + AFTER
    reader = FrameReader(LIMIT)
    pieces = [piece for at in range(0, len(stream), step) for piece in reader.read(stream[at : at + step])]
    assert pieces[0] == [b'{"id":1}']
    assert b"".join(piece for piece in pieces[1:] if isinstance(piece, bytes)) == BROKEN[name] + AFTER
    assert reader.read(AFTER) == [AFTER]


@pytest.mark.parametrize("name", PASSED)
@pytest.mark.parametrize("step", [1, 3, 1_000, LIMIT])
def test_other_frames_are_passed_on_in_their_place(name: str, step: int) -> None:
    """The library gets them byte by byte as they came, and the frame behind them is a message again."""
    stream = BEFORE + PASSED[name] + AFTER
    reader = FrameReader(LIMIT)
    pieces = [piece for at in range(0, len(stream), step) for piece in reader.read(stream[at : at + step])]
    assert (pieces[0], pieces[-1]) == ([b'{"id":1}'], [b'{"id":2}'])
    assert b"".join(piece for piece in pieces[1:-1] if isinstance(piece, bytes)) == PASSED[name]


def test_a_text_that_is_not_utf_8_is_none_and_ends_our_reading() -> None:
    """Its bytes are gone, what follows is the library's; a binary message may hold any bytes."""
    stream = sent(b"\xff", Opcode.BINARY) + sent(b'{"a":"\xc3"}') + AFTER
    assert FrameReader(LIMIT).read(stream) == [[b"\xff"], None, AFTER]


@pytest.mark.parametrize("text", ["ä" * 40, "€", "😀" * 9, "x" * 7 + "ä"])
def test_texts_beyond_ascii_are_messages(text: str) -> None:
    """Two, three and four bytes, in the words and in the tail of the unmasking loop."""
    assert FrameReader(LIMIT).read(sent(text.encode())) == [[text.encode()]]


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"12345678\x80", b"1234567\xc3"])
def test_surrogates_long_forms_and_halves_are_not_utf_8(bad: bytes) -> None:
    """As Python's strict decoder has it."""
    assert FrameReader(LIMIT).read(sent(bad)) == [None]


def test_a_frame_above_the_maximum_is_the_librarys() -> None:
    """The limit of the settings holds below 64 KiB too."""
    long = sent(bytes(301))
    assert FrameReader(300).read(sent(bytes(300)) + long[:9]) == [[bytes(300)], long[:9]]


def test_a_length_in_a_longer_form_than_it_needs_is_read_as_the_library_does() -> None:
    """RFC 6455 asks for the shortest form, websockets does not insist."""
    payload = b"x" * 5
    for head in (b"\x82\xfe" + struct.pack(">H", 5), b"\x82\xff" + struct.pack(">Q", 5)):
        assert FrameReader(LIMIT).read(head + bytes(4) + payload) == [[payload]]


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "library"])
def test_messages_behind_a_close_are_dropped(*, compiled: bool) -> None:
    """The client's close ends the stream of messages, whatever it still sends."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    reader = MessageReader(protocol, lambda: None, max_bytes=LIMIT, compiled=compiled)
    assert reader.read(BEFORE + sent(struct.pack(">H", 1000), Opcode.CLOSE) + AFTER) == [b'{"id":1}']
    assert protocol.close_rcvd is not None
    assert protocol.close_rcvd.code == 1000


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "library"])
def test_a_bad_text_is_refused_once(*, compiled: bool) -> None:
    """Two of them in one read ask for one close frame, and nothing behind the first is a message."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    refused = []

    def refuse() -> None:
        refused.append(True)
        protocol.send_close(1007)

    reader = MessageReader(protocol, refuse, max_bytes=LIMIT, compiled=compiled)
    assert reader.read(BEFORE + sent(b"\xff") + AFTER + sent(b"\xfe")) == [b'{"id":1}']
    assert refused == [True]


@pytest.mark.parametrize("size", SIZES)
def test_a_text_frame_is_what_the_library_would_send(size: int) -> None:
    """Compiled and reference alike, at every border of the length's forms."""
    payload = bytes(range(32, 127)) * (size // 95 + 1)
    expected = bytes(Frame(Opcode.TEXT, payload[:size]).serialize(mask=False))
    assert text_frame(payload[:size]) == expected
    assert reference_text_frame(payload[:size]) == expected


def test_a_write_is_the_replies_as_frames_and_then_ready_frames() -> None:
    """One piece, in order, also when one part is empty."""
    payloads, ready = [b"x" * size for size in SIZES], [text_frame(b"note"), b"", text_frame(bytes(300))]
    assert joined_frames(payloads, ready) == reference_joined_frames(payloads, ready)
    assert joined_frames([], ready) == b"".join(ready)
    assert joined_frames([], []) == b""


def test_what_is_no_bytes_is_refused() -> None:
    """A view of a buffer that may move is not copied from."""
    with pytest.raises(TypeError, match="bytes"):
        joined_frames([bytearray(b"x")], [])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        FrameReader(LIMIT).read(bytearray(b"x"))  # type: ignore[arg-type]
