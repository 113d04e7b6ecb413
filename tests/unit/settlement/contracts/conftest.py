"""A chain in the process with a freshly deployed vault, shared by the tests of one module."""

import ast
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_tester.exceptions import TransactionFailed
from web3 import EthereumTesterProvider, Web3
from web3.contract import Contract

from settlement.contracts import load_artifact
from tests.unit.settlement.contracts.packed_batch import header_word

SUBACCOUNT_BASE = 5_000_000
FINALITY_WINDOW_S = 60
FORCE_DELAY_S = 600
MINIMUM_DEPOSIT_E6 = 10_000_000
MINIMUM_BOND_E6 = 500_000_000


@dataclass
class Vault:
    """The deployed contracts and what a poster must remember of its last batch."""

    web3: Web3
    token: Contract
    settlement: Contract
    operator: str
    headers: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def send(self, call: Any, sender: str | None = None) -> Any:
        """Send `call` as `sender` (default: the operator) and return the receipt."""
        return self.web3.eth.wait_for_transaction_receipt(call.transact({"from": sender or self.operator}))

    def refusal(self, call: Any, sender: str | None = None) -> bytes:
        """Call without sending, which must revert, and return the selector of the error."""
        with pytest.raises(TransactionFailed) as caught:
            call.call({"from": sender or self.operator})
        data: bytes = ast.literal_eval(str(caught.value).removeprefix("execution reverted: "))
        return data[:4]

    def now_s(self) -> int:
        """Time of the last block."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def fund(self, owner: str, amount_e6: int, account: int = 0) -> None:
        """Mint and deposit `amount_e6` for `owner`."""
        self.send(self.token.functions.mint(owner, amount_e6))
        self.send(self.token.functions.approve(self.settlement.address, amount_e6), owner)
        self.send(self.settlement.functions.deposit(account, amount_e6), owner)

    def post(self, data: bytes, new_root: bytes, *, fee_e6: int = 0, request_up_to: int | None = None) -> Any:
        """Post the next batch, remember its header and return the receipt."""
        chain = self.settlement.functions
        seq = chain.head().call() + 1
        up_to = chain.reqHead().call() if request_up_to is None else request_up_to
        word = header_word(up_to, chain.lastMatchTo().call(), self.now_s(), fee_e6)
        previous = chain.batchHash(seq - 1).call(), chain.root().call()
        receipt = self.send(chain.post(seq, new_root, b"\x0b" * 32, word, data))
        block_time_s = self.web3.eth.get_block(receipt["blockNumber"])["timestamp"]
        self.headers[seq] = (
            *previous,
            new_root,
            b"\x0b" * 32,
            bytes(Web3.keccak(data)),
            word,
            block_time_s,
            receipt["blockNumber"],
            chain.collateral().call(),
        )
        return receipt

    def finalize(self, seq: int) -> Any:
        """Let the window pass and finalize `seq`."""
        tester = self.web3.provider.ethereum_tester  # type: ignore[union-attr]
        tester.time_travel(max(self.headers[seq][6] + FINALITY_WINDOW_S, self.now_s() + 1))
        return self.send(self.settlement.functions.finalize(seq, self.headers[seq]))


def _deploy(web3: Web3, name: str, sender: str, *arguments: Any) -> Contract:
    artifact = load_artifact(name)
    factory = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    receipt = web3.eth.wait_for_transaction_receipt(factory.constructor(*arguments).transact({"from": sender}))
    return web3.eth.contract(address=receipt["contractAddress"], abi=artifact["abi"])


@pytest.fixture(scope="module")
def vault() -> Vault:
    """Deploy token and settlement on a chain of py-evm."""
    return deployed_vault()


def deployed_vault() -> Vault:
    """A fresh chain of py-evm with token, parts and settlement, and the operator's bond paid."""
    web3 = Web3(EthereumTesterProvider())
    operator = web3.eth.accounts[0]
    token = _deploy(web3, "DemoUSDC", operator)
    settlement = _deploy(web3, "Settlement", operator, _setup(web3, token.address, operator))
    vault = Vault(web3, token, settlement, operator)
    vault.send(token.functions.mint(operator, MINIMUM_BOND_E6))
    vault.send(token.functions.approve(settlement.address, MINIMUM_BOND_E6))
    bonds = web3.eth.contract(address=settlement.address, abi=load_artifact("Bonds")["abi"])
    vault.send(bonds.functions.topUpBond(MINIMUM_BOND_E6))
    return vault


def _setup(web3: Web3, token: str, operator: str) -> tuple[Any, ...]:
    notices = _deploy(web3, "Notices", operator, "0x" + "00" * 20)
    escape = _deploy(web3, "Escape", operator, notices.address)
    payments = _deploy(web3, "FastPayments", operator, escape.address)
    floors = _deploy(web3, "Floors", operator, payments.address)
    markets = _deploy(web3, "Markets", operator, floors.address)
    bonds = _deploy(web3, "Bonds", operator, markets.address)
    forced = _deploy(web3, "Forced", operator, bonds.address)
    authority = _deploy(web3, "Authority", operator, forced.address)
    disputes = _deploy(web3, "Disputes", operator, authority.address)
    windows = (FINALITY_WINDOW_S, 1, 30, FORCE_DELAY_S, 3 * FORCE_DELAY_S)
    amounts = (MINIMUM_DEPOSIT_E6, MINIMUM_BOND_E6, 20_000_000)
    return (
        token,
        operator,
        operator,
        operator,
        disputes.address,
        SUBACCOUNT_BASE,
        *windows,
        *amounts,
        False,
        [],
        0,
        300,
        3_600,
        864_000,
    )
