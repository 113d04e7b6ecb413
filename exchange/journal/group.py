"""The group: one tick's commands with the header that proves them whole, in order and once.

Layout (little endian): 64-byte header, `command_count` records of 64 bytes, attachments, zeros up to a multiple of 64.
Records and attachments are opaque here. The trailing zeros come back as part of `attachments`: a record's own
`attachment_bytes` says how many bytes count.
"""

import struct
from dataclasses import dataclass

import google_crc32c

__all__ = [
    "BLOCK_BYTES",
    "CLEAN_SHUTDOWN",
    "HEADER_BYTES",
    "LAST_OF_WRITE",
    "RECORD_BYTES",
    "STATE_HASH_ATTACHED",
    "Group",
    "GroupHeader",
    "Placement",
    "crc32c",
    "pack_group",
    "unpack_body",
    "unpack_header",
]

HEADER_BYTES = 64
RECORD_BYTES = 64
BLOCK_BYTES = 4096
GROUP_MAGIC = b"OBJG"
GROUP_VERSION = 1

LAST_OF_WRITE = 1
STATE_HASH_ATTACHED = 2
CLEAN_SHUTDOWN = 4

_HEADER = struct.Struct("<4sHHIIQIIQQIII")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Commands of one tick. The writer fills epoch, segment_number, synced_sequence and previous_crc."""

    first_sequence: int
    command_count: int
    timestamp_ns: int
    records: bytes
    attachments: bytes = b""
    output_crc: int = 0
    flags: int = 0
    epoch: int = 0
    segment_number: int = 0
    synced_sequence: int = 0
    previous_crc: int = 0

    @property
    def last_sequence(self) -> int:
        """Sequence of the last command; `first_sequence - 1` when the group is empty."""
        return self.first_sequence + self.command_count - 1

    @property
    def is_clean_shutdown(self) -> bool:
        """True for the empty group that ends an orderly stop."""
        return bool(self.flags & CLEAN_SHUTDOWN)

    def body(self) -> bytes:
        """Return records and attachments, zero padded to a multiple of 64 bytes."""
        body = self.records + self.attachments
        return body + bytes(-len(body) % HEADER_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupHeader:
    """A header whose own crc held; the body is not yet checked."""

    flags: int
    epoch: int
    segment_number: int
    first_sequence: int
    command_count: int
    body_bytes: int
    timestamp_ns: int
    synced_sequence: int
    previous_crc: int
    output_crc: int
    body_crc: int

    @property
    def last_sequence(self) -> int:
        """Sequence of the last command; `first_sequence - 1` when the group is empty."""
        return self.first_sequence + self.command_count - 1


def crc32c(data: bytes) -> int:
    """Return the Castagnoli crc of `data` as an unsigned 32-bit integer."""
    return int(google_crc32c.value(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The header fields that are only known when a group is written."""

    flags: int
    epoch: int
    segment_number: int
    synced_sequence: int
    previous_crc: int


def pack_group(group: Group, place: Placement, body: bytes, body_crc: int) -> bytes:
    """Return header and body. `body` and `body_crc` come from `group.body()`, computed once when staged."""
    head = _HEADER.pack(
        GROUP_MAGIC, GROUP_VERSION, place.flags, place.epoch, place.segment_number, group.first_sequence,
        group.command_count, len(body), group.timestamp_ns, place.synced_sequence, place.previous_crc,
        group.output_crc, body_crc,
    )  # fmt: skip
    return head + _CRC.pack(crc32c(head)) + body


def unpack_header(data: bytes) -> GroupHeader | str:
    """Return the header in the first 64 bytes, or one phrase that says what is wrong with it."""
    if len(data) < HEADER_BYTES:
        return "header cut short"
    fields = _HEADER.unpack_from(data)
    if fields[0] != GROUP_MAGIC:
        return "no group magic"
    if _CRC.unpack_from(data, HEADER_BYTES - 4)[0] != crc32c(data[: HEADER_BYTES - 4]):
        return "header crc differs"
    if fields[1] != GROUP_VERSION:
        return f"unknown group format version {fields[1]}"
    header = GroupHeader(
        flags=fields[2], epoch=fields[3], segment_number=fields[4], first_sequence=fields[5], command_count=fields[6],
        body_bytes=fields[7], timestamp_ns=fields[8], synced_sequence=fields[9], previous_crc=fields[10],
        output_crc=fields[11], body_crc=fields[12],
    )  # fmt: skip
    if header.body_bytes % HEADER_BYTES or header.body_bytes < header.command_count * RECORD_BYTES:
        return "body length does not fit the command count"
    return header


def unpack_body(header: GroupHeader, body: bytes) -> Group | str:
    """Return the group, or one phrase that says what is wrong with its body."""
    if len(body) != header.body_bytes:
        return "body cut short"
    if crc32c(body) != header.body_crc:
        return "body crc differs"
    split = header.command_count * RECORD_BYTES
    return Group(
        first_sequence=header.first_sequence, command_count=header.command_count, timestamp_ns=header.timestamp_ns,
        records=body[:split], attachments=body[split:], output_crc=header.output_crc, flags=header.flags,
        epoch=header.epoch, segment_number=header.segment_number, synced_sequence=header.synced_sequence,
        previous_crc=header.previous_crc,
    )  # fmt: skip
