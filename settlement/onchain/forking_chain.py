"""The embedded EVM in memory, with branches: blocks can be taken back, and each block carries what its miner chose.

The same Prague rules and the same contracts as `local_chain`, without a file, a lock or pruning. What a block wrote is
kept in reverse, so that taking it back costs as much as it did to mine it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlock
from eth.vm.forks.prague.state import PragueState

from settlement.onchain.chain_store import LogRow
from settlement.onchain.errors import RpcRefused
from settlement.onchain.following_header import following_header
from settlement.onchain.local_chain import BLOCK_GAS_LIMIT, LocalChain, LocalSettings, SharedSecondVM, floor_gas
from settlement.onchain.quick_code import QuickComputation
from settlement.onchain.remembered_state import ReadRecord, RememberedViews, StateReader

__all__ = ["ForkingChain", "ForkingStore"]

_KEPT_READERS: Final = 16
_KEPT_BLOCKS: Final = 256
_Found = TypeVar("_Found")


class ForkingStore(BaseDB):
    """Rows in a dictionary, what each block replaced, and the logs of the best branch."""

    def __init__(self) -> None:
        self.rows_written = 0
        self.logs: list[LogRow] = []
        self._rows: dict[bytes, bytes] = {}
        self._meta: dict[str, str] = {}
        self._replaced: list[dict[bytes, bytes | None]] = [{}]

    def copy(self) -> "ForkingStore":
        """The same rows for another chain; blocks mined so far cannot be taken back there."""
        other = ForkingStore()
        other.logs, other._rows, other._meta = list(self.logs), dict(self._rows), dict(self._meta)
        return other

    def __getitem__(self, key: bytes) -> bytes:
        return self._rows[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._replaced[-1].setdefault(key, self._rows.get(key))
        self._rows[key] = value

    def __delitem__(self, key: bytes) -> None:
        self._replaced[-1].setdefault(key, self._rows[key])
        del self._rows[key]

    def _exists(self, key: bytes) -> bool:
        return key in self._rows

    def read_meta(self, name: str) -> str | None:
        """Value of a named setting, None when it was never written."""
        return self._meta.get(name)

    def write_meta(self, name: str, value: str) -> None:
        """Set a named setting."""
        self._meta[name] = value

    def begin_block(self, number: int) -> None:
        """What is written from here on is one block's; its number is in its header."""
        del number
        self._replaced.append({})

    def add_logs(self, rows: Sequence[LogRow]) -> None:
        """Index the logs of one block."""
        self.logs.extend(rows)

    def find_logs(self, first_block: int, last_block: int, addresses: Sequence[bytes], limit: int) -> list[LogRow]:
        """At most `limit` logs of the block range (both ends included), any address when `addresses` is empty."""
        found = [
            row
            for row in self.logs
            if first_block <= row.block_number <= last_block and (not addresses or row.address in addresses)
        ]
        return found[:limit]

    def commit(self) -> None:
        """Nothing is ever half written here."""

    def rollback(self) -> None:
        """Undo what was written since `begin_block`."""
        for key, value in self._replaced.pop().items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value

    def take_back(self, above: int) -> None:
        """Undo the newest block, whose logs are those above block `above`."""
        self.rollback()
        self.logs = [row for row in self.logs if row.block_number <= above]


class _QuickState(PragueState):
    computation_class: Any = QuickComputation


class _QuickVM(SharedSecondVM):
    _state_class = _QuickState


