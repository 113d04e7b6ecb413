"""The settler's blocking half: outbox, poster and request reader on one worker thread.

sqlite and the RPC client block; the event loop never waits for them. All methods run on the same single thread.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.evidence_store import EvidenceStore
from settlement.onchain.outbox import BatchRow, BatchState, BuiltBatch, Outbox
from settlement.onchain.poster import Poster, PosterSettings, PosterStatus
from settlement.onchain.requests import ChainRequestRecord, RequestReader
from settlement.onchain.responder import Responder
from settlement.protocol.signature import address_of

__all__ = ["ChainSide", "ChainStep"]

_SHOWN_BATCHES: Final = 50
_STEPS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStep:
    """What one look at the chain found. `rows`: batches whose state changed since the last step, oldest first."""

    status: PosterStatus
    confirmed: tuple[ChainRequestRecord, ...]
    rows: tuple[BatchRow, ...]
    final_sequence: int
    """Journal sequence up to which every stored batch is final on chain; 0 for none."""
    last_sequence: int
    """Last journal sequence of the newest stored batch; 0 for none."""


class ChainSide:
    """Owns everything that talks to the chain or to the outbox file."""

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        outbox_path: Path,
        *,
        operator_key: bytes,
        confirmations: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open outbox and evidence; the chain is not asked yet. `confirmations` (1 or more): until a block counts."""
        self._outbox = Outbox(outbox_path)
        self._evidence = EvidenceStore(outbox_path.with_name("evidence.sqlite"))
        self._responder = Responder(chain, deployment, self._outbox, self._evidence, address_of(operator_key))
        self._poster = Poster(
            chain,
            deployment,
            self._outbox,
            operator_key,
            PosterSettings(safe_confirmations=1, final_confirmations=confirmations),
            clock=clock,
            errands=self._responder,
        )
        self._requests = RequestReader(chain, deployment, confirmations)
        self._shown: dict[int, tuple[BatchState, bool]] = {}
        self._finalized_seq = 0

    def store(self, batches: Iterable[BuiltBatch], now_ms: int) -> None:
        """Put built batches into the outbox, durably; the same ones again change nothing. Raises OutboxMismatch."""
        for batch in batches:
            # First: what is in the outbox is posted, and what is posted can be asked about.
            self._evidence.add(batch.seq, batch.evidence, batch.forced)
            self._responder.note(batch.seq, batch.evidence)
            self._outbox.add(batch, now_ms)

    def step(self, request_cursor: int) -> ChainStep:
        """Drive the poster until it waits, read new requests, and collect what changed."""
        status = self._poster.step()
        for _ in range(_STEPS_AT_ONCE):
            if not status.moved:
                break
            status = self._poster.step()
        confirmed: tuple[ChainRequestRecord, ...] = ()
        if status.state != "chain_down":
            try:
                confirmed = self._requests.poll(request_cursor).confirmed
            except RpcUnavailable as error:
                status = PosterStatus(
                    state="chain_down",
                    detail=str(error),
                    waiting_batches=status.waiting_batches,
                    head_seq=status.head_seq,
                    finalized_seq=status.finalized_seq,
                    moved=False,
                )
        self._finalized_seq = status.finalized_seq
        rows = self._outbox.batches(limit=_SHOWN_BATCHES)
        return ChainStep(
            status=self._with_trouble(status),
            confirmed=confirmed,
            rows=tuple(self._changed(rows)),
            final_sequence=_final_sequence(rows),
            last_sequence=rows[0].last_sequence if rows else 0,
        )

    def forget_shown(self) -> None:
        """Report every batch again: a new listener knows nothing."""
        self._shown.clear()

    def prune(self) -> None:
        """Drop what the outbox keeps beyond its bounds, and the evidence of final batches."""
        self._poster.prune()
        self._evidence.prune(self._finalized_seq)

    def close(self) -> None:
        """Release both files."""
        self._outbox.close()
        self._evidence.close()

    def _with_trouble(self, status: PosterStatus) -> PosterStatus:
        """A challenge without answer costs the bond: nothing else is worth saying then."""
        trouble = self._responder.trouble
        return replace(status, state="blocked", detail=trouble) if trouble else status

    def _changed(self, rows: list[BatchRow]) -> list[BatchRow]:
        changed: list[BatchRow] = []
        for row in reversed(rows):
            state = (row.state, row.finalized)
            if self._shown.get(row.seq) != state:
                self._shown[row.seq] = state
                changed.append(row)
        oldest = rows[-1].seq if rows else 0
        self._shown = {seq: state for seq, state in self._shown.items() if seq >= oldest}
        return changed


def _final_sequence(rows: list[BatchRow]) -> int:
    """Rows newest first: the newest finalized one has everything before it finalized too (finalize is in order)."""
    return next((row.last_sequence for row in rows if row.finalized), 0)
