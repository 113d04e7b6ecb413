"""The event log: packed event blobs in growing files, derived from the journal, followed by other processes.

A blob holds the events of one group, so its bounds are the same when replay produces it again. Appended only after
the group's commit; a file is synced when it is sealed, never before. After a crash the torn end is cut on opening,
`cut_after` cuts to the journal's end, and replay appends what is missing.
Record (48-byte little-endian header, then the blob): magic, epoch, first and last sequence, timestamp, length,
blob crc32c, flags, header crc32c. The seal of a full file is an empty record with flag bit 0.
"""

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exchange.journal.disk import Disk, File, RealDisk, read_whole
from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.group import crc32c

__all__ = ["Blob", "EventLog", "EventLogReader", "first_sequence"]

FILE_BYTES = 64 << 20
BUDGET_BYTES = 1 << 30
RETENTION_NS = 24 * 3600 * 10**9
RECORD_HEADER_BYTES = 52
EVENT_MAGIC = b"OBEV"
SEALED = 1
SUFFIX = ".evt"
POLL_LIMIT_BYTES = 8 << 20

_HEADER = struct.Struct("<4sIQQQIII4x")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """The packed events of commands `first_sequence` to `last_sequence`."""

    epoch: int
    first_sequence: int
    last_sequence: int
    timestamp_ns: int
    data: bytes
    sealed: bool = False


@dataclass(slots=True)
class _EventFile:
    """A file of the log as the writer knows it."""

    first_sequence: int
    size_bytes: int
    last_timestamp_ns: int = 0


