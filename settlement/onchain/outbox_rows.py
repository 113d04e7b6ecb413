"""Rows of the outbox: a built batch, a stored one, a transaction and its signed forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from settlement.onchain.contract import BatchHeader, PostCall
from settlement.onchain.errors import OutboxMismatch
from settlement.protocol.batch import Batch
from settlement.protocol.evidence import Evidence, ForcedAccount
from settlement.protocol.keccak import keccak256

__all__ = ["BatchRow", "BatchState", "BuiltBatch", "Flight", "Purpose", "RawTransaction"]


class BatchState(IntEnum):
    """How far a batch (or a flight, from SIGNED on) has come."""

    BUILT = 0
    SIGNED = 1
    SENT = 2
    INCLUDED = 3
    SAFE = 4
    FINAL = 5


class Purpose(IntEnum):
    """What a flight calls."""

    POST = 0
    FINALIZE = 1
    ANSWER = 2
    LIST = 3
    ROUND = 4
    APPROVE = 5
    FAST_PAY = 6
    FAST_CLAIM = 7
    FILL = 8
    """Nothing, to the key itself: it closes a hole in the nonces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBatch:
    """A batch as the batcher made it, from a journal range (both ends included). `stats` is shown to users.

    `vector` are the bytes of the round in `h`, empty for round 0. `evidence` is what authorizes each leaf of its orders
    tree, in the tree's order; the outbox does not keep it. `forced` are the accounts with leaves that nobody signed.
    """

    seq: int
    first_sequence: int
    last_sequence: int
    h: int
    data: bytes
    previous_root: bytes
    new_root: bytes
    orders_root: bytes
    collateral_e6: int
    stats: Mapping[str, int]
    vector: bytes = b""
    evidence: Sequence[Evidence] = ()
    forced: Mapping[int, ForcedAccount] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        batch: Batch,
        stats: Mapping[str, int],
        *,
        journal_range: tuple[int, int] | None = None,
        vector: bytes = b"",
        evidence: Sequence[Evidence] = (),
        forced: Mapping[int, ForcedAccount] | None = None,
    ) -> "BuiltBatch":
        """Take what the outbox keeps of a batch. Without a journal the range is the batch's own number."""
        first, last = journal_range or (batch.seq, batch.seq)
        return cls(
            seq=batch.seq,
            first_sequence=first,
            last_sequence=last,
            h=batch.h,
            data=batch.data,
            previous_root=batch.previous_root,
            new_root=batch.new_root,
            orders_root=batch.orders_root,
            collateral_e6=batch.collateral_e6,
            stats=stats,
            vector=vector,
            evidence=evidence,
            forced=forced or {},
        )

    @property
    def data_hash(self) -> bytes:
        """keccak256 of the data."""
        return keccak256(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A stored batch; times are ms since 1970 (block time in seconds). `prune` makes `data` and `vector` None."""

    seq: int
    first_sequence: int
    last_sequence: int
    data_hash: bytes
    h: int
    data: bytes | None
    vector: bytes | None
    previous_root: bytes
    new_root: bytes
    orders_root: bytes
    collateral_e6: int
    stats: Mapping[str, int]
    state: BatchState
    built_ms: int
    sent_ms: int | None
    included_ms: int | None
    final_ms: int | None
    tx_hash: bytes | None
    block_hash: bytes | None
    block_number: int | None
    block_time_s: int | None
    gas_used: int | None
    finalized: bool

    def post_call(self) -> PostCall:
        """Arguments of `post`. Raises `OutboxMismatch` when the data was dropped."""
        if self.data is None:
            raise OutboxMismatch(f"data of batch {self.seq} was dropped after it became final")
        return PostCall(seq=self.seq, new_root=self.new_root, orders_root=self.orders_root, h=self.h, data=self.data)

    def header(self, previous_batch_hash: bytes) -> BatchHeader:
        """What the contract keeps the hash of. Raises `OutboxMismatch` while the batch is in no block."""
        if self.block_time_s is None or self.block_number is None:
            raise OutboxMismatch(f"batch {self.seq} has no block")
        return BatchHeader(
            previous_batch_hash=previous_batch_hash,
            previous_root=self.previous_root,
            new_root=self.new_root,
            orders_root=self.orders_root,
            data_hash=self.data_hash,
            h=self.h,
            block_time_s=self.block_time_s,
            block_number=self.block_number,
            collateral_e6=self.collateral_e6,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTransaction:
    """One signed form of a flight; later attempts have higher fees."""

    nonce: int
    attempt: int
    tx_hash: bytes
    raw: bytes
    max_fee_wei: int
    priority_fee_wei: int
    signed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One nonce of the posting key."""

    nonce: int
    seq: int
    purpose: Purpose
    state: BatchState
    to_address: bytes
    calldata: bytes
    gas: int
    signed_ms: int
    tx_hash: bytes | None = None
    block_hash: bytes | None = None
    block_number: int | None = None
    succeeded: bool | None = None
