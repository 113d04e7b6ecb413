"""Batches that the contract voided after a proof of fraud, and who may post since."""

from dataclasses import dataclass
from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.posted import kept_logs
from settlement.protocol.keccak import keccak256

__all__ = ["BATCH_REVERTED", "Reverted", "find_revert"]

BATCH_REVERTED: Final = keccak256(b"BatchReverted(uint64,uint64,uint16)")


@dataclass(frozen=True, slots=True)
class Reverted:
    """Batches `first_seq` and later are void since a transaction; `operator` may post now (zeros: nobody)."""

    first_seq: int
    tx_hash: bytes
    block_number: int
    operator: bytes

    def explain(self, address: bytes) -> str:
        """One line for who posted as `address` and may no longer."""
        now = f"0x{self.operator.hex()} posts now" if any(self.operator) else "nobody may post now"
        return (
            f"batch {self.first_seq} was reverted on chain (transaction 0x{self.tx_hash.hex()}): the bond of "
            f"0x{address.hex()} is lost, {now}; requests wait in the contract's queue for the next operator"
        )


def find_revert(chain: Chain, deployment: Deployment, first_seq: int) -> Reverted | None:
    """Return the newest revert that voided `first_seq`, None when the node knows of none."""
    head = chain.block("latest")
    if head is None:
        return None
    logs, _ = kept_logs(chain, deployment, [BATCH_REVERTED], head.number)
    for log in reversed(logs):
        from_seq = int.from_bytes(log.topics[1], "big")
        if from_seq <= first_seq:
            operator = SettlementReader(chain, deployment.settlement).operator()
            return Reverted(from_seq, log.tx_hash, log.block_number, operator)
    return None
