"""Takes everybody's money out of a contract whose operator is gone: freeze, finalize, marks, claims, payments.

Theory of operation. `step` reads how the contract stands and does all that it accepts now; what it refuses because of
the time comes back as `Wait`. Nothing is kept between two runs: whoever runs it again, here or elsewhere, goes on where
the contract stands, and two at once only waste gas. The contract judges every call; a claim of this code that is not
the contract's fails loudly, it can not pay wrongly.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from settlement.escape import calls
from settlement.escape.equity import equity_e6
from settlement.escape.reading import ChainReading
from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import CallReverted
from settlement.onchain.wallet import Wallet
from settlement.watch.accounts import NOBODY, leaf_bytes
from settlement.watch.replay import NO_MARKS, Marks, read_vector

__all__ = ["EscapeFailed", "Leaving", "Wait", "amount_of"]

_FIRST_ACCOUNT: Final = 2
_REQUEST_FIELDS: Final = ("uint32", "uint8", "uint64", "uint40", "uint104")


class EscapeFailed(Exception):
    """What was read from the chain does not fit the contract: nothing can be claimed by it."""


class Wait(NamedTuple):
    """Nothing more is accepted before `until_s` (0: not known)."""

    until_s: int
    reason: str


class Leaving:
    """One contract. `account` None takes everybody out. `say` hears of each thing done, in one line."""

    def __init__(
        self,
        chain: Chain,
        settlement: bytes,
        key: bytes,
        *,
        account: int | None = None,
        say: Callable[[str], None],
        order: Callable[[Sequence[int]], Iterable[int]] = sorted,
        confirmations: int = 1,
    ) -> None:
        """Read nothing yet. `order` gives the order in which accounts are served."""
        self._settlement = settlement
        self._wallet = Wallet(chain, key)
        self._reader = SettlementReader(chain, settlement)
        self._reading = ChainReading(chain, settlement, key, confirmations=confirmations, say=say)
        self._account = account
        self._say = say
        self._order = order
        self._refused: set[int] = set()

    def step(self) -> Wait | None:
        """Do what can be done now; None when nothing is left to do.

        Raises RpcUnavailable, RpcRefused when the chain does not answer (call again), EscapeFailed, WatcherWrong.
        """
        wait = self._freeze() or self._finalize()
        if wait is not None:
            return wait
        self._reading.step()
        self._check_root()
        self._pay_requests()
        marks = self._load_marks()
        self._claim(marks)
        return self._pay()

    def state(self) -> calls.EscapeState:
        """How the contract stands."""
        return calls.read_state(self._reader)

    # Freeze, and the end of the last windows

    def _freeze(self) -> Wait | None:
        state = self.state()
        if state.frozen_at_s:
            return None
        try:
            self._wallet.send(self._settlement, calls.FREEZE)
        except CallReverted as refusal:
            return self._wait(refusal, self._why_not_frozen(refusal.data))
        state = self.state()
        if state.frozen_at_s:
            self._say("frozen: nothing is posted any more")
            return None
        self._say("first call of freeze is on chain")
        return Wait(state.freeze_from_s, "the second call of freeze comes a while after the first one")

    def _why_not_frozen(self, refusal: bytes) -> str:
        if calls.is_refusal(refusal, "NotStalled(uint40)"):
            return "the operator is not overdue: the last post and the oldest request are younger than the escape delay"
        return "the second call of freeze comes a while after the first one"

    def _finalize(self) -> Wait | None:
        """Bring the posted batches over their windows; the watcher proves fraud and ends unanswered questions."""
        while not self.state().is_open:
            self._reading.step()
            seq = self._reader.finalized() + 1
            header = self._reading.history.header_of(seq)
            try:
                self._wallet.send(self._settlement, calls.finalize(seq, header))
            except CallReverted as refusal:
                if calls.is_refusal(refusal.data, "WindowOpen()"):
                    window_s = int(self._reader.view("finalityWindow()", ["uint40"]))
                    return Wait(header.block_time_s + window_s, f"the window of batch {seq} is open")
                return self._wait(refusal, f"batch {seq} cannot become final yet")
            self._say(f"batch {seq} is final")
        return None

    def _check_root(self) -> None:
        found, wanted = self._reading.history.tree.root, self._reader.root()
        if found != wanted:
            raise EscapeFailed(
                f"the accounts read from calldata have root 0x{found.hex()}, the contract has 0x{wanted.hex()}: "
                "does the node serve every block since the deployment?"
            )

    # Money

    def _pay_requests(self) -> None:
        """Deposits that no final batch took go back; final withdrawals are paid, as ever."""
        final = self._reader.request_counts()[2]
        for request, account in self._mine(self._reading.deposits):
            amount_e6 = self._request(request)[2]
            if request > final and amount_e6:
                self._try(calls.refund(request), f"account {account}: deposit {request} of {amount_of(amount_e6)} back")
        for request, account in self._mine(self._reading.withdrawals):
            amount_e6 = self._request(request)[4] >> 40
            if request <= final and amount_e6:
                what = f"account {account}: withdrawal {request} of {amount_of(amount_e6)} paid"
                self._try(calls.claim_withdrawal(request), what)

    def _mine(self, requests: dict[int, int]) -> list[tuple[int, int]]:
        return [(key, acct) for key, acct in sorted(requests.items()) if self._account in (None, acct)]

    def _request(self, number: int) -> tuple[int, int, int, int, int]:
        row: tuple[int, int, int, int, int] = self._reader.view("request(uint64)", _REQUEST_FIELDS, number)
        return row

    def _load_marks(self) -> Marks:
        state = self.state()
        vector = self._reading.history.vectors[state.round_number] if state.round_number else b""
        if not state.claims_end_s:
            self._wallet.send(self._settlement, calls.load_marks(vector))
            self._say(f"marks of round {state.round_number} are loaded")
        return read_vector(vector) if vector else NO_MARKS

    def _claim(self, marks: Marks) -> None:
        tree = self._reading.history.tree
        for index in self._order(self._claimants()):
            worth_e6 = equity_e6(tree.account(index), marks)
            if worth_e6 <= 0 or self._claim_of(index)[0]:
                continue
            leaf, path = leaf_bytes(tree.account(index)), tree.siblings([index])
            self._try(calls.claim(index, leaf, path), f"account {index}: {amount_of(worth_e6)} claimed")

    def _claimants(self) -> list[int]:
        timelock = bytes.fromhex(self._reader.view("timelock()", ["address"])[2:])
        return [
            index
            for index, row in sorted(self._reading.history.tree.accounts.items())
            if index >= _FIRST_ACCOUNT and row.owner not in (NOBODY, timelock) and self._account in (None, index)
        ]

    def _claim_of(self, index: int) -> tuple[int, int, bool, bool]:
        """Claim, what is due now, whether it came late, whether it was paid."""
        row: tuple[int, int, bool, bool] = self._reader.view("escapeClaimOf(uint32)", calls.CLAIM_FIELDS, index)
        return row

    def _pay(self) -> Wait | None:
        for index in self._order(self._claimants()):
            claimed_e6, _, _, is_paid = self._claim_of(index)
            if is_paid or not claimed_e6 or index in self._refused:
                continue
            try:
                self._wallet.send(self._settlement, calls.pay(index))
            except CallReverted as refusal:
                if calls.allowed_from_s(refusal.data) is not None:
                    return self._wait(refusal, "claims can still be made, and share what is there")
                self._refused.add(index)
                self._say(f"account {index}: cannot be paid ({refusal}); its owner can call escapePayTo")
                continue
            self._say(f"account {index}: paid")
        return None

    def _try(self, calldata: bytes, what: str) -> None:
        """Send what somebody else may have sent already, or what the token refuses to a single owner."""
        try:
            self._wallet.send(self._settlement, calldata)
        except CallReverted as refusal:
            self._say(f"not done: {what} ({refusal})")
        else:
            self._say(what)

    def _wait(self, refusal: CallReverted, reason: str) -> Wait:
        until_s = calls.allowed_from_s(refusal.data)
        return Wait(until_s or 0, reason if until_s is not None else f"{reason}: {refusal}")


def amount_of(amount_e6: int) -> str:
    """Dollars with all six decimals."""
    sign, rest = ("-", -amount_e6) if amount_e6 < 0 else ("", amount_e6)
    return f"{sign}{rest // 10**6}.{rest % 10**6:06d} USDC"
