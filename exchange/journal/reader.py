"""Reading the journal back: groups in order, recovery after a crash, the epoch file.

The recovery table: zeros -> go on; a bad group that nothing proves synced -> torn tail, cut and reported; one that a
later group, a clean-shutdown mark or a consumer cursor proves synced -> JournalCorrupt, nothing is changed.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exchange.journal.disk import Disk, read_whole, write_durably, write_zeros
from exchange.journal.errors import JournalCorrupt
from exchange.journal.group import Group, crc32c
from exchange.journal.segment import MAKING_NAME, SEGMENT_HEADER_BYTES, list_segments, segment_path
from exchange.journal.walk import Stop, Walk, find_proof
from exchange.journal.writer import SUSPECT_NAME

__all__ = [
    "NO_CURSORS",
    "Recovery",
    "TornTail",
    "corrupt",
    "cursor_proof",
    "cut_tail",
    "raise_epoch",
    "read_epoch",
    "read_groups",
    "recover",
]

EPOCH_NAME = "EPOCH"
NO_CURSORS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class TornTail:
    """An unacknowledged tail that was cut: place, first sequence lost, bytes up to the last one that was not zero."""

    file: str
    offset: int
    first_sequence: int
    lost_bytes: int
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.file}: offset {self.offset}: torn tail of {self.lost_bytes} bytes cut from sequence "
            f"{self.first_sequence} ({self.reason}); it was never acknowledged"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a recovered journal holds; `JournalWriter.resume` continues from it. `position` None: start a new one."""

    directory: str
    last_sequence: int
    last_crc: int
    last_timestamp_ns: int
    epoch: int
    group_count: int
    torn: TornTail | None
    was_suspect: bool
    clean_shutdown: bool
    position: tuple[int, int] | None


def read_groups(disk: Disk, directory: str = "journal", *, from_sequence: int = 1) -> Iterator[Group]:
    """Yield the groups with commands at or behind `from_sequence`, also of a journal that is being written.

    A torn tail ends the iteration silently. Raises JournalCorrupt for damage to acknowledged data, JournalGap when
    the sequences were released.
    """
    confirmed: Stop | None = None
    while True:
        walk = Walk(disk, directory, from_sequence)
        for group in walk:
            if group.command_count and group.last_sequence >= from_sequence:
                yield group
        stop = _stop_of(walk)
        proof = find_proof(disk, directory, stop)
        if not proof:
            return
        if stop == confirmed:
            raise corrupt(directory, stop, proof)
        # The writer may have gone on between the two looks: only a stop that stays is damage.
        confirmed, from_sequence = stop, max(from_sequence, stop.next_sequence)


def recover(
    disk: Disk,
    directory: str = "journal",
    *,
    cursors: Mapping[str, int] = NO_CURSORS,
    from_sequence: int = 1,
) -> Recovery:
    """Find the end of the journal, cut a torn tail, and make everything kept durable.

    `cursors` name the sequences that consumers have passed; `from_sequence` is the newest snapshot's plus one (older
    segments are then not read). Raises JournalCorrupt and changes nothing when acknowledged data is damaged.
    """
    walk = Walk(disk, directory, from_sequence)
    for _ in walk:
        pass
    stop = _stop_of(walk)
    proof = find_proof(disk, directory, stop) or cursor_proof(stop, {**cursors, "snapshot": from_sequence - 1})
    if proof:
        raise corrupt(directory, stop, proof)
    was_suspect = disk.exists(f"{directory}/{SUSPECT_NAME}")
    torn = cut_tail(disk, directory, walk, stop)
    _harden(disk, directory, walk, was_suspect=was_suspect)
    return Recovery(
        directory=directory, last_sequence=walk.next_sequence - 1, last_crc=walk.last_crc,
        last_timestamp_ns=walk.timestamp_ns, epoch=walk.epoch, group_count=walk.group_count, torn=torn,
        was_suspect=was_suspect, clean_shutdown=walk.clean_shutdown, position=walk.position,
    )  # fmt: skip


