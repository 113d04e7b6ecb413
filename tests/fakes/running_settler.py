"""The settler as it runs beside the exchange, over a market and a chain in this process."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import PostingPolicy
from exchange.bridge.settler import Settler
from exchange.domain.commands import Command
from exchange.domain.packing import CommandEvents, pack_events
from exchange.domain.views import Answer, Query
from exchange.engine.queries import answer
from exchange.journal.event_log import Blob
from settlement.onchain.outbox import BuiltBatch
from tests.fakes.settled_market import SettledMarket

__all__ = ["RunningSettler"]


class _Worker:
    """The blocking half, on this thread (`ChainWorker`)."""

    def __init__(self, market: SettledMarket) -> None:
        self._side = market.side

    async def store(self, batches: Sequence[BuiltBatch]) -> None:
        self._side.store(batches, 0)

    async def step(self, request_cursor: int, post_up_to: int) -> ChainStep:
        return self._side.step(request_cursor, post_up_to)


class RunningSettler:
    """A `Settler`, and the event log and the exchange that it sees; `step` is one turn of its loop."""

    def __init__(self, market: SettledMarket, folder: Path, *, batch_interval_s: float) -> None:
        """Follow the market's events from its first one on."""
        self._market = market
        self._taken = 0
        interval_ms = round(1_000 * batch_interval_s)
        self._settler = Settler(
            market.batcher,
            self,  # type: ignore[arg-type] - of the event log it needs `poll` alone
            _Worker(market),
            clock_s=lambda: float(market.chain.now_s),
            policy=PostingPolicy(interval_ms=interval_ms, deadline_ms=interval_ms),
            settled_path=folder / "settled",
        )

    def step(self) -> ChainStep:
        """One step of the settler; time stands still."""
        return asyncio.run(self._settler.step(self))

    def poll(self) -> list[Blob]:
        """What happened since (`EventLogReader`); the watcher's journal hears of it too."""
        market = self._market
        first, self._taken = self._taken, len(market.history)
        blobs = [pack_events([item]) for item in market.history[first:]]
        market.deltas.take(blobs)
        return [Blob(epoch=1, first_sequence=1, last_sequence=1, timestamp_ns=1, data=data) for data in blobs]

    async def execute(self, *commands: Command) -> list[CommandEvents]:
        """Sequence commands (`EnginePort`), at the chain's time."""
        self._market.catch_up()
        for command in commands:
            self._market.run(command)
        return self._market.history[-len(commands) :]

    async def query(self, query: Query) -> Answer:
        """Answer from the engine's state."""
        return answer(self._market.state, query)
