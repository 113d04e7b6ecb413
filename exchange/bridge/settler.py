"""The settler: follows committed events, posts batches, brings confirmed chain requests in.

Theory of operation. Events come from the event log files by a cursor that is saved with the ledger; commands go to the
exchange over its port. A batch is cut when it has content and is old enough, or when confirmed requests wait: one group
holds the cut and the requests, so that requests are the first things of their batch. The chain may be away: events are
still folded and stored, trading goes on, batches wait in the outbox. Where nothing happens for long, an empty batch is
cut: to the contract an operator who posts nothing is one who is gone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from exchange.bridge.batcher import Batcher
from exchange.bridge.chain_side import ChainStep
from exchange.bus.interface import Busy
from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind, Command
from exchange.domain.packing import CommandEvents
from exchange.domain.views import Answer, GetSummary, Query, SummaryView
from exchange.journal.event_log import EventLogReader
from settlement.onchain.outbox import BuiltBatch
from settlement.onchain.requests import ChainRequestRecord

__all__ = ["ChainWorker", "EnginePort", "Settler", "command_of"]

MAX_REQUESTS_PER_CUT: Final = 64
MAX_WAITING_BATCHES: Final = 8
"""With so many batches not on chain yet no other is cut: requests and fills gather in the open one."""
SAVE_EVERY_SEQUENCES: Final = 20_000
POLLS_PER_STEP: Final = 16


class EnginePort(Protocol):
    """What the settler needs of the exchange."""

    async def execute(self, *commands: Command) -> list[CommandEvents]:
        """Sequence commands together."""
        ...

    async def query(self, query: Query) -> Answer:
        """Answer a question."""
        ...


class ChainWorker(Protocol):
    """What the settler needs of the blocking half, as awaitables."""

    async def store(self, batches: Sequence[BuiltBatch]) -> None:
        """Make built batches durable."""
        ...

    async def step(self, request_cursor: int) -> ChainStep:
        """Look at the chain once."""
        ...


class Settler:
    """One step of everything; the host decides how often."""

    def __init__(
        self,
        batcher: Batcher,
        events: EventLogReader,
        chain: ChainWorker,
        *,
        clock_s: Callable[[], float],
        batch_interval_s: float,
        settled_path: Path,
    ) -> None:
        """Continue where `batcher` was saved."""
        self._batcher = batcher
        self._events = events
        self._chain = chain
        self._clock_s = clock_s
        self._batch_interval_s = batch_interval_s
        self._settled_path = settled_path
        self._settled_sequence = -1
        self._last_cut_s = clock_s()
        self._open_batch = 0
        self._request_cursor = 0
        self.on_step: Callable[[ChainStep], None] = lambda _: None

    async def step(self, port: EnginePort | None) -> ChainStep:
        """Fold new events, look at the chain, and cut a batch when it is time and the exchange answers."""
        await self._fold_events()
        chain = await self._chain.step(self._request_cursor)
        self.on_step(chain)
        if port is not None:
            await self._bring_in(port, chain)
        self._note_settled(chain)
        return chain

    async def _fold_events(self) -> None:
        for _ in range(POLLS_PER_STEP):
            blobs = self._events.poll()
            if not blobs:
                return
            built = self._batcher.take(blob.data for blob in blobs)
            if built:
                await self._chain.store(built)
            if built or self._batcher.cursor - self._batcher.saved_cursor > SAVE_EVERY_SEQUENCES:
                self._batcher.save()

    async def _bring_in(self, port: EnginePort, chain: ChainStep) -> None:
        summary = await port.query(GetSummary())
        if not isinstance(summary, SummaryView):
            return
        self._request_cursor = summary.request_index
        self._note_closed(summary.open_batch)
        waiting = [row for row in chain.confirmed if row.index > summary.request_index][:MAX_REQUESTS_PER_CUT]
        due = self._clock_s() - self._last_cut_s >= self._batch_interval_s
        has_content = summary.open_batch_fill_count or summary.open_batch_expired_count
        # A closed batch that is not on chain yet will be the post that is needed.
        is_idle = chain.needs_post and summary.open_batch == chain.status.head_seq + 1
        if not (waiting or is_idle or (due and has_content)):
            return
        if chain.status.waiting_batches >= MAX_WAITING_BATCHES:
            return
        commands: list[Command] = [BatchCut(allows_empty=is_idle and not waiting)]
        commands += [command_of(row) for row in waiting]
        if waiting:
            # Requests without trades would wait for the next fill; a second cut closes their batch.
            commands.append(BatchCut())
        try:
            await port.execute(*commands)
        except Busy:
            return
        self._last_cut_s = self._clock_s()

    def _note_closed(self, open_batch: int) -> None:
        """A batch that an oracle round or a cap closed is as good as a cut: the next one gets its whole interval."""
        if self._open_batch and open_batch != self._open_batch:
            self._last_cut_s = self._clock_s()
        self._open_batch = open_batch

    def _note_settled(self, chain: ChainStep) -> None:
        """Tell the exchange below which sequence its journal serves nobody's settlement any more."""
        everything_final = chain.final_sequence >= chain.last_sequence and not self._batcher.has_open_content
        settled = self._batcher.saved_cursor if everything_final else min(
            chain.final_sequence, self._batcher.saved_cursor
        )  # fmt: skip
        if settled > self._settled_sequence:
            temporary = self._settled_path.with_suffix(".new")
            temporary.write_text(f"{settled}\n")
            temporary.replace(self._settled_path)
            self._settled_sequence = settled


def command_of(record: ChainRequestRecord) -> ChainRequest:
    """The journaled command of a confirmed queue entry."""
    return ChainRequest(
        index=record.index,
        kind=ChainRequestKind(int(record.kind)),
        account=record.account,
        amount_e6=record.amount_e6,
        owner=record.owner,
        key=record.key,
        valid_to_s=record.valid_to_s,
        scopes=record.scopes,
        accounts=record.accounts,
    )
