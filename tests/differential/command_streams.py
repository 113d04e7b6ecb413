"""Seeded streams of core commands: every kind, flag and mode, at a chosen rate, with a share of invalid ones.

Made to be fast: a bank of packed commands is drawn once per seed, and a batch is picked from it; only cancels, amends
and quotes are packed one by one, around handles that `observe` cuts out of the events of earlier batches: those of
orders that came to rest at once, by instrument, and of quotes, by instrument and side. `settings` gives the calls
(cells, guards, weights) that keep cells moving and guards thawing.
"""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT_BYTES,
    EXTENSION,
    FLAG_EXTENDED,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    QUOTE_LINE,
    STP_SHIFT,
    CoreCommand,
    CoreEvent,
)

__all__ = ["CELLS", "GUARDS", "INSTRUMENTS", "KINDS", "CommandStream", "open_book"]

INSTRUMENTS = {7: (1, 40), 0x8000_0001: (-70, 70), 1234: (0, 300_000)}
"""Ids with their price bands: one trie level, two, and four."""
CELLS = {1: 40, 2: -40, 3: 500, 4: -500, 5: 0}
GUARDS = {1: {"quantity_lots": 60}, 2: {"delta_e9": 90, "count": 12}, 3: {"vega_e9": 150}, 9: {"count": 5}}
WEIGHTS = {7: (1, -2), 0x8000_0001: (-3, 1), 1234: (2, 2)}
INTERVAL_NS = 1_000

KINDS = {
    "gtc": 260, "ioc": 100, "fok": 60, "post_only": 60, "slide": 60, "reduce_only": 70, "iceberg": 80, "guarded": 60,
    "guarded_iceberg": 30, "cancel": 50, "amend": 70, "mass_quote": 60, "cancel_guard": 7, "cancel_owner": 7,
    "cancel_instrument": 6, "auction": 7, "continuous": 6, "uncross": 14, "invalid": 20,
}  # fmt: skip
"""Weights of the drawn kinds; each is at least 0.5 % of all."""

BANK = 4096
_AT_REST = bytes((CoreEvent.ACCEPTED, CoreEvent.DEPTH))
FLAG_CHOICES = {
    "gtc": 0,
    "ioc": FLAG_IOC,
    "fok": FLAG_FOK,
    "post_only": FLAG_POST_ONLY,
    "slide": FLAG_POST_ONLY | FLAG_SLIDE,
    "reduce_only": FLAG_REDUCE_ONLY,
}


