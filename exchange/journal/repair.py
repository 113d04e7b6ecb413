"""Checking a journal from its oldest segment, and cutting it back to its longest valid prefix.

`repair` destroys nothing: what it cuts is kept beside the segments as `<segment>.lost`. Where no command can be, it
mends instead of cutting: padding and the unused rest of a full segment are zeroed, a damaged segment header above
whole groups is rebuilt. Consumers that stand beyond `kept_sequence` must be set back by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exchange.journal.disk import Disk, read_whole, write_durably, write_zeros
from exchange.journal.errors import JournalCorrupt
from exchange.journal.group import BLOCK_BYTES, HEADER_BYTES, GroupHeader, unpack_header
from exchange.journal.reader import NO_CURSORS, corrupt, cursor_proof, cut_tail
from exchange.journal.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    list_segments,
    pack_segment_header,
    read_segment_header,
    segment_path,
    unpack_segment_header,
)
from exchange.journal.walk import PADDING_DAMAGED, REST_DAMAGED, Stop, Walk, find_proof

__all__ = ["JournalReport", "Lost", "repair", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """One cut: where it starts, which sequences were seen there, why, and where its bytes are kept."""

    file: str
    offset: int
    first_sequence: int
    last_sequence: int | None
    reason: str
    kept_in: str = ""

    def __str__(self) -> str:
        last = "?" if self.last_sequence is None else self.last_sequence
        kept = f"; bytes kept in {self.kept_in}" if self.kept_in else ""
        return f"{self.file}: offset {self.offset}: sequences {self.first_sequence}..{last} lost ({self.reason}){kept}"


@dataclass(slots=True)
class JournalReport:
    """What a journal holds. `damage` is None when a start would go on (a torn tail is no damage)."""

    segment_count: int = 0
    group_count: int = 0
    kept_sequence: int = 0
    first_sequence: int = 1
    damage: JournalCorrupt | None = None
    lost: list[Lost] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)


def verify(disk: Disk, directory: str = "journal", *, cursors: Mapping[str, int] = NO_CURSORS) -> JournalReport:
    """Read the whole journal, change nothing."""
    walk, stop = _walk_all(disk, directory)
    report = _report(disk, directory, walk)
    proof = find_proof(disk, directory, stop) or cursor_proof(stop, cursors)
    if proof:
        report.damage = corrupt(directory, stop, proof)
    elif stop.reason:
        report.lost.append(_lost(disk, directory, stop))
    return report


def repair(disk: Disk, directory: str = "journal") -> JournalReport:
    """Keep the longest valid prefix; save, then cut everything behind it. Raises OSError from the disk."""
    cleaned: list[str] = []
    walk, stop = _walk_all(disk, directory)
    while fixed := _fix_in_place(disk, directory, walk, stop):
        cleaned.append(fixed)
        walk, stop = _walk_all(disk, directory)
    report = _report(disk, directory, walk)
    report.cleaned = cleaned
    if stop.reason:
        lost = _lost(disk, directory, stop)
        saved = _save_tail(disk, directory, stop)
        report.lost.append(Lost(
            file=lost.file, offset=lost.offset, first_sequence=lost.first_sequence, last_sequence=lost.last_sequence,
            reason=lost.reason, kept_in=", ".join(saved),
        ))  # fmt: skip
        cut_tail(disk, directory, walk, stop)
    return report


def _walk_all(disk: Disk, directory: str) -> tuple[Walk, Stop]:
    walk = Walk(disk, directory, None)
    for _ in walk:
        pass
    if walk.stop is None:
        raise RuntimeError("the walk has not ended")
    return walk, walk.stop


def _oldest_sequence(disk: Disk, directory: str) -> int:
    for number in list_segments(disk, directory)[:1]:
        header = read_segment_header(disk, directory, number)
        if not isinstance(header, str):
            return header.first_sequence
    return 1


def _report(disk: Disk, directory: str, walk: Walk) -> JournalReport:
    return JournalReport(
        segment_count=len(list_segments(disk, directory)), group_count=walk.group_count,
        kept_sequence=walk.next_sequence - 1, first_sequence=_oldest_sequence(disk, directory),
    )  # fmt: skip


def _lost(disk: Disk, directory: str, stop: Stop) -> Lost:
    """Describe the cut; the last sequence is the highest that a readable group behind it names."""
    last = stop.last_sequence
    for number in (number for number in list_segments(disk, directory) if number >= stop.number):
        data = read_whole(disk, segment_path(directory, number))
        for offset in range(SEGMENT_HEADER_BYTES, len(data.rstrip(b"\0")), BLOCK_BYTES):
            header = unpack_header(data[offset : offset + HEADER_BYTES])
            if isinstance(header, GroupHeader) and header.last_sequence >= stop.next_sequence:
                last = max(last or 0, header.last_sequence)
    return Lost(
        file=segment_path(directory, stop.number), offset=stop.offset, first_sequence=stop.next_sequence,
        last_sequence=last, reason=stop.reason,
    )  # fmt: skip


def _fix_in_place(disk: Disk, directory: str, walk: Walk, stop: Stop) -> str:
    """Mend damage that no command is in, and say so; empty when there is nothing of that kind."""
    if stop.reason == PADDING_DAMAGED:
        return _clean(disk, directory, stop, stop.offset + -stop.offset % BLOCK_BYTES)
    if stop.reason == REST_DAMAGED:
        return _clean(disk, directory, stop, disk.size(segment_path(directory, stop.number)))
    if stop.offset == 0 and stop.proof:
        return _rebuild_header(disk, directory, walk, stop)
    return ""


def _rebuild_header(disk: Disk, directory: str, walk: Walk, stop: Stop) -> str:
    """Write a damaged segment header anew when the groups below it continue the chain."""
    path = segment_path(directory, stop.number)
    file = disk.open(path)
    try:
        old = file.pread(SEGMENT_HEADER_BYTES, 0)
        group = unpack_header(file.pread(HEADER_BYTES, SEGMENT_HEADER_BYTES))
        if isinstance(group, str) or group.segment_number != stop.number:
            return ""
        new = walk.expected_header(stop.number, group)
        known = unpack_segment_header(old)
        if new is not None and isinstance(known, SegmentHeader):
            new = replace(new, config_hash=known.config_hash, instruments_hash=known.instruments_hash)
        if new is None or new == known:
            return ""
        file.pwrite(pack_segment_header(new), 0)
        file.fdatasync()
    finally:
        file.close()
    return f"{path}: offset 0: segment header rebuilt, no command was in it"


def _clean(disk: Disk, directory: str, stop: Stop, end: int) -> str:
    path = segment_path(directory, stop.number)
    file = disk.open(path)
    try:
        write_zeros(file, stop.offset, end)
        file.fdatasync()
    finally:
        file.close()
    return f"{path}: offset {stop.offset}: cleaned ({stop.reason}), no command was in it"


def _save_tail(disk: Disk, directory: str, stop: Stop) -> list[str]:
    saved: list[str] = []
    for number in (number for number in list_segments(disk, directory) if number >= stop.number):
        path = segment_path(directory, number)
        data = read_whole(disk, path).rstrip(b"\0")
        if data:
            name = f"{path.rpartition('/')[2]}.lost"
            write_durably(disk, directory, name, data)
            saved.append(f"{directory}/{name}")
    return saved