class EventLog:
    """The writing side; one thread. Opening cuts a torn end of the newest file."""

    def __init__(
        self,
        disk: Disk,
        directory: str = "events",
        *,
        file_bytes: int = FILE_BYTES,
        budget_bytes: int = BUDGET_BYTES,
        retention_ns: int = RETENTION_NS,
    ) -> None:
        """Open or create. `budget_bytes` bounds what is kept for resuming clients beyond what consumers need."""
        self._disk = disk
        self._directory = directory
        self._file_bytes = file_bytes
        self._budget_bytes = budget_bytes
        self._retention_ns = retention_ns
        self._released_sequence = 0
        self._file: File | None = None
        self._last: Blob | None = None
        disk.mkdir(directory)
        self._files = [
            _EventFile(int(name[:16], 16), disk.size(f"{directory}/{name}")) for name in _names(disk, directory)
        ]
        self._reopen(None)

    @property
    def last_sequence(self) -> int:
        """Last sequence whose events are here; 0 when the log is empty. Replay appends from the next one."""
        return self._last.last_sequence if self._last else 0

    @property
    def first_sequence(self) -> int:
        """First sequence whose events are here, or the next to come."""
        return self._files[0].first_sequence if self._files else self.last_sequence + 1

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self._files)

    @property
    def over_budget(self) -> bool:
        """True when consumers hold more than the disk budget: someone must look at the slowest."""
        return self.size_bytes > self._budget_bytes

    def append(self, epoch: int, first_sequence: int, last_sequence: int, timestamp_ns: int, blob: bytes) -> None:
        """Append the events of a committed group. Raises ValueError when it leaves a gap, OSError from the disk."""
        if self._last is not None and first_sequence != self._last.last_sequence + 1:
            raise ValueError(f"events start at {first_sequence}, expected {self._last.last_sequence + 1}")
        record = Blob(
            epoch=epoch, first_sequence=first_sequence, last_sequence=last_sequence, timestamp_ns=timestamp_ns,
            data=blob,
        )  # fmt: skip
        if self._file is not None and self._files[-1].size_bytes + len(blob) > self._file_bytes:
            self._seal()
        if self._file is None:
            self._create(first_sequence)
        self._write(record)
        self._last = record

    def read(self, from_sequence: int) -> Iterator[Blob]:
        """Yield the blobs that hold `from_sequence` and later ones. Raises JournalGap or JournalCorrupt."""
        reader = EventLogReader(self._directory, from_sequence - 1, disk=self._disk)
        while blobs := reader.poll():
            yield from blobs

    def cut_after(self, sequence: int) -> int:
        """Drop the blobs that reach beyond `sequence`; return the new last sequence. Replay fills up from there."""
        if self.last_sequence > sequence:
            self._close()
            while self._files and self._files[-1].first_sequence > sequence:
                self._disk.unlink(self._path(self._files.pop()))
            self._reopen(sequence)
            self._disk.fsync_directory(self._directory)
        return self.last_sequence

    def release(self, before_sequence: int) -> int:
        """Say that every consumer has passed `before_sequence - 1`; remove old sealed files, return how many.

        A released file is kept for resuming clients until it is 24 h old or the disk budget is exceeded.
        """
        self._released_sequence = max(self._released_sequence, before_sequence)
        removed = 0
        while len(self._files) > 1 and self._is_removable(self._files[0], self._files[1]):
            self._disk.unlink(self._path(self._files.pop(0)))
            removed += 1
        if removed:
            self._disk.fsync_directory(self._directory)
        return removed

    def sync(self) -> None:
        """Make every blob durable; any thread. Call it before snapshots or segments go that could rebuild the log."""
        file = self._file
        if file is None:
            return
        try:
            file.fdatasync()
        except OSError as error:
            if error.errno != errno.EBADF:  # sealed, hence synced and closed, in between
                raise

    def close(self) -> None:
        """Sync and close the growing file."""
        if self._file is not None:
            self._file.fdatasync()
        self._close()

    def _is_removable(self, file: _EventFile, following: _EventFile) -> bool:
        if following.first_sequence > self._released_sequence:
            return False
        now_ns = self._last.timestamp_ns if self._last else 0
        if not file.last_timestamp_ns:
            file.last_timestamp_ns = self._seal_timestamp_ns(file)
        return self.over_budget or now_ns - file.last_timestamp_ns > self._retention_ns

    def _seal_timestamp_ns(self, file: _EventFile) -> int:
        opened = self._disk.open(self._path(file))
        try:
            seal = _unpack(opened.pread(RECORD_HEADER_BYTES, file.size_bytes - RECORD_HEADER_BYTES), 0)
        finally:
            opened.close()
        return seal[0].timestamp_ns if seal else 1

    def _path(self, file: _EventFile) -> str:
        return f"{self._directory}/{file.first_sequence:016x}{SUFFIX}"

    def _write(self, record: Blob) -> None:
        if self._file is None:
            raise RuntimeError("no event file is open")
        data = _pack(record)
        self._file.pwrite(data, self._files[-1].size_bytes)
        self._files[-1].size_bytes += len(data)
        self._files[-1].last_timestamp_ns = record.timestamp_ns

    def _create(self, first_sequence: int) -> None:
        entry = _EventFile(first_sequence, 0)
        self._file = self._disk.open(self._path(entry), create=True)
        self._file.truncate(0)
        self._disk.fsync_directory(self._directory)
        self._files.append(entry)

    def _seal(self) -> None:
        last = self._last
        if self._file is None or last is None:
            raise RuntimeError("only a file with blobs is sealed")
        seal = Blob(
            epoch=last.epoch, first_sequence=last.last_sequence + 1, last_sequence=last.last_sequence,
            timestamp_ns=last.timestamp_ns, data=b"", sealed=True,
        )  # fmt: skip
        self._write(seal)
        self._file.fdatasync()
        self._close()

    def _reopen(self, limit: int | None) -> None:
        """Find the last whole blob (not beyond `limit`), cut behind it, drop files that hold none."""
        self._last = None
        while self._files:
            entry = self._files[-1]
            path = self._path(entry)
            last, end, sealed = _valid_end(read_whole(self._disk, path), entry.first_sequence, limit)
            if last is not None:
                self._continue_file(entry, last, end, sealed=sealed)
                return
            self._disk.unlink(path)
            self._files.pop()

    def _continue_file(self, entry: _EventFile, last: Blob, end: int, *, sealed: bool) -> None:
        self._last = last
        entry.last_timestamp_ns = last.timestamp_ns
        file = self._disk.open(self._path(entry))
        if end != entry.size_bytes:
            file.truncate(end)
            entry.size_bytes = end
        if sealed:
            file.close()
        else:
            self._file = file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class EventLogReader:
    """Follows a growing event log, also from another process. `cursor` is the last sequence already handled."""

    def __init__(self, directory: Path | str, cursor: int = 0, *, disk: Disk | None = None) -> None:
        """Follow `directory`: a path of the operating system, or of `disk` when one is given."""
        self._disk: Disk = RealDisk(Path(directory)) if disk is None else disk
        self._directory = "." if disk is None else str(directory)
        self.cursor = cursor
        self._name: str | None = None
        self._offset = 0
        self._restarted = False

    def poll(self) -> list[Blob]:
        """Return the complete blobs beyond the cursor, about 8 MiB at most, and move the cursor behind them.

        An empty list means nothing new. A blob that starts at or before the cursor is given whole: its consumer skips
        events at or below its own. Raises JournalGap when the next sequence was released, JournalCorrupt when a file
        that no longer grows is damaged.
        """
        while self._name is not None or self._find_file():
            try:
                data = self._read_chunk()
            except FileNotFoundError:
                self._name = None
                continue
            blobs, used_bytes, sealed = self._take(data)
            self._offset += used_bytes
            if sealed and self._has_following():
                self._name = None
            elif not blobs and not used_bytes:
                if data and not sealed:
                    self._start_again()
                return []
            if blobs:
                self._restarted = False
                return blobs
        return []

    def _find_file(self) -> bool:
        """Choose the file that holds the sequence behind the cursor."""
        wanted = self.cursor + 1
        names = _names(self._disk, self._directory)
        fitting = [name for name in names if int(name[:16], 16) <= wanted]
        if names and not fitting:
            raise JournalGap(f"{self._directory}: events before {int(names[0][:16], 16)} were released: {wanted}")
        if fitting:
            self._name, self._offset = fitting[-1], 0
        return bool(fitting)

    def _read_chunk(self) -> bytes:
        file = self._disk.open(f"{self._directory}/{self._name}")
        try:
            data = file.pread(POLL_LIMIT_BYTES, self._offset)
            fields = _unpack_header(data, 0)
            if fields is not None and RECORD_HEADER_BYTES + fields[4] > len(data):
                data = file.pread(RECORD_HEADER_BYTES + fields[4], self._offset)
        finally:
            file.close()
        return data

    def _take(self, data: bytes) -> tuple[list[Blob], int, bool]:
        """Return the new blobs at the head of `data`, the bytes passed, and whether a seal follows."""
        blobs: list[Blob] = []
        position = 0
        while (unpacked := _unpack(data, position)) is not None:
            blob, following = unpacked
            if blob.sealed:
                return blobs, position, True
            if blob.first_sequence > self.cursor + 1:
                break
            if blob.last_sequence > self.cursor:
                blobs.append(blob)
                self.cursor = blob.last_sequence
            position = following
        return blobs, position, False

    def _following(self) -> list[str]:
        return [name for name in _names(self._disk, self._directory) if name > (self._name or "")]

    def _has_following(self) -> bool:
        following = self._following()
        if following and int(following[0][:16], 16) > self.cursor + 1:
            path = f"{self._directory}/{following[0]}"
            raise JournalCorrupt(path, 0, (self.cursor + 1, None), "events are missing between two files")
        return bool(following)

    def _start_again(self) -> None:
        """Handle an unreadable record: the file still grows, or a restart cut it and it must be read from its start."""
        if self._restarted and self._following():
            path = f"{self._directory}/{self._name}"
            raise JournalCorrupt(path, self._offset, (self.cursor + 1, None), "an event record is damaged")
        self._restarted = True
        self._offset = 0


