"""The exchange's process in the simulator: recovery, sequencer and journal of production, hosted by virtual time."""

from collections.abc import Callable
from typing import Protocol

from exchange.app.recovery import Recovered, recover_exchange
from exchange.bus.interface import Busy
from exchange.domain.commands import BatchCut, EpochStart
from exchange.domain.views import Answer, Output
from exchange.engine.snapshot import dump
from exchange.engine.state_hash import state_hash
from exchange.journal.reader import read_groups
from exchange.journal.snapshot import Snapshot, load_newest, oldest_sequence, write_snapshot
from exchange.sequencer.replay import rebuild
from exchange.sequencer.sequencer import Sequencer
from matching_core import OrderBook
from tests.simulation.auditor import Auditor
from tests.simulation.history import Operation, Outcome
from tests.simulation.sim_disk import SimDisk
from tests.simulation.sim_loop import SimLoop

__all__ = ["SimExchange"]

SEGMENT_BYTES = 256 << 10
EVENT_FILE_BYTES = 192 << 10
EVENT_LOG_BYTES = 256 << 10
CLOCK_POLL_NS = 50_000_000


class Settled(Protocol):
    """Where the settler notes how far the chain is final."""

    text: str


class SimExchange:
    """One machine's exchange; `start` after every crash. Everything it schedules dies with its life."""

    def __init__(self, loop: SimLoop, disk: SimDisk, auditor: Auditor, settled: Settled) -> None:
        self.loop = loop
        self.disk = disk
        self.auditor = auditor
        self.settled = settled
        self.random = loop.random("exchange")
        self.clock_offset_ns = 0
        self.commands = 0
        self.starts = 0
        self.shed = 0
        self.snapshots = 0
        self.released_segments = 0
        self.recovered: Recovered | None = None
        self.sequencer: Sequencer | None = None
        self._scheduled: set[str] = set()
        self.on_started: Callable[[], None] = lambda: None

    @property
    def is_up(self) -> bool:
        """Whether operations can be invoked."""
        return self.sequencer is not None

    def start(self) -> None:
        """Recover from disk, let the auditor compare, and begin a new epoch."""
        recovered = recover_exchange(
            self.disk,
            OrderBook,
            cursors={"settler": int(self.settled.text or 0)},
            segment_bytes=SEGMENT_BYTES,
            event_log_bytes=EVENT_LOG_BYTES,
            event_file_bytes=EVENT_FILE_BYTES,
        )
        self.auditor.on_recovered(self.disk, recovered)
        self.recovered = recovered
        self.sequencer = Sequencer(
            recovered.state,
            recovered.writer,
            recovered.event_log,
            epoch=recovered.epoch,
            clock_ns=lambda: self.loop.now_ns + self.clock_offset_ns,
            wake=self._wake,
            inbox_limit=self.random.choice((12, 64, 65_536)),
        )
        self.sequencer.listen(self.auditor.on_outputs)
        self.auditor.attach(recovered.writer)
        self.starts += 1
        self.invoke(Operation("exchange", (EpochStart(epoch=recovered.epoch),), lambda _: None))
        self._later("poll", CLOCK_POLL_NS, self._poll)
        self._later("housekeeping", self.random.randrange(50_000_000, 400_000_000), self._keep_house)
        self.on_started()

    def stop(self) -> None:
        """The process is gone: nothing of it runs any more, memory is lost."""
        self.loop.end_life("exchange")
        self.sequencer = self.recovered = None
        self._scheduled.clear()
        self.auditor.on_crash()

    def invoke(self, operation: Operation) -> bool:
        """Submit or ask; False when it was shed (the operation failed: nothing happened)."""
        if self.sequencer is None:
            operation.outcome = Outcome.FAIL
            return False
        try:
            self._hand_over(self.sequencer, operation)
        except Busy:
            operation.outcome = Outcome.FAIL
            self.shed += 1
            return False
        self.auditor.on_admitted(operation)
        self.commands += len(operation.commands)
        return True

    def cut(self) -> bool:
        """Close the open batch; False when the exchange is too busy."""
        return self.invoke(Operation("operator", (BatchCut(),), lambda _: None))

    def _hand_over(self, sequencer: Sequencer, operation: Operation) -> None:
        def one(output: Output) -> None:
            self.auditor.on_reply(operation, (output,))

        def answered(value: Answer) -> None:
            self.auditor.on_answer(operation, value)

        if operation.query is not None:
            sequencer.ask(operation.query, answered)
        elif len(operation.commands) == 1:
            sequencer.submit(operation.commands[0], one)
        else:
            sequencer.submit_together(
                operation.commands, lambda outputs: self.auditor.on_reply(operation, tuple(outputs))
            )

    def _later(self, name: str, delay_ns: int, step: Callable[[], None]) -> None:
        if name not in self._scheduled:
            self._scheduled.add(name)

            def run() -> None:
                self._scheduled.discard(name)
                step()

            self.loop.schedule(delay_ns, name, run, life="exchange")

    def _wake(self) -> None:
        self._later("tick", self.random.choice((0, 1_000, 300_000, 2_000_000)), self._tick)

    def _tick(self) -> None:
        if self.sequencer is None or self.recovered is None:
            return
        self.sequencer.tick()
        if self.recovered.writer.staged_commands:
            self._later("commit", self.random.randrange(20_000, 3_000_000), self._commit)

    def _commit(self) -> None:
        if self.recovered is None:
            return
        writer = self.recovered.writer
        last = writer.commit_staged()
        if writer.next_missing and self.random.random() < 0.3:
            writer.prepare_next()
        self.loop.schedule(self.random.randrange(0, 1_000_000), "released", lambda: self._committed(last),
                           life="exchange")  # fmt: skip

    def _committed(self, last_sequence: int) -> None:
        if self.sequencer is not None:
            self.sequencer.committed(last_sequence)
            if self.recovered is not None and self.recovered.writer.staged_commands:
                self._later("commit", self.random.randrange(20_000, 3_000_000), self._commit)

    def _poll(self) -> None:
        if self.sequencer is not None and self.sequencer.clock_due():
            self._tick()
        self._later("poll", CLOCK_POLL_NS, self._poll)

    def _keep_house(self) -> None:
        """What the housekeeper does: sync the event log, snapshot by replay, release what nobody needs."""
        if self.recovered is None:
            return
        self.recovered.event_log.sync()
        if self.random.random() < 0.8:
            self._snapshot()
        if self.loop.releases:
            oldest = oldest_sequence(self.disk)
            before = 0 if oldest is None else min(oldest, int(self.settled.text or 0)) + 1
            self.released_segments += self.recovered.writer.release(before)
            self.recovered.event_log.release(before)
        self._later("housekeeping", self.random.randrange(200_000_000, 900_000_000), self._keep_house)

    def _snapshot(self) -> None:
        newest = load_newest(self.disk)
        start = 0 if newest is None else newest.sequence
        synced = max((group.synced_sequence for group in read_groups(self.disk, from_sequence=start + 1)), default=0)
        if synced <= start:
            return
        state = rebuild(self.disk, OrderBook, up_to=synced)
        if state.sequence > start:
            self.snapshots += 1
            write_snapshot(
                self.disk,
                Snapshot(
                    sequence=state.sequence,
                    epoch=state.epoch,
                    timestamp_ns=state.timestamp_ns,
                    state_hash=state_hash(state),
                    config_hash=bytes(32),
                    sections=dump(state),
                ),
            )
