"""`python -m tests.unit.settlement.contracts.gas_walk` writes the gas snapshot: what every usual call costs.

Gas of the shipped bytecode on py-evm (Prague with EIP-7623), one chain, one fixed walk: the same on every machine.
"""

import json
import random
from pathlib import Path
from typing import Any, Final

from settlement.contracts import load_artifact
from tests.unit.settlement.contracts.conftest import MINIMUM_BOND_E6, Vault, deployed_vault
from tests.unit.settlement.contracts.packed_batch import pack_batch

__all__ = ["SNAPSHOT", "walked"]

SNAPSHOT: Final = Path(__file__).parents[4] / "settlement/contracts/snapshots/gas.json"
_NOBODY: Final = "0x" + "00" * 20
_DOLLAR: Final = 1_000_000
_CELLS: Final = 8


def walked() -> dict[str, int]:
    """Gas used by each call of the walk, by name."""
    walk = _Walk(deployed_vault())
    walk.queue()
    walk.batches()
    walk.payments()
    walk.roles()
    return walk.gas


class _Walk:
    """Calls in an order in which each is accepted; the first of a kind is cold."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._chain = vault.settlement.functions
        self.gas: dict[str, int] = {}
        self._alice, self._bob, self._payer = vault.web3.eth.accounts[1:4]
        for who in (self._alice, self._bob, self._payer):
            vault.send(vault.token.functions.mint(who, 10_000 * _DOLLAR))
            vault.send(vault.token.functions.approve(vault.settlement.address, 10_000 * _DOLLAR), who)

    def queue(self) -> None:
        """Money and requests come in."""
        self._measure("deposit, new account", self._chain.deposit(0, 1_000 * _DOLLAR), self._alice)
        self._measure("deposit, same account", self._chain.deposit(2, 500 * _DOLLAR), self._alice)
        self._vault.send(self._chain.deposit(0, 2_000 * _DOLLAR), self._bob)
        self._measure("requestWithdraw", self._chain.requestWithdraw(2, 100 * _DOLLAR), self._alice)
        self._measure("cancelAll", self._chain.cancelAll(2), self._alice)
        self._vault.send(self._chain.requestWithdraw(3, 200 * _DOLLAR), self._bob)

    def batches(self) -> None:
        """A batch with requests, a full one of 100 accounts and 8 instruments, an empty one."""
        empty = pack_batch({2: 0, 3: 0}, {}, [100 * _DOLLAR, 200 * _DOLLAR])
        self.gas["post, six requests"] = self._vault.post(empty, b"\x01" * 32)["gasUsed"]
        self.gas["post, 100 accounts x 8 instruments"] = self._vault.post(_full_batch(), b"\x02" * 32)["gasUsed"]
        self.gas["post, empty"] = self._vault.post(pack_batch({}, {}), b"\x03" * 32)["gasUsed"]

    def payments(self) -> None:
        """One withdrawal is paid ahead, both are claimed once they are final."""
        fast = self._part("FastPayments")
        self._measure("allowFee", fast.allowFee(4, _DOLLAR), self._alice)
        batch = self._chain.batchHash(1).call()
        self._measure("fastPay", fast.fastPay(4, batch, _DOLLAR), self._payer)
        self.gas["finalize"] = self._vault.finalize(1)["gasUsed"]
        self._measure("claim, of a payer", self._chain.claim([4], _NOBODY, b""))
        self._measure("claim, of an owner", self._chain.claim([6], _NOBODY, b""))

    def roles(self) -> None:
        """What guardian, timelock and the operator's friends send."""
        bonds, notices = self._part("Bonds"), self._part("Notices")
        call = bonds.registerSuccessor(self._payer)._encode_transaction_data()
        self._measure("announce", notices.announce(call))
        self._vault.send(self._vault.token.functions.mint(self._vault.operator, MINIMUM_BOND_E6))
        self._vault.send(self._vault.token.functions.approve(self._vault.settlement.address, MINIMUM_BOND_E6))
        self._measure("topUpBond", bonds.topUpBond(MINIMUM_BOND_E6))
        self._measure("pauseFast", self._part("FastPayments").pauseFast(60))
        self._measure("pausePosting", bonds.pausePosting(60))
        self._measure("freeze, by the operator", self._part("Escape").freeze())

    def _part(self, name: str) -> Any:
        abi = load_artifact(name)["abi"]
        return self._vault.web3.eth.contract(address=self._vault.settlement.address, abi=abi).functions

    def _measure(self, name: str, call: Any, sender: str | None = None) -> None:
        self.gas[name] = self._vault.send(call, sender)["gasUsed"]


def _full_batch() -> bytes:
    """Random deltas that balance, seeded; every account trades every instrument."""
    rng = random.Random(7)
    accounts = range(2, 102)
    deltas = {}
    for instrument in range(1, _CELLS + 1):
        lots = [rng.randint(1, 900) for _ in range(50)]
        deltas[instrument] = dict(zip(accounts, [*lots, *(-size for size in lots)], strict=True))
    cash = {account: rng.randint(-(10**9), 10**9) for account in accounts}
    cash[2] -= sum(cash.values())
    return pack_batch(cash, deltas)


if __name__ == "__main__":
    SNAPSHOT.parent.mkdir(exist_ok=True)
    SNAPSHOT.write_text(json.dumps(walked(), indent=2) + "\n")
    print(f"written: {SNAPSHOT.name}")  # noqa: T201 - the command's answer
