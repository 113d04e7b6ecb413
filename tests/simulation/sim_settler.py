"""The settler's process in the simulator: production settler, batcher, outbox, poster and request reader.

The ledger file lives on the simulated disk. The outbox is a sqlite file in memory: each of its writes is one durable
transaction, so what a crash can take away lies between two of them, and nothing inside.
"""

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.batcher import Batcher
from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import PostingPolicy
from exchange.bridge.settler import Settler
from exchange.bus.interface import Busy
from exchange.domain.commands import Command
from exchange.domain.packing import CommandEvents
from exchange.domain.views import Answer, Output, Query
from exchange.journal.disk import read_whole, write_durably
from exchange.journal.event_log import EventLogReader
from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.outbox import BuiltBatch, Outbox
from settlement.onchain.poster import Poster, PosterSettings
from settlement.onchain.requests import ChainRequestRecord, RequestReader
from settlement.protocol.ledger import LedgerState
from tests.simulation.auditor import Auditor
from tests.simulation.history import InvariantBroken, Operation
from tests.simulation.sim_chain import SimChain
from tests.simulation.sim_disk import SimDisk
from tests.simulation.sim_exchange import SimExchange
from tests.simulation.sim_loop import SimLoop

__all__ = ["SettlerKilledError", "SimPath", "SimSettler"]

STEP_NS = 100_000_000
OPERATOR_KEY = b"\x09" * 32


class SettlerKilledError(Exception):
    """The settler's process was killed in the middle of a call."""


class LinkDownError(Exception):
    """The exchange went away while the settler waited for it."""


class SimPath:
    """The small file of the settled sequence: written aside, renamed, never synced."""

    def __init__(self) -> None:
        self.text = ""

    def with_suffix(self, _: str) -> "SimPath":
        """Another file beside it."""
        return SimPath()

    def write_text(self, text: str) -> None:
        """Fill the file."""
        self.text = text

    def replace(self, target: "SimPath") -> None:
        """Take the target's name."""
        target.text = self.text


