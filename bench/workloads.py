"""Order flows of the matching goals (W1, W2, W3a-W3d): seeded, integer only, the same bytes everywhere.

    python -m bench.workloads W1 --out FILE [--seed N] [--shrink N]

The published counts and hashes belong to seed 42 and full size; `--shrink 100` divides steps, preload and target depth.
A generator keeps its own book (`generator_book`), because what it draws depends on which orders still rest; the
matching core takes no part. `python -m bench.reports FILE` matches what is written here.
"""

import argparse
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

from bench.generator_book import GeneratorBook, LiveOrder
from bench.record_file import CANCEL, HEADER, MAGIC, MODIFY, NEW, RECORD, VERSION

__all__ = ["REPORT_SHA256", "WORKLOADS", "SplitMix", "body", "main", "records"]

MASK: Final = 2**64 - 1
SEED: Final = 42
PRELOAD, STEPS, DEPTH = 10_000, 2_000_000, 12_000
REPORT_SHA256: Final = {
    "W1": "6a73fbd4b7d561809477eff336e7d6959091ea636947f2b42fe5907763989e85",
    "W2": "ce5056aa4b53a6c7cb8e6478410d0e964ed1f18f956c2fef992e073fb2d5adb6",
    "W3a": "a24d5e5cdffb3be64a39edbc42fdf4d0ce5b55c3c8b6a6e060fab4b230c4f9d5",
    "W3b": "541405c12baf0fbf6a7b45fc22da32b9c9969791bbebbdc2ef31eb440fc5db14",
    "W3c": "2ad2476f43c442a4a8779286086cad046fb6ca0da411d6027343d568f4aef1eb",
    "W3d": "74e76ecc606f6ff65aa939787ff4ac40f9ef63c4f341265918699d1570efdccd",
}
"""SHA-256 of the report text at seed 42 and full size; five independent engines agree on each."""


