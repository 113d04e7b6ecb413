"""The historian's process: the event log into a database, beside everything else."""

import sqlite3
from typing import Final

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_flag
from exchange.domain.packing import BadRecord
from exchange.historian.follower import Follower
from exchange.historian.store import BadHistoryFile, HistoryStore
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError

__all__ = ["run"]

_LOOK_INTERVAL_S: Final = 0.05
"""A call of `private/export` waits this long at most for what was committed before it, in the usual case."""


def run(settings: Settings, _name: str) -> None:
    """Follow until SIGTERM. Raises Failure when event log or history cannot be read, or the disk is full."""
    directory = DataDirectory(settings.data.resolve())
    stopped = stop_flag()
    try:
        with HistoryStore(directory.history, event_bytes=settings.account_event_bytes) as store:
            follower = Follower(RealDisk(directory.exchange), store)
            while not stopped.is_set():
                if follower.step():
                    _say_reached(directory, store.cursor)
                else:
                    stopped.wait(_LOOK_INTERVAL_S)
    except (BadHistoryFile, BadRecord, JournalError, sqlite3.DatabaseError) as error:
        raise Failure(
            f"historian: {error}; `private/export` shows nothing new until this is repaired. Deleting "
            f"{directory.history} makes the history begin where the event log does"
        ) from error


def _say_reached(directory: DataDirectory, sequence: int) -> None:
    temporary = directory.remembered.with_suffix(".new")
    temporary.write_text(str(sequence))
    temporary.replace(directory.remembered)
