"""Recompute a batch from the journal alone and compare it with what the chain holds.

The journal is replayed through the engine (from its beginning, or from a snapshot before the batch), the events are
netted, applied to the ledger and encoded again; header, data and roots must be those of the posted transaction. Nothing
of the settler (outbox, ledger file, event log) is read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from exchange.app.failures import Failure
from exchange.app.journal_history import replayed
from exchange.bridge.assembler import AssembledBatch, BatchAssembler
from exchange.bridge.marks import MarkBook
from exchange.domain.commands import OrderFlag
from exchange.domain.events import BatchClosed, Event
from exchange.domain.instrument import Instrument
from exchange.domain.packing import CommandEvents
from exchange.engine.state import State
from exchange.journal.disk import Disk
from exchange.journal.snapshot import load_newest
from exchange.sequencer.replay import state_of_snapshot
from settlement.onchain.posted import PostedBatch
from settlement.protocol.batch import Batch, build_batch, explain_difference
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.state_tree import Account

__all__ = ["RecomputedBatch", "compare_with_posted", "ledger_of", "recompute_batch"]


@dataclass(frozen=True, slots=True)
class RecomputedBatch:
    """A batch as the journal gives it, its journal range, and the instruments it knows."""

    batch: Batch
    first_sequence: int
    last_sequence: int
    instruments: dict[int, Instrument]


def recompute_batch(disk: Disk, seq: int, book_factory: Callable[[], Any]) -> RecomputedBatch:
    """Batch `seq` from the journal. Raises Failure when the journal does not reach it or no longer holds its start."""
    newest = 0
    for state, follower in _starts(disk, seq, book_factory):
        found = _follow(disk, seq, state, follower)
        if isinstance(found, RecomputedBatch):
            return found
        newest = max(newest, found)
    raise Failure(f"the journal holds no batch {seq}; the newest complete one is {newest}")


def _follow(disk: Disk, seq: int, state: State, follower: "_Follower") -> RecomputedBatch | int:
    """The batch, or the newest complete batch number seen when it does not come or began before the follower could."""
    for _, item in replayed(disk, state):
        for assembled in follower.take(state, item):
            batch = build_batch(follower.ledger, assembled.input)
            follower.ledger.check(assembled.input.opening.ending)
            if batch.seq == seq:
                return RecomputedBatch(
                    batch, assembled.first_sequence, assembled.last_sequence, dict(state.instruments)
                )
            if batch.seq > seq:
                return batch.seq
    return follower.ledger.seq


def compare_with_posted(computed: Batch, posted: PostedBatch, previous_root: bytes | None) -> list[str]:
    """One line per difference between the recomputed batch and the chain's; empty: they are the same.

    The round's number is the chain's, because who begins at a snapshot counts from there; its values are the journal's.
    """
    header = replace(computed.header, oracle_round=posted.header.oracle_round)
    computed = replace(computed, header=header)
    on_chain = Batch(
        seq=posted.seq,
        header=posted.header,
        data=posted.data,
        new_root=posted.new_root,
        orders_root=posted.orders_root,
        previous_root=computed.previous_root if previous_root is None else previous_root,
        collateral_e6=computed.collateral_e6,
        withdraws=computed.withdraws,
        legs=computed.legs,
        fills=computed.fills,
        orders=computed.orders,
    )
    return explain_difference(computed, on_chain)


def ledger_of(state: State, *, match_to_s: int) -> LedgerState:
    """The settlement ledger of an engine state at a batch boundary: an engine account is a settlement leaf."""
    ledger = LedgerState()
    accounts = {
        index: Account(
            owner=account.owner or bytes(20),
            cash_e6=account.ledger_cash_e6,
            positions={
                number: (row.lots, row.fund_index_e12) for number, row in sorted(account.positions.items()) if row.lots
            },
        )
        for index, account in sorted(state.accounts.items())
    }
    ledger.seq = state.batch.number - 2
    ledger.commit(
        Effect(
            accounts=accounts,
            collateral_e6=state.collateral_e6,
            request_done=state.request_index,
            last_match_to_s=match_to_s,
        )
    )
    ledger.check()
    return ledger


def _digests(state: State, *, quotes: bool) -> dict[int, bytes]:
    """What the owners of open orders signed, of quotes or of all others."""
    return {
        number: order.place.digest
        for number, order in state.open_orders.items()
        if bool(order.place.flags & OrderFlag.QUOTE) == quotes
    }


class _Follower:
    """Assembler and ledger; from a snapshot they begin at the first batch boundary behind it."""

    def __init__(self, *, from_beginning: bool) -> None:
        self.ledger = LedgerState()
        self._assembler = BatchAssembler() if from_beginning else None

    def take(self, state: State, item: CommandEvents) -> Iterator[AssembledBatch]:
        """Fold one command; `state` is the engine's right after it."""
        if self._assembler is not None:
            yield from self._assembler.take(item)
        elif item.events and isinstance(item.events[-1], BatchClosed) and not state.batch.has_content:
            self._begin(state, item.events[-1], item.sequence)

    def _begin(self, state: State, closed: Event, sequence: int) -> None:
        if isinstance(closed, BatchClosed):
            self.ledger = ledger_of(state, match_to_s=closed.match_to_s)
        self._assembler = BatchAssembler.resume(
            sequence=sequence,
            next_batch=state.batch.number,
            units={number: row.unit_e6 for number, row in state.instruments.items()},
            refs=_digests(state, quotes=False),
            quotes=_digests(state, quotes=True),
            vector={number: row.index_e12 for number, row in sorted(state.funding.items())},
            marks=MarkBook(
                {number: row.lot_e9 for number, row in state.instruments.items()},
                {number: row.mark_e9 for number, row in state.prices.marks.items() if number in state.instruments},
                {number for account in state.accounts.values() for number in account.positions},
            ),
        )


def _starts(disk: Disk, seq: int, book_factory: Callable[[], Any]) -> Iterator[tuple[State, _Follower]]:
    """Places to begin, nearest first: snapshots before the batch, then the journal's beginning.

    A follower that begins at a snapshot needs a cut behind it and before the batch; where a cap closed the batches in
    between, an older place has to do.
    """
    at_most: int | None = None
    while (snapshot := load_newest(disk, at_most=at_most)) is not None:
        state = state_of_snapshot(snapshot, book_factory)
        if state.batch.number < seq:
            yield state, _Follower(from_beginning=False)
        at_most = snapshot.sequence - 1
    yield State(book_factory), _Follower(from_beginning=True)
