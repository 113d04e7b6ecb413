"""Committed events in, batch inputs out: a pure fold over the event stream.

The engine decides where a batch ends (BatchClosed), so what is in batch n follows from the journal alone and two
readers of the same events build the same batch. The fold needs four things from the past: the units of instruments,
the digests of orders that may still fill, what rounds are made of (`RoundBook`), and what the open batch holds so far;
`dump` and `load` carry them over a restart.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from exchange.bridge.fill_rows import FillRow, fill_of, row_of
from exchange.bridge.forced_leaves import deleveraged_fill, fund_leaf, fund_leg
from exchange.bridge.marks import MarkBook
from exchange.bridge.rounds import RoundBook, SavedRounds
from exchange.domain.commands import ChainRequestKind, OrderFlag, Side
from exchange.domain.events import (
    BatchClosed,
    Event,
    InstrumentListed,
    OrderAccepted,
    OrderClosed,
    OrderRevised,
    RequestApplied,
    Trade,
)
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.liquidations import Deleveraged, FundPaid, LiquidationEnded, LiquidationMarks
from exchange.domain.packing import CommandEvents
from exchange.domain.quote_events import MassQuoted, QuotePlaced
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from settlement.protocol.batch import BatchInput, Fill, order_fills_of
from settlement.protocol.linear_bounds import ListedTerms
from settlement.protocol.oracle import NO_ROUND, BadVector, OracleVector
from settlement.protocol.orders import OrderKind, engine_ref, leg_ref, quote_ref
from settlement.protocol.transition import ChainRequest, RequestKind

__all__ = ["AssembledBatch", "BadEvents", "BatchAssembler"]

_FORMAT: Final = 7


class BadEvents(ValueError):
    """The event stream contradicts itself: a batch out of order, a fill of an unknown order or instrument."""


class AssembledBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One complete batch and the journal range it comes from (sequences, inclusive)."""

    input: BatchInput
    first_sequence: int
    last_sequence: int
    round_s: int = 0
    """Time of the round that it begins with (Unix seconds)."""
    before: OracleVector = NO_ROUND
    """Round of the batch before."""
    before_s: int = 0
    terms: Mapping[int, ListedTerms] = {}
    """What disputes need of the instruments that the fold saw listed."""


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    version: int
    sequence: int
    next_batch: int
    units: list[tuple[int, int]]
    refs: list[tuple[int, bytes]]
    quotes: list[int]
    fills: list[FillRow]
    requests: list[RequestApplied]
    touched: list[int]
    rounds: SavedRounds
    announced: list[LiquidationMarks]
    judged: list[tuple[int, int]]
    funded: list[FundPaid]


