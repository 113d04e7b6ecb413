"""Anvil in OP mode on a clock of its own: a process per chain, the embedded chain's accounts funded."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

from settlement.onchain.funded_accounts import FUNDED_ACCOUNTS, account_address, account_key
from settlement.onchain.rpc import RpcChain, RpcSettings
from tests.unit.settlement.onchain.conftest import anvil_binary

__all__ = ["AnvilChain", "anvil_chain"]

_BALANCE_WEI = 10**24
_NEEDS_THE_TIME = frozenset({"eth_sendRawTransaction", "eth_call", "eth_estimateGas"})


class AnvilChain(RpcChain):
    """Blocks have the time `now_s`; a transaction is mined at once."""

    def __init__(self, url: str, now_s: int) -> None:
        """Nothing is asked yet."""
        super().__init__(url, RpcSettings(timeout_s=60, attempts=8))
        self._now_s = self._mined_s = now_s

    @property
    def now_s(self) -> int:
        """Time of the next block, at least."""
        return max(self._now_s, self._mined_s)

    @now_s.setter
    def now_s(self, to_s: int) -> None:
        self._now_s = max(self._now_s, to_s)

    def advance(self, to_s: int) -> None:
        """Mine a block of that time, unless there is one."""
        self.now_s = to_s
        self._catch_up()

    def pass_time(self, seconds: int) -> None:
        """Mine a block that much later."""
        self.advance(self.now_s + seconds)

    def begin(self, seed: int) -> None:
        """Fund the accounts of `seed`; let no time pass between blocks but what `now_s` says."""
        super()._request("anvil_setBlockTimestampInterval", [0])
        for index in range(FUNDED_ACCOUNTS):
            address = "0x" + account_address(account_key(seed, index)).hex()
            super()._request("anvil_setBalance", [address, hex(_BALANCE_WEI)])

    def close(self) -> None:
        """The process belongs to `anvil_chain`."""

    def _catch_up(self) -> None:
        if self._mined_s < self._now_s:
            super()._request("evm_setNextBlockTimestamp", [self._now_s])
            super()._request("evm_mine", [])
            self._mined_s = self._now_s

    def _request(self, method: str, params: list[object]) -> Any:
        if method in _NEEDS_THE_TIME:
            self._catch_up()
        result = super()._request(method, params)
        if method == "eth_sendRawTransaction":
            latest = super()._request("eth_getBlockByNumber", ["latest", False])
            self._mined_s = int(latest["timestamp"], 16)
        return result


@contextlib.contextmanager
def anvil_chain(seed: int, now_s: int) -> Iterator[AnvilChain]:
    """A chain that begins at `now_s`, and its process; skips where anvil is not installed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(anvil_binary()), "-p", str(port), "-q", "-n", "optimism", "--slots-in-an-epoch", "2"]
    process = subprocess.Popen([*command, "--timestamp", str(now_s)])
    try:
        chain = AnvilChain(f"http://127.0.0.1:{port}", now_s)
        chain.chain_id()
        chain.begin(seed)
        yield chain
    finally:
        process.kill()
        process.wait()
