"""The sequencer: inbox -> sequence and time -> engine -> journal group -> release on commit.

Theory of operation. `submit` and `ask` only queue. One `tick` drains the inbox, gives each command the next sequence
and the tick's single timestamp, applies it, packs commands and events into one journal group and stages it. Nothing
leaves until `committed(n)` says that the group is on disk; then replies and answers go out in order, and after them
the outputs go to the listeners, once per commit. While the journal is busy nothing is drained, so what is staged stays
bounded. An error inside a tick leaves the engine ahead of the journal: the sequencer takes and releases nothing more,
and the host ends the process. The host decides when to tick (`wake`), reads the clock and runs the
commit thread, so the same code runs in one event loop and in the simulator. Non-goals: sockets, signatures,
settlement.
"""

import errno
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import google_crc32c

from exchange.bus.interface import AnswerCallback, Busy, OutputListener, ReplyCallback
from exchange.domain.commands import Cancel, CancelMany, Clock, Command, SessionClose
from exchange.domain.event_pieces import join_events
from exchange.domain.limits import MAX_GROUP_COMMANDS, MAX_INBOX_COMMANDS
from exchange.domain.packing import pack_command
from exchange.domain.safeguards import CancelAllAfter, RevokeKey
from exchange.domain.views import Answer, Output, Query, Unanswered
from exchange.engine.apply import apply_outputs
from exchange.engine.queries import answer
from exchange.engine.state import State
from exchange.journal.group import Group

__all__ = ["EventSink", "GroupSink", "Sequencer", "SequencerFailed", "SequencerStats"]

_logger = logging.getLogger(__name__)

_ALWAYS_TAKEN: Final[frozenset[type]] = frozenset({Cancel, CancelMany, SessionClose, RevokeKey, CancelAllAfter})
_SECOND_NS: Final = 1_000_000_000
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNLOGGED_GROUPS_MAX: Final = 256
_GROUP_BYTES_MAX: Final = 1 << 20


class SequencerFailed(Exception):
    """An earlier tick or release failed: memory is ahead of the disk, only a restart knows what is true."""


class GroupSink(Protocol):
    """Where groups are staged: the journal writer."""

    @property
    def busy(self) -> bool:
        """Whether too much is uncommitted."""
        ...

    @property
    def cancel_only(self) -> bool:
        """Whether the disk has no room for new orders."""
        ...

    def stage(self, group: Group) -> None:
        """Take one group for the next commit."""
        ...


class EventSink(Protocol):
    """Where committed event blobs go: the event log."""

    def append(self, epoch: int, first_sequence: int, last_sequence: int, timestamp_ns: int, blob: bytes) -> None:
        """Take the events of one committed group."""
        ...


@dataclass(slots=True)
class SequencerStats:
    """Counters for metrics; they only grow."""

    commands: int = 0
    groups: int = 0
    queries: int = 0
    shed: int = 0
    committed_sequence: int = 0
    unlogged_groups: int = 0
    """Committed groups that wait for room in the event log; the one number here that falls again."""


@dataclass(slots=True)
class _Submission:
    commands: tuple[Command, ...]
    packed: tuple[tuple[bytes, bytes], ...]
    reply: Callable[[Sequence[Output]], None] | None


_CLOCK: Final = _Submission((Clock(),), (pack_command(Clock()),), None)


@dataclass(slots=True)
class _Question:
    query: Query
    callback: AnswerCallback


@dataclass(slots=True)
class _Pending:
    """One group in the making, then staged, and everything that waits for it."""

    last_sequence: int
    first_sequence: int = 0
    timestamp_ns: int = 0
    blob: bytes = b""
    size_bytes: int = 0
    records: list[bytes] = field(default_factory=list)
    attachments: list[bytes] = field(default_factory=list)
    unapplied: list[_Submission] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    """Packed events so far, see `join_events`."""
    outputs: list[Output] = field(default_factory=list)
    deliveries: list[Callable[[], None]] = field(default_factory=list)


