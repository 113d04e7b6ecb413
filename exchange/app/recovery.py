"""From a data directory to a running writer: recover, replay, catch up the event log, take the next epoch.

Order matters and every step may refuse: damaged acknowledged data, another build's events, a gap between snapshot and
journal. A refusal changes nothing on disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.engine.state import State
from exchange.journal.disk import Disk
from exchange.journal.event_log import EventLog
from exchange.journal.reader import Recovery, raise_epoch, recover
from exchange.journal.snapshot import load_newest
from exchange.journal.writer import JournalWriter
from exchange.sequencer.replay import ReplayedGroup, rebuild

__all__ = ["Recovered", "recover_exchange"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """A state equal to the journal's end, and the writer and event log that continue it."""

    state: State
    writer: JournalWriter
    event_log: EventLog
    epoch: int
    recovery: Recovery
    replayed_commands: int


def recover_exchange(
    disk: Disk,
    book_factory: Callable[[], Any],
    *,
    cursors: Mapping[str, int] | None = None,
    segment_bytes: int = 16 << 20,
    event_log_bytes: int = 256 << 20,
    event_file_bytes: int = 64 << 20,
) -> Recovered:
    """Rebuild and open for writing. Raises JournalCorrupt, ReplayDiverged or OSError; nothing is written before."""
    newest = load_newest(disk)
    found = recover(disk, cursors=dict(cursors or {}), from_sequence=1 if newest is None else newest.sequence + 1)
    event_log = EventLog(disk, budget_bytes=event_log_bytes, file_bytes=event_file_bytes)
    event_log.cut_after(found.last_sequence)
    at_most = event_log.last_sequence
    replayed = 0

    def on_group(done: ReplayedGroup) -> None:
        nonlocal replayed
        replayed += done.group.command_count
        if done.group.last_sequence > event_log.last_sequence:
            group = done.group
            event_log.append(group.epoch, group.first_sequence, group.last_sequence, group.timestamp_ns, done.blob)

    state = rebuild(disk, book_factory, at_most=at_most, on_group=on_group)
    epoch = raise_epoch(disk, at_least=found.epoch)
    writer = JournalWriter.resume(disk, found, epoch=epoch, segment_bytes=segment_bytes)
    return Recovered(state, writer, event_log, epoch, found, replayed)
