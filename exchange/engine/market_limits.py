"""Caps of open interest, position limits, and initial margin that grows with open interest (risk.md 9.5; D-054).

What bounds open interest is asked of whoever may take: a trade opens no more than its taker does, so orders that rest
need not be counted, and post-only orders pass at the cap. Position limits count what rests, too.
"""

from collections.abc import Iterator
from typing import Final

from exchange.domain.commands import Place, Side
from exchange.domain.events import CommandRefused
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.market_limits import MarketLimits, MarketLimitsSet, OpenInterestView, SetMarketLimits
from exchange.domain.result_codes import ResultCode
from exchange.engine.flags import POST_ONLY, REDUCE_ONLY
from exchange.engine.limit_table import LotLimits, lot_limits
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.risk.limits import room_of_limit, scaled_initial_fraction
from exchange.risk.parameters import Tier

__all__ = [
    "check_quote_limits",
    "check_room",
    "initial_tiers",
    "is_scaled",
    "limits_in_lots",
    "open_interest",
    "owner_orders",
    "rescale",
    "set_market_limits",
]

_PPM: Final = 1_000_000
_E12: Final = 10**12


def set_market_limits(state: State, turn: Turn, command: SetMarketLimits) -> None:
    """Replace an instrument's limits.

    Refusals in order: unknown or delisted (INSTRUMENT_NOT_FOUND), amounts or bounds (PARAMETER_INVALID).
    """
    row = command.limits
    code = _check_limits(state, row)
    if code:
        turn.events.append(CommandRefused(code=code, detail=row.instrument))
        return
    state.limits.put(row)
    turn.events.append(MarketLimitsSet(limits=row))


def initial_tiers(state: State, underlying: str) -> tuple[Tier, ...]:
    """Brackets of the underlying's perpetual, grown with its open interest as of the last round of prices."""
    return state.limits.tiers(state.config.margin, underlying)


def is_scaled(state: State, underlying: str) -> bool:
    """Whether the underlying's perpetual asks for more than its own brackets."""
    return underlying in state.limits.scaled_ppm


