"""The journal writer: staged groups go out as one write on a block boundary and one fdatasync.

Theory of operation. The loop thread calls `stage`; one committer (a `CommitThread` or the simulator) calls
`commit_staged`, which takes everything staged, so batching grows with load. Nothing is released before the sync that
covers it returned. The next segment is made while the current one fills. After a failed write or sync the writer is
dead: memory is ahead of the disk, and a second sync would report success for pages that are gone.
Non-goals: durability modes and holding of outputs (the sequencer), clocks (timestamps come with the groups).
"""

import contextlib
import errno
import hashlib
import itertools
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.journal.commit_thread import CommitThread
from exchange.journal.disk import Disk
from exchange.journal.errors import JournalError, JournalFailed, JournalFull
from exchange.journal.group import (
    BLOCK_BYTES,
    CLEAN_SHUTDOWN,
    HEADER_BYTES,
    LAST_OF_WRITE,
    RECORD_BYTES,
    Group,
    Placement,
    crc32c,
    pack_group,
)
from exchange.journal.segment import (
    SEGMENT_BYTES,
    SEGMENT_HEADER_BYTES,
    SEGMENT_MIN_BYTES,
    SegmentHeader,
    list_segments,
    make_segment,
    pack_segment_header,
    read_segment_header,
    retire_segment,
    segment_path,
)

if TYPE_CHECKING:
    from exchange.journal.reader import Recovery

__all__ = ["SUSPECT_NAME", "CommitThread", "JournalWriter"]

SUSPECT_NAME = "SUSPECT"
# Beyond these the writer is `busy` (new orders wait, cancels pass); at twice that nothing more is taken.
STAGED_LIMIT_BYTES = 64 << 20
STAGED_LIMIT_COMMANDS = 64 << 10
HARD_FACTOR = 2
# Share of a segment after which a missing successor means cancel-only.
RESERVE_NUMERATOR, RESERVE_DENOMINATOR = 3, 4


@dataclass(frozen=True, slots=True)
class _Staged:
    group: Group
    body: bytes
    body_crc: int

    @property
    def written_bytes(self) -> int:
        return HEADER_BYTES + len(self.body)


