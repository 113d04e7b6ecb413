"""A chain in memory for the poster: block tree, mempool by (sender, nonce), receipts, and faults that real nodes have.

It knows `post`, `postOracle` and `finalize` of one settlement contract (collateral 0, no requests, no feeds); every
other call fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from settlement.onchain.chain import BlockRef, Fees, Log, Receipt, TransactionInput
from settlement.onchain.contract import (
    BATCH_POSTED,
    FINALIZE,
    POST,
    BatchHeader,
    decode_post,
    encode_finalize,
    selector,
)
from settlement.onchain.deploy import Deployment
from settlement.onchain.errors import (
    AlreadyKnown,
    BadSeq,
    CallReverted,
    NonceTooLow,
    ReplacementUnderpriced,
    RpcUnavailable,
)
from settlement.onchain.reverts import BATCH_REVERTED
from settlement.protocol.eip712 import domain_separator
from settlement.protocol.keccak import keccak256

__all__ = ["FakeChain", "FakeTransaction"]

_CHAIN_ID = 31337
_BLOCK_SECONDS = 2
_GAS_USED = 100_000
_POST_ORACLE = "postOracle(uint64,bytes,uint40,bytes)"
_KEPT_HASH_BYTES = 27


@dataclass(frozen=True)
class FakeTransaction:
    """A decoded transaction."""

    tx_hash: bytes
    sender: bytes
    nonce: int
    data: bytes
    max_fee: int
    priority_fee: int


@dataclass(frozen=True)
class _World:
    """State after a block; replaced, never changed, so a reorganization just drops blocks."""

    nonces: dict[bytes, int] = field(default_factory=dict)
    head: int = 0
    finalized: int = 0
    root: bytes = bytes(32)
    hashes: tuple[bytes, ...] = (bytes(32),)
    headers: tuple[BatchHeader | None, ...] = (None,)
    rounds: tuple[tuple[bytes, int], ...] = ((bytes(32), 0),)
    last_round: int = 0


@dataclass(frozen=True)
class _Block:
    ref: BlockRef
    transactions: tuple[FakeTransaction, ...]
    receipts: tuple[Receipt, ...]
    world: _World


class FakeChain:
    """Implements `settlement.onchain.chain.Chain`. With `automine` each accepted transaction gets its block at once."""

    def __init__(self, *, window_s: int = 10, automine: bool = True, start_s: int = 1_800_000_000) -> None:
        self.deployment = Deployment(
            chain_id=_CHAIN_ID,
            settlement=b"\x5e" * 20,
            token=b"\x70" * 20,
            operator=b"\x09" * 20,
            subaccount_base=1_000_000_000,
            finality_window_s=window_s,
            domain_separator=domain_separator(_CHAIN_ID),
            deploy_block=0,
            genesis_hash=keccak256(b"genesis"),
        )
        self.automine = automine
        self.lost_replies = 0
        self.down_calls = 0
        self.hidden_receipts = 0
        self.sends = 0
        self.on_send: Callable[[], None] = lambda: None
        self.operator = self.deployment.operator
        self._salt = 0
        self._mempool: dict[tuple[bytes, int], FakeTransaction] = {}
        self._blocks = [_Block(BlockRef(0, self.deployment.genesis_hash, start_s), (), (), _World())]

    # Controls

    @property
    def now_s(self) -> int:
        """Time of the head block."""
        return self._blocks[-1].ref.timestamp_s

    def mine(self, seconds: int = _BLOCK_SECONDS) -> None:
        """One block with every executable transaction of the mempool."""
        parent = self._blocks[-1]
        self._salt += 1
        number = parent.ref.number + 1
        block_hash = keccak256(parent.ref.block_hash + self._salt.to_bytes(8, "big"))
        ref = BlockRef(number, block_hash, parent.ref.timestamp_s + seconds)
        world, done, receipts = parent.world, [], []
        for key in sorted(self._mempool):
            transaction = self._mempool[key]
            if transaction.nonce == world.nonces.get(transaction.sender, 0):
                world, receipt = self._execute(world, transaction, ref)
                done.append(transaction)
                receipts.append(receipt)
        for transaction in done:
            del self._mempool[transaction.sender, transaction.nonce]
        self._blocks.append(_Block(ref, tuple(done), tuple(receipts), world))

    def reorg(self, depth: int, *, keep: bool = False) -> None:
        """Drop the last `depth` blocks; their transactions vanish, or with `keep` return to the mempool."""
        depth = min(depth, len(self._blocks) - 1)
        dropped = self._blocks[len(self._blocks) - depth :]
        del self._blocks[len(self._blocks) - depth :]
        for block in dropped:
            for transaction in block.transactions if keep else ():
                self._mempool[transaction.sender, transaction.nonce] = transaction
        for _ in range(depth):
            self.mine()

    def drop_mempool(self) -> None:
        """Forget every pending transaction."""
        self._mempool.clear()

    def spend_nonce(self, sender: bytes) -> None:
        """Somebody else uses the sender's key once."""
        nonce = self._world.nonces.get(sender, 0)
        self._mempool[sender, nonce] = FakeTransaction(keccak256(b"foreign"), sender, nonce, b"", 10**12, 10**12)
        self.mine()

    def revert_batches(self, first_seq: int, operator: bytes) -> None:
        """A proof voids the batches from `first_seq` on; `operator` may post afterwards."""
        self.operator = operator
        self.mine()
        block = self._blocks[-1]
        topics = (BATCH_REVERTED, first_seq.to_bytes(32, "big"))
        tx_hash = keccak256(b"proof" + block.ref.block_hash)
        log = Log(self.deployment.settlement, topics, bytes(64), block.ref.number, block.ref.block_hash, tx_hash, 0)
        receipt = Receipt(tx_hash, block.ref.number, block.ref.block_hash, True, _GAS_USED, None, (log,))
        headers = block.world.headers[:first_seq]
        before = headers[-1]
        world = replace(
            block.world,
            head=first_seq - 1,
            root=before.new_root if before else bytes(32),
            hashes=block.world.hashes[:first_seq],
            headers=headers,
            last_round=_round(before),
        )
        self._blocks[-1] = _Block(block.ref, block.transactions, (*block.receipts, receipt), world)

    def publish(self, vector: bytes) -> None:
        """The next round is there already, whoever published it."""
        block = self._blocks[-1]
        world = replace(block.world, rounds=(*block.world.rounds, (keccak256(vector), 1)))
        self._blocks[-1] = replace(block, world=world)

    def posted(self) -> list[bytes]:
        """Data hash of every batch on the best chain, in order of seq."""
        return [header.data_hash for header in self._world.headers if header is not None]

    def post_count(self) -> int:
        """Successful posts on the best chain."""
        logs = [log for block in self._blocks for receipt in block.receipts for log in receipt.logs]
        return sum(log.topics[0] == BATCH_POSTED for log in logs)

    @property
    def finalized_seq(self) -> int:
        """Last final seq of the contract."""
        return self._world.finalized

    @property
    def pending(self) -> list[FakeTransaction]:
        """Transactions of the mempool."""
        return list(self._mempool.values())

    @property
    def _world(self) -> _World:
        return self._blocks[-1].world

    def _at(self, tag: str | int) -> _World:
        return self._world if isinstance(tag, str) else self._blocks[min(tag, len(self._blocks) - 1)].world

    def _answer(self) -> None:
        if self.down_calls > 0:
            self.down_calls -= 1
            raise RpcUnavailable("fault: no answer")

    # Contract

    def _execute(self, world: _World, transaction: FakeTransaction, ref: BlockRef) -> tuple[_World, Receipt]:
        nonces = {**world.nonces, transaction.sender: transaction.nonce + 1}
        logs: tuple[Log, ...] = ()
        succeeded = True
        try:
            world, logs = self._apply(world, transaction, ref)
        except CallReverted:
            succeeded = False
        receipt = Receipt(transaction.tx_hash, ref.number, ref.block_hash, succeeded, _GAS_USED, None, logs)
        return replace(world, nonces=nonces), receipt

    def _apply(self, world: _World, transaction: FakeTransaction, ref: BlockRef) -> tuple[_World, tuple[Log, ...]]:
        if transaction.data[:4] == selector(POST):
            return self._post(world, transaction, ref)
        if transaction.data[:4] == selector(FINALIZE):
            return self._finalize(world, transaction.data, ref), ()
        if transaction.data[:4] == selector(_POST_ORACLE):
            return self._publish(world, transaction.data, ref), ()
        return world, ()

    def _post(self, world: _World, transaction: FakeTransaction, ref: BlockRef) -> tuple[_World, tuple[Log, ...]]:
        call = decode_post(transaction.data)
        if call.seq != world.head + 1:
            raise BadSeq("BadSeq()")
        number, from_s = call.h >> 144 & (1 << 48) - 1, call.h >> 104 & (1 << 40) - 1
        if not world.last_round <= number < len(world.rounds) or from_s < world.rounds[number][1]:
            raise CallReverted("BadRound()")
        header = BatchHeader(
            previous_batch_hash=world.hashes[-1],
            previous_root=world.root,
            new_root=call.new_root,
            orders_root=call.orders_root,
            data_hash=keccak256(call.data),
            h=call.h,
            block_time_s=ref.timestamp_s,
            block_number=ref.number,
            collateral_e6=0,
        )
        words = [call.new_root, call.orders_root, header.data_hash, call.h]
        data = encode(["bytes32", "bytes32", "bytes32", "uint256"], words)
        topics = (BATCH_POSTED, call.seq.to_bytes(32, "big"))
        log = Log(self.deployment.settlement, topics, data, ref.number, ref.block_hash, transaction.tx_hash, 0)
        hashes, headers = (*world.hashes, header.digest()), (*world.headers, header)
        posted = replace(world, head=call.seq, root=call.new_root, hashes=hashes, headers=headers, last_round=number)
        return posted, (log,)

    def _finalize(self, world: _World, data: bytes, ref: BlockRef) -> _World:
        seq = int.from_bytes(data[4:36], "big")
        if seq != world.finalized + 1 or seq > world.head:
            raise BadSeq("BadSeq()")
        header = world.headers[seq]
        if header is None or encode_finalize(seq, header) != data:
            raise CallReverted("BadHeader()")
        if ref.timestamp_s < header.block_time_s + self.deployment.finality_window_s:
            raise CallReverted("WindowOpen()")
        return replace(world, finalized=seq)

    def _publish(self, world: _World, data: bytes, ref: BlockRef) -> _World:
        number, vector, time_s, signatures = decode(["uint64", "bytes", "uint40", "bytes"], data[4:])
        if number != len(world.rounds):
            raise CallReverted("BadRound()")
        if not world.rounds[-1][1] <= time_s <= ref.timestamp_s:
            raise CallReverted("BadTime()")
        if signatures:
            raise CallReverted("BadSignature()")
        return replace(world, rounds=(*world.rounds, (keccak256(vector), time_s)))

    # Chain

    def chain_id(self) -> int:
        """Constant id."""
        self._answer()
        return _CHAIN_ID

    def block(self, tag: str | int) -> BlockRef | None:
        """Block by number; every tag is the head."""
        self._answer()
        if isinstance(tag, str):
            return self._blocks[-1].ref
        return self._blocks[tag].ref if 0 <= tag < len(self._blocks) else None

    def nonce(self, address: bytes, *, pending: bool = False, tag: str | int = "latest") -> int:
        """Mined nonces up to block `tag`, plus those of the mempool without a gap when `pending`."""
        self._answer()
        nonce = self._at(tag).nonces.get(address, 0)
        while pending and (address, nonce) in self._mempool:
            nonce += 1
        return nonce

    def fees(self) -> Fees:
        """Constant fees."""
        self._answer()
        return Fees(10**9, 10**6)

    def send_raw(self, raw: bytes) -> bytes:
        """Accept into the mempool under the rules of real nodes, then maybe lose the reply."""
        self._answer()
        self.on_send()
        transaction = _decode(raw)
        key = (transaction.sender, transaction.nonce)
        if transaction.nonce < self._world.nonces.get(transaction.sender, 0):
            raise NonceTooLow("nonce too low")
        _check_replacement(self._mempool.get(key), transaction)
        self._mempool[key] = transaction
        self.sends += 1
        if self.automine:
            self.mine()
        if self.lost_replies > 0:
            self.lost_replies -= 1
            raise RpcUnavailable("fault: reply lost")
        return transaction.tx_hash

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """Receipt on the best chain."""
        self._answer()
        if self.hidden_receipts > 0:
            self.hidden_receipts -= 1
            return None
        for block in reversed(self._blocks):
            for receipt in block.receipts:
                if receipt.tx_hash == tx_hash:
                    return receipt
        return None

    def transaction(self, tx_hash: bytes) -> TransactionInput | None:
        """Mined transaction with its calldata."""
        self._answer()
        for block in self._blocks:
            for found in block.transactions:
                if found.tx_hash == tx_hash:
                    to = self.deployment.settlement
                    return TransactionInput(tx_hash, found.sender, to, found.data, block.ref.number)
        return None

    def call(self, to: bytes, data: bytes, *, sender: bytes = bytes(20), tag: str | int = "latest") -> bytes:
        """head(), finalized(), batchHash(seq), oracle(round) and operator()."""
        self._answer()
        world = self._at(tag)
        if data[:4] == selector("head()"):
            return world.head.to_bytes(32, "big")
        if data[:4] == selector("finalized()"):
            return world.finalized.to_bytes(32, "big")
        if data[:4] == selector("batchHash(uint64)"):
            seq = int.from_bytes(data[4:], "big")
            return world.hashes[seq] if seq < len(world.hashes) else bytes(32)
        if data[:4] == selector("oracle(uint64)"):
            number = int.from_bytes(data[4:], "big")
            kept, time_s = world.rounds[number] if number < len(world.rounds) else world.rounds[0]
            return kept[:_KEPT_HASH_BYTES].ljust(32, b"\0") + time_s.to_bytes(32, "big")
        if data[:4] == selector("operator()"):
            return self.operator.rjust(32, b"\0")
        raise CallReverted(f"no such view {data[:4].hex()} at {to.hex()} for {sender.hex()}")

    def estimate_gas(self, sender: bytes, to: bytes | None, data: bytes) -> int:
        """Constant, or the revert that mining now would give."""
        self._answer()
        ref = replace(self._blocks[-1].ref, timestamp_s=self.now_s + _BLOCK_SECONDS)
        self._apply(self._world, FakeTransaction(bytes(32), sender, 0, data, 0, 0), ref)
        return _GAS_USED if to is not None else 10 * _GAS_USED

    def logs(self, address: bytes, topics: Sequence[bytes | None], first_block: int, last_block: int) -> list[Log]:
        """BatchPosted events of the best chain."""
        self._answer()
        found = [log for block in self._blocks[first_block : last_block + 1] for r in block.receipts for log in r.logs]
        wanted = [log for log in found if log.address == address]
        return [log for log in wanted if all(t is None or t == own for t, own in zip(topics, log.topics, strict=False))]

    def code(self, address: bytes) -> bytes:
        """Something at the contract's address."""
        self._answer()
        return b"\xfe" if address == self.deployment.settlement else b""


def _round(header: BatchHeader | None) -> int:
    return 0 if header is None else header.h >> 144 & (1 << 48) - 1


def _check_replacement(old: FakeTransaction | None, new: FakeTransaction) -> None:
    if old is None:
        return
    if old.tx_hash == new.tx_hash:
        raise AlreadyKnown("already known")
    pairs = ((old.max_fee, new.max_fee), (old.priority_fee, new.priority_fee))
    if any(after * 10 < before * 11 for before, after in pairs):
        raise ReplacementUnderpriced("replacement transaction underpriced")


def _decode(raw: bytes) -> FakeTransaction:
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    sender = bytes.fromhex(Account.recover_transaction(raw)[2:])
    data, fee, priority = bytes(fields["data"]), fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]
    return FakeTransaction(keccak256(raw), sender, fields["nonce"], data, fee, priority)
