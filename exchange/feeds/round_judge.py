"""What a feed holds a round against before it signs: its own index of the same time, and the terms of what is marked.

An index price must be near what our own price was within a minute of the round, because a batch may last so long; the
mark of a perpetual as near as its clamp lets its book move it; a settlement price, an average, near what ours was in
the half hour before. The tolerance grows with the time between the round and our nearest sample, up to
MAX_TOLERANCE_PPM. Where prices jumped further than F4 lets a round follow, an index price on the way from the last
signed one to ours passes. Options are bounded by what no option is worth, a payoff follows from its settlement price.
Not judged: funding indexes, which F4 bounds. No clock: times are arguments.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.underlyings import underlying_number
from exchange.feeds.perpetual_marks import mark_clamp_ppm
from settlement.protocol.caps import PERP_BIT
from settlement.protocol.linear_bounds import MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle import BadVector, MarkRow, OracleVector, decode_vector
from settlement.protocol.oracle_bounds import bounded_price_e6, is_payoff

__all__ = ["PriceHistory", "RefusalReason", "RoundJudge", "RoundRefused"]

MAX_TOLERANCE_PPM: Final = 100_000
SAMPLE_S: Final = 5
SAMPLES_MAX: Final = 17_280
"""A day of them: what is older can rarely be posted."""
SPAN_S: Final = 60
"""A round may be so old when its batch ends, and has marks of up to then."""
SETTLEMENT_S: Final = 1_800
"""What settles an expiry is the average of half an hour."""
AHEAD_MAX_S: Final = 5
"""A settler's clock may be ahead of ours by so much."""
_DRIFT_PPM: Final = 20
"""Tolerance for each second between a round and the nearest sample: 2 % in 17 minutes."""
_CALL_FACTOR_PPM: Final = 1_250_000
"""A call is worth at most its forward, which stands above the index by far less than a quarter."""
_LISTED_WEEKS: Final = 8
"""Options are listed up to so many weeks before they end."""
_WEEK_S: Final = 7 * 86_400
_PPM: Final = 1_000_000
_E9: Final = 10**9
_E3: Final = 10**3


class RefusalReason(StrEnum):
    """Why a round is not signed."""

    BAD_VECTOR = "bad_vector"
    FUTURE = "future"
    NO_PRICE = "no_price"
    INDEX = "index"
    MARK = "mark"
    PAYOFF = "payoff"
    UNKNOWN_INSTRUMENT = "unknown_instrument"


