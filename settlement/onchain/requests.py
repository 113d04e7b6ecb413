"""The contract's request queue, read in order: deposits, withdrawals and session keys, with their confirmations.

A request is `seen` in any block and `confirmed` once its block is `confirmations` deep (itself counts as one).
Only confirmed requests may reach the engine; their cursor is the engine's, so a restart reads nothing twice.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from eth_abi.abi import decode

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import REQUESTED, SESSION_KEY_SET
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcUnavailable
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

        Raises `RpcUnavailable` when the node's logs have a gap; the next poll reads them again.
        """
        head = self._chain.block("latest")
        if head is None:
            raise RpcUnavailable("the node has no latest block")
        confirmed_block = head.number + 1 - self._required
        self._fill(confirmed_block)
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

    def _fill(self, confirmed_block: int) -> None:
        while self._next_block <= confirmed_block and len(self._buffer) < _MAX_BUFFERED:
            last = min(confirmed_block, self._next_block + _BLOCKS_PER_QUERY - 1)
            self._buffer.extend(self._read(self._next_block, last))
            self._next_block = last + 1

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
