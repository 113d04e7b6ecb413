"""History on disk: one SQLite file, written by the historian's process, read beside it by anyone.

Rows, the orders that are still open and how far all of it reaches change in one transaction, so a killed writer goes on
exactly where it stood. A reader sees whole transactions only.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from exchange.domain.instrument import Instrument
from exchange.domain.views import OrderView
from exchange.historian.account_events import DEFAULT_EVENT_BYTES, TABLES, EventChunks, EventPage, Told, read_events
from exchange.historian.fold import Fold, Kept
from exchange.historian.rows import Kind, Page, Place, Row, row_type

__all__ = ["FILE_NAME", "BadHistoryFile", "HistoryReader", "HistoryStore"]

FILE_NAME: Final = "history.sqlite"
_FORMAT: Final = 1
_BUSY_S: Final = 5.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS progress (
  only INTEGER PRIMARY KEY CHECK (only = 1), format INTEGER NOT NULL, begins INTEGER NOT NULL, cursor INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS rows (
  subaccount INTEGER NOT NULL, kind INTEGER NOT NULL, sequence INTEGER NOT NULL, number INTEGER NOT NULL,
  timestamp_ns INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (subaccount, kind, sequence, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_orders (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS instruments (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
_PAGE: Final = """
SELECT sequence, number, timestamp_ns, body FROM rows
WHERE subaccount = ? AND kind = ? AND (sequence, number) > (?, ?) ORDER BY sequence, number LIMIT ?
"""
# JSON, because a fee cap has more than 64 bits; and because a person may want to look.
_encode = msgspec.json.encode


class BadHistoryFile(ValueError):
    """The file is not a history that this version reads."""


class HistoryStore:
    """The writing side; one process, one thread."""

    def __init__(self, folder: Path, *, event_bytes: int = DEFAULT_EVENT_BYTES) -> None:
        """Open or create `folder`/history.sqlite, and the folder. Raises BadHistoryFile.

        `event_bytes`: budget of the events that streams resume from; all else is kept for ever.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._database = _opened(self._path)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            # A power loss may take the newest transactions: the event log gives them again.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES + TABLES)
            self._database.execute("INSERT OR IGNORE INTO progress VALUES (1, ?, 0, 0)", (_FORMAT,))
            self._database.commit()
            self._chunks = EventChunks(self._database, event_bytes)
            found = self._database.execute("SELECT format, cursor FROM progress").fetchone()
        except sqlite3.DatabaseError as error:
            raise BadHistoryFile(f"{self._path}: {error}") from error
        if found[0] != _FORMAT:
            raise BadHistoryFile(f"{self._path}: format {found[0]}, this version reads {_FORMAT}")
        self.cursor: int = found[1]
        """Last sequence whose events are here; 0 at the beginning."""

    def fold(self) -> Fold:
        """Return what rows of later events need from those that are here."""
        orders = self._database.execute("SELECT body FROM open_orders ORDER BY number")
        instruments = self._database.execute("SELECT body FROM instruments ORDER BY number")
        return Fold(
            [msgspec.json.decode(body, type=OrderView) for (body,) in orders],
            [msgspec.json.decode(body, type=Instrument) for (body,) in instruments],
        )

    def begin_at(self, sequence: int) -> None:
        """Say that the history begins at `sequence`: what was before it is gone. Open orders are forgotten."""
        with self._database:
            self._database.execute("DELETE FROM open_orders")
            self._chunks.forget_all()
            self._database.execute("UPDATE progress SET begins = ?, cursor = ?", (sequence, sequence - 1))
        self.cursor = sequence - 1

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Learn instruments whose listing was before the history."""
        with self._database:
            self._write_instruments(instruments)

    def append(self, cursor: int, kept: Iterable[Kept], fold: Fold, told: Iterable[Told] = ()) -> None:
        """Write rows and account events up to command `cursor`, and what `fold` remembers, in one transaction."""
        with self._database:
            self._chunks.append(told)
            self._database.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                [(subaccount, kind, *row.place, row.timestamp_ns, _encode(row.body)) for subaccount, kind, row in kept],
            )
            self._database.executemany("DELETE FROM open_orders WHERE number = ?", [(n,) for n in fold.gone])
            self._database.executemany(
                "INSERT OR REPLACE INTO open_orders VALUES (?, ?)",
                [(number, _encode(view)) for number, view in fold.changed.items()],
            )
            self._write_instruments(fold.listed)
            self._database.execute("UPDATE progress SET cursor = ?, begins = max(begins, 1)", (cursor,))
        self.cursor = cursor
        fold.settle()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the file."""
        self.close()

    def _write_instruments(self, instruments: Iterable[Instrument]) -> None:
        rows = [(row.instrument_id, _encode(row)) for row in instruments]
        self._database.executemany("INSERT OR IGNORE INTO instruments VALUES (?, ?)", rows)