class RoundRefused(ValueError):
    """A round that is not signed; the text says what is out of bounds."""

    def __init__(self, reason: RefusalReason, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


class PriceHistory:
    """Our own index of one underlying over a day, a sample each SAMPLE_S at most; 1e-6 USDC per unit."""

    def __init__(self) -> None:
        """No sample yet."""
        self._times: deque[int] = deque(maxlen=SAMPLES_MAX)
        self._prices_e6: deque[int] = deque(maxlen=SAMPLES_MAX)

    def note(self, time_s: int, price_e6: int) -> None:
        """Keep a price of a Unix time; one that comes too early after the last is left out."""
        if not self._times or time_s >= self._times[-1] + SAMPLE_S:
            self._times.append(time_s)
            self._prices_e6.append(price_e6)

    def around(self, time_s: int, before_s: int, after_s: int) -> tuple[int, int, int] | None:
        """Return lowest and highest sample of a span about a time, and the seconds to the nearest; None without any.

        The nearest sample counts wherever it is.
        """
        if not self._times:
            return None
        after = bisect_left(self._times, time_s)
        places = [place for place in (after - 1, after) if 0 <= place < len(self._times)]
        nearest = min(places, key=lambda place: abs(self._times[place] - time_s))
        first, last = bisect_left(self._times, time_s - before_s), bisect_right(self._times, time_s + after_s)
        found = [self._prices_e6[nearest], *islice(self._prices_e6, first, last)]
        return min(found), max(found), abs(self._times[nearest] - time_s)


class RoundJudge:
    """Judges the rounds of one venue. `catalogue` gives the instruments of a day (Unix seconds)."""

    def __init__(self, catalogue: Callable[[int], list[Instrument]], bound_ppm: int) -> None:
        """`bound_ppm`: how far a price may stand from ours of the same second."""
        self._catalogue = catalogue
        self._bound_ppm = bound_ppm
        self._histories: dict[int, PriceHistory] = {}
        self._terms: dict[int, ListedTerms] = {}
        self._clamps_ppm: dict[int, int] = {}
        self._day = -1
        self._signed: tuple[OracleVector, int] | None = None

    def note(self, time_s: int, prices_e9: Mapping[str, int]) -> None:
        """Take our own index prices of a time, by name of the underlying, 1e-9 USDC per unit."""
        for name, price_e9 in prices_e9.items():
            self._histories.setdefault(underlying_number(name), PriceHistory()).note(time_s, price_e9 // _E3)

    def check(self, round_number: int, time_s: int, data: bytes, *, now_s: int) -> None:
        """Judge a round and remember it as signed. Raises RoundRefused with the first thing that is wrong."""
        try:
            vector = decode_vector(round_number, data)
        except BadVector as error:
            raise RoundRefused(RefusalReason.BAD_VECTOR, str(error)) from error
        if time_s > now_s + AHEAD_MAX_S:
            raise RoundRefused(RefusalReason.FUTURE, f"its time is {time_s - now_s} s ahead")
        self._learn(time_s)
        for reason, text in self._faults(vector, time_s):
            raise RoundRefused(reason, text)
        if self._signed is None or round_number >= self._signed[0].round_number:
            self._signed = vector, time_s

    def _faults(self, vector: OracleVector, time_s: int) -> Iterator[tuple[RefusalReason, str]]:
        for underlying, price_e6 in vector.index_e6.items():
            own = self._own(underlying, time_s, SPAN_S)
            if not (own.is_near(price_e6) or self._is_on_the_way(underlying, price_e6, own, time_s)):
                yield RefusalReason.INDEX, f"underlying {underlying} at {price_e6}, ours was {own}"
        for (underlying, expiry_s), price_e6 in vector.settlement_e6.items():
            own = self._own(underlying, expiry_s, SETTLEMENT_S)
            if not own.is_near(price_e6):
                yield RefusalReason.PAYOFF, f"underlying {underlying} settled at {price_e6}, ours was {own}"
        for number, row in vector.rows.items():
            yield from self._row_faults(number, row, vector, time_s)

    def _row_faults(
        self, number: int, row: MarkRow, vector: OracleVector, time_s: int
    ) -> Iterator[tuple[RefusalReason, str]]:
        terms = self._terms.get(number)
        if terms is None:
            yield RefusalReason.UNKNOWN_INSTRUMENT, f"instrument {number} is in no catalogue of ours"
        elif row.payoff_e12 is not None:
            price_e6 = vector.settlement_e6.get((terms.underlying, terms.expiry_s))
            if number & PERP_BIT or price_e6 is None or not is_payoff(terms, price_e6, row.payoff_e12):
                yield RefusalReason.PAYOFF, f"instrument {number} pays {row.payoff_e12}"
        elif row.mark_e6 or terms.underlying in vector.index_e6:
            # Where nothing was ever priced, an index price of the round is missing too, and F4 keeps those that were.
            own = self._own(terms.underlying, time_s, SPAN_S)
            if not _is_mark(terms, row.mark_e6, own, self._clamps_ppm.get(number, 0)):
                yield RefusalReason.MARK, f"instrument {number} at {row.mark_e6}, the index was {own} here"

    def _own(self, underlying: int, time_s: int, before_s: int) -> "_Own":
        """Return our prices about a time. Raises RoundRefused where we have none."""
        history = self._histories.get(underlying)
        found = None if history is None else history.around(time_s, before_s, SPAN_S)
        if found is None:
            raise RoundRefused(RefusalReason.NO_PRICE, f"underlying {underlying} has no price here yet")
        low_e6, high_e6, away_s = found
        most_ppm = max(MAX_TOLERANCE_PPM, self._bound_ppm)
        return _Own(low_e6, high_e6, min(self._bound_ppm + _DRIFT_PPM * away_s, most_ppm))

    def _is_on_the_way(self, underlying: int, price_e6: int, own: "_Own", time_s: int) -> bool:
        """Whether F4 kept a round from following our price all the way from the last one that was signed."""
        if self._signed is None or underlying not in self._signed[0].index_e6:
            return False
        last_e6, elapsed_s = self._signed[0].index_e6[underlying], max(0, time_s - self._signed[1]) + 1
        far_e6 = max(own.low_e6, own.high_e6, key=lambda price_e6: abs(price_e6 - last_e6))
        is_held = bounded_price_e6(last_e6, far_e6, elapsed_s) != far_e6
        return is_held and min(last_e6, far_e6) <= price_e6 <= max(last_e6, far_e6)

    def _learn(self, time_s: int) -> None:
        """Terms of everything that can be listed on the day of a round."""
        if time_s // 86_400 == self._day:
            return
        days = (time_s - weeks * _WEEK_S for weeks in range(_LISTED_WEEKS))
        rows = [row for day_s in days for row in self._catalogue(max(0, day_s))]
        self._terms = {row.instrument_id: _terms(row) for row in rows}
        self._clamps_ppm = {row.instrument_id: mark_clamp_ppm(row.underlying) for row in rows if row.is_perpetual}
        self._day = time_s // 86_400


class _Own(NamedTuple):
    """Our own prices about a time, 1e-6 USDC per unit, and how far beyond them others may stand."""

    low_e6: int
    high_e6: int
    tolerance_ppm: int

    def is_near(self, amount: int, unit: int = 1, slack: int = 0, beside_ppm: int = 0) -> bool:
        """Whether `amount` is what `unit` of the underlying is worth, `slack` more or less, in units of `amount`.

        `beside_ppm`: by how much more than the tolerance it may differ.
        """
        least = self.low_e6 * unit * (_PPM - self.tolerance_ppm - beside_ppm)
        most = self.high_e6 * unit * (_PPM + self.tolerance_ppm + beside_ppm)
        return least <= (amount + slack) * _PPM and (amount - slack) * _PPM <= most

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.low_e6} to {self.high_e6}"


def _is_mark(terms: ListedTerms, mark_e6: int, own: _Own, clamp_ppm: int) -> bool:
    """Marks are rounded down to a unit per lot, so one unit more or less is near.

    A perpetual's may stand beside its index: what its book says, which we do not see, within `clamp_ppm`.
    """
    lot_e9 = terms.bounds.lot_e18 // _E9
    if terms.bounds.is_perpetual:
        return own.is_near(mark_e6 * _E9, lot_e9, _E9, clamp_ppm)
    most_e6 = own.high_e6 * _CALL_FACTOR_PPM // _PPM if terms.is_call else terms.strike_e8 // 100
    return mark_e6 * _E9 <= most_e6 * lot_e9


def _terms(row: Instrument) -> ListedTerms:
    is_perpetual = row.kind is InstrumentKind.PERPETUAL
    return ListedTerms(
        bounds=BoundTerms(is_perpetual=is_perpetual, lot_e18=row.lot_e9 * _E9, factor_class=MAJOR),
        underlying=underlying_number(row.underlying),
        is_call=row.kind is InstrumentKind.CALL,
        strike_e8=row.strike_e9 // 10,
        expiry_s=row.expiry_s,
    )