def corrupt(directory: str, stop: Stop, proof: str) -> JournalCorrupt:
    """Return the error that names the damage at `stop`."""
    reason = f"acknowledged data is damaged ({stop.reason or 'the journal ends early'}: {proof})"
    path = segment_path(directory, stop.number)
    return JournalCorrupt(path, stop.offset, (stop.next_sequence, stop.last_sequence), reason)


def read_epoch(disk: Disk, directory: str = "journal") -> int:
    """Return the epoch on disk, 0 before the first. Raises JournalCorrupt when the file is damaged."""
    path = f"{directory}/{EPOCH_NAME}"
    try:
        text = read_whole(disk, path)
    except FileNotFoundError:
        return 0
    with contextlib.suppress(ValueError):
        if text == _epoch_line(epoch := int(text.split()[0])):
            return epoch
    raise JournalCorrupt(path, 0, (0, None), "the epoch file is damaged")


def raise_epoch(disk: Disk, directory: str = "journal", *, at_least: int = 0) -> int:
    """Return a durable epoch above the one on disk and above `at_least` (the journal's last)."""
    epoch = max(read_epoch(disk, directory), at_least) + 1
    disk.mkdir(directory)
    write_durably(disk, directory, EPOCH_NAME, _epoch_line(epoch))
    return epoch


def _epoch_line(epoch: int) -> bytes:
    number = b"%d" % epoch
    return b"%s %08x\n" % (number, crc32c(number))


def _stop_of(walk: Walk) -> Stop:
    if walk.stop is None:
        raise RuntimeError("the walk has not ended")
    return walk.stop


def cursor_proof(stop: Stop, cursors: Mapping[str, int]) -> str:
    """Say which consumer stands beyond the journal's end; empty when none does."""
    for name, sequence in cursors.items():
        if sequence >= stop.next_sequence:
            return f"cursor {name} stands at sequence {sequence}"
    return ""


def cut_tail(disk: Disk, directory: str, walk: Walk, stop: Stop) -> TornTail | None:
    """Zero what follows the last whole group and remove the segments behind it; return what was not zero."""
    lost_bytes = 0
    last_number = walk.position[0] if walk.position else 0
    for number in reversed(list_segments(disk, directory)):
        if number > last_number:
            lost_bytes += len(read_whole(disk, segment_path(directory, number)).rstrip(b"\0"))
            disk.unlink(segment_path(directory, number))
    if disk.exists(f"{directory}/{MAKING_NAME}"):
        disk.unlink(f"{directory}/{MAKING_NAME}")
    if walk.position and stop.number == last_number:
        lost_bytes += _zero_from(disk, segment_path(directory, last_number), stop.offset)
    if not lost_bytes:
        return None
    return TornTail(
        file=segment_path(directory, stop.number), offset=stop.offset, first_sequence=stop.next_sequence,
        lost_bytes=lost_bytes, reason=stop.reason,
    )  # fmt: skip


def _zero_from(disk: Disk, path: str, offset: int) -> int:
    end = len(read_whole(disk, path).rstrip(b"\0"))
    if end <= offset:
        return 0
    file = disk.open(path)
    try:
        write_zeros(file, offset, end)
    finally:
        file.close()
    return end - offset


def _harden(disk: Disk, directory: str, walk: Walk, *, was_suspect: bool) -> None:
    """Sync what was found before anyone relies on it: it may live in the page cache alone.

    After a failed sync the pages of the last write look clean but never reached the disk, so they are written again.
    """
    if walk.position:
        number, end = walk.position
        file = disk.open(segment_path(directory, number))
        try:
            if was_suspect:
                start = max(walk.last_write_offset, SEGMENT_HEADER_BYTES)
                file.pwrite(file.pread(end - start, start), start)
            file.fdatasync()
        finally:
            file.close()
    if was_suspect:
        disk.unlink(f"{directory}/{SUSPECT_NAME}")
    if disk.listdir(directory):
        disk.fsync_directory(directory)
