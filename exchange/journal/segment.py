"""Segment files: names, the 4096-byte header, making them of real zeros ahead of use, recycling.

A segment is made under a temporary name, so `<number:08x>.seg` always names a file that was once all zeros and synced.
Its header is written and synced when it is opened for use, before any group: a bad header above groups is damage,
never a tear.
"""

import contextlib
import struct
from dataclasses import dataclass

from exchange.journal.disk import Disk, write_zeros
from exchange.journal.group import BLOCK_BYTES, crc32c

__all__ = [
    "SEGMENT_BYTES",
    "SEGMENT_HEADER_BYTES",
    "SegmentHeader",
    "list_segments",
    "make_segment",
    "pack_segment_header",
    "read_segment_header",
    "retire_segment",
    "segment_name",
    "segment_path",
    "unpack_segment_header",
]

SEGMENT_HEADER_BYTES = BLOCK_BYTES
SEGMENT_BYTES = 64 << 20
SEGMENT_MIN_BYTES = 2 * BLOCK_BYTES
SEGMENT_MAGIC = b"OBJSEGM\0"
SEGMENT_VERSION = 1
# Retired files wait under this suffix for their next use; at most this many are kept.
STOCK_SUFFIX = ".old"
STOCK_LIMIT = 1
MAKING_NAME = "next.tmp"

_FIELDS = struct.Struct("<8sIIIIQ32s32s32s")
_CRC = struct.Struct("<I")
_CRC_OFFSET = SEGMENT_HEADER_BYTES - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """What a segment says of itself. `previous_crc` is the body crc of the last group before it (0: none)."""

    number: int
    epoch: int
    first_sequence: int
    previous_crc: int
    config_hash: bytes = bytes(32)
    previous_sha256: bytes = bytes(32)
    instruments_hash: bytes = bytes(32)


def pack_segment_header(header: SegmentHeader) -> bytes:
    """Return the 4096-byte header block."""
    fields = _FIELDS.pack(
        SEGMENT_MAGIC, SEGMENT_VERSION, header.number, header.epoch, header.previous_crc, header.first_sequence,
        header.config_hash, header.previous_sha256, header.instruments_hash,
    )  # fmt: skip
    block = fields + bytes(_CRC_OFFSET - len(fields))
    return block + _CRC.pack(crc32c(block))


def unpack_segment_header(block: bytes) -> SegmentHeader | str:
    """Return the header, or one phrase that says what is wrong with it."""
    if len(block) < SEGMENT_HEADER_BYTES:
        return "segment header cut short"
    if _CRC.unpack_from(block, _CRC_OFFSET)[0] != crc32c(block[:_CRC_OFFSET]):
        return "segment header crc differs"
    magic, version, number, epoch, previous_crc, first, config, previous, instruments = _FIELDS.unpack_from(block)
    if magic != SEGMENT_MAGIC or version != SEGMENT_VERSION:
        return f"not a segment of format {SEGMENT_VERSION}"
    return SegmentHeader(
        number=number, epoch=epoch, first_sequence=first, previous_crc=previous_crc,
        config_hash=config, previous_sha256=previous, instruments_hash=instruments,
    )  # fmt: skip


def read_segment_header(disk: Disk, directory: str, number: int) -> SegmentHeader | str:
    """Return the header of segment `number`, or one phrase that says what is wrong with it."""
    file = disk.open(segment_path(directory, number))
    try:
        return unpack_segment_header(file.pread(SEGMENT_HEADER_BYTES, 0))
    finally:
        file.close()


def segment_name(number: int) -> str:
    """Return the file name of segment `number` (>= 1)."""
    return f"{number:08x}.seg"


def segment_path(directory: str, number: int) -> str:
    """Return the path of segment `number`."""
    return f"{directory}/{segment_name(number)}"


def list_segments(disk: Disk, directory: str) -> list[int]:
    """Return the numbers of the segment files present, ascending."""
    names = (name for name in disk.listdir(directory) if len(name) == 12 and name.endswith(".seg"))
    return sorted(int(name[:8], 16) for name in names)


def make_segment(disk: Disk, directory: str, number: int, segment_bytes: int) -> None:
    """Make segment `number` of synced zeros, from a retired file when one waits.

    OSError when the disk refuses; the half-made file is then removed, for others need the space.
    """
    making = f"{directory}/{MAKING_NAME}"
    stock = _stock(disk, directory)
    if stock and not disk.exists(making):
        disk.rename(f"{directory}/{stock[0]}", making)
    try:
        _fill_with_zeros(disk, making, segment_bytes)
    except OSError:
        with contextlib.suppress(OSError):
            disk.unlink(making)
        raise
    disk.rename(making, segment_path(directory, number))
    disk.fsync_directory(directory)


def retire_segment(disk: Disk, directory: str, number: int) -> None:
    """Take a released segment out of the journal: keep it for the next one, or remove it."""
    path = segment_path(directory, number)
    if len(_stock(disk, directory)) < STOCK_LIMIT:
        disk.rename(path, path + STOCK_SUFFIX)
    else:
        disk.unlink(path)
    disk.fsync_directory(directory)


def _fill_with_zeros(disk: Disk, path: str, segment_bytes: int) -> None:
    file = disk.open(path, create=True)
    try:
        file.truncate(segment_bytes)
        write_zeros(file, 0, segment_bytes)
        file.fdatasync()
    finally:
        file.close()


def _stock(disk: Disk, directory: str) -> list[str]:
    return [name for name in disk.listdir(directory) if name.endswith(STOCK_SUFFIX)]
