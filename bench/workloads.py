"""Order flow W1 of the matching goals: seeded, integer only, with a published hash of the report.

    python -m bench.workloads W1 --out FILE      (or --hash to match it and print the report's SHA-256)

The generator plays every record through a real book, because what it draws depends on which orders still rest. Records
are 40 bytes after a 16-byte header; order ids are dense from 1, so a list maps them to handles.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Final

from matching_core import OrderBook
from matching_core.fills import COMMAND, COMMAND_HANDLE, EVENT, FLAG_IOC, CoreCommand, CoreEvent

__all__ = ["REPORT_SHA256", "Record", "SplitMix", "W1Generator", "main", "report_lines", "report_sha256"]

MAGIC: Final = 0x4D4542575F303031
HEADER: Final = Struct("<QII")
RECORD: Final = Struct("<BBBBIQQqq")
NEW, CANCEL, MODIFY = 0, 1, 2
MASK: Final = 2**64 - 1
REPORT_SHA256: Final = {"W1": "6a73fbd4b7d561809477eff336e7d6959091ea636947f2b42fe5907763989e85"}
PRELOAD, STEPS = 10_000, 2_000_000


class SplitMix:
    """splitmix64; `below(n)` is the high half of the 128-bit product."""

    def __init__(self, seed: int = 42) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """Return the next number in 0..bound-1."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & MASK
        return ((state ^ state >> 31) * bound) >> 64


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the file; `handle` and `events` are what the book knew and answered when it was drawn."""

    kind: int
    side: int
    is_ioc: bool
    quantity: int
    sequence: int
    order_id: int
    price: int
    command: bytes
    events: bytes

    def packed(self, instrument: int = 0) -> bytes:
        """Return the 40 bytes of the record file."""
        row = (self.quantity, self.sequence, self.order_id, self.price, instrument)
        return RECORD.pack(self.kind, self.side, self.is_ioc, 0, *row)


class W1Generator:
    """One instrument around a slowly walking middle: 90 % place or cancel, 5 % modify, 5 % IOC."""

    width, depth_target = 100, 12_000

    def __init__(self, steps: int = STEPS, preload: int = PRELOAD) -> None:
        self._random = SplitMix()
        self._steps, self._preload = steps, preload
        self._middle = 100_000
        self._count = 0
        self._sequence = 0
        self._next_id = 1
        self._live: list[int] = []
        self._place_of: dict[int, int] = {}
        self._handles: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self.book = OrderBook()
        self.book.list_instrument(0, price_min_ticks=1, price_max_ticks=200_000)

    def records(self) -> Iterator[Record]:
        """Draw every record of the file in order."""
        for _ in range(self._preload):
            yield self._new(ioc=False)
        for _ in range(self._steps):
            yield self._step()

    @property
    def live_count(self) -> int:
        """Orders resting now."""
        return len(self._live)

    def order_id(self, handle: int) -> int:
        """Return the dense id of an order that rests or was touched by the last record."""
        return self._ids[handle]

    def _step(self) -> Record:
        self._count += 1
        below = self._random.below
        if self._count % 1000 == 0:
            self._middle += below(3) - 1
        draw = below(100)
        if draw < 90:
            if not self._live or below(2 * self.depth_target) >= len(self._live):
                return self._new(ioc=False)
            return self._cancel(self._live[below(len(self._live))])
        if draw < 95:
            return self._modify(self._live[below(len(self._live))]) if self._live else self._new(ioc=False)
        return self._new(ioc=True)

    def _price(self, side: int) -> int:
        first, second = self._random.below(self.width), self._random.below(self.width)
        distance = 1 + min(first, second)
        return self._middle + distance if side else self._middle - distance

    def _new(self, *, ioc: bool) -> Record:
        side = self._random.below(2)
        if ioc:
            quantity = 1 + self._random.below(300)
            price = self._middle - 6 if side else self._middle + 6
        else:
            price = self._price(side)
            quantity = 1 + self._random.below(100)
        order_id = self._next_id
        self._next_id += 1
        command = COMMAND.pack(CoreCommand.NEW, side, FLAG_IOC if ioc else 0, 0, price, quantity, 0, 0)
        return self._play(NEW, side, ioc, quantity, order_id, price, command)

    def _cancel(self, order_id: int) -> Record:
        command = COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, self._handles[order_id])
        side, price, _ = self._resting(order_id)
        return self._play(CANCEL, side, False, 0, order_id, price, command)

    def _modify(self, order_id: int) -> Record:
        handle = self._handles[order_id]
        side, _, remaining = self._resting(order_id)
        price = self._price(side)
        command = COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, 0, price, remaining + 1, handle)
        return self._play(MODIFY, side, False, remaining + 1, order_id, price, command)

    def _resting(self, order_id: int) -> tuple[int, int, int]:
        """Return (side, price, remaining) of an order in `live`."""
        order = self.book.order(self._handles[order_id])
        if order is None:
            raise LookupError(f"order {order_id} does not rest")
        return order[1:4]

    def _play(
        self, kind: int, side: int, ioc: bool, quantity: int, order_id: int, price: int, command: bytes
    ) -> Record:
        events = self.book.submit(command)
        self._follow(order_id, events)
        sequence = self._sequence
        self._sequence += 1
        return Record(kind, side, ioc, quantity, sequence, order_id, price, command, events)

    def _follow(self, order_id: int, events: bytes) -> None:
        """Keep `live` as the specification words it: append when it rests, swap with the last when it goes."""
        touched = [order_id]
        for kind, _side, _code, _instrument, handle, _price, _quantity in EVENT.iter_unpack(events):
            if kind == CoreEvent.ACCEPTED:
                self._handles[order_id] = handle
                self._ids[handle] = order_id
            elif kind == CoreEvent.TRADE:
                touched.append(self._ids[handle])
        for touched_id in touched[1:] + touched[:1]:
            self._update_live(touched_id)

    def _update_live(self, order_id: int) -> None:
        rests = self.book.order(self._handles[order_id]) is not None
        place = self._place_of.get(order_id)
        if rests and place is None:
            self._place_of[order_id] = len(self._live)
            self._live.append(order_id)
        elif not rests and place is not None:
            del self._place_of[order_id]
            last = self._live.pop()
            if last != order_id:
                self._live[place] = last
                self._place_of[last] = place


def report_lines(record: Record, generator: W1Generator) -> list[str]:
    """Return the report of the record drawn last, sorted stably by type."""
    lines = [_report_line(record, generator, *event) for event in EVENT.iter_unpack(record.events)]
    return sorted(filter(None, lines), key=lambda line: line[0])


def _report_line(
    record: Record,
    generator: W1Generator,
    kind: int,
    side: int,
    _code: int,
    _of: int,
    handle: int,
    price: int,
    quantity: int,
) -> str:
    """Return the line of one event, empty for events the report does not show."""
    sequence, order_id = record.sequence, record.order_id
    if kind == CoreEvent.TRADE:
        return f"1,{sequence},{price},{quantity},{generator.order_id(handle)},{order_id}"
    if kind == CoreEvent.CANCELED:
        return f"2,{sequence},{side},{order_id},{price}"
    if kind in (CoreEvent.ACCEPTED, CoreEvent.AMENDED):
        return f"{0 if kind == CoreEvent.ACCEPTED else 3},{sequence},{side},{order_id},{price},{quantity}"
    if kind == CoreEvent.REJECTED:
        return f"{4 if record.kind == CANCEL else 5},{sequence},{order_id}"
    return ""


def report_sha256(generator: W1Generator) -> tuple[str, dict[str, int]]:
    """Play a whole workload; return the report's SHA-256 and its counts."""
    digest = sha256()
    counts = {"records": 0, "new": 0, "cancel": 0, "modify": 0, "trades": 0}
    for record in generator.records():
        lines = report_lines(record, generator)
        counts["records"] += 1
        counts[("new", "cancel", "modify")[record.kind]] += 1
        counts["trades"] += sum(line.startswith("1,") for line in lines)
        digest.update(("\n" * (record.sequence > 0) + "\n".join(lines)).encode())
    bids, asks = generator.book.depth(0, 1_000_000)
    counts |= {"resting": generator.book.resting_count, "levels": len(bids) + len(asks)}
    return digest.hexdigest(), counts


def write_file(generator: W1Generator, path: Path, count: int) -> None:
    """Write the record file."""
    with path.open("wb") as out:
        out.write(HEADER.pack(MAGIC, 1, count))
        for record in generator.records():
            out.write(record.packed())


def main() -> int:
    """Write a workload or check its report against the published hash; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.workloads")
    parser.add_argument("name", choices=sorted(REPORT_SHA256))
    parser.add_argument("--out", type=Path, help="write the record file here")
    parser.add_argument("--hash", action="store_true", help="match the workload and compare the report's SHA-256")
    options = parser.parse_args()
    if options.out:
        write_file(W1Generator(), options.out, PRELOAD + STEPS)
        print(f"{options.name}: {PRELOAD + STEPS} records written to {options.out}")
    if options.hash:
        digest, counts = report_sha256(W1Generator())
        print(options.name, counts, digest, "ok" if digest == REPORT_SHA256[options.name] else "DIFFERS")
        return digest != REPORT_SHA256[options.name]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
