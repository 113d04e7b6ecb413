"""What an order would do if it came now: the checks of its ladder, the levels it would meet, its account afterwards.

Nothing is changed. The book is taken by its levels as they are shown. A preview is an estimate where it would have to
look into them: own orders, which self-trade prevention ends, hidden lots of icebergs, and reduce-only orders that are
clipped when they are met.
"""

from typing import Final, NamedTuple

from exchange.domain.commands import Place, Side, TimeInForce
from exchange.domain.instrument import Instrument
from exchange.domain.money import floor_div
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.domain.views import PreviewView
from exchange.engine.booking import move_position
from exchange.engine.entry_checks import check_display, check_entry, check_terms
from exchange.engine.fees import fee_e6, signed_cap_e6
from exchange.engine.flags import MARKET, POST_ONLY, REDUCE_ONLY, SLIDE
from exchange.engine.liquidation_prices import liquidation_ticks_after
from exchange.engine.margin import Change, margin_after_e18, worst_margin_e18
from exchange.engine.records import Account, Position
from exchange.engine.state import State
from exchange.engine.valuation import maintenance_margin_e18
from exchange.risk.standard import E12

__all__ = ["LEVELS_MAX", "preview_order"]

LEVELS_MAX: Final = 1_000
"""Levels that a preview looks through; an order that would go further is shown as if the book ended there."""
_IMMEDIATE: Final = (TimeInForce.IOC, TimeInForce.FOK)

Fills = tuple[tuple[int, int], ...]


class _Effect(NamedTuple):
    """Lots that fill and that rest, what the fills cost without fees (< 0: earn), their fees and realized profit."""

    fills: Fills
    resting_lots: int
    notional_e6: int
    fee_e6: int
    realized_pnl_e6: int


_NO_EFFECT: Final = _Effect((), 0, 0, 0, 0)


def preview_order(state: State, place: Place) -> PreviewView | None:
    """The first refusal of the ladder behind the nonce, or what the book would do; None for an unknown account."""
    account = state.accounts.get(place.subaccount)
    if account is None:
        return None
    code = check_terms(state, place) or check_display(state, place) or check_entry(state, place)
    fills = () if code else _fills(state, place, account)
    code = code or _check_book(state, place, fills)
    effect = _NO_EFFECT if code else _effect(state, place, account, fills)
    before = worst_margin_e18(state, account)
    return PreviewView(
        code=code,
        status=OrderStatus.REJECTED if code else _status(place, effect),
        fills=effect.fills,
        fee_e6=effect.fee_e6,
        realized_pnl_e6=effect.realized_pnl_e6,
        margin_e6=floor_div(before, E12),
        margin_after_e6=floor_div(before if code else _margin_after(state, place, account, effect), E12),
        liquidation_ticks=0 if code else _liquidation_ticks(state, place, account, effect),
    )


def _fills(state: State, place: Place, account: Account) -> Fills:
    """Levels of the other side within the limit, down to the order's size; of a reduce-only order, the position's."""
    wanted = place.quantity_lots
    if int(place.flags) & REDUCE_ONLY:
        wanted = min(wanted, abs(account.lots(place.instrument)))
    bids, asks = ((), ()) if place.instrument in state.auctions else state.book.depth(place.instrument, LEVELS_MAX)
    is_buy, found = place.side is Side.BUY, []
    for price_ticks, lots, _ in asks if is_buy else bids:
        is_within = price_ticks <= place.price_ticks if is_buy else price_ticks >= place.price_ticks
        if not wanted or not is_within:
            break
        found.append((price_ticks, min(lots, wanted)))
        wanted -= min(lots, wanted)
    return tuple(found)


def _check_book(state: State, place: Place, fills: Fills) -> ResultCode:
    """What the core would refuse, in its order."""
    flags = int(place.flags)
    is_immediate = place.time_in_force in _IMMEDIATE or flags & MARKET
    if place.instrument in state.auctions:
        return ResultCode.IN_AUCTION if is_immediate else ResultCode.OK
    if fills and flags & (POST_ONLY | SLIDE) == POST_ONLY:
        return ResultCode.POST_ONLY_WOULD_CROSS
    if place.time_in_force is TimeInForce.FOK and sum(lots for _, lots in fills) < place.quantity_lots:
        return ResultCode.FOK_NOT_FILLED
    return ResultCode.OK


def _effect(state: State, place: Place, account: Account, fills: Fills) -> _Effect:
    flags = int(place.flags)
    fills = () if flags & SLIDE else fills
    filled = sum(lots for _, lots in fills)
    rests = 0 if place.time_in_force in _IMMEDIATE or flags & MARKET else place.quantity_lots - filled
    instrument = state.instruments[place.instrument]
    held = account.positions.get(place.instrument)
    position = Position(lots=held.lots, cost_e6=held.cost_e6) if held is not None else Position()
    notional = fee = realized = 0
    for price_ticks, lots in fills:
        delta = lots if place.side is Side.BUY else -lots
        cost = instrument.notional_e6(price_ticks=price_ticks, quantity_lots=delta)
        realized += move_position(position, delta_lots=delta, notional_e6=cost)
        notional += cost
        fee += _fee(state, instrument, place, price_ticks, lots)
    return _Effect(fills, rests, notional, fee, realized)


def _fee(state: State, instrument: Instrument, place: Place, price_ticks: int, lots: int) -> int:
    """As a fill is charged; without a cap in the order, the whole fee."""
    due = fee_e6(
        instrument,
        index_e9=state.prices.index_e9[instrument.underlying],
        price_ticks=price_ticks,
        quantity_lots=lots,
        is_taker=True,
        option_cap_ppm=state.config.option_fee_cap_ppm,
    )
    return min(due, signed_cap_e6(instrument, max_fee_e18=place.max_fee_e18, quantity_lots=lots))


def _margin_after(state: State, place: Place, account: Account, effect: _Effect) -> int:
    """Orders that only reduce reserve nothing while they rest."""
    rests = 0 if int(place.flags) & REDUCE_ONLY else effect.resting_lots
    filled = sum(lots for _, lots in effect.fills)
    change = Change(place.instrument, place.side, filled_lots=filled, resting_lots=rests, price_ticks=place.price_ticks)
    return margin_after_e18(state, account, change, paid_e6=effect.notional_e6 + effect.fee_e6)


def _liquidation_ticks(state: State, place: Place, account: Account, effect: _Effect) -> int:
    """Of the position after the fills; what rests does not count before it fills."""
    lots = sum(size for _, size in effect.fills)
    return liquidation_ticks_after(
        state,
        account,
        state.instruments[place.instrument],
        maintenance_margin_e18(state, account),
        delta_lots=lots if place.side is Side.BUY else -lots,
        paid_e6=effect.notional_e6 + effect.fee_e6,
    )


def _status(place: Place, effect: _Effect) -> OrderStatus:
    filled = sum(lots for _, lots in effect.fills)
    if filled == place.quantity_lots:
        return OrderStatus.FILLED
    return OrderStatus.OPEN if effect.resting_lots else OrderStatus.CANCELED
