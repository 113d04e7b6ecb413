"""Marks of perpetuals beside their index (risk.md 3.2): median of three views, from an index and our own books.

Integers in, integers out; the averages between are floats, which is why a mark is journaled and not computed by the
engine. A book speaks if it trades continuously, has two sides and a spread of at most 1 % (the rule that sources of
the index follow). A silent book counts as one at the index: the average basis fades and the mark goes back to the
index, and what such a book said before is forgotten. Of a book its best bid and ask count, not its last trade, which no
view tells; there are no outside perpetuals, so the book's 30 s average is the third view.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from exchange.domain.commands import MarkRow
from exchange.domain.instrument import Instrument
from exchange.domain.views import BookView
from exchange.pricing.mark import AGAINST_INDEX_S, BOOK_S, BookPrices, MarkInputs, MovingAverage, perpetual_mark
from exchange.risk.limits import execution_band

__all__ = ["PerpetualMarks", "mark_clamp_ppm"]

_E9: Final = 1e9
_PPM: Final = 1_000_000
_STEP_E9: Final = 10_000
"""Marks are multiples of this: the last bits of an average must not decide."""
_SPREAD_MAX_PPM: Final = 10_000
_CLAMPS_PPM: Final = {"BTC": 30_000, "ETH": 30_000}
_CLAMP_OTHERS_PPM: Final = 60_000
_LONGEST_STEP_S: Final = 60.0
"""A gap in time counts as one minute, as it does for volatilities."""


def mark_clamp_ppm(underlying: str) -> int:
    """How far from its index a perpetual's mark may stand."""
    return _CLAMPS_PPM.get(underlying, _CLAMP_OTHERS_PPM)


class PerpetualMarks:
    """Averages of every perpetual between rounds. Same books and prices, same marks."""

    def __init__(self) -> None:
        self._basis: dict[int, MovingAverage] = {}
        self._books: dict[int, MovingAverage] = {}

    def resume(self, marks: Mapping[int, MarkRow], index_e9: Mapping[str, int], rows: Iterable[Instrument]) -> None:
        """Go on from what was published before, as if that basis had held for the whole window; known ones stay."""
        for row in rows:
            number, index = row.instrument_id, index_e9.get(row.underlying)
            if row.is_perpetual and index and number in marks and number not in self._basis:
                basis = (marks[number].mark_e9 - index) / _E9
                self._basis[number] = MovingAverage(window_s=AGAINST_INDEX_S).after(basis, AGAINST_INDEX_S)

    def rows(
        self,
        perpetuals: Iterable[Instrument],
        books: Mapping[int, BookView],
        *,
        index_e9: Mapping[str, int],
        elapsed_s: float,
    ) -> tuple[MarkRow, ...]:
        """Marks of those whose underlying has a price in `index_e9`, `elapsed_s` >= 0 after the rows before."""
        step_s = min(elapsed_s, _LONGEST_STEP_S)
        marks = []
        for row in perpetuals:
            if row.underlying in index_e9:
                number = row.instrument_id
                mark_e9 = self._mark_e9(row, books.get(number), index_e9[row.underlying], step_s)
                marks.append(MarkRow(instrument=number, mark_e9=mark_e9))
        return tuple(marks)

    def _mark_e9(self, row: Instrument, view: BookView | None, index_e9: int, elapsed_s: float) -> int:
        index, book = index_e9 / _E9, _book_prices(row, view)
        basis, average = self._averaged(row.instrument_id, book.middle(), index, elapsed_s)
        clamp_ppm = mark_clamp_ppm(row.underlying)
        inputs = MarkInputs(index=index, book=book, basis=basis, book_average=average)
        return _rounded_e9(perpetual_mark(inputs, clamp=clamp_ppm / _PPM), index_e9, clamp_ppm)

    def _averaged(
        self, number: int, middle: float | None, index: float, elapsed_s: float
    ) -> tuple[MovingAverage, MovingAverage]:
        """Basis and book average with what the book says now in them."""
        basis = self._basis.get(number, MovingAverage(window_s=AGAINST_INDEX_S))
        self._basis[number] = basis = basis.after(0.0 if middle is None else middle - index, elapsed_s)
        average = self._books.pop(number, MovingAverage(window_s=BOOK_S))
        if middle is None:
            return basis, MovingAverage(window_s=BOOK_S)
        self._books[number] = average = average.after(middle, elapsed_s)
        return basis, average


def _rounded_e9(mark: float, index_e9: int, clamp_ppm: int) -> int:
    """Round to a hundred-thousandth of a USDC, still inside the clamp; a mark that is as near to the index is it."""
    mark_e9 = round(mark * _E9)
    if abs(mark_e9 - index_e9) < _STEP_E9:
        return index_e9
    low_e9, high_e9 = execution_band(index_e9, width=clamp_ppm, one=_PPM)
    return min(max(round(mark_e9 / _STEP_E9) * _STEP_E9, low_e9), high_e9)


def _book_prices(row: Instrument, view: BookView | None) -> BookPrices:
    """Top of a book that speaks, USDC per unit; nothing of one that is silent."""
    if view is None or view.auction_deadline_ns or not (view.bids and view.asks):
        return BookPrices()
    bid_ticks, ask_ticks = view.bids[0][0], view.asks[0][0]
    if (ask_ticks - bid_ticks) * 2 * _PPM > _SPREAD_MAX_PPM * (ask_ticks + bid_ticks):
        return BookPrices()
    return BookPrices(bid=bid_ticks * row.tick_e9 / _E9, ask=ask_ticks * row.tick_e9 / _E9)
