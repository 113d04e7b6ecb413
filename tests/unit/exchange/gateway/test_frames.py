"""Tests of exchange.gateway.frames."""

import random
import struct

import pytest
from websockets.frames import Frame, Opcode

from exchange.gateway.frames import FrameSplitter

SIZES = (0, 1, 2, 125, 126, 127, 300, 65_535)


def sent(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    """A client's frame."""
    return bytes(Frame(opcode, payload, fin=fin).serialize(mask=mask))


def taken(splitter: FrameSplitter, data: bytes, step: int) -> tuple[list[tuple[int, bytes]], bytes]:
    """Pieces of `data` in segments of `step`, and what was left to the library from the first strange frame on."""
    pieces: list[tuple[int, bytes]] = []
    for at in range(0, len(data), step):
        found, goes_on = splitter.split(data[at : at + step])
        pieces += found
        if not goes_on:
            return pieces[:-1], pieces[-1][1] + data[at + step :]
    return pieces, b""


STRANGE = {
    "unmasked": sent(b"{}", mask=False),
    "fragment": sent(b"{", fin=False),
    "continuation": sent(b"}", Opcode.CONT),
    "reserved bit": b"\xc1\x80mask",
    "reserved opcode": b"\x83\x80mask",
    "64-bit length": b"\x81\xff" + struct.pack(">Q", 70_000) + b"mask",
    "16 bits for a short length": b"\x81\xfe\x00\x7dmask" + bytes(125),
    "long control": b"\x89\xfe\x00\x7emask" + bytes(126),
    "unmasked control": b"\x89\x00",
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_strange_frames_are_left_to_the_library_with_all_that_follows(name: str, step: int) -> None:
    """The library gets the stream from the frame's first byte; the frames before it were taken."""
    before, after = sent(b'{"id":1}'), sent(b'{"id":2}')
    pieces, rest = taken(FrameSplitter(1 << 20), before + STRANGE[name] + after, step)
    assert pieces == [(Opcode.TEXT, b'{"id":1}')]
    assert rest == STRANGE[name] + after


def test_a_frame_above_the_maximum_is_the_librarys() -> None:
    """The limit of the settings holds below 64 KiB too."""
    data = sent(bytes(301))
    assert taken(FrameSplitter(300), data, 7) == ([], data)


@pytest.mark.parametrize("step", [1, 2, 5, 1_000, 1 << 20])
def test_whole_frames_in_any_segments(step: int) -> None:
    """Text, binary and control frames of all lengths arrive in order, whatever the segments."""
    numbers = random.Random(step)
    expected: list[tuple[int, bytes]] = []
    stream = b""
    for _ in range(12 if step < 1_000 else 60):
        size = numbers.choice(SIZES[:-1] if step < 5 else SIZES)
        payload, opcode = numbers.randbytes(size), numbers.choice((Opcode.TEXT, Opcode.BINARY, Opcode.PING))
        data = sent(payload[:125] if opcode is Opcode.PING else payload, opcode)
        expected.append((0, data) if opcode is Opcode.PING else (int(opcode), payload))
        stream += data
    assert taken(FrameSplitter(1 << 20), stream, step) == (expected, b"")
