"""Posts batches exactly once: a state machine over the outbox and the chain; `step()` never waits.

The contract's `seq == head + 1` is the real guard. Here: bytes are durable before they are sent, a nonce belongs to one
flight for ever, an unknown outcome means the same bytes again, and blocks are checked by hash until they are final.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from settlement.onchain.chain import BlockRef, Chain, Receipt
from settlement.onchain.contract import (
    PostedEvent,
    SettlementReader,
    encode_finalize,
    encode_post,
)
from settlement.onchain.deployment import Deployment
from settlement.onchain.errands import Errands, NoErrands
from settlement.onchain.errors import (
    AlreadyKnown,
    BatchRefused,
    CallReverted,
    ContractFrozen,
    FeeCapReached,
    ForeignNonce,
    InsufficientFunds,
    NonceTooLow,
    OutboxMismatch,
    ReplacementUnderpriced,
    RoundUnsigned,
    RpcRefused,
    RpcUnavailable,
    Slashed,
)
from settlement.onchain.feed_panel import NoFeeds, RoundSigners
from settlement.onchain.finality import Finality
from settlement.onchain.launching import Launcher
from settlement.onchain.nonce_holes import hole_before
from settlement.onchain.outbox import BatchRow, BatchState, Flight, Outbox, Purpose, RawTransaction
from settlement.onchain.posted import posted_event
from settlement.onchain.refusals import explain_refusal
from settlement.onchain.reverts import find_revert
from settlement.onchain.rounds import missing_round, round_call
from settlement.onchain.spent_nonces import SpentNonces

__all__ = ["Poster", "PosterSettings", "PosterStatus"]

_EVERY_SEQ: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class PosterSettings:
    """A block counts as its own first confirmation. `use_tags` trusts the node's safe and finalized tags instead."""

    safe_confirmations: int = 1
    final_confirmations: int = 1
    use_tags: bool = False
    replace_after_s: float = 30.0
    max_fee_cap_wei: int = 500 * 10**9
    keep_payloads: int = 2_000
    keep_rows: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PosterStatus:
    """Outcome of one step. `state`: idle, waiting, chain_down, blocked or halted; `detail` is one line.

    `needs_person`: it is blocked by what does not pass by itself, if the next steps say so too.
    """

    state: str
    detail: str
    waiting_batches: int
    head_seq: int
    finalized_seq: int
    moved: bool
    needs_person: bool = False


