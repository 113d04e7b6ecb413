"""Rebuilds every balance from calldata, compares roots, and sends the proofs and questions that follow.

Theory of operation. Events of the contract are taken in order of their blocks. Every `BatchPosted` is replayed on the
accounts behind the batch before it: another root than the posted one is proven wrong at once (F1), and so is a round
that says what none may say after the one before (F4), a withdrawal that was refused although the account could cover it
(F5), or approved although it could not, or an account that trades leave below its margin floor (F3). Where somebody
knows what an account should have gained (`ExpectedDeltas`: its owner, or the journal), a batch that says otherwise is
asked for the account's signatures (F2), and slashed when no answer comes in time. A revert takes the accounts back.
Nothing but accounts and questions is remembered; how a question stands is read from the chain.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.errors import CallReverted, RpcUnavailable
from settlement.onchain.wallet import Wallet
from settlement.protocol.keccak import keccak256
from settlement.watch import chain_calls as calls
from settlement.watch.accounts import leaf_bytes
from settlement.watch.findings import Finding, first_deficit, first_finding
from settlement.watch.history import History, Step
from settlement.watch.posts import Fraud, Hidden, PostedData, read_call, read_data, read_round, read_word
from settlement.watch.replay import CLOSE_ALL, DEPOSIT, NO_MARKS, WITHDRAW, Marks, QueuedRequest, read_vector, replay

__all__ = ["AccountDelta", "ExpectedDeltas", "Watcher", "WatcherWrong"]

_logger: Final = logging.getLogger(__name__)
_BLOCKS_AT_ONCE: Final = 500
_QUESTIONS_PER_BATCH: Final = 4
_SINGLE_CALL_BYTES: Final = 90_000
_REQUEST_FIELDS: Final = ("uint32", "uint8", "uint64", "uint40", "uint104")
_CHALLENGE_FIELDS: Final = ("address", "uint40", "uint32", "bool", "bytes32", "uint64", "uint64", "uint64", "uint64")

AccountDelta = tuple[int, Mapping[int, int]]
"""Cash in 1e-6 USDC, and lots by instrument."""


class WatcherWrong(Exception):
    """The contract finds an honest batch where this watcher finds fraud: the watcher itself must be looked at."""


class ExpectedDeltas(Protocol):
    """Somebody who knows what accounts should have gained."""

    def of_batch(self, seq: int) -> Mapping[int, AccountDelta] | None:
        """Return every account's delta in batch `seq`, None while it is not known yet."""

    def values_of_batch(self, seq: int) -> Mapping[int, int] | None:
        """Return funding index or payoff by instrument with which batch `seq` begins, None while not known yet."""

    def forget(self, up_to_seq: int) -> None:
        """Hear that batches up to this one are final."""


