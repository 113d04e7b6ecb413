"""Fast withdrawals: pays approved ones before they are final, and claims what that earned once they are.

Theory of operation. The contract makes a payment happen at most once (`AlreadyPaid`), for the very batch that was
looked at (`BatchReplaced`), and hands the claim to whoever paid. So this side may repeat itself: it writes the plan,
asks the poster of its own key for the call, and looks at the chain again; a lost reply, a reorganization or a restart
changes nothing but the time. It pays only what is worth it (`FastTerms`) and only in batches that its caller knows to
be right, because a voided batch is the payer's risk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from settlement.onchain.chain import BlockRef, Chain
from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.deployment import Deployment
from settlement.onchain.errands import Errand
from settlement.onchain.fast_book import FastBook, FastRow, FastState
from settlement.onchain.outbox import Purpose
from settlement.onchain.request_status import RequestState, StatusReader
from settlement.protocol.transition import RequestKind

__all__ = ["FastPayer", "FastTerms"]

_SEQ_BITS: Final = 40
_FROZEN: Final = 2
_BPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class FastTerms:
    """What a payer offers; amounts in 1e-6 USDC. `budget_e6` bounds all money that is out at once."""

    budget_e6: int
    largest_e6: int
    least_fee_e6: int
    fee_bps: int

    def fee_e6(self, amount_e6: int) -> int:
        """What a payment costs its recipient, rounded up to 1e-6 USDC."""
        return max(self.least_fee_e6, -(-amount_e6 * self.fee_bps // _BPS))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A withdrawal of a batch at the final depth, as the contract has it."""

    request: int
    seq: int
    amount_e6: int
    allowed_fee_e6: int


