"""Seeded streams of core commands: every kind, flag, self-trade mode and reduce-only, and a share of invalid ones."""

from collections.abc import Callable
from random import Random

from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_SHIFT,
    CoreCommand,
    CoreEvent,
)

__all__ = ["INSTRUMENTS", "CommandStream"]

INSTRUMENTS = {7: (1, 40), 0x8000_0001: (-70, 70), 1234: (0, 300_000)}
"""Ids with their price bands: one trie level, two, and four."""

FLAG_CHOICES = (0, 0, 0, 0, FLAG_IOC, FLAG_IOC, FLAG_FOK, FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE)


class CommandStream:
    """Draws commands; it learns handles from the events it is shown and asks `is_resting` which are still alive."""

    def __init__(self, seed: int, *, is_resting: Callable[[int], object], invalid_percent: int = 3) -> None:
        self._is_resting = is_resting
        self._random = Random(seed)
        self._handles: list[tuple[int, int]] = []
        self._invalid_percent = invalid_percent

    def observe(self, events: bytes) -> None:
        """Remember handles of accepted orders."""
        for kind, _side, _code, instrument, handle, _price, _quantity in EVENT.iter_unpack(events):
            if kind == CoreEvent.ACCEPTED:
                self._handles.append((instrument, handle))
        if len(self._handles) > 120:
            del self._handles[:60]

    def draw(self) -> bytes:
        """Return the next packed command."""
        draw = self._random.randrange(100)
        if draw < self._invalid_percent:
            return self._draw_invalid()
        if draw < 14 and self._handles:
            return self._draw_cancel()
        if draw < 26 and self._handles:
            return self._draw_amend()
        return self._draw_new()

    def _price(self, instrument: int) -> int:
        low, high = INSTRUMENTS[instrument]
        middle = (low + high) // 2
        spread = self._random.choice((3, 8, 20))
        return min(high, max(low, middle + self._random.randint(-spread, spread)))

    def _draw_new(self) -> bytes:
        random = self._random
        instrument = random.choice(tuple(INSTRUMENTS))
        flags = random.choice(FLAG_CHOICES) | random.randrange(4) << STP_SHIFT
        cell = random.randrange(6)
        if cell and random.randrange(3) == 0:
            flags |= FLAG_REDUCE_ONLY
        quantity = random.choice((1, 2, 5, random.randint(1, 30), random.randint(1, 200)))
        row = (random.randrange(2), flags, instrument, self._price(instrument), quantity, random.randrange(5), cell)
        return COMMAND.pack(CoreCommand.NEW, *row)

    def _draw_handle(self) -> tuple[int, int]:
        """Return a resting order nine times of ten, as far as a few tries find one; else any, often a stale one."""
        chosen = self._random.choice(self._handles)
        for _ in range(self._random.choice((0, 8, 8, 8, 8, 8, 8, 8, 8, 8))):
            if self._is_resting(chosen[1]) is not None:
                break
            self._handles.remove(chosen)
            chosen = self._random.choice(self._handles) if self._handles else chosen
            if not self._handles:
                break
        return chosen

    def _draw_cancel(self) -> bytes:
        instrument, handle = self._draw_handle()
        return COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, instrument, 0, 0, handle)

    def _draw_amend(self) -> bytes:
        instrument, handle = self._draw_handle()
        quantity = self._random.choice((1, 3, self._random.randint(1, 60)))
        return COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, instrument, self._price(instrument), quantity, handle)

    def _draw_invalid(self) -> bytes:
        random = self._random
        fields = [
            random.choice((0, 1, 1, 1, 2, 3, 3, 9)),
            random.choice((0, 1, 1, 2, 255)),
            random.choice((0, 1, 3, 8, 16, 32, 0xFFFF)),
            random.choice((7, 0x8000_0001, 8, 0, 0xFFFF_FFFF)),
            random.choice((0, 20, 41, -(2**63), 2**63 - 1)),
            random.choice((0, 1, -1, 2**47, 2**47 + 1, 2**63 - 1, -(2**63))),
            random.choice((0, 1, 5, 0xFFFF_FFFF)),
            random.choice((0, 1, 2, 0xFFFF_FFFF)),
        ]
        return COMMAND.pack(*fields)
