"""Candles from the trades in memory; bars without a trade repeat the last close."""

from collections.abc import Iterable

from exchange.domain.instrument import Instrument
from exchange.gateway.bar_periods import MAX_BARS, check_period
from exchange.gateway.history import TradeRecord
from exchange.wire.decimals import format_e6

__all__ = ["candles"]


class _Bar:
    __slots__ = ("close", "high", "lots", "low", "notional_e6", "open")

    def __init__(self, ticks: int) -> None:
        self.open = self.high = self.low = self.close = ticks
        self.lots = self.notional_e6 = 0


def candles(
    instrument: Instrument, records: Iterable[TradeRecord], *, period_s: int, start_s: int, end_s: int
) -> list[dict[str, object]]:
    """Bars of `period_s` from `start_s` to `end_s`, oldest first, at most 5,000; empty before the first known trade."""
    check_period(period_s)
    bars: dict[int, _Bar] = {}
    for row in records:
        bucket = row.timestamp_ns // 1_000_000_000 // period_s * period_s
        bar = bars.get(bucket)
        if bar is None:
            bar = bars[bucket] = _Bar(row.trade.price_ticks)
        _add(bar, row, instrument)
    if not bars:
        return []
    first = max(start_s // period_s * period_s, min(bars))
    first = max(first, end_s // period_s * period_s - (MAX_BARS - 1) * period_s)
    return _filled(instrument, bars, range(first, end_s + 1, period_s))


def _add(bar: _Bar, row: TradeRecord, instrument: Instrument) -> None:
    ticks, lots = row.trade.price_ticks, row.trade.quantity_lots
    bar.high, bar.low, bar.close = max(bar.high, ticks), min(bar.low, ticks), ticks
    bar.lots += lots
    bar.notional_e6 += instrument.notional_e6(price_ticks=ticks, quantity_lots=lots)


def _filled(instrument: Instrument, bars: dict[int, _Bar], buckets: range) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    before = [bucket for bucket in bars if bucket < buckets.start]
    last = _Bar(bars[max(before)].close if before else bars[min(bars)].open)
    for bucket in buckets:
        bar = bars.get(bucket) or _Bar(last.close)
        rows.append(_row(instrument, bucket, bar))
        last = bar
    return rows


def _row(instrument: Instrument, bucket: int, bar: _Bar) -> dict[str, object]:
    return {
        "timestamp": bucket,
        "timestamp_bucket": bucket,
        "open_price": instrument.price_text(bar.open),
        "high_price": instrument.price_text(bar.high),
        "low_price": instrument.price_text(bar.low),
        "close_price": instrument.price_text(bar.close),
        "volume_contracts": instrument.quantity_text(bar.lots),
        "volume_usd": format_e6(bar.notional_e6),
    }
