"""The sequencer: inbox -> sequence and time -> engine -> journal group -> release on commit.

Theory of operation. `submit` and `ask` only queue. One `tick` drains the inbox, gives each command the next sequence
and the tick's single timestamp, applies it, packs commands and events into one journal group and stages it. Nothing
leaves until `committed(n)` says that the group is on disk; then replies and answers go out in order, and after them
the outputs go to the listeners, once per commit. The host decides when to tick (`wake`), reads the clock and runs the
commit thread, so the same code runs in one event loop and in the simulator. Non-goals: sockets, signatures,
settlement.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import google_crc32c

from exchange.bus.interface import AnswerCallback, Busy, OutputListener, ReplyCallback
from exchange.domain.commands import Cancel, CancelMany, Clock, Command, SessionClose
from exchange.domain.events import Event, OrderAccepted, OrderAmended, OrderClosed, OrderRefused, OrderRepeated, Trade
from exchange.domain.limits import MAX_GROUP_COMMANDS, MAX_INBOX_COMMANDS
from exchange.domain.packing import CommandEvents, pack_command, pack_events
from exchange.domain.views import Answer, OrderView, Output, Query
from exchange.engine.apply import apply
from exchange.engine.queries import answer, order_view
from exchange.engine.state import State
from exchange.journal.group import Group

__all__ = ["EventSink", "GroupSink", "Sequencer", "SequencerStats"]

_ALWAYS_TAKEN: Final = (Cancel, CancelMany, SessionClose)
_SECOND_NS: Final = 1_000_000_000


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


@dataclass(slots=True)
class _Submission:
    commands: tuple[Command, ...]
    reply: Callable[[Sequence[Output]], None] | None


@dataclass(slots=True)
class _Question:
    query: Query
    callback: AnswerCallback


@dataclass(slots=True)
class _Pending:
    """One staged group and everything that waits for it."""

    last_sequence: int
    first_sequence: int = 0
    timestamp_ns: int = 0
    blob: bytes = b""
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
        self.durable = False
        self._journal = journal
        self._event_log = event_log
        self._epoch = epoch
        self._clock_ns = clock_ns
        self._wake = wake
        self._inbox: deque[_Submission | _Question] = deque()
        self._inbox_limit = inbox_limit
        self._pending: deque[_Pending] = deque()
        self._listeners: list[OutputListener] = []

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> None:
        """Queue one command; `reply` gets its output once durable. Raises Busy (cancels are always taken)."""
        first = None if reply is None else _first_of(reply)
        self._admit((command,), first, always=isinstance(command, _ALWAYS_TAKEN))

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        """Queue commands that get consecutive sequences in one group. Raises Busy, ValueError beyond a group's size."""
        if len(commands) > MAX_GROUP_COMMANDS - 2:
            raise ValueError(f"{len(commands)} commands together; a group holds {MAX_GROUP_COMMANDS - 2}")
        self._admit(tuple(commands), reply, always=False)

    def ask(self, query: Query, answer: AnswerCallback) -> None:
        """Queue a question; its answer shows the state at this place and is held like any reply."""
        if len(self._inbox) >= self._inbox_limit:
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
        """Whether a tick now would begin with a Clock; the host polls this about every 100 ms."""
        now_ns = max(self.state.timestamp_ns, self._clock_ns())
        deadline_ns = self.state.next_deadline_ns()
        return deadline_ns is not None and deadline_ns <= now_ns

    def tick(self) -> None:
        """Sequence, apply and stage what waits, at most one group; asks to be woken again when more is left."""
        if not self._inbox and not self.clock_due():
            return
        timestamp_ns = max(self.state.timestamp_ns, self._clock_ns())
        pending = _Pending(last_sequence=self.state.sequence, timestamp_ns=timestamp_ns)
        packed: list[tuple[bytes, bytes]] = []
        history: list[CommandEvents] = []
        first_sequence = self.state.sequence + 1
        if self._needs_clock(timestamp_ns):
            self._apply(Clock(), timestamp_ns, packed, history, pending)
        while self._inbox and len(packed) < MAX_GROUP_COMMANDS:
            entry = self._inbox[0]
            if isinstance(entry, _Submission) and len(packed) + len(entry.commands) > MAX_GROUP_COMMANDS:
                break
            self._inbox.popleft()
            self._take(entry, timestamp_ns, packed, history, pending)
        self._stage(first_sequence, packed, history, pending)
        if self._inbox or self.clock_due():
            self._wake()

    def committed(self, last_sequence: int) -> None:
        """Release everything up to `last_sequence`, which is on disk. Groups are released whole and in order."""
        released: list[_Pending] = []
        while self._pending and self._pending[0].last_sequence <= last_sequence:
            released.append(self._pending.popleft())
        for pending in released:
            if pending.blob and self._event_log is not None:
                self._event_log.append(
                    self._epoch, pending.first_sequence, pending.last_sequence, pending.timestamp_ns, pending.blob
                )
            self.stats.committed_sequence = max(self.stats.committed_sequence, pending.last_sequence)
        for pending in released:
            for deliver in pending.deliveries:
                deliver()
        outputs = [output for pending in released for output in pending.outputs]
        if outputs:
            for listener in self._listeners:
                listener(outputs)

    def _admit(
        self, commands: tuple[Command, ...], reply: Callable[[Sequence[Output]], None] | None, *, always: bool
    ) -> None:
        full = len(self._inbox) >= self._inbox_limit or self._journal.busy or self._journal.cancel_only
        if full and not (always and len(self._inbox) < 2 * self._inbox_limit):
            self.stats.shed += 1
            raise Busy
        self._inbox.append(_Submission(commands, reply))
        self._wake()

    def _needs_clock(self, timestamp_ns: int) -> bool:
        """A Clock leads a tick that enters a new second or reaches a deadline, so timers fire before newer commands."""
        new_second = timestamp_ns // _SECOND_NS > self.state.timestamp_ns // _SECOND_NS
        return self.clock_due() or (new_second and any(isinstance(entry, _Submission) for entry in self._inbox))

    def _take(
        self,
        entry: _Submission | _Question,
        timestamp_ns: int,
        packed: list[tuple[bytes, bytes]],
        history: list[CommandEvents],
        pending: _Pending,
    ) -> None:
        if isinstance(entry, _Question):
            self.stats.queries += 1
            pending.deliveries.append(_bound_answer(entry.callback, answer(self.state, entry.query)))
            return
        outputs = tuple(self._apply(command, timestamp_ns, packed, history, pending) for command in entry.commands)
        if entry.reply is not None:
            pending.deliveries.append(_bound_reply(entry.reply, outputs))

    def _apply(
        self,
        command: Command,
        timestamp_ns: int,
        packed: list[tuple[bytes, bytes]],
        history: list[CommandEvents],
        pending: _Pending,
    ) -> Output:
        packed.append(pack_command(command))
        events = apply(self.state, command, timestamp_ns)
        sequence = self.state.sequence
        history.append(CommandEvents(sequence, timestamp_ns, events))
        output = Output(
            sequence=sequence, timestamp_ns=timestamp_ns, events=tuple(events), orders=_touched(self.state, events)
        )
        pending.outputs.append(output)
        return output

    def _stage(
        self,
        first_sequence: int,
        packed: list[tuple[bytes, bytes]],
        history: list[CommandEvents],
        pending: _Pending,
    ) -> None:
        if packed:
            pending.blob = pack_events(history)
            pending.first_sequence = first_sequence
            pending.last_sequence = self.state.sequence
            self._journal.stage(
                Group(
                    first_sequence=first_sequence,
                    command_count=len(packed),
                    timestamp_ns=pending.timestamp_ns,
                    records=b"".join(record for record, _ in packed),
                    attachments=b"".join(attachments for _, attachments in packed),
                    output_crc=google_crc32c.value(pending.blob),
                )
            )
            self.stats.commands += len(packed)
            self.stats.groups += 1
        elif not self._pending:
            # Only questions, and nothing unsynced is visible in their answers.
            for deliver in pending.deliveries:
                deliver()
            return
        self._pending.append(pending)


def _touched(state: State, events: Sequence[Event]) -> dict[int, OrderView]:
    numbers: dict[int, None] = {}
    for event in events:
        if isinstance(event, Trade):
            numbers[event.maker.order] = None
            numbers[event.taker.order] = None
        elif isinstance(event, OrderAccepted | OrderClosed | OrderAmended | OrderRepeated) or (
            isinstance(event, OrderRefused) and event.order
        ):
            numbers[event.order] = None
    views = ((number, order_view(state, number)) for number in numbers)
    return {number: view for number, view in views if view is not None}


def _first_of(reply: ReplyCallback) -> Callable[[Sequence[Output]], None]:
    return lambda outputs: reply(outputs[0])


def _bound_reply(reply: Callable[[Sequence[Output]], None], outputs: Sequence[Output]) -> Callable[[], None]:
    return lambda: reply(outputs)


def _bound_answer(callback: AnswerCallback, value: Answer) -> Callable[[], None]:
    return lambda: callback(value)
