"""The exchange's process: recovery, sequencer, commit threads, gateway and the unix socket in one event loop."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import uvicorn
import uvloop

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.housekeeping import Housekeeper
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.app.recovery import Recovered, recover_exchange
from exchange.app.relay import SettlerRelay
from exchange.bus.unix_socket import UnixSocketServer
from exchange.domain.commands import EpochStart
from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import Readiness
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError
from exchange.journal.writer import CommitThread
from exchange.sequencer.replay import ReplayDiverged
from exchange.sequencer.sequencer import Sequencer
from exchange.wire.objects import BatchRow
from exchange.wire.venue import VenueInfo
from matching_core import COMPILED, OrderBook
from settlement.onchain.deploy import Deployment, load_deployment

__all__ = ["ChainHealth", "run"]

_CLOCK_POLL_S: Final = 0.05
_CHAIN_SILENCE_S: Final = 15.0
_GAS_BATCHES: Final = 20
_BATCH_STATUS: Final = {
    "BUILT": "Batching",
    "SIGNED": "Executing",
    "SENT": "Executing",
    "INCLUDED": "Proving",
    "SAFE": "Proving",
    "FINAL": "Proving",
    "FINALIZED": "Settled",
}
_logger = logging.getLogger(__name__)


class ChainHealth:
    """What the settler last said of the chain; silence counts as trouble."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Nothing was heard yet."""
        self._clock_s = clock_s
        self._heard_s = clock_s()
        self._state = "starting"
        self._detail = ""
        self._gas: dict[int, tuple[int, int]] = {}
        self.head = 0
        self.final = 0
        self.waiting = 0

    def hear(self, body: bytes) -> None:
        """Take the settler's report."""
        report = json.loads(body)
        self._state, self._detail = report["state"], report["detail"]
        self.head, self.final, self.waiting = report["head"], report["final"], report["waiting"]
        self._heard_s = self._clock_s()

    def note_batch(self, numbers: dict[str, Any]) -> None:
        """Remember fills and gas of the newest batches."""
        if numbers["gas_used"] is not None and numbers["fills"]:
            self._gas[numbers["seq"]] = (numbers["gas_used"], numbers["fills"])
            while len(self._gas) > _GAS_BATCHES:
                del self._gas[min(self._gas)]

    @property
    def gas_per_fill(self) -> float:
        """Over the newest batches; 0 before the first."""
        fills = sum(fills for _, fills in self._gas.values())
        return sum(gas for gas, _ in self._gas.values()) / fills if fills else 0.0

    def readiness(self) -> Readiness:
        """Trading goes on without the chain; the reason says that batches wait."""
        trouble = self._trouble()
        return Readiness(ready=True, reason=trouble, chain="down" if trouble else self._state, degraded=bool(trouble))

    def _trouble(self) -> str:
        if self._clock_s() - self._heard_s > _CHAIN_SILENCE_S:
            return "the settler is silent; trading goes on, batches wait"
        if self._state in ("chain_down", "blocked", "halted"):
            what = self._state.removeprefix("chain_")
            return f"chain {what}; trading goes on, {self.waiting} batches wait ({self._detail})"
        return ""


def run(settings: Settings, _name: str) -> None:
    """Serve until SIGTERM. Raises Failure when the data on disk or the port forbid it."""
    directory = DataDirectory(settings.data.resolve())
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; `offbook up` deploys the contracts first")
    try:
        recovered = recover_exchange(
            RealDisk(directory.exchange),
            OrderBook,
            cursors={"settler": _settled(directory)},
            segment_bytes=settings.segment_bytes,
            event_log_bytes=settings.event_log_bytes,
        )
    except (JournalError, ReplayDiverged) as error:
        raise Failure(str(error)) from error
    _report(recovered)
    uvloop.run(_serve(settings, directory, deployment, recovered))


def _settled(directory: DataDirectory) -> int:
    with suppress(OSError, ValueError):
        return int(directory.settled.read_text())
    return 0