class BatchAssembler:
    """The fold. `sequence` is the last command whose events it took."""

    def __init__(self) -> None:
        """Start before the first event."""
        self.sequence = 0
        self.next_batch = 1
        self._units: dict[int, int] = {}
        self._refs: dict[int, bytes] = {}
        self._quotes: set[int] = set()
        self._fills: list[Fill] = []
        self._requests: list[RequestApplied] = []
        self._touched: list[int] = []
        self._rounds = RoundBook()
        self._announced: dict[int, LiquidationMarks] = {}
        """By account in liquidation."""
        self._judged: dict[int, int] = {}
        """Marks that the leaves of the open batch which nobody signed are judged by."""
        self._funded: list[FundPaid] = []
        self._legs: set[int] = set()
        """Orders of blocks; each ends inside its command."""
        self._liquidations: set[int] = set()
        """Orders of the engine's own; each ends inside its command."""

    @classmethod
    def resume(
        cls,
        *,
        sequence: int,
        next_batch: int,
        units: dict[int, int],
        refs: dict[int, bytes],
        quotes: dict[int, bytes] | None = None,
        vector: dict[int, int] | None = None,
        marks: MarkBook | None = None,
    ) -> "BatchAssembler":
        """Begin at a batch boundary: instrument units and digests of open orders and of quotes' calls are given.

        `vector`: value per lot by instrument as of the last oracle round. Rounds are counted from here, so their
        numbers are not those of the chain, and they have index and settlement prices of what is priced and listed from
        here on.
        """
        assembler = cls()
        assembler.sequence = sequence
        assembler.next_batch = next_batch
        assembler._units = dict(units)
        assembler._refs = dict(refs)
        assembler._rounds = RoundBook(vector, marks)
        for number, digest in (quotes or {}).items():
            assembler._take_quote(number, digest)
        return assembler

    def expect_feeds(self) -> None:
        """Know that feeds sign the rounds of this deployment. Call it before the first `take`, after each load."""
        self._rounds.is_fed = True

    @property
    def has_open_content(self) -> bool:
        """Whether fills, requests or payoffs wait for the next BatchClosed."""
        return bool(self._fills or self._requests or self._touched or self._funded)

    @property
    def open_cells(self) -> int:
        """Distinct (account, instrument) pairs of the open batch's fills."""
        return len({(account, fill.instrument) for fill in self._fills for account in (fill.buyer, fill.seller)})

    def take(self, item: CommandEvents) -> Iterator[AssembledBatch]:
        """Fold one command's events; yields a batch for each BatchClosed. Raises BadEvents."""
        if item.sequence <= self.sequence:
            raise BadEvents(f"events of sequence {item.sequence} come after those of {self.sequence}")
        call = b""
        self._rounds.begin_command(item.timestamp_ns)
        for event in item.events:
            if isinstance(event, Trade):
                self._fills.append(self._fill(event))
                self._rounds.trade(event.instrument)
                if event.taker.order in self._liquidations:
                    self._use_marks(event.taker.subaccount)
            elif isinstance(event, Deleveraged):
                self._fills.append(deleveraged_fill(event))
                self._use_marks(event.bankrupt.subaccount)
            elif isinstance(event, MassQuoted):
                call = event.digest
            elif isinstance(event, QuotePlaced):
                self._take_quote(event.order, call)
            elif isinstance(event, BatchClosed):
                yield self._close(event)
            else:
                self._note(event)
        self.sequence = item.sequence

    def _note(self, event: Event) -> None:
        """What fills will need: digests of orders, units of instruments; what rounds hold; and requests."""
        self._rounds.note(event, is_batch_open=self.has_open_content)
        if isinstance(event, OrderAccepted | OrderRevised):
            self._refs[event.order] = event.digest
            if isinstance(event, OrderAccepted) and event.flags & OrderFlag.LIQUIDATION:
                self._refs[event.order] = engine_ref(OrderKind.LIQUIDATION, event.order)
                self._liquidations.add(event.order)
            elif isinstance(event, OrderAccepted) and event.flags & OrderFlag.BLOCK:
                self._refs[event.order] = leg_ref(event.digest, (event.order & 0xFF) >> 1)
                self._legs.add(event.order)
        elif isinstance(event, OrderClosed):
            self._refs.pop(event.order, None)
            self._quotes.discard(event.order)
            self._liquidations.discard(event.order)
            self._legs.discard(event.order)
        elif isinstance(event, InstrumentListed):
            self._units[event.instrument.instrument_id] = event.instrument.unit_e6
        elif isinstance(event, RequestApplied):
            self._requests.append(event)
        elif isinstance(event, FundingPaid | PositionExpired):
            # Listed even where its fills net to nothing: the ledger charges and pays listed accounts, and the fund.
            if event.subaccount != FUND_ACCOUNT:
                self._touched.append(event.subaccount)
        elif isinstance(event, AccountTakenOver):
            self._judged.update(event.marks)
        else:
            self._note_liquidation(event)

    def _note_liquidation(self, event: Event) -> None:
        if isinstance(event, FundPaid):
            self._funded.append(event)
            self._use_marks(event.subaccount)
        elif isinstance(event, LiquidationMarks):
            self._announced[event.subaccount] = event
        elif isinstance(event, LiquidationEnded):
            self._announced.pop(event.subaccount, None)

    def _take_quote(self, order: int, digest: bytes) -> None:
        self._refs[order] = quote_ref(digest, order & 0xFF)
        self._quotes.add(order)

    def _kind(self, order: int) -> OrderKind:
        if order in self._liquidations:
            return OrderKind.LIQUIDATION
        if order in self._legs:
            return OrderKind.RFQ
        return OrderKind.QUOTE if order in self._quotes else OrderKind.ORDER

    def dump(self) -> bytes:
        """Everything the fold remembers, canonical."""
        return msgspec.msgpack.encode(
            _Saved(
                _FORMAT,
                self.sequence,
                self.next_batch,
                sorted(self._units.items()),
                sorted(self._refs.items()),
                sorted(self._quotes),
                [row_of(fill) for fill in self._fills],
                self._requests,
                self._touched,
                self._rounds.dump(),
                [row for _, row in sorted(self._announced.items())],
                sorted(self._judged.items()),
                self._funded,
            )
        )

    @classmethod
    def load(cls, saved: bytes) -> "BatchAssembler":
        """Inverse of `dump`. Raises BadEvents for bytes of another format."""
        try:
            state = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError as error:
            raise BadEvents(f"saved assembler: {error}") from error
        if state.version != _FORMAT:
            raise BadEvents(f"saved assembler has format {state.version}, this build reads {_FORMAT}")
        assembler = cls()
        assembler.sequence = state.sequence
        assembler.next_batch = state.next_batch
        assembler._units = dict(state.units)
        assembler._refs = dict(state.refs)
        assembler._quotes = set(state.quotes)
        assembler._fills = [fill_of(row) for row in state.fills]
        assembler._requests = list(state.requests)
        assembler._touched = list(state.touched)
        assembler._rounds = _rounds_of(state.rounds)
        assembler._announced = {row.subaccount: row for row in state.announced}
        assembler._judged = dict(state.judged)
        assembler._funded = list(state.funded)
        return assembler

    def _use_marks(self, account: int) -> None:
        """The open batch has a leaf of an account in liquidation."""
        row = self._announced.get(account)
        if row is None:
            raise BadEvents(f"account {account} is liquidated and nothing told at which marks")
        self._judged.update(row.marks)

    def _fill(self, trade: Trade) -> Fill:
        try:
            unit_e6 = self._units[trade.instrument]
            maker_ref, taker_ref = self._refs[trade.maker.order], self._refs[trade.taker.order]
        except KeyError as error:
            raise BadEvents(f"trade {trade.trade} names {error.args[0]}, which no event introduced") from error
        maker, taker = (trade.maker, maker_ref), (trade.taker, taker_ref)
        (buyer, buyer_ref), (seller, seller_ref) = (taker, maker) if trade.taker_side is Side.BUY else (maker, taker)
        return Fill(
            buyer=buyer.subaccount,
            seller=seller.subaccount,
            instrument=trade.instrument,
            quantity_lots=trade.quantity_lots,
            notional_e6=trade.quantity_lots * trade.price_ticks * unit_e6,
            buyer_fee_e6=buyer.fee_e6,
            seller_fee_e6=seller.fee_e6,
            buyer_ref=buyer_ref,
            seller_ref=seller_ref,
            buyer_kind=self._kind(buyer.order),
            seller_kind=self._kind(seller.order),
        )

    def _close(self, event: BatchClosed) -> AssembledBatch:
        if event.batch != self.next_batch or event.fill_count != len(self._fills):
            raise BadEvents(
                f"batch {event.batch} with {event.fill_count} fills was closed; "
                f"expected batch {self.next_batch} with {len(self._fills)}"
            )
        before, before_s = self._rounds.named, self._rounds.named_s
        fills, self._fills = self._fills, []
        requests, self._requests = self._requests, []
        touched, self._touched = self._touched, []
        funded, self._funded = self._funded, []
        judged, self._judged = self._judged, {}
        approved_e6 = [row.approved_e6 for row in requests if row.kind is ChainRequestKind.WITHDRAW]
        closes = any(row.kind is ChainRequestKind.CLOSE_ALL for row in requests)
        opening = self._rounds.close(
            event.match_from_s, event.match_to_s, judged=judged, is_asked=bool(approved_e6), is_closing=closes
        )
        self.next_batch += 1
        return AssembledBatch(
            input=BatchInput(
                seq=event.batch,
                match_from_s=event.match_from_s,
                match_to_s=event.match_to_s,
                fills=fills,
                order_fills=[*order_fills_of(fills), *map(fund_leaf, funded)],
                extra_legs=[fund_leg(row) for row in funded],
                requests=[_request(applied) for applied in requests],
                approvals_e6=approved_e6,
                request_up_to=event.request_up_to,
                fee_e6=event.fee_e6,
                touched=touched,
                opening=opening,
            ),
            first_sequence=event.first_sequence,
            last_sequence=event.last_sequence,
            round_s=self._rounds.named_s,
            before=before,
            before_s=before_s,
            terms=self._rounds.terms(),
        )


def _rounds_of(saved: SavedRounds) -> RoundBook:
    try:
        return RoundBook.load(saved)
    except BadVector as error:
        raise BadEvents(f"saved assembler: {error}") from error


def _request(applied: RequestApplied) -> ChainRequest:
    return ChainRequest(
        index=applied.index,
        kind=RequestKind(int(applied.kind)),
        account=applied.account,
        amount_e6=applied.amount_e6,
        owner=applied.owner,
    )
