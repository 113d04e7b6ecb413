"""The contract's request queue, read in order: deposits, withdrawals and session keys, with their confirmations.

A request is `seen` in any block and `confirmed` once its block is `confirmations` deep (itself counts as one).
Only confirmed requests may reach the engine; their cursor is the engine's, so a restart reads nothing twice. Where the
node has pruned blocks that were not read, the contract's own count says whether a request went with them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from eth_abi.abi import decode

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import REQUESTED, SESSION_KEY_SET, SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import HistoryPruned, RpcUnavailable
from settlement.protocol.transition import RequestKind

__all__ = ["ChainRequestRecord", "RequestPoll", "RequestReader"]

_BLOCKS_PER_QUERY: Final = 2_000
_MAX_BUFFERED: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequestRecord:
    """One row of the queue. Amount in 1e-6 USDC; `owner` owns `account`.

    SET_KEY: `valid_to_s` is 0 for a revocation (the engine refuses the key at once, the contract keeps it 10 minutes
    for fills matched before); `scopes` is a bit mask; `accounts` empty means all.
    """

    index: int
    kind: RequestKind
    account: int
    amount_e6: int
    owner: bytes
    block_number: int
    tx_hash: bytes
    key: bytes = b""
    valid_to_s: int = 0
    scopes: int = 0
    accounts: tuple[int, ...] = ()
    revoked: bool = False
    confirmations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPoll:
    """`confirmed` continues the cursor without a gap; `seen` waits, each with its `confirmations` of `required`."""

    confirmed: tuple[ChainRequestRecord, ...]
    seen: tuple[ChainRequestRecord, ...]
    required: int


class RequestReader:
    """Reads forward from the deployment's block, or from `start_block` when the caller knows better.

    Buffers at most about a thousand confirmed requests that the engine has not taken yet.
    """

    def __init__(
        self, chain: Chain, deployment: Deployment, confirmations: int = 1, *, start_block: int | None = None
    ) -> None:
        self._chain = chain
        self._deployment = deployment
        self._required = max(1, confirmations)
        self._start_block = deployment.deploy_block if start_block is None else start_block
        self._next_block = self._start_block
        self._buffer: deque[ChainRequestRecord] = deque()

    def poll(self, cursor: int, limit: int = 64) -> RequestPoll:
        """Requests after `cursor` (the last index the engine took), at most `limit` confirmed ones.

        Raises `RpcUnavailable` when the node's logs have a gap or requests after `cursor` are in pruned blocks; the
        next poll reads them again.
        """
        head = self._chain.block("latest")
        if head is None:
            raise RpcUnavailable("the node has no latest block")
        confirmed_block = head.number + 1 - self._required
        self._fill(confirmed_block, cursor)
        while self._buffer and self._buffer[0].index <= cursor:
            self._buffer.popleft()
        confirmed = [record for record, _ in zip(self._buffer, range(limit), strict=False)]
        self._check_order(confirmed, cursor)
        seen = self._read(max(confirmed_block + 1, self._start_block), head.number)
        return RequestPoll(
            confirmed=tuple(_with_depth(confirmed, head.number)),
            seen=tuple(_with_depth(seen, head.number)),
            required=self._required,
        )

    def _fill(self, confirmed_block: int, cursor: int) -> None:
        while self._next_block <= confirmed_block and len(self._buffer) < _MAX_BUFFERED:
            last = min(confirmed_block, self._next_block + _BLOCKS_PER_QUERY - 1)
            try:
                found = self._read(self._next_block, last)
            except HistoryPruned:
                self._skip_pruned(cursor)
                continue
            self._buffer.extend(found)
            self._next_block = last + 1

    def _skip_pruned(self, cursor: int) -> None:
        """Go on at the oldest block that the node keeps, unless requests that nobody took lie before it."""
        oldest = self._chain.block("earliest")
        if oldest is None or oldest.number <= self._next_block:
            raise RpcUnavailable("the node refuses logs of blocks that it says it keeps")
        reader = SettlementReader(self._chain, self._deployment.settlement)
        queued, _, _ = reader.request_counts(tag=oldest.number)
        lost = queued - len(self._read(oldest.number, oldest.number))
        known = max(cursor, self._buffer[-1].index if self._buffer else 0)
        if lost > known:
            raise RpcUnavailable(f"requests {known + 1} to {lost} are in blocks that the chain no longer keeps")
        self._start_block = self._next_block = oldest.number

    def _check_order(self, confirmed: list[ChainRequestRecord], cursor: int) -> None:
        for place, record in enumerate(confirmed, cursor + 1):
            if record.index != place:
                self._buffer.clear()
                self._next_block = self._start_block
                raise RpcUnavailable(f"the node's logs lack request {place}: reading again from the start")

    def _read(self, first_block: int, last_block: int) -> list[ChainRequestRecord]:
        if first_block > last_block:
            return []
        logs = self._chain.logs(self._deployment.settlement, [], first_block, last_block)
        records: dict[int, ChainRequestRecord] = {}
        for log in logs:
            if log.topics[0] == REQUESTED:
                record = _read_requested(log)
                records[record.index] = record
            elif log.topics[0] == SESSION_KEY_SET:
                index = int.from_bytes(log.topics[1], "big")
                records[index] = _with_key(records[index], log)
        return [records[index] for index in sorted(records)]


def _read_requested(log: Log) -> ChainRequestRecord:
    amount_e6, owner = decode(["uint64", "address"], log.data)
    return ChainRequestRecord(
        index=int.from_bytes(log.topics[1], "big"),
        kind=RequestKind(int.from_bytes(log.topics[3], "big")),
        account=int.from_bytes(log.topics[2], "big"),
        amount_e6=amount_e6,
        owner=bytes.fromhex(owner[2:]),
        block_number=log.block_number,
        tx_hash=log.tx_hash,
    )


def _with_key(record: ChainRequestRecord, log: Log) -> ChainRequestRecord:
    _, valid_to_s, scopes, accounts, revoked = decode(["uint40", "uint40", "uint32", "uint32[]", "bool"], log.data)
    return replace(
        record,
        owner=log.topics[2][12:],
        key=log.topics[3][12:],
        valid_to_s=0 if revoked else valid_to_s,
        scopes=scopes,
        accounts=tuple(accounts),
        revoked=revoked,
    )


def _with_depth(records: Iterable[ChainRequestRecord], head_number: int) -> list[ChainRequestRecord]:
    return [replace(record, confirmations=head_number + 1 - record.block_number) for record in records]
