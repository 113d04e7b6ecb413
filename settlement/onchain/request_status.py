"""Where a request of the queue stands: read from the contract's own row, its counts and its events, nothing else.

deposit:     seen k/n -> confirmed -> posted (its batch is on chain) -> final
withdrawal:  seen k/n -> confirmed -> approved (with its batch) or refused -> final -> claimed
             approved -> paid ahead by somebody, to whom the claim then belongs -> claimed
Other kinds go as deposits. What the exchange has taken meanwhile is known to the exchange alone (`taken_until`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from eth_abi.abi import decode

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import CLAIMED, REQUESTED, SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import HistoryPruned
from settlement.protocol.transition import RequestKind

__all__ = ["RequestState", "RequestStatus", "StatusReader"]

_BLOCKS_PER_QUERY: Final = 2_000
_QUERIES_MAX: Final = 50
_SEQ_BITS: Final = 40


class RequestState(StrEnum):
    """In the order of a request's life; REFUSED, FINAL of what is no withdrawal, and CLAIMED end it."""

    SEEN = "seen"
    CONFIRMED = "confirmed"
    TAKEN = "taken by the exchange"
    POSTED = "posted"
    APPROVED = "approved"
    REFUSED = "refused"
    CLAIMED_OR_REFUSED = "claimed or refused, in blocks that the chain no longer keeps"
    FINAL = "final"
    CLAIMABLE = "claimable"
    PAID_AHEAD = "paid ahead"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStatus:
    """One request. Amounts in 1e-6 USDC; -1 and 0 where a number is not known (any more)."""

    index: int
    kind: RequestKind
    account: int
    amount_e6: int
    requested_at_s: int
    state: RequestState
    confirmations: int = 0
    """Counted while it waits; 0 later, or when its block is too old to be looked for."""
    required: int = 1
    approved_e6: int = -1
    seq: int = 0
    """Batch of a withdrawal that was consumed."""
    payer: bytes = b""
    """Who paid a withdrawal ahead of its finality; empty for nobody."""
    tx_hash: bytes = b""


class StatusReader:
    """Reads the queue of one deployment; `required` is the depth that counts as confirmed."""

    def __init__(self, chain: Chain, deployment: Deployment, required: int) -> None:
        self._chain = chain
        self._settlement = deployment.settlement
        self._deploy_block = deployment.deploy_block
        self._required = max(1, required)
        self._reader = SettlementReader(chain, deployment.settlement)

    def status(self, index: int, taken_until: int = 0) -> RequestStatus | None:
        """Request `index`; None when there is none. `taken_until`: the last one that the exchange has taken."""
        queued, done, final = self._reader.request_counts()
        if not 1 <= index <= queued:
            return None
        account, kind, amount_e6, time_s, aux = self._row(index)
        status = RequestStatus(
            index=index,
            kind=kind,
            account=account,
            amount_e6=amount_e6,
            requested_at_s=time_s,
            state=RequestState.FINAL if index <= final else RequestState.POSTED,
            required=self._required,
        )
        if index > done:
            return self._waiting(status, is_taken=index <= taken_until)
        return self._withdrawal(status, aux) if kind is RequestKind.WITHDRAW else status

    def newest(self, limit: int, account: int | None, taken_until: int = 0) -> list[RequestStatus]:
        """The newest requests, of one account or of all, newest first; looks at most 50 x `limit` rows back."""
        queued, _, _ = self._reader.request_counts()
        rows: list[RequestStatus] = []
        for index in range(queued, max(0, queued - 50 * limit), -1):
            if len(rows) == limit:
                break
            if account is None or self._row(index)[0] == account:
                row = self.status(index, taken_until)
                rows += [row] if row is not None else []
        return rows

    def indices_of(self, tx_hash: bytes) -> list[int]:
        """Requests that a transaction queued; empty when it is not mined or queued none."""
        receipt = self._chain.receipt(tx_hash)
        logs: Sequence[Log] = receipt.logs if receipt is not None else ()
        return [int.from_bytes(log.topics[1], "big") for log in logs if log.topics[0] == REQUESTED]

    def _row(self, index: int) -> tuple[int, RequestKind, int, int, int]:
        account, kind, amount_e6, time_s, aux = self._reader.view(
            "request(uint64)", ["uint32", "uint8", "uint64", "uint40", "uint104"], index
        )
        return account, RequestKind(kind), amount_e6, time_s, aux

    def _waiting(self, status: RequestStatus, *, is_taken: bool) -> RequestStatus:
        """Not in a batch yet. A block that is too old to be found is deep enough."""
        found, head = self._search(REQUESTED, status.index).log, self._chain.block("latest")
        depth = head.number + 1 - found.block_number if found is not None and head is not None else 0
        state = RequestState.SEEN if 0 < depth < self._required else RequestState.CONFIRMED
        tx_hash = found.tx_hash if found is not None else b""
        return replace(status, state=RequestState.TAKEN if is_taken else state, confirmations=depth, tx_hash=tx_hash)

    def _withdrawal(self, status: RequestStatus, aux: int) -> RequestStatus:
        """In a batch. The row's approved amount becomes 0 with the payment, whose event has it then."""
        is_final, approved_e6 = status.state is RequestState.FINAL, aux >> _SEQ_BITS
        status = replace(status, seq=aux % (1 << _SEQ_BITS), approved_e6=approved_e6)
        payer = self._payer(status.index)
        status = replace(status, payer=payer)
        if approved_e6:
            waiting = RequestState.CLAIMABLE if is_final else RequestState.APPROVED
            return replace(status, state=RequestState.PAID_AHEAD if payer else waiting)
        if not is_final:
            return replace(status, state=RequestState.REFUSED)
        found, is_complete = self._search(CLAIMED, status.index)
        if found is not None:
            paid_e6 = int(decode(["address", "uint64"], found.data)[1])
            return replace(status, state=RequestState.CLAIMED, approved_e6=paid_e6, tx_hash=found.tx_hash)
        if is_complete:
            return replace(status, state=RequestState.REFUSED)
        return replace(status, state=RequestState.CLAIMED_OR_REFUSED, approved_e6=-1)

    def _payer(self, index: int) -> bytes:
        payer = bytes.fromhex(self._reader.view("fastPayment(uint64)", ["uint64", "address"], index)[1][2:])
        return payer if any(payer) else b""

    def _search(self, topic: bytes, index: int) -> "_Search":
        """Look for a request's event from the head back, through at most 100,000 blocks that the node keeps."""
        head = self._chain.block("latest")
        last = head.number if head is not None else -1
        for _ in range(_QUERIES_MAX):
            if last < self._deploy_block:
                return _Search(None, is_complete=True)
            first = max(self._deploy_block, last - _BLOCKS_PER_QUERY + 1)
            logs, is_whole = self._logs(topic, index, first, last)
            if logs or not is_whole:
                return _Search(logs[-1] if logs else None, is_complete=is_whole)
            last = first - 1
        return _Search(None, is_complete=False)

    def _logs(self, topic: bytes, index: int, first: int, last: int) -> tuple[list[Log], bool]:
        """Logs of these blocks, and whether the node still had all of them."""
        topics = [topic, index.to_bytes(32, "big")]
        try:
            return self._chain.logs(self._settlement, topics, first, last), True
        except HistoryPruned:
            oldest = self._chain.block("earliest")
            if oldest is None or not first < oldest.number <= last:
                return [], False
            return self._chain.logs(self._settlement, topics, oldest.number, last), False


class _Search(NamedTuple):
    """The event, and whether everything was looked through."""

    log: Log | None
    is_complete: bool
