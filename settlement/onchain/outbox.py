"""The settler's durable memory: one row per batch and one per transaction, fsynced before anything is sent.

A batch moves BUILT > SIGNED > SENT > INCLUDED > SAFE > FINAL and back to SENT when its block leaves the chain.
A flight is one nonce of the posting key: all raw transactions signed for it, of which at most one can be mined.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from settlement.onchain.errors import HeadBehind, OutboxMismatch
from settlement.onchain.outbox_rows import BatchRow, BatchState, BuiltBatch, Flight, Purpose, RawTransaction

__all__ = ["BatchRow", "BatchState", "BuiltBatch", "Flight", "Outbox", "Purpose", "RawTransaction"]

_ROUND_CALL_BYTES = 36
"""Selector and round number: batches that share a round may ask for it at another time."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY, first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
    data_hash BLOB NOT NULL, h BLOB NOT NULL, data BLOB, vector BLOB,
    previous_root BLOB NOT NULL, new_root BLOB NOT NULL,
    orders_root BLOB NOT NULL, collateral_e6 INTEGER NOT NULL, stats TEXT NOT NULL, state INTEGER NOT NULL,
    built_ms INTEGER NOT NULL, sent_ms INTEGER, included_ms INTEGER, final_ms INTEGER,
    tx_hash BLOB, block_hash BLOB, block_number INTEGER, block_time_s INTEGER, gas_used INTEGER,
    finalized INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS flights (
    nonce INTEGER PRIMARY KEY, seq INTEGER NOT NULL, purpose INTEGER NOT NULL, state INTEGER NOT NULL,
    to_address BLOB NOT NULL, calldata BLOB NOT NULL, gas INTEGER NOT NULL, signed_ms INTEGER NOT NULL,
    tx_hash BLOB, block_hash BLOB, block_number INTEGER, succeeded INTEGER
);
CREATE TABLE IF NOT EXISTS raws (
    nonce INTEGER NOT NULL, attempt INTEGER NOT NULL, tx_hash BLOB NOT NULL, raw BLOB NOT NULL,
    max_fee_wei INTEGER NOT NULL, priority_fee_wei INTEGER NOT NULL, signed_ms INTEGER NOT NULL,
    PRIMARY KEY (nonce, attempt)
);
CREATE TABLE IF NOT EXISTS foreign_nonces (nonce INTEGER PRIMARY KEY, seen_ms INTEGER NOT NULL);
"""


class Outbox:
    """One sqlite file; each method that writes is one durable transaction. One process at a time."""

    def __init__(self, path: Path | str) -> None:
        self._sql = sqlite3.connect(path, isolation_level=None)
        self._sql.row_factory = sqlite3.Row
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute("PRAGMA synchronous=FULL")
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._sql.close()

    def write(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Run statements as one durable transaction: the one place that commits."""
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            for statement, arguments in statements:
                self._sql.execute(statement, arguments)
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    def add(self, built: BuiltBatch, now_ms: int) -> bool:
        """Store a batch; False when the same one is there already. Raises `OutboxMismatch` when another one is."""
        stored = self.batch(built.seq)
        if stored is not None:
            _check_same(stored, built)
            return False
        last = self.last_seq()
        if last is not None and built.seq != last + 1:
            raise OutboxMismatch(f"batch {built.seq} does not follow batch {last} of the outbox")
        statement = (
            "INSERT INTO batches (seq, first_sequence, last_sequence, data_hash, h, data, vector, previous_root,"
            " new_root, orders_root, collateral_e6, stats, state, built_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        stats = json.dumps(dict(built.stats), sort_keys=True)
        head = (built.seq, built.first_sequence, built.last_sequence, built.data_hash, built.h.to_bytes(32, "big"))
        roots = (built.data, built.vector, built.previous_root, built.new_root, built.orders_root, built.collateral_e6)
        self.write((statement, (*head, *roots, stats, BatchState.BUILT, now_ms)))
        return True

    def batch(self, seq: int) -> BatchRow | None:
        """Row of one batch."""
        row = self._sql.execute("SELECT * FROM batches WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else _batch_row(row)

    def batches(self, *, limit: int = 50, before_seq: int | None = None) -> list[BatchRow]:
        """Newest first, `limit` at most, below `before_seq` when given."""
        bound = (1 << 62) if before_seq is None else before_seq
        query = "SELECT * FROM batches WHERE seq < ? ORDER BY seq DESC LIMIT ?"
        return [_batch_row(row) for row in self._sql.execute(query, (bound, limit))]

    def last_seq(self) -> int | None:
        """Seq of the newest batch."""
        value: int | None = self._sql.execute("SELECT max(seq) FROM batches").fetchone()[0]
        return value

    def last_included(self) -> int:
        """Seq of the newest batch that stands in a block; 0 for none."""
        query = "SELECT coalesce(max(seq), 0) FROM batches WHERE state >= ?"
        return int(self._sql.execute(query, (BatchState.INCLUDED,)).fetchone()[0])

    def next_to_post(self) -> BatchRow | None:
        """Oldest batch that has no flight yet."""
        row = self._sql.execute("SELECT * FROM batches WHERE state = 0 ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else _batch_row(row)

    def check_head(self, head_seq: int) -> None:
        """Raise `HeadBehind` unless the contract has every batch before the next one. Only with nothing in flight."""
        waiting = self.next_to_post()
        before = (self.last_seq() or 0) if waiting is None else waiting.seq - 1
        if head_seq < before:
            raise HeadBehind(
                f"the contract's head is {head_seq}, batch {head_seq + 1} is missing: the node is behind,"
                " or the chain or the outbox lost batches (restore a copy, or `offbook reset`)"
            )

    def next_to_finalize(self) -> BatchRow | None:
        """Oldest batch that the contract has not made final, whatever its state."""
        row = self._sql.execute("SELECT * FROM batches WHERE finalized = 0 ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else _batch_row(row)

    def is_mined(self, seq: int, purpose: Purpose) -> bool:
        """Whether such a call for this batch stands in a block and did not fail, whatever a late node says."""
        query = "SELECT 1 FROM flights WHERE seq = ? AND purpose = ? AND succeeded = 1"
        return self._sql.execute(query, (seq, purpose)).fetchone() is not None

    def is_round_mined(self, calldata: bytes) -> bool:
        """Whether the round that this call publishes is mined, for whichever of the batches that begin with it."""
        query = "SELECT 1 FROM flights WHERE purpose = ? AND succeeded = 1 AND substr(calldata, 1, ?) = ?"
        named = calldata[:_ROUND_CALL_BYTES]
        return self._sql.execute(query, (Purpose.ROUND, len(named), named)).fetchone() is not None

    def waiting(self) -> int:
        """Batches not yet included."""
        query = "SELECT count(*) FROM batches WHERE state < ?"
        return int(self._sql.execute(query, (BatchState.INCLUDED,)).fetchone()[0])

    def open_flights(self) -> list[Flight]:
        """Flights that are not FINAL, in nonce order."""
        query = "SELECT * FROM flights WHERE state < ? ORDER BY nonce"
        return [_flight(row) for row in self._sql.execute(query, (BatchState.FINAL,))]

    def last_nonce(self) -> int | None:
        """Highest nonce ever taken."""
        value: int | None = self._sql.execute("SELECT max(nonce) FROM flights").fetchone()[0]
        return value

    def raws(self, nonce: int) -> list[RawTransaction]:
        """Every signed form of a flight, newest first."""
        query = "SELECT * FROM raws WHERE nonce = ? ORDER BY attempt DESC"
        return [RawTransaction(**dict(row)) for row in self._sql.execute(query, (nonce,))]

    def add_flight(self, flight: Flight, raw: RawTransaction) -> None:
        """Store a signed transaction before it is sent."""
        statement = (
            "INSERT INTO flights (nonce, seq, purpose, state, to_address, calldata, gas, signed_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        head = (flight.nonce, flight.seq, flight.purpose, BatchState.SIGNED)
        rows = [
            (statement, (*head, flight.to_address, flight.calldata, flight.gas, flight.signed_ms)),
            _insert_raw(raw),
        ]
        if flight.purpose == Purpose.POST:
            rows.append(("UPDATE batches SET state = ? WHERE seq = ?", (BatchState.SIGNED, flight.seq)))
        self.write(*rows)

    def add_raw(self, raw: RawTransaction) -> None:
        """Store a replacement before it is sent."""
        self.write(_insert_raw(raw))

    def mark_sent(self, flight: Flight, now_ms: int) -> None:
        """The bytes were handed over, or their block left the chain."""
        reset = (
            "UPDATE flights SET state = ?, tx_hash = NULL, block_hash = NULL, block_number = NULL, succeeded = NULL"
            " WHERE nonce = ?"
        )
        rows: list[tuple[str, Sequence[object]]] = [(reset, (BatchState.SENT, flight.nonce))]
        if flight.purpose == Purpose.POST:
            batch = (
                "UPDATE batches SET state = ?, sent_ms = coalesce(sent_ms, ?), tx_hash = NULL, block_hash = NULL,"
                " block_number = NULL, block_time_s = NULL, gas_used = NULL"
                " WHERE seq = ? AND (state < ? OR tx_hash IS ?)"
            )
            rows.append((batch, (BatchState.SENT, now_ms, flight.seq, BatchState.INCLUDED, flight.tx_hash)))
        self.write(*rows)

    def mark_included(
        self,
        flight: Flight,
        *,
        tx_hash: bytes,
        block_hash: bytes,
        block_number: int,
        block_time_s: int,
        gas_used: int,
        now_ms: int,
    ) -> None:
        """The transaction succeeded in this block."""
        state = BatchState.INCLUDED
        one = (
            "UPDATE flights SET state = ?, tx_hash = ?, block_hash = ?, block_number = ?, succeeded = 1 WHERE nonce = ?"
        )
        rows: list[tuple[str, Sequence[object]]] = [(one, (state, tx_hash, block_hash, block_number, flight.nonce))]
        if flight.purpose == Purpose.POST:
            batch = (
                "UPDATE batches SET state = ?, tx_hash = ?, block_hash = ?, block_number = ?, block_time_s = ?,"
                " gas_used = ?, included_ms = ? WHERE seq = ?"
            )
            place = (state, tx_hash, block_hash, block_number, block_time_s, gas_used, now_ms, flight.seq)
            rows.append((batch, place))
        self.write(*rows)

    def mark_failed(
        self, flight: Flight, *, tx_hash: bytes, block_hash: bytes, block_number: int, reopen: bool
    ) -> None:
        """The transaction was mined and reverted: its nonce is used. `reopen` puts its batch back to BUILT."""
        one = (
            "UPDATE flights SET state = ?, tx_hash = ?, block_hash = ?, block_number = ?, succeeded = 0 WHERE nonce = ?"
        )
        rows: list[tuple[str, Sequence[object]]] = [
            (one, (BatchState.INCLUDED, tx_hash, block_hash, block_number, flight.nonce))
        ]
        if reopen:
            rows.append(("UPDATE batches SET state = ? WHERE seq = ?", (BatchState.BUILT, flight.seq)))
        self.write(*rows)

    def note_foreign(self, nonce: int, now_ms: int) -> None:
        """Another program seems to have used up this nonce, and a person is told."""
        self.write(("INSERT OR IGNORE INTO foreign_nonces VALUES (?, ?)", (nonce, now_ms)))

    def is_foreign(self, nonce: int) -> bool:
        """Whether a person was told before."""
        row = self._sql.execute("SELECT 1 FROM foreign_nonces WHERE nonce = ?", (nonce,)).fetchone()
        return row is not None

    def retire(self, flight: Flight) -> None:
        """Another program used up the nonce for good: its flight is over, its batch needs another one."""
        one = "UPDATE flights SET state = ?, succeeded = 0 WHERE nonce = ?"
        rows: list[tuple[str, Sequence[object]]] = [(one, (BatchState.FINAL, flight.nonce))]
        if flight.purpose == Purpose.POST:
            rows.append(("UPDATE batches SET state = ? WHERE seq = ?", (BatchState.BUILT, flight.seq)))
        self.write(*rows)

    def mark_depth(self, flight: Flight, state: BatchState, now_ms: int) -> None:
        """SAFE or FINAL. A finalize that is FINAL makes its batch finalized."""
        rows: list[tuple[str, Sequence[object]]] = [
            ("UPDATE flights SET state = ? WHERE nonce = ?", (state, flight.nonce))
        ]
        final_ms = now_ms if state == BatchState.FINAL else None
        if flight.purpose == Purpose.POST and flight.succeeded:
            rows.append(("UPDATE batches SET state = ?, final_ms = ? WHERE seq = ?", (state, final_ms, flight.seq)))
        self.write(*rows)

    def adopt(
        self, seq: int, *, tx_hash: bytes, block_hash: bytes, block_number: int, block_time_s: int, gas: int
    ) -> None:
        """A BUILT batch was found on chain with our data (outbox restored from a copy): take it as FINAL."""
        statement = (
            "UPDATE batches SET state = ?, tx_hash = ?, block_hash = ?, block_number = ?, block_time_s = ?,"
            " gas_used = ? WHERE seq = ?"
        )
        self.write((statement, (BatchState.FINAL, tx_hash, block_hash, block_number, block_time_s, gas, seq)))

    def reopen(self, from_seq: int) -> None:
        """The contract voided the batches from here on: they are to be posted again, their flights are over."""
        reset = (
            "UPDATE batches SET state = ?, sent_ms = NULL, included_ms = NULL, final_ms = NULL, tx_hash = NULL,"
            " block_hash = NULL, block_number = NULL, block_time_s = NULL, gas_used = NULL WHERE seq >= ?"
        )
        ended = "UPDATE flights SET state = ? WHERE seq >= ?"
        self.write((reset, (BatchState.BUILT, from_seq)), (ended, (BatchState.FINAL, from_seq)))

    def mark_finalized(self, up_to_seq: int) -> None:
        """The contract says that batches up to here are final."""
        self.write(("UPDATE batches SET finalized = 1 WHERE seq <= ? AND finalized = 0", (up_to_seq,)))

    def prune(self, *, keep_payloads: int, keep_rows: int) -> None:
        """Bound the file: finalized batches keep a summary, the oldest summaries and all their flights go."""
        last = self.last_seq() or 0
        self.write(
            (
                "UPDATE batches SET data = NULL, vector = NULL WHERE finalized AND state = 5 AND seq <= ?",
                (last - keep_payloads,),
            ),
            ("DELETE FROM raws WHERE nonce IN (SELECT nonce FROM flights WHERE state = 5 AND seq <= ?)", (last - 8,)),
            ("DELETE FROM flights WHERE state = 5 AND seq <= ?", (last - 8,)),
            ("DELETE FROM batches WHERE finalized AND state = 5 AND seq <= ?", (last - keep_rows,)),
        )

    def prune_flights(self, keep: int) -> None:
        """Bound the file of a key that posts no batches: the newest `keep` nonces stay, and all that is not FINAL."""
        first = (self.last_nonce() or 0) - keep
        self.write(
            ("DELETE FROM raws WHERE nonce IN (SELECT nonce FROM flights WHERE state = 5 AND nonce <= ?)", (first,)),
            ("DELETE FROM flights WHERE state = 5 AND nonce <= ?", (first,)),
        )


def _insert_raw(raw: RawTransaction) -> tuple[str, Sequence[object]]:
    names = [field.name for field in fields(RawTransaction)]
    return "INSERT INTO raws VALUES (?, ?, ?, ?, ?, ?, ?)", [getattr(raw, name) for name in names]


def _check_same(stored: BatchRow, built: BuiltBatch) -> None:
    pairs = {
        "journal range": ((stored.first_sequence, stored.last_sequence), (built.first_sequence, built.last_sequence)),
        "header": (stored.h, built.h),
        "data hash": (stored.data_hash, built.data_hash),
        "previous root": (stored.previous_root, built.previous_root),
        "new root": (stored.new_root, built.new_root),
        "orders root": (stored.orders_root, built.orders_root),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            raise OutboxMismatch(f"batch {built.seq} rebuilt from the journal has another {name} than the stored one")


def _batch_row(row: sqlite3.Row) -> BatchRow:
    values: dict[str, Any] = dict(row)
    values["h"] = int.from_bytes(values["h"], "big")
    values["stats"] = json.loads(values["stats"])
    values["state"] = BatchState(values["state"])
    values["finalized"] = bool(values["finalized"])
    return BatchRow(**values)


def _flight(row: sqlite3.Row) -> Flight:
    values: dict[str, Any] = dict(row)
    values["purpose"] = Purpose(values["purpose"])
    values["state"] = BatchState(values["state"])
    values["succeeded"] = None if values["succeeded"] is None else bool(values["succeeded"])
    return Flight(**values)
