"""What must be true of an order's own terms and of its account when it goes to the book (api.md 5 rows 11 to 13)."""

from typing import Final

from exchange.domain.commands import Place, TimeInForce
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.result_codes import ResultCode
from exchange.engine.flags import BLOCK, LIQUIDATION, MARKET, POST_ONLY, REDUCE_ONLY, SLIDE
from exchange.engine.margin import is_affordable
from exchange.engine.market_limits import check_room, owner_orders
from exchange.engine.market_state import check_market
from exchange.engine.portfolio_margin import has_cells
from exchange.engine.protection import check_group
from exchange.engine.state import State
from matching_core.limits import ICEBERG_SLICES_MAX

__all__ = [
    "check_display",
    "check_entry",
    "check_frozen",
    "check_limits",
    "check_look",
    "check_slices",
    "check_terms",
    "check_time",
    "is_full",
]

_MILLISECOND_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_IMMEDIATE: Final = (TimeInForce.IOC, TimeInForce.FOK)


def check_entry(state: State, place: Place, *, is_new: bool = True) -> ResultCode:
    """First failing code of: liquidation, group, market, limits, time (if new), margin, liquidity; then the book's.

    An option without scenario prices is not live for an account that is margined by them.
    """
    code = check_frozen(state, place) or check_group(state, place) or check_market(state, place)
    code = code or check_limits(state, place) or check_room(state, place)
    if not code and is_new:
        code = check_time(state, place)
    if not code and not has_cells(state, place.subaccount, place.instrument):
        code = ResultCode.INSTRUMENT_NOT_LIVE
    if not code and not is_affordable(state, place, place.price_ticks):
        code = ResultCode.INSUFFICIENT_MARGIN
    return code or _check_liquidity(state, place)


def check_frozen(state: State, place: Place) -> ResultCode:
    """While an account is liquidated its owner cannot trade, not even to reduce: the engine does."""
    is_frozen = state.accounts[place.subaccount].is_in_liquidation
    return ResultCode.IN_LIQUIDATION if is_frozen else ResultCode.OK


def check_look(state: State) -> ResultCode:
    """Nothing fills before all accounts were looked at behind a price round; who asks again meets a later look."""
    return ResultCode.CAPACITY if state.is_check_due else ResultCode.OK


def check_terms(state: State, place: Place) -> ResultCode:
    """Instrument live and priced, a possible combination of options of a user, price and size on the scale."""
    instrument = state.instruments.get(place.instrument)
    if instrument is None:
        return ResultCode.INSTRUMENT_NOT_FOUND
    ended = instrument.expiry_s and state.timestamp_ns >= instrument.expiry_s * _SECOND_NS
    if ended or place.instrument not in state.prices.marks or instrument.underlying not in state.prices.index_e9:
        return ResultCode.INSTRUMENT_NOT_LIVE
    flags = int(place.flags)
    if flags & (LIQUIDATION | BLOCK):
        return ResultCode.PARAMETER_INVALID
    is_immediate = place.time_in_force in _IMMEDIATE or flags & MARKET
    if flags & (POST_ONLY | SLIDE) == SLIDE or (is_immediate and flags & POST_ONLY):
        return ResultCode.POST_ONLY_NOT_ALLOWED
    if not 0 < place.price_ticks <= instrument.maximum_price_ticks:
        return ResultCode.BAD_PRICE
    notional_e6 = instrument.notional_e6(price_ticks=place.price_ticks, quantity_lots=place.quantity_lots)
    in_range = instrument.minimum_lots <= place.quantity_lots <= instrument.maximum_lots
    return ResultCode.OK if in_range and 0 < notional_e6 <= MAX_MONEY_E6 else ResultCode.BAD_AMOUNT


def check_display(state: State, place: Place) -> ResultCode:
    """A new iceberg can rest, and its slice is on the scale, within the total and not one of too many."""
    if not place.display_lots:
        return ResultCode.OK
    if place.time_in_force in _IMMEDIATE or int(place.flags) & MARKET:
        return ResultCode.DISPLAY_NOT_ALLOWED
    in_range = state.instruments[place.instrument].minimum_lots <= place.display_lots <= place.quantity_lots
    return check_slices(place) if in_range else ResultCode.BAD_AMOUNT


def check_slices(place: Place) -> ResultCode:
    """The book takes an order of at most 100 slices; an amended one may be smaller than its slice."""
    too_many = place.display_lots and place.quantity_lots > place.display_lots * ICEBERG_SLICES_MAX
    return ResultCode.BAD_AMOUNT if too_many else ResultCode.OK


def check_limits(state: State, place: Place) -> ResultCode:
    """Reduce-only has something to reduce; open orders and positions are bounded."""
    account, number = state.accounts[place.subaccount], place.instrument
    position = account.lots(number)
    if int(place.flags) & REDUCE_ONLY and (position == 0 or (position > 0) == (place.side == 0)):
        return ResultCode.REDUCE_ONLY_REJECTED
    is_crowded = owner_orders(state, account.index) >= state.config.owner_orders_max
    if is_crowded or len(state.account_orders[account.index]) >= state.config.open_orders_max:
        return ResultCode.TOO_MANY_OPEN_ORDERS
    if position == 0 and is_full(state, account.index, number):
        return ResultCode.TOO_MANY_POSITIONS
    return ResultCode.OK


def check_time(state: State, place: Place) -> ResultCode:
    """Not later than asked."""
    late = place.reject_after_ms and state.timestamp_ns > place.reject_after_ms * _MILLISECOND_NS
    return ResultCode.REJECT_TIMESTAMP_PASSED if late else ResultCode.OK


def is_full(state: State, subaccount: int, instrument: int, more: int = 0) -> bool:
    """Whether positions held, and those that open orders (and `more` others) may open, leave no place for another."""
    held = state.accounts[subaccount].positions
    maximum = state.config.positions_max
    rows = state.exposures[subaccount]
    if len(held) + len(rows) + more < maximum:
        return False
    waiting = sum(1 for number, row in rows.items() if number not in held and row.is_open)
    already = instrument in rows and rows[instrument].is_open
    return not already and len(held) + waiting + more >= maximum


def _check_liquidity(state: State, place: Place) -> ResultCode:
    """A market order needs somebody to trade with, a limit IOC ends instead; in a call the core refuses both."""
    if not int(place.flags) & MARKET or place.instrument in state.auctions:
        return ResultCode.OK
    bid_ticks, _, ask_ticks, _ = state.book.best(place.instrument)
    best = ask_ticks if place.side == 0 else bid_ticks
    if best is None or (best > place.price_ticks if place.side == 0 else best < place.price_ticks):
        return ResultCode.NO_LIQUIDITY
    return ResultCode.OK
