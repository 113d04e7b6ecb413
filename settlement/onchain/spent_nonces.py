"""Judges a flight whose nonce is used up and whose receipt is nowhere: the node is behind, or it was someone else.

Someone else on the posting key is a matter for a person, so the first sight halts the poster. Once a person has
restarted it, and the other transaction is as final as ours would have to be, our own can never be mined any more: its
flight ends and its batch gets another nonce. Were the judgement wrong, the contract's `seq` would still refuse a twin.
"""

from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.errors import ForeignNonce
from settlement.onchain.outbox import Flight, Outbox, Purpose

__all__ = ["SpentNonces"]

_STEPS_BEFORE_HALT: Final = 3


class SpentNonces:
    """One per poster; `address` is that of its key."""

    def __init__(self, chain: Chain, outbox: Outbox, address: bytes) -> None:
        self._chain = chain
        self._outbox = outbox
        self._address = address
        self._missing: dict[int, int] = {}

    def forget(self, nonce: int) -> None:
        """The nonce was ours after all."""
        self._missing.pop(nonce, None)

    def judge(self, flight: Flight, final_number: int, now_ms: int) -> bool:
        """Whether the flight was ended. Raises `ForeignNonce` at the first sight of another program."""
        if self._is_node_behind(flight):
            return False
        seen = self._missing[flight.nonce] = self._missing.get(flight.nonce, 0) + 1
        if seen < _STEPS_BEFORE_HALT:
            return False
        # Where a filler is not needed, the transaction that it was to stand for is back: no news, and nothing waits.
        if flight.purpose != Purpose.FILL and not self._outbox.is_foreign(flight.nonce):
            self._outbox.note_foreign(flight.nonce, now_ms)
            raise ForeignNonce(
                f"nonce {flight.nonce} of 0x{self._address.hex()} was used by another program:"
                " stop that program, then restart the settler"
            )
        if self._chain.nonce(self._address, tag=final_number) <= flight.nonce:
            return False
        self._outbox.retire(flight)
        return True

    def _is_node_behind(self, flight: Flight) -> bool:
        """Whether the node that answers lacks the block that used the nonce, or the receipt of ours alone."""
        if self._chain.nonce(self._address) <= flight.nonce:
            return True
        found = (self._chain.transaction(raw.tx_hash) for raw in self._outbox.raws(flight.nonce))
        return any(one is not None and one.block_number is not None for one in found)
