"""Index prices of the last week by the minute, in bounded memory: bars, the price of a day ago, the spot feed's item.

It begins with the process.
"""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from exchange.domain.events import Event, PricesSet
from exchange.domain.instrument import format_e9
from exchange.gateway.bar_periods import MAX_BARS, check_period
from exchange.wire.decimals import format_ppm

__all__ = ["IndexHistory", "index_bars", "spot_feed_item"]

_MINUTE_S: Final = 60
_MINUTES_KEPT: Final = 7 * 1_440
_DAY_S: Final = 86_400


class Minute(msgspec.Struct, gc=False):
    """Prices of one minute, 1e-9 USDC; `at_s` is its beginning."""

    at_s: int
    open_e9: int
    high_e9: int
    low_e9: int
    close_e9: int


class IndexHistory:
    """Rings of minutes by underlying."""

    EVENTS: ClassVar[frozenset[type]] = frozenset({PricesSet})

    def __init__(self) -> None:
        """Start empty."""
        self.minutes: dict[str, deque[Minute]] = {}

    def record(self, event: Event, timestamp_ns: int) -> None:
        """Take one round of prices."""
        if isinstance(event, PricesSet):
            at_s = timestamp_ns // 1_000_000_000 // _MINUTE_S * _MINUTE_S
            for underlying, price_e9 in event.prices.indexes_e9.items():
                self._note(underlying, at_s, price_e9)

    def day_ago(self, underlying: str, now_s: int) -> Minute | None:
        """Newest minute that ended at least a day ago, None when nothing is known of then."""
        before = now_s - _DAY_S - _MINUTE_S
        return next((row for row in reversed(self.minutes.get(underlying, ())) if row.at_s <= before), None)

    def _note(self, underlying: str, at_s: int, price_e9: int) -> None:
        ring = self.minutes.setdefault(underlying, deque(maxlen=_MINUTES_KEPT))
        if not ring or ring[-1].at_s < at_s:
            ring.append(Minute(at_s, price_e9, price_e9, price_e9, price_e9))
            return
        row = ring[-1]
        row.high_e9, row.low_e9, row.close_e9 = max(row.high_e9, price_e9), min(row.low_e9, price_e9), price_e9


def index_bars(minutes: Iterable[Minute], *, period_s: int, start_s: int, end_s: int) -> list[dict[str, object]]:
    """Bars of `period_s` from `start_s` to `end_s` (Unix seconds), oldest first, at most 5,000 and the newest.

    WireError -32602 for a period that is none of ours.
    """
    check_period(period_s)
    bars: dict[int, Minute] = {}
    for row in minutes:
        at_s = row.at_s // period_s * period_s
        if not start_s <= at_s <= end_s:
            continue
        bar = bars.setdefault(at_s, Minute(at_s, row.open_e9, row.high_e9, row.low_e9, row.close_e9))
        bar.high_e9, bar.low_e9 = max(bar.high_e9, row.high_e9), min(bar.low_e9, row.low_e9)
        bar.close_e9 = row.close_e9
    return [_bar(row) for row in bars.values()][-MAX_BARS:]


def spot_feed_item(
    underlying: str, price_e9: int, day_ago: Minute | None, now_ms: int, *, confidence_ppm: int = 1_000_000
) -> dict[str, object]:
    """Item of `spot_feed`: without a price of a day ago the present one stands there, with the present time."""
    before_e9 = day_ago.close_e9 if day_ago else price_e9
    feed = {
        "price": format_e9(price_e9),
        "confidence": format_ppm(confidence_ppm),
        "price_prev_daily": format_e9(before_e9),
        "confidence_prev_daily": "1",
        "timestamp_prev_daily": (day_ago.at_s + _MINUTE_S) * 1_000 if day_ago else now_ms,
    }
    return {"timestamp": now_ms, "feeds": {underlying: feed}}


def _bar(row: Minute) -> dict[str, object]:
    return {
        "timestamp": row.at_s,
        "timestamp_bucket": row.at_s,
        "price": format_e9(row.close_e9),
        "open_price": format_e9(row.open_e9),
        "high_price": format_e9(row.high_e9),
        "low_price": format_e9(row.low_e9),
        "close_price": format_e9(row.close_e9),
    }
