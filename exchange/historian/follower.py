"""The event log into the store: whole groups, each exactly once, in transactions of what one look finds."""

import msgspec

from exchange.domain.instrument import Instrument
from exchange.domain.packing import unpack_events
from exchange.historian.account_events import Told
from exchange.historian.fold import Kept
from exchange.historian.store import HistoryStore
from exchange.journal.disk import Disk
from exchange.journal.errors import JournalGap
from exchange.journal.event_log import EventLogReader, first_sequence
from exchange.journal.snapshot import load_newest

__all__ = ["Follower"]


class Follower:
    """Carries a store on along an event log."""

    def __init__(self, disk: Disk, store: HistoryStore, directory: str = "events") -> None:
        """Go on where `store` stands. `disk` holds event log and snapshots."""
        self._disk = disk
        self._directory = directory
        self._store = store
        self._fold = store.fold()
        self._reader = EventLogReader(directory, store.cursor, disk=disk)

    def step(self) -> int:
        """Take what one look at the log finds; the number of new commands. Raises JournalCorrupt, BadRecord.

        When the log no longer holds the next events, the history begins again where the log does.
        """
        try:
            blobs = self._reader.poll()
        except JournalGap:
            self._begin_again()
            return 0
        before = self._store.cursor
        if not blobs:
            return 0
        kept: list[Kept] = []
        told: list[Told] = []
        for blob in blobs:
            for command in unpack_events(blob.data):
                if command.sequence > before:
                    kept.extend(self._fold.take(command))
                    told.extend(self._fold.account_events(command))
        self._store.append(blobs[-1].last_sequence, kept, self._fold, told)
        return self._store.cursor - before

    def _begin_again(self) -> None:
        sequence = first_sequence(self._disk, self._directory)
        newest = load_newest(self._disk, at_most=1 << 62)
        if newest is not None:
            rows = msgspec.msgpack.decode(newest.sections["instruments"], type=list[Instrument])
            self._store.know(rows)
        self._store.begin_at(sequence)
        self._fold = self._store.fold()
        self._reader = EventLogReader(self._directory, self._store.cursor, disk=self._disk)
