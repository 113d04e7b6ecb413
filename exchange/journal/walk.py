"""Walking a journal's groups and judging the place where the walk ends.

Groups are taken while magic, crcs, chain, epoch, time, segment number and contiguity hold. Behind the stop `find_proof`
looks at the block boundaries: a later whole group whose `synced_sequence` covers the missing sequences proves that
they were acknowledged. A later group that starts at the missing sequence proves the same of a clean-shutdown mark.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from exchange.journal.disk import Disk, read_whole
from exchange.journal.errors import JournalGap
from exchange.journal.group import (
    BLOCK_BYTES,
    HEADER_BYTES,
    LAST_OF_WRITE,
    Group,
    GroupHeader,
    crc32c,
    unpack_body,
    unpack_header,
)
from exchange.journal.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    list_segments,
    read_segment_header,
    segment_path,
    unpack_segment_header,
)

__all__ = ["PADDING_DAMAGED", "REST_DAMAGED", "Stop", "Walk", "find_proof"]

PADDING_DAMAGED = "padding behind a whole group is not zero"
REST_DAMAGED = "the unused rest of a full segment is not zero"
_ZEROS = "zeros"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where a walk ended. `reason` is empty at a normal end; `proof` says why the reason cannot be a tear."""

    number: int
    offset: int
    next_sequence: int
    last_sequence: int | None = None
    reason: str = ""
    proof: str = ""


class Walk:
    """One pass over the whole groups of a journal, oldest wanted segment first; `stop` is set when it ends.

    Raises JournalGap when the oldest segment starts behind `from_sequence`; None starts at the oldest.
    """

    def __init__(self, disk: Disk, directory: str, from_sequence: int | None = 1) -> None:
        self._disk = disk
        self._directory = directory
        self._numbers = _numbers_from(disk, directory, from_sequence)
        self._crc: int | None = None
        self._sha256 = bytes(32)
        self.next_sequence = 1
        self.epoch = 0
        self.timestamp_ns = 0
        self.group_count = 0
        self.clean_shutdown = False
        self.stop: Stop | None = None
        # Number and offset of the next write; None while no segment was entered.
        self.position: tuple[int, int] | None = None
        # Where the last write starts: the only one that may be unsynced.
        self.last_write_offset = SEGMENT_HEADER_BYTES

    @property
    def last_crc(self) -> int:
        """Body crc of the last whole group; 0 before the first."""
        return self._crc or 0

    def __iter__(self) -> Iterator[Group]:
        previous: int | None = None
        for number in self._numbers:
            if previous is not None and number != previous + 1:
                self._end(previous + 1, 0, "segment file is missing")
                return
            data = read_whole(self._disk, segment_path(self._directory, number))
            if not self._enter(number, data, first=previous is None):
                return
            yield from self._groups(number, data)
            if self.stop is not None:
                return
            previous = number
        number, offset = self.position or (1, 0)
        self._end(number, offset, "")

    def expected_header(self, number: int, group: GroupHeader) -> SegmentHeader | None:
        """Return the header that segment `number` must have where the walk ended, given its first group.

        None when that group does not continue the chain. The configuration and instrument hashes are not known any
        more and come back as zeros.
        """
        is_oldest = self.position is None
        if not is_oldest and (group.first_sequence, group.previous_crc) != (self.next_sequence, self._crc):
            return None
        return SegmentHeader(
            number=number, epoch=group.epoch, first_sequence=group.first_sequence, previous_crc=group.previous_crc,
            previous_sha256=bytes(32) if is_oldest else self._sha256,
        )  # fmt: skip

    def _enter(self, number: int, data: bytes, *, first: bool) -> bool:
        """Check the segment header; False ends the walk."""
        header = unpack_segment_header(data[:SEGMENT_HEADER_BYTES])
        if isinstance(header, str):
            self._end_at_header(number, data, header)
            return False
        problem = self._header_problem(header, number, first=first)
        if problem:
            self._end(number, 0, problem, proof="a segment header is synced before use")
            return False
        if first:
            self.next_sequence = header.first_sequence
            self._crc = header.previous_crc
        self.position = (number, SEGMENT_HEADER_BYTES)
        self.last_write_offset = SEGMENT_HEADER_BYTES
        return True

    def _header_problem(self, header: SegmentHeader, number: int, *, first: bool) -> str:
        if header.number != number:
            return f"segment header names segment {header.number}"
        if first:
            return ""
        if header.first_sequence != self.next_sequence or header.previous_crc != self._crc:
            return f"segment starts at sequence {header.first_sequence}, expected {self.next_sequence}"
        return "" if header.previous_sha256 == self._sha256 else "SHA-256 of the previous segment differs"

    def _end_at_header(self, number: int, data: bytes, problem: str) -> None:
        if not data.rstrip(b"\0"):
            self._end(number, 0, "")
            return
        group = unpack_header(data[SEGMENT_HEADER_BYTES : SEGMENT_HEADER_BYTES + HEADER_BYTES])
        is_used = isinstance(group, GroupHeader) and group.segment_number == number
        self._end(number, 0, problem, proof="a group follows, and the header is synced before it" if is_used else "")

    def _groups(self, number: int, data: bytes) -> Iterator[Group]:
        """Yield this segment's groups; `stop` stays None when its rest is zeros."""
        used_bytes = len(data.rstrip(b"\0"))
        offset = SEGMENT_HEADER_BYTES
        while offset < used_bytes:
            group = self._group_at(number, data, offset)
            if group == _ZEROS and offset % BLOCK_BYTES and not data[offset : _boundary(offset)].strip(b"\0"):
                offset = _boundary(offset)  # the write was cut here by an earlier recovery
                continue
            if isinstance(group, str):
                self._end_at_group(number, data, offset, group)
                return
            offset = self._accept(number, data, offset, group)
            yield group
            if self.stop is not None:
                return
        self._sha256 = hashlib.sha256(data[: (self.position or (0, 0))[1]]).digest()

    def _group_at(self, number: int, data: bytes, offset: int) -> Group | str:
        head = data[offset : offset + HEADER_BYTES]
        if not any(head):
            return _ZEROS
        header = unpack_header(head)
        if isinstance(header, str):
            return header
        start = offset + HEADER_BYTES
        group = unpack_body(header, data[start : start + header.body_bytes])
        return group if isinstance(group, str) else self._order_problem(number, group) or group

    def _order_problem(self, number: int, group: Group) -> str:
        if group.segment_number != number:
            return f"group names segment {group.segment_number}"
        if group.first_sequence != self.next_sequence:
            return f"group starts at sequence {group.first_sequence}"
        if group.previous_crc != self._crc:
            return "chain crc differs"
        if group.epoch < self.epoch:
            return f"epoch {group.epoch} after epoch {self.epoch}"
        return "" if group.timestamp_ns >= self.timestamp_ns else "timestamp goes back"

    def _accept(self, number: int, data: bytes, offset: int, group: Group) -> int:
        """Take a group into the walk's state; return the offset of the next one."""
        body = group.records + group.attachments
        end = offset + HEADER_BYTES + len(body)
        boundary = _boundary(end)
        if offset % BLOCK_BYTES == 0 and self.position == (number, offset):
            self.last_write_offset = offset
        self._crc = crc32c(body)
        self.next_sequence = group.last_sequence + 1
        self.epoch, self.timestamp_ns = group.epoch, group.timestamp_ns
        self.clean_shutdown = group.is_clean_shutdown
        self.group_count += 1
        self.position = (number, boundary)
        if not group.flags & LAST_OF_WRITE:
            return end
        if any(data[end:boundary]):
            self._end(number, end, PADDING_DAMAGED, proof="padding is written as zeros over zeros")
        return boundary

    def _end_at_group(self, number: int, data: bytes, offset: int, problem: str) -> None:
        if self._is_followed(number, data):
            self._end(number, offset, REST_DAMAGED, proof="the next segment starts where this one ends")
            return
        header = unpack_header(data[offset : offset + HEADER_BYTES])
        known = isinstance(header, GroupHeader) and header.first_sequence == self.next_sequence
        last = header.last_sequence if isinstance(header, GroupHeader) and known else None
        self._end(number, offset, problem, last_sequence=last)

    def _is_followed(self, number: int, data: bytes) -> bool:
        """Say whether the next segment continues right behind the last whole group of this one."""
        if not self._disk.exists(segment_path(self._directory, number + 1)):
            return False
        header = read_segment_header(self._disk, self._directory, number + 1)
        if isinstance(header, str):
            return False
        used_bytes = self.position[1] if self.position else SEGMENT_HEADER_BYTES
        self._sha256 = hashlib.sha256(data[:used_bytes]).digest()
        return not self._header_problem(header, number + 1, first=False)

    def _end(self, number: int, offset: int, reason: str, *, last_sequence: int | None = None, proof: str = "") -> None:
        self.stop = Stop(
            number=number, offset=offset, next_sequence=self.next_sequence, last_sequence=last_sequence,
            reason=reason, proof=proof,
        )  # fmt: skip


