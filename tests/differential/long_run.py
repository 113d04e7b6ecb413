"""`python -m tests.differential.long_run --commands N --seed S --log FILE`: both books over N commands, to the byte.

Each seed (S, S+1, ...) is a stream of --seeds-of commands on fresh books, a tenth of them around triggers: the engine's
trigger book stands over the compiled book, plain triggers over the reference. Event bytes are compared after each
batch, what fires and is placed with each price; every view, state hash, snapshot and soundness, and all that waits,
every thousand commands. What triggers place comes on top of the commands. Finished seeds stand in the log as lines of
JSON; the same command goes on after the last of them, unless books or stream changed since. Exit 1 with a difference,
or when a kind was drawn too rarely to prove anything.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matching_core
from matching_core import fills
from matching_core.fills import COMMAND, CoreCommand
from tests.differential.command_streams import KINDS, CommandStream
from tests.differential.trigger_streams import TriggerActs
from tests.differential.trigger_twins import TRIGGER_KINDS, TriggerTwins
from tests.fuzz.commands import KIND_NAMES
from tests.fuzz.run_state import core_fingerprint
from tests.fuzz.setters import SETTERS
from tests.fuzz.steps import Step
from tests.fuzz.twins import Diverged, Twins

__all__ = ["EXPECTED", "LEAST_PERCENT", "kinds_of", "main", "rare_kinds", "run_seed"]

BATCH = 50
COMPARED_EVERY_BATCHES = 20
SETTINGS_EVERY_BATCHES = 1
CAPACITIES = (1_048_576, 500, 1_048_576, 60, 1_048_576, 5)
LEAST_PERCENT = 0.5
FLAGS = {name: value for name, value in vars(fills).items() if name.startswith("FLAG_")}
STP_MODES = {value: name for name, value in vars(fills).items() if name.startswith("STP_") and name != "STP_SHIFT"}
EXPECTED = (*KINDS, *KIND_NAMES.values(), *FLAGS, *STP_MODES.values(), *TRIGGER_KINDS)
ACTS_PER_BATCH = BATCH // 10
ROOT = Path(__file__).resolve().parents[2]
TRIGGER_FILES = (
    "exchange/engine/triggers.py",
    *(f"tests/differential/{name}.py" for name in ("plain_triggers", "trigger_streams", "trigger_twins")),
)

progress: Any = None


def kinds_of(command: bytes) -> list[str]:
    """Name what a command is: its kind in the contract, and for NEW each flag and an owner's self-trade mode."""
    kind, _side, flags, _instrument, _price, _quantity, owner, _cell = COMMAND.unpack_from(command)
    names = [KIND_NAMES.get(kind, "(unknown kind)")]
    if kind == CoreCommand.NEW:
        names += [name for name, bit in FLAGS.items() if flags & bit]
        names += [STP_MODES[flags >> fills.STP_SHIFT & 3]] if owner else []
    return names


def rare_kinds(kinds: Counter[str], commands: int) -> list[str]:
    """Name the kinds below LEAST_PERCENT of the commands."""
    return [name for name in EXPECTED if 100 * kinds[name] < LEAST_PERCENT * commands]


def run_seed(seed: int, commands: int) -> dict[str, Any]:
    """Compare both books over one stream; the row of the log, with the difference in words ("" when there is none)."""
    started_s = time.monotonic()
    kinds: Counter[str] = Counter()
    words = ""
    twins = Twins({"order_capacity": CAPACITIES[seed % len(CAPACITIES)], "cell_capacity": 7, "guard_capacity": 4})
    done = 0
    try:
        for count in _batches(twins, seed, commands, kinds):
            done += count
            if progress is not None:
                with progress.get_lock():
                    progress.value += count
        twins.compare()
    except Diverged as diverged:
        words = f"seed {seed}, after {done} commands: {diverged}"
    return {
        "seed": seed,
        "commands": done,
        "seconds": round(time.monotonic() - started_s, 3),
        "state_hash": twins.reference.state_hash().hex(),
        "kinds": dict(kinds),
        "difference": words,
    }


