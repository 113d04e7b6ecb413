"""A deployment with oracle on a chain in the process, and its ledger in Python: honest batches and altered ones."""

import ast
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from eth_abi.abi import encode
from eth_account import Account as Signer
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import ContractCustomError

from settlement.contracts import load_artifact
from settlement.onchain.deploy import PARTS
from settlement.protocol.encoding import BatchData, Header, encode_batch
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import NO_ROUND, OracleVector
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import ChainRequest, RequestKind, apply_batch
from settlement.protocol.wrong_root import wrong_root_proof

NOBODY = "0x" + "00" * 20
BOND_E6 = 500_000_000
FEED = Signer.from_key(b"\x07" * 32)
USUAL_GAS = 12_000_000
NO_FRAUD = bytes(Web3.keccak(text="NoFraud()")[:4])
NO_REASON = b"none"
"""Where a call reverts and says nothing: bytes that are no proof at all."""
GENESIS_HEADER = (bytes(32),) * 5 + (0, 0, 0, 0)


@dataclass(frozen=True)
class Posted:
    """What a prover needs of one posted batch."""

    seq: int
    header: tuple[Any, ...]
    data: bytes

    @property
    def header_hash(self) -> bytes:
        """The batch's place in the hash chain."""
        return bytes(Web3.keccak(encode(["bytes32"] * 5 + ["uint256"] * 4, self.header)))


class DisputeWorld:
    """One operator, one feed, and as many owners as the chain has accounts."""

    def __init__(self, web3: Web3 | None = None) -> None:
        self.web3 = Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend()))) if web3 is None else web3
        self.operator, self.prover, *self.owners = self.web3.eth.accounts
        self.ledger = LedgerState()
        self.opening: OracleVector = NO_ROUND
        self.headers: dict[int, tuple[Any, ...]] = {0: GENESIS_HEADER}
        self.requests: list[ChainRequest] = []
        self.last_match_s = 0
        self._deploy()

    def _deploy(self) -> None:
        self.token = self._create("DemoUSDC")
        part = NOBODY
        for name in reversed(PARTS):
            part = self._create(name, part).address
        roles = (self.token.address, self.operator, self.operator, self.operator, part)
        numbers = (5_000_000, 600, 1, 30, 86_400, 259_200, 10_000_000, BOND_E6, 20_000_000)
        self.vault = self._create("Settlement", (*roles, *numbers, False, [FEED.address], 1, 21_600, 604_800, 864_000))
        abis = [load_artifact(name)["abi"] for name in ("Settlement", *PARTS)]
        merged = {str(entry): entry for abi in abis for entry in abi if entry["type"] == "function"}
        self.vault = self.web3.eth.contract(address=self.vault.address, abi=list(merged.values()))
        for who in (self.operator, *self.owners):
            self.send(self.token.functions.mint(who, 10**12))
            self.send(self.token.functions.approve(self.vault.address, 10**12), who)
        self.send(self.vault.functions.topUpBond(BOND_E6))

    def _create(self, name: str, *arguments: Any) -> Any:
        artifact = load_artifact(name)
        factory = self.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        call = factory.constructor(*arguments).transact({"from": self.operator, "gas": USUAL_GAS})
        address = self.web3.eth.wait_for_transaction_receipt(call)["contractAddress"]
        return self.web3.eth.contract(address=address, abi=artifact["abi"])

    def send(self, call: Any, sender: str | None = None, *, gas: int = USUAL_GAS) -> Any:
        """Send `call`, which must succeed, and return the receipt. An estimate would run it several times."""
        receipt = self.web3.eth.wait_for_transaction_receipt(
            call.transact({"from": sender or self.operator, "gas": gas})
        )
        assert receipt["status"] == 1
        return receipt

    def now_s(self) -> int:
        """Time of the last block."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Whatever happens inside is undone on chain."""
        tester = getattr(self.web3.provider, "ethereum_tester", None)
        if tester is None:
            snapshot = self.web3.provider.make_request("evm_snapshot", [])["result"]
            undo = partial(self.web3.provider.make_request, "evm_revert", [snapshot])
        else:
            undo = partial(tester.revert_to_snapshot, tester.take_snapshot())
        try:
            yield
        finally:
            undo()

    def ask(self, kind: RequestKind, account: int, owner: str, amount_e6: int = 0) -> None:
        """Queue a request of `owner` on chain and remember it; account 0 opens a new one."""
        calls = self.vault.functions
        index = account
        if kind is RequestKind.DEPOSIT:
            index = account or calls.nextAccount().call()
            self.send(calls.deposit(account, amount_e6), owner)
        elif kind is RequestKind.WITHDRAW:
            self.send(calls.requestWithdraw(account, amount_e6), owner)
        else:
            name = {RequestKind.CLOSE_ALL: "requestClose", RequestKind.CANCEL_ALL: "cancelAll"}.get(kind, "lockTrading")
            self.send(getattr(calls, name)(account), owner)
        self.requests.append(
            ChainRequest(
                index=calls.reqHead().call(),
                kind=kind,
                account=index,
                amount_e6=amount_e6,
                owner=bytes.fromhex(self.vault.functions.accountOwner(index).call()[2:]),
            )
        )

    def publish(self, vector: OracleVector) -> None:
        """Post the next oracle round; the next batch begins with it."""
        if not hasattr(self.web3.provider, "ethereum_tester"):  # anvil mines several blocks in one second
            self.web3.provider.make_request("evm_increaseTime", [5])
            self.web3.provider.make_request("evm_mine", [])
        encoded, time_s = vector.encode(), self.now_s()
        digest = self.vault.functions.roundDigest(vector.round_number, time_s, Web3.keccak(encoded)).call()
        signature = Signer.unsafe_sign_hash(digest, FEED.key).signature
        self.send(self.vault.functions.postOracle(vector.round_number, encoded, time_s, signature))
        self.opening = vector

    def header(self, deltas: NetDeltas) -> Header:
        """Header of the next batch, which takes all requests, at the time of its round."""
        time_s = self.vault.functions.oracle(self.opening.round_number).call()[1]
        return Header(
            request_up_to=self.ledger.request_done + len(self.requests),
            match_from_s=time_s,
            match_to_s=time_s,
            fee_e6=deltas.fee_e6,
            oracle_round=self.opening.round_number,
        )

    def effect(self, deltas: NetDeltas, approved: Sequence[int] = ()) -> Effect:
        """What the next batch does to the ledger."""
        return apply_batch(
            self.ledger, self.header(deltas), BatchData(deltas, tuple(approved)), self.requests, self.opening
        )

    def root_of(self, effect: Effect) -> bytes:
        """Root of a ledger on which `effect` was installed."""
        return self.ledger.copy().commit(effect)

    def send_value(self, to: str) -> None:
        """Give `to` something to pay gas with."""
        transaction = {"from": self.operator, "to": to, "value": 10**18}
        self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_transaction(transaction))

    def post(self, header: Header, data: bytes, new_root: bytes, orders: bytes = bytes(32)) -> Posted:
        """Post the bytes on chain, whatever they are; the ledger stays."""
        calls = self.vault.functions
        seq = calls.head().call() + 1
        previous = calls.batchHash(seq - 1).call(), calls.root().call()
        receipt = self.send(calls.post(seq, new_root, orders, header.pack(), data))
        block = self.web3.eth.get_block(receipt["blockNumber"])
        tail = (header.pack(), block["timestamp"], block["number"], calls.collateral().call())
        return Posted(seq, (*previous, new_root, orders, bytes(Web3.keccak(data)), *tail), data)

    def advance(self, posted: Posted, effect: Effect) -> None:
        """Take an honest batch over."""
        self.headers[posted.seq] = posted.header
        self.ledger.commit(effect)
        assert self.ledger.root == self.vault.functions.root().call()
        self.requests = []

    def accusation(self, posted: Posted, proof: bytes | None = None) -> Any:
        """The call that proves `posted` wrong."""
        bytes_ = wrong_root_proof(self.ledger, posted.data, self.opening) if proof is None else proof
        return self.vault.functions.proveWrongRoot(posted.seq, self.headers[posted.seq - 1], posted.header, bytes_)

    def verdict(self, posted: Posted, proof: bytes | None = None) -> bytes:
        """Selector with which the accusation reverts, b"" when it succeeds."""
        return self.refusal(self.accusation(posted, proof))

    def refusal(self, call: Any) -> bytes:
        """Selector with which `call` of the prover reverts, b"" when it would succeed; nothing is changed."""
        try:
            call.call({"from": self.prover})
        except TransactionFailed as error:
            return selector_of(error) or NO_REASON
        except ContractCustomError as error:
            return bytes.fromhex(str(error.data)[2:10])
        return b""