class SimLedgerStore:
    """`LedgerStore` on the simulated disk: temp, sync, rename, folder sync."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        disk.mkdir("settler")

    def load(self) -> tuple[BatchAssembler, LedgerState]:
        """What was saved, or the empty beginning."""
        if not self._disk.exists("settler/ledger.bin"):
            return BatchAssembler(), LedgerState()
        assembler, ledger = msgspec.msgpack.decode(read_whole(self._disk, "settler/ledger.bin"))
        return BatchAssembler.load(assembler), LedgerState.from_bytes(ledger)

    def save(self, assembler: BatchAssembler, ledger: LedgerState) -> None:
        """Replace the file durably."""
        saved = msgspec.msgpack.encode([assembler.dump(), ledger.to_bytes()])
        write_durably(self._disk, "settler", "ledger.bin", saved)


class _Call:
    """What the settler waits for; the process resumes it with the outputs."""

    def __init__(self, commands: tuple[Command, ...], query: Query | None) -> None:
        self.commands = commands
        self.query = query

    def __await__(self) -> Generator["_Call", Any, Any]:
        return (yield self)


class _Port:
    """`EnginePort` by suspended calls."""

    async def execute(self, *commands: Command) -> list[CommandEvents]:
        outputs: Sequence[Output] = await _Call(commands, None)
        return [CommandEvents(row.sequence, row.timestamp_ns, list(row.events)) for row in outputs]

    async def query(self, query: Query) -> Answer:
        answer: Answer = await _Call((), query)
        return answer


class _Chain:
    """`ChainWorker` without a thread."""

    def __init__(self, chain: SimChain, outbox: Outbox, auditor: Auditor, clock_s: Callable[[], float]) -> None:
        self._outbox = outbox
        self._auditor = auditor
        self._clock_s = clock_s
        settings = PosterSettings(safe_confirmations=2, final_confirmations=4, replace_after_s=3.0)
        self._poster = Poster(chain, chain.deployment, outbox, OPERATOR_KEY, settings, clock_s)
        self._requests = RequestReader(chain, chain.deployment, 4)

    async def store(self, batches: Sequence[BuiltBatch]) -> None:
        for batch in batches:
            self._auditor.on_built(batch)
            self._outbox.add(batch, int(self._clock_s() * 1_000))

    async def step(self, request_cursor: int, post_up_to: int) -> ChainStep:
        self._poster.post_up_to = post_up_to
        status = self._poster.step()
        for _ in range(8):
            if not status.moved:
                break
            status = self._poster.step()
        if status.state in ("halted", "blocked"):
            raise InvariantBroken("posted-in-order-once", f"the poster is {status.state}: {status.detail}")
        confirmed: tuple[ChainRequestRecord, ...] = ()
        with suppress(RpcUnavailable):
            confirmed = self._requests.poll(request_cursor).confirmed
        rows = self._outbox.batches()
        final = next((row.last_sequence for row in rows if row.finalized), 0)
        last, seq = (rows[0].last_sequence, rows[0].seq) if rows else (0, 0)
        return ChainStep(
            status=status, confirmed=confirmed, rows=(), final_sequence=final, last_sequence=last, last_seq=seq
        )


class SimSettler:
    """Steps every 100 ms of virtual time; killed and started at any await and at any disk or chain operation."""

    def __init__(
        self, loop: SimLoop, disk: SimDisk, chain: SimChain, auditor: Auditor, exchange: SimExchange, settled: SimPath
    ) -> None:
        self._loop = loop
        self._disk = disk
        self._chain = chain
        self._auditor = auditor
        self._exchange = exchange
        self._settled = settled
        self._outbox = Outbox(":memory:")
        self._coroutine: Coroutine[Any, Any, ChainStep] | None = None
        self._settler: Settler | None = None
        self.starts = 0
        self.waiting_batches = 0

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._settler is not None

    def start(self) -> None:
        """Load what was saved and go on."""
        store = SimLedgerStore(self._disk)
        batcher = Batcher(*store.load(), store)  # type: ignore[arg-type]
        self._settler = Settler(
            batcher,
            EventLogReader("events", batcher.cursor, disk=self._disk),
            _Chain(self._chain, self._outbox, self._auditor, self._clock_s),
            clock_s=self._clock_s,
            policy=PostingPolicy(interval_ms=700, deadline_ms=700),
            settled_path=self._settled,  # type: ignore[arg-type]
        )
        self.starts += 1
        self._loop.schedule(STEP_NS, "settler", self._step, life="settler")

    def stop(self) -> None:
        """The process is gone."""
        self._loop.end_life("settler")
        self._drop_call()
        self._settler = None

    def on_exchange_gone(self) -> None:
        """A call that waits will never be answered."""
        if self._coroutine is not None:
            self._drop_call(LinkDownError())
            self._loop.schedule(STEP_NS, "settler", self._step, life="settler")

    def _clock_s(self) -> float:
        return self._loop.now_ns / 1e9

    def _drop_call(self, error: Exception | None = None) -> None:
        """Forget the step that waits; a link that went down is an exception inside it, a kill is nothing at all."""
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None and error is not None:
            with suppress(LinkDownError, StopIteration):
                coroutine.throw(error)
        elif coroutine is not None:
            coroutine.close()

    def _step(self) -> None:
        if self._settler is None:
            return
        self._coroutine = self._settler.step(_Port() if self._exchange.is_up else None)
        self._resume(None)

    def _resume(self, value: Any) -> None:
        """Run until the next call, the end of the step, or Busy."""
        while self._coroutine is not None:
            try:
                call = self._coroutine.send(value)
                if self._invoke(call):
                    return
                self._coroutine.throw(Busy())
            except (StopIteration, Busy):
                break
        self._coroutine = None
        self._auditor.on_chain(self._chain)
        self.waiting_batches = self._outbox.waiting()
        self._loop.schedule(STEP_NS, "settler", self._step, life="settler")

    def _invoke(self, call: _Call) -> bool:
        coroutine = self._coroutine

        def later(value: Any) -> None:
            if value is not None and self._coroutine is coroutine:
                self._loop.schedule(50_000, "settler-reply", lambda: self._reply(coroutine, value), life="settler")

        return self._exchange.invoke(Operation("settler", call.commands, later, query=call.query))

    def _reply(self, coroutine: object, value: Any) -> None:
        if self._coroutine is coroutine:
            self._resume(value)
