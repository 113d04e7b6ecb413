"""The embedded chain: py-evm with its blocks on disk; one transaction makes one block.

No reorganization can happen here and a transaction is acknowledged after its block is durable, so `safe` and
`finalized` are counted as confirmations (`safe_depth`, `final_depth` blocks behind the head; 0 by default).
Gas rules are those of Prague.
`python -m settlement.onchain.local_chain --data DIR --port N --seed S` serves it over JSON-RPC.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.exceptions import HeaderNotFound, TransactionNotFound
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_hash.auto import keccak
from eth_hash.backends import pysha3

from settlement.onchain.chain_pruning import ChainPruner
from settlement.onchain.chain_store import ChainStore, LogRow, lock_directory
from settlement.onchain.errors import (
    CallReverted,
    ChainDataCorrupt,
    HistoryPruned,
    NonceTooHigh,
    NonceTooLow,
    RpcRefused,
)
from settlement.onchain.following_header import following_header
from settlement.onchain.funded_accounts import FUNDED_ACCOUNTS, account_address, account_key

__all__ = [
    "BLOCK_GAS_LIMIT",
    "DEFAULT_CHAIN_ID",
    "DEFAULT_HISTORY_BLOCKS",
    "LocalChain",
    "LocalSettings",
    "SharedSecondVM",
    "floor_gas",
]

DEFAULT_CHAIN_ID: Final = 31337
DEFAULT_HISTORY_BLOCKS: Final = 4_096
BLOCK_GAS_LIMIT: Final = 30_000_000
_BALANCE_WEI = 10**24
_ZERO_ADDRESS = bytes(20)
_GENESIS_TIMESTAMP_S = 1_767_225_600
_EIP7623_FLOOR_GAS = 21_000
# pycryptodome, which eth_hash takes first where it is there, needs five times as long for a hash.
keccak.hasher = pysha3.keccak256  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What fixes the genesis (chain_id, seed), how tags are counted (depths in blocks), and how much history is kept.

    `history_blocks` blocks stay whole, with their states, and those that a tag can name; 0 keeps everything.
    """

    chain_id: int = DEFAULT_CHAIN_ID
    seed: int = 1
    safe_depth: int = 0
    final_depth: int = 0
    history_blocks: int = DEFAULT_HISTORY_BLOCKS

    @property
    def kept_blocks(self) -> int:
        """Blocks before the head that are never pruned; 0: none is pruned ever."""
        return self.history_blocks and max(self.history_blocks, self.safe_depth, self.final_depth)


class SharedSecondVM(PragueVM):
    """Prague, but a block may have its parent's time, as on rollups: many blocks a second keep pace with the clock."""

    @classmethod
    def validate_header(cls, header: Any, parent_header: Any) -> None:
        """As Prague does, but for the time."""
        if parent_header is not None and header.timestamp == parent_header.timestamp:
            parent_header = parent_header.copy(timestamp=parent_header.timestamp - 1)
        super().validate_header(header, parent_header)


class _DiskChain(MiningChain):
    """One set of rules from block 0, constant gas limit."""

    def create_header_from_parent(self, parent_header: Any, **params: Any) -> Any:
        return following_header(parent_header, **params)


def _chain_class(chain_id: int, rules: type[PragueVM]) -> type[_DiskChain]:
    return type("_DiskChain", (_DiskChain,), {"chain_id": chain_id, "vm_configuration": ((0, rules),)})


def _genesis_state(seed: int) -> dict[bytes, dict[str, object]]:
    addresses = [account_address(account_key(seed, index)) for index in range(FUNDED_ACCOUNTS)]
    return {a: {"balance": _BALANCE_WEI, "nonce": 0, "code": b"", "storage": {}} for a in addresses}


def _genesis_params() -> dict[str, object]:
    return {
        "coinbase": _ZERO_ADDRESS,
        "difficulty": 0,
        "extra_data": b"",
        "gas_limit": BLOCK_GAS_LIMIT,
        "mix_hash": bytes(32),
        "nonce": bytes(8),
        "timestamp": _GENESIS_TIMESTAMP_S,
    }


