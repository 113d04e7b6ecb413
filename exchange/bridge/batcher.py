"""Event blobs in, built batches out, with a memory that survives a restart.

The ledger is the settlement tree after the last built batch; together with the assembler it is a function of the
events taken so far. `save` writes both into one file by an atomic rename, after the batch is in the outbox: a crash
between the two rebuilds the same batch from the same events, and the outbox refuses any other.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from exchange.bridge.assembler import AssembledBatch, BadEvents, BatchAssembler
from exchange.bridge.evidence import EvidenceBook
from exchange.bridge.self_check import check_disputes
from exchange.domain.packing import CommandEvents, unpack_events
from settlement.onchain.contract import calldata_length
from settlement.onchain.outbox import BuiltBatch
from settlement.protocol.batch import build_batch
from settlement.protocol.evidence import ForcedAccount
from settlement.protocol.forced import FORCED_KINDS, check_forced_leaves
from settlement.protocol.ledger import LedgerState
from settlement.protocol.state_tree import leaf_preimage
from settlement.protocol.transition import RequestKind

__all__ = ["UNBATCHED_FILL_GAS", "Batcher", "LedgerStore"]

UNBATCHED_FILL_GAS: Final = 67_800
"""Gas of verifying one trade alone on chain (settlement.md 9), the yardstick of `gas_saved`."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    assembler: bytes
    ledger: bytes
    evidence: bytes = b""


class LedgerStore:
    """One file with the batcher's memory."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path

    def load(self) -> tuple[BatchAssembler, LedgerState]:
        """What was saved, or the empty beginning. Raises BadEvents, BadSnapshot for a damaged file."""
        stored = self._stored()
        if stored is None:
            return BatchAssembler(), LedgerState()
        return BatchAssembler.load(stored.assembler), LedgerState.from_bytes(stored.ledger)

    def load_evidence(self, book: EvidenceBook) -> None:
        """Fill `book` with what was saved, if anything was. Raises BadEvents when it was saved without."""
        stored = self._stored()
        if stored is not None and not stored.evidence:
            raise BadEvents(
                f"{self._path} holds no signatures, it was written by an older version; delete it, it is rebuilt from "
                f"the event log"
            )
        if stored is not None:
            book.load(stored.evidence)

    def save(self, assembler: BatchAssembler, ledger: LedgerState, evidence: bytes = b"") -> None:
        """Replace the file durably."""
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.msgpack.encode(_Stored(assembler.dump(), ledger.to_bytes(), evidence)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _stored(self) -> _Stored | None:
        if not self._path.exists():
            return None
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=_Stored)
        except msgspec.MsgspecError as error:
            raise BadEvents(
                f"{self._path} is damaged ({error}); delete it, it is rebuilt from the event log"
            ) from error


class Batcher:
    """Folds event blobs; `cursor` is the last sequence taken, `saved_cursor` the last one that a restart knows."""

    def __init__(
        self,
        assembler: BatchAssembler,
        ledger: LedgerState,
        store: LedgerStore | None = None,
        book: EvidenceBook | None = None,
    ) -> None:
        """Continue from `assembler` and `ledger`; without a store nothing is saved, without a book no signature."""
        self._assembler = assembler
        self._ledger = ledger
        self._store = store
        self._book = book
        self.saved_cursor = assembler.sequence

    @property
    def cursor(self) -> int:
        """Last sequence whose events were taken."""
        return self._assembler.sequence

    @property
    def ledger(self) -> LedgerState:
        """The settlement ledger after the last built batch."""
        return self._ledger

    @property
    def has_open_content(self) -> bool:
        """Whether events wait for the next BatchClosed."""
        return self._assembler.has_open_content

    @property
    def next_batch(self) -> int:
        """Number of the next batch that will be built."""
        return self._assembler.next_batch

    @property
    def open_cells(self) -> int:
        """Active (account, instrument) pairs that wait for it; takes as long as there are fills."""
        return self._assembler.open_cells

    def take(self, blobs: Iterable[bytes]) -> list[BuiltBatch]:
        """Fold packed event blobs; commands at or below the cursor are skipped. Raises BadEvents, Unbalanced."""
        built: list[BuiltBatch] = []
        for blob in blobs:
            for item in unpack_events(blob):
                if item.sequence > self._assembler.sequence:
                    built += self._take(item)
        return built

    def save(self) -> None:
        """Remember everything taken so far. Call it after the built batches are in the outbox."""
        if self._store is None or self.cursor == self.saved_cursor:
            return
        if self._book is None:
            self._store.save(self._assembler, self._ledger)
        else:
            self._store.save(self._assembler, self._ledger, self._book.dump())
        self.saved_cursor = self.cursor

    def _take(self, item: CommandEvents) -> list[BuiltBatch]:
        if self._book is not None:
            self._book.note(item)
        built = [self._build(assembled) for assembled in self._assembler.take(item)]
        if self._book is not None:
            self._book.forget()
        return built

    def _build(self, assembled: AssembledBatch) -> BuiltBatch:
        evidence = () if self._book is None else self._book.evidence_of(assembled)
        check_disputes(self._ledger, assembled)
        forced = self._forced(assembled)
        batch = build_batch(self._ledger, assembled.input)
        self._ledger.check(assembled.input.opening.ending)
        return BuiltBatch.of(
            batch,
            {
                "fills": batch.fills,
                "legs": batch.legs,
                "orders": batch.orders,
                "requests": len(assembled.input.requests),
                "calldata_bytes": calldata_length(len(batch.data)),
                "fee_e6": assembled.input.fee_e6,
                "round_s": assembled.round_s,
            },
            journal_range=(assembled.first_sequence, assembled.last_sequence),
            vector=assembled.input.opening.encode() if batch.header.oracle_round else b"",
            evidence=evidence,
            forced=forced,
        )

    def _forced(self, assembled: AssembledBatch) -> dict[int, ForcedAccount]:
        """Accounts as the batch finds them that have leaves nobody signed; BadOrders when these are not allowed."""
        content = assembled.input
        deposits = {row.account for row in content.requests if row.kind is RequestKind.DEPOSIT}
        check_forced_leaves(self._ledger.accounts, content.order_fills, content.opening, deposits)
        accounts = {fill.account for fill in content.order_fills if fill.kind in FORCED_KINDS}
        return {
            index: ForcedAccount(
                leaf_preimage(self._ledger.account(index)), b"".join(self._ledger.tree.multiproof([index]))
            )
            for index in sorted(accounts)
        }
