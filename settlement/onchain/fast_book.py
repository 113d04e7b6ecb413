"""The payer's durable memory of fast payments: one row per withdrawal, fsynced before anything is signed for it.

PLANNED > PAID > REPAID, back to PLANNED when the payment's block left the chain; DROPPED instead of PAID when it cannot
be paid (any more), LOST instead of REPAID when the batch was voided and the request approved at nothing afterwards.
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["BadMove", "FastBook", "FastRow", "FastState"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    request INTEGER PRIMARY KEY, seq INTEGER NOT NULL, batch_hash BLOB NOT NULL,
    amount_e6 INTEGER NOT NULL, fee_e6 INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT ''
);
"""


class FastState(StrEnum):
    """How far a payment has come; the texts are what `offbook bridge status` shows."""

    PLANNED = "paying"
    PAID = "paid ahead"
    REPAID = "repaid"
    DROPPED = "not paid ahead"
    LOST = "lost"


_MOVES: Final = MappingProxyType(
    {
        FastState.PLANNED: frozenset({FastState.PAID, FastState.DROPPED}),
        FastState.PAID: frozenset({FastState.PLANNED, FastState.REPAID, FastState.LOST}),
        FastState.DROPPED: frozenset[FastState](),
        FastState.REPAID: frozenset[FastState](),
        FastState.LOST: frozenset[FastState](),
    }
)
_OPEN: Final = (FastState.PLANNED, FastState.PAID)


class BadMove(RuntimeError):
    """A payment was moved to a state that does not follow its own: a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastRow:
    """One withdrawal: the approved amount and our fee, both in 1e-6 USDC, and the batch that we looked at."""

    request: int
    seq: int
    batch_hash: bytes
    amount_e6: int
    fee_e6: int
    state: FastState = FastState.PLANNED
    reason: str = ""


class FastBook:
    """One sqlite file; every change is one durable transaction. One process at a time."""

    def __init__(self, path: Path | str) -> None:
        self._sql = sqlite3.connect(path, isolation_level=None)
        self._sql.row_factory = sqlite3.Row
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute("PRAGMA synchronous=FULL")
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._sql.close()

    def row(self, request: int) -> FastRow | None:
        """Row of a withdrawal, None when it was never planned."""
        found = self._sql.execute("SELECT * FROM payments WHERE request = ?", (request,)).fetchone()
        return None if found is None else _row(found)

    def open_rows(self) -> list[FastRow]:
        """Those that are not at an end, oldest request first."""
        query = "SELECT * FROM payments WHERE state IN (?, ?) ORDER BY request"
        return [_row(found) for found in self._sql.execute(query, _OPEN)]

    def outstanding_e6(self) -> int:
        """Money that is on its way or out: what one revert of everything could cost."""
        return sum(row.amount_e6 - row.fee_e6 for row in self.open_rows())

    def plan(self, row: FastRow) -> None:
        """Write that this withdrawal is going to be paid. Raises `BadMove` unless it is new or was dropped."""
        stored = self.row(row.request)
        if stored is not None and stored.state is not FastState.DROPPED:
            raise BadMove(f"request {row.request} is {stored.state.name}: it cannot be paid a second time")
        values = (row.request, row.seq, row.batch_hash, row.amount_e6, row.fee_e6, FastState.PLANNED)
        columns = "request, seq, batch_hash, amount_e6, fee_e6, state"
        self._sql.execute(f"INSERT OR REPLACE INTO payments ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - constant names

    def move(self, row: FastRow, state: FastState, reason: str = "") -> None:
        """Write a payment's next state. Raises `BadMove`."""
        stored = self.row(row.request)
        _check_move(row if stored is None else stored, state)
        change = "UPDATE payments SET state = ?, reason = ? WHERE request = ?"
        self._sql.execute(change, (state, reason, row.request))


def _check_move(row: FastRow, state: FastState) -> None:
    if state not in _MOVES[row.state]:
        raise BadMove(f"payment of request {row.request} cannot go from {row.state.name} to {state.name}")


def _row(found: sqlite3.Row) -> FastRow:
    values = dict(found)
    return FastRow(**values | {"state": FastState(values["state"])})
