"""Replay of recorded order flow: the production sequencer, journal, engine and book, with the file as the clock.

All rows of one nanosecond become one journal group at exactly that time, so the journal's time is the file's. Groups
are committed by the hundred, because nobody waits for an answer; only a command that must name an order by number
waits until the order's acceptance is on disk, as a client would. At the end the journal is read back from disk into a
fresh state, which must have the same hash and give the same path of best prices.
"""

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from hashlib import sha256
from itertools import chain, groupby
from pathlib import Path
from struct import Struct
from typing import TextIO

from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, DirectoryBusy, DirectoryLock
from exchange.app.lobster import INSTRUMENT_ID, BadRow, Conversion, Row, RowKind, Step, parse_rows, steps
from exchange.app.lobster_agreement import Agreement
from exchange.app.recovery import Recovered, recover_exchange
from exchange.domain.commands import Command, EpochStart
from exchange.domain.events import OrderAccepted
from exchange.domain.views import Output
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.states import new_state
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError
from exchange.sequencer.replay import ReplayDiverged, ReplayedGroup, replay
from exchange.sequencer.sequencer import Sequencer
from matching_core import OrderBook

__all__ = ["BestPath", "PathPoint", "ReplayReport", "replay_lobster"]

_SECOND_NS = 1_000_000_000
_COMMIT_COMMANDS = 512
_PROGRESS_ROWS = 5_000
_SAMPLE_NS = 600 * _SECOND_NS

Progress = Callable[[int, int], None]
"""Called now and then with rows read and time after midnight in nanoseconds."""


@dataclass(frozen=True, slots=True)
class PathPoint:
    """Best prices in ticks at `time_ns` after midnight; 0: that side is empty."""

    time_ns: int
    bid_ticks: int
    ask_ticks: int


