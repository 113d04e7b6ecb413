"""Index and settlement prices as rounds have them, and what disputes need of listed instruments, folded from events.

What follows a round on chain is bounded (F4), and whoever publishes checks it first: an index price that went further
than the bound is published at the bound.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.domain.events import Event, InstrumentListed, PricesSet
from exchange.domain.instrument import InstrumentKind
from exchange.domain.rounds import InstrumentDelisted, InstrumentSettled
from exchange.domain.underlyings import underlying_number
from exchange.risk.parameters import StandardParameters
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle_bounds import bounded_price_e6

__all__ = ["PriceFold", "SavedPrices", "bounded_prices_e6"]

_E3: Final = 10**3
_E9: Final = 10**9


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


SavedPrices = tuple[list[_Listing], list[tuple[str, int]]]


def bounded_prices_e6(before: Mapping[int, int], wanted: Mapping[int, int], elapsed_s: int) -> dict[int, int]:
    """Return index prices by underlying as far as they may follow `before`; `elapsed_s` counts one second more.

    An underlying that once had a price keeps its last one when no other is wanted.
    """
    return {
        number: bounded_price_e6(before.get(number, price_e6), price_e6, elapsed_s)
        for number, price_e6 in {**before, **wanted}.items()
    }


class PriceFold:
    """Latest index of each underlying, and every listed instrument."""

    def __init__(self) -> None:
        """Nothing is listed yet."""
        self._listed: dict[int, _Listing] = {}
        self._indexes_e9: dict[str, int] = {}

    def note(self, event: Event) -> None:
        """Take what lists, delists or prices; everything else is ignored."""
        if isinstance(event, PricesSet):
            self._indexes_e9 |= event.prices.indexes_e9
        elif isinstance(event, InstrumentListed):
            row = event.instrument
            self._listed[row.instrument_id] = _Listing(
                row.instrument_id, row.kind, row.underlying, row.lot_e9, row.strike_e9, row.expiry_s
            )
        elif isinstance(event, InstrumentDelisted):
            self._listed.pop(event.instrument, None)

    def indexes_e6(self) -> dict[int, int]:
        """Return the index prices of now by number of the underlying, 1e-6 USDC per unit, rounded down."""
        return {underlying_number(name): index_e9 // _E3 for name, index_e9 in self._indexes_e9.items()}

    def settlement(self, event: InstrumentSettled) -> dict[tuple[int, int], int]:
        """Return the settlement price behind a payoff by underlying and expiry, none for what was not seen listed."""
        row = self._listed.get(event.instrument)
        return {} if row is None else {(underlying_number(row.underlying), row.expiry_s): event.price_e9 // _E3}

    def terms(self) -> dict[int, ListedTerms]:
        """Return what disputes need of every instrument that was listed here and is not delisted."""
        return {number: listing.terms() for number, listing in self._listed.items()}

    def dump(self) -> SavedPrices:
        """Everything that is remembered, canonical."""
        return [row for _, row in sorted(self._listed.items())], sorted(self._indexes_e9.items())

    @classmethod
    def load(cls, saved: SavedPrices) -> "PriceFold":
        """Inverse of `dump`."""
        fold = cls()
        fold._listed = {listing.instrument: listing for listing in saved[0]}
        fold._indexes_e9 = dict(saved[1])
        return fold
