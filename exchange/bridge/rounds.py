"""Rounds that batches begin with, folded from events: what each holds, and when a batch names another one.

Theory of operation. Funding indexes, payoffs and the round's time are those of the engine's last oracle round: what
accrued since the one before then fits the time between (F4). Marks are those with which the batch began. A batch goes
on naming the round of the batch before it, because a round is a transaction, unless
  - a funding index or a payoff is another one,
  - an instrument is traded first, or the marks named last are old (`MarkBook`),
  - leaves that nobody signed are judged by other marks, which then overrule (F2), or an account is closed at them,
  - somebody withdraws, and the prices that the exchange decided by are not just those of that round (F3, F5).
Where feeds sign (`is_fed`), the contract takes no batch without a round, and none that ends over ROUND_LIFE_S behind
its round's time: then a batch names another round for that alone, and every perpetual has its mark in it.
Where somebody withdraws, everything that is listed has its mark, and index prices are those of the request. In any
other round index prices are those of the engine's last oracle round.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from exchange.bridge.marks import MarkBook, SavedMarks, fitting
from exchange.bridge.round_prices import PriceFold, SavedPrices, bounded_prices_e6
from exchange.domain.events import Event, InstrumentListed, PricesSet
from exchange.domain.rounds import InstrumentDelisted, InstrumentSettled, OracleRoundSet
from settlement.protocol.caps import MAX_ORACLE_ROWS, PERP_BIT
from settlement.protocol.linear_bounds import ListedTerms
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector, decode_vector

__all__ = ["ROUND_LIFE_S", "RoundBook", "SavedRounds"]

ROUND_LIFE_S: Final = 60
"""How old a signed round may be when the last fill of its batch is matched (`Batches.MAX_STALENESS`)."""
_SECOND_NS: Final = 1_000_000_000


class SavedRounds(msgspec.Struct, frozen=True, array_like=True):
    """What a restart needs."""

    values: list[tuple[int, int]]
    named_values: list[tuple[int, int]]
    settlements: list[tuple[tuple[int, int], int]]
    number: int
    vector: bytes
    named_s: int
    set_indexes: list[tuple[int, int]]
    set_s: int
    marks: SavedMarks
    prices: SavedPrices


class RoundBook:
    """`named` is the round that the last closed batch began with, `named_s` its time in Unix seconds."""

    def __init__(self, values: Mapping[int, int] | None = None, marks: MarkBook | None = None) -> None:
        """Begin with the values of the last oracle round by instrument and the marks of a batch boundary."""
        self.named = NO_ROUND
        self.named_s = 0
        self.is_fed = False
        """Whether feeds sign the rounds: a property of the deployment, not saved."""
        self._values = dict(values or {})
        """Funding index or payoff per lot, 1e-12 USDC."""
        self._named_values: dict[int, int] = {}
        self._settlements: dict[tuple[int, int], int] = {}
        self._set_indexes: dict[int, int] = {}
        self._set_s = 0
        self._marks = marks or MarkBook()
        self._prices = PriceFold()
        self._now_s = 0
        self._is_paying = False

    def begin_command(self, timestamp_ns: int) -> None:
        """Hear that the next events are those of another command."""
        self._now_s, self._is_paying = timestamp_ns // _SECOND_NS, False

    def note(self, event: Event, *, is_batch_open: bool) -> None:
        """Take what lists, delists, prices or settles; everything else is ignored."""
        self._prices.note(event)
        if isinstance(event, PricesSet):
            self._marks.take(event.prices.marks, is_batch_open=is_batch_open)
        elif isinstance(event, InstrumentListed):
            self._marks.list_instrument(event.instrument)
        elif isinstance(event, InstrumentDelisted):
            self._marks.end(event.instrument)
        elif isinstance(event, InstrumentSettled):
            self._settle(event)
        elif isinstance(event, OracleRoundSet):
            self._values, self._settlements = {row.instrument: row.index_e12 for row in event.funding}, {}
            self._set_indexes, self._set_s = self._prices.indexes_e6(), self._now_s

    def trade(self, instrument: int) -> None:
        """Know that somebody may hold it from now on."""
        self._marks.trade(instrument)

    def terms(self) -> dict[int, ListedTerms]:
        """Return what disputes need of every instrument that was listed here and is not delisted."""
        return self._prices.terms()

    def close(
        self,
        match_from_s: int,
        match_to_s: int,
        *,
        judged: Mapping[int, int],
        is_asked: bool,
        is_closing: bool = False,
    ) -> OracleVector:
        """End the open batch; return the round that it begins with.

        `judged`: marks, by instrument, that leaves which nobody signed are judged by. `is_asked`: somebody withdraws;
        `is_closing`: the queue closes an account, for which the chain wants a round.
        """
        marks = self._marks.close(is_asked=is_asked)
        has_moved = self._values != self._named_values
        is_first = is_closing and not self.named.round_number
        is_stale = self._is_stale(self.named_s, match_to_s) or (self.is_fed and not self.named.round_number)
        is_wanted = is_asked or is_first or has_moved or is_stale
        if is_wanted or self._lacks(judged) or self._marks.is_due(marks, match_from_s):
            self._name(match_from_s, self._time_s(match_from_s, match_to_s), marks, judged, is_asked=is_asked)
        return self.named

    def dump(self) -> SavedRounds:
        """Everything that is remembered, canonical."""
        return SavedRounds(
            sorted(self._values.items()),
            sorted(self._named_values.items()),
            sorted(self._settlements.items()),
            self.named.round_number,
            self.named.encode(),
            self.named_s,
            sorted(self._set_indexes.items()),
            self._set_s,
            self._marks.dump(),
            self._prices.dump(),
        )

    @classmethod
    def load(cls, saved: SavedRounds) -> "RoundBook":
        """Inverse of `dump`. Raises BadVector for bytes that are no vector."""
        book = cls(dict(saved.values), MarkBook.load(saved.marks))
        book._named_values = dict(saved.named_values)
        book._settlements = dict(saved.settlements)
        book.named, book.named_s = decode_vector(saved.number, saved.vector), saved.named_s
        book._set_indexes, book._set_s = dict(saved.set_indexes), saved.set_s
        book._prices = PriceFold.load(saved.prices)
        return book

    def _settle(self, event: InstrumentSettled) -> None:
        """Each command pays a share of an expiry, whole: what earlier ones paid has no holder any more."""
        if not self._is_paying:
            self._is_paying = True
            self._values = {key: value for key, value in self._values.items() if key & PERP_BIT}
            self._settlements = {}
        if event.position_count:
            self._values[event.instrument] = event.value_e12
            self._settlements.update(self._prices.settlement(event))
        self._marks.end(event.instrument)

    def _time_s(self, match_from_s: int, match_to_s: int) -> int:
        """Return the last oracle round's time, or the first that is fresh enough: what accrues next needs time too."""
        time_s = max(self.named_s, self._set_s or match_from_s)
        return max(time_s, min(match_from_s, match_to_s - ROUND_LIFE_S)) if self.is_fed else time_s

    def _is_stale(self, time_s: int, match_to_s: int) -> bool:
        return self.is_fed and match_to_s > time_s + ROUND_LIFE_S

    def _lacks(self, judged: Mapping[int, int]) -> bool:
        rows = self.named.rows
        return any(key not in rows or rows[key].mark_e6 != mark_e6 for key, mark_e6 in judged.items())

    def _name(
        self, match_from_s: int, time_s: int, marks: Mapping[int, int], judged: Mapping[int, int], *, is_asked: bool
    ) -> None:
        """Name a round with the next number, unless it would hold just what the one before does, as long as it may."""
        wanted = self._prices.indexes_e6() if is_asked else self._set_indexes
        indexes = bounded_prices_e6(self.named.index_e6, wanted, time_s - self.named_s + 1)
        if is_asked and any(indexes[number] != price_e6 for number, price_e6 in wanted.items()):
            # The exchange weighed options at another price than this round has: nobody is judged by their marks.
            marks = {key: mark_e6 for key, mark_e6 in marks.items() if key & PERP_BIT}
        if self.is_fed:
            marks = {**self._marks.perpetuals(), **marks}
        marks = {**marks, **judged}
        vector = self._vector(marks, judged, indexes)
        self._marks.name(marks, match_from_s)
        self._named_values = dict(self._values)
        if vector != self.named or (self.is_fed and time_s > self.named_s):
            self.named = replace(vector, round_number=vector.round_number + 1)
            self.named_s = time_s

    def _vector(self, marks: Mapping[int, int], judged: Mapping[int, int], indexes: Mapping[int, int]) -> OracleVector:
        """Return the rows of now under the number of the last round."""
        rows = {number: _row(number, self._values, marks) for number in {*self._values, *marks}}
        room = MAX_ORACLE_ROWS - len(indexes) - len(self._settlements)
        return OracleVector(
            round_number=self.named.round_number,
            rows=fitting(rows, room, traded=self._marks.traded, judged=judged),
            index_e6=indexes,
            settlement_e6=dict(self._settlements),
        )


def _row(number: int, values: Mapping[int, int], marks: Mapping[int, int]) -> MarkRow:
    """Mark and funding index of a perpetual; payoff of an option that ends, else its mark."""
    if number & PERP_BIT:
        return MarkRow(mark_e6=marks.get(number, 0), fund_index=values.get(number, 0))
    if number in values:
        return MarkRow(payoff_e12=values[number])
    return MarkRow(mark_e6=marks[number])