class Poster:
    """One per key and outbox. `clock` gives seconds since 1970."""

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        outbox: Outbox,
        key: bytes,
        settings: PosterSettings | None = None,
        clock: Callable[[], float] = time.time,
        errands: Errands | None = None,
        signers: RoundSigners | None = None,
    ) -> None:
        self._chain = chain
        self._deployment = deployment
        self._outbox = outbox
        self._settings = settings or PosterSettings()
        self._finality = Finality(
            chain=chain,
            safe_confirmations=self._settings.safe_confirmations,
            final_confirmations=self._settings.final_confirmations,
            use_tags=self._settings.use_tags,
        )
        self._clock = clock
        self._reader = SettlementReader(chain, deployment.settlement)
        self._halted = ""
        self._head_seq = 0
        self._finalized_seq = 0
        self.post_up_to = _EVERY_SEQ
        """Last batch that may be posted now; what is posted is finalized and answered for whatever stands here."""
        self._errands = errands or NoErrands()
        self._signers = signers or NoFeeds()
        self._had_errand = False
        cap_wei = self._settings.max_fee_cap_wei
        self._launcher = Launcher(chain, deployment, outbox, key, max_fee_cap_wei=cap_wei, clock=clock)
        self.address = self._launcher.address
        self._spent = SpentNonces(chain, outbox, self.address)

    def step(self) -> PosterStatus:
        """Look once at the chain and do the next thing. Chain trouble is in the status; raises `OutboxMismatch`."""
        if self._halted:
            return self._status("halted", self._halted)
        try:
            return self._advance()
        except RpcUnavailable as error:
            return self._status("chain_down", str(error))
        except (ForeignNonce, Slashed) as error:
            self._halted = str(error)
            return self._status("halted", str(error))
        except ContractFrozen as error:
            # Not for good: what is posted must still become final, and questions want answers.
            return self._status("halted", str(error))
        except (RpcRefused, FeeCapReached, RoundUnsigned) as error:
            lasts = isinstance(error, BatchRefused | InsufficientFunds)
            return replace(self._status("blocked", str(error)), needs_person=lasts)

    def _status(self, state: str, detail: str = "", *, moved: bool = False) -> PosterStatus:
        return PosterStatus(
            state=state,
            detail=detail,
            waiting_batches=self._outbox.waiting(),
            head_seq=self._head_seq,
            finalized_seq=self._finalized_seq,
            moved=moved,
        )

    def _advance(self) -> PosterStatus:
        head = self._chain.block("latest")
        if head is None:
            raise RpcUnavailable("the node has no latest block")
        moved = False
        for flight in self._outbox.open_flights():
            moved |= self._check_place(flight, head)
        for flight in self._outbox.open_flights():
            if flight.state < BatchState.INCLUDED:
                moved |= self._land(flight)
        self._head_seq = self._reader.head()
        finalized_seq = self._reader.finalized(self._finality.final_number(head))
        if finalized_seq != self._finalized_seq:
            self._outbox.mark_finalized(finalized_seq)
            self._finalized_seq = finalized_seq
        unresolved = [flight for flight in self._outbox.open_flights() if flight.state < BatchState.INCLUDED]
        # A filler carries nothing: what waits behind it is what counts.
        unresolved = [flight for flight in unresolved if flight.purpose != Purpose.FILL]
        if unresolved:
            return self._status("waiting", f"nonce {unresolved[0].nonce} is not mined yet", moved=moved)
        moved |= self._take_reverts()
        self._outbox.check_head(self._head_seq)
        started = self._start_next(head)
        return self._status("waiting" if started else "idle", moved=moved or started)

    def _take_reverts(self) -> bool:
        """Batches that the contract voided are posted again, unless their poster was slashed. Raises `Slashed`."""
        lost = self._outbox.batch(self._head_seq + 1)
        if lost is None or lost.state < BatchState.INCLUDED or lost.block_number is None:
            return False
        reverted = find_revert(self._chain, self._deployment, lost.seq)
        if reverted is None or reverted.block_number < lost.block_number:
            return False
        if reverted.operator != self.address:
            raise Slashed(reverted.explain(self.address))
        self._outbox.reopen(lost.seq)
        return True

    # Flights that were mined

    def _check_place(self, flight: Flight, head: BlockRef) -> bool:
        if flight.state < BatchState.INCLUDED or flight.tx_hash is None or flight.block_number is None:
            return False
        receipt = self._chain.receipt(flight.tx_hash)
        if receipt is None:
            self._outbox.mark_sent(flight, self._now_ms())
            return True
        if receipt.block_hash != flight.block_hash:
            self._settle(flight, receipt)
            return True
        depth = self._finality.depth(flight.block_number, head)
        if depth <= flight.state:
            return False
        block = self._chain.block(flight.block_number)
        if block is None:
            return False
        if block.block_hash == flight.block_hash:
            self._outbox.mark_depth(flight, depth, self._now_ms())
        else:
            # The receipt is of a block that is gone: some nodes keep them.
            self._outbox.mark_sent(flight, self._now_ms())
        return True

    # Flights that are not mined yet

    def _land(self, flight: Flight) -> bool:
        """Find the receipt of any signed form; none: hand over the newest bytes again."""
        if self._find_receipt(flight):
            return True
        newest = self._outbox.raws(flight.nonce)[0]
        age_s = self._clock() - newest.signed_ms / 1000
        if flight.state == BatchState.SENT and age_s > self._settings.replace_after_s:
            hole = hole_before(flight, self._chain, self._outbox, self.address)
            if hole is not None:
                return self._send(*self._launcher.fill(hole, flight.seq))
            newest = self._launcher.replace(flight, newest)
        return self._send(flight, newest)

    def _find_receipt(self, flight: Flight) -> bool:
        for raw in self._outbox.raws(flight.nonce):
            receipt = self._chain.receipt(raw.tx_hash)
            if receipt is not None:
                self._settle(flight, receipt)
                return True
        return False

    def _send(self, flight: Flight, raw: RawTransaction) -> bool:
        try:
            self._chain.send_raw(raw.raw)
        except RpcUnavailable:
            self._note_sent(flight)
            raise
        except (AlreadyKnown, ReplacementUnderpriced):
            self._note_sent(flight)
            return False
        except NonceTooLow:
            return self._on_nonce_too_low(flight)
        self._note_sent(flight)
        return self._find_receipt(flight) or flight.state == BatchState.SIGNED

    def _note_sent(self, flight: Flight) -> None:
        if flight.state == BatchState.SIGNED:
            self._outbox.mark_sent(flight, self._now_ms())

    def _on_nonce_too_low(self, flight: Flight) -> bool:
        if self._find_receipt(flight):
            return True
        if flight.purpose == Purpose.POST:
            row = self._row(flight.seq)
            posted = self._find_posted(row)
            if posted is not None and self._adopt_posted(flight, posted):
                return True
        head = self._chain.block("latest")
        return head is not None and self._spent.judge(flight, self._finality.final_number(head), self._now_ms())

    def _adopt_posted(self, flight: Flight, posted: PostedEvent) -> bool:
        receipt = self._chain.receipt(posted.tx_hash)
        if receipt is None:
            return False
        self._include(flight, receipt)
        return True

    def _settle(self, flight: Flight, receipt: Receipt) -> None:
        self._spent.forget(flight.nonce)
        if receipt.succeeded:
            self._include(flight, receipt)
            return
        reopen = flight.purpose == Purpose.POST and self._find_posted(self._row(flight.seq)) is None
        self._outbox.mark_failed(
            flight,
            tx_hash=receipt.tx_hash,
            block_hash=receipt.block_hash,
            block_number=receipt.block_number,
            reopen=reopen,
        )

    def _include(self, flight: Flight, receipt: Receipt) -> None:
        block = self._chain.block(receipt.block_number)
        if block is None or block.block_hash != receipt.block_hash:
            raise RpcUnavailable(f"block {receipt.block_number} changed while it was read")
        self._outbox.mark_included(
            flight,
            tx_hash=receipt.tx_hash,
            block_hash=receipt.block_hash,
            block_number=receipt.block_number,
            block_time_s=block.timestamp_s,
            gas_used=receipt.gas_used,
            now_ms=self._now_ms(),
        )

    # New flights

    def _start_next(self, head: BlockRef) -> bool:
        row = self._outbox.next_to_post()
        if row and row.seq <= self._head_seq:
            return self._resync(row)
        # Errands have deadlines, yet a flood of them holds up no batch: every second flight is not theirs.
        self._had_errand = not self._had_errand and self._run_errand(head)
        if self._had_errand:
            return True
        # First, as there is one per posted batch: it never starves a post, but posts could starve it.
        due = self._outbox.next_to_finalize()
        if due is not None and self._may_finalize(due, head):
            header = due.header(self._reader.batch_hash(due.seq - 1))
            return self._launch(due.seq, Purpose.FINALIZE, encode_finalize(due.seq, header))
        if row is not None and row.seq == self._head_seq + 1 and row.seq <= self.post_up_to:
            return self._post(row)
        return False

    def _post(self, row: BatchRow) -> bool:
        """Post a batch, the round that it begins with first."""
        missing = missing_round(self._reader, row)
        # A node that does not know our round is behind the block that has it.
        if missing is not None and self._outbox.is_round_mined(round_call(missing, b"")):
            return False
        signatures = b"" if missing is None else self._signers.signatures(missing)
        if signatures is None:
            return False
        try:
            if missing is not None:
                return self._launch(row.seq, Purpose.ROUND, round_call(missing, signatures))
            return self._launch(row.seq, Purpose.POST, encode_post(row.post_call()))
        except CallReverted as error:
            self._signers.forget()  # a feed may have been taken off the list since it signed
            raise explain_refusal(self._reader, row.seq, error) from error

    def _may_finalize(self, row: BatchRow, head: BlockRef) -> bool:
        if row.state != BatchState.FINAL or row.block_time_s is None:
            return False
        due_s = row.block_time_s + self._deployment.finality_window_s
        now_s = max(self._clock(), head.timestamp_s)  # a chain that mines on demand may be behind or ahead of us
        if now_s < due_s or self._errands.holds(row.seq) or self._outbox.is_mined(row.seq, Purpose.FINALIZE):
            return False
        return self._reader.finalized() == row.seq - 1

    def _launch(self, seq: int, purpose: Purpose, calldata: bytes, to: bytes = b"") -> bool:
        self._send(*self._launcher.prepare(seq, purpose, calldata, to))
        return True

    def _run_errand(self, head: BlockRef) -> bool:
        """Carry one errand; what the contract refuses is its asker's trouble and holds nothing up."""
        errand = self._errands.next(head)
        if errand is None:
            return False
        try:
            return self._launch(errand.seq, errand.purpose, errand.calldata, errand.to)
        except CallReverted as error:
            self._errands.refused(errand, str(error))
            return False

    # Batches found on chain

    def _resync(self, row: BatchRow) -> bool:
        """The contract is past a batch that we never sent: it must be ours, word for word."""
        posted = self._find_posted(row)
        if posted is None:
            raise OutboxMismatch(f"batch {row.seq} on chain is not the one of the outbox: another settler posts here")
        receipt = self._chain.receipt(posted.tx_hash)
        block = self._chain.block(posted.block_number)
        if receipt is None or block is None:
            return False
        self._outbox.adopt(
            row.seq,
            tx_hash=receipt.tx_hash,
            block_hash=receipt.block_hash,
            block_number=receipt.block_number,
            block_time_s=block.timestamp_s,
            gas=receipt.gas_used,
        )
        return True

    def _find_posted(self, row: BatchRow) -> PostedEvent | None:
        event = posted_event(self._chain, self._deployment, row.seq)
        wanted = (row.new_root, row.orders_root, row.data_hash, row.h)
        return event if event and (event.new_root, event.orders_root, event.data_hash, event.h) == wanted else None

    def _row(self, seq: int) -> BatchRow:
        row = self._outbox.batch(seq)
        if row is None:
            raise OutboxMismatch(f"batch {seq} is missing in the outbox")
        return row

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def prune(self) -> None:
        """Bound the outbox file as the settings say."""
        self._outbox.prune(keep_payloads=self._settings.keep_payloads, keep_rows=self._settings.keep_rows)
