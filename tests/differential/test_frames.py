"""websockets' own protocol judges the gateway's readers on streams of valid and broken frames in any segments.

The judge sees one byte at a time, so that whatever it says about a frame it says before the next one. Compared are the
messages, every byte that the server answers (pongs, close frames) and the close code.
"""

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from exchange.gateway.frames import MessageReader

MAX_BYTES = 1_000
"""Small, so that 1009 is met by single frames and by fragments together."""
FAST_SIZES = (0, 1, 8, 124, 125, 126, 127, 300, MAX_BYTES, MAX_BYTES + 1)
KINDS = ("text", "binary", "ping", "pong", "close", "first", "middle", "last", "utf-8", "bad utf-8", "broken", "noise")
WEIGHTS = (24, 6, 4, 2, 1, 5, 4, 5, 4, 1, 1, 1)


def test_the_judge_knows_all_endings() -> None:
    """The generator below reaches each close code, and streams without one: the comparison is not empty."""
    codes = {judged(stream_of(random.Random(seed)))[2] for seed in range(400)}
    assert codes >= {None, 1000, 1002, 1007, 1009}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 2_000))
def test_messages_answers_and_close_codes_are_the_judges(seed: int, longest: int) -> None:
    """Any stream in any segments through the compiled codec."""
    numbers = random.Random(seed)
    stream = stream_of(numbers)
    assert answered(stream, numbers, longest) == judged(stream)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_noise_is_read_as_the_judge_reads_it(stream: bytes, longest: int) -> None:
    """Bytes that were never meant to be frames."""
    assert answered(stream, random.Random(longest), longest) == judged(stream)


def judged(stream: bytes) -> tuple[list[bytes], bytes, int | None]:
    """Messages, answers and close code by websockets alone; text must be UTF-8, else 1007."""
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_BYTES)
    messages: list[bytes] = []
    parts: list[Frame] = []
    for at in range(len(stream)):
        protocol.receive_data(stream[at : at + 1])
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
                continue
            parts.append(frame)
            if frame.fin and protocol.state is State.OPEN:
                message = b"".join(bytes(part.data) for part in parts)
                if parts[0].opcode is Opcode.BINARY or is_text(message):
                    messages.append(message)
                else:
                    protocol.send_close(1007)
            if frame.fin:
                parts.clear()
    return messages, b"".join(protocol.data_to_send()), sent_code(protocol)


def answered(stream: bytes, numbers: random.Random, longest: int) -> tuple[list[bytes], bytes, int | None]:
    """The same by the compiled reader, in segments of random lengths."""
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_BYTES)
    reader = MessageReader(protocol, lambda: protocol.send_close(1007), max_bytes=MAX_BYTES, compiled=True)
    messages: list[bytes] = []
    at = 0
    while at < len(stream):
        step = numbers.randint(1, longest)
        messages += reader.read(stream[at : at + step])
        at += step
    return messages, b"".join(protocol.data_to_send()), sent_code(protocol)


def stream_of(numbers: random.Random) -> bytes:
    """A dozen frames, most of them in order; fragments open, go on and end messages with and without a beginning."""
    return b"".join(frame_of(numbers, kind) for kind in numbers.choices(KINDS, WEIGHTS, k=numbers.randint(1, 14)))


def frame_of(numbers: random.Random, kind: str) -> bytes:
    """One frame, or something that is none."""
    payload = bytes(numbers.choices(range(32, 127), k=numbers.choice(FAST_SIZES[: numbers.choice((4, 9, 10))])))
    if kind in ("text", "binary"):
        return masked(Opcode[kind.upper()], payload)
    if kind in ("ping", "pong"):
        return masked(Opcode[kind.upper()], payload[:125])
    if kind == "close":
        return masked(Opcode.CLOSE, numbers.choice((b"", struct.pack(">H", 1000), struct.pack(">H", 999), b"\x03")))
    if kind in ("first", "middle", "last"):
        return masked(Opcode.TEXT if kind == "first" else Opcode.CONT, payload, fin=kind == "last")
    if kind == "utf-8":
        return masked(Opcode.TEXT, payload[:7] + "äöü€😀".encode() * numbers.randint(1, 20))
    if kind == "bad utf-8":
        return masked(Opcode.TEXT, payload[:9] + numbers.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80")))
    if kind == "noise":
        return numbers.randbytes(numbers.randint(1, 20))
    return broken(numbers, payload)


def broken(numbers: random.Random, payload: bytes) -> bytes:
    """A whole frame with one thing wrong in its head."""
    whole = bytearray(masked(Opcode.TEXT, payload))
    wrong = numbers.randrange(5)
    if wrong == 0:
        whole[0] |= numbers.choice((0x10, 0x20, 0x40, 0x70))
    elif wrong == 1:
        whole[0] = 0x80 | numbers.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))
    elif wrong == 2:
        whole[1] &= 0x7F
    elif wrong == 3:
        whole[0] = numbers.choice((0x08, 0x09, 0x0A))
    else:
        whole[:2] = b"\x81\xff" + struct.pack(">Q", numbers.choice((1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1)))
    return bytes(whole)


def masked(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame."""
    return bytes(Frame(opcode, payload, fin=fin).serialize(mask=True))


def is_text(message: bytes) -> bool:
    """Whether Python's strict decoder takes it."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def sent_code(protocol: ServerProtocol) -> int | None:
    """Code of the close frame that the server sent."""
    return protocol.close_sent.code if protocol.close_sent is not None else None
