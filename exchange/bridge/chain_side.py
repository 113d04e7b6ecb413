"""The settler's blocking half: outbox, poster and request reader on one worker thread.

sqlite and the RPC client block; the event loop never waits for them. All methods run on the same single thread.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exchange.bridge.chain_looks import ChainLooks
from exchange.bridge.fast_payments import FastPayments
from settlement.onchain.chain import Chain
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.evidence_store import EvidenceStore
from settlement.onchain.fast_payer import FastTerms
from settlement.onchain.feed_panel import RoundSigners
from settlement.onchain.keep_alive import KeepAlive
from settlement.onchain.outbox import BatchRow, BatchState, BuiltBatch, Outbox
from settlement.onchain.poster import Poster, PosterSettings, PosterStatus
from settlement.onchain.requests import ChainRequestRecord, RequestReader
from settlement.onchain.responder import Responder
from settlement.protocol.signature import address_of

__all__ = ["ChainSide", "ChainStep"]

_SHOWN_BATCHES: Final = 50
_STEPS_AT_ONCE: Final = 8
_logger = logging.getLogger(__name__)


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
    last_seq: int = 0
    """Newest stored batch, posted or not; 0 for none."""
    waiting_cells: int = 0
    """(account, instrument) deltas of the stored batches that are not on chain; one that stands in two counts twice."""
    fee_wei: int | None = None
    """A new look at what a unit of gas costs; None between two looks."""
    is_frozen: bool = False
    """Whether the contract takes no batch any more."""
    is_drained: bool = True
    """Whether nothing that was sent waits for inclusion, finality or an answer."""
    needs_post: bool = False
    """Whether the last post is so old that even an empty batch is due (`KeepAlive`)."""
    posted_before: int = 0
    """Newest batch that was on chain, as the outbox knew, before this process took its first step; 0 for none."""


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
        payer: tuple[bytes, FastTerms] | None = None,
        signers: RoundSigners | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open outbox and evidence; the chain is not asked yet. `confirmations` (1 or more): until a block counts.

        `payer`: key and terms of fast payments, None for none. `signers`: who signs rounds, None: the operator's word.
        """
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
            signers=signers,
        )
        self._requests = RequestReader(chain, deployment, confirmations)
        self._looks = ChainLooks(chain, deployment.settlement, clock)
        self._keep_alive = KeepAlive(chain, deployment, clock)
        self._payments: FastPayments | None = None
        if payer is not None:
            key, terms = payer
            self._payments = FastPayments(
                chain,
                deployment,
                outbox_path.parent,
                self._outbox,
                key=key,
                terms=terms,
                confirmations=confirmations,
                clock=clock,
            )
        self._payments_trouble = ""
        self._shown: dict[int, tuple[BatchState, bool]] = {}
        self._finalized_seq = 0
        self._posted_before = self._outbox.last_included()

    def store(self, batches: Iterable[BuiltBatch], now_ms: int) -> None:
        """Put built batches into the outbox, durably; the same ones again change nothing. Raises OutboxMismatch."""
        for batch in batches:
            # First: what is in the outbox is posted, and what is posted can be asked about.
            self._evidence.add(batch.seq, batch.evidence, batch.forced)
            self._responder.note(batch.seq, batch.evidence)
            self._outbox.add(batch, now_ms)

    def step(self, request_cursor: int, post_up_to: int | None = None) -> ChainStep:
        """Drive the poster until it waits, read new requests, and collect what changed.

        Batches above `post_up_to` are not posted yet; None holds nothing back.
        """
        if post_up_to is not None:
            self._poster.post_up_to = post_up_to
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
        if self._payments is not None and status.state != "chain_down":
            self._pay(self._payments)
        self._looks.look_at_freeze()
        rows = self._outbox.batches(limit=_SHOWN_BATCHES)
        return ChainStep(
            status=self._with_trouble(status),
            confirmed=confirmed,
            rows=tuple(self._changed(rows)),
            final_sequence=_final_sequence(rows),
            last_sequence=rows[0].last_sequence if rows else 0,
            last_seq=rows[0].seq if rows else 0,
            waiting_cells=sum(row.stats.get("legs", 0) for row in rows if row.state < BatchState.INCLUDED),
            fee_wei=self._looks.fee_wei(),
            is_frozen=self._looks.is_frozen,
            is_drained=self._is_drained(rows),
            needs_post=status.state != "chain_down" and self._keep_alive.is_due(),
            posted_before=self._posted_before,
        )

    def _pay(self, payments: FastPayments) -> None:
        """One step of the fast payments; what stops them stops no batch, and is said once."""
        status = payments.step()
        trouble = status.detail if status.state in ("blocked", "halted") else ""
        if trouble and trouble != self._payments_trouble:
            _logger.error("fast payments stand still: %s", trouble)
        self._payments_trouble = trouble

    def forget_shown(self) -> None:
        """Report every batch again: a new listener knows nothing."""
        self._shown.clear()

    def prune(self) -> None:
        """Drop what the outbox keeps beyond its bounds, and the evidence of final batches."""
        self._poster.prune()
        self._evidence.prune(self._finalized_seq)
        if self._payments is not None:
            self._payments.prune()

    def close(self) -> None:
        """Release the files."""
        if self._payments is not None:
            self._payments.close()
        self._outbox.close()
        self._evidence.close()

    def _is_drained(self, rows: list[BatchRow]) -> bool:
        """Rows newest first; finality comes in order, so an old row that waits has newer ones that do."""
        waits = any(row.state >= BatchState.SIGNED and not row.finalized for row in rows)
        return not (waits or self._outbox.open_flights() or self._responder.trouble)

    def _with_trouble(self, status: PosterStatus) -> PosterStatus:
        """A challenge without answer costs the bond: nothing else is worth saying then."""
        trouble = self._responder.trouble
        return replace(status, state="blocked", detail=trouble, needs_person=True) if trouble else status

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
