"""Malformed and hostile frames from a seed: bytes for one socket, and what a gateway owes for them.

A group of frames is what one socket sends. Each message that reaches the gateway is owed one typed reply; the last
frame of some groups breaks the websocket's own rules and is owed a close code instead.
"""

import json
import random
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from websockets.frames import Frame, Opcode

from exchange.wire.methods import METHODS, Method

__all__ = ["Group", "Names", "draw_group"]

_DEPTHS: Final = (10, 100, 1_000, 10_000, 100_000)
_DEPTH_WEIGHTS: Final = (40, 40, 15, 4, 1)
_LONG: Final = '"' + "9" * 5_000 + '"'
_BROKEN: Final = (
    "NaN", "Infinity", "-Infinity", "00", "+1", ".5", "0x10", "'1'", "tru", '"\\ud800"', '"\\udc00\\ud800"', '"\\x"',
    "",
)  # fmt: skip
"""What is no JSON at all."""
_HOSTILE: Final = (
    "1e400", "-1e400", "1e-400", "12345678901234567890", "-12345678901234567890", "18446744073709551616", "-0", "-1",
    "0", "9223372036854775808", "-9223372036854775809", "0.1000000000000000055511151231257827", "null", "true", "{}",
    "[]", '""', '"NaN"', '"Infinity"', '"1e400"', '"-1"', '"0x10"', '"\\u0000"', '"1_000"', '"\u0661"', '" 1"',
    '"1e5000"', '"."', '"-"', '"1e-5000"', '"0xzz"', '"00"', '"18446744073709551616"', '"1.0000000000000000001"', _LONG,
    "1" * 4_400, "[[[[[[[[[[]]]]]]]]]]", '{"a":{"a":{"a":{}}}}', "[" + "0," * 2_000 + "0]", '"' + "\\n" * 500 + '"',
    '["", null, 1]',
)  # fmt: skip
_IDS: Final = ("1", "-1", "0.5", "1e400", "NaN", "null", "true", '"x"', "{}", "[1]", _LONG, "12345678901234567890")
_ENVELOPES: Final = (
    "", " ", "{", "}", "[", "[]", "{}", "null", "0", '"ping"', "ping ", "PING", "[1,2,3]", '{"id":1}', '{"method":1}',
    '{"id":1,"method":null}', '{"id":1,"method":"public/get_time","params":[]}', '{"id":1,"method":"public/get_time"',
    '{"id":1,"id":2,"method":"public/get_time","method":"x"}', '{"id":1,"method":"public/get_time"}{"id":2}',
    '{"id":1,"method":"public/../private/order"}', '{"id":1,"method":"' + "a" * 4_000 + '"}', "\ufeff{}", "\x00", "\\",
    '{"jsonrpc":1,"id":1,"method":"public/get_time"}', '[{"id":1,"method":"public/get_time"}]', "/*x*/{}", "1e400",
)  # fmt: skip
_METHODS: Final = tuple(METHODS.values())
_KINDS: Final = ("call", "order", "envelope", "depth", "cut", "flipped", "noise", "ping")
_WEIGHTS: Final = (40, 20, 12, 4, 8, 8, 4, 4)
_FATAL: Final = ("utf-8", "split utf-8", "long", "bare", "deflated", "opcode", "middle", "long ping", "bye")


class Names(msgspec.Struct, frozen=True):
    """What hostile calls name that exists: plausible values by parameter, and a signed order."""

    values: dict[str, Any]
    order: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """What one socket sends. `close_code` 0: nothing is wrong with its frames, and each message has its reply."""

    data: bytes
    messages: int
    close_code: int
    kinds: tuple[str, ...]


def draw_group(rng: random.Random, names: Names, count: int) -> Group:
    """`count` frames, in some groups the last one against the protocol."""
    kinds = rng.choices(_KINDS, _WEIGHTS, k=count)
    frames = [_framed(rng, _message(rng, names, kind)) for kind in kinds]
    code = 0
    if rng.random() < 0.5:
        kinds[-1] = rng.choice(_FATAL)
        frames[-1], code = _fatal(rng, kinds[-1])
    return Group(b"".join(frames), count - bool(code), code, tuple(kinds))


def _message(rng: random.Random, names: Names, kind: str) -> bytes:
    """Text of one message."""
    if kind == "ping":
        return b"ping"
    if kind == "envelope":
        return rng.choice(_ENVELOPES).encode()
    if kind == "depth":
        return _deep(rng).encode()
    if kind == "noise":
        return "".join(map(chr, rng.choices(range(0x250), k=rng.randint(1, 60)))).encode()
    text = _order(rng, names) if kind == "order" else _call(rng, names)
    if kind == "cut":
        return text[: rng.randrange(len(text))].encode()
    if kind == "flipped":
        at = rng.randrange(len(text))
        return (text[:at] + chr(rng.randrange(128)) + text[at + 1 :]).encode()
    return text.encode()


