"""Disk of the embedded chain: one sqlite file with the key-value rows of the EVM and an index of its logs.

Every block is one sqlite transaction (WAL, `synchronous=FULL`): after SIGKILL or power loss the file holds whole
blocks only. A bounded read cache keeps hot trie nodes in memory.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from eth.db.backends.base import BaseDB

from settlement.onchain.errors import ChainDataCorrupt

__all__ = ["ChainStore", "LogRow"]

_CACHE_ENTRIES = 20_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS logs (
    block_number INTEGER NOT NULL, log_index INTEGER NOT NULL, tx_index INTEGER NOT NULL,
    tx_hash BLOB NOT NULL, block_hash BLOB NOT NULL, address BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (block_number, log_index)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_by_address ON logs (address, block_number, log_index);
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

    Raises `ChainDataCorrupt` when the file is not a database or fails sqlite's own check.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: dict[bytes, bytes] = {}
        self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=FULL")
            self._sql.executescript(_SCHEMA)
            self._sql.execute("BEGIN")
        except sqlite3.DatabaseError as error:
            self._sql.close()
            raise ChainDataCorrupt(f"{path}: {error}; run `offbook reset` or restore a copy") from error

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
        self._sql.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value))
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