class Watcher:
    """One deployment, one key. `step` looks once and acts; the host decides how often."""

    def __init__(
        self,
        chain: Chain,
        settlement: bytes,
        token: bytes,
        deploy_block: int,
        key: bytes,
        *,
        confirmations: int = 1,
        expected: ExpectedDeltas | None = None,
        path: Path | None = None,
        say: Callable[[str], None] = _logger.error,
    ) -> None:
        """Go on with what `path` holds. `say` hears of every fraud, in one line. Raises BadHistory."""
        self._chain = chain
        self._settlement = settlement
        self._token = token
        self._wallet = Wallet(chain, key)
        self._reader = SettlementReader(chain, settlement)
        self._confirmations = confirmations
        self._expected = expected
        self._path = path
        self._say = say
        self.history = History() if path is None else History.load(path)
        self.history.next_block = max(self.history.next_block, deploy_block)
        self._fraud_seq = 0
        self._compared = self.history.base_seq
        self.freeze = ""
        """What was heard of a freeze since the start, in one line."""

    def step(self) -> int:
        """Take new blocks and act on what they hold; returns the last batch checked.

        Raises RpcUnavailable, RpcRefused when the chain does not answer (call again), WatcherWrong.
        """
        self._take_blocks()
        self._compare()
        self._slash_silence()
        return self.history.seq

    # Chain to accounts

    def _take_blocks(self) -> None:
        head = self._chain.block("latest")
        if head is None:
            raise RpcUnavailable("the node has no latest block")
        last = head.number + 1 - self._confirmations
        while self.history.next_block <= last:
            first = self.history.next_block
            until = min(last, first + _BLOCKS_AT_ONCE - 1)
            final = self.history.base_seq
            for log in self._chain.logs(self._settlement, [], first, until):
                self._take_log(log)
            self.history.next_block = until + 1
            if self._path is not None and self.history.base_seq != final:
                self.history.save(self._path)

    def _take_log(self, log: Log) -> None:
        kind, first_topic = log.topics[0], log.topics[1] if len(log.topics) > 1 else b""
        number = int.from_bytes(first_topic, "big")
        if kind == calls.BATCH_POSTED and number == self.history.seq + 1 and not self._fraud_seq:
            self._take_post_if_shown(number, log)
        elif kind == calls.BATCH_REVERTED:
            self.history.drop_from(number)
            self._compared = min(self._compared, number - 1)
            self._fraud_seq = 0
        elif kind == calls.FINALIZED:
            self.history.finalize(number)
            if self._expected is not None:
                self._expected.forget(number)
        elif kind == calls.ORACLE_POSTED:
            self._take_round(number, log)
            self.history.round_times[number] = int.from_bytes(log.data[:32], "big")
        elif kind == calls.INSTRUMENT_LISTED:
            self.history.listings[number] = log.data
        elif kind in (calls.FREEZE_NOTICED, calls.FROZEN):
            self._take_freeze(kind, log)
        elif kind == calls.CHALLENGED:
            seq, account = (int.from_bytes(topic, "big") for topic in log.topics[2:4])
            self.history.questions[log.topics[1]] = (seq, account)

    def _take_freeze(self, kind: bytes, log: Log) -> None:
        if kind == calls.FROZEN:
            self.freeze = "the contract is frozen: nothing is posted any more, money leaves by `offbook escape`"
        else:
            from_s = int.from_bytes(log.data, "big")
            self.freeze = f"somebody began a freeze: it can be completed from unix {from_s} on unless a batch is posted"
        self._say(self.freeze)

    def _take_post_if_shown(self, seq: int, log: Log) -> None:
        """A batch whose bytes nobody can see is never passed over in silence, nor what is behind it."""
        try:
            self._take_post(seq, log)
        except Hidden as hidden:
            self._fraud_seq = seq
            self._say(
                f"batch {seq} cannot be checked ({hidden}): its bytes are not in the calldata of transaction "
                f"0x{log.tx_hash.hex()}; trace that transaction and prove by hand, or withdraw"
            )

    def _take_post(self, seq: int, log: Log) -> None:
        """Replay a batch. One that was taken before (a step was cut short) is not taken again."""
        transaction, block = self._chain.transaction(log.tx_hash), self._chain.block(log.block_number)
        if transaction is None or block is None:
            raise RpcUnavailable(f"the node does not serve the transaction of batch {seq}")
        call = read_call(transaction.data, log.data)
        previous = self.history.header_of(seq - 1)
        word, opening = read_word(call.h), read_word(previous.h)
        if word.oracle_round and word.oracle_round not in self.history.vectors:
            raise Hidden(f"round {word.oracle_round} was not shown")
        requests = [self._request(number) for number in range(opening.request_up_to + 1, word.request_up_to + 1)]
        withdrawals = [row for row in requests if row.kind == WITHDRAW]
        tail = call.data[len(call.data) - 8 * len(withdrawals) :]
        approved_e6 = sum(int.from_bytes(tail[at : at + 8], "big") for at in range(0, len(tail), 8))
        received_e6 = sum(row.amount_e6 for row in requests if row.kind == DEPOSIT)
        header = calls.PostedHeader(
            previous.digest() if seq > 1 else bytes(32),
            self.history.tree.root,
            call.new_root,
            call.orders_root,
            keccak256(call.data),
            call.h,
            block.timestamp_s,
            block.number,
            self.history.collateral_e6 + received_e6 - approved_e6,
        )
        self._judge(seq, header, call.data, requests)

    def _judge(self, seq: int, header: calls.PostedHeader, raw: bytes, requests: Sequence[QueuedRequest]) -> None:
        """Take a batch, or prove it wrong: what cannot be right, another root, what can be proven of a right root."""
        previous, word = self.history.header_of(seq - 1), read_word(header.h)
        try:
            data = read_data(raw, sum(row.kind == WITHDRAW for row in requests))
            after = replay(self.history.tree, word, data, requests, self._marks(word.oracle_round))
        except Fraud as fraud:
            self._accuse(seq, header, raw, str(fraud))
            return
        finding = first_finding(self.history, read_word(previous.h), word, requests, data)
        self.history.take(header, raw, after, header.collateral_e6)
        found = self.history.tree.root
        if found == header.new_root and finding is None:
            finding = first_deficit(self.history, read_word(previous.h), word, data, raw, after)
            if finding is None:
                return
        self.history.drop_from(seq)
        if found != header.new_root:
            self._accuse(seq, header, raw, f"root 0x{header.new_root.hex()} instead of 0x{found.hex()}")
        elif finding is not None:
            self._say(f"batch {seq} is fraudulent ({finding.reason}): sending the proof")
            self._prove(seq, finding.reason, partial(self._send_finding, seq, previous, header, finding))

    def _request(self, number: int) -> QueuedRequest:
        account, kind, amount_e6, _, _ = self._reader.view("request(uint64)", _REQUEST_FIELDS, number)
        owner = bytes.fromhex(self._reader.view("accountOwner(uint32)", ["address"], account)[2:])
        return QueuedRequest(kind, account, amount_e6 if kind in (DEPOSIT, WITHDRAW, CLOSE_ALL) else 0, owner)

    def _marks(self, round_: int) -> Marks:
        return NO_MARKS if round_ == 0 else read_vector(self.history.vectors[round_])

    def _take_round(self, round_: int, log: Log) -> None:
        """Keep the vector of a round, from the calldata that posted it."""
        transaction = self._chain.transaction(log.tx_hash)
        if transaction is None:
            raise RpcUnavailable(f"the node does not serve the transaction of round {round_}")
        try:
            self.history.vectors[round_] = read_round(transaction.data, log.data)
        except Hidden as hidden:
            self._say(f"round {round_} cannot be read ({hidden}): no batch that names it can be checked")

    # F1

    def _accuse(self, seq: int, header: calls.PostedHeader, data: bytes, reason: str) -> None:
        """Prove batch `seq` wrong on the accounts before it. Later batches stand on it and need no proof."""
        self._say(f"batch {seq} is fraudulent ({reason}): sending the proof")
        proof = self._proof(data, read_word(header.h).oracle_round)
        previous = self.history.header_of(seq - 1)
        self._prove(seq, reason, lambda: self._send_proof(seq, previous, header, proof))

    def _prove(self, seq: int, reason: str, send: Callable[[], object]) -> None:
        """Send a proof against batch `seq`; nothing behind it is looked at until it fell."""
        try:
            send()
        except CallReverted as error:
            if error.data[:4] == calls.NO_FRAUD:
                raise WatcherWrong(f"batch {seq} is honest to the contract, not to this watcher: {reason}") from error
            self._say(f"the proof against batch {seq} was not taken: {error}")
        self._fraud_seq = seq

    def _send_proof(self, seq: int, previous: calls.PostedHeader, header: calls.PostedHeader, proof: bytes) -> None:
        """In one call where that fits a transaction, else in chunks; chunks that a crash left are used."""
        if len(proof) <= _SINGLE_CALL_BYTES:
            self._wallet.send(self._settlement, calls.accuse(seq, previous, header, proof))
            return
        nonce = int.from_bytes(header.digest()[:16], "big")
        self._stage(nonce, proof)
        self._wallet.send(self._settlement, calls.accuse_staged(seq, previous, header, nonce))

    def _send_finding(
        self, seq: int, previous: calls.PostedHeader, header: calls.PostedHeader, finding: Finding
    ) -> None:
        """In one call where that fits a transaction, else in chunks of another nonce than those of a wrong root."""
        if len(finding.staged) <= _SINGLE_CALL_BYTES:
            self._wallet.send(self._settlement, finding.accuse(seq, previous, header))
            return
        nonce = int.from_bytes(header.digest()[16:], "big")
        self._stage(nonce, finding.staged)
        self._wallet.send(self._settlement, calls.accuse_of_deficit_staged(seq, previous, header, nonce))

    def _stage(self, nonce: int, proof: bytes) -> None:
        """Send what is not on chain yet: a step that was cut short left the first chunks."""
        chunks = [proof[at : at + calls.CHUNK_BYTES] for at in range(0, len(proof), calls.CHUNK_BYTES)]
        staged = self._reader.view("stagedChunks(address,uint256)", ["address[]"], self._wallet.address, nonce)
        for chunk in chunks[len(staged) :]:
            self._wallet.send(self._settlement, calls.stage(nonce, chunk))

    def _proof(self, data: bytes, round_: int) -> bytes:
        """Sizes, data, vector of the batch's round, leaves of every touched account, siblings (`IDisputes.sol`)."""
        vector = self.history.vectors[round_] if round_ else b""
        count = int.from_bytes(data[1:3], "big")
        listed = [int.from_bytes(data[3 + 12 * place : 7 + 12 * place], "big") for place in range(count)]
        leaves = b""
        for index in (0, 1, *listed):
            raw = leaf_bytes(self.history.tree.account(index))
            leaves += len(raw).to_bytes(2, "big") + raw
        sizes = b"".join(len(part).to_bytes(4, "big") for part in (data, vector, leaves))
        in_tree = [index for index in (0, 1, *listed) if index < 1 << 20]
        return sizes + data + vector + leaves + self.history.tree.siblings(in_tree)

    # F2

    def _compare(self) -> None:
        """Compare what was posted with what is expected, batch by batch, as far as both are known."""
        if self._expected is None:
            return
        for step in self.history.steps:
            if step.seq <= self._compared:
                continue
            expected = self._expected.of_batch(step.seq)
            if expected is None:
                return
            if self._values(step) != _without_idle(self._expected.values_of_batch(step.seq) or {}):
                self._say(f"batch {step.seq} begins with other values than expected: no proof of that exists on chain")
            for account in _differing(step, expected)[:_QUESTIONS_PER_BATCH]:
                self._ask(step, account)
            self._compared = step.seq

    def _values(self, step: Step) -> dict[int, int]:
        """What step 2 of a batch took: payoffs of what ended, funding indexes of perpetuals."""
        rows = self._marks(read_word(step.header.h).oracle_round).items()
        taken = ((key, row) for key, row in rows if row.is_settled or key >> 31)
        return _without_idle({key: row.mark if row.is_settled else row.fund_index for key, row in taken})

    def _ask(self, step: Step, account: int) -> None:
        if calls.challenge_id(step.header, account) in self.history.questions:
            return
        self._say(f"batch {step.seq} moves account {account} as nothing known explains: asking for its signatures")
        bond_e6 = self._reader.view("challengeBond()", ["uint64"])
        try:
            self._wallet.send(self._token, encode_call("approve(address,uint256)", self._settlement, bond_e6))
            self._wallet.send(self._settlement, calls.ask(step.seq, step.header, account))
        except CallReverted as error:
            self._say(f"account {account} of batch {step.seq} could not be asked about: {error}")

    def _slash_silence(self) -> None:
        """End the questions whose time is over, whoever asked; one about a batch that fell gives the bond back."""
        if self._fraud_seq:
            return
        head = self._chain.block("latest")
        for id_, (seq, account) in list(self.history.questions.items()):
            row = self._reader.view("challengeOf(bytes32)", _CHALLENGE_FIELDS, id_)
            is_open, batch_hash, deadline_s = row[3], bytes(row[4]), row[1]
            if not is_open:
                del self.history.questions[id_]
            elif self.history.header_of(seq).digest() != batch_hash:
                self._try(encode_call("refundChallenge(bytes32)", id_), f"bond of the question about batch {seq}")
            elif head is not None and head.timestamp_s > deadline_s:
                self._say(f"account {account} of batch {seq} was never justified: slashing the operator")
                previous, header = self.history.header_of(seq - 1), self.history.header_of(seq)
                self._try(calls.slash(id_, previous, header), f"slash for batch {seq}")

    def _try(self, calldata: bytes, what: str) -> None:
        """Send what somebody else may have sent already."""
        try:
            self._wallet.send(self._settlement, calldata)
        except CallReverted as error:
            self._say(f"{what}: not taken by the contract: {error}")


def _without_idle(values: Mapping[int, int]) -> dict[int, int]:
    """A perpetual that never charged funding may have a row or none: its mark may need one."""
    return {key: value for key, value in values.items() if value or not key >> 31}


def _differing(step: Step, expected: Mapping[int, AccountDelta]) -> list[int]:
    """Accounts whose posted delta is another than the expected one, ascending."""
    posted: PostedData = read_data(step.data, 0)
    found = {index: (cash_e6, dict(posted.lots[index])) for index, cash_e6 in posted.cash_e6.items()}
    wanted = {
        index: (cash_e6, {key: amount for key, amount in lots.items() if amount})
        for index, (cash_e6, lots) in expected.items()
    }
    nothing: tuple[int, dict[int, int]] = (0, {})
    indices = sorted({*found, *wanted})
    return [index for index in indices if found.get(index, nothing) != wanted.get(index, nothing)]
