"""Holds the exchange to its promises: after every step, at every reply, after every restart, for every batch."""

import hashlib
from collections import deque
from collections.abc import Sequence

from exchange.app.recovery import Recovered
from exchange.domain.commands import Clock, Command, Place
from exchange.domain.events import CommandRefused, OrderRefused, OrderRepeated
from exchange.domain.packing import CommandEvents, pack_command, pack_events, unpack_commands
from exchange.domain.views import Answer, Output, SummaryView
from exchange.engine.invariants import check_invariants
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.journal.writer import JournalWriter
from exchange.sequencer.replay import ReplayedGroup, rebuild
from matching_core import OrderBook
from settlement.onchain.outbox import BuiltBatch
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256
from tests.simulation.history import Operation, Outcome
from tests.simulation.model import LedgerModel, expect
from tests.simulation.sim_chain import SimChain
from tests.simulation.sim_disk import SimDisk
from tests.simulation.sim_loop import SimLoop

__all__ = ["Auditor"]

FULL_CHECK_EVERY = 500


class Auditor:
    """Sees admissions, replies, released outputs, recoveries, built batches and the chain."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.model = LedgerModel()
        self.operations: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self.built: dict[int, BuiltBatch] = {}
        self.replayed_commands = 0
        self._checked_batches = 0
        self._writer: JournalWriter | None = None
        self._waiting: deque[Operation] = deque()
        self._unanswered: deque[Operation] = deque()
        self._replied: dict[int, Output] = {}
        self._last_reply = 0
        self._events: dict[int, bytes] = {}
        self._commands: dict[int, bytes] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._waiting

    @property
    def all_built(self) -> bool:
        """Whether every closed batch was built and compared."""
        return self._checked_batches == len(self.model.batches)

    # While the exchange runs

    def attach(self, writer: JournalWriter) -> None:
        """Ask this writer what is durable."""
        self._writer = writer

    def on_admitted(self, operation: Operation) -> None:
        """The inbox took an operation."""
        self._waiting.append(operation)

    def on_reply(self, operation: Operation, outputs: tuple[Output, ...]) -> None:
        """A reply: in order of admission, of durable commands, before the listeners hear of them."""
        self._expect_next(operation)
        for command, output in zip(operation.commands, outputs, strict=True):
            self._expect_durable(output.sequence, "reply")
            expect(output.sequence > self._last_reply, "replies-in-order", f"{output.sequence}, {self._last_reply}")
            expect(output.sequence > self.model.sequence, "replies-before-listeners", f"sequence {output.sequence}")
            self._last_reply = output.sequence
            self._replied[output.sequence] = output
            self._commands[output.sequence] = _digest(*pack_command(command))
            _expect_no_effect_of_refusal(command, output)
        sequences = tuple(output.sequence for output in outputs)
        expect(sequences == tuple(range(sequences[0], sequences[0] + len(outputs))), "together", f"{sequences}")
        operation.sequences = sequences
        self._end(operation, Outcome.OK, outputs)

    def on_answer(self, operation: Operation, answer: Answer) -> None:
        """An answer: at its place, and it shows nothing that is not durable."""
        self._expect_next(operation)
        if isinstance(answer, SummaryView):
            self._expect_durable(answer.sequence, "answer")
        self.operations[Outcome.OK] += 1
        operation.learn(answer)  # type: ignore[arg-type]

    def on_outputs(self, outputs: Sequence[Output]) -> None:
        """Released to everybody, once per commit."""
        for output in outputs:
            self._expect_durable(output.sequence, "output")
            replied = self._replied.pop(output.sequence, output)
            expect(replied is output, "one-output", f"sequence {output.sequence}")
            self._take(CommandEvents(output.sequence, output.timestamp_ns, list(output.events)))
        expect(not self._replied, "replies-are-listed", f"{sorted(self._replied)[:3]}")
        self._check_batches()

    def after_step(self, state: State | None) -> None:
        """Sums of the live state, always; everything from scratch now and then."""
        if state is None:
            return
        cash_e6 = sum(account.ledger_cash_e6 for account in state.accounts.values())
        expect(cash_e6 == state.collateral_e6, "zero-sum-cash", f"cash {cash_e6}, collateral {state.collateral_e6}")
        lots: dict[int, int] = {}
        for account in state.accounts.values():
            for number, position in account.positions.items():
                lots[number] = lots.get(number, 0) + position.lots
        expect(not any(lots.values()), "zero-sum-positions", f"{lots}")
        if self._loop.steps % FULL_CHECK_EVERY == 0:
            check_invariants(state)

    def _expect_next(self, operation: Operation) -> None:
        expect(bool(self._waiting) and self._waiting[0] is operation, "replies-in-order", operation.client)
        self._waiting.popleft()

    def _expect_durable(self, sequence: int, what: str) -> None:
        durable = 0 if self._writer is None else self._writer.last_committed
        expect(sequence <= durable, "released-is-durable", f"{what} of sequence {sequence}, durable {durable}")

    def _end(self, operation: Operation, outcome: Outcome, outputs: Sequence[Output] | None) -> None:
        operation.outcome = outcome
        self.operations[outcome] += 1
        operation.learn(outputs)

    def _take(self, item: CommandEvents) -> None:
        self.model.take(item)
        packed = pack_events([item])
        self._events[item.sequence] = _digest(packed)
        self._loop.note(packed)

    # Crash and restart

    def on_crash(self) -> None:
        """Whoever waits gets no answer."""
        self._writer = None
        self._replied.clear()
        for operation in self._waiting:
            operation.outcome = Outcome.INFO
            self.operations[Outcome.INFO] += 1
        self._unanswered.extend(self._waiting)
        self._waiting.clear()

    def on_recovered(self, disk: SimDisk, recovered: Recovered) -> None:
        """Replay once more, from another snapshot if need be, and settle every open question."""
        released = self.model.sequence
        groups: list[ReplayedGroup] = []
        fresh = rebuild(disk, OrderBook, at_most=released, on_group=groups.append)
        expect(fresh.sequence >= released, "acknowledged-is-kept", f"released {released}, replay {fresh.sequence}")
        same = fresh.sequence == recovered.state.sequence and state_hash(fresh) == state_hash(recovered.state)
        expect(same, "replay-is-deterministic", f"{fresh.sequence} and {recovered.state.sequence}")
        expect(recovered.event_log.last_sequence in (0, fresh.sequence), "event-log-is-filled",
               f"{recovered.event_log.last_sequence}, state {fresh.sequence}")  # fmt: skip
        tail: list[tuple[Command, CommandEvents]] = []
        for group in groups:
            commands = unpack_commands(group.group.records, group.group.attachments)
            for command, item in zip(commands, group.history, strict=True):
                self.replayed_commands += 1
                if item.sequence > released:
                    tail.append((command, item))
                else:
                    self._compare_acknowledged(command, item)
        self._resolve(tail)
        self._compare_state(fresh)
        self._check_batches()

    def _compare_acknowledged(self, command: Command, item: CommandEvents) -> None:
        same = self._events[item.sequence] == _digest(pack_events([item]))
        expect(same, "acknowledged-is-kept", f"sequence {item.sequence}: replay gives other events than were released")
        known = self._commands.get(item.sequence)
        if known is not None:
            expect(known == _digest(*pack_command(command)), "acknowledged-is-kept", f"command {item.sequence}")

    def _resolve(self, tail: list[tuple[Command, CommandEvents]]) -> None:
        """The unanswered that were done are the first ones admitted, whole and in order; the rest never happened."""
        found: list[Output] = []
        for command, item in tail:
            self._take(item)
            if isinstance(command, Clock):
                continue
            while self._unanswered and self._unanswered[0].query is not None:
                self._drop(self._unanswered.popleft())
            expect(bool(self._unanswered), "nobody-else", f"sequence {item.sequence} was never admitted: {command}")
            operation = self._unanswered[0]
            expect(operation.commands[len(found)] == command, "nobody-else", f"sequence {item.sequence}: {command}")
            self._commands[item.sequence] = _digest(*pack_command(command))
            found.append(
                Output(sequence=item.sequence, timestamp_ns=item.timestamp_ns, events=tuple(item.events), orders={})
            )
            if len(found) == len(operation.commands):
                self._end(self._unanswered.popleft(), Outcome.FOUND, tuple(found))
                found = []
        expect(not found, "all-or-nothing", f"{len(found)} commands of one submission")
        while self._unanswered:
            self._drop(self._unanswered.popleft())

    def _drop(self, operation: Operation) -> None:
        self._end(operation, Outcome.ABSENT, None)

    def _compare_state(self, state: State) -> None:
        check_invariants(state)
        model = self.model
        for index, account in sorted(state.accounts.items()):
            expect(account.ledger_cash_e6 == model.cash_e6[index], "ledger-cash", f"account {index} after replay")
            held = {number: row.lots for number, row in sorted(account.positions.items()) if row.lots}
            expect(held == model.positions(index), "positions", f"account {index}: {held}, {model.positions(index)}")
        expect(sorted(state.open_orders) == model.open_orders, "closed-stays-closed", "open orders after replay")
        waiting = sorted(state.waiting_orders)
        expect(waiting == model.waiting_orders, "closed-stays-closed", "waiting orders after replay")
        numbers = (state.sequence, state.trade_count, state.request_index)
        expect(numbers == (model.sequence, model.trade_count, model.request_index), "counters", f"{numbers}")

    # Batches and chain

    def on_built(self, batch: BuiltBatch) -> None:
        """The batcher built a batch, or the same one again after a restart."""
        before = self.built.setdefault(batch.seq, batch)
        expect(before == batch, "batch-is-a-function-of-the-journal", f"batch {batch.seq} was built twice")
        self._check_batches()

    def _check_batches(self) -> None:
        while self._checked_batches < len(self.model.batches):
            expected = self.model.batches[self._checked_batches]
            batch = self.built.get(expected.seq)
            if batch is None:
                return
            fills = batch.stats["fills"]
            expect(fills == len(expected.trades), "each-fill-in-one-batch",
                   f"batch {batch.seq} has {fills} fills, the events {len(expected.trades)}")  # fmt: skip
            roots = (batch.new_root, batch.orders_root)
            expect(roots == (expected.new_root, expected.orders_root), "batch-root", f"batch {batch.seq}")
            header = Header.unpack(batch.h)
            shown = (header.fee_e6, header.request_up_to, batch.collateral_e6)
            own = (expected.fee_e6, expected.request_up_to, expected.collateral_e6)
            expect(shown == own, "batch-root", f"batch {batch.seq}: {shown}, own sums {own}")
            self._checked_batches += 1

    def on_chain(self, chain: SimChain) -> None:
        """What stands on the best chain is what was built, in order, each once."""
        posted = chain.posted()
        count = chain.post_count()
        expect(count == len(posted), "posted-in-order-once", f"{count} posts, {len(posted)} batches")
        for seq, data_hash in enumerate(posted, 1):
            built = self.built.get(seq)
            same = built is not None and keccak256(built.data) == data_hash
            expect(same, "posted-in-order-once", f"batch {seq} on chain is not the one built")

    def finish(self, disk: SimDisk, state: State, chain: SimChain) -> None:
        """At rest: every operation ended, every closed batch is on chain, a fresh replay says the same as the model."""
        expect(not self._waiting, "everyone-is-answered", f"{len(self._waiting)} wait")
        self._compare_state(state)
        expect(self._checked_batches == len(self.model.batches), "each-fill-in-one-batch", "a batch was never built")
        self.on_chain(chain)
        expect(len(chain.posted()) == len(self.model.batches), "posted-in-order-once",
               f"{len(chain.posted())} on chain, {len(self.model.batches)} closed")  # fmt: skip
        settled = [trade for batch in self.model.batches for trade in batch.trades]
        expect(settled == list(range(1, self.model.trade_count + 1)), "each-fill-in-one-batch", "some fill is missing")
        if not self._loop.releases:
            self._replay_from_the_beginning(disk, state)

    def _replay_from_the_beginning(self, disk: SimDisk, state: State) -> None:
        model = LedgerModel()

        def fold(group: ReplayedGroup) -> None:
            for item in group.history:
                model.take(item)

        fresh = rebuild(disk, OrderBook, at_most=0, on_group=fold)
        expect(state_hash(fresh) == state_hash(state), "replay-is-deterministic", "the whole journal")
        expect(model.batches == self.model.batches, "batch-root", "the whole journal gives other batches")


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=8).digest()


def _expect_no_effect_of_refusal(command: Command, output: Output) -> None:
    refused = [event for event in output.events if isinstance(event, OrderRefused | CommandRefused | OrderRepeated)]
    has_none = bool(refused) and isinstance(command, Place)
    if has_none or any(isinstance(event, CommandRefused) for event in refused):
        expect(len(output.events) == 1, "refused-changes-nothing", f"sequence {output.sequence}: {output.events}")
