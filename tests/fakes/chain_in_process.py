"""The embedded chain without its server: same code, same JSON-RPC, in this process and on a clock of its own."""

from pathlib import Path
from typing import Any

from settlement.onchain.local_chain import LocalChain, LocalSettings
from settlement.onchain.local_rpc import LocalRpc
from settlement.onchain.rpc import RpcChain, RpcSettings, classify_refusal

__all__ = ["ChainInProcess"]


class ChainInProcess(RpcChain):
    """A chain whose blocks have the time `now_s`; every accepted transaction is mined at once."""

    def __init__(self, folder: Path, *, seed: int, now_s: int) -> None:
        """Start at genesis in `folder`."""
        super().__init__("in-process", RpcSettings(attempts=1), lambda _: None)
        self.now_s = now_s
        self._local = LocalChain(folder, LocalSettings(seed=seed), lambda: self.now_s)
        self._rpc = LocalRpc(self._local)

    def pass_time(self, seconds: int) -> None:
        """Mine a block that much later."""
        self.now_s += seconds
        self._local.mine()

    def close(self) -> None:
        """Release the files."""
        self._local.close()

    def _request(self, method: str, params: list[object]) -> Any:
        reply = self._rpc._answer_one({"id": 1, "method": method, "params": params})
        if "error" in reply:
            raise classify_refusal(method, reply["error"])
        return reply["result"]
