"""Highs and lows of each index over the last five to six minutes: how far it moves, from journaled prices alone.

The index and not the trades: whoever trades with himself must not change how others are liquidated (D-038).
"""

from typing import Any, Final

from exchange.risk.adaptive import range_ppm

__all__ = ["IndexRanges"]

_SLOTS: Final = 6
_SLOT_NS: Final = 60_000_000_000
_WIDTH: Final = 3


class IndexRanges:
    """Six slots of a minute by underlying: number of the slot, high, low."""

    def __init__(self) -> None:
        self._rings: dict[str, list[int]] = {}

    def note(self, underlying: str, price_e9: int, now_ns: int) -> None:
        """Take a price; the oldest slot makes room for a new one."""
        ring = self._rings.setdefault(underlying, [0] * (_SLOTS * _WIDTH))
        slot = now_ns // _SLOT_NS  # whole minutes
        at = slot % _SLOTS * _WIDTH
        is_new = ring[at] != slot or not ring[at + 1]
        high, low = (price_e9, price_e9) if is_new else ring[at + 1 : at + _WIDTH]
        ring[at : at + _WIDTH] = [slot, max(high, price_e9), min(low, price_e9)]

    def moved_ppm(self, underlying: str, now_ns: int) -> int:
        """Range in parts of its high, rounded up; 0 for an index without a price in the last minutes."""
        ring, oldest = self._rings.get(underlying, []), now_ns // _SLOT_NS - _SLOTS
        used = [ring[at + 1 : at + _WIDTH] for at in range(0, len(ring), _WIDTH) if ring[at + 1] and ring[at] > oldest]
        return range_ppm(high=max(high for high, _ in used), low=min(low for _, low in used)) if used else 0

    def rows(self) -> list[tuple[str, list[int]]]:
        """Rings by ascending name."""
        return sorted(self._rings.items())

    def restore(self, rows: list[Any]) -> None:
        """Inverse of `rows`."""
        self._rings = {name: list(ring) for name, ring in rows}
