"""What the demo's makers want to show: prices and sizes around a value, from a seeded source. Pure functions.

Amounts are lots and prices ticks of the market; marks come as integers in 1e-9 USDC.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

from exchange.client.markets import Market, decimal_e9
from exchange.pricing.opinion import Opinion, SmileShape

__all__ = [
    "PERPETUAL_LEVELS",
    "Quote",
    "Style",
    "View",
    "index_view",
    "own_view",
    "position_limit_lots",
    "seeded_opinion",
    "view_of",
    "wanted_quotes",
]

PERPETUAL_LEVELS = 3
_PPM = 1_000_000
_PERPETUAL_HALF_SPREAD_PPM = (150, 450)
_OPTION_HALF_SPREAD_PPM = (20_000, 45_000)
_OPTION_FLOOR_PPM = 60
"""Half spread of an option, at least this part of the index: far strikes stay quotable."""
_TYPICAL_NOTIONAL_E9 = 8_000 * 10**9
"""Size of one quote: about this much of the underlying."""
_LIMIT_IN_QUOTES = 12
_VOLATILITIES = {"BTC": 0.52, "ETH": 0.68}
"""What the opinion is drawn around, at the money."""
_REFRESH_PART = 3
"""A quote is kept while it is within this fraction (1/n) of its half spread from where it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a ticker says: mark and index in 1e-9 USDC, and when (Unix milliseconds, 0 where nobody asks)."""

    mark_e9: int
    index_e9: int
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How wide and how big one maker quotes one instrument."""

    half_spread_ppm: int
    """Of the mark."""
    size_ppm: int
    """Of the typical size."""

    @classmethod
    def drawn(cls, source: Random, market: Market) -> "Style":
        """Draw a style for an instrument."""
        low, high = _PERPETUAL_HALF_SPREAD_PPM if market.instrument.is_perpetual else _OPTION_HALF_SPREAD_PPM
        return cls(half_spread_ppm=source.randint(low, high), size_ppm=source.randint(300_000, 1_800_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One resting order a maker wants: `slack_ticks` is how far an existing one may stand from it."""

    is_buy: bool
    level: int
    price_ticks: int
    quantity_lots: int
    slack_ticks: int

    @property
    def slot(self) -> tuple[bool, int]:
        """Side and level."""
        return self.is_buy, self.level


def view_of(ticker: dict[str, Any]) -> View | None:
    """Mark and index of a ticker, None while there is none."""
    view = View(mark_e9=decimal_e9(ticker["M"]), index_e9=decimal_e9(ticker["I"]), timestamp_ms=int(ticker.get("t", 0)))
    return view if view.mark_e9 > 0 and view.index_e9 > 0 else None


def seeded_opinion(seed: int) -> Opinion:
    """What the makers of a demo think of volatility, all alike: the exchange fits one smile from all their quotes."""
    source = Random(f"opinion {seed}")  # noqa: S311 - reproducible, no secret
    shapes = {
        name: SmileShape(level * source.uniform(0.95, 1.05), source.uniform(-0.45, -0.15))
        for name, level in _VOLATILITIES.items()
    }
    return Opinion(shapes, source.random())


def own_view(market: Market, view: View, opinion: Opinion) -> View:
    """The view with an option's mark replaced by the opinion, on the index of the view; unchanged without one."""
    value_e9 = opinion.value_e9(market.instrument, index_e9=view.index_e9, now_ms=view.timestamp_ms)
    if not view.timestamp_ms or not value_e9:
        return view
    return View(mark_e9=value_e9, index_e9=view.index_e9, timestamp_ms=view.timestamp_ms)


def index_view(view: View) -> View:
    """The view with the index as its mark: a perpetual's mark is made of such quotes, and would follow itself."""
    return View(mark_e9=view.index_e9, index_e9=view.index_e9, timestamp_ms=view.timestamp_ms)


def position_limit_lots(market: Market, index_e9: int) -> int:
    """Largest position a bot takes in an instrument."""
    return _LIMIT_IN_QUOTES * _typical_lots(market, index_e9)


def wanted_quotes(market: Market, view: View, style: Style, *, position_lots: int, size_ppm: int = _PPM) -> list[Quote]:
    """Quotes around the mark, leaning against `position_lots`; no quote that would pass the position limit."""
    limit = position_limit_lots(market, view.index_e9)
    half_e9 = max(
        view.mark_e9 * style.half_spread_ppm // _PPM,
        0 if market.instrument.is_perpetual else view.index_e9 * _OPTION_FLOOR_PPM // _PPM,
        market.instrument.tick_e9,
    )
    lean_e9 = half_e9 * max(-limit, min(position_lots, limit)) // limit
    levels = PERPETUAL_LEVELS if market.instrument.is_perpetual else 1
    lots = _typical_lots(market, view.index_e9) * style.size_ppm * size_ppm // _PPM**2
    quotes: list[Quote] = []
    for is_buy in (True, False):
        if abs(position_lots) >= limit and (position_lots > 0) == is_buy:
            continue
        for level in range(levels):
            quote = _quote(market, view.mark_e9 - lean_e9, half_e9, is_buy=is_buy, level=level, lots=lots)
            quotes += [quote] if quote is not None else []
    return quotes


def _quote(market: Market, center_e9: int, half_e9: int, *, is_buy: bool, level: int, lots: int) -> Quote | None:
    distance_e9 = half_e9 * (2 + level) // 2
    price_e9 = center_e9 - distance_e9 if is_buy else center_e9 + distance_e9
    if price_e9 < market.instrument.tick_e9:
        return None
    instrument = market.instrument
    return Quote(
        is_buy=is_buy,
        level=level,
        price_ticks=market.ticks_within(price_e9, up=not is_buy),
        quantity_lots=max(instrument.minimum_lots, min(lots * (level + 1), instrument.maximum_lots)),
        slack_ticks=half_e9 // (_REFRESH_PART * instrument.tick_e9),
    )


def _typical_lots(market: Market, index_e9: int) -> int:
    lots = _TYPICAL_NOTIONAL_E9 * 10**9 // (index_e9 * market.instrument.lot_e9)
    return max(lots, market.instrument.minimum_lots)
