"""Posts batches exactly once: a state machine over the outbox and the chain; `step()` never waits.

The contract's `seq == head + 1` is the real guard. Here: bytes are durable before they are sent, a nonce belongs to one
flight for ever, an unknown outcome means the same bytes again, and blocks are checked by hash until they are final.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eth_account import Account

from settlement.onchain.chain import BlockRef, Chain, Receipt
from settlement.onchain.contract import (
    BatchHeader,
    PostedEvent,
    SettlementReader,
    encode_finalize,
    encode_post,
)
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import (
    AlreadyKnown,
    CallReverted,
    FeeCapReached,
    ForeignNonce,
    NonceTooLow,
    OutboxMismatch,
    ReplacementUnderpriced,
    RpcRefused,
    RpcUnavailable,
)
from settlement.onchain.outbox import BatchRow, BatchState, Flight, Outbox, Purpose, RawTransaction
from settlement.onchain.posted import posted_event
from settlement.onchain.wallet import bumped_fees, sign_transaction, with_margin

__all__ = ["Poster", "PosterSettings", "PosterStatus"]

_MISSING_STEPS_BEFORE_HALT: Final = 3


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
    """Outcome of one step. `state`: idle, waiting, chain_down, blocked or halted; `detail` is one line."""

    state: str
    detail: str
    waiting_batches: int
    head_seq: int
    finalized_seq: int
    moved: bool


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
    ) -> None:
        self._chain = chain
        self._deployment = deployment
        self._outbox = outbox
        self._key = key
        self._settings = settings or PosterSettings()
        self._clock = clock
        self._reader = SettlementReader(chain, deployment.settlement)
        self._missing: dict[int, int] = {}
        self._halted = ""
        self._head_seq = 0
        self._finalized_seq = 0
        self.address = bytes.fromhex(Account.from_key(key).address[2:])

    def step(self) -> PosterStatus:
        """Look once at the chain and do the next thing. Chain trouble is in the status; raises `OutboxMismatch`."""
        if self._halted:
            return self._status("halted", self._halted)
        try:
            return self._advance()
        except RpcUnavailable as error:
            return self._status("chain_down", str(error))
        except (ForeignNonce, FeeCapReached) as error:
            self._halted = str(error) if isinstance(error, ForeignNonce) else ""
            return self._status("halted" if self._halted else "blocked", str(error))
        except RpcRefused as error:
            return self._status("blocked", str(error))

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
        finalized_seq = self._reader.finalized(self._final_number(head))
        if finalized_seq != self._finalized_seq:
            self._outbox.mark_finalized(finalized_seq)
            self._finalized_seq = finalized_seq
        unresolved = [flight for flight in self._outbox.open_flights() if flight.state < BatchState.INCLUDED]
        if unresolved:
            return self._status("waiting", f"nonce {unresolved[0].nonce} is not mined yet", moved=moved)
        self._outbox.check_head(self._head_seq)
        started = self._start_next(head)
        return self._status("waiting" if started else "idle", moved=moved or started)

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
        depth = self._depth(flight.block_number, head)
        if depth > flight.state:
            self._outbox.mark_depth(flight, depth, self._now_ms())
            return True
        return False

    def _depth(self, block_number: int, head: BlockRef) -> BatchState:
        if block_number <= self._final_number(head):
            return BatchState.FINAL
        if block_number <= self._safe_number(head):
            return BatchState.SAFE
        return BatchState.INCLUDED

    def _final_number(self, head: BlockRef) -> int:
        if self._settings.use_tags:
            return self._tagged("finalized")
        return max(0, head.number + 1 - self._settings.final_confirmations)

    def _safe_number(self, head: BlockRef) -> int:
        if self._settings.use_tags:
            return self._tagged("safe")
        return max(0, head.number + 1 - self._settings.safe_confirmations)

    def _tagged(self, tag: str) -> int:
        found = self._chain.block(tag)
        return 0 if found is None else found.number

    # Flights that are not mined yet

    def _land(self, flight: Flight) -> bool:
        """Find the receipt of any signed form; none: hand over the newest bytes again."""
        if self._find_receipt(flight):
            return True
        newest = self._outbox.raws(flight.nonce)[0]
        age_s = self._clock() - newest.signed_ms / 1000
        if flight.state == BatchState.SENT and age_s > self._settings.replace_after_s:
            newest = self._replace(flight, newest)
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
        seen = self._missing[flight.nonce] = self._missing.get(flight.nonce, 0) + 1
        if seen < _MISSING_STEPS_BEFORE_HALT:
            return False
        raise ForeignNonce(
            f"nonce {flight.nonce} of 0x{self.address.hex()} was used by another program:"
            " stop that program, then restart the settler"
        )

    def _adopt_posted(self, flight: Flight, posted: PostedEvent) -> bool:
        receipt = self._chain.receipt(posted.tx_hash)
        if receipt is None:
            return False
        self._include(flight, receipt)
        return True

    def _settle(self, flight: Flight, receipt: Receipt) -> None:
        self._missing.pop(flight.nonce, None)
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

    def _replace(self, flight: Flight, old: RawTransaction) -> RawTransaction:
        max_fee, priority = bumped_fees(old.max_fee_wei, old.priority_fee_wei)
        if max_fee > self._settings.max_fee_cap_wei:
            cap_wei = self._settings.max_fee_cap_wei
            raise FeeCapReached(f"nonce {flight.nonce} needs fees above the cap of {cap_wei} wei")
        raw = self._sign(flight, old.attempt + 1, max_fee, priority)
        self._outbox.add_raw(raw)
        return raw

    # New flights

    def _start_next(self, head: BlockRef) -> bool:
        row = self._outbox.next_to_post()
        if row and row.seq <= self._head_seq:
            return self._resync(row)
        # First, as there is one per posted batch: it never starves a post, but posts could starve it.
        due = self._outbox.next_to_finalize()
        if due is not None and self._may_finalize(due, head):
            return self._launch(due.seq, Purpose.FINALIZE, encode_finalize(due.seq, self._header_of(due)))
        if row is not None and row.seq == self._head_seq + 1:
            return self._launch(row.seq, Purpose.POST, encode_post(row.post_call()))
        return False

    def _may_finalize(self, row: BatchRow, head: BlockRef) -> bool:
        if row.state != BatchState.FINAL or row.block_time_s is None:
            return False
        due_s = row.block_time_s + self._deployment.finality_window_s
        now_s = max(self._clock(), head.timestamp_s)  # a chain that mines on demand may be behind or ahead of us
        return now_s >= due_s and self._reader.finalized() == row.seq - 1

    def _header_of(self, row: BatchRow) -> BatchHeader:
        if row.block_time_s is None or row.block_number is None:
            raise OutboxMismatch(f"batch {row.seq} has no block")
        return BatchHeader(
            previous_batch_hash=self._reader.batch_hash(row.seq - 1),
            previous_root=row.previous_root,
            new_root=row.new_root,
            orders_root=row.orders_root,
            data_hash=row.data_hash,
            h=row.h,
            block_time_s=row.block_time_s,
            block_number=row.block_number,
            collateral_e6=row.collateral_e6,
        )

    def _launch(self, seq: int, purpose: Purpose, calldata: bytes) -> bool:
        to = self._deployment.settlement
        try:
            gas = with_margin(self._chain.estimate_gas(self.address, to, calldata))
        except CallReverted as error:
            raise CallReverted(f"{purpose.name.lower()} of batch {seq} would revert: {error}", error.data) from error
        flight = Flight(
            nonce=self._next_nonce(),
            seq=seq,
            purpose=purpose,
            state=BatchState.SIGNED,
            to_address=to,
            calldata=calldata,
            gas=gas,
            signed_ms=self._now_ms(),
        )
        fees = self._chain.fees()
        max_fee = min(2 * fees.base_fee_wei + fees.priority_fee_wei, self._settings.max_fee_cap_wei)
        raw = self._sign(flight, 0, max_fee, min(fees.priority_fee_wei, max_fee))
        self._outbox.add_flight(flight, raw)
        self._send(flight, raw)
        return True

    def _next_nonce(self) -> int:
        last = self._outbox.last_nonce()
        on_chain = self._chain.nonce(self.address)
        if last is not None and on_chain < last + 1:
            raise RpcUnavailable(f"the node is behind: nonce {on_chain}, {last} was mined already")
        return on_chain

    def _sign(self, flight: Flight, attempt: int, max_fee_wei: int, priority_fee_wei: int) -> RawTransaction:
        raw, tx_hash = sign_transaction(
            self._key,
            chain_id=self._deployment.chain_id,
            nonce=flight.nonce,
            to=flight.to_address,
            data=flight.calldata,
            gas=flight.gas,
            max_fee_wei=max_fee_wei,
            priority_fee_wei=priority_fee_wei,
        )
        return RawTransaction(
            nonce=flight.nonce,
            attempt=attempt,
            tx_hash=tx_hash,
            raw=raw,
            max_fee_wei=max_fee_wei,
            priority_fee_wei=priority_fee_wei,
            signed_ms=self._now_ms(),
        )

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
