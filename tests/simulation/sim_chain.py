"""The settlement contract on the fake chain, with what `FakeChain` leaves out: requests, zero-sum, collateral."""

from dataclasses import replace
from typing import Any

from eth_abi.abi import encode

from settlement.onchain.chain import BlockRef, Log
from settlement.onchain.contract import BATCH_POSTED, REQUESTED, SESSION_KEY_SET, BatchHeader, decode_post
from settlement.onchain.errors import BadSeq, CallReverted
from settlement.protocol.encoding import BadBatch, Header, decode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import Unbalanced
from settlement.protocol.transition import RequestKind
from tests.simulation.fake_chain import FakeChain, FakeTransaction

__all__ = ["SimChain"]


class SimChain(FakeChain):
    """Posts must consume the queue in order, balance to the unit and carry the right withdrawals."""

    def __init__(self, *, start_s: int) -> None:
        super().__init__(window_s=1, automine=False, start_s=start_s)
        self.queue: list[tuple[RequestKind, int]] = []
        self._queue_logs: list[Log] = []
        genesis = self._blocks[0]
        self._blocks[0] = replace(genesis, world=replace(genesis.world, root=LedgerState().root))

    def request(
        self, kind: RequestKind, account: int, owner: bytes, *, amount_e6: int = 0, key: bytes = b"",
        valid_to_s: int = 0, scopes: int = 0,
    ) -> None:  # fmt: skip
        """Somebody calls the contract; the request stands in the next block."""
        self.queue.append((kind, amount_e6))
        number = self._blocks[-1].ref.number + 1
        index = len(self.queue)
        topics: tuple[bytes, ...] = (REQUESTED, _word(index), _word(account), _word(int(kind)))
        data = encode(["uint64", "address"], [amount_e6, owner])
        self._log(topics, data, number)
        if kind is RequestKind.SET_KEY:
            topics = (SESSION_KEY_SET, _word(index), bytes(12) + owner, bytes(12) + key)
            row = [0, valid_to_s, scopes, [], False]
            self._log(topics, encode(["uint40", "uint40", "uint32", "uint32[]", "bool"], row), number)

    def logs(self, address: bytes, topics: Any, first_block: int, last_block: int) -> list[Log]:
        """Posted batches, and the queue when no topic is asked for."""
        found = super().logs(address, topics, first_block, last_block)
        if topics:
            return found
        return [log for log in self._queue_logs if first_block <= log.block_number <= last_block]

    def _log(self, topics: tuple[bytes, ...], data: bytes, number: int) -> None:
        self._queue_logs.append(Log(self.deployment.settlement, topics, data, number, bytes(32), bytes(32), 0))

    def _post(self, world: Any, transaction: FakeTransaction, ref: BlockRef) -> tuple[Any, tuple[Log, ...]]:
        call = decode_post(transaction.data)
        if call.seq != world.head + 1:
            raise BadSeq("BadSeq()")
        last = world.headers[-1]
        collateral_e6 = (0 if last is None else last.collateral_e6) + self._moved_e6(last, call.h, call.data)
        header = BatchHeader(
            previous_batch_hash=world.hashes[-1],
            previous_root=world.root,
            new_root=call.new_root,
            orders_root=call.orders_root,
            data_hash=keccak256(call.data),
            h=call.h,
            block_time_s=ref.timestamp_s,
            block_number=ref.number,
            collateral_e6=collateral_e6,
        )
        data = encode(["bytes32", "bytes32", "bytes32", "uint256"],
                      [call.new_root, call.orders_root, header.data_hash, call.h])  # fmt: skip
        log = Log(self.deployment.settlement, (BATCH_POSTED, _word(call.seq)), data, ref.number, ref.block_hash,
                  transaction.tx_hash, 0)  # fmt: skip
        changed = {"head": call.seq, "root": call.new_root, "hashes": (*world.hashes, header.digest())}
        return replace(world, **changed, headers=(*world.headers, header)), (log,)

    def _moved_e6(self, last: BatchHeader | None, h: int, data: bytes) -> int:
        """Deposits less approved withdrawals of the consumed requests; reverts unless the batch balances."""
        header = Header.unpack(h)
        done = 0 if last is None else Header.unpack(last.h).request_up_to
        if not done <= header.request_up_to <= len(self.queue):
            raise CallReverted("BadRequests()")
        consumed = self.queue[done : header.request_up_to]
        withdrawals = [amount_e6 for kind, amount_e6 in consumed if kind is RequestKind.WITHDRAW]
        try:
            batch = decode_batch(data, len(withdrawals))
            batch.deltas.check(header.fee_e6)
        except (BadBatch, Unbalanced) as error:
            raise CallReverted(f"Unbalanced(): {error}") from error
        if any(approved > asked for approved, asked in zip(batch.approved_e6, withdrawals, strict=True)):
            raise CallReverted("TooMuch()")
        deposited_e6 = sum(amount_e6 for kind, amount_e6 in consumed if kind is RequestKind.DEPOSIT)
        return deposited_e6 - sum(batch.approved_e6)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
