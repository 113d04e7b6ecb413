"""Following a journal that is being written: the records behind committed events, each read once.

`Walk` judges a whole journal; this reader only goes on where it stood. It is told how far the journal is committed (by
the event log, which follows the commit), so it never looks at what a crash may still take back.
"""

from collections.abc import Iterator
from typing import Final

from exchange.journal.disk import Disk, File
from exchange.journal.errors import JournalCorrupt, JournalGap
from exchange.journal.group import (
    BLOCK_BYTES,
    HEADER_BYTES,
    LAST_OF_WRITE,
    RECORD_BYTES,
    Group,
    GroupHeader,
    unpack_body,
    unpack_header,
)
from exchange.journal.segment import SEGMENT_HEADER_BYTES, list_segments, read_segment_header, segment_path

__all__ = ["JournalTail"]

_ATTACHMENT_BYTES: Final = slice(60, 64)


class JournalTail:
    """The reading side for one consumer; `sequence` is the last command that was handed out."""

    def __init__(self, disk: Disk, sequence: int, directory: str = "journal") -> None:
        """Go on behind `sequence`. Nothing is read yet."""
        self._disk = disk
        self._directory = directory
        self._number = 0
        self._offset = 0
        self._file: File | None = None
        self._waiting: list[tuple[int, bytes, bytes]] = []
        self._group_end = sequence
        self.sequence = sequence

    def records(self, up_to: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (sequence, record, attachments) of every command from the next one to the committed `up_to`.

        Raises JournalGap when they were released, JournalCorrupt when they are not there whole.
        """
        while self.sequence < up_to:
            if not self._waiting:
                self._waiting = list(self._next_group())
            row = self._waiting.pop(0)
            self.sequence = row[0]
            yield row

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next_group(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield what is new in the next group that has anything new."""
        while True:
            group = self._read_group()
            if group.last_sequence > self._group_end:
                break
        known, self._group_end = self._group_end, group.last_sequence
        at = 0
        for place in range(group.command_count):
            record = group.records[place * RECORD_BYTES : (place + 1) * RECORD_BYTES]
            size = int.from_bytes(record[_ATTACHMENT_BYTES], "little")
            if group.first_sequence + place > known:
                yield group.first_sequence + place, record, group.attachments[at : at + size]
            at += size

    def _read_group(self) -> Group:
        if self._file is None:
            self._open(self._first_segment())
        while True:
            header = self._header()
            if header is None:
                continue
            body = self._read(self._offset + HEADER_BYTES, header.body_bytes)
            group = unpack_body(header, body)
            if isinstance(group, str):
                raise self._damage(group)
            end = self._offset + HEADER_BYTES + header.body_bytes
            self._offset = _boundary(end) if header.flags & LAST_OF_WRITE else end
            return group

    def _header(self) -> GroupHeader | None:
        """The header at the offset; None after a step over what an earlier recovery cut, or to the next segment."""
        head = self._read(self._offset, HEADER_BYTES)
        header = unpack_header(head) if any(head) else "committed commands are missing"
        if not isinstance(header, str) and header.segment_number == self._number:
            return header
        if not any(head) and self._offset % BLOCK_BYTES:
            self._offset = _boundary(self._offset)
        else:
            self._enter_next(header if isinstance(header, str) else "group of another segment")
        return None

    def _enter_next(self, problem: str) -> None:
        """Enter the next segment; there must be one, as something is still missing."""
        following = self._number + 1
        if not self._disk.exists(segment_path(self._directory, following)):
            raise self._damage(problem)
        header = read_segment_header(self._disk, self._directory, following)
        if isinstance(header, str) or header.first_sequence != self._group_end + 1:
            raise self._damage(problem)
        self._open(following)

    def _first_segment(self) -> int:
        """The last segment that starts at or below the next sequence."""
        wanted = self._group_end + 1
        numbers = list_segments(self._disk, self._directory)
        for number in reversed(numbers):
            header = read_segment_header(self._disk, self._directory, number)
            if not isinstance(header, str) and header.first_sequence <= wanted:
                return number
        raise JournalGap(f"{self._directory}: sequence {wanted} was released")

    def _open(self, number: int) -> None:
        self.close()
        self._number, self._offset = number, SEGMENT_HEADER_BYTES
        self._file = self._disk.open(segment_path(self._directory, number))

    def _read(self, offset: int, byte_count: int) -> bytes:
        if self._file is None:
            raise RuntimeError("no segment is open")
        return self._file.pread(byte_count, offset)

    def _damage(self, reason: str) -> JournalCorrupt:
        path = segment_path(self._directory, self._number)
        return JournalCorrupt(path, self._offset, (self._group_end + 1, None), reason)


def _boundary(offset: int) -> int:
    return -(-offset // BLOCK_BYTES) * BLOCK_BYTES