class SplitMix:
    """splitmix64; `below(n)` is the high half of the 128-bit product."""

    def __init__(self, seed: int = SEED) -> None:
        self._state = seed & MASK

    def below(self, bound: int) -> int:
        """Return the next number in 0..bound-1."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & MASK
        return ((state ^ state >> 31) * bound) >> 64


class Tape:
    """Numbers records and new orders across the instruments of a file."""

    def __init__(self) -> None:
        self.sequence = -1
        self.order_id = 0

    def pack(self, kind: int, order: LiveOrder, quantity: int, instrument: int, *, ioc: bool = False) -> bytes:
        """The next record of the file."""
        self.sequence += 1
        row = (quantity, self.sequence, order.order_id, order.price, instrument)
        return RECORD.pack(kind, order.side, ioc, 0, *row)


class Flow:
    """One instrument around a slowly walking middle: 90 % place or cancel, 5 % modify, 5 % IOC."""

    def __init__(
        self, random: SplitMix, tape: Tape, *, middle: int, width: int, depth: int, instrument: int = 0
    ) -> None:
        self.book = GeneratorBook()
        self._below, self._tape = random.below, tape
        self._middle, self._width, self._depth, self._instrument = middle, width, depth, instrument
        self._count = 0

    def new(self) -> bytes:
        """Place an order that may rest."""
        side = self._below(2)
        price = self._price(side)
        return self.place(side, price, 1 + self._below(100))

    def step(self) -> bytes:
        """One step of the specification."""
        self._count += 1
        self._drift()
        live, draw = self.book.live, self._below(100)
        if draw < 90:
            full = live and self._below(2 * self._depth) < len(live)
            return self.cancel(live[self._below(len(live))]) if full else self.new()
        if draw < 95:
            return self._modify(live[self._below(len(live))]) if live else self.new()
        side = self._below(2)
        return self.place(side, self._ioc_price(side), 1 + self._below(300), ioc=True)

    def place(self, side: int, price: int, quantity: int, *, ioc: bool = False) -> bytes:
        """Match a new order and record it."""
        self._tape.order_id += 1
        order = LiveOrder(self._tape.order_id, side, price, quantity)
        record = self._tape.pack(NEW, order, quantity, self._instrument, ioc=ioc)
        self.book.submit(order, rests=not ioc)
        return record

    def cancel(self, order: LiveOrder) -> bytes:
        """Take a resting order out and record it."""
        self.book.cancel(order)
        return self._tape.pack(CANCEL, order, 0, self._instrument)

    def _modify(self, order: LiveOrder) -> bytes:
        price, quantity = self._price(order.side), order.remaining + 1
        named = LiveOrder(order.order_id, order.side, price, quantity)
        self.book.modify(order, price, quantity)
        return self._tape.pack(MODIFY, named, quantity, self._instrument)

    def _drift(self) -> None:
        if self._count % 1000 == 0:
            self._middle += self._below(3) - 1

    def _price(self, side: int) -> int:
        distance = 1 + min(self._below(self._width), self._below(self._width))
        return self._middle + distance if side else self._middle - distance

    def _ioc_price(self, side: int) -> int:
        return self._middle - 6 if side else self._middle + 6


class UniformFlow(Flow):
    """Prices uniform over a wide band, bids in its lower half, asks in its upper; IOC orders take whatever rests."""

    _LOW = 1

    def __init__(self, random: SplitMix, tape: Tape, *, high: int, depth: int) -> None:
        super().__init__(random, tape, middle=0, width=0, depth=depth)
        self._high, self._half = high, (high - self._LOW) // 2

    def _drift(self) -> None:
        """The band stands still and draws nothing."""

    def _price(self, side: int) -> int:
        return self._LOW + (self._half + 1 if side else 0) + self._below(self._half)

    def _ioc_price(self, side: int) -> int:
        return self._LOW if side else self._high


def w1(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """One instrument, 12,000 orders deep."""
    return _preloaded(Flow(random, Tape(), middle=100_000, width=100, depth=max(20, DEPTH // shrink)), shrink)


def w2(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """500 instruments of very different activity, 120,000 orders deep together."""
    tape, weights = Tape(), [1_000_000 // (number + 1) for number in range(500)]
    total, flows = sum(weights), []
    for instrument, weight in enumerate(weights):
        depth = max(20, 10 * DEPTH // shrink * weight // total)
        flows.append(Flow(random, tape, middle=5000, width=20, depth=depth, instrument=instrument))
        yield from (flows[-1].new() for _ in range(depth * 5 // 6))
    borders = list(accumulate(weights))
    for _ in range(STEPS // shrink):
        yield flows[bisect_right(borders, random.below(total))].step()


def w3a(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """A hundred sweeps of 10,000 orders each."""
    flow = Flow(random, Tape(), middle=0, width=0, depth=0)
    for _ in range(100):
        for _ in range(PRELOAD // shrink):
            price = 100_001 + random.below(100)
            yield flow.place(1, price, 1 + random.below(10))
        yield flow.place(0, 100_200, sum(order.remaining for order in flow.book.live), ioc=True)


def w3b(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """50,000 orders at one price: cancel any of them, place one more."""
    flow = Flow(random, Tape(), middle=0, width=0, depth=0)
    live = flow.book.live
    for _ in range(5 * PRELOAD // shrink):
        yield flow.place(0, 100_000, 1 + random.below(100))
    for _ in range(STEPS // 4 // shrink):
        yield flow.cancel(live[random.below(len(live))])
        yield flow.place(0, 100_000, 1 + random.below(100))


def w3c(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """W1 with prices all over a band of 200,000 ticks."""
    return _preloaded(UniformFlow(random, Tape(), high=200_000, depth=max(20, DEPTH // shrink)), shrink)


def w3d(random: SplitMix, shrink: int) -> Iterator[bytes]:
    """W3c over a band of a billion ticks: hardly two orders share a price."""
    return _preloaded(UniformFlow(random, Tape(), high=999_999_999, depth=max(20, DEPTH // shrink)), shrink)


WORKLOADS: Final[dict[str, Callable[[SplitMix, int], Iterator[bytes]]]] = {
    "W1": w1, "W2": w2, "W3a": w3a, "W3b": w3b, "W3c": w3c, "W3d": w3d,
}  # fmt: skip


def records(name: str, *, seed: int = SEED, shrink: int = 1) -> Iterator[bytes]:
    """Draw the packed records of a workload in order."""
    return WORKLOADS[name](SplitMix(seed), shrink)


def body(name: str, *, seed: int = SEED, shrink: int = 1) -> bytes:
    """All records of a workload, without the header."""
    return b"".join(records(name, seed=seed, shrink=shrink))


def write_file(path: Path, drawn: Iterator[bytes], tell: Callable[[int], None]) -> int:
    """Write header and records, telling the count so far now and then; returns the number of records."""
    count, chunk = 0, bytearray()
    with path.open("wb") as out:
        out.write(HEADER.pack(MAGIC, VERSION, 0))
        for record in drawn:
            chunk += record
            count += 1
            if count % 4096 == 0:
                out.write(chunk)
                chunk.clear()
                tell(count)
        out.write(chunk)
        out.seek(0)
        out.write(HEADER.pack(MAGIC, VERSION, count))
    return count


def main(arguments: list[str] | None = None) -> int:
    """Write a workload's record file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.workloads", description="Write an order flow to a file.")
    parser.add_argument("name", choices=WORKLOADS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="write the record file here")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of splitmix64 (default: {SEED})")
    parser.add_argument("--shrink", type=_positive, default=1, metavar="N", help="divide steps, preload and depth by N")
    options = parser.parse_args(arguments)
    drawn = records(options.name, seed=options.seed, shrink=options.shrink)
    try:
        count = write_file(options.out, drawn, Progress(options.name))
    except OSError as error:
        sys.stderr.write(f"bench.workloads: {options.out}: {error.strerror}\n")
        return 1
    print(f"{options.name}: {count:,} records, seed {options.seed}, written to {options.out}")
    return 0


class Progress:
    """A line on stderr every second."""

    def __init__(self, name: str) -> None:
        self._name, self._start = name, time.monotonic()
        self._next = self._start + 1

    def __call__(self, count: int) -> None:
        """Tell how far it is, at most once a second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1
            sys.stderr.write(f"{self._name}: {count:,} records after {now - self._start:.0f} s\n")


def _preloaded(flow: Flow, shrink: int) -> Iterator[bytes]:
    for _ in range(PRELOAD // shrink):
        yield flow.new()
    for _ in range(STEPS // shrink):
        yield flow.step()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
