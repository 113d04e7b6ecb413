"""The settler: follows committed events, posts batches, brings confirmed chain requests in.

Theory of operation. Events come from the event log files by a cursor that is saved with the ledger; commands go to the
exchange over its port. A batch is cut when it is worth its transaction, or when confirmed requests wait: one group
holds the cut and the requests, so that requests are the first things of their batch. The chain may be away: events are
still folded and stored, trading goes on, batches wait in the outbox. `PostingPolicy` says when the time has come: then
the open batch is cut and everything stored may be posted. Batches that rounds and caps closed wait for that too. Where
nothing is posted for long, what is stored goes whatever the policy says, else an empty batch is cut: to the contract an
operator who posts nothing is one who is gone.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from exchange.bridge.batcher import Batcher
from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import FEES_KEPT, PostingPolicy, PostingView, Verdict
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

    async def step(self, request_cursor: int, post_up_to: int) -> ChainStep:
        """Look at the chain once; batches above `post_up_to` are not posted yet."""
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
        policy: PostingPolicy,
        settled_path: Path,
    ) -> None:
        """Continue where `batcher` was saved."""
        self._batcher = batcher
        self._events = events
        self._chain = chain
        self._clock_s = clock_s
        self.policy = policy
        self._settled_path = settled_path
        self._settled_sequence = -1
        self._last_cut_s = clock_s()
        self._waits_since_s: float | None = None
        self._open_batch = 0
        self._request_cursor = 0
        self._fees_wei: deque[int] = deque(maxlen=FEES_KEPT)
        self.post_up_to = 0
        """Last batch that was found worth its transaction, or is to be when it is closed."""
        self.cut_batch = 0
        """The last batch that was cut from here; 0 before the first."""
        self.is_asked = False
        """Set by the host: post what there is, whatever it costs. The next decision answers and clears it."""
        self.on_answer: Callable[[Verdict], None] = lambda _: None
        self.on_decision: Callable[[PostingView, Verdict], None] = lambda _view, _verdict: None
        self.on_step: Callable[[ChainStep], None] = lambda _: None

    async def step(self, port: EnginePort | None) -> ChainStep:
        """Fold new events, look at the chain, and cut a batch when it is time and the exchange answers."""
        await self._fold_events()
        chain = await self._chain.step(self._request_cursor, self.post_up_to)
        if chain.fee_wei is not None:
            self._fees_wei.append(chain.fee_wei)
        self.post_up_to = max(self.post_up_to, chain.status.head_seq)
        self.on_step(chain)
        await self._decide(port, chain)
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

    async def _decide(self, port: EnginePort | None, chain: ChainStep) -> None:
        """Cut and release when the policy says so. Without the exchange what is stored can be posted all the same."""
        summary = None if port is None else await port.query(GetSummary())
        if port is None or not isinstance(summary, SummaryView):
            verdict = self._verdict(chain, closed=chain.last_seq)
            if verdict.is_post or chain.needs_post:
                self.post_up_to = max(self.post_up_to, chain.last_seq)
            self._answer(verdict)
            return
        self._request_cursor = summary.request_index
        self._note_closed(summary.open_batch)
        requests = [row for row in chain.confirmed if row.index > summary.request_index][:MAX_REQUESTS_PER_CUT]
        has_content = bool(summary.open_batch_fill_count or summary.open_batch_expired_count)
        closed = max(chain.last_seq, summary.open_batch - 1)
        # A closed batch that is not on chain yet will be the post that is needed.
        is_idle = chain.needs_post and summary.open_batch == chain.status.head_seq + 1
        is_due = self.is_asked or self._clock_s() - self._last_cut_s >= self.policy.interval_ms / 1_000
        verdict = self._verdict(chain, closed=closed, has_content=has_content, has_requests=bool(requests))
        if verdict.is_post or chain.needs_post:
            self.post_up_to = max(self.post_up_to, closed)
            # What waits may be old batches alone: the open one has its own interval.
            is_cut = bool(requests) or is_idle or (has_content and is_due)
            has_room = chain.status.waiting_batches < MAX_WAITING_BATCHES
            if is_cut and has_room and not await self._cut(port, summary.open_batch, requests, is_idle=is_idle):
                return
        self._answer(verdict)

    async def _cut(
        self, port: EnginePort, open_batch: int, requests: Sequence[ChainRequestRecord], *, is_idle: bool
    ) -> bool:
        """Close the open batch, and take requests in; False when the exchange is too busy for it now."""
        commands: list[Command] = [BatchCut(allows_empty=is_idle and not requests)]
        commands += [command_of(row) for row in requests]
        if requests:
            # Requests without trades would wait for the next fill; a second cut closes their batch.
            commands.append(BatchCut())
        try:
            await port.execute(*commands)
        except Busy:
            return False
        self.cut_batch = open_batch
        self.post_up_to = max(self.post_up_to, open_batch + len(requests[:1]))
        self._last_cut_s, self._waits_since_s = self._clock_s(), None
        return True

    def _answer(self, verdict: Verdict) -> None:
        if self.is_asked:
            self.is_asked = False
            self.on_answer(verdict)

    def _verdict(
        self, chain: ChainStep, *, closed: int, has_content: bool = False, has_requests: bool = False
    ) -> Verdict:
        """Ask the policy about what is open, and what is closed (up to batch `closed`) and not released yet."""
        now_s, is_held = self._clock_s(), closed > self.post_up_to
        if not (has_content or is_held):
            self._waits_since_s = None
        elif self._waits_since_s is None:
            # First seen now, so a fill after a quiet hour is no older than one interval.
            self._waits_since_s = max(self._last_cut_s, now_s - self.policy.interval_ms / 1_000)
        age_ms = 0 if self._waits_since_s is None else round(1_000 * (now_s - self._waits_since_s))
        is_weighed = age_ms >= self.policy.interval_ms
        view = PostingView(
            has_content=has_content,
            age_ms=age_ms,
            cells=chain.waiting_cells + self._batcher.open_cells if is_weighed else 0,
            fees_wei=tuple(self._fees_wei),
            backlog=max(chain.status.waiting_batches, 1) if is_held else 0,
            has_requests=has_requests,
            is_asked=self.is_asked,
        )
        verdict = self.policy.decide(view)
        self.on_decision(view, verdict)
        return verdict

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
