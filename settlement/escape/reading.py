"""Accounts, marks and requests of a contract from its chain alone: RPC and address in, nothing of the operator."""

from collections.abc import Callable
from typing import Final

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import REQUESTED, SettlementReader
from settlement.onchain.errors import RpcUnavailable
from settlement.watch.chain_calls import FREEZE_NOTICED, FROZEN
from settlement.watch.watcher import Watcher

__all__ = ["ChainReading", "first_block_at"]

_DEPOSIT: Final = 1
_WITHDRAW: Final = 2


class ChainReading(Watcher):
    """The watcher, which also remembers what came in and what was asked for. Fraud that it meets it proves."""

    def __init__(
        self, chain: Chain, settlement: bytes, key: bytes, *, confirmations: int = 1, say: Callable[[str], None]
    ) -> None:
        """Find the block of the deployment; nothing else is read yet."""
        reader = SettlementReader(chain, settlement)
        token = bytes.fromhex(reader.view("token()", ["address"])[2:])
        since = first_block_at(chain, int(reader.view("deployedAt()", ["uint40"])))
        super().__init__(chain, settlement, token, since, key, confirmations=confirmations, say=say)
        self.deposits: dict[int, int] = {}
        """Account by request."""
        self.withdrawals: dict[int, int] = {}

    def _take_log(self, log: Log) -> None:
        if log.topics[0] == REQUESTED:
            request, account, kind = (int.from_bytes(topic, "big") for topic in log.topics[1:4])
            if kind == _DEPOSIT:
                self.deposits[request] = account
            elif kind == _WITHDRAW:
                self.withdrawals[request] = account
        elif log.topics[0] not in (FREEZE_NOTICED, FROZEN):
            super()._take_log(log)


def first_block_at(chain: Chain, time_s: int) -> int:
    """Number of the first block whose time is at least `time_s`; the newest one's when all are older."""
    newest = chain.block("latest")
    if newest is None:
        raise RpcUnavailable("the node has no latest block")
    low, high = 0, newest.number
    while low < high:
        middle = (low + high) // 2
        block = chain.block(middle)
        if block is None:
            raise RpcUnavailable(f"the node does not serve block {middle}")
        low, high = (middle + 1, high) if block.timestamp_s < time_s else (low, middle)
    return low