class BestPath:
    """Best bid and ask after every group: a digest of all changes and a sample every ten minutes of the file."""

    _RECORD = Struct("<qqq")

    def __init__(self, midnight_ns: int) -> None:
        self.changes = 0
        self.samples: list[PathPoint] = []
        self._midnight_ns = midnight_ns
        self._last: PathPoint | None = None
        self._digest = sha256()

    def observe(self, state: State) -> None:
        """Look at the book of `state` after a group."""
        best_bid, _, best_ask, _ = state.book.best(INSTRUMENT_ID)
        now = PathPoint(state.timestamp_ns - self._midnight_ns, best_bid or 0, best_ask or 0)
        last = self._last
        if last is not None:
            self._sample(last, now.time_ns)
        if last is None or (last.bid_ticks, last.ask_ticks) != (now.bid_ticks, now.ask_ticks):
            self.changes += 1
            self._digest.update(self._RECORD.pack(now.time_ns, now.bid_ticks, now.ask_ticks))
        self._last = now

    def close(self) -> None:
        """Add the last point to the samples."""
        self.samples += [self._last] if self._last else []

    @property
    def digest(self) -> bytes:
        """SHA-256 of (time_ns, bid, ask) of every change, three little-endian i64 each."""
        return self._digest.digest()

    def _sample(self, last: PathPoint, now_ns: int) -> None:
        for full in range(last.time_ns // _SAMPLE_NS + 1, now_ns // _SAMPLE_NS + 1):
            self.samples.append(PathPoint(full * _SAMPLE_NS, last.bid_ticks, last.ask_ticks))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """Everything the verb prints."""

    agreement: Agreement
    path: BestPath
    commands: int
    groups: int
    seconds: float
    resting_orders: int
    state_hash: bytes
    journal_state_hash: bytes
    journal_path_digest: bytes
    journal_seconds: float
    data: Path

    @property
    def same(self) -> bool:
        """Whether the journal gave the same state and the same path."""
        return self.state_hash == self.journal_state_hash and self.path.digest == self.journal_path_digest


def replay_lobster(
    file: Path, data: Path, *, day: date, underlying: str, on_progress: Progress | None = None
) -> ReplayReport:
    """Drive `file` through a fresh exchange in `data` and check its journal.

    The file's midnight counts as midnight UTC of `day`. Raises Failure when the file cannot be read, holds a bad row,
    or when `data` is in use or not empty.
    """
    directory = DataDirectory(data.resolve())
    midnight_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * _SECOND_NS
    try:
        with DirectoryLock(directory), _opened(file) as lines:
            return _run(lines, directory, midnight_ns, underlying, on_progress)
    except DirectoryBusy as error:
        raise Failure(str(error)) from error
    except BadRow as error:
        raise Failure(f"{file}: {error}") from error
    except (OSError, EOFError, UnicodeDecodeError, JournalError) as error:
        raise Failure(f"{file}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    with gzip.open(file, "rt", encoding="ascii") if file.suffix == ".gz" else file.open(encoding="ascii") as lines:
        yield lines


def _run(
    lines: TextIO, directory: DataDirectory, midnight_ns: int, underlying: str, on_progress: Progress | None
) -> ReplayReport:
    rows = parse_rows(lines)
    first = next(rows, None)
    if first is None:
        raise BadRow("no rows")
    directory.exchange.mkdir(parents=True, exist_ok=True)
    if any(directory.exchange.iterdir()):  # before recovery, which would take an epoch of somebody's exchange
        raise Failure(f"{directory.root}: holds a journal already; a replay starts with an empty directory")
    disk = RealDisk(directory.exchange)
    recovered = recover_exchange(disk, OrderBook)
    drive = _Drive(recovered, Conversion(midnight_ns, underlying), BestPath(midnight_ns), on_progress)
    started = time.perf_counter()
    try:
        drive.open_market(first)
        drive.take_all(steps(chain((first,), rows)))
        seconds = time.perf_counter() - started
    finally:
        drive.close()
    live = recovered.state
    path = BestPath(midnight_ns)
    started = time.perf_counter()
    journal_hash = _replayed_hash(disk, path)
    return ReplayReport(
        agreement=drive.agreement,
        path=drive.path,
        commands=live.sequence,
        groups=drive.sequencer.stats.groups,
        seconds=seconds,
        resting_orders=len(live.open_orders),
        state_hash=state_hash(live),
        journal_state_hash=journal_hash,
        journal_path_digest=path.digest,
        journal_seconds=time.perf_counter() - started,
        data=directory.root,
    )


def _replayed_hash(disk: RealDisk, path: BestPath) -> bytes:
    state = new_state(OrderBook)

    def on_group(group: ReplayedGroup) -> None:
        if group.group.command_count:
            path.observe(state)

    try:
        replay(disk, state, on_group=on_group)
    except ReplayDiverged as error:
        raise Failure(str(error)) from error
    return state_hash(state)


@dataclass(slots=True)
class _Drive:
    """The file's commands into the sequencer, the answers into the comparison."""

    recovered: Recovered
    conversion: Conversion
    path: BestPath
    on_progress: Progress | None
    agreement: Agreement = field(default_factory=Agreement)
    sequencer: Sequencer = field(init=False)
    _now_ns: int = 0
    _priced_ns: int = 0
    _numbers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sequencer = Sequencer(
            self.recovered.state,
            self.recovered.writer,
            self.recovered.event_log,
            epoch=self.recovered.epoch,
            clock_ns=lambda: self._now_ns,
            wake=lambda: None,
        )

    def open_market(self, first: Row) -> None:
        """List, price and fund, one second before the first row."""
        self._now_ns = self.conversion.midnight_ns + first.time_ns - _SECOND_NS
        self._priced_ns = self._now_ns
        for command in (EpochStart(epoch=self.recovered.epoch), *self.conversion.opening(first)):
            self.sequencer.submit(command)
        self._tick()
        self._commit()

    def take_all(self, all_steps: Iterator[Step]) -> None:
        """Replay all steps; those of one time become one group."""
        reported = 0
        for time_ns, group in groupby(all_steps, key=lambda step: step[0].time_ns):
            self._now_ns = self.conversion.midnight_ns + time_ns
            self._keep_prices()
            last_line = self._take_group(group)
            if self.on_progress is not None and last_line >= reported + _PROGRESS_ROWS:
                reported = last_line
                self.on_progress(last_line, time_ns)
        self._commit()

    def close(self) -> None:
        """End the journal in order."""
        self.path.close()
        self.recovered.writer.close()
        self.recovered.event_log.close()

    def _take_group(self, group: Iterator[Step]) -> int:
        last_line = 0
        for step in group:
            last_line = step[-1].line
            command = self.conversion.command(step, order_number=self._order_number(step[0]))
            if command is None:
                self.agreement.observe(step, ())
            else:
                self._submit(command, step)
        self._tick()
        if self.recovered.writer.staged_commands >= _COMMIT_COMMANDS:
            self._commit()
        return last_line

    def _keep_prices(self) -> None:
        """Repeat the price before it is stale; behind a silence that is a halt, as often as ends it."""
        config, age_ns = self.recovered.state.config, self._now_ns - self._priced_ns
        if 2 * age_ns <= config.index_life_ns:
            return
        self._priced_ns = self._now_ns
        for _ in range(config.halt_good_rows if age_ns > config.halt_after_ns else 1):
            self.sequencer.submit(self.conversion.prices())

    def _order_number(self, row: Row) -> int:
        if row.kind is not RowKind.PARTIAL_CANCEL:
            return 0
        if row.order_id not in self._numbers:
            self._tick()
            self._commit()
        return self._numbers.get(row.order_id, 0)

    def _submit(self, command: Command, step: Step) -> None:
        self.sequencer.submit(command, partial(self._answered, step))

    def _answered(self, step: Step, output: Output) -> None:
        self.agreement.observe(step, output.events)
        for event in output.events:
            if isinstance(event, OrderAccepted) and step[0].kind is RowKind.NEW:
                self._numbers[step[0].order_id] = event.order

    def _tick(self) -> None:
        while self.sequencer.backlog:
            self.sequencer.tick()
            self.path.observe(self.sequencer.state)

    def _commit(self) -> None:
        self.sequencer.committed(self.recovered.writer.commit_staged())
