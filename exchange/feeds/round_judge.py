"""What a feed holds a round against before it signs: its own index of the same time, and the terms of what is marked.

An index price, a settlement price and the mark of a perpetual must be near our own price of that time; the tolerance
grows with the time between the round and our nearest sample, up to MAX_TOLERANCE_PPM. Where prices jumped further than
F4 lets a round follow, an index price on the way from the last signed one to ours passes. Options are bounded by what
no option is worth, a payoff follows from its settlement price. Not judged: funding indexes, which F4 bounds. No clock:
times are arguments.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.underlyings import underlying_number
from settlement.protocol.caps import PERP_BIT
from settlement.protocol.linear_bounds import MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle import BadVector, MarkRow, OracleVector, decode_vector
from settlement.protocol.oracle_bounds import bounded_price_e6, is_payoff

__all__ = ["PriceHistory", "RefusalReason", "RoundJudge", "RoundRefused"]

MAX_TOLERANCE_PPM: Final = 100_000
SAMPLE_S: Final = 5
SAMPLES_MAX: Final = 17_280
"""A day of them: what is older can rarely be posted."""
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

    def nearest(self, time_s: int) -> tuple[int, int] | None:
        """Return the sample nearest to a time and the seconds between them; None before the first sample."""
        if not self._times:
            return None
        after = bisect_left(self._times, time_s)
        places = [place for place in (after - 1, after) if 0 <= place < len(self._times)]
        place = min(places, key=lambda place: abs(self._times[place] - time_s))
        return self._prices_e6[place], abs(self._times[place] - time_s)


class RoundJudge:
    """Judges the rounds of one venue. `catalogue` gives the instruments of a day (Unix seconds)."""

    def __init__(self, catalogue: Callable[[int], list[Instrument]], bound_ppm: int) -> None:
        """`bound_ppm`: how far a price may stand from ours of the same second."""
        self._catalogue = catalogue
        self._bound_ppm = bound_ppm
        self._histories: dict[int, PriceHistory] = {}
        self._terms: dict[int, ListedTerms] = {}
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
            own_e6, tolerance_ppm = self._own(underlying, time_s)
            if not (
                _is_near(price_e6, own_e6, tolerance_ppm) or self._is_on_the_way(underlying, price_e6, own_e6, time_s)
            ):
                yield RefusalReason.INDEX, f"underlying {underlying} at {price_e6}, ours is {own_e6}"
        for (underlying, expiry_s), price_e6 in vector.settlement_e6.items():
            own_e6, tolerance_ppm = self._own(underlying, expiry_s)
            if not _is_near(price_e6, own_e6, tolerance_ppm):
                yield RefusalReason.PAYOFF, f"underlying {underlying} settled at {price_e6}, ours was {own_e6}"
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
            own_e6, tolerance_ppm = self._own(terms.underlying, time_s)
            if not _is_mark(terms, row.mark_e6, own_e6, tolerance_ppm):
                yield RefusalReason.MARK, f"instrument {number} at {row.mark_e6}, the index is {own_e6} here"

    def _own(self, underlying: int, time_s: int) -> tuple[int, int]:
        """Return our price and the tolerance in ppm. Raises RoundRefused where we have none."""
        history = self._histories.get(underlying)
        found = None if history is None else history.nearest(time_s)
        if found is None:
            raise RoundRefused(RefusalReason.NO_PRICE, f"underlying {underlying} has no price here yet")
        return found[0], min(self._bound_ppm + _DRIFT_PPM * found[1], max(MAX_TOLERANCE_PPM, self._bound_ppm))

    def _is_on_the_way(self, underlying: int, price_e6: int, own_e6: int, time_s: int) -> bool:
        """Whether F4 kept a round from following our price all the way from the last one that was signed."""
        if self._signed is None or underlying not in self._signed[0].index_e6:
            return False
        last_e6 = self._signed[0].index_e6[underlying]
        reached_e6 = bounded_price_e6(last_e6, own_e6, max(0, time_s - self._signed[1]) + 1)
        return reached_e6 != own_e6 and min(last_e6, own_e6) <= price_e6 <= max(last_e6, own_e6)

    def _learn(self, time_s: int) -> None:
        """Terms of everything that can be listed on the day of a round."""
        if time_s // 86_400 == self._day:
            return
        days = (time_s - weeks * _WEEK_S for weeks in range(_LISTED_WEEKS))
        self._terms = {row.instrument_id: _terms(row) for day_s in days for row in self._catalogue(max(0, day_s))}
        self._day = time_s // 86_400


def _is_near(price_e6: int, own_e6: int, tolerance_ppm: int) -> bool:
    return abs(price_e6 - own_e6) * _PPM <= own_e6 * tolerance_ppm


def _is_mark(terms: ListedTerms, mark_e6: int, own_e6: int, tolerance_ppm: int) -> bool:
    """Marks are rounded down to a unit per lot, so one unit more or less is near."""
    lot_e9 = terms.bounds.lot_e18 // _E9
    if terms.bounds.is_perpetual:
        return abs(mark_e6 * _E9 - own_e6 * lot_e9) * _PPM <= (own_e6 * lot_e9 * tolerance_ppm) + _E9 * _PPM
    most_e6 = own_e6 * _CALL_FACTOR_PPM // _PPM if terms.is_call else terms.strike_e8 // 100
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
