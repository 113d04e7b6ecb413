"""Marks that rounds have: what a lot was worth when a batch began, or when somebody asked for money.

Marks change with every round of prices, and a round on chain is a transaction. So marks alone name another round when
an instrument is traded first, or MARKS_AGE_MAX_S after the last ones. What was never traded has no holder: it has a
mark where somebody withdraws, because everything that is listed then has one, and is the first to go without.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from exchange.domain.commands import MarkRow
from exchange.domain.instrument import Instrument
from settlement.protocol.caps import MAX_ORACLE_ROWS, PERP_BIT
from settlement.protocol.oracle import MarkRow as VectorRow

__all__ = ["MARKS_AGE_MAX_S", "MarkBook", "SavedMarks", "fitting", "mark_per_lot_e6"]

MARKS_AGE_MAX_S: Final = 60
"""Match time after which a batch names the marks that it begins with, though nothing else changed."""
MARK_MOVE_MAX_PPM: Final = 2_500
"""A batch names its marks when a perpetual's moved further than this from the last named one: F3 judges by them."""
_E12: Final = 10**12
_PPM: Final = 10**6


def mark_per_lot_e6(mark_e9: int, lot_e9: int) -> int:
    """Worth of one lot in 1e-6 USDC, rounded down: a mark in 1e-9 USDC per unit, a lot in 1e-9 units."""
    return mark_e9 * lot_e9 // _E12


def fitting(
    rows: Mapping[int, VectorRow],
    most: int = MAX_ORACLE_ROWS,
    *,
    traded: Collection[int] = (),
    judged: Collection[int] = (),
) -> dict[int, VectorRow]:
    """Return at most `most` rows, ascending, as far as marks of options can give way; perpetuals and payoffs stay.

    First go those of options that were not traded, then the others, those that leaves are judged by last; the cheapest
    first. An option without a row proves nothing against anybody and counts nothing in an escape.
    """
    options = [key for key, row in rows.items() if not row.is_settled and not key & PERP_BIT]
    options.sort(key=lambda key: (key in judged, key in traded, rows[key].mark_e6, key))
    dropped = set(options[: max(0, len(rows) - most)])
    return {key: rows[key] for key in sorted(rows) if key not in dropped}


def _is_far(mark_e6: int, named_e6: int) -> bool:
    return abs(mark_e6 - named_e6) * _PPM > named_e6 * MARK_MOVE_MAX_PPM


class SavedMarks(msgspec.Struct, frozen=True, array_like=True):
    """What a restart needs."""

    lots_e9: list[tuple[int, int]] = []
    newest: list[tuple[int, int]] = []
    opening: list[tuple[int, int]] | None = None
    named: list[tuple[int, int]] = []
    named_s: int = 0
    traded: list[int] = []


class MarkBook:
    """Newest marks, those that the open batch began with, those of the last named round; 1e-6 USDC per lot."""

    def __init__(
        self,
        lots_e9: Mapping[int, int] | None = None,
        marks_e9: Mapping[int, int] | None = None,
        traded: Iterable[int] = (),
    ) -> None:
        """Begin with the instruments and marks of a batch boundary, and those that somebody holds."""
        self._lots_e9 = dict(lots_e9 or {})
        self._newest: dict[int, int] = {}
        for instrument, mark_e9 in (marks_e9 or {}).items():
            self._newest[instrument] = mark_per_lot_e6(mark_e9, self._lots_e9[instrument])
        self._opening: dict[int, int] | None = None
        self._named: dict[int, int] = {}
        self._named_s = 0
        self._traded = set(traded)

    @property
    def traded(self) -> Collection[int]:
        """Instruments that somebody may hold."""
        return self._traded

    def list_instrument(self, instrument: Instrument) -> None:
        """Know how large a lot is."""
        self._lots_e9[instrument.instrument_id] = instrument.lot_e9

    def end(self, instrument: int) -> None:
        """Forget an instrument that was settled or delisted, for good: later prices of it are not taken (F4)."""
        self._lots_e9.pop(instrument, None)
        self._newest.pop(instrument, None)
        self._traded.discard(instrument)
        if self._opening is not None:
            self._opening.pop(instrument, None)

    def trade(self, instrument: int) -> None:
        """Know that somebody may hold it from now on."""
        self._traded.add(instrument)

    def take(self, rows: tuple[MarkRow, ...], *, is_batch_open: bool) -> None:
        """Take a round of prices. The open batch keeps what it began with, and the first mark of what had none."""
        if is_batch_open and self._opening is None:
            self._opening = dict(self._newest)
        for row in rows:
            if row.instrument in self._lots_e9:
                mark_e6 = mark_per_lot_e6(row.mark_e9, self._lots_e9[row.instrument])
                self._newest[row.instrument] = mark_e6
                if self._opening is not None:
                    self._opening.setdefault(row.instrument, mark_e6)

    def close(self, *, is_asked: bool = False) -> dict[int, int]:
        """End the open batch; return the marks that it began with of what was traded.

        `is_asked`: somebody withdraws, return the newest of all that is listed. The engine takes no prices between a
        request and the end of its batch, so these are what it decided by.
        """
        marks = self._newest if is_asked or self._opening is None else self._opening
        self._opening = None
        return {key: mark_e6 for key, mark_e6 in marks.items() if is_asked or key in self._traded}

    def perpetuals(self) -> dict[int, int]:
        """Return the newest mark of every perpetual that is listed and priced."""
        return {key: mark_e6 for key, mark_e6 in self._newest.items() if key & PERP_BIT}

    def is_due(self, marks: Mapping[int, int], match_from_s: int) -> bool:
        """Whether marks are a reason for a round: the last lacks an instrument, is old and has others, or far away."""
        is_old = match_from_s >= self._named_s + MARKS_AGE_MAX_S
        if marks.keys() - self._named.keys() or (is_old and marks != self._named):
            return True
        return any(_is_far(mark_e6, self._named[key]) for key, mark_e6 in marks.items() if key & PERP_BIT)

    def name(self, marks: Mapping[int, int], match_from_s: int) -> None:
        """Remember what a round was made of: what a vector had no room for counts as named."""
        self._named, self._named_s = dict(marks), match_from_s

    def dump(self) -> SavedMarks:
        """Everything, canonical."""
        return SavedMarks(
            sorted(self._lots_e9.items()),
            sorted(self._newest.items()),
            None if self._opening is None else sorted(self._opening.items()),
            sorted(self._named.items()),
            self._named_s,
            sorted(self._traded),
        )

    @classmethod
    def load(cls, saved: SavedMarks) -> "MarkBook":
        """Inverse of `dump`."""
        book = cls(dict(saved.lots_e9), traded=saved.traded)
        book._newest = dict(saved.newest)
        book._opening = None if saved.opening is None else dict(saved.opening)
        book._named, book._named_s = dict(saved.named), saved.named_s
        return book
