"""Whether an instrument's prices can be trusted now, in one word: open, stale or halted (risk.md 3.3).

What a display says by its own clock; the engine decides by the journal's (`exchange.engine.market_state`).
"""

from typing import Final

from exchange.domain.instrument import Instrument
from exchange.domain.limits import INDEX_HALT_NS, INDEX_LIFE_NS, OPTION_MARK_LIFE_NS
from exchange.domain.views import PricesView

__all__ = ["HALTED", "OPEN", "STALE", "index_state", "price_state"]

OPEN: Final = "open"
STALE: Final = "stale"
HALTED: Final = "halted"


def index_state(underlying: str, prices: PricesView, now_ns: int) -> str:
    """Of an underlying's index at a Unix time in nanoseconds; one that never came is halted."""
    age_ns = now_ns - prices.index_ns.get(underlying, 0)
    if underlying in prices.halted or age_ns > INDEX_HALT_NS:
        return HALTED
    return STALE if age_ns > INDEX_LIFE_NS else OPEN


def price_state(instrument: Instrument, prices: PricesView, now_ns: int) -> str:
    """Of an instrument: its index's, or stale while its own mark is. All but open means that it only reduces."""
    state = index_state(instrument.underlying, prices, now_ns)
    life_ns = OPTION_MARK_LIFE_NS if instrument.is_option else INDEX_LIFE_NS
    is_old = now_ns - prices.mark_ns.get(instrument.instrument_id, 0) > life_ns
    return STALE if state == OPEN and is_old else state
