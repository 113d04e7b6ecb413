"""The order that closes a part of a position on the book: how many lots, down to which price (risk.md 10.2).

`fixed` asks the account alone: Drift's size, a fifth of what is worth more than the threshold, dYdX's fillable price.
`adaptive` asks the market too (D-038): the smallest size that restores a buffer which grows with volatility, no more
than a share of what the book holds within the limit, and a limit that gives way as depth goes or prices move.
"""

from typing import Final

from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div, floor_div
from exchange.engine import forced
from exchange.engine.book_commands import tell_time
from exchange.engine.liquidation_terms import ONE, PPM_TO_ONE, standing_of
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.engine.valuation import AccountValue
from exchange.risk.adaptive import (
    AdaptiveRules,
    between,
    depth_stress,
    smallest_close,
    step_lots,
    volatility_stress,
)
from exchange.risk.liquidation import Exposure, close_amount, fillable_price
from exchange.risk.waterfall import restoring_target, step_amount

__all__ = ["closing_order"]

_SECOND_NS: Final = 1_000_000_000
_FLAGS: Final = OrderFlag.REDUCE_ONLY | OrderFlag.STP_CANCEL_MAKER | OrderFlag.LIQUIDATION


def closing_order(
    state: State, account: Account, instrument: Instrument, exposure: Exposure, value: AccountValue
) -> Place | None:
    """Terms of one step; None where no price is good enough, or (adaptive) nothing stands within the limit."""
    adaptive = state.config.liquidation.adaptive
    if adaptive is None:
        spread_ppm = state.config.liquidation.spread_ppm
        price_ticks = _limit_ticks(state, instrument, exposure, value, spread_ppm)
        lots = _fixed_lots(state, instrument, exposure, value)
    else:
        price_ticks, lots = _adaptive_terms(state, instrument, exposure, value, adaptive)
    if price_ticks < 1 or lots < 1:
        return None
    return Place(
        subaccount=account.index,
        instrument=instrument.instrument_id,
        side=Side.SELL if exposure.amount > 0 else Side.BUY,
        time_in_force=TimeInForce.IOC,
        flags=_FLAGS,
        price_ticks=price_ticks,
        quantity_lots=lots,
        nonce=0,
        expiry_s=state.timestamp_ns // _SECOND_NS + 1,  # whole seconds
        signer=bytes(20),
    )


def _limit_ticks(state: State, instrument: Instrument, exposure: Exposure, value: AccountValue, spread_ppm: int) -> int:
    """Fillable price in ticks, rounded away from the mark: an order that does not fill helps nobody.

    Not worse than the chain takes; below 1 where no price is that good.
    """
    is_sell = exposure.amount > 0
    price_e9 = fillable_price(
        exposure,
        standing_of(value),
        aggressiveness=state.config.liquidation.aggressiveness_ppm * PPM_TO_ONE,
        spread_share=spread_ppm * PPM_TO_ONE,
        one=ONE,
    )
    ticks = floor_div(price_e9, instrument.tick_e9) if is_sell else ceil_div(price_e9, instrument.tick_e9)
    worst = forced.worst_ticks(state, instrument, is_sell=is_sell)
    if is_sell:
        return min(instrument.maximum_price_ticks, max(1, ticks, worst))
    return min(ticks, worst, instrument.maximum_price_ticks)  # a price above 0, rounded up, is at least a tick


def _fixed_lots(state: State, instrument: Instrument, exposure: Exposure, value: AccountValue) -> int:
    """Lots of one step, at least one; all of the position where closing it does not free what it costs."""
    rules = state.config.liquidation
    held = abs(exposure.amount)
    target = restoring_target(
        equity=value.equity_e6,
        maintenance=value.equity_e6 - value.requirement.maintenance_e6,
        buffer=rules.buffer_ppm * PPM_TO_ONE,
        one=ONE,
    )
    wanted = close_amount(
        shortage=target,
        price=exposure.price,
        maintenance=exposure.maintenance,
        liquidation_fee=0,
        fund_fee=rules.fee_ppm * PPM_TO_ONE,
        quote_price=ONE,
        one=ONE,
        lot=instrument.lot_e9,
    )
    amount = step_amount(
        wanted=held if wanted is None else wanted,
        position=held,
        notional=floor_div(held * exposure.price, ONE),
        threshold=rules.threshold_e6,
        share=rules.share_ppm * PPM_TO_ONE,
        one=ONE,
        lot=instrument.lot_e9,
    )
    return min(max(1, amount // instrument.lot_e9), instrument.maximum_lots)  # exact: whole lots


def _adaptive_terms(
    state: State, instrument: Instrument, exposure: Exposure, value: AccountValue, adaptive: AdaptiveRules
) -> tuple[int, int]:
    """(limit, lots) under the stress of the moment; no lots where the book holds none within the limit."""
    rules = state.config.liquidation
    moved_ppm = state.index_ranges.moved_ppm(instrument.underlying, state.timestamp_ns)
    volatility_ppm = volatility_stress(moved_ppm, adaptive)
    buffer_ppm = between(rules.buffer_ppm, max(rules.buffer_ppm, adaptive.buffer_ppm), volatility_ppm)
    wanted = _wanted_lots(state, instrument, exposure, value, buffer_ppm)
    calm_ticks = _limit_ticks(state, instrument, exposure, value, rules.spread_ppm)
    there = _lots_within(state, instrument, exposure, calm_ticks, wanted)
    stress_ppm = max(volatility_ppm, depth_stress(wanted_lots=wanted, there_lots=there))
    spread_ppm = between(rules.spread_ppm, max(rules.spread_ppm, adaptive.spread_ppm), stress_ppm)
    limit_ticks = _limit_ticks(state, instrument, exposure, value, spread_ppm)
    deep = ceil_div(wanted * PPM_TO_ONE, adaptive.depth_share_ppm)  # more than this is as good as any
    there = _lots_within(state, instrument, exposure, limit_ticks, deep)
    return limit_ticks, step_lots(wanted_lots=wanted, there_lots=there, share_ppm=adaptive.depth_share_ppm)


def _wanted_lots(state: State, instrument: Instrument, exposure: Exposure, value: AccountValue, buffer_ppm: int) -> int:
    """Smallest close that restores the buffer, at least a lot, at most the position and the largest order."""
    held = abs(exposure.amount)
    wanted = smallest_close(
        equity=value.equity_e6,
        requirement=value.requirement.maintenance_e6,
        price=exposure.price,
        maintenance=exposure.maintenance,
        fund_fee=state.config.liquidation.fee_ppm * PPM_TO_ONE,
        buffer=buffer_ppm * PPM_TO_ONE,
        one=ONE,
        lot=instrument.lot_e9,
    )
    amount = held if wanted is None else min(held, wanted)
    return min(max(1, amount // instrument.lot_e9), instrument.maximum_lots)  # exact: whole lots


def _lots_within(state: State, instrument: Instrument, exposure: Exposure, limit_ticks: int, most: int) -> int:
    """Lots on the other side at `limit_ticks` or better, at most `most`."""
    if limit_ticks < 1:
        return 0
    tell_time(state)
    side = Side.SELL if exposure.amount > 0 else Side.BUY
    lots: int = state.book.fillable(instrument.instrument_id, side, limit_ticks, most)
    return lots
