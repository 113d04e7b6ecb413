"""The pre-trade check: positions and open orders of one account into the rules of `exchange.risk`, with a cache.

With Standard Margin the signed worst-fill margin of each of an account's groups (a perpetual, or the options of one
expiry) is kept until a position, an order or the prices of the group change; a check computes the group of its order
and adds up the others. Accounts with Portfolio Margin are summed anew (`portfolio_margin`).
"""

from collections.abc import Iterable

from exchange.domain.commands import Place, Side
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.engine import portfolio_margin
from exchange.engine.changes import Change, fees_e18, is_strict_reduction
from exchange.engine.doubt import add_on_e18
from exchange.engine.exposure import Exposure, GroupKey
from exchange.engine.flags import QUOTE, REDUCE_ONLY
from exchange.engine.funding import pending_e18
from exchange.engine.market_limits import initial_tiers
from exchange.engine.quote_reserve import reserve_e18
from exchange.engine.records import Account, Order
from exchange.engine.state import State
from exchange.risk.open_orders import OptionExposure, PerpetualExposure, options_worst, perpetual_worst
from exchange.risk.standard import E12

__all__ = [
    "Change",
    "group_margin",
    "invalidate",
    "is_affordable",
    "margin_after_e18",
    "note_lots",
    "worst_margin_e18",
    "worst_margin_of",
]


def invalidate(state: State, subaccount: int, instrument: int) -> None:
    """The account's position or orders on `instrument` changed."""
    state.forget_margin(subaccount, instrument)


def note_lots(state: State, order: Order, lots: int) -> None:
    """Add `lots` of a resting order to its account's exposure, or take them off.

    Reduce-only orders reserve nothing, and for quotes their group does.
    """
    place = order.place
    exposure = state.exposure(place.subaccount, place.instrument)
    if int(place.flags) & REDUCE_ONLY:
        return
    if int(place.flags) & QUOTE:
        exposure.add_quote(lots)
        return
    exposure.add(place.side, price_ticks=order.price_ticks, lots=lots)
    if exposure.loss_round == state.prices.round:
        instrument = state.instruments[place.instrument]
        exposure.loss_e18 += _loss_e18(state, instrument, place.side, order.price_ticks, lots)
    invalidate(state, place.subaccount, place.instrument)


def is_affordable(state: State, place: Place, price_ticks: int, *, without_order: int = 0) -> bool:
    """Rule 9.1: margin after the worst fill of everything open is >= 0, or the order strictly reduces risk.

    `without_order` is one whose lots were taken off the exposures, because it would be gone.
    """
    account = state.accounts[place.subaccount]
    if place.subaccount in state.scenarios.accounts:
        reserved = reserve_e18(state, account.index)
        return portfolio_margin.is_affordable(
            state, place, price_ticks, reserved_e18=reserved, without_order=without_order
        )
    key = state.group_of[place.instrument]
    lots = place.quantity_lots
    position = account.lots(place.instrument)
    others = _others_e18(state, account, key)
    if int(place.flags) & REDUCE_ONLY:
        return _is_fill_affordable(state, account, place, min(lots, abs(position)), others)
    rests = Change(place.instrument, place.side, resting_lots=lots, price_ticks=price_ticks)
    if others + group_margin(state, account, key, rests) >= 0:
        return True
    if not is_strict_reduction(state, account.index, rests, lots):
        return False
    return _is_fill_affordable(state, account, place, lots, None)


def worst_margin_e18(state: State, account: Account) -> int:
    """Signed initial margin after the worst fill of all open orders, in 1e-18 USDC."""
    if portfolio_margin.is_portfolio(state, account):
        return portfolio_margin.worst_margin_e18(state, account) - reserve_e18(state, account.index)
    return _others_e18(state, account, None)


def worst_margin_of(state: State, account: Account) -> int:
    """As `worst_margin_e18`, of an account as it might be: `account` is a copy with its own cash and positions.

    Its instruments must have an exposure (`State.exposure`) and, with Portfolio Margin, cells; nothing is remembered.
    """
    if portfolio_margin.is_portfolio(state, account):
        return portfolio_margin.worst_margin_e18(state, account) - reserve_e18(state, account.index)
    members = state.margin_cache(account.index).members
    total = account.ledger_cash_e6 * E12 - reserve_e18(state, account.index)
    return total + sum(group_margin(state, account, key) for key in members)


def margin_after_e18(state: State, account: Account, change: Change, *, paid_e6: int) -> int:
    """As `worst_margin_e18`, with `change` and `paid_e6` of cash less (what its fills cost, fees included)."""
    if portfolio_margin.is_portfolio(state, account):
        after = portfolio_margin.worst_margin_e18(state, account, change)
        return after - reserve_e18(state, account.index) - paid_e6 * E12
    key = state.group_of[change.instrument]
    return _others_e18(state, account, key) + group_margin(state, account, key, change) - paid_e6 * E12


def group_margin(
    state: State, account: Account, key: GroupKey, change: Change | None = None, *, held: Iterable[int] = ()
) -> int:
    """Signed worst-fill initial margin of one group in 1e-18 USDC, cash left out, under a hypothesis.

    `held`: options of the group that only a simulated account has.
    """
    if len(key) == 1:
        return _perpetual_group(state, account, key[0], change)
    return _option_group(state, account, key, change, held)


