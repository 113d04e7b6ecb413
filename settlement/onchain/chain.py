"""The seam to an EVM chain: what the settlement processes ask of a node, whoever answers.

Production: `settlement.onchain.rpc.RpcChain`. Simulation: `tests.simulation.fake_chain.FakeChain`.
Addresses are 20 bytes, hashes 32 bytes, fees in wei per gas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["BlockRef", "Chain", "Fees", "Log", "Receipt", "TransactionInput"]


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Place of a block: number, hash, and its time in seconds since 1970."""

    number: int
    block_hash: bytes
    timestamp_s: int


@dataclass(frozen=True, slots=True)
class Fees:
    """What the node asks for now: base fee of the next block and a usual priority fee, wei per gas."""

    base_fee_wei: int
    priority_fee_wei: int


@dataclass(frozen=True, slots=True)
class Log:
    """One event log of a mined transaction."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Outcome of a mined transaction; `succeeded` is False for a revert."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    contract_address: bytes | None
    logs: tuple[Log, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionInput:
    """Calldata of a transaction and where it was mined (block number None while pending)."""

    tx_hash: bytes
    sender: bytes
    to: bytes | None
    data: bytes
    block_number: int | None


class Chain(Protocol):
    """Blocking calls to one chain. Every method may raise `RpcUnavailable` or `RpcRefused`."""

    def chain_id(self) -> int:
        """What eth_chainId answers."""

    def block(self, tag: str | int) -> BlockRef | None:
        """Block by number or by tag (latest, safe, finalized); None when there is none."""

    def nonce(self, address: bytes, *, pending: bool = False, tag: str | int = "latest") -> int:
        """Next nonce of an account after block `tag`, or with what waits to be mined."""

    def fees(self) -> Fees:
        """Current fee level."""

    def send_raw(self, raw: bytes) -> bytes:
        """Hand over a signed transaction.

        Raises `NonceTooLow`, `NonceTooHigh`, `AlreadyKnown`, `ReplacementUnderpriced`.
        """

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """Receipt on the current best chain, None when not mined there."""

    def transaction(self, tx_hash: bytes) -> TransactionInput | None:
        """The transaction with its calldata, None when unknown."""

    def call(self, to: bytes, data: bytes, *, sender: bytes = ..., tag: str | int = ...) -> bytes:
        """Output of a call. Raises `CallReverted` (`BadSeq` for that selector)."""

    def estimate_gas(self, sender: bytes, to: bytes | None, data: bytes) -> int:
        """Gas that the transaction needs. Raises `CallReverted` when it would revert."""

    def logs(self, address: bytes, topics: Sequence[bytes | None], first_block: int, last_block: int) -> list[Log]:
        """Logs of one contract in a block range, both ends included, in chain order."""

    def code(self, address: bytes) -> bytes:
        """Deployed code, empty when there is none."""