class JournalWriter:
    """Appends groups. `stage` and the properties may be used from one thread, `commit_staged` from one other."""

    def __init__(
        self,
        disk: Disk,
        directory: str = "journal",
        *,
        epoch: int,
        segment_bytes: int = SEGMENT_BYTES,
        next_sequence: int = 1,
        previous_crc: int = 0,
        last_timestamp_ns: int = 0,
        position: tuple[int, int] | None = None,
        config_hash: bytes = bytes(32),
        instruments_hash: bytes = bytes(32),
    ) -> None:
        """Continue at `position` (segment number, offset), or open segment 1 of an empty journal.

        `segment_bytes` is a multiple of 4096, at least 8192. Raises JournalError when a fresh journal is asked for
        where segments exist, OSError when the disk refuses.
        """
        if segment_bytes % BLOCK_BYTES or segment_bytes < SEGMENT_MIN_BYTES:
            raise ValueError(f"segment_bytes {segment_bytes}: a multiple of {BLOCK_BYTES} from {SEGMENT_MIN_BYTES}")
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._epoch = epoch
        self._config_hash = config_hash
        self._instruments_hash = instruments_hash
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self.staged_event = threading.Event()
        self._staged: deque[_Staged] = deque()
        self._staged_bytes = 0
        self._staged_commands = 0
        self._next_sequence = next_sequence
        self._last_timestamp_ns = last_timestamp_ns
        self._last_committed = next_sequence - 1
        self._previous_crc = previous_crc
        self._failure: BaseException | None = None
        self._next_failed = False
        self._next_ready = False
        disk.mkdir(directory)
        self._open_at(position)

    @classmethod
    def resume(
        cls,
        disk: Disk,
        recovery: "Recovery",
        *,
        epoch: int,
        segment_bytes: int = SEGMENT_BYTES,
        config_hash: bytes = bytes(32),
        instruments_hash: bytes = bytes(32),
    ) -> "JournalWriter":
        """Continue behind what `recover` found. `epoch` comes from `raise_epoch`."""
        return cls(
            disk, recovery.directory, epoch=epoch, segment_bytes=segment_bytes,
            next_sequence=recovery.last_sequence + 1, previous_crc=recovery.last_crc,
            last_timestamp_ns=recovery.last_timestamp_ns, position=recovery.position,
            config_hash=config_hash, instruments_hash=instruments_hash,
        )  # fmt: skip

    @property
    def last_committed(self) -> int:
        """Highest sequence known durable; 0 before the first."""
        return self._last_committed

    @property
    def next_sequence(self) -> int:
        """The `first_sequence` that the next staged group must have."""
        return self._next_sequence

    @property
    def busy(self) -> bool:
        """True while 64 MiB or 64 k commands are uncommitted: answer new orders with `busy`, let cancels pass."""
        return self._staged_bytes >= STAGED_LIMIT_BYTES or self._staged_commands >= STAGED_LIMIT_COMMANDS

    @property
    def cancel_only(self) -> bool:
        """True while the disk refuses the next segment and the current one is in its last quarter."""
        used = self._offset * RESERVE_DENOMINATOR
        return self._next_failed and used >= self._capacity * RESERVE_NUMERATOR

    @property
    def next_missing(self) -> bool:
        """True when `prepare_next` has work to do."""
        return not self._next_ready

    @property
    def failure(self) -> BaseException | None:
        """What killed the writer, or None."""
        return self._failure

    @property
    def staged_commands(self) -> int:
        """Commands staged and not yet committed."""
        return self._staged_commands

    def stage(self, group: Group) -> None:
        """Take a group for the next commit; returns at once.

        Raises ValueError for a group out of sequence or time or larger than a segment, JournalFull at the hard bound
        (twice `busy`), JournalFailed after a failed commit.
        """
        self._check_stage(group)
        body = group.body()
        if HEADER_BYTES + len(body) > self._segment_bytes - SEGMENT_HEADER_BYTES:
            raise ValueError(f"group of {len(body)} bytes does not fit a segment of {self._segment_bytes}")
        staged = _Staged(group, body, crc32c(body))
        with self._lock:
            self._staged.append(staged)
            self._staged_bytes += staged.written_bytes
            self._staged_commands += group.command_count
        self._next_sequence = group.last_sequence + 1
        self._last_timestamp_ns = group.timestamp_ns
        self.staged_event.set()

    def commit_staged(self) -> int:
        """Write and sync everything staged; return the last committed sequence.

        On a full disk without a next segment the rest stays staged and `cancel_only` is set. Any other failure marks
        the journal suspect and raises JournalFailed, now and for ever.
        """
        if self._failure is not None:
            raise JournalFailed("the journal failed earlier") from self._failure
        with self._lock:
            batch, self._staged = self._staged, deque()
            self.staged_event.clear()
        try:
            while batch and self._commit_run(batch):
                pass
        except OSError as error:
            self._fail(error)
            raise JournalFailed(f"{self._path}: offset {self._offset}: {error}") from error
        if batch:
            with self._lock:
                self._staged.extendleft(reversed(batch))
        return self._last_committed

    def prepare_next(self) -> bool:
        """Make the next segment ahead of use; False (and retried later) when the disk refuses. Any thread."""
        with self._making:
            if self._next_ready:
                return True
            try:
                make_segment(self._disk, self._directory, self._number + 1, self._segment_bytes)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                self._next_failed = True
                return False
            self._next_ready, self._next_failed = True, False
            return True

    def release(self, before_sequence: int) -> int:
        """Retire segments whose every sequence is below `before_sequence`; return how many.

        May wait for a segment that is being made: call it from any thread but the loop's.
        """
        with self._making:
            numbers = [number for number in list_segments(self._disk, self._directory) if number <= self._number]
            retired = 0
            for number, following in itertools.pairwise(numbers):
                if self._first_sequence_of(following) > before_sequence:
                    break
                retire_segment(self._disk, self._directory, number)
                retired += 1
        return retired

    def close(self) -> None:
        """Commit what is staged, write the clean-shutdown mark, close. A failed writer only closes its file."""
        if self._failure is None:
            mark = Group(
                first_sequence=self._next_sequence, command_count=0, timestamp_ns=self._last_timestamp_ns,
                records=b"", flags=CLEAN_SHUTDOWN,
            )  # fmt: skip
            self.commit_staged()
            self.stage(mark)
            self.commit_staged()
        self._file.close()

    def _check_stage(self, group: Group) -> None:
        if self._failure is not None:
            raise JournalFailed("the journal failed earlier") from self._failure
        if not group.command_count and not group.is_clean_shutdown:
            raise ValueError("an empty group")
        if group.first_sequence != self._next_sequence:
            raise ValueError(f"group starts at {group.first_sequence}, expected {self._next_sequence}")
        if len(group.records) != group.command_count * RECORD_BYTES:
            raise ValueError(f"{len(group.records)} bytes of records for {group.command_count} commands")
        if group.timestamp_ns < self._last_timestamp_ns:
            raise ValueError(f"timestamp {group.timestamp_ns} goes back before {self._last_timestamp_ns}")
        full_bytes = self._staged_bytes >= HARD_FACTOR * STAGED_LIMIT_BYTES
        if full_bytes or self._staged_commands >= HARD_FACTOR * STAGED_LIMIT_COMMANDS:
            raise JournalFull(f"{self._staged_commands} commands, {self._staged_bytes} bytes are uncommitted")

    def _commit_run(self, batch: deque[_Staged]) -> bool:
        """Write and sync the longest head of `batch` that fits the segment; False when the disk is full."""
        run: list[_Staged] = []
        room = self._capacity - self._offset
        while batch and batch[0].written_bytes <= room:
            room -= batch[0].written_bytes
            run.append(batch.popleft())
        if not run:
            return self._next_segment()
        self._write_run(run)
        return True

    def _write_run(self, run: list[_Staged]) -> None:
        parts: list[bytes] = []
        crc = self._previous_crc
        for index, staged in enumerate(run):
            last = LAST_OF_WRITE if index == len(run) - 1 else 0
            place = Placement(
                flags=staged.group.flags & ~LAST_OF_WRITE | last, epoch=self._epoch, segment_number=self._number,
                synced_sequence=self._last_committed, previous_crc=crc,
            )  # fmt: skip
            parts.append(pack_group(staged.group, place, staged.body, staged.body_crc))
            crc = staged.body_crc
        data = b"".join(parts)
        data += bytes(-len(data) % BLOCK_BYTES)
        self._file.pwrite(data, self._offset)
        self._file.fdatasync()
        self._offset += len(data)
        self._previous_crc = crc
        self._last_committed = run[-1].group.last_sequence
        self._sha256.update(data)
        with self._lock:
            self._staged_bytes -= sum(staged.written_bytes for staged in run)
            self._staged_commands -= sum(staged.group.command_count for staged in run)

    def _next_segment(self) -> bool:
        if not self.prepare_next():
            return False
        self._file.close()
        with self._making:
            self._open_fresh(self._number + 1, self._last_committed + 1, self._sha256.digest())
            self._next_ready = False
        return True

    def _open_at(self, position: tuple[int, int] | None) -> None:
        if position is None:
            if list_segments(self._disk, self._directory):
                raise JournalError(f"{self._directory}: segments exist; recover before writing")
            make_segment(self._disk, self._directory, 1, self._segment_bytes)
            self._open_fresh(1, self._next_sequence, bytes(32))
            return
        self._number, self._offset = position
        self._path = segment_path(self._directory, self._number)
        self._file = self._disk.open(self._path)
        self._capacity = self._disk.size(self._path) // BLOCK_BYTES * BLOCK_BYTES
        self._sha256 = hashlib.sha256(self._file.pread(self._offset, 0))

    def _open_fresh(self, number: int, first_sequence: int, previous_sha256: bytes) -> None:
        header = SegmentHeader(
            number=number, epoch=self._epoch, first_sequence=first_sequence, previous_crc=self._previous_crc,
            config_hash=self._config_hash, previous_sha256=previous_sha256, instruments_hash=self._instruments_hash,
        )  # fmt: skip
        block = pack_segment_header(header)
        self._number = number
        self._path = segment_path(self._directory, number)
        self._file = self._disk.open(self._path)
        self._file.pwrite(block, 0)
        self._file.fdatasync()
        self._offset = SEGMENT_HEADER_BYTES
        self._capacity = self._segment_bytes
        self._sha256 = hashlib.sha256(block)

    def _first_sequence_of(self, number: int) -> int:
        header = read_segment_header(self._disk, self._directory, number)
        if isinstance(header, str):
            raise JournalError(f"{segment_path(self._directory, number)}: {header}")
        return header.first_sequence

    def _fail(self, error: OSError) -> None:
        """Remember the failure and mark the journal suspect for the next start.

        The mark need not be durable: it matters only while the page cache, which it shares with the data, lives.
        """
        self._failure = error
        with contextlib.suppress(OSError):
            mark = self._disk.open(f"{self._directory}/{SUSPECT_NAME}", create=True)
            mark.pwrite(f"{self._path}: offset {self._offset}: {error}\n".encode(), 0)
            mark.fdatasync()
            mark.close()
