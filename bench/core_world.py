"""What the benchmarks of the matching core share: matched workloads, the floor, the peers, each checked before a time.

Rounds of all sides are interleaved and their medians compared. Time is the thread's own on every side, so what other
processes of the machine take is not counted; what they do to the caches is.
"""

import os
import statistics
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from bench import record_file
from bench.harness import IS_SMALL, in_turns, sized
from bench.native_build import Missing, core_replay, program
from bench.record_file import HEADER, MAGIC, VERSION, Survey
from bench.reports import Report, listed_book, match
from bench.workloads import REPORT_SHA256, body
from matching_core import OrderBook

__all__ = [
    "FLOOR_NS",
    "ROUNDS",
    "Matched",
    "available",
    "floor_ns",
    "least_cycles",
    "matched",
    "percentile_ns",
    "rates",
    "replayed_ns",
]

FLOOR_NS: Final = 9.3
"""The floor on the box the absolute goals were set on: those goals are scaled by how far this machine's lies above."""
SHRINK: Final = sized(small=20, full=1)
ROUNDS: Final = sized(small=3, full=7)
LEAST_ROUNDS: Final = sized(small=5, full=15)


@dataclass(frozen=True, slots=True)
class Matched:
    """A workload, what the core made of it, and the files that programs read."""

    name: str
    survey: Survey
    records: bytes
    report: Report
    folder: Path

    @property
    def record_path(self) -> Path:
        """The record file."""
        return self.folder / f"{self.name}.records"

    @property
    def command_path(self) -> Path:
        """The packed commands."""
        return self.folder / f"{self.name}.commands"

    def book(self, book_class=OrderBook) -> Any:
        """An empty book with the instruments listed."""
        return listed_book(book_class, self.survey)


@cache
def matched(name: str) -> Matched:
    """A workload at this run's size; the report's hash must be the published one at full size."""
    records = body(name, shrink=SHRINK)
    survey = record_file.survey(records)
    report = match(records, survey, OrderBook)
    assert IS_SMALL or report.digest == REPORT_SHA256[name]
    found = Matched(name, survey, records, report, _folder())
    found.record_path.write_bytes(HEADER.pack(MAGIC, VERSION, survey.count) + records)
    found.command_path.write_bytes(report.commands)
    return found


@cache
def rates(name: str) -> dict[str, float]:
    """Median ns per command, interleaved: floor, copy, core, core with ids, map book (absent without its compiler)."""
    workload = matched(name)
    works: dict[str, Callable[[], float]] = {
        "floor": lambda: _floor(workload)[0],
        "copy": lambda: _floor(workload)[1],
        "core": lambda: replayed_ns(workload),
        "ids": lambda: _with_ids_ns(workload),
    }
    if available(lambda: program("map_book.cpp"), quiet=True):
        _check_map_book(workload)
        works["map"] = lambda: _map_book_ns(workload)
    with pinned():
        return in_turns(works, rounds=ROUNDS)


@cache
def floor_ns() -> float:
    """The floor on this machine, ns per command of W1."""
    return rates("W1")["floor"]


def least_cycles(name: str) -> tuple[float, float]:
    """Least cycles per command of the core and of the floor: for each batch of 256 the least that any round took.

    What neighbours on the machine take from caches comes and goes; both sides are seen where it was least.
    """
    workload, best = matched(name), array("Q")
    with pinned():
        for _ in range(LEAST_ROUNDS):
            book = workload.book()
            cycles = array("Q", memoryview(core_replay().batch_cycles(book, workload.report.commands)).cast("Q"))
            assert book.state_hash() == workload.report.state_hash
            best = array("Q", map(min, best, cycles)) if best else cycles
        floor = float(_run(program("floor.c"), workload.command_path, LEAST_ROUNDS).split()[2])
    return sum(best) / (len(workload.report.commands) // 32), floor


def replayed_ns(workload: Matched) -> float:
    """ns per command through the core's C entry in batches of 256; the final state is checked."""
    book = workload.book()
    duration_ns = core_replay().replay_ns(book, workload.report.commands)
    assert book.state_hash() == workload.report.state_hash
    return duration_ns / workload.survey.count


def available(need: Callable[[], object], *, quiet: bool = False) -> bool:
    """Whether something can be built; else skips with the reason (fails under STRICT=1), or says no when quiet."""
    try:
        need()
    except Missing as reason:
        if os.environ.get("STRICT") == "1":
            pytest.fail(str(reason))
        if not quiet:
            pytest.skip(str(reason))
        return False
    return True


def percentile_ns(cycles: array, own: float, share: float) -> float:
    """ns at a share of sorted samples, without the counter's own cost."""
    return max(0.0, cycles[min(len(cycles) - 1, int(share * len(cycles)))] - own) / _cycles_per_ns()


@contextmanager
def pinned() -> Iterator[None]:
    """Stay on one core where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@cache
def _folder() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="offbook-bench-")
    _kept.append(holder)
    return Path(holder.name)


_kept: list[Any] = []


@cache
def _cycles_per_ns() -> float:
    return statistics.median(core_replay().cycles_per_ns() for _ in range(5))


def _run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def _floor(workload: Matched) -> tuple[float, float]:
    floor, copy, _ = _run(program("floor.c"), workload.command_path, 0).split()
    return float(floor), float(copy)


def _with_ids_ns(workload: Matched) -> float:
    book = workload.book()
    duration_ns = core_replay().replay_records_ns(book, workload.records, workload.survey.order_id_max)
    assert book.state_hash() == workload.report.state_hash
    return duration_ns / workload.survey.count


def _map_book_ns(workload: Matched) -> float:
    return 1e9 * float(_run(program("map_book.cpp"), workload.record_path)) / workload.survey.count


def _check_map_book(workload: Matched) -> None:
    text = _run(program("map_book.cpp"), workload.record_path, "report")
    assert sha256(text.encode()).hexdigest() == workload.report.digest
