"""The snapshot process: replay what the newest snapshot does not hold yet, compare every group, write the next one.

It reads only sealed history: groups at or below the sequence that was synced when the last whole group was written.
"""

import os
from collections.abc import Callable
from typing import Any

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.engine.snapshot import dump
from exchange.engine.state_hash import state_hash
from exchange.journal.disk import Disk, RealDisk
from exchange.journal.errors import JournalError
from exchange.journal.reader import read_groups
from exchange.journal.snapshot import Snapshot, load_newest, write_snapshot
from exchange.sequencer.replay import ReplayDiverged, rebuild
from matching_core import OrderBook

__all__ = ["run", "snapshot_once"]


def run(settings: Settings, _name: str) -> None:
    """Write one snapshot. Raises Failure when replay and journal disagree."""
    os.nice(10)
    try:
        snapshot_once(RealDisk(DataDirectory(settings.data.resolve()).exchange), OrderBook)
    except (JournalError, ReplayDiverged) as error:
        raise Failure(str(error)) from error


def snapshot_once(disk: Disk, book_factory: Callable[[], Any]) -> int:
    """Snapshot everything the journal calls durable; the sequence written, 0 when there was nothing new.

    Raises JournalError, ReplayDiverged.
    """
    newest = load_newest(disk)
    start = 0 if newest is None else newest.sequence
    # What the journal itself says was durable: a snapshot never runs ahead of the disk.
    synced = max((group.synced_sequence for group in read_groups(disk, from_sequence=start + 1)), default=0)
    if synced <= start:
        return 0
    state = rebuild(disk, book_factory, up_to=synced)
    if state.sequence <= start:
        return 0
    write_snapshot(
        disk,
        Snapshot(
            sequence=state.sequence,
            epoch=state.epoch,
            timestamp_ns=state.timestamp_ns,
            state_hash=state_hash(state),
            config_hash=bytes(32),
            sections=dump(state),
        ),
    )
    return state.sequence
