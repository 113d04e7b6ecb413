"""`offbook chaos chain`: seeded chain faults and deaths of the settler; every fill must be settled exactly once.

Scenario k of a seed is the same whatever else is run. With a log each finished scenario is one line, and the same
command goes on after what stands there.
"""

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from exchange.app.chaos_market import chaos_base
from exchange.app.chaos_scenario import Outcome, run_scenario
from exchange.app.failures import Failure

__all__ = ["ChainChaos", "chaos_chain", "summary_line"]

_PROGRESS_S: Final = 5.0
_SHOWN_FAILURES: Final = 10


class ChainChaos(msgspec.Struct, frozen=True):
    """Scenarios `first` .. `first + count - 1` of `seed`, on `jobs` processes; `log` continues an earlier run."""

    count: int
    seed: int
    first: int = 1
    jobs: int = 1
    log: Path | None = None

    @property
    def numbers(self) -> range:
        """The scenarios asked for."""
        return range(self.first, self.first + self.count)


class _Row(msgspec.Struct, frozen=True):
    seed: int
    number: int
    plan: str
    broken: str
    counts: dict[str, int]


def chaos_chain(run: ChainChaos) -> int:
    """Run what the log does not hold; 0 when every promise was kept in all of them, else 1. Raises Failure."""
    rows = [row for row in _logged(run.log) if row.seed == run.seed and row.number in run.numbers]
    left = sorted(set(run.numbers) - {row.number for row in rows})
    if rows:
        _say(f"{len(rows)} of {run.count} scenarios stand in {run.log}, {len(left)} are left")
    started_s = told_s = time.monotonic()
    for row in _run_all(run, left):
        rows.append(row)
        _note(run.log, row)
        if row.broken:
            _say(_failure(row))
        if time.monotonic() - told_s >= _PROGRESS_S:
            told_s = time.monotonic()
            _say(f"{len(rows)} of {run.count} scenarios, {sum(bool(one.broken) for one in rows)} broken")
    sys.stdout.write(summary_line(run, rows, time.monotonic() - started_s) + "\n")
    return 1 if any(row.broken for row in rows) else 0


def summary_line(run: ChainChaos, rows: Sequence[_Row], seconds: float) -> str:
    """What happened in all of them, in one line; the fee for data on the layer below in gwei, rounded down."""
    counts: Counter[str] = Counter()
    slowest = 0
    for row in rows:
        slowest = max(slowest, row.counts.get("slowest drain", 0))
        counts.update(row.counts)
    broken = [row.number for row in rows if row.broken]
    names = ("batches", "fills", "sends", "blocks", "deaths", "reorgs", "nonce gaps", "foreign spends", "halts")
    told = ", ".join(f"{counts[name]} {name}" for name in names)
    verdict = f"{len(broken)} broken ({_list(broken)})" if broken else "each fill settled exactly once"
    faults = sum(count for name, count in counts.items() if name.startswith("fault "))
    return (
        f"chaos chain: seed {run.seed}, {len(rows)} scenarios, {faults} faults, {told}, "
        f"{counts['l1_fee_wei'] // 10**9} gwei for L1 data, "
        f"slowest drain {slowest} blocks, {seconds:.0f} s: {verdict}"
    )


def _list(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN_FAILURES]))
    return shown if len(numbers) <= _SHOWN_FAILURES else f"{shown}, ..."


def _failure(row: _Row) -> str:
    return (
        f"scenario {row.number} of seed {row.seed} broke: {row.broken}\n  faults: {row.plan}\n"
        f"  again: offbook chaos chain --seed {row.seed} --first {row.number} --n 1"
    )


def _run_all(run: ChainChaos, left: Sequence[int]) -> Iterator[_Row]:
    if not left:
        return
    chaos_base()
    if run.jobs == 1:
        for number in left:
            yield _run_one((run.seed, number))
        return
    with _pool(run.jobs) as pool:
        yield from pool.imap_unordered(_run_one, [(run.seed, number) for number in left], chunksize=4)


@contextmanager
def _pool(jobs: int) -> "Iterator[multiprocessing.pool.Pool]":
    """Processes that inherit the deployed contracts; none is left behind."""
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield pool


def _run_one(place: tuple[int, int]) -> _Row:
    outcome: Outcome = run_scenario(*place)
    return _Row(*place, outcome.plan, outcome.broken, dict(outcome.counts))


def _logged(log: Path | None) -> list[_Row]:
    if log is None or not log.exists():
        return []
    lines = log.read_bytes().split(b"\n")
    try:
        # The last piece has no end: the run was stopped while it wrote it.
        return [msgspec.json.decode(line, type=_Row) for line in lines[:-1]]
    except msgspec.MsgspecError as error:
        raise Failure(f"{log} is no log of chaos chain ({error}): name another file") from error


def _note(log: Path | None, row: _Row) -> None:
    if log is not None:
        with log.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
