"""Prices as the vector of a round has them, folded from events: marks, index prices, settlement prices.

What follows a round on chain is bounded (F4), and whoever publishes checks it first: an index price that went further
than the bound is published at the bound, and then without the marks of options, whose margin depends on it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.domain.events import Event, InstrumentListed, PricesSet
from exchange.domain.instrument import InstrumentKind
from exchange.domain.rounds import InstrumentDelisted, InstrumentSettled
from exchange.domain.underlyings import underlying_number
from exchange.risk.parameters import StandardParameters
from settlement.protocol.caps import MAX_ORACLE_ROWS, PERP_BIT
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.oracle_bounds import bounded_price_e6

__all__ = ["PriceFold", "RoundPrices", "SavedPrices", "vector_of"]

_E3: Final = 10**3
_E9: Final = 10**9
_E12: Final = 10**12
_MOST_MARKS: Final = MAX_ORACLE_ROWS - 256
"""Room for index and settlement prices, and for what is paid and delisted already."""


class _Listing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    instrument: int
    kind: InstrumentKind
    underlying: str
    lot_e9: int
    strike_e9: int
    expiry_s: int

    def terms(self) -> ListedTerms:
        """Return what the contract knows of it, once it is listed there."""
        factor_class = LARGE_CAP if self.underlying in StandardParameters().large_caps else MAJOR
        return ListedTerms(
            bounds=BoundTerms(
                is_perpetual=self.kind is InstrumentKind.PERPETUAL, lot_e18=self.lot_e9 * _E9, factor_class=factor_class
            ),
            underlying=underlying_number(self.underlying),
            is_call=self.kind is InstrumentKind.CALL,
            strike_e8=self.strike_e9 // 10,
            expiry_s=self.expiry_s,
        )


SavedPrices = tuple[list[_Listing], list[tuple[int, int]], list[tuple[str, int]], list[int]]


class RoundPrices(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Prices of one moment, each rounded down: (instrument, 1e-6 USDC per lot), (underlying, 1e-6 USDC per unit)."""

    marks: tuple[tuple[int, int], ...] = ()
    indexes: tuple[tuple[int, int], ...] = ()

    def after(self, before: "RoundPrices", elapsed_s: int) -> "RoundPrices":
        """Return these prices as far as they may follow `before`; `elapsed_s` counts one second more."""
        old = dict(before.indexes)
        indexes = tuple(
            (number, bounded_price_e6(old.get(number, price_e6), price_e6, elapsed_s))
            for number, price_e6 in self.indexes
        )
        return self if indexes == self.indexes else RoundPrices(_of_perpetuals(self.marks), indexes)

    def with_marks(self, marks: Mapping[int, int]) -> "RoundPrices":
        """Return these prices with marks, by instrument, in place of those of the same instruments."""
        return RoundPrices(tuple(sorted({**dict(self.marks), **marks}.items())), self.indexes) if marks else self

    def without_marks(self) -> "RoundPrices":
        """Return the index prices alone."""
        return RoundPrices((), self.indexes)


class PriceFold:
    """Latest mark of each listed instrument and latest index of each underlying."""

    def __init__(self) -> None:
        """Nothing is listed yet."""
        self._listed: dict[int, _Listing] = {}
        self._marks_e9: dict[int, int] = {}
        self._indexes_e9: dict[str, int] = {}
        self._ended: set[int] = set()

    def note(self, event: Event) -> None:
        """Take what lists, delists or prices; everything else is ignored."""
        if isinstance(event, PricesSet):
            for mark in event.prices.marks:
                self._marks_e9[mark.instrument] = mark.mark_e9
            for price in event.prices.underlyings:
                self._indexes_e9[price.underlying] = price.index_e9
        elif isinstance(event, InstrumentListed):
            row = event.instrument
            self._listed[row.instrument_id] = _Listing(
                row.instrument_id, row.kind, row.underlying, row.lot_e9, row.strike_e9, row.expiry_s
            )
        elif isinstance(event, InstrumentSettled):
            # What has a payoff never has a mark again.
            self._ended.add(event.instrument)
        elif isinstance(event, InstrumentDelisted):
            self._listed.pop(event.instrument, None)
            self._marks_e9.pop(event.instrument, None)
            self._ended.discard(event.instrument)

    def prices(self) -> RoundPrices:
        """Return the prices of now; no marks of options when they would not fit a vector."""
        numbers = sorted((self._marks_e9.keys() & self._listed.keys()) - self._ended)
        marks = tuple((number, self._marks_e9[number] * self._listed[number].lot_e9 // _E12) for number in numbers)
        if len(marks) > _MOST_MARKS:
            marks = _of_perpetuals(marks)
        indexes = {underlying_number(name): index_e9 // _E3 for name, index_e9 in self._indexes_e9.items()}
        return RoundPrices(marks, tuple(sorted(indexes.items())))

    def settlement(self, event: InstrumentSettled) -> dict[tuple[int, int], int]:
        """Return the settlement price behind a payoff by underlying and expiry, none for what was not seen listed."""
        row = self._listed.get(event.instrument)
        return {} if row is None else {(underlying_number(row.underlying), row.expiry_s): event.price_e9 // _E3}

    def dump(self) -> SavedPrices:
        """Everything that is remembered, canonical."""
        listings = [self._listed[number] for number in sorted(self._listed)]
        return listings, sorted(self._marks_e9.items()), sorted(self._indexes_e9.items()), sorted(self._ended)

    def terms(self) -> dict[int, ListedTerms]:
        """Return what disputes need of every instrument that was listed here and is not delisted."""
        return {number: listing.terms() for number, listing in self._listed.items()}

    @classmethod
    def load(cls, saved: SavedPrices) -> "PriceFold":
        """Inverse of `dump`."""
        fold = cls()
        fold._listed = {listing.instrument: listing for listing in saved[0]}
        fold._marks_e9, fold._indexes_e9, fold._ended = dict(saved[1]), dict(saved[2]), set(saved[3])
        return fold


def vector_of(
    number: int, values: Mapping[int, int], prices: RoundPrices, settlements: Mapping[tuple[int, int], int]
) -> OracleVector:
    """Return the vector of a round: values are funding indexes, or payoffs of options, whose marks do not count."""
    rows = {instrument: MarkRow(mark_e6=mark_e6) for instrument, mark_e6 in prices.marks}
    for instrument, value in values.items():
        if instrument & PERP_BIT:
            mark_e6 = rows[instrument].mark_e6 if instrument in rows else 0
            rows[instrument] = MarkRow(mark_e6=mark_e6, fund_index=value)
        else:
            rows[instrument] = MarkRow(payoff_e12=value)
    return OracleVector(round_number=number, rows=rows, index_e6=dict(prices.indexes), settlement_e6=dict(settlements))


def _of_perpetuals(marks: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """A withdrawal is not covered by a perpetual without a mark, so these always stand."""
    return tuple(row for row in marks if row[0] & PERP_BIT)
