"""Highs and lows of a perpetual's trades in the last seconds and minutes, in a fixed number of integers."""

from typing import Any, Final

__all__ = ["RING_INTEGERS", "PriceRings"]

_SLOTS: Final = 6
_SLOT_NS: Final = (2_000_000_000, 60_000_000_000)
_WIDTH: Final = 3
RING_INTEGERS: Final = len(_SLOT_NS) * _SLOTS * _WIDTH
"""Of one instrument: slot number, high and low of each slot of each window."""


class PriceRings:
    """Rings by instrument that traded."""

    def __init__(self) -> None:
        self._rings: dict[int, list[int]] = {}

    def load(self, instrument: int) -> list[int]:
        """Integers of an instrument's rings, zeros before its first trade."""
        return self._rings.get(instrument, [0] * RING_INTEGERS)

    def store(self, instrument: int, ring: list[int]) -> None:
        """Inverse of `load`."""
        self._rings[instrument] = ring

    def note(self, instrument: int, price_ticks: int, now_ns: int) -> None:
        """Take a trade; the oldest slot makes room for a new one."""
        ring = self.load(instrument)
        for window, slot_ns in enumerate(_SLOT_NS):
            slot = now_ns // slot_ns
            at = (window * _SLOTS + slot % _SLOTS) * _WIDTH
            is_new = ring[at] != slot or not ring[at + 1]
            high, low = (price_ticks, price_ticks) if is_new else ring[at + 1 : at + _WIDTH]
            ring[at : at + _WIDTH] = [slot, max(high, price_ticks), min(low, price_ticks)]
        self.store(instrument, ring)

    def clear(self, instrument: int) -> None:
        """Forget what was before an uncross: it was meant to move the price."""
        self.store(instrument, [0] * RING_INTEGERS)

    def extremes(self, instrument: int, now_ns: int) -> list[list[int]]:
        """Highs and lows that still count, for each window."""
        ring = self.load(instrument)
        windows = []
        for window, slot_ns in enumerate(_SLOT_NS):
            oldest = now_ns // slot_ns - _SLOTS
            places = range(window * _SLOTS * _WIDTH, (window + 1) * _SLOTS * _WIDTH, _WIDTH)
            used = (ring[at + 1 : at + _WIDTH] for at in places if ring[at + 1] and ring[at] > oldest)
            windows.append([price for prices in used for price in prices])
        return windows

    def rows(self, instruments: Any) -> list[tuple[int, list[int]]]:
        """Rings of those `instruments` that traded, by ascending id."""
        rows = ((number, self.load(number)) for number in sorted(instruments))
        return [(number, ring) for number, ring in rows if any(ring)]

    def restore(self, rows: list[Any]) -> None:
        """Inverse of `rows`."""
        for number, ring in rows:
            self.store(number, ring)
