"""Quotes and protection groups of the compiled state under the names of `State`."""

from collections.abc import Iterator, MutableMapping

from exchange.engine._guards import GuardRows

__all__ = ["QuoteNumbers"]

QuoteKey = tuple[int, int, int, int]


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