def selector_of(error: TransactionFailed) -> bytes:
    """First four bytes of the revert data."""
    return bytes(ast.literal_eval(str(error).removeprefix("execution reverted: "))[:4])


def with_account(effect: Effect, index: int, change: Callable[[Account], Account]) -> Effect:
    """Return `effect` with one account changed."""
    return replace(effect, accounts={**effect.accounts, index: change(effect.accounts[index])})


def random_deltas(rng: random.Random, accounts: Sequence[int], instruments: Sequence[int]) -> NetDeltas:
    """Balanced random deltas, some of them wide, with a fee of either sign."""
    cash = {account: rng.randrange(-(10**7), 10**7) for account in accounts}
    cash[accounts[0]] -= sum(cash.values()) + rng.randrange(0, 1000)
    cells: dict[tuple[int, int], int] = {}
    for instrument in instruments:
        group = rng.sample(list(accounts), rng.randint(2, len(accounts)))
        lots = {account: rng.choice((rng.randint(-50, 50), rng.randint(-(1 << 30), 1 << 30))) for account in group}
        lots[group[0]] -= sum(lots.values())
        cells.update({(account, instrument): amount for account, amount in lots.items() if amount})
    return NetDeltas(cash, cells)


def encoded(deltas: NetDeltas, approved: Sequence[int] = ()) -> bytes:
    """The one encoding."""
    return encode_batch(deltas, approved)
