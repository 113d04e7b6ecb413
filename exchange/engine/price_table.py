"""Latest prices: of the journaled rounds, in 1e-9 USDC, and of trades, in ticks."""

from collections.abc import MutableMapping

from exchange.domain.commands import MarkRow

__all__ = ["PriceTable"]


class PriceTable:
    """Index, its time, confidence and halt by underlying, forward by (underlying, expiry_s), the rest by instrument."""

    def __init__(self) -> None:
        self.round = 0
        self.timestamp_ns = 0
        self.index_e9: dict[str, int] = {}
        self.index_ns: dict[str, int] = {}
        self.confidence_ppm: dict[str, int] = {}
        self.halted: dict[str, int] = {}
        """Good prices in a row since the halt, by underlying that is halted."""
        self.forward_e9: dict[tuple[str, int], int] = {}
        self.marks: dict[int, MarkRow] = {}
        self.mark_ns: dict[int, int] = {}
        self.last_ticks: MutableMapping[int, int] = {}

    def forward(self, underlying: str, expiry_s: int) -> int:
        """Forward of an expiry; its index until a forward is known (D-006)."""
        found = self.forward_e9.get((underlying, expiry_s))
        return self.index_e9[underlying] if found is None else found

    def mark(self, instrument: int) -> int | None:
        """Mark of an instrument, None before its first round."""
        row = self.marks.get(instrument)
        return None if row is None else row.mark_e9
