"""The exchange's process: recovery, sequencer, commit threads, gateway and the unix socket in one event loop."""

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import uvloop

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.housekeeping import Housekeeper
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.app.recovery import Recovered, recover_exchange
from exchange.bus.unix_socket import UnixSocketServer
from exchange.domain.commands import EpochStart
from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import Readiness
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError
from exchange.journal.writer import CommitThread
from exchange.sequencer.replay import ReplayDiverged
from exchange.sequencer.sequencer import Sequencer
from exchange.wire.venue import VenueInfo
from matching_core import COMPILED, OrderBook
from settlement.onchain.deploy import Deployment, load_deployment

__all__ = ["ChainHealth", "run"]

_CLOCK_POLL_S = 0.05
_CHAIN_SILENCE_S = 15.0
_logger = logging.getLogger(__name__)


class ChainHealth:
    """What the settler last said of the chain; silence counts as trouble."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Nothing was heard yet."""
        self._clock_s = clock_s
        self._heard_s = clock_s()
        self._state = "starting"
        self._detail = ""

    def hear(self, body: bytes) -> None:
        """Take the settler's report."""
        report = json.loads(body)
        self._state, self._detail = report["state"], report["detail"]
        self._heard_s = self._clock_s()

    def trouble(self) -> str:
        """One line for `/ready` and the page; empty while all is well."""
        if self._clock_s() - self._heard_s > _CHAIN_SILENCE_S:
            return "the settler is silent; batches wait"
        if self._state in ("chain_down", "blocked", "halted"):
            return f"chain {self._state.removeprefix('chain_')}: batches wait ({self._detail})"
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


async def _serve(settings: Settings, directory: DataDirectory, deployment: Deployment, recovered: Recovered) -> None:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[BaseException] = loop.create_future()
    sequencer = _sequencer(loop, recovered)

    def on_failure(error: BaseException) -> None:
        loop.call_soon_threadsafe(lambda: failed.done() or failed.set_result(error))

    commits = CommitThread(
        recovered.writer,
        lambda sequence: loop.call_soon_threadsafe(sequencer.committed, sequence),
        on_failure,
    )
    commits.start()
    sequencer.submit(EpochStart(epoch=recovered.epoch))
    health = ChainHealth(time.monotonic)
    gateway = Gateway(sequencer, venue_of(settings, deployment), clock_ns=time.time_ns, readiness=_readiness(health))
    bus = UnixSocketServer(sequencer, directory.socket)
    bus.on_topic("chain", health.hear)
    bus.on_topic("batches", gateway.update_batches)
    relay = SettlerRelay(bus)
    gateway.relay = relay
    await bus.start()
    await gateway.start(settings.host, settings.port)
    keeper = Housekeeper(settings, directory, recovered)
    ticking = asyncio.create_task(_tick_by_time(sequencer))
    keeping = asyncio.create_task(keeper.run(lambda: sequencer.stats.committed_sequence))
    gc.collect()
    gc.freeze()
    stopping = asyncio.create_task(stop_event().wait())
    await asyncio.wait({stopping, failed}, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        # Memory is ahead of the disk: nothing may be released, and only a restart knows what is true.
        _logger.critical("the journal failed: %s", failed.result())
        sys.stderr.write(f"journal failed: {failed.result()}\n")
        sys.stderr.flush()
        os._exit(1)
    for task in (ticking, keeping):
        task.cancel()
    await gateway.stop()
    await bus.stop()
    commits.stop()
    recovered.writer.close()
    recovered.event_log.close()