class Sequencer:
    """Implements `ExchangePort`. All methods belong to one thread: the host's event loop."""

    def __init__(
        self,
        state: State,
        journal: GroupSink,
        event_log: EventSink | None,
        *,
        epoch: int,
        clock_ns: Callable[[], int],
        wake: Callable[[], None],
        inbox_limit: int = MAX_INBOX_COMMANDS,
    ) -> None:
        """`wake` is called when there is work for `tick`; it may be called more than once."""
        self.state = state
        self.stats = SequencerStats(committed_sequence=state.sequence)
        self._journal = journal
        self._event_log = event_log
        self._epoch = epoch
        self._clock_ns = clock_ns
        self._wake = wake
        self._inbox: deque[_Submission | _Question] = deque()
        self._inbox_limit = inbox_limit
        self._pending: deque[_Pending] = deque()
        self._unlogged: deque[_Pending] = deque()
        self._failure: BaseException | None = None
        self._listeners: list[OutputListener] = []

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> None:
        """Queue one command; `reply` gets its output once durable. Raises Busy (cancels are always taken).

        A command that has no record (a number out of its field) raises here, where nothing happened yet.
        """
        first = None if reply is None else _first_of(reply)
        self._admit((command,), first, always=type(command) in _ALWAYS_TAKEN)

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        """Queue commands that get consecutive sequences in one group. Raises Busy, ValueError beyond a group's size."""
        if len(commands) > MAX_GROUP_COMMANDS - 2:
            raise ValueError(f"{len(commands)} commands together; a group holds {MAX_GROUP_COMMANDS - 2}")
        self._admit(tuple(commands), reply, always=False)

    def ask(self, query: Query, answer: AnswerCallback) -> None:
        """Queue a question; its answer shows the state at this place and is held like any reply."""
        if self._failure is not None or len(self._inbox) >= self._inbox_limit:
            self.stats.shed += 1
            raise Busy
        self._inbox.append(_Question(query, answer))
        self._wake()

    def listen(self, listener: OutputListener) -> None:
        """Call `listener` once per commit with all outputs from now on."""
        self._listeners.append(listener)

    @property
    def backlog(self) -> int:
        """Entries that wait for a tick."""
        return len(self._inbox)

    def clock_due(self) -> bool:
        """Whether a tick now would begin with a Clock, or has a failure to tell; the host polls this every 50 ms."""
        if self._failure is not None:
            return True
        now_ns = max(self.state.timestamp_ns, self._clock_ns())
        deadline_ns = self.state.next_deadline_ns()
        return deadline_ns is not None and deadline_ns <= now_ns

    @property
    def failure(self) -> BaseException | None:
        """What stopped the sequencer, or None."""
        return self._failure

    def tick(self) -> None:
        """Sequence, apply and stage what waits, at most one group; asks to be woken again when more is left.

        An error of engine or journal is final: the host must end the process, later calls raise SequencerFailed.
        """
        ready: list[Callable[[], None]] = []
        with self._fatal():
            if self._unlogged:
                self._log_events()
            if not self._journal.busy and (self._inbox or self.clock_due()):
                ready = self._drain()
        _call_all(ready)

    def committed(self, last_sequence: int) -> None:
        """Release everything up to `last_sequence`, which is on disk. Groups are released whole and in order.

        An error of the event log is final, but for a full disk: that append is tried again later. An error of a
        callback is raised when all others were called.
        """
        with self._fatal():
            released: list[_Pending] = []
            while self._pending and self._pending[0].last_sequence <= last_sequence:
                released.append(self._pending.popleft())
            for pending in released:
                self.stats.committed_sequence = max(self.stats.committed_sequence, pending.last_sequence)
            if self._event_log is not None:
                self._unlogged.extend(pending for pending in released if pending.blob)
            self._log_events()
            if self._inbox:
                self._wake()
        self._release(released)

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        if self._failure is not None:
            raise SequencerFailed("the sequencer stopped earlier") from self._failure
        try:
            yield
        except BaseException as error:
            self._failure = error
            raise

    def _drain(self) -> list[Callable[[], None]]:
        """Make one group of what waits; returns what may be delivered at once."""
        timestamp_ns = max(self.state.timestamp_ns, self._clock_ns())
        pending = _Pending(
            last_sequence=self.state.sequence, first_sequence=self.state.sequence + 1, timestamp_ns=timestamp_ns
        )
        if self._needs_clock(timestamp_ns):
            self._apply_clock(pending)
        # One Clock fires a bounded number of timers; all that are due fire before any newer command.
        while self.state.work_pending() and len(pending.records) < MAX_GROUP_COMMANDS:
            self._apply_clock(pending)
        while self._inbox and len(pending.records) < MAX_GROUP_COMMANDS and pending.size_bytes < _GROUP_BYTES_MAX:
            entry = self._inbox[0]
            if isinstance(entry, _Submission) and len(pending.records) + len(entry.commands) > MAX_GROUP_COMMANDS:
                break
            self._inbox.popleft()
            self._take(entry, pending)
        self._apply(pending)
        ready = self._stage(pending)
        if self._inbox or self.clock_due():
            self._wake()
        return ready

    def _log_events(self) -> None:
        """Append what is committed to the event log. Without room it waits; the journal has it, nothing is lost."""
        while self._unlogged and self._event_log is not None:
            one = self._unlogged[0]
            try:
                self._event_log.append(self._epoch, one.first_sequence, one.last_sequence, one.timestamp_ns, one.blob)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                break
            self._unlogged.popleft()
        self.stats.unlogged_groups = len(self._unlogged)

    def _release(self, released: Sequence[_Pending]) -> None:
        calls = [deliver for pending in released for deliver in pending.deliveries]
        outputs = [output for pending in released for output in pending.outputs]
        if outputs:
            calls += [partial(listener, outputs) for listener in self._listeners]
        _call_all(calls)

    def _admit(
        self, commands: tuple[Command, ...], reply: Callable[[Sequence[Output]], None] | None, *, always: bool
    ) -> None:
        full = (
            len(self._inbox) >= self._inbox_limit
            or self._journal.busy
            or self._journal.cancel_only
            or len(self._unlogged) > _UNLOGGED_GROUPS_MAX
        )
        if self._failure is not None or (full and not (always and len(self._inbox) < 2 * self._inbox_limit)):
            self.stats.shed += 1
            raise Busy
        packed = tuple(map(pack_command, commands))
        self._inbox.append(_Submission(commands, packed, reply))
        self._wake()

    def _needs_clock(self, timestamp_ns: int) -> bool:
        """A Clock leads a tick that enters a new second or reaches a deadline, so timers fire before newer commands."""
        new_second = timestamp_ns // _SECOND_NS > self.state.timestamp_ns // _SECOND_NS
        return self.clock_due() or (new_second and any(isinstance(entry, _Submission) for entry in self._inbox))

    def _take(self, entry: _Submission | _Question, pending: _Pending) -> None:
        """Put commands into the group, or answer a question about the state behind those before it."""
        if isinstance(entry, _Question):
            self._apply(pending)
            self.stats.queries += 1
            pending.deliveries.append(partial(entry.callback, self._answer(entry.query)))
            return
        pending.unapplied.append(entry)
        for record, attachments in entry.packed:
            pending.records.append(record)
            pending.attachments.append(attachments)
            pending.size_bytes += len(record) + len(attachments)

    def _answer(self, query: Query) -> Answer:
        """What the engine answers. A question changes nothing, so one that it cannot answer stops nobody."""
        try:
            return answer(self.state, query)
        except Exception:
            _logger.exception("no answer to %s", type(query).__name__)
            return Unanswered()

    def _apply_clock(self, pending: _Pending) -> None:
        self._take(_CLOCK, pending)
        self._apply(pending)

    def _apply(self, pending: _Pending) -> None:
        """Apply what was taken and not applied yet, in one call."""
        entries, pending.unapplied = pending.unapplied, []
        if not entries:
            return
        commands = [command for entry in entries for command in entry.commands]
        packed = [row for entry in entries for row in entry.packed]
        outputs, pieces = apply_outputs(self.state, commands, packed, pending.timestamp_ns)
        pending.outputs += outputs
        pending.pieces += pieces
        first = 0
        for entry in entries:
            behind = first + len(entry.commands)
            if entry.reply is not None:
                pending.deliveries.append(partial(entry.reply, tuple(outputs[first:behind])))
            first = behind

    def _stage(self, pending: _Pending) -> list[Callable[[], None]]:
        """Hand the group to the journal; returns the answers of a tick that holds nothing but questions."""
        if pending.records:
            pending.blob = join_events(len(pending.records), pending.pieces)
            pending.last_sequence = self.state.sequence
            self._journal.stage(
                Group(
                    first_sequence=pending.first_sequence,
                    command_count=len(pending.records),
                    timestamp_ns=pending.timestamp_ns,
                    records=b"".join(pending.records),
                    attachments=b"".join(pending.attachments),
                    output_crc=google_crc32c.value(pending.blob),
                )
            )
            self.stats.commands += len(pending.records)
            self.stats.groups += 1
            pending.records, pending.attachments, pending.pieces = [], [], []
        elif not self._pending:
            return pending.deliveries  # nothing unsynced is visible in these answers
        self._pending.append(pending)
        return []


def _first_of(reply: ReplyCallback) -> Callable[[Sequence[Output]], None]:
    return lambda outputs: reply(outputs[0])


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    """Call every one; a callback that fails takes nobody else's reply with it. Raises the first failure at the end."""
    first: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others come first
            first = first or error
    if first is not None:
        raise first