class CommandStream:
    """Draws batches of whole commands; `counts` says how many of each kind there were."""

    def __init__(self, seed: int, *, weights: dict[str, int] | None = None, bank: int = BANK) -> None:
        self._random = Random(seed)
        self._weights = weights or KINDS
        self.counts: Counter[str] = Counter()
        self._resting: dict[bytes, deque[bytes]] = {}
        self._quoted: dict[bytes, deque[bytes]] = {}
        self._kinds = list(self._weights)
        self._bounds = list(accumulate(self._weights.values()))
        self._banks = {kind: self._draw_bank(kind, bank) for kind in self._kinds}
        self._now_ns = 0

    def batch(self, count: int) -> list[bytes]:
        """Return the next `count` packed commands, each with the records that belong to it."""
        random = self._random
        kinds = random.choices(self._kinds, cum_weights=self._bounds, k=count)
        self.counts.update(kinds)
        commands = []
        for kind in kinds:
            bank = self._banks[kind]
            command = bank[int(random.random() * len(bank))]
            if kind in ("cancel", "amend"):
                command += self._pick(self._resting.get(command[4:8]))
            elif kind == "mass_quote":
                command = self._with_handles(command)
            commands.append(command)
        return commands

    def now_ns(self) -> int:
        """Return a time that never goes back."""
        self._now_ns += self._random.choice((0, 1, 100, 700))
        return self._now_ns

    def observe(self, events: bytes) -> None:
        """Remember handles: of orders accepted and at once at rest, and of what was accepted close behind APPLIED."""
        kinds = events[::EVENT_BYTES]
        at = kinds.find(_AT_REST)
        while at >= 0:
            start = at * EVENT_BYTES
            instrument = events[start + 4 : start + 8]
            handle = events[start + 8 : start + 16]
            _remember(self._resting, instrument, handle)
            if kinds.find(CoreEvent.APPLIED, max(0, at - 8), at) >= 0:
                _remember(self._quoted, instrument + events[start + 1 : start + 2], handle)
            at = kinds.find(_AT_REST, at + 1)

    def settings(self) -> Iterator[tuple[str, tuple[int, ...], dict[str, int]]]:
        """Calls (method, positional, keyword) to make on every book now and then: cells back, guards thawed."""
        for cell, position in CELLS.items():
            yield "set_cell", (cell, position), {}
        for guard, limits in GUARDS.items():
            if self._random.randrange(3):
                yield "reset_guard", (guard,), {}
            else:
                yield "set_guard", (guard,), {"interval_ns": INTERVAL_NS, **limits}
        instrument = self._random.choice(list(INSTRUMENTS))
        delta_e9, vega_e9 = self._random.randint(-3, 3), self._random.choice((0, 2, -(2**62), 2**62))
        yield "set_weights", (instrument,), {"delta_e9": delta_e9, "vega_e9": vega_e9}

    def _pick(self, ring: deque[bytes] | None) -> bytes:
        """Return a handle of a ring, mostly a young one."""
        return ring[int(self._random.random() ** 2 * len(ring))] if ring else bytes(8)

    def _with_handles(self, command: bytes) -> bytes:
        """Fill the handles of a mass quote's lines, three times of four; the bank's are 0."""
        packed = bytearray(command)
        for at in range(COMMAND.size, len(packed), QUOTE_LINE.size):
            for side, field in enumerate((40, 48)):
                if self._random.random() < 0.75:
                    ring = self._quoted.get(command[at : at + 4] + bytes((side,)))
                    packed[at + field : at + field + 8] = self._pick(ring)
        return bytes(packed)

    def _draw_bank(self, kind: str, size: int) -> list[bytes]:
        draw = {
            "cancel": lambda: COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, self._instrument(), 0, 0, 0)[:24],
            "amend": self._draw_amend,
            "mass_quote": self._draw_mass_quote,
            "cancel_guard": lambda: self._draw_plain(
                CoreCommand.CANCEL_GUARD, cell=self._random.choice((1, 2, 3, 9, 4))
            ),
            "cancel_owner": lambda: self._draw_plain(CoreCommand.CANCEL_OWNER, owner=self._random.randrange(4)),
            "cancel_instrument": lambda: self._draw_plain(CoreCommand.CANCEL_INSTRUMENT),
            "auction": lambda: self._draw_plain(CoreCommand.SET_PHASE, side=1),
            "continuous": lambda: self._draw_plain(CoreCommand.SET_PHASE, side=0),
            "uncross": self._draw_uncross,
            "invalid": self._draw_invalid,
        }.get(kind, lambda: self._draw_new(kind))
        return [draw() for _ in range(size)]

    def _instrument(self) -> int:
        return self._random.choice((7, 0x8000_0001, 0x8000_0001, 1234, 1234))

    def _price(self, instrument: int) -> int:
        low, high = INSTRUMENTS[instrument]
        middle = (low + high) // 2
        spread = self._random.choice((3, 8, 20))
        return min(high, max(low, middle + self._random.randint(-spread, spread)))

    def _quantity(self) -> int:
        return self._random.choice((1, 2, 5, self._random.randint(1, 30), self._random.randint(1, 200)))

    def _draw_new(self, kind: str) -> bytes:
        random = self._random
        instrument, quantity = self._instrument(), self._quantity()
        flags = FLAG_CHOICES.get(kind, 0) | random.randrange(4) << STP_SHIFT
        cell = random.randrange(1 if kind == "reduce_only" else 0, 6)
        if cell and random.randrange(5) == 0:
            flags |= FLAG_REDUCE_ONLY
        extension = b""
        if kind in ("iceberg", "guarded", "guarded_iceberg"):
            flags |= FLAG_EXTENDED | random.choice((0, 0, FLAG_POST_ONLY))
            slice_lots = random.choice((1, 3, max(1, quantity // 4), quantity + 1)) if "iceberg" in kind else 0
            guard = random.choice((1, 1, 2, 2, 3, 9, 4)) if "guarded" in kind else 0
            extension = EXTENSION.pack(slice_lots, guard, 0, 0, 0)
        row = (random.randrange(2), flags, instrument, self._price(instrument), quantity, random.randrange(5), cell)
        return COMMAND.pack(CoreCommand.NEW, *row) + extension

    def _draw_amend(self) -> bytes:
        instrument = self._instrument()
        quantity = self._random.choice((1, 3, self._random.randint(1, 60)))
        return COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, instrument, self._price(instrument), quantity, 0)[:24]

    def _draw_mass_quote(self) -> bytes:
        """Owners keep their guards, so that quotes find predecessors; a few headers and lines are wrong."""
        random = self._random
        owner, guard = random.choice(((1, 1),) * 5 + ((2, 2), (3, 0), (1, 9), (0, 4)))
        flags = random.choice((FLAG_POST_ONLY, FLAG_POST_ONLY | FLAG_SLIDE, 0)) | random.randrange(4) << STP_SHIFT
        if random.randrange(40) == 0:
            flags |= random.choice((FLAG_IOC, FLAG_EXTENDED, FLAG_SLIDE))
        lines = [self._draw_line() for _ in range(random.choice((0, 1, 1, 2, 2, 3, 5)))]
        header = (CoreCommand.MASS_QUOTE, 0, flags, 0, 0, len(lines), owner, guard)
        return COMMAND.pack(*header) + b"".join(lines)

    def _draw_line(self) -> bytes:
        random = self._random
        instrument = random.choice((*INSTRUMENTS, *INSTRUMENTS, *INSTRUMENTS, 8))
        middle = sum(INSTRUMENTS.get(instrument, (0, 0))) // 2 + random.randint(-2, 2)
        bid, ask = middle - random.randint(0, 4), middle + random.choice((0, 1, 2, 4, -1))
        lots = [random.choice((0, 1, 3, self._quantity(), self._quantity())) for _ in range(2)]
        lots[1] = -1 if random.randrange(40) == 0 else lots[1]
        reserved = int(random.randrange(50) == 0)
        return QUOTE_LINE.pack(instrument, random.randrange(3), bid, lots[0], ask, lots[1], 0, 0, reserved)

    def _draw_plain(self, kind: int, *, side: int = 0, owner: int = 0, cell: int = 0) -> bytes:
        return COMMAND.pack(kind, side, 0, self._instrument(), 0, 0, owner, cell)

    def _draw_uncross(self) -> bytes:
        instrument = self._instrument()
        return COMMAND.pack(CoreCommand.UNCROSS, 0, 0, instrument, self._price(instrument), 0, 0, 0)

    def _draw_invalid(self) -> bytes:
        random = self._random
        fields: list[Any] = [
            random.choice((0, 1, 1, 1, 2, 3, 3, 5, 6, 7, 8, 9, 10, 255)),
            random.choice((0, 1, 1, 2, 255)),
            random.choice((0, 1, 3, 8, 16, 64, 0x400, 0xFFDF)),
            random.choice((7, 0x8000_0001, 8, 0, 0xFFFF_FFFF)),
            random.choice((0, 20, 41, -(2**63), 2**63 - 1)),
            random.choice((0, 1, -1, 2**47, 2**47 + 1, 2**63 - 1, -(2**63))),
            random.choice((0, 1, 5, 0xFFFF_FFFF)),
            random.choice((0, 1, 2, 0xFFFF_FFFF)),
        ]
        if random.randrange(3) == 0:
            fields[:3] = [CoreCommand.NEW, random.randrange(2), FLAG_EXTENDED | random.choice((0, 1, 2, 3, 64))]
            extension = (
                random.choice((0, 1, -1, 2**47, 2**47 + 1, -(2**63))),
                random.choice((0, 1, 4, 0xFFFF_FFFF)),
                int(random.randrange(4) == 0),
                int(random.randrange(4) == 0),
                int(random.randrange(4) == 0),
            )
            return COMMAND.pack(*fields) + EXTENSION.pack(*extension)
        return COMMAND.pack(*fields)


def _remember(rings: dict[bytes, deque[bytes]], key: bytes, handle: bytes) -> None:
    rings.setdefault(key, deque(maxlen=24)).appendleft(handle)


def open_book(book_class: Any, **options: int) -> Any:
    """Make a book with the stream's instruments, cells, guards and weights."""
    book = book_class(**options)
    for instrument, (low, high) in INSTRUMENTS.items():
        book.list_instrument(instrument, price_min_ticks=low, price_max_ticks=high)
        book.set_weights(instrument, delta_e9=WEIGHTS[instrument][0], vega_e9=WEIGHTS[instrument][1])
    for cell, position in CELLS.items():
        book.set_cell(cell, position)
    for guard, limits in GUARDS.items():
        book.set_guard(guard, interval_ns=INTERVAL_NS, **limits)
    return book
