"""How deep a block lies: by confirmations, or by what the node calls safe and finalized."""

from dataclasses import dataclass

from settlement.onchain.chain import BlockRef, Chain
from settlement.onchain.outbox import BatchState

__all__ = ["Finality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """A block counts as its own first confirmation. `use_tags` trusts the node's tags instead."""

    chain: Chain
    safe_confirmations: int
    final_confirmations: int
    use_tags: bool

    def depth(self, block_number: int, head: BlockRef) -> BatchState:
        """INCLUDED, SAFE or FINAL."""
        if block_number <= self.final_number(head):
            return BatchState.FINAL
        if block_number <= self._safe_number(head):
            return BatchState.SAFE
        return BatchState.INCLUDED

    def final_number(self, head: BlockRef) -> int:
        """Highest final block."""
        return self._number(head, "finalized", self.final_confirmations)

    def _safe_number(self, head: BlockRef) -> int:
        return self._number(head, "safe", self.safe_confirmations)

    def _number(self, head: BlockRef, tag: str, confirmations: int) -> int:
        if not self.use_tags:
            return max(0, head.number + 1 - confirmations)
        found = self.chain.block(tag)
        return 0 if found is None else found.number