def find_proof(disk: Disk, directory: str, stop: Stop) -> str:
    """Say what proves that the sequences missing at `stop` were acknowledged; empty when nothing does."""
    if stop.proof:
        return stop.proof
    for number in (number for number in list_segments(disk, directory) if number >= stop.number):
        data = read_whole(disk, segment_path(directory, number))
        start = SEGMENT_HEADER_BYTES
        if number == stop.number:
            start = max(start, stop.offset // BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES)
        for offset in range(start, len(data.rstrip(b"\0")), BLOCK_BYTES):
            if _proves(data, offset, number, stop.next_sequence):
                return f"a later group in {segment_path(directory, number)} at offset {offset} proves them synced"
    return ""


def _proves(data: bytes, offset: int, number: int, missing_sequence: int) -> bool:
    header = unpack_header(data[offset : offset + HEADER_BYTES])
    if isinstance(header, str) or header.segment_number != number:
        return False
    if header.synced_sequence < missing_sequence and header.first_sequence != missing_sequence:
        return False
    start = offset + HEADER_BYTES
    return not isinstance(unpack_body(header, data[start : start + header.body_bytes]), str)


def _numbers_from(disk: Disk, directory: str, from_sequence: int | None) -> list[int]:
    """Return the segments to walk: the last one that starts at or below `from_sequence`, and all behind it."""
    numbers = list_segments(disk, directory)
    if from_sequence is None:
        return numbers
    start = 0
    for index, number in enumerate(numbers):
        header = read_segment_header(disk, directory, number)
        if isinstance(header, str):
            continue
        if header.first_sequence <= from_sequence:
            start = index
        elif index == 0:
            oldest = header.first_sequence
            raise JournalGap(f"{directory}: starts at sequence {oldest}; sequence {from_sequence} was released")
    return numbers[start:]


def _boundary(offset: int) -> int:
    return -(-offset // BLOCK_BYTES) * BLOCK_BYTES
