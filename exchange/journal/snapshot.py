"""Snapshots: canonical state in named sections, each with its crc, replaced by rename; the last three are kept.

What the sections hold and how they are encoded is the engine's affair. A damaged snapshot is reported and the next
older one is used: replay from there reaches the same state.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exchange.journal.disk import Disk, read_whole, write_durably
from exchange.journal.group import crc32c

__all__ = ["SNAPSHOTS_KEPT", "Snapshot", "load_newest", "oldest_sequence", "unpack_snapshot", "write_snapshot"]

SNAPSHOTS_KEPT = 3
SNAPSHOT_MAGIC = b"OBJSNAP\0"
SNAPSHOT_VERSION = 9

_HEADER = struct.Struct("<8sIIQQ32s32sI")
_SECTION = struct.Struct("<HHIQ")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state after `sequence`. Hashes are 32 bytes; `config_hash` names the build and parameters it needs."""

    sequence: int
    epoch: int
    timestamp_ns: int
    state_hash: bytes
    config_hash: bytes
    sections: Mapping[str, bytes]


def write_snapshot(disk: Disk, snapshot: Snapshot, directory: str = "snapshots") -> str:
    """Write durably (temp, sync, rename, folder sync), drop all but the newest three, return the path."""
    disk.mkdir(directory)
    name = f"{snapshot.sequence:016x}.snap"
    write_durably(disk, directory, name, _pack(snapshot))
    for old in _names(disk, directory)[:-SNAPSHOTS_KEPT]:
        disk.unlink(f"{directory}/{old}")
    return f"{directory}/{name}"


def load_newest(
    disk: Disk,
    directory: str = "snapshots",
    *,
    at_most: int | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> Snapshot | None:
    """Return the newest whole snapshot whose sequence is not above `at_most`, None when there is none.

    `at_most` is the event log's last sequence when replay must also produce its missing tail. `on_damage` gets one
    line per skipped file.
    """
    names = _names(disk, directory)
    for name in reversed([name for name in names if at_most is None or int(name[:16], 16) <= at_most]):
        path = f"{directory}/{name}"
        snapshot = unpack_snapshot(read_whole(disk, path))
        if isinstance(snapshot, Snapshot) and name != f"{snapshot.sequence:016x}.snap":
            snapshot = f"offset 0: snapshot of sequence {snapshot.sequence}"
        if isinstance(snapshot, Snapshot):
            return snapshot
        if on_damage is not None:
            on_damage(f"{path}: {snapshot}; the next older snapshot is used")
    return None


def oldest_sequence(disk: Disk, directory: str = "snapshots") -> int | None:
    """Sequence of the oldest snapshot kept, None when there is none."""
    names = _names(disk, directory)
    return int(min(names)[:16], 16) if names else None


def unpack_snapshot(data: bytes) -> Snapshot | str:
    """Return the snapshot, or one phrase that names the offset and the damage."""
    head_bytes = _HEADER.size + _CRC.size
    if len(data) < head_bytes or _CRC.unpack_from(data, _HEADER.size)[0] != crc32c(data[: _HEADER.size]):
        return "offset 0: snapshot header crc differs"
    magic, version, epoch, sequence, timestamp_ns, state_hash, config_hash, count = _HEADER.unpack_from(data)
    if magic != SNAPSHOT_MAGIC or version != SNAPSHOT_VERSION:
        return f"offset 0: not a snapshot of format {SNAPSHOT_VERSION}"
    sections: dict[str, bytes] = {}
    offset = head_bytes
    for _ in range(count):
        section = _unpack_section(data, offset)
        if section is None:
            return f"offset {offset}: section crc differs"
        name, content, offset = section
        sections[name] = content
    if offset != len(data):
        return f"offset {offset}: {len(data) - offset} bytes behind the last section"
    return Snapshot(
        sequence=sequence, epoch=epoch, timestamp_ns=timestamp_ns, state_hash=state_hash, config_hash=config_hash,
        sections=sections,
    )  # fmt: skip


def _pack(snapshot: Snapshot) -> bytes:
    header = _HEADER.pack(
        SNAPSHOT_MAGIC, SNAPSHOT_VERSION, snapshot.epoch, snapshot.sequence, snapshot.timestamp_ns,
        snapshot.state_hash, snapshot.config_hash, len(snapshot.sections),
    )  # fmt: skip
    sections = (_pack_section(name.encode(), snapshot.sections[name]) for name in sorted(snapshot.sections))
    return header + _CRC.pack(crc32c(header)) + b"".join(sections)


def _pack_section(name: bytes, content: bytes) -> bytes:
    covered = name + len(content).to_bytes(8, "little") + content
    return _SECTION.pack(len(name), 0, crc32c(covered), len(content)) + name + content


def _unpack_section(data: bytes, offset: int) -> tuple[str, bytes, int] | None:
    """Return name, content and the offset behind them; None when damaged."""
    if offset + _SECTION.size > len(data):
        return None
    name_bytes, reserved, crc, content_bytes = _SECTION.unpack_from(data, offset)
    start = offset + _SECTION.size
    end = start + name_bytes + content_bytes
    if reserved or end > len(data):
        return None
    name, content = data[start : start + name_bytes], data[start + name_bytes : end]
    if crc32c(name + content_bytes.to_bytes(8, "little") + content) != crc:
        return None
    return name.decode(), content, end


def _names(disk: Disk, directory: str) -> list[str]:
    return [name for name in disk.listdir(directory) if name.endswith(".snap")]
