"""The watcher's process, and `offbook watch`: chain on one side, the journal's events where they are at hand.

It holds every posted batch against its own replay of the chain and against the journal, and sends proofs and questions
by itself. On a development chain its key has gas and money for the bonds of questions; elsewhere it must be given both.
"""

import json
import logging
import time
from collections.abc import Callable

from exchange.app.config import Settings
from exchange.app.expected_deltas import JournalDeltas
from exchange.app.failures import Failure
from exchange.app.keys import watcher_key
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_flag
from exchange.domain.packing import BadRecord
from exchange.journal.errors import JournalError
from exchange.journal.event_log import EventLogReader
from settlement.onchain.deployment import load_deployment
from settlement.onchain.errors import ChainError
from settlement.onchain.rpc import RpcChain
from settlement.watch.history import BadHistory
from settlement.watch.watcher import Watcher, WatcherWrong

__all__ = ["Watch", "run"]

_logger = logging.getLogger(__name__)
_STEP_INTERVAL_S = 1.0


def run(settings: Settings, _name: str) -> None:
    """Watch until SIGTERM. Raises Failure when it cannot begin."""
    watch = Watch(settings, _logger.error)
    stopped = stop_flag()
    while not stopped.is_set():
        watch.step()
        stopped.wait(_STEP_INTERVAL_S)


class Watch:
    """Watcher and journal of one data directory."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        """Open both. Raises Failure when nothing is deployed here or what was saved cannot be read."""
        directory = DataDirectory(settings.data.resolve())
        directory.check_format()
        deployment = load_deployment(directory.deployment)
        if deployment is None:
            raise Failure(f"{directory.deployment}: not here; `offbook up` deploys the contracts first")
        directory.watcher.mkdir(parents=True, exist_ok=True)
        self._say = say
        self._wrong = self._gap = ""
        self.trouble = ""
        """Why the last step checked less than there is; empty when nothing was in the way."""
        self._report = directory.watcher / "report.json"
        try:
            self._deltas = JournalDeltas(directory.watcher / "deltas.bin")
            self._events = EventLogReader(directory.exchange / "events", self._deltas.cursor)
            self._watcher = Watcher(
                RpcChain(settings.chain_url),
                deployment.settlement,
                deployment.token,
                deployment.deploy_block,
                watcher_key(settings),
                confirmations=settings.confirmations_needed,
                expected=self._deltas,
                path=directory.watcher / "history.bin",
                say=say,
            )
        except BadHistory as error:
            raise Failure(f"watcher: {error}") from error

    def step(self) -> int:
        """Take new events and blocks; returns the last batch checked. A chain that is away is tried again later.

        A watcher that the contract contradicts does nothing more; trading goes on, and the report says so.
        """
        trouble = self._wrong
        if not trouble:
            self._follow_journal()
            try:
                self._watcher.step()
                trouble = self._gap
            except ChainError as error:
                trouble = str(error)
            except WatcherWrong as error:
                trouble = self._wrong = str(error)
                self._say(trouble)
        self.trouble = trouble
        checked = self._watcher.history.seq
        report = {"checked": checked, "time_s": int(time.time()), "trouble": trouble, "freeze": self._watcher.freeze}
        temporary = self._report.with_suffix(".new")
        temporary.write_text(json.dumps(report) + "\n")
        temporary.replace(self._report)
        return checked

    def _follow_journal(self) -> None:
        """Without the journal every root is still checked, but nobody says what accounts should have gained."""
        if self._gap:
            return
        try:
            while blobs := self._events.poll():
                self._deltas.take(blob.data for blob in blobs)
        except (JournalError, BadRecord) as error:
            self._gap = f"deltas are not compared any more: {error}"
            self._say(self._gap)
