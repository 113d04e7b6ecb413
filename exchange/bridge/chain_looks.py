"""What the settler asks the chain now and then beside its work: the fee of a unit of gas, and whether all is frozen."""

from collections.abc import Callable
from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import ChainError

__all__ = ["FEE_LOOK_S", "ChainLooks"]

FEE_LOOK_S: Final = 1.0
"""Pause between two fees. A forecast counts looks, so it must not be shorter than the settler's steps."""
_FREEZE_LOOK_S: Final = 5.0
_FROZEN: Final = 2


class ChainLooks:
    """Remembers when it last asked; a chain that does not answer is asked again at the next look."""

    def __init__(self, chain: Chain, settlement: bytes, clock_s: Callable[[], float]) -> None:
        """Nothing is asked yet."""
        self._chain = chain
        self._reader = SettlementReader(chain, settlement)
        self._clock_s = clock_s
        self._fee_s = self._freeze_s = float("-inf")
        self.is_frozen = False
        """Whether the contract takes no batch any more; never false again once true."""

    def fee_wei(self) -> int | None:
        """Return what a unit of gas costs in the next block, wei; None between two looks, or without an answer."""
        now_s = self._clock_s()
        if now_s - self._fee_s < FEE_LOOK_S:
            return None
        self._fee_s = now_s
        try:
            fees = self._chain.fees()
        except ChainError:
            return None
        return fees.base_fee_wei + fees.priority_fee_wei

    def look_at_freeze(self) -> None:
        """Ask the contract whether it is frozen, when it is time."""
        now_s = self._clock_s()
        if self.is_frozen or now_s - self._freeze_s < _FREEZE_LOOK_S:
            return
        self._freeze_s = now_s
        try:
            self.is_frozen = self._reader.view("halted()", ["uint8"]) == _FROZEN
        except ChainError:
            return