def rescale(state: State) -> None:
    """Behind a round of prices: initial fractions follow the open interest at the index (rounded up)."""
    scaled: dict[str, tuple[int, ...]] = {}
    for number, row in sorted(state.limits.rows.items()):
        instrument = state.instruments[number]
        index_e9 = state.prices.index_e9.get(instrument.underlying)
        if not row.scaling_to_e6 or index_e9 is None:
            continue
        worth_e6 = -(-state.limits.open_lots.get(number, 0) * instrument.lot_e9 * index_e9 // _E12)
        if worth_e6 <= row.scaling_from_e6:
            continue
        fractions = [_scaled_ppm(tier, row, worth_e6) for tier in state.config.margin.tiers(instrument.underlying)]
        # Of several perpetuals on an underlying the one that asks for most stands for all.
        known = scaled.get(instrument.underlying, (0,) * len(fractions))
        scaled[instrument.underlying] = tuple(map(max, fractions, known))
    state.limits.scale(state.config.margin, scaled)


def limits_in_lots(state: State, number: int) -> LotLimits | None:
    """An instrument's limits at the index; None without limits or without an index."""
    row = state.limits.rows.get(number)
    if row is None:
        return None
    instrument = state.instruments[number]
    index_e9 = state.prices.index_e9.get(instrument.underlying)
    return lot_limits(row, index_e9=index_e9, lot_e9=instrument.lot_e9) if index_e9 else None


def check_room(state: State, place: Place, *, freed_lots: int = 0) -> ResultCode:
    """First failing code of: open interest, position of the subaccount, of its owner. What only reduces passes.

    `freed_lots` of the account's open orders on that side are about to make room for it.
    """
    limits = limits_in_lots(state, place.instrument)
    if limits is None or int(place.flags) & REDUCE_ONLY:
        return ResultCode.OK
    lots, number = place.quantity_lots, place.instrument
    held = state.accounts[place.subaccount].lots(number)
    opening_lots = max(0, lots - max(0, -held if place.side is Side.BUY else held))
    may_take = not int(place.flags) & POST_ONLY or number in state.auctions
    if may_take and opening_lots and state.limits.open_lots.get(number, 0) + opening_lots > limits.open_lots:
        return ResultCode.OPEN_INTEREST_CAP
    is_within = _has_room(state, limits, place.subaccount, number, place.side, lots - freed_lots)
    return ResultCode.OK if is_within else ResultCode.POSITION_LIMIT


def check_quote_limits(state: State, subaccount: int, instrument: int, side: Side, more_lots: int) -> ResultCode:
    """POSITION_LIMIT when a quote that adds `more_lots` to what rests could take the position too far."""
    limits = limits_in_lots(state, instrument)
    if limits is None or _has_room(state, limits, subaccount, instrument, side, more_lots):
        return ResultCode.OK
    return ResultCode.POSITION_LIMIT


def open_interest(state: State) -> tuple[OpenInterestView, ...]:
    """What is open on everything listed, by instrument."""
    rows = []
    for number, instrument in sorted(state.instruments.items()):
        if number in state.delisted:
            continue
        initial_ppm = initial_tiers(state, instrument.underlying)[0].initial_ppm if instrument.is_perpetual else 0
        rows.append(
            OpenInterestView(
                instrument=number,
                sequence=state.sequence,
                open_lots=state.limits.open_lots.get(number, 0),
                limits=state.limits.rows.get(number),
                initial_ppm=initial_ppm,
            )
        )
    return tuple(rows)


def owner_orders(state: State, subaccount: int) -> int:
    """Orders in the book of all subaccounts of an account's owner; 0 where they cannot reach the limit."""
    accounts = state.owner_accounts[state.accounts[subaccount].owner]
    if len(accounts) * state.config.open_orders_max <= state.config.owner_orders_max:
        return 0
    return sum(len(state.account_orders[index]) for index in accounts)


def _has_room(state: State, limits: LotLimits, subaccount: int, number: int, side: Side, more_lots: int) -> bool:
    """Whether a subaccount's side, all that rests filled and `more_lots` beside, stays inside both limits."""
    held = state.accounts[subaccount].lots(number)
    added = _waiting(state, subaccount, number, side) + more_lots
    others = sum(_reaches(state, subaccount, number, side))
    rooms = (
        room_of_limit(limit=limits.subaccount_lots, position=held),
        room_of_limit(limit=max(0, limits.owner_lots - others), position=held),
    )
    return all(added <= room[side is Side.BUY] for room in rooms)


def _reaches(state: State, subaccount: int, number: int, side: Side) -> Iterator[int]:
    """What each other subaccount of the owner may come to hold on a side, unsigned."""
    for index in state.owner_accounts[state.accounts[subaccount].owner]:
        if index != subaccount:
            held = state.accounts[index].lots(number)
            yield max(0, (held if side is Side.BUY else -held) + _waiting(state, index, number, side))


def _waiting(state: State, subaccount: int, number: int, side: Side) -> int:
    """Lots of open orders on a side; of quotes, both sides."""
    row = state.exposures[subaccount].get(number)
    if row is None:
        return 0
    return row.quote_lots + (row.buy_lots if side is Side.BUY else row.sell_lots)


def _scaled_ppm(tier: Tier, row: MarketLimits, worth_e6: int) -> int:
    return scaled_initial_fraction(
        tier.initial_ppm, open_interest=worth_e6, lower=row.scaling_from_e6, upper=row.scaling_to_e6, one=_PPM
    )


def _check_limits(state: State, row: MarketLimits) -> ResultCode:
    instrument = state.instruments.get(row.instrument)
    if instrument is None or row.instrument in state.delisted:
        return ResultCode.INSTRUMENT_NOT_FOUND
    amounts = (row.governance_e6, row.market_cap_e6, row.outside_depth_e6, row.subaccount_e6, row.owner_e6)
    in_range = all(0 <= amount_e6 <= MAX_MONEY_E6 for amount_e6 in (*amounts, row.scaling_from_e6, row.scaling_to_e6))
    is_rising = instrument.is_perpetual and row.scaling_from_e6 < row.scaling_to_e6
    is_flat = not row.scaling_from_e6 and not row.scaling_to_e6
    return ResultCode.OK if in_range and (is_rising or is_flat) else ResultCode.PARAMETER_INVALID