def _pack(record: Blob) -> bytes:
    head = _HEADER.pack(
        EVENT_MAGIC, record.epoch, record.first_sequence, record.last_sequence, record.timestamp_ns,
        len(record.data), crc32c(record.data), SEALED if record.sealed else 0,
    )  # fmt: skip
    return head + _CRC.pack(crc32c(head)) + record.data


def _unpack_header(data: bytes, offset: int) -> tuple[int, int, int, int, int, int, int] | None:
    head = data[offset : offset + _HEADER.size]
    if len(data) < offset + RECORD_HEADER_BYTES or _CRC.unpack_from(data, offset + _HEADER.size)[0] != crc32c(head):
        return None
    magic, *fields = _HEADER.unpack(head)
    if magic != EVENT_MAGIC:
        return None
    epoch, first, last, timestamp_ns, length, crc, flags = fields
    return epoch, first, last, timestamp_ns, length, crc, flags


def _unpack(data: bytes, offset: int) -> tuple[Blob, int] | None:
    """Return the record at `offset` and the offset behind it; None when it is not whole."""
    fields = _unpack_header(data, offset)
    if fields is None:
        return None
    epoch, first, last, timestamp_ns, length, crc, flags = fields
    start = offset + RECORD_HEADER_BYTES
    content = data[start : start + length]
    if len(content) != length or crc32c(content) != crc:
        return None
    blob = Blob(
        epoch=epoch, first_sequence=first, last_sequence=last, timestamp_ns=timestamp_ns, data=content,
        sealed=bool(flags & SEALED),
    )  # fmt: skip
    return blob, start + length


def _valid_end(data: bytes, first_sequence: int, limit: int | None) -> tuple[Blob | None, int, bool]:
    """Return the last whole, contiguous blob not beyond `limit`, the offset behind it, and whether a seal follows."""
    last: Blob | None = None
    end = 0
    expected = first_sequence
    while (unpacked := _unpack(data, end)) is not None:
        blob, following = unpacked
        if blob.sealed:
            return last, following, True
        if blob.first_sequence != expected or (limit is not None and blob.last_sequence > limit):
            break
        last, end, expected = blob, following, blob.last_sequence + 1
    return last, end, False


def first_sequence(disk: Disk, directory: str = "events") -> int:
    """First sequence whose events are kept; 1 for a log without files."""
    names = _names(disk, directory)
    return int(names[0][:16], 16) if names else 1


def _names(disk: Disk, directory: str) -> list[str]:
    return [name for name in disk.listdir(directory) if name.endswith(SUFFIX)]
