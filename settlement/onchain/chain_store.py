"""Disk of the embedded chain: one sqlite file with the key-value rows of the EVM and an index of its logs.

Every block is one sqlite transaction (WAL, `synchronous=FULL`): after SIGKILL or power loss the file holds whole
blocks only. A bounded read cache keeps hot trie nodes in memory. Each row carries the number of the block that last
wrote it, for `chain_pruning`; freed pages are used again, so the file stays at its largest size.
"""

import fcntl
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO

import rlp  # type: ignore[import-untyped]
from eth.db.backends.base import BaseDB
from eth.db.schema import SchemaV1

from settlement.onchain.errors import ChainDataCorrupt

__all__ = ["ChainStore", "LogRow", "lock_directory"]

_CACHE_ENTRIES = 20_000
_WAL_BYTES = 16 << 20
_HEADER_NUMBER_FIELD = 8
# `written` stands before `value`, so that a sweep reads no overflow page.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, written INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS logs (
    block_number INTEGER NOT NULL, log_index INTEGER NOT NULL, tx_index INTEGER NOT NULL,
    tx_hash BLOB NOT NULL, block_hash BLOB NOT NULL, address BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (block_number, log_index)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_by_address ON logs (address, block_number, log_index);
CREATE TEMP TABLE marks (key BLOB NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY (key, kind)) WITHOUT ROWID;
"""
_SWEEP = """
DELETE FROM kv WHERE key > ? AND key <= ? AND written < ?
AND NOT EXISTS (SELECT 1 FROM temp.marks WHERE marks.key = kv.key) RETURNING key
"""
_DROP_LOGS = """
DELETE FROM logs WHERE (block_number, log_index) IN
(SELECT block_number, log_index FROM logs WHERE block_number < ? ORDER BY block_number, log_index LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event log. `topics` holds 0..4 words of 32 bytes, concatenated."""

    block_number: int
    log_index: int
    tx_index: int
    tx_hash: bytes
    block_hash: bytes
    address: bytes
    topics: bytes
    data: bytes


class ChainStore(BaseDB):
    """Key-value store over sqlite; nothing is on disk before `commit()`.

    `rows_written` counts since `begin_block`. Raises `ChainDataCorrupt` when the file is not a database or fails
    sqlite's own check.
    """

    def __init__(self, path: Path) -> None:
        self.rows_written = 0
        self._writing_block = 0
        self._path = path
        self._cache: dict[bytes, bytes] = {}
        self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=FULL")
            self._sql.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
            self._sql.execute("PRAGMA temp_store=FILE")
            self._sql.executescript(_SCHEMA)
            self._number_old_rows()
            self._sql.execute("BEGIN")
        except sqlite3.DatabaseError as error:
            self._sql.close()
            raise ChainDataCorrupt(f"{path}: {error}; run `offbook reset` or restore a copy") from error

    def _number_old_rows(self) -> None:
        """A file from before pruning has no block numbers: all its rows count as written by its newest block."""
        if any(column[1] == "written" for column in self._sql.execute("PRAGMA table_info(kv)")):
            return
        head = self.peek(SchemaV1.make_canonical_head_hash_lookup_key())
        header = None if head is None else self.peek(head)
        number = 0 if header is None else int.from_bytes(rlp.decode(header)[_HEADER_NUMBER_FIELD], "big")
        self._sql.execute(f"ALTER TABLE kv ADD COLUMN written INTEGER NOT NULL DEFAULT {number}")

    def __getitem__(self, key: bytes) -> bytes:
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        row = self._query("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        self._remember(key, value)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        # Also when the row is there already: a trie node that comes back must carry the number of its new block.
        statement = "INSERT OR REPLACE INTO kv (key, written, value) VALUES (?, ?, ?)"
        self._sql.execute(statement, (key, self._writing_block, value))
        self.rows_written += 1
        self._remember(key, value)

    def __delitem__(self, key: bytes) -> None:
        self._cache.pop(key, None)
        if self._sql.execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount == 0:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def _query(self, statement: str, arguments: Sequence[object]) -> sqlite3.Cursor:
        try:
            return self._sql.execute(statement, arguments)
        except sqlite3.DatabaseError as error:
            raise ChainDataCorrupt(f"{self._path}: {error}; run `offbook reset` or restore a copy") from error

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= _CACHE_ENTRIES:
            for old in list(self._cache)[: _CACHE_ENTRIES // 4]:
                del self._cache[old]
        self._cache[key] = value

    def read_meta(self, name: str) -> str | None:
        """Value of a named setting, None when it was never written."""
        row = self._query("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_meta(self, name: str, value: str) -> None:
        """Set a named setting; durable at the next `commit()`."""
        self._sql.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def add_logs(self, rows: Sequence[LogRow]) -> None:
        """Index the logs of one block."""
        values = [astuple(row) for row in rows]
        self._sql.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def find_logs(self, first_block: int, last_block: int, addresses: Sequence[bytes], limit: int) -> list[LogRow]:
        """At most `limit` logs of the block range (both ends included), any address when `addresses` is empty."""
        where, arguments = "block_number BETWEEN ? AND ?", [first_block, last_block, *addresses, limit]
        if addresses:
            where += f" AND address IN ({', '.join('?' * len(addresses))})"
        statement = f"SELECT * FROM logs WHERE {where} ORDER BY block_number, log_index LIMIT ?"  # noqa: S608
        return [LogRow(*row) for row in self._query(statement, arguments)]

    def begin_block(self, number: int) -> None:
        """What is written from here on belongs to block `number`."""
        self._writing_block = number
        self.rows_written = 0

    # Pruning

    def peek(self, key: bytes) -> bytes | None:
        """Value of a row without caching it; None when there is none."""
        row = self._query("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def mark(self, key: bytes, kind: int) -> bool:
        """Protect a row from `sweep` until `clear_marks` or the end of the process; False when it was marked before.

        Marks live in a temporary file: the rows that a state reaches may be more than memory should hold.
        """
        return self._sql.execute("INSERT OR IGNORE INTO temp.marks VALUES (?, ?)", (key, kind)).rowcount == 1

    def clear_marks(self) -> None:
        """Forget all marks."""
        self._sql.execute("DELETE FROM temp.marks")

    def sweep(self, after: bytes, before_block: int, limit: int) -> bytes | None:
        """Delete the unmarked rows older than `before_block` among the `limit` rows that follow key `after`.

        Returns the last key looked at; None when no row follows it.
        """
        ahead = self._query("SELECT key FROM kv WHERE key > ? ORDER BY key LIMIT ?", (after, limit)).fetchall()
        if not ahead:
            return None
        last: bytes = ahead[-1][0]
        for (key,) in self._query(_SWEEP, (after, last, before_block)).fetchall():
            self._cache.pop(key, None)
        return last if len(ahead) == limit else None

    def drop_logs(self, before_block: int, limit: int) -> bool:
        """Delete at most `limit` of the oldest logs; False when none older than `before_block` can be left."""
        return self._sql.execute(_DROP_LOGS, (before_block, limit)).rowcount == limit

    def count_rows(self) -> tuple[int, int]:
        """Key-value rows and logs on disk."""
        count = "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM logs)"
        rows, logs = self._query(count, ()).fetchone()
        return rows, logs

    def commit(self) -> None:
        """Make everything written since the last call durable (one fsync)."""
        self._sql.execute("COMMIT")
        self._sql.execute("BEGIN")

    def rollback(self) -> None:
        """Forget everything written since the last `commit()`."""
        self._sql.execute("ROLLBACK")
        self._cache.clear()
        self._sql.execute("BEGIN")

    def close(self) -> None:
        """Drop what was not committed and release the file."""
        self._sql.execute("ROLLBACK")
        self._sql.close()


def lock_directory(directory: Path) -> IO[str]:
    """Hold a directory until the handle is closed or the process ends. Raises `ChainDataCorrupt` when it is held."""
    handle = (directory / "chain.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise ChainDataCorrupt(f"{directory} is in use by another chain process: stop it first") from error
    return handle
