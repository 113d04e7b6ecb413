"""What the exchange knows of the chain: only what the settler tells it."""

import json
from collections.abc import Callable
from typing import Any, Final

from exchange.gateway.settings import Readiness
from exchange.wire.objects import BatchRow

__all__ = ["ChainHealth", "batch_row"]

_CHAIN_SILENCE_S: Final = 15.0
_GAS_BATCHES: Final = 20
_BATCH_STATUS: Final = {
    "BUILT": "Batching",
    "SIGNED": "Executing",
    "SENT": "Executing",
    "INCLUDED": "Proving",
    "SAFE": "Proving",
    "FINAL": "Proving",
    "FINALIZED": "Settled",
}


class ChainHealth:
    """What the settler last said of the chain; silence counts as trouble."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Nothing was heard yet."""
        self._clock_s = clock_s
        self._heard_s = clock_s()
        self._state = "starting"
        self._detail = ""
        self._gas: dict[int, tuple[int, int]] = {}
        self.head = 0
        self.final = 0
        self.waiting = 0

    def hear(self, body: bytes) -> None:
        """Take the settler's report."""
        report = json.loads(body)
        self._state, self._detail = report["state"], report["detail"]
        self.head, self.final, self.waiting = report["head"], report["final"], report["waiting"]
        self._heard_s = self._clock_s()

    def note_batch(self, numbers: dict[str, Any]) -> None:
        """Remember fills and gas of the newest batches."""
        if numbers["gas_used"] is not None and numbers["fills"]:
            self._gas[numbers["seq"]] = (numbers["gas_used"], numbers["fills"])
            while len(self._gas) > _GAS_BATCHES:
                del self._gas[min(self._gas)]

    @property
    def gas_per_fill(self) -> float:
        """Over the newest batches; 0 before the first."""
        fills = sum(fills for _, fills in self._gas.values())
        return sum(gas for gas, _ in self._gas.values()) / fills if fills else 0.0

    def readiness(self) -> Readiness:
        """Trading goes on without the chain; the reason says that batches wait."""
        trouble = self._trouble()
        return Readiness(ready=True, reason=trouble, chain="down" if trouble else self._state, degraded=bool(trouble))

    def _trouble(self) -> str:
        if self._clock_s() - self._heard_s > _CHAIN_SILENCE_S:
            return "the settler is silent; trading goes on, batches wait"
        if self._state in ("chain_down", "blocked", "halted"):
            what = self._state.removeprefix("chain_")
            return f"chain {what}; trading goes on, {self.waiting} batches wait ({self._detail})"
        return ""


def batch_row(numbers: dict[str, Any]) -> BatchRow:
    """A settler's row in the wire's words (api.md 8: batch_status)."""
    state, window_s = numbers["state"], numbers["finality_window_s"]
    block_time_s = numbers["block_time_s"]
    names = {field for field in BatchRow.__struct_fields__ if field in numbers}
    finalizes_at = None if block_time_s is None else (block_time_s + window_s) * 1_000
    return BatchRow(**{name: numbers[name] for name in names}, status=_BATCH_STATUS[state], finalizes_at=finalizes_at)
