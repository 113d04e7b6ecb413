"""From disk to state: newest snapshot, then the journal, with every group's output compared to what was written.

The state is a function of the journal. A group whose events have another checksum than when they were released means
another build or a broken rule, and the exchange does not start on it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import google_crc32c
import msgspec

from exchange.domain.packing import CommandEvents, unpack_events
from exchange.engine.apply import apply_batch
from exchange.engine.snapshot import load
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import new_state, state_class
from exchange.journal.disk import Disk
from exchange.journal.group import Group
from exchange.journal.reader import read_groups
from exchange.journal.snapshot import Snapshot, load_newest

__all__ = ["ReplayDiverged", "ReplayedGroup", "apply_group", "rebuild", "replay", "state_of_snapshot"]


class ReplayDiverged(Exception):
    """Replay gave other events than the journal's: not deterministic, or the wrong build."""


@dataclass(frozen=True, slots=True)
class ReplayedGroup:
    """One replayed group and its commands' events as packed bytes."""

    group: Group
    blob: bytes

    @property
    def history(self) -> list[CommandEvents]:
        """The events themselves, made now."""
        return unpack_events(self.blob)


def apply_group(state: State, group: Group) -> ReplayedGroup:
    """Apply a group's commands; raises ReplayDiverged unless events and sequences are those of the journal."""
    if group.first_sequence != state.sequence + 1:
        raise ReplayDiverged(f"the journal goes on at {group.first_sequence}, the state ends at {state.sequence}")
    blob = apply_batch(state, group.records, group.attachments, group.timestamp_ns)
    if google_crc32c.value(blob) != group.output_crc:
        raise ReplayDiverged(
            f"group of sequences {group.first_sequence} to {group.last_sequence}: replay gives other events than "
            f"were released; start the build that wrote this journal"
        )
    return ReplayedGroup(group, blob)


def replay(
    disk: Disk, state: State, *, up_to: int | None = None, on_group: Callable[[ReplayedGroup], None] | None = None
) -> State:
    """Continue `state` from the journal up to sequence `up_to` (None: to its end), group by group."""
    for group in _groups(disk, state.sequence + 1, up_to):
        replayed = apply_group(state, group)
        if on_group is not None:
            on_group(replayed)
    return state


def state_of_snapshot(snapshot: Snapshot, book_factory: Callable[[], Any]) -> State:
    """The state a snapshot holds; raises ReplayDiverged when its hash is not the one stored."""
    try:
        state = load(dict(snapshot.sections), book_factory, state_class=state_class(book_factory))
    except (ArithmeticError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ReplayDiverged(
            f"the snapshot at sequence {snapshot.sequence} has a form this build does not read ({error}): start the "
            f"build that wrote it, or `offbook reset`"
        ) from error
    if state.sequence != snapshot.sequence or state_hash(state) != snapshot.state_hash:
        raise ReplayDiverged(f"the snapshot at sequence {snapshot.sequence} does not give the state hash it names")
    return state


def rebuild(
    disk: Disk,
    book_factory: Callable[[], Any],
    *,
    at_most: int | None = None,
    up_to: int | None = None,
    on_group: Callable[[ReplayedGroup], None] | None = None,
) -> State:
    """State after the newest snapshot (not above sequence `at_most`) and the groups behind it, up to `up_to`."""
    snapshot = load_newest(disk, at_most=at_most)
    state = new_state(book_factory) if snapshot is None else state_of_snapshot(snapshot, book_factory)
    return replay(disk, state, up_to=up_to, on_group=on_group)


def _groups(disk: Disk, from_sequence: int, up_to: int | None) -> Iterator[Group]:
    for group in read_groups(disk, from_sequence=from_sequence):
        if up_to is not None and group.last_sequence > up_to:
            return
        yield group
