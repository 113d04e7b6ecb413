"""Events of each subaccount in its own numbering, on disk for a day and within a budget: what streams resume from.

A chunk holds whole commands of one subaccount, in order; the chunks of a subaccount follow each other without a gap.
What cannot be shown as it was (an order from before the history) ends that: what was before it is let go.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

import msgspec

from exchange.domain.account_events import AccountEvent, misses_view
from exchange.domain.instrument import Instrument

__all__ = ["DEFAULT_EVENT_BYTES", "TABLES", "EventChunks", "EventPage", "Told", "read_events"]

Told = tuple[int, AccountEvent]
"""Subaccount and its event."""
DEFAULT_EVENT_BYTES: Final = 1 << 30
"""Of compressed chunks; the file is about as large."""
_KEPT_NS: Final = 86_400 * 10**9
_CHUNK_EVENTS: Final = 64
"""A chunk ends with the command that reaches it."""
_PRUNED_AT_ONCE: Final = 256
_CHUNKS_PER_PAGE: Final = 64
_MAX_CHUNK_BYTES: Final = 256 << 20
"""Of a chunk that is read: far above what one command can do to one subaccount."""
_LEVEL: Final = 1
TABLES: Final = """
CREATE TABLE IF NOT EXISTS account_events (
  id INTEGER PRIMARY KEY, subaccount INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
  timestamp_ns INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS account_events_place ON account_events (subaccount, last_seq);
"""
_INSERT: Final = (
    "INSERT INTO account_events (subaccount, first_seq, last_seq, timestamp_ns, size, body) VALUES (?, ?, ?, ?, ?, ?)"
)
_OLDEST: Final = "SELECT id, size, timestamp_ns FROM account_events ORDER BY id LIMIT ?"
_BEHIND: Final = """
SELECT first_seq, last_seq, body FROM account_events WHERE subaccount = ? AND last_seq > ? ORDER BY last_seq LIMIT ?
"""
_SIZE_OF: Final = "SELECT coalesce(sum(size), 0) FROM account_events WHERE subaccount = ?"
_FIRST: Final = "SELECT first_seq FROM account_events WHERE subaccount = ? ORDER BY last_seq LIMIT 1"
_decode = msgspec.json.Decoder(list[AccountEvent]).decode


class EventPage(msgspec.Struct, frozen=True):
    """Events behind a number, whole commands, in order.

    `forgotten_seq`: newest number that is not here any more; None when there is nothing of the subaccount.
    `sequence`: everything up to this command was looked at. `is_current`: that is all there was when it was asked.
    """

    rows: list[AccountEvent]
    forgotten_seq: int | None
    sequence: int
    instruments: dict[int, Instrument] = {}
    """By number: every one that was ever listed, also those that are traded no more."""
    is_current: bool = True


class EventChunks:
    """The writing side, within the transactions of the store whose database it uses."""

    def __init__(self, database: sqlite3.Connection, budget_bytes: int) -> None:
        """Keep at most `budget_bytes` of chunks."""
        self._database = database
        self._budget_bytes = budget_bytes
        (self.size_bytes,) = database.execute("SELECT coalesce(sum(size), 0) FROM account_events").fetchone()

    def forget_all(self) -> None:
        """Nothing before now can be joined to what comes."""
        self._database.execute("DELETE FROM account_events")
        self.size_bytes = 0

    def append(self, told: Iterable[Told]) -> None:
        """Write events in the order of their commands; drop what is too old or too much."""
        newest_ns = 0
        of_account: dict[int, list[AccountEvent]] = {}
        for account, row in told:
            of_account.setdefault(account, []).append(row)
            newest_ns = row.timestamp_ns
        for account, rows in of_account.items():
            for chunk in _chunks(self._joined(account, rows)):
                self._write(account, chunk)
        if newest_ns:
            self._prune(newest_ns)

    def _joined(self, account: int, rows: list[AccountEvent]) -> list[AccountEvent]:
        """Those behind the last that misses its order; then what is on disk does not join them either."""
        broken = max((at for at, row in enumerate(rows) if misses_view(row)), default=-1)
        if broken < 0:
            return rows
        (size,) = self._database.execute(_SIZE_OF, (account,)).fetchone()
        self._database.execute("DELETE FROM account_events WHERE subaccount = ?", (account,))
        self.size_bytes -= size
        # Whole commands only: the rest of the broken one goes with it.
        return [row for row in rows[broken + 1 :] if row.sequence != rows[broken].sequence]

    def _write(self, account: int, rows: list[AccountEvent]) -> None:
        body = zlib.compress(msgspec.json.encode(rows), _LEVEL)
        first, last = rows[0], rows[-1]
        place = (account, first.account_seq, last.account_seq, last.timestamp_ns, len(body), body)
        self._database.execute(_INSERT, place)
        self.size_bytes += len(body)

    def _prune(self, newest_ns: int) -> None:
        """Oldest first, whoever they belong to."""
        while True:
            found = self._database.execute(_OLDEST, (_PRUNED_AT_ONCE,)).fetchall()
            count = 0
            for _, size, timestamp_ns in found:
                if self.size_bytes <= self._budget_bytes and timestamp_ns > newest_ns - _KEPT_NS:
                    break
                self.size_bytes -= size
                count += 1
            if count:
                self._database.execute("DELETE FROM account_events WHERE id <= ?", (found[count - 1][0],))
            if count < _PRUNED_AT_ONCE:
                return


def read_events(
    database: sqlite3.Connection, subaccount: int, after_seq: int, limit_bytes: int
) -> tuple[list[AccountEvent], int | None]:
    """(Events behind `after_seq`, newest number that is gone or None); whole chunks until `limit_bytes` are reached.

    No events when the next one is not there. Bytes are those of the chunks as they are decoded. Raises
    sqlite3.DatabaseError, zlib.error, msgspec.DecodeError for a file that is damaged.
    """
    rows: list[AccountEvent] = []
    left, next_seq = limit_bytes, after_seq + 1
    for first_seq, last_seq, body in database.execute(_BEHIND, (subaccount, after_seq, _CHUNKS_PER_PAGE)):
        if first_seq > next_seq:
            break
        text = zlib.decompressobj().decompress(body, _MAX_CHUNK_BYTES)
        rows.extend(row for row in _decode(text) if row.account_seq > after_seq)
        next_seq, left = last_seq + 1, left - len(text)
        if left <= 0:
            break
    # Asked last: what is pruned in between makes the place too old, never a gap that nobody sees.
    found = database.execute(_FIRST, (subaccount,)).fetchone()
    return rows, None if found is None else found[0] - 1


def _chunks(rows: list[AccountEvent]) -> Iterator[list[AccountEvent]]:
    """Whole commands together, a new chunk behind _CHUNK_EVENTS."""
    chunk: list[AccountEvent] = []
    for _, of_command in groupby(rows, key=lambda row: row.sequence):
        chunk.extend(of_command)
        if len(chunk) >= _CHUNK_EVENTS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
