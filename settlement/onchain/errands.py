"""Calls that others ask the poster to send: the operator's key has one nonce stream, and the poster owns it."""

from dataclasses import dataclass
from typing import Protocol

from settlement.onchain.chain import BlockRef
from settlement.onchain.outbox import Purpose

__all__ = ["Errand", "Errands", "NoErrands"]


@dataclass(frozen=True, slots=True)
class Errand:
    """One call about batch `seq`, of the contract unless `to` is given; `subject` is what its asker knows it by."""

    purpose: Purpose
    seq: int
    calldata: bytes
    subject: bytes
    to: bytes = b""


class Errands(Protocol):
    """Who may need calls to be sent. Every method reads the chain anew: nothing here must survive a restart."""

    def next(self, head: BlockRef) -> Errand | None:
        """Return the most urgent call that is needed at `head`, None for none."""

    def refused(self, errand: Errand, reason: str) -> None:
        """Hear that the contract would refuse an errand."""

    def holds(self, seq: int) -> bool:
        """Tell whether batch `seq` cannot become final yet."""


class NoErrands:
    """Nobody asks."""

    def next(self, head: BlockRef) -> Errand | None:  # noqa: ARG002 - the protocol's parameter
        """Nothing, whatever the head."""
        return None

    def refused(self, errand: Errand, reason: str) -> None:
        """Nothing was asked, so nothing can be refused."""
        raise AssertionError(f"{errand.purpose.name} of nobody was refused: {reason}")

    def holds(self, seq: int) -> bool:  # noqa: ARG002 - the protocol's parameter
        """Never."""
        return False