def _call(rng: random.Random, names: Names) -> str:
    """Any method, its parameters plausible, hostile, missing or twice."""
    method: Method = rng.choice(_METHODS)
    fields = [field.encode_name for field in msgspec.structs.fields(method.params)]
    chosen = [name for name in fields if rng.random() < (0.9 if name in names.values else 0.2)]
    if rng.random() < 0.1:
        chosen += rng.choices([*fields, "unknown"], k=rng.choice((1, 2, 50)))
    params = ",".join(f'"{name}":{_value(rng, names, name)}' for name in chosen)
    return _enveloped(rng, method.path, "{" + params + "}")


def _value(rng: random.Random, names: Names, name: str) -> str:
    if name in names.values and rng.random() < 0.8:
        return json.dumps(names.values[name])
    return _hostile(rng)


def _hostile(rng: random.Random) -> str:
    return rng.choice(_BROKEN if rng.random() < 0.03 else _HOSTILE)


def _order(rng: random.Random, names: Names) -> str:
    """A signed order with some of its members replaced."""
    members = {name: json.dumps(value) for name, value in names.order.items()}
    for name in rng.sample(sorted(members), rng.choice((1, 1, 1, 2, 3))):
        members[name] = _hostile(rng)
    params = ",".join(f'"{name}":{value}' for name, value in members.items())
    return _enveloped(rng, rng.choice(("private/order", "private/order", "private/replace")), "{" + params + "}")


def _enveloped(rng: random.Random, method: str, params: str) -> str:
    number = rng.choice(_IDS) if rng.random() < 0.1 else str(rng.randrange(1_000))
    return f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}'


def _deep(rng: random.Random) -> str:
    """A depth bomb, closed or not, alone, as parameters or as an id."""
    (depth,) = rng.choices(_DEPTHS, _DEPTH_WEIGHTS)
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    bomb = opening * depth + "0" + closing * (depth if rng.random() < 0.5 else 0)
    return rng.choice(
        (
            bomb,
            f'{{"id":{bomb},"method":"public/get_time"}}',
            f'{{"id":1,"method":"public/get_ticker","params":{bomb}}}',
        )
    )


def _framed(rng: random.Random, payload: bytes) -> bytes:
    """Text, binary or fragments with a ping in between."""
    draw = rng.random()
    if draw < 0.8:
        return _frame(Opcode.TEXT, payload)
    if draw < 0.9:
        return _frame(Opcode.BINARY, payload)
    at = rng.randint(0, len(payload))
    between = _frame(Opcode.PING, b"hello") if rng.random() < 0.5 else b""
    return _frame(Opcode.TEXT, payload[:at], fin=False) + between + _frame(Opcode.CONT, payload[at:])


def _fatal(rng: random.Random, kind: str) -> tuple[bytes, int]:
    """A frame against RFC 6455 or a limit, or a polite end; and the code that answers it."""
    payload = rng.randbytes(rng.randint(1, 60))
    if kind == "utf-8":
        return _frame(Opcode.TEXT, b'{"id":1}' + rng.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5"))), 1007
    if kind == "split utf-8":
        return _frame(Opcode.TEXT, b"\xe2\x82", fin=False) + _frame(Opcode.CONT, b"x"), 1007
    if kind == "long":
        size = rng.choice(((1 << 20) + 1, 1 << 31, 1 << 62, (1 << 64) - 1))
        return b"\x81\xff" + struct.pack(">Q", size) + b"mask" + payload, 1009
    if kind == "bare":
        return bytes(Frame(Opcode.TEXT, payload).serialize(mask=False)), 1002
    if kind == "deflated":
        bomb = bytearray(_frame(Opcode.TEXT, zlib.compress(bytes(1 << 20), 9)))
        bomb[0] |= 0x40
        return bytes(bomb), 1002
    if kind == "opcode":
        return bytes((0x80 | rng.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), 0x80)) + b"mask", 1002
    if kind == "middle":
        return _frame(Opcode.CONT, payload), 1002
    if kind == "long ping":
        return b"\x89\xfe" + struct.pack(">H", 126) + b"mask" + bytes(126), 1002
    return _frame(Opcode.CLOSE, struct.pack(">H", 1000)), 1000


def _frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return bytes(Frame(opcode, payload, fin).serialize(mask=True))