class FastPayer:
    """One payer's key on one deployment: what its poster has to send. Every call reads the chain anew."""

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        book: FastBook,
        payer: bytes,
        terms: FastTerms,
        *,
        is_right: Callable[[int, bytes], bool],
        confirmations: int,
    ) -> None:
        """`is_right(seq, batch_hash)`: whether the caller knows that this batch cannot be proven wrong."""
        self._deployment = deployment
        self._reader = SettlementReader(chain, deployment.settlement)
        self._token = SettlementReader(chain, deployment.token)
        self._statuses = StatusReader(chain, deployment, confirmations)
        self._book = book
        self._payer = payer
        self._terms = terms
        self._is_right = is_right
        self._confirmations = confirmations
        self._refused_at: dict[int, int] = {}
        self._head_number = 0

    def next(self, head: BlockRef) -> Errand | None:
        """Return the next call: first what was begun, then a new payment."""
        self._head_number = head.number
        tag = max(0, head.number + 1 - self._confirmations)
        for row in self._book.open_rows():
            errand = self._follow_planned(row, tag) if row.state is FastState.PLANNED else self._follow_paid(row, tag)
            if errand is not None:
                return errand
        return self._begin(tag)

    def refused(self, errand: Errand, reason: str) -> None:
        """Leave a withdrawal alone that the contract refuses to pay; a claim waits for another block."""
        request = int.from_bytes(errand.subject, "big")
        self._refused_at[request] = self._head_number
        row = self._book.row(request)
        if errand.purpose is Purpose.FAST_PAY and row is not None and row.state is FastState.PLANNED:
            self._book.move(row, FastState.DROPPED, reason)

    def holds(self, seq: int) -> bool:  # noqa: ARG002 - the protocol's parameter
        """Never: finality is what a payer waits for."""
        return False

    # What was begun

    def _follow_planned(self, row: FastRow, tag: int) -> Errand | None:
        payer = self._paid_by(row.request, "latest")
        if payer == self._payer:
            if self._paid_by(row.request, tag) == self._payer:
                self._book.move(row, FastState.PAID)
            return None
        if any(payer):
            self._book.move(row, FastState.DROPPED, "somebody else paid it")
            return None
        candidate = self._candidate(row.request, tag)
        if candidate is None or not self._same(row, candidate):
            self._book.move(row, FastState.DROPPED, "its batch was replaced, or it is final")
            return None
        return self._payment(row)

    def _same(self, row: FastRow, candidate: _Candidate) -> bool:
        stands = (candidate.seq, candidate.amount_e6) == (row.seq, row.amount_e6)
        return stands and self._reader.batch_hash(row.seq) == row.batch_hash

    def _follow_paid(self, row: FastRow, tag: int) -> Errand | None:
        if self._paid_by(row.request, "latest") != self._payer:
            self._book.move(row, FastState.PLANNED, "the payment's block left the chain")
            return None
        if self._is_stranded(row):
            self._book.move(row, FastState.LOST, "the contract froze before its batch was final")
            return None
        if not self._is_final(row, tag):
            return None
        if self._approved_e6(row.request, "latest"):
            return self._claim(row) if self._refused_at.get(row.request) != self._head_number else None
        if self._approved_e6(row.request, tag) == 0:
            self._end(row)
        return None

    def _end(self, row: FastRow) -> None:
        """Nothing is approved (any more). In the batch that was looked at something was, so it was claimed since."""
        stands = self._reader.batch_hash(row.seq) == row.batch_hash
        status = None if stands else self._statuses.status(row.request)
        if status is not None and status.state is RequestState.REFUSED:
            self._book.move(row, FastState.LOST, "its batch was voided, the next one approved nothing")
        else:
            self._book.move(row, FastState.REPAID)

    def _is_final(self, row: FastRow, tag: str | int = "latest") -> bool:
        return self._reader.request_counts(tag)[2] >= row.request

    def _is_stranded(self, row: FastRow) -> bool:
        """Frozen, everything that stands is final, and the request is not in it: the escape pays the account."""
        is_frozen = self._reader.view("halted()", ["uint8"]) == _FROZEN
        return is_frozen and self._reader.head() == self._reader.finalized() and not self._is_final(row)

    # What may begin

    def _begin(self, tag: int) -> Errand | None:
        if self._reader.view("halted()", ["uint8"]) == _FROZEN or self._is_paused():
            return None
        for candidate in self._candidates(tag):
            row = self._worth(candidate)
            if row is not None:
                self._book.plan(row)
                return self._payment(row)
        return None

    def _is_paused(self) -> bool:
        """Whether the guardian's pause lasts, by the chain's clock."""
        until_s, _ = self._reader.view("fastPause()", ["uint40", "uint40"])
        head = self._reader.chain.block("latest")
        return head is None or head.timestamp_s < until_s

    def _candidates(self, tag: int) -> Iterator[_Candidate]:
        """Oldest first: between the last final request and the last one in a batch there are two days at most."""
        _, done, final = self._reader.request_counts(tag)
        for request in range(final + 1, done + 1):
            if self._refused_at.get(request) == self._head_number:
                continue
            known = self._book.row(request)
            if known is None or known.state is FastState.DROPPED:
                candidate = self._candidate(request, tag)
                if candidate is not None:
                    yield candidate

    def _candidate(self, request: int, tag: int) -> _Candidate | None:
        """The withdrawal if it is approved whole, not final and nobody paid it: the contract takes no part for it."""
        _, done, final = self._reader.request_counts(tag)
        _, kind, asked_e6, _, aux = self._row(request, tag)
        if not final < request <= done or kind != RequestKind.WITHDRAW or aux >> _SEQ_BITS != asked_e6:
            return None
        allowed, payer = self._fast_row(request, "latest")
        if any(payer):
            return None
        return _Candidate(
            request=request, seq=aux % (1 << _SEQ_BITS), amount_e6=aux >> _SEQ_BITS, allowed_fee_e6=allowed
        )

    def _worth(self, candidate: _Candidate) -> FastRow | None:
        """The payment that the terms allow, None for one that they do not."""
        fee_e6 = self._terms.fee_e6(candidate.amount_e6)
        paid_e6 = candidate.amount_e6 - fee_e6
        if fee_e6 > candidate.allowed_fee_e6 or not 0 < paid_e6 <= self._terms.largest_e6:
            return None
        if self._book.outstanding_e6() + paid_e6 > self._terms.budget_e6 or self._held_e6() < paid_e6:
            return None
        batch_hash = self._reader.batch_hash(candidate.seq)
        if not self._is_right(candidate.seq, batch_hash):
            return None
        return FastRow(
            request=candidate.request,
            seq=candidate.seq,
            batch_hash=batch_hash,
            amount_e6=candidate.amount_e6,
            fee_e6=fee_e6,
        )

    # Calls

    def _payment(self, row: FastRow) -> Errand:
        subject = row.request.to_bytes(8, "big")
        settlement = self._deployment.settlement
        allowance = int(self._token.view("allowance(address,address)", ["uint256"], self._payer, settlement))
        if allowance < row.amount_e6 - row.fee_e6:
            call = encode_call("approve(address,uint256)", settlement, self._terms.budget_e6)
            return Errand(Purpose.APPROVE, row.seq, call, subject, self._deployment.token)
        call = encode_call("fastPay(uint64,bytes32,uint64)", row.request, row.batch_hash, row.fee_e6)
        return Errand(Purpose.FAST_PAY, row.seq, call, subject)

    @staticmethod
    def _claim(row: FastRow) -> Errand:
        call = encode_call("claim(uint64[],address,bytes)", [row.request], bytes(20), b"")
        return Errand(Purpose.FAST_CLAIM, row.seq, call, row.request.to_bytes(8, "big"))

    # Reading

    def _fast_row(self, request: int, tag: str | int) -> tuple[int, bytes]:
        allowed, payer = self._reader.view("fastPayment(uint64)", ["uint64", "address"], request, tag=tag)
        return int(allowed), bytes.fromhex(payer[2:])

    def _paid_by(self, request: int, tag: str | int) -> bytes:
        return self._fast_row(request, tag)[1]

    def _row(self, request: int, tag: str | int) -> tuple[int, int, int, int, int]:
        fields = ["uint32", "uint8", "uint64", "uint40", "uint104"]
        account, kind, amount_e6, time_s, aux = self._reader.view("request(uint64)", fields, request, tag=tag)
        return account, kind, amount_e6, time_s, aux

    def _approved_e6(self, request: int, tag: str | int) -> int:
        return self._row(request, tag)[4] >> _SEQ_BITS

    def _held_e6(self) -> int:
        return int(self._token.view("balanceOf(address)", ["uint256"], self._payer))