def _batches(twins: Twins, seed: int, commands: int, kinds: Counter[str]) -> Iterator[int]:
    """Submit a stream in batches; yields the commands of each that both sides answered alike."""
    stream, acts, triggers = CommandStream(seed), TriggerActs(seed), TriggerTwins(twins, kinds)
    for batch in range(-(-commands // BATCH)):
        count = min(BATCH, commands - batch * BATCH)
        for act in acts.draw(min(ACTS_PER_BATCH, count)):
            triggers.apply(act)
        drawn = stream.batch(count - min(ACTS_PER_BATCH, count))
        for command in drawn:
            kinds.update(kinds_of(command))
        step = Step("submit", {"commands": b"".join(drawn), "now_ns": stream.now_ns()})
        events = twins.apply(step)
        stream.observe(events)
        triggers.follow(events, step.arguments["now_ns"], stream.observe)
        if batch % SETTINGS_EVERY_BATCHES == 0:
            for name, positional, named in stream.settings():
                twins.apply(Step(name, {**dict(zip(SETTERS[name], positional, strict=False)), **named}))
        if batch % COMPARED_EVERY_BATCHES == 0:
            twins.compare()
            triggers.compare()
        yield count
    triggers.compare()
    kinds.update(stream.counts)


def fingerprint() -> str:
    """Digest of books, triggers and streams: a finished seed of others proves nothing about these."""
    files = b"".join((ROOT / name).read_bytes() for name in TRIGGER_FILES)
    return sha256(core_fingerprint().encode() + files).hexdigest()


class Log:
    """Finished seeds, a line of JSON each, of runs with the same books, stream and seed length."""

    def __init__(self, path: Path, *, seeds_of: int) -> None:
        self._path = path
        self._key = {"core": fingerprint(), "seeds_of": seeds_of}
        self.rows: dict[int, dict[str, Any]] = {}
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for row in rows:
            if all(row[name] == value for name, value in self._key.items()) and not row["difference"]:
                self.rows[row["seed"]] = row
        self.ignored_count = len(rows) - len(self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Append a finished seed; it is on disk when this returns."""
        self.rows[row["seed"]] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**self._key, **row}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def compare_seeds(seeds: list[int], log: Log, options: argparse.Namespace) -> str:
    """Run the seeds that the log lacks on `jobs` processes; the first difference in words, or ""."""
    context = get_context("fork")
    counter = context.Value("q", 0)
    waiting = [seed for seed in seeds if seed not in log.rows]
    left = len(waiting) * options.seeds_of
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=_share, initargs=(counter,)) as pool:
        running: set[Future[dict[str, Any]]] = {pool.submit(run_seed, seed, options.seeds_of) for seed in waiting}
        meter = Meter(counter, left)
        while running:
            finished, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                row = future.result()
                log.add(row)
                if row["difference"]:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return str(row["difference"])
            meter.show()
    return ""


class Meter:
    """A line of progress: commands, rate, time left."""

    def __init__(self, counter: Any, commands: int) -> None:
        self._counter = counter
        self._commands = commands
        self._started_s = self._shown_s = time.monotonic()

    def show(self) -> None:
        """Print, at most once a second."""
        now_s = time.monotonic()
        if now_s - self._shown_s < 1:
            return
        self._shown_s = now_s
        done = self._counter.value
        rate = done / (now_s - self._started_s)
        left_s = (self._commands - done) / rate if rate else 0
        sys.stdout.write(
            f"{done:>14,} of {self._commands:,} commands  {rate:,.0f}/s  {left_s / 60:,.1f} minutes left\n"
        )
        sys.stdout.flush()


def _share(counter: Any) -> None:
    global progress  # noqa: PLW0603 - a pool hands shared memory to its processes this way alone
    progress = counter


def report(rows: list[dict[str, Any]]) -> int:
    """Print what was compared; 1 when a kind stood for too little of it."""
    commands = sum(row["commands"] for row in rows)
    kinds: Counter[str] = Counter()
    for row in rows:
        kinds.update(row["kinds"])
    for name in dict.fromkeys((*EXPECTED, *kinds)):
        sys.stdout.write(f"{name:>20} {kinds[name]:>13,} {100 * kinds[name] / commands:6.2f} %\n")
    sys.stdout.write("in brackets: refused before they are of a kind; the shares of all kinds are of the commands\n")
    seconds = sum(row["seconds"] for row in rows)
    sys.stdout.write(f"{len(rows)} seeds, {commands:,} commands, {commands / seconds:,.0f}/s for one process\n")
    rare = rare_kinds(kinds, commands)
    if rare:
        sys.stdout.write(f"below {LEAST_PERCENT} %: {', '.join(rare)}\n")
        return 1
    sys.stdout.write("0 differences\n")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.long_run", description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000_000)
    parser.add_argument("--seeds-of", type=int, default=1_000_000, metavar="COMMANDS")
    parser.add_argument("--seed", type=int, default=1, help="of the first stream")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--log", type=Path, default=Path("build/differential.jsonl"))
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run what the log lacks, then report over all of it."""
    # A shell starts its background jobs deaf to the interrupt; this run promises to stop and go on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parse(arguments)
    if not matching_core.COMPILED:
        sys.stderr.write("matching_core._order_book is not built: make build\n")
        return 1
    seeds = list(range(options.seed, options.seed + -(-options.commands // options.seeds_of)))
    log = Log(options.log, seeds_of=options.seeds_of)
    done = sum(seed in log.rows for seed in seeds)
    sys.stdout.write(f"{len(seeds)} seeds of {options.seeds_of:,}; {done} stand in {options.log}")
    sys.stdout.write(f", {log.ignored_count} lines there are of other books\n" if log.ignored_count else "\n")
    try:
        difference = compare_seeds(seeds, log, options)
    except KeyboardInterrupt:
        sys.stdout.write("stopped; the same command goes on from here\n")
        return 130
    if difference:
        sys.stdout.write(f"{difference}\n")
        return 1
    return report([log.rows[seed] for seed in seeds])


if __name__ == "__main__":
    sys.exit(main())