class LocalChain:
    """One writer, one thread. `clock` gives seconds since 1970 and only moves block times forward.

    Raises `ChainDataCorrupt` when the directory is in use or was made with another chain id or seed.
    """

    rules: type[PragueVM] = SharedSecondVM

    def __init__(
        self, directory: Path, settings: LocalSettings | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = lock_directory(directory)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._lock.close)
            store = ChainStore(directory / "chain.sqlite")
            on_failure.callback(store.close)
            self._begin(settings or LocalSettings(), clock, store)
            on_failure.pop_all()

    def _begin(self, settings: LocalSettings, clock: Callable[[], float], store: Any) -> None:
        """Open the chain that `store` holds, or make its genesis."""
        self.settings = settings
        self._clock = clock
        self.store: ChainStore = store
        self._chain: Any = self._open()
        self._pruner = ChainPruner(store, settings.kept_blocks)

    def _open(self) -> Any:
        chain_class: Any = _chain_class(self.settings.chain_id, self.rules)
        identity = f"chain_id={self.settings.chain_id} seed={self.settings.seed}"
        stored = self.store.read_meta("identity")
        if stored is None:
            genesis = chain_class.from_genesis(
                AtomicDB(self.store), _genesis_params(), _genesis_state(self.settings.seed)
            )
            self.store.write_meta("identity", identity)
            self.store.commit()
            return genesis
        if stored != identity:
            raise ChainDataCorrupt(f"chain data was made with {stored}, asked for {identity}: run `offbook reset`")
        return chain_class(AtomicDB(self.store))

    def close(self) -> None:
        """Release the file and the directory lock."""
        self.store.close()
        self._lock.close()

    # Blocks

    @property
    def head_number(self) -> int:
        """Number of the newest block."""
        return int(self._chain.get_canonical_head().block_number)

    @property
    def horizon(self) -> int:
        """Oldest block that is whole; below it only genesis is left."""
        return self._pruner.horizon

    def check_kept(self, number: int) -> None:
        """Raise `HistoryPruned` for a block below the horizon."""
        if number < self.horizon:
            kept = self.head_number + 1 - self.horizon
            raise HistoryPruned(
                f"block {number} is pruned: this chain keeps its last {kept} blocks, from {self.horizon} on"
            )

    def header_by_number(self, number: int) -> Any:
        """Header, None beyond the head. Raises `HistoryPruned`; genesis always answers."""
        if number:
            self.check_kept(number)
        try:
            return self._chain.get_canonical_block_header_by_number(number)
        except HeaderNotFound:
            return None

    def header_by_hash(self, block_hash: bytes) -> Any:
        """Header, None when the hash is unknown or its block is pruned."""
        try:
            header = self._chain.get_block_header_by_hash(block_hash)
        except HeaderNotFound:
            return None
        return header if header.block_number >= self.horizon or header.block_number == 0 else None

    def block_of(self, header: Any) -> Any:
        """The block with its transactions."""
        return self._chain.get_block_by_header(header)

    def tagged_number(self, tag: str) -> int:
        """Block number of latest, pending, safe, finalized or earliest. Raises `RpcRefused` on another word."""
        head = self.head_number
        depths = {"latest": 0, "pending": 0, "safe": self.settings.safe_depth, "finalized": self.settings.final_depth}
        if tag == "earliest":
            return self.horizon
        if tag not in depths:
            raise RpcRefused(f"unknown block tag {tag!r}")
        return max(0, head - depths[tag])

    def mine(self, transactions: tuple[Any, ...] = ()) -> Any:
        """Append one block, make it durable, and prune a little.

        An invalid transaction raises py-evm's error and nothing is kept. Raises `ChainDataCorrupt` when pruning found
        a hole in the file: more blocks would only bury it.
        """
        if self._pruner.damage:
            raise ChainDataCorrupt(self._pruner.damage)
        header = self._append(transactions)
        self._pruner.step(header.block_number, self.store.rows_written)
        return header

    def _append(self, transactions: tuple[Any, ...]) -> Any:
        parent = self._chain.get_canonical_head()
        self.store.begin_block(parent.block_number + 1)
        timestamp_s = max(parent.timestamp, int(self._clock()))
        self._chain.header = self._chain.create_header_from_parent(parent, timestamp=timestamp_s)
        try:
            result, receipts, _ = self._chain.mine_all(transactions, mix_hash=self._seal(parent.hash))
            header = result.imported_block.header
            self.store.add_logs(_log_rows(header, transactions, receipts))
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()
        return header

    def _seal(self, parent_hash: bytes) -> bytes:
        """The mix hash of a block: nothing random, yet another one in each block."""
        return bytes(keccak(parent_hash))

    # Transactions

    def send_raw(self, raw: bytes) -> bytes:
        """Mine a signed transaction in a block of its own; returns the hash.

        Raises `NonceTooLow`, `NonceTooHigh`, `RpcRefused`.
        """
        try:
            transaction: Any = PragueVM.get_transaction_builder().decode(raw)
            sender = transaction.sender
        except Exception as error:
            raise RpcRefused(f"cannot decode transaction: {error}") from error
        nonce = self.nonce(sender, self.head_number)
        if transaction.nonce < nonce:
            raise NonceTooLow(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        if transaction.nonce > nonce:
            raise NonceTooHigh(f"nonce too high: next nonce {nonce}, tx nonce {transaction.nonce}")
        try:
            self.mine((transaction,))
        except ChainDataCorrupt:
            raise
        except Exception as error:
            raise RpcRefused(f"transaction refused: {error}") from error
        return bytes(transaction.hash)

    def find_transaction(self, tx_hash: bytes) -> tuple[Any, int] | None:
        """Header and index of a mined transaction, None when it is unknown or its block is pruned."""
        try:
            number, index = self._chain.get_canonical_transaction_index(tx_hash)
        except TransactionNotFound:
            return None
        if number < self.horizon:
            return None
        return self._chain.get_canonical_block_header_by_number(number), index

    def receipts_of(self, header: Any) -> tuple[Any, ...]:
        """Receipts of one block, in order."""
        builder = self._chain.get_vm_class(header).get_receipt_builder()
        return tuple(self._chain.chaindb.get_receipts(header, builder))

    # State

    def _state(self, number: int) -> Any:
        return self._chain.get_vm(self._next_header(self._whole_header(number))).state

    def _whole_header(self, number: int) -> Any:
        self.check_kept(number)
        header = self.header_by_number(number)
        if header is None:
            raise RpcRefused(f"unknown block {number}")
        return header

    def _next_header(self, parent: Any) -> Any:
        timestamp_s = max(parent.timestamp, int(self._clock()))
        return self._chain.create_header_from_parent(parent, timestamp=timestamp_s)

    def nonce(self, address: bytes, number: int) -> int:
        """Next nonce of an account after block `number`."""
        return int(self._state(number).get_nonce(address))

    def balance(self, address: bytes, number: int) -> int:
        """Balance in wei after block `number`."""
        return int(self._state(number).get_balance(address))

    def code(self, address: bytes, number: int) -> bytes:
        """Deployed code after block `number`."""
        return bytes(self._state(number).get_code(address))

    def storage(self, address: bytes, slot: int, number: int) -> int:
        """Storage word after block `number`."""
        return int(self._state(number).get_storage(address, slot))

    def next_base_fee(self) -> int:
        """Base fee in wei of the block that would be mined now."""
        return int(self._next_header(self._chain.get_canonical_head()).base_fee_per_gas)

    def call(self, request: Mapping[str, Any], number: int) -> bytes:
        """Run a call without keeping anything; returns its output. Raises `CallReverted`."""
        return bytes(self._execute(request, number, BLOCK_GAS_LIMIT).output)

    def _execute(self, request: Mapping[str, Any], number: int, gas: int) -> Any:
        return self._run(request, self._free_state(number), gas)

    def _free_state(self, number: int) -> Any:
        """State for a call after block `number`, in a block where gas costs nothing."""
        free = self._next_header(self._whole_header(number)).copy(base_fee_per_gas=0)
        return self._chain.get_vm(free).state

    def _run(self, request: Mapping[str, Any], state: Any, gas: int) -> Any:
        builder: Any = PragueVM.get_transaction_builder()
        unsigned = builder.new_unsigned_dynamic_fee_transaction(
            chain_id=self.settings.chain_id,
            nonce=state.get_nonce(request["from"]),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=request["to"],
            value=request["value"],
            data=request["data"],
            access_list=(),
        )
        spoofed: Any = SpoofTransaction(unsigned, from_=request["from"], gas_price=0)
        try:
            computation = state.apply_transaction(spoofed)
        except Exception as error:
            raise RpcRefused(f"call refused: {error}") from error
        if computation.is_error:
            raise CallReverted(f"execution reverted: {type(computation.error).__name__}", bytes(computation.output))
        return computation

    def estimate_gas(self, request: Mapping[str, Any], number: int) -> int:
        """Smallest gas limit (within 2 %) that succeeds, never below the EIP-7623 floor. Raises `CallReverted`."""
        computation = self._execute(request, number, BLOCK_GAS_LIMIT)
        intrinsic = BLOCK_GAS_LIMIT - int(computation.msg.gas)
        low = max(floor_gas(request["data"]), intrinsic + int(computation.get_gas_used()))
        if self._succeeds(request, number, low):
            return low
        # A call passes on 63/64 of its gas: a few nested ones need 4 % more than they use, seldom anything else does.
        high = low + low // 25
        while not self._succeeds(request, number, high) and high < BLOCK_GAS_LIMIT:
            low, high = high, min(BLOCK_GAS_LIMIT, high * 2)
        while high - low > high // 50:
            middle = (high + low) // 2
            low, high = (low, middle) if self._succeeds(request, number, middle) else (middle, high)
        return high

    def _succeeds(self, request: Mapping[str, Any], number: int, gas: int) -> bool:
        try:
            self._execute(request, number, gas)
        except RpcRefused:
            return False
        return True


def floor_gas(data: bytes) -> int:
    """What EIP-7623 charges at least for a call with this data."""
    zeros = data.count(0)
    return _EIP7623_FLOOR_GAS + 10 * zeros + 40 * (len(data) - zeros)


def _log_rows(header: Any, transactions: tuple[Any, ...], receipts: tuple[Any, ...]) -> list[LogRow]:
    rows: list[LogRow] = []
    for tx_index, (transaction, receipt) in enumerate(zip(transactions, receipts, strict=True)):
        for log in receipt.logs:
            topics = b"".join(topic.to_bytes(32, "big") for topic in log.topics)
            place = (header.block_number, len(rows), tx_index, bytes(transaction.hash), bytes(header.hash))
            rows.append(LogRow(*place, bytes(log.address), topics, bytes(log.data)))
    return rows


if __name__ == "__main__":
    from settlement.onchain.local_rpc import main

    raise SystemExit(main())
