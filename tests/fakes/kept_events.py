"""The history on disk beside a gateway in one process: every commit folded into a real file, read by the real desk."""

from collections.abc import Sequence
from pathlib import Path

from exchange.app.history_desk import HistoryDesk
from exchange.domain.packing import CommandEvents
from exchange.domain.views import Output
from exchange.historian.account_events import EventPage
from exchange.historian.fold import Fold
from exchange.historian.store import HistoryStore
from tests.fakes.small_exchange import SmallExchange

__all__ = ["KeptEvents"]


class KeptEvents:
    """An Archive of events. While `is_away` the historian takes nothing, and nobody waits for it."""

    def __init__(self, folder: Path, world: SmallExchange, **options: int) -> None:
        """Begin now, with the instruments that are listed."""
        self.store = HistoryStore(folder, **options)
        self.store.begin_at(world.port.state.sequence + 1)
        self.store.know(world.instruments.values())
        self.fold: Fold = self.store.fold()
        self.committed = world.port.state.sequence
        self.desk = HistoryDesk(folder, lambda: self.store.cursor if self.is_away else self.committed)
        self.is_away = False
        self.missed: list[Output] = []
        self.reads = self.most_reads = 0

    def take(self, outputs: Sequence[Output]) -> None:
        """Listen to the exchange."""
        self.committed = max(self.committed, outputs[-1].sequence)
        self.missed += outputs
        if self.is_away:
            return
        for output in self.missed:
            if output.sequence > self.store.cursor:
                command = CommandEvents(output.sequence, output.timestamp_ns, output.events)
                kept = list(self.fold.take(command))
                self.store.append(output.sequence, kept, self.fold, list(self.fold.account_events(command)))
        self.missed = []

    async def events(self, subaccount: int, after_seq: int, limit_bytes: int) -> EventPage:
        """See Archive."""
        is_page = limit_bytes > 1
        self.reads += is_page
        self.most_reads = max(self.most_reads, self.reads)
        try:
            return await self.desk.events(subaccount, after_seq, limit_bytes)
        finally:
            self.reads -= is_page

    def close(self) -> None:
        """Close file and thread."""
        self.desk.close()
        self.store.close()