def _is_fill_affordable(state: State, account: Account, place: Place, lots: int, others: int | None) -> bool:
    """Whether a complete fill leaves margin (`others` given) or at least does not lower it."""
    key = state.group_of[place.instrument]
    filled = Change(place.instrument, place.side, filled_lots=lots)
    instrument = state.instruments[place.instrument]
    signed = lots if place.side is Side.BUY else -lots
    paid = instrument.notional_e6(price_ticks=place.price_ticks, quantity_lots=signed) * E12
    after = group_margin(state, account, key, filled) - paid - fees_e18(state, instrument, lots, legs=1)
    if others is not None and others + after >= 0:
        return True
    return after >= _cached_group(state, account, key)


def _others_e18(state: State, account: Account, key: GroupKey | None) -> int:
    """Cash less what quotes reserve, and the margins of every group but `key`."""
    cache = state.margin_cache(account.index)
    total = account.ledger_cash_e6 * E12 - reserve_e18(state, account.index)
    for other in cache.members:
        if other != key:
            total += _cached_group(state, account, other)
    return total


def _cached_group(state: State, account: Account, key: GroupKey) -> int:
    cache = state.margin_cache(account.index)
    found = cache.by_group.get(key)
    if found is None:
        found = cache.by_group[key] = group_margin(state, account, key)
    return found


def _perpetual_group(state: State, account: Account, number: int, change: Change | None) -> int:
    instrument = state.instruments[number]
    exposure = state.exposure(account.index, number)
    position, buys, sells = account.lots(number), exposure.buy_lots, exposure.sell_lots
    loss = _total_loss_e18(state, account, instrument, exposure)
    if change is not None:
        position += change.delta_lots
        is_buy, lots = change.side is Side.BUY, change.resting_lots
        buys, sells = (buys + lots, sells) if is_buy else (buys, sells + lots)
        loss += _loss_e18(state, instrument, change.side, change.price_ticks, lots)
    mark_e9 = state.prices.marks[number].mark_e9
    lot_e9 = instrument.lot_e9
    worst = perpetual_worst(
        PerpetualExposure(
            position_e9=position * lot_e9,
            mark_e9=mark_e9,
            tiers=initial_tiers(state, instrument.underlying),
            buys_e9=buys * lot_e9,
            sells_e9=sells * lot_e9,
            loss_e18=loss,
            # Into the position and out again.
            fees_e18=fees_e18(state, instrument, buys + sells, legs=2),
        )
    )
    reach_lots = max(0, buys + position, sells - position)
    doubt_e18 = add_on_e18(state, instrument.underlying, reach_lots * lot_e9)
    return worst - doubt_e18 + pending_e18(state, account, number)


def _option_group(state: State, account: Account, key: GroupKey, change: Change | None, held: Iterable[int]) -> int:
    members = state.margin_cache(account.index).members.get(key, {})
    others = [*held] if change is None else [*held, change.instrument]
    rows = []
    for number in dict.fromkeys((*members, *others)) if others else members:
        row = _option_row(state, account, number, change if change and change.instrument == number else None)
        if row.position_e9 or row.sells_e9 or row.premium_e18:
            rows.append(row)
    if not rows:
        return 0
    underlying, expiry_s = str(key[0]), key[-1]
    prices = state.prices
    forward_e9 = prices.forward(underlying, int(expiry_s))
    shorts_e9 = sum(max(0, row.sells_e9 - row.position_e9) for row in rows)
    worst = options_worst(prices.index_e9[underlying], forward_e9, rows, state.config.margin)
    return worst - add_on_e18(state, underlying, shorts_e9)


def _option_row(state: State, account: Account, number: int, change: Change | None) -> OptionExposure:
    instrument = state.instruments[number]
    exposure = state.exposure(account.index, number)
    position, buys, sells = account.lots(number), exposure.buy_lots, exposure.sell_lots
    tick_lots = exposure.buy_tick_lots
    if change is not None:
        position += change.delta_lots
        if change.side is Side.BUY:
            buys += change.resting_lots
            tick_lots += change.resting_lots * change.price_ticks
        else:
            sells += change.resting_lots
    return OptionExposure(
        strike_e9=instrument.strike_e9,
        is_call=instrument.kind is InstrumentKind.CALL,
        mark_e9=state.prices.marks[number].mark_e9,
        position_e9=position * instrument.lot_e9,
        sells_e9=sells * instrument.lot_e9,
        premium_e18=tick_lots * instrument.tick_e9 * instrument.lot_e9,
        fees_e18=fees_e18(state, instrument, buys + sells, legs=1),
    )


def _total_loss_e18(state: State, account: Account, instrument: Instrument, exposure: Exposure) -> int:
    if exposure.loss_round != state.prices.round:
        exposure.loss_round = state.prices.round
        exposure.loss_e18 = sum(
            _loss_e18(state, instrument, order.place.side, order.price_ticks, order.remaining_lots)
            for order in state.account_orders[account.index].values()
            if order.place.instrument == instrument.instrument_id and not int(order.place.flags) & (REDUCE_ONLY | QUOTE)
        )
    return exposure.loss_e18


def _loss_e18(state: State, instrument: Instrument, side: Side, price_ticks: int, lots: int) -> int:
    """What `lots` filled at the limit lose against the mark."""
    worse_e9 = price_ticks * instrument.tick_e9 - state.prices.marks[instrument.instrument_id].mark_e9
    if side is Side.SELL:
        worse_e9 = -worse_e9
    return worse_e9 * lots * instrument.lot_e9 if worse_e9 > 0 else 0
