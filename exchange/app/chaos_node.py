"""A node that misbehaves: JSON-RPC over the embedded EVM with a pool of transactions, branches and faults.

The rules are those of real nodes: a replacement needs 10 % more on both fees, a transaction has at most 128 kB, nonces
may be queued behind a gap. What it charges for data on the layer below is added up by the Fjord formula.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import msgspec
import requests

from exchange.app.chaos_faults import FaultKind, Plan
from settlement.onchain.errors import AlreadyKnown, NonceTooLow, ReplacementUnderpriced, RpcRefused
from settlement.onchain.forking_chain import ForkingChain
from settlement.onchain.l1_fee import L1Prices, l1_fee_wei
from settlement.onchain.local_format import as_quantity, parse_hex
from settlement.onchain.local_rpc import LocalRpc

__all__ = ["MAX_TRANSACTION_BYTES", "ChaosNode", "FaultyProvider"]

MAX_TRANSACTION_BYTES: Final = 128 * 1024
_STALE_BLOCKS: Final = 3
_CALL_BYTES: Final = 36
"""Selector and first argument, the batch: what makes two transactions the same call."""
_SEND: Final = "eth_sendRawTransaction"
_GARBAGE: Final[tuple[object, ...]] = (
    "<html>502 Bad Gateway</html>",
    {},
    [],
    {"jsonrpc": "2.0", "id": 1},
    {"jsonrpc": "2.0", "id": 1, "result": {"unexpected": "shape"}},
    {"jsonrpc": "2.0", "id": 1, "result": "0xnot-hex"},
)


class ChaosNode(LocalRpc):
    """One node over one chain; blocks are mined when `mine` says so, or at once while `automine` is set."""

    def __init__(self, chain: ForkingChain) -> None:
        super().__init__(chain)
        self._forks = chain
        self._floor = chain.head_number
        self.automine = False
        self.hidden_blocks = 0
        self.fee_factor = 1
        self.hides_receipts = False
        self.shows_orphans = False
        self.pool: dict[tuple[bytes, int], tuple[Any, bytes]] = {}
        self.accepted: list[Any] = []
        self.twins: list[str] = []
        """Calls under two nonces of which both could have counted."""
        self.l1_fee_wei = 0
        self._fees: dict[str, int] = {}
        self._orphans: dict[str, object] = {}

    @property
    def tip(self) -> int:
        """Number of the newest block, whatever is hidden."""
        return self._forks.head_number

    # Blocks

    def mine(self) -> None:
        """One block with what can be executed and pays enough; the empty block where nothing can."""
        chosen = []
        next_nonce: dict[bytes, int] = {}
        for key in sorted(self.pool):
            sender, nonce = key
            transaction, _ = self.pool[key]
            expected = next_nonce.get(sender, self._forks.nonce(sender, self.tip))
            if nonce == expected and transaction.max_fee_per_gas >= self._base_fee():
                chosen.append(key)
                next_nonce[sender] = nonce + 1
        self._forks.mine(tuple(self.pool[key][0] for key in chosen))
        for key in chosen:
            transaction, raw = self.pool.pop(key)
            self._charge(transaction, raw)

    def _charge(self, transaction: Any, raw: bytes) -> None:
        fee_wei = l1_fee_wei(raw, L1Prices())
        self._fees["0x" + bytes(transaction.hash).hex()] = fee_wei
        self.l1_fee_wei += fee_wei

    def reorganize(self, depth: int, kept: Callable[[list[Any]], list[Any]]) -> None:
        """Take back the newest blocks and mine as many others; `kept` says which transactions return to the pool."""
        depth = min(depth, self.tip - self._floor)
        for number in range(self.tip + 1 - depth, self.tip + 1):
            block = self._forks.block_of(self._forks.header_by_number(number))
            for transaction in block.transactions:
                tx_hash = "0x" + bytes(transaction.hash).hex()
                self._orphans[tx_hash] = super()._get_transaction_receipt(tx_hash)
        for transaction in kept(self._forks.take_back(depth)):
            self.pool[transaction.sender, transaction.nonce] = transaction, bytes(transaction.encode())
        for _ in range(depth):
            self.mine()

    def drop(self) -> None:
        """Forget every waiting transaction."""
        self.pool.clear()

    def drop_first(self) -> None:
        """Forget the first waiting transaction: those behind it have a gap before them."""
        if self.pool:
            del self.pool[min(self.pool)]

    # Fees

    def _base_fee(self) -> int:
        return self._forks.next_base_fee() * self.fee_factor

    def _fee_history(self, count: object, newest: object, percentiles: list[float] | None = None) -> object:
        history: Any = super()._fee_history(count, newest, percentiles)
        fees = [as_quantity(int(fee, 16) * self.fee_factor) for fee in history["baseFeePerGas"]]
        return {**history, "baseFeePerGas": fees}

    # What a node that is behind does not know

    def _number(self, tag: object = "latest") -> int:
        number = super()._number(tag)
        is_tag = isinstance(tag, str) and not tag.startswith("0x")
        return max(self._floor, number - self.hidden_blocks) if is_tag and tag != "earliest" else number

    def _is_hidden(self, number: int) -> bool:
        return number > self._number()

    def _call(self, request: Mapping[str, object], tag: object = "latest", *rest: object) -> str:
        if self._is_hidden(self._number(tag)):
            raise RpcRefused("header not found")
        return super()._call(request, tag, *rest)

    def _get_block_by_number(self, tag: object, full: bool = False) -> object:
        return None if self._is_hidden(self._number(tag)) else super()._get_block_by_number(tag, full)

    def _get_transaction_by_hash(self, tx_hash: str) -> object:
        found: Any = super()._get_transaction_by_hash(tx_hash)
        return None if found is None or self._is_hidden(int(found["blockNumber"], 16)) else found

    def _get_transaction_receipt(self, tx_hash: str) -> object:
        if self.hides_receipts:
            return None
        if self.shows_orphans and tx_hash in self._orphans:
            return self._orphans[tx_hash]
        found: Any = super()._get_transaction_receipt(tx_hash)
        if found is None or self._is_hidden(int(found["blockNumber"], 16)):
            return None
        return {**found, "l1Fee": as_quantity(self._fees.get(tx_hash, 0))}

    def _range_of(self, query: Mapping[str, Any]) -> tuple[int, int]:
        first, last = super()._range_of(query)
        return first, min(last, self._number())

    # Transactions

    def _send_raw_transaction(self, raw: str) -> str:
        data = parse_hex(raw)
        if len(data) > MAX_TRANSACTION_BYTES:
            raise RpcRefused(f"oversized data: transaction size {len(data)}, limit {MAX_TRANSACTION_BYTES}")
        transaction = self._forks.decode(data)
        self._admit(transaction)
        self.pool[transaction.sender, transaction.nonce] = transaction, data
        self.accepted.append(transaction)
        if self.automine:
            self.mine()
        return "0x" + bytes(transaction.hash).hex()

    def _admit(self, transaction: Any) -> None:
        standing = self.pool.get((transaction.sender, transaction.nonce))
        if standing is not None and standing[0].hash == transaction.hash:
            raise AlreadyKnown("already known")
        next_nonce = self._forks.nonce(transaction.sender, self.tip)
        if transaction.nonce < next_nonce:
            raise NonceTooLow(f"nonce too low: next nonce {next_nonce}, tx nonce {transaction.nonce}")
        most_wei = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if self._forks.balance(transaction.sender, self.tip) < most_wei:
            raise RpcRefused("insufficient funds for gas * price + value")
        if standing is not None and not _replaces(transaction, standing[0]):
            raise ReplacementUnderpriced("replacement transaction underpriced")
        self._look_for_twins(transaction)

    def _look_for_twins(self, new: Any) -> None:
        for other in self.accepted:
            is_same_call = new.data and other.data[:_CALL_BYTES] == new.data[:_CALL_BYTES]
            if is_same_call and other.sender == new.sender and other.nonce != new.nonce and self._may_stand(other):
                self.twins.append(f"one call was sent under nonces {other.nonce} and {new.nonce}")

    def _may_stand(self, transaction: Any) -> bool:
        """Whether it waits to be mined, or was mined and did not fail."""
        if (transaction.sender, transaction.nonce) in self.pool:
            return bool(self.pool[transaction.sender, transaction.nonce][0].data)
        found: Any = super()._get_transaction_receipt("0x" + bytes(transaction.hash).hex())
        return found is not None and found["status"] == "0x1"


def _replaces(new: Any, old: Any) -> bool:
    pairs = (
        (new.max_fee_per_gas, old.max_fee_per_gas),
        (new.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
    )
    return all(10 * after >= 11 * before for after, before in pairs)


class FaultyProvider:
    """Stands in for web3's HTTP provider: requests reach the node as JSON, or do not, or their replies do not."""

    def __init__(self, node: ChaosNode, plan: Plan, rng: Random) -> None:
        self._node = node
        self._plan = plan
        self._rng = rng
        self.tick = -1
        """No fault before the first block and none after the storm."""
        self.around_send: Callable[[bytes | None], None] = lambda _: None
        """Called with the bytes before a send, with None after it."""

    def make_request(self, method: str, params: list[object]) -> object:
        """Reply, or what web3's provider raises."""
        if self._hits(FaultKind.TIMEOUT):
            raise requests.ConnectTimeout("fault: no connection in time")
        if self._hits(FaultKind.BUSY):
            raise requests.HTTPError("429 Client Error: Too Many Requests")
        if self._hits(FaultKind.SERVER_ERROR):
            raise requests.HTTPError(f"{self._rng.choice((500, 502, 503, 504))} Server Error")
        self._node.hidden_blocks = self._rng.randint(1, _STALE_BLOCKS) if self._hits(FaultKind.STALE_HEAD) else 0
        self._node.hides_receipts = self._hits(FaultKind.MISSING_RECEIPT)
        self._node.shows_orphans = self._hits(FaultKind.DUPLICATE_RECEIPT)
        try:
            return self._ask(method, params)
        finally:
            self._node.hidden_blocks = 0

    def _ask(self, method: str, params: list[object]) -> object:
        is_send = method == _SEND
        if is_send:
            self.around_send(parse_hex(params[0]))
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        reply = self._node.answer(body)
        if is_send:
            self.around_send(None)
            if self._hits(FaultKind.REPLY_LOST):
                raise requests.ReadTimeout("fault: the reply was lost")
            if self._hits(FaultKind.DROPPED):
                self._node.drop()
        if self._hits(FaultKind.WRONG_JSON):
            return self._garbage()
        return msgspec.json.decode(reply)

    def _garbage(self) -> object:
        if self._rng.random() < 0.2:
            raise requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0)
        return self._rng.choice(_GARBAGE)

    def _hits(self, kind: FaultKind) -> bool:
        fault = self._plan.active(kind, self.tick)
        return fault is not None and self._rng.randrange(100) < fault.amount
