"""Quotes and protection groups of the compiled state under the names of `State`."""

from collections.abc import Iterator, MutableMapping

from exchange.engine._guards import GuardRows
from exchange.engine.records import MmpGroup, Order

__all__ = ["QuoteNumbers", "QuoteRows"]

QuoteKey = tuple[int, int, int, int]


class QuoteRows:
    """What the compiled state does with quotes, by their groups' rows."""

    guards: dict[tuple[int, int], int]
    _guard_rows: GuardRows

    def quote_count(self, group: MmpGroup) -> int:
        """How many quotes of a group are in the book."""
        return self._guard_rows.count(self.guards[group.subaccount, group.number])

    def rest_quote(self, order: Order) -> None:
        """A quote rests in the book."""
        self._guard_rows.rest(order.number)

    def unrest_quote(self, order: Order) -> None:
        """Undo `rest_quote`."""
        self._guard_rows.unrest(order.number)

    def drop_order(self, order: Order) -> None:
        """A quote ended without a fill: its row goes when the next command begins."""
        self._guard_rows.spend(order.number)


class QuoteNumbers(MutableMapping[QuoteKey, int]):
    """Number of the quote of (subaccount, group, instrument, side); read by who checks the whole state."""

    def __init__(self, rows: GuardRows) -> None:
        self._rows = rows

    def _table(self) -> dict[QuoteKey, int]:
        return {(account, group, instrument, side): n for account, group, instrument, side, n in self._rows.rows()}

    def __getitem__(self, key: QuoteKey) -> int:
        return self._table()[key]

    def __setitem__(self, key: QuoteKey, number: int) -> None:
        raise TypeError("quotes follow the book")

    def __delitem__(self, key: QuoteKey) -> None:
        raise TypeError("quotes follow the book")

    def __iter__(self) -> Iterator[QuoteKey]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())