def _report(recovered: Recovered) -> None:
    if recovered.recovery.torn is not None:
        sys.stderr.write(f"journal: {recovered.recovery.torn}\n")
    sys.stderr.write(
        f"recovered at sequence {recovered.state.sequence}, {recovered.replayed_commands} commands replayed, "
        f"epoch {recovered.epoch}, {'compiled' if COMPILED else 'reference'} book\n"
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: this process has one stop event."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


def _listen(settings: Settings) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise Failure(
            f"port {settings.port} is in use: stop what listens there or choose another with --port"
        ) from error
    listener.listen(1_024)
    listener.setblocking(False)
    return listener


def _commits(
    loop: asyncio.AbstractEventLoop, recovered: Recovered, sequencer: Sequencer
) -> tuple[CommitThread, asyncio.Future[BaseException]]:
    failed: asyncio.Future[BaseException] = loop.create_future()

    def on_failure(error: BaseException) -> None:
        loop.call_soon_threadsafe(_resolve, failed, error)

    def on_committed(sequence: int) -> None:
        loop.call_soon_threadsafe(sequencer.committed, sequence)

    return CommitThread(recovered.writer, on_committed, on_failure), failed


def _sequencer(loop: asyncio.AbstractEventLoop, recovered: Recovered) -> Sequencer:
    scheduled = False

    def tick() -> None:
        nonlocal scheduled
        scheduled = False
        sequencer.tick()

    def wake() -> None:
        nonlocal scheduled
        if not scheduled:
            scheduled = True
            loop.call_soon(tick)

    sequencer = Sequencer(
        recovered.state,
        recovered.writer,
        recovered.event_log,
        epoch=recovered.epoch,
        clock_ns=time.time_ns,
        wake=wake,
    )
    return sequencer


async def _tick_by_time(sequencer: Sequencer) -> None:
    """Timers fire although nobody trades."""
    while True:
        await asyncio.sleep(_CLOCK_POLL_S)
        if sequencer.clock_due():
            sequencer.tick()


def _resolve(future: asyncio.Future[BaseException], error: BaseException) -> None:
    if not future.done():
        future.set_result(error)


def _venue(settings: Settings, deployment: Deployment) -> VenueInfo:
    return VenueInfo.for_chain(
        chain_id=deployment.chain_id,
        settlement_contract=deployment.settlement,
        subaccount_base=deployment.subaccount_base,
        accept_derive_sepolia_orders=settings.accept_derive_sepolia_orders or settings.demo,
        separator=deployment.domain_separator,
        env="demo" if settings.demo else "local",
    )


def _batch_row(numbers: dict[str, Any]) -> BatchRow:
    """A settler's row in the wire's words (api.md 8: batch_status)."""
    state, window_s = numbers["state"], numbers["finality_window_s"]
    block_time_s = numbers["block_time_s"]
    names = {field for field in BatchRow.__struct_fields__ if field in numbers}
    finalizes_at = None if block_time_s is None else (block_time_s + window_s) * 1_000
    return BatchRow(**{name: numbers[name] for name in names}, status=_BATCH_STATUS[state], finalizes_at=finalizes_at)


async def _serve(settings: Settings, directory: DataDirectory, deployment: Deployment, recovered: Recovered) -> None:
    loop = asyncio.get_running_loop()
    stop = stop_event()
    listener = _listen(settings)
    sequencer = _sequencer(loop, recovered)
    commits, failed = _commits(loop, recovered, sequencer)
    commits.start()
    sequencer.submit(EpochStart(epoch=recovered.epoch))
    bus = UnixSocketServer(sequencer, directory.socket)
    health = ChainHealth(time.monotonic)
    gateway = Gateway(
        sequencer,
        _venue(settings, deployment),
        clock_ns=time.time_ns,
        readiness=health.readiness,
        relay=SettlerRelay(bus),
        extra_metrics=lambda: _metrics(sequencer, recovered, health),
    )

    def on_batches(body: bytes) -> None:
        for numbers in json.loads(body):
            row = _batch_row(numbers)
            health.note_batch(numbers)
            gateway.update_batch(row)

    bus.on_topic("chain", health.hear)
    bus.on_topic("batches", on_batches)
    gateway.start()
    await bus.start()
    server = _Server(gateway.uvicorn_config(settings.host, settings.port))
    keeper = Housekeeper(settings, directory, recovered)
    helpers = [
        asyncio.create_task(_tick_by_time(sequencer)),
        asyncio.create_task(keeper.run(lambda: sequencer.stats.committed_sequence)),
    ]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    gc.collect()
    gc.freeze()
    ends: list[asyncio.Future[Any]] = [stopping, failed, serving, *helpers]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        _die_of_journal(failed.result())
    for task in helpers:
        task.cancel()
    await bus.stop()
    gateway.stop()
    server.should_exit = True
    await serving
    commits.stop()
    recovered.writer.close()
    recovered.event_log.close()
    for task in helpers:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _die_of_journal(error: BaseException) -> None:
    """Memory is ahead of the disk: nothing may be released, and only a restart knows what is true."""
    _logger.critical("the journal failed: %s", error)
    sys.stderr.write(f"offbook: the journal failed, nothing more was acknowledged: {error}\n")
    sys.stderr.flush()
    os._exit(1)


def _metrics(sequencer: Sequencer, recovered: Recovered, health: ChainHealth) -> dict[str, float]:
    stats = sequencer.stats
    return {
        "commands_total": stats.commands,
        "groups_total": stats.groups,
        "shed_total": stats.shed,
        "fills_total": sequencer.state.trade_count,
        "committed_sequence": stats.committed_sequence,
        "journal_staged_commands": recovered.writer.staged_commands,
        "event_log_bytes": recovered.event_log.size_bytes,
        "acct_imbalance_units": sequencer.state.cash_sum_e6 - sequencer.state.collateral_e6,
        "batch_head": health.head,
        "batch_final": health.final,
        "batch_waiting": health.waiting,
        "batch_gas_per_fill": health.gas_per_fill,
    }