class HistoryReader:
    """The reading side; may be used from one thread at a time, opens the file when it is first asked."""

    def __init__(self, folder: Path) -> None:
        """Read `folder`/history.sqlite, which the writer may not have made yet."""
        self._path = folder / FILE_NAME
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._instruments: dict[int, Instrument] = {}

    def reached(self) -> int:
        """Last sequence that was looked at; 0 while there is no history."""
        return self._progress()[1]

    def page(self, subaccount: int, kind: Kind, after: Place, limit: int) -> Page:
        """Rows behind place `after`, at most `limit`. Raises BadHistoryFile for a file that cannot be read."""
        # Asked first: a row written meanwhile is shown all the same, and `sequence` never promises too much.
        begins, sequence = self._progress()
        if self._database is None:
            return Page([], False, 0, 0)
        try:
            found = self._database.execute(_PAGE, (subaccount, kind, *after, limit + 1)).fetchall()
            self._load_instruments(self._database)
        except sqlite3.DatabaseError as error:
            raise BadHistoryFile(f"{self._path}: {error}") from error
        rows = _rows(kind, found[:limit])
        return Page(rows, len(found) > limit, sequence, begins, self._instruments)

    def events(self, subaccount: int, after_seq: int, limit_bytes: int) -> EventPage:
        """Events behind `account_seq` `after_seq`, about `limit_bytes` of them. Raises BadHistoryFile."""
        # Asked first, as in `page`.
        _, sequence = self._progress()
        if self._database is None:
            return EventPage([], None, 0)
        try:
            rows, forgotten_seq = read_events(self._database, subaccount, after_seq, limit_bytes)
            self._load_instruments(self._database)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                # Written by a version that kept no events; the historian makes the table when it starts.
                return EventPage([], None, sequence)
            raise BadHistoryFile(f"{self._path}: {error}") from error
        except (sqlite3.DatabaseError, zlib.error, msgspec.DecodeError) as error:
            raise BadHistoryFile(f"{self._path}: {error}") from error
        return EventPage(rows, forgotten_seq, sequence, self._instruments)

    def close(self) -> None:
        """Close the file; a later question opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _load_instruments(self, database: sqlite3.Connection) -> None:
        """Learn those that came since the last look: none is ever changed or taken away."""
        (count,) = database.execute("SELECT count(*) FROM instruments").fetchone()
        if count > len(self._instruments):
            for number, body in database.execute("SELECT number, body FROM instruments"):
                if number not in self._instruments:
                    self._instruments[number] = msgspec.json.decode(body, type=Instrument)

    def _progress(self) -> tuple[int, int]:
        if not self._still_there():
            return 0, 0
        try:
            if self._database is None:
                self._database = _opened(self._path)
                self._database.execute("PRAGMA query_only = ON")
            found = self._database.execute("SELECT begins, cursor FROM progress").fetchone()
        except sqlite3.OperationalError:
            # The writer has just made the file and not yet its tables.
            self.close()
            return 0, 0
        except sqlite3.DatabaseError as error:
            raise BadHistoryFile(f"{self._path}: {error}") from error
        return (0, 0) if found is None else found

    def _still_there(self) -> bool:
        """Whether there is a file; one that was deleted or replaced is let go of, and what was learned from it."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            inode = 0
        if inode != self._inode:
            self.close()
            self._instruments = {}
            self._inode = inode
        return inode != 0


def _opened(path: Path) -> sqlite3.Connection:
    # One thread uses it at a time, not always the same: readers answer from a pool of one.
    return sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)


def _rows(kind: Kind, found: Sequence[tuple[int, int, int, bytes]]) -> list[Row]:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type(kind))
    return [
        Row((sequence, number), timestamp_ns, decoder.decode(body)) for sequence, number, timestamp_ns, body in found
    ]