class ForkingChain(LocalChain):
    """One thread. `clock` gives seconds since 1970; a block may not be older than its parent.

    Views are remembered by what they read: none may depend on the time or on ether, and no view of ours does.
    """

    rules = _QuickVM
    store: Any

    def __init__(
        self,
        settings: LocalSettings,
        clock: Callable[[], float],
        store: ForkingStore | None = None,
        views: RememberedViews | None = None,
    ) -> None:
        """`views` is shared by chains of one process: what is in it holds on every chain."""
        self._begin(settings, clock, ForkingStore() if store is None else store)
        self._branch = 0
        self._views = views or RememberedViews()
        self._readers: dict[bytes, StateReader] = {}
        self._blocks: dict[bytes, Any] = {}
        self._receipts: dict[bytes, tuple[Any, ...]] = {}

    def copy(self, clock: Callable[[], float]) -> Self:
        """An independent chain with the same blocks."""
        return type(self)(self.settings, clock, self.store.copy(), self._views)

    def take_back(self, count: int) -> list[Any]:
        """Remove the newest `count` blocks and return their transactions, oldest first."""
        transactions: list[Any] = []
        for _ in range(count):
            block = self.block_of(self._chain.get_canonical_head())
            transactions = [*block.transactions, *transactions]
            self.store.take_back(block.number - 1)
            self._chain = type(self._chain)(AtomicDB(self.store))
        self._branch += 1
        self._readers.clear()
        return transactions

    def _append(self, transactions: tuple[Any, ...]) -> Any:
        parent = self._chain.get_canonical_head()
        is_still = not transactions and self._reader(parent).has_account(parent.coinbase)
        return self._append_still(parent) if is_still else super()._append(transactions)

    def _append_still(self, parent: Any) -> Any:
        """What the miner of py-evm does where there is nothing to execute: the state stays its parent's.

        Only a first block is not still: it makes the account of the coinbase.
        """
        self.store.begin_block(parent.block_number + 1)
        timestamp_s = max(parent.timestamp, int(self._clock()))
        header = following_header(parent, timestamp=timestamp_s, mix_hash=self._seal(parent.hash))
        self._chain.chaindb.persist_block(PragueBlock(header, transactions=(), uncles=(), withdrawals=()))
        self.store.commit()
        return header

    def _seal(self, parent_hash: bytes) -> bytes:
        """Blocks of two branches differ, also when they hold the same transactions."""
        return super()._seal(parent_hash + self._branch.to_bytes(8, "big"))

    def decode(self, raw: bytes) -> Any:
        """A signed transaction. Raises `RpcRefused`."""
        try:
            transaction: Any = PragueVM.get_transaction_builder().decode(raw)
            transaction.sender  # noqa: B018 - recovers the key, which may fail
        except Exception as error:
            raise RpcRefused(f"cannot decode transaction: {error}") from error
        return transaction

    def block_of(self, header: Any) -> Any:
        """The block with its transactions; the same one every time, so that their senders are recovered once."""
        return _kept(self._blocks, header, super().block_of)

    def receipts_of(self, header: Any) -> tuple[Any, ...]:
        """Receipts of one block, in order."""
        return _kept(self._receipts, header, super().receipts_of)

    def next_base_fee(self) -> int:
        """Base fee in wei of the block that would be mined now."""
        return calculate_expected_base_fee_per_gas(self._chain.get_canonical_head())

    def nonce(self, address: bytes, number: int) -> int:
        """Next nonce of an account after block `number`."""
        return self._reader(self._whole_header(number)).nonce(address)

    def balance(self, address: bytes, number: int) -> int:
        """Balance in wei after block `number`."""
        return self._reader(self._whole_header(number)).balance_wei(address)

    def _reader(self, header: Any) -> StateReader:
        root = bytes(header.state_root)
        if root not in self._readers:
            if len(self._readers) >= _KEPT_READERS:
                self._readers.clear()
            self._readers[root] = StateReader(self._chain.chaindb.db, root)
        return self._readers[root]

    def call(self, request: Mapping[str, Any], number: int) -> bytes:
        """Run a call without keeping anything; raises `CallReverted`."""
        question = tuple(request[name] for name in ("from", "to", "value", "data"))
        answer = self._views.find(question, self._reader(self._whole_header(number)).value)
        if answer is None:
            state = self._free_state(number)
            record = ReadRecord(state)
            answer = bytes(self._run(request, state, BLOCK_GAS_LIMIT).output)
            self._views.keep(question, record, answer)
        return answer

    def estimate_gas(self, request: Mapping[str, Any], number: int) -> int:
        """A quarter above what a run needs, by one run instead of a search. Raises `CallReverted`."""
        computation = self._execute(request, number, BLOCK_GAS_LIMIT)
        used = BLOCK_GAS_LIMIT - int(computation.msg.gas) + int(computation.get_gas_used())
        return max(floor_gas(request["data"]), used * 5 // 4)

    def close(self) -> None:
        """Nothing is held."""


def _kept(found: dict[bytes, _Found], header: Any, read: Callable[[Any], _Found]) -> _Found:
    """What belongs to a header never changes, whatever branch is the best."""
    if header.hash not in found:
        if len(found) >= _KEPT_BLOCKS:
            found.clear()
        found[header.hash] = read(header)
    return found[header.hash]
