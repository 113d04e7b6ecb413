"""How far a perpetual's price moved lately: the trade that would move it too far is not made (risk.md 11, D-029).

Highs and lows of trades are kept in rings of slots: six of 2 s cover the last 10 to 12 s, six of 60 s the last 5 to 6
minutes. The price that an order would begin to trade at counts too, so one sweep is bounded like many trades. Twin of
`_price_moves.pxd`.
"""

from collections.abc import Iterable
from typing import Final

from exchange.domain.commands import Place, Side
from exchange.domain.money import ceil_div, floor_div
from exchange.engine.book_commands import tell_time
from exchange.engine.flags import POST_ONLY
from exchange.engine.state import State

__all__ = ["moves_too_far"]

_PPM: Final = 1_000_000


def moves_too_far(state: State, place: Place, lots: int) -> bool:
    """Whether an order that trades continuously would make a trade beyond what the last minutes allow."""
    number = place.instrument
    if number in state.auctions or int(place.flags) & POST_ONLY or not state.instruments[number].is_perpetual:
        return False
    bid_ticks, _, ask_ticks, _ = state.book.best(number)
    best_ticks = ask_ticks if place.side is Side.BUY else bid_ticks
    if best_ticks is None:
        return False
    bound_ticks = _bound(state, number, place.side, best_ticks)
    is_beyond = place.price_ticks > bound_ticks if place.side is Side.BUY else place.price_ticks < bound_ticks
    if not is_beyond:
        return False
    tell_time(state)
    within = state.book.fillable(number, place.side, bound_ticks, lots)
    return bool(state.book.fillable(number, place.side, place.price_ticks, lots) > within)


def _bound(state: State, number: int, side: Side, best_ticks: int) -> int:
    """Worst price that a trade may have: floor of low + part, ceiling of high - part, the narrower of both windows."""
    parts_ppm = (state.config.short_move_ppm, state.config.long_move_ppm)
    windows = zip(state.price_moves.extremes(number, state.timestamp_ns), parts_ppm, strict=True)
    if side is Side.BUY:
        lows = ((min((best_ticks, *prices)), ppm) for prices, ppm in windows)
        return min(floor_div(low * (_PPM + ppm), _PPM) for low, ppm in lows)
    highs: Iterable[tuple[int, int]] = ((max((best_ticks, *prices)), ppm) for prices, ppm in windows)
    return max(ceil_div(high * (_PPM - ppm), _PPM) for high, ppm in highs)
