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
from collections.abc import Callable
from typing import Any, Final

import uvloop

from exchange.app.chain_health import ChainHealth, batch_row
from exchange.app.config import Settings
from exchange.app.factor_file import FactorFile
from exchange.app.failures import Failure
from exchange.app.history_desk import HistoryDesk
from exchange.app.housekeeping import Housekeeper, sequence_in
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.app.public_feeds import PublicFeeds
from exchange.app.recovery import Recovered, recover_exchange
from exchange.app.relay import SettlerRelay
from exchange.app.serving import Server, listen
from exchange.app.venue import venue_of
from exchange.bus.unix_socket import UnixSocketServer
from exchange.domain.commands import EpochStart
from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import GatewaySettings
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError
from exchange.journal.writer import CommitThread
from exchange.sequencer.replay import ReplayDiverged
from exchange.sequencer.sequencer import Sequencer
from matching_core import COMPILED, OrderBook
from settlement.onchain.deployment import Deployment, load_deployment

__all__ = ["run"]

_CLOCK_POLL_S: Final = 0.05
_logger = logging.getLogger(__name__)


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
            cursors={"settler": sequence_in(directory.settled), "historian": sequence_in(directory.remembered)},
            segment_bytes=settings.segment_bytes,
            event_log_bytes=settings.event_log_bytes,
        )
    except (JournalError, ReplayDiverged) as error:
        raise Failure(str(error)) from error
    _report(recovered)
    uvloop.run(_serve(settings, directory, deployment, recovered))


def _report(recovered: Recovered) -> None:
    if recovered.recovery.torn is not None:
        sys.stderr.write(f"journal: {recovered.recovery.torn}\n")
    sys.stderr.write(
        f"recovered at sequence {recovered.state.sequence}, {recovered.replayed_commands} commands replayed, "
        f"epoch {recovered.epoch}, {'compiled' if COMPILED else 'reference'} book\n"
    )


def _guarded(call: Callable[..., None], failed: asyncio.Future[BaseException]) -> Callable[..., None]:
    """`call`, whose first exception ends the process: this memory is ahead of the disk."""

    def run_guarded(*arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it was
            _resolve(failed, error)

    return run_guarded


def _commits(
    loop: asyncio.AbstractEventLoop,
    recovered: Recovered,
    sequencer: Sequencer,
    failed: asyncio.Future[BaseException],
) -> CommitThread:
    release = _guarded(sequencer.committed, failed)

    def on_committed(sequence: int) -> None:
        loop.call_soon_threadsafe(release, sequence)

    def on_failure(error: BaseException) -> None:
        loop.call_soon_threadsafe(_resolve, failed, error)

    return CommitThread(recovered.writer, on_committed, on_failure)


def _sequencer(
    loop: asyncio.AbstractEventLoop, recovered: Recovered, failed: asyncio.Future[BaseException]
) -> Sequencer:
    scheduled = False

    def tick() -> None:
        nonlocal scheduled
        scheduled = False
        guarded_tick()

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
    guarded_tick = _guarded(sequencer.tick, failed)
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


class _Host:
    """Gateway, bus and helpers around one sequencer; started and stopped in a fixed order."""

    def __init__(
        self, settings: Settings, directory: DataDirectory, deployment: Deployment, recovered: Recovered
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._recovered = recovered
        self.failed: asyncio.Future[BaseException] = loop.create_future()
        self._sequencer = _sequencer(loop, recovered, self.failed)
        self._commits = _commits(loop, recovered, self._sequencer, self.failed)
        self._bus = UnixSocketServer(self._sequencer, directory.socket)
        self._health = ChainHealth(time.monotonic)
        self._history = HistoryDesk(directory.history, lambda: self._sequencer.stats.committed_sequence)
        self._gateway = Gateway(
            self._sequencer,
            venue_of(settings, deployment),
            clock_ns=time.time_ns,
            settings=GatewaySettings(offers_portfolio_margin=settings.portfolio_margin),
            readiness=self._health.readiness,
            relay=SettlerRelay(self._bus),
            extra_metrics=self._metrics,
            factor_store=FactorFile(directory.factors),
            archive=self._history,
        )
        self._bus.on_topic("chain", self._health.hear)
        self._bus.on_topic("batches", self._on_batches)
        self._keeper = Housekeeper(settings, directory, recovered)
        self._feeds = PublicFeeds(settings, directory, self._gateway, recovered.epoch) if settings.redis else None
        self._server = Server(self._gateway.uvicorn_config(settings.host, settings.port))
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, listener: socket.socket) -> None:
        """Begin a new epoch and open the doors."""
        self._commits.start()
        self._sequencer.submit(EpochStart(epoch=self._recovered.epoch))
        self._gateway.start()
        await self._bus.start()
        if self._feeds is not None:
            self._feeds.start(self._bus)
        self.tasks = [
            asyncio.create_task(_tick_by_time(self._sequencer)),
            asyncio.create_task(self._keeper.run(lambda: self._sequencer.stats.committed_sequence)),
            asyncio.create_task(self._server.serve(sockets=[listener])),
        ]

    async def stop(self) -> None:
        """Close the doors, commit what is staged, mark the journal as cleanly ended."""
        *helpers, serving = self.tasks
        for task in helpers:
            task.cancel()
        if self._feeds is not None:
            await self._feeds.stop()
        await self._bus.stop()
        self._gateway.stop()
        self._history.close()
        self._server.should_exit = True
        await serving
        self._sequencer.tick()
        self._commits.stop()
        # The commit thread's last call may still wait in the loop; what is on disk is released here.
        self._sequencer.committed(self._recovered.writer.last_committed)
        self._recovered.writer.close()
        self._recovered.event_log.close()
        for task in helpers:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _on_batches(self, body: bytes) -> None:
        for numbers in json.loads(body):
            self._health.note_batch(numbers)
            row = batch_row(numbers)
            self._gateway.update_batch(row)
            if self._feeds is not None:
                self._feeds.update_batch(row)

    def _metrics(self) -> dict[str, float]:
        feeds = {} if self._feeds is None else self._feeds.metrics()
        return _metrics(self._sequencer, self._recovered, self._health) | feeds


async def _serve(settings: Settings, directory: DataDirectory, deployment: Deployment, recovered: Recovered) -> None:
    stop = stop_event()
    listener = listen(settings.host, settings.port)
    host = _Host(settings, directory, deployment, recovered)
    await host.start(listener)
    stopping = asyncio.create_task(stop.wait())
    gc.collect()
    gc.freeze()
    ends: list[asyncio.Future[Any]] = [stopping, host.failed, *host.tasks]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if host.failed.done():
        _die(host.failed.result())
    for task in host.tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            _die(error)
    await host.stop()


def _die(error: BaseException) -> None:
    """Memory is ahead of the disk: nothing may be released, and only a restart knows what is true."""
    _logger.critical("the writer failed", exc_info=error)
    sys.stderr.write(f"offbook: the writer failed, nothing more was acknowledged: {error!r}\n")
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
