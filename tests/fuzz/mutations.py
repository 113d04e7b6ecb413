"""Damage to one valid command: flipped bits, boundary values, forged handles, records that lack or stand too much."""

from collections.abc import Callable
from random import Random
from struct import pack

from matching_core.fills import COMMAND_BYTES

__all__ = ["MUTATIONS", "mutate"]

BOUNDARIES = (0, 1, -1, 2, 255, 2**16 - 1, 2**31, 2**32 - 1, 2**47, 2**47 + 1, 2**58, 2**62, 2**63 - 1, -(2**63))
FIELDS = (("B", 0), ("B", 1), ("H", 2), ("I", 4), ("q", 8), ("q", 16), ("I", 24), ("I", 28), ("Q", 24))
WIDTH = {"B": 8, "H": 16, "I": 32, "Q": 64}
HANDLE_AT = 24


def _put(command: bytes, code: str, offset: int, value: int) -> bytes:
    if code != "q":
        value &= (1 << WIDTH[code]) - 1
    field = pack(f"<{code}", value)
    return command[:offset] + field + command[offset + len(field) :]


def flip_bits(random: Random, command: bytes) -> bytes:
    """Turn over one or three bits anywhere."""
    damaged = bytearray(command)
    for _ in range(random.choice((1, 1, 1, 3))):
        bit = random.randrange(8 * len(damaged))
        damaged[bit >> 3] ^= 1 << (bit & 7)
    return bytes(damaged)


def put_boundary(random: Random, command: bytes) -> bytes:
    """A boundary in a field of the command, or in any eight bytes of the records behind it."""
    if len(command) > COMMAND_BYTES and random.randrange(2):
        return _put(command, "q", random.randrange(COMMAND_BYTES, len(command), 8), random.choice(BOUNDARIES))
    code, offset = random.choice(FIELDS)
    return _put(command, code, offset, random.choice(BOUNDARIES))


def forge_handle(random: Random, command: bytes) -> bytes:
    """A neighbor in slot or generation, no slot, a slot nobody has, or the two halves exchanged."""
    offset = HANDLE_AT if len(command) == COMMAND_BYTES else random.randrange(HANDLE_AT, len(command), 8)
    handle = int.from_bytes(command[offset : offset + 8], "little")
    forged = (
        handle + 1,
        handle - 1,
        handle + (1 << 32),
        handle - (1 << 32),
        handle | 0xFFFF_FFFF,
        handle & ~0xFFFF_FFFF,
        handle & 0xFFFF_FFFF,
        random.randrange(1, 70),
        handle >> 32 | (handle & 0xFFFF_FFFF) << 32,
    )
    return _put(command, "Q", offset, random.choice(forged))


def drop_record(random: Random, command: bytes) -> bytes:
    """Without one of its records; a command of a single one goes altogether."""
    start = random.randrange(0, len(command), COMMAND_BYTES)
    return command[:start] + command[start + COMMAND_BYTES :]


def turn_flag(random: Random, command: bytes) -> bytes:
    """One flag the other way: among others a promise of records that do not follow."""
    flags = int.from_bytes(command[2:4], "little") ^ 1 << random.randrange(16)
    return _put(command, "H", 2, flags)


def repeat_record(random: Random, command: bytes) -> bytes:
    """One of its records twice."""
    start = random.randrange(0, len(command), COMMAND_BYTES)
    return command[: start + COMMAND_BYTES] + command[start:]


def put_noise(random: Random, command: bytes) -> bytes:
    """Any eight bytes at any aligned place."""
    offset = random.randrange(0, len(command), 8)
    return command[:offset] + random.randbytes(8) + command[offset + 8 :]


MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip_bits,
    put_boundary,
    forge_handle,
    drop_record,
    turn_flag,
    repeat_record,
    put_noise,
)


def mutate(random: Random, command: bytes) -> bytes:
    """Damage one packed command (a whole number of 32-byte records) in one drawn way."""
    return random.choice(MUTATIONS)(random, command)
