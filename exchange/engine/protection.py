"""Market-maker protection: groups of quotes that freeze when their fills reach a limit, and thaw by time or reset.

The book counts the fills and stops at the limit (matching.md 3); this module owns limits, frozen time and reports.
"""

from typing import Final

from exchange.domain.commands import Place
from exchange.domain.events import CommandRefused
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_MMP_GROUPS_PER_SUBACCOUNT, MAX_MMP_LIMIT
from exchange.domain.quote_events import MmpConfigured, MmpReset, MmpTriggered
from exchange.domain.quotes import ResetMmp, SetMmpConfig
from exchange.domain.result_codes import ResultCode
from exchange.engine.book_codes import TRIPPED
from exchange.engine.flags import MMP, QUOTE
from exchange.engine.margin import worst_margin_e18
from exchange.engine.quote_reserve import group_reserve_e18
from exchange.engine.records import MmpGroup
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = [
    "check_group",
    "fits_group",
    "freeze",
    "note_frozen",
    "reset_mmp",
    "set_mmp_config",
    "set_weights",
    "thaw_due",
]

_E9: Final = 10**9
_NUMBERS: Final = ("interval_ns", "frozen_ns", "quantity_lots", "delta_e9", "vega_e9", "count")


def set_mmp_config(state: State, turn: Turn, command: SetMmpConfig) -> None:
    """Make a group or change its limits; its window begins anew, what is frozen stays frozen."""
    code = _check_config(state, command)
    if code:
        turn.events.append(CommandRefused(code=code, detail=command.subaccount))
        return
    group = state.account_groups[command.subaccount].get(command.mmp_group)
    if group is None:
        group = MmpGroup(
            subaccount=command.subaccount,
            number=command.mmp_group,
            underlying=command.underlying,
            lot_e9=command.lot_e9,
        )
    group.underlying, group.lot_e9 = command.underlying, command.lot_e9
    for name in _NUMBERS:
        setattr(group, name, getattr(command, name))
    state.open_group(group)
    turn.events.append(
        MmpConfigured(
            subaccount=command.subaccount,
            account_seq=state.accounts[command.subaccount].next_seq(),
            mmp_group=command.mmp_group,
            underlying=command.underlying,
            lot_e9=command.lot_e9,
            **{name: getattr(command, name) for name in _NUMBERS},
        )
    )


def reset_mmp(state: State, turn: Turn, command: ResetMmp) -> None:
    """Thaw a group, whatever time it has left, and begin its window anew."""
    group = state.account_groups.get(command.subaccount, {}).get(command.mmp_group)
    if group is None:
        turn.events.append(CommandRefused(code=ResultCode.MMP_PRECONDITION, detail=command.subaccount))
        return
    _thaw(state, turn, group, is_due=False)


def thaw_due(state: State, turn: Turn) -> None:
    """Thaw the first group in the line of those that thaw by time."""
    _, subaccount, number = state.thaws[0]
    _thaw(state, turn, state.account_groups[subaccount][number], is_due=True)


def freeze(state: State, turn: Turn, guard: int, *, code: int, instrument: int, lots: int) -> None:
    """A fill reached a limit: the book takes no more fills of the group, and its orders end with the command."""
    group = state.guard_groups[guard]
    note_frozen(state, turn, group)
    turn.events.append(
        MmpTriggered(
            subaccount=group.subaccount,
            account_seq=state.accounts[group.subaccount].next_seq(),
            mmp_group=group.number,
            limit=TRIPPED[code],
            instrument=instrument,
            quantity_lots=lots,
            thaw_ns=group.thaw_ns,
        )
    )


def note_frozen(state: State, turn: Turn, group: MmpGroup) -> None:
    """A group froze in this command, and the book knows."""
    group.is_frozen = True
    group.thaw_ns = state.timestamp_ns + group.frozen_ns if group.frozen_ns else 0
    if group.thaw_ns:
        state.thaws.add((group.thaw_ns, group.subaccount, group.number))
    turn.frozen.append(group)


def check_group(state: State, place: Place) -> ResultCode:
    """An order names a group of its account that takes its instrument and is not frozen, and says MMP; or neither."""
    flags = int(place.flags) & (MMP | QUOTE)
    if not flags and not place.mmp_group:
        return ResultCode.OK
    group = state.account_groups[place.subaccount].get(place.mmp_group)
    if group is None or flags != MMP:
        return ResultCode.MMP_PRECONDITION
    if group.is_frozen:
        return ResultCode.MMP_FROZEN
    fits = fits_group(group, state.instruments[place.instrument])
    return ResultCode.OK if fits else ResultCode.MMP_PRECONDITION


def fits_group(group: MmpGroup, instrument: Instrument) -> bool:
    """Whether a group counts lots of this instrument."""
    return (instrument.underlying, instrument.lot_e9) == (group.underlying, group.lot_e9)


def set_weights(state: State, instrument: int) -> None:
    """Tell the book what a lot adds to delta and vega of its group, in 1e-9 of the units of MarkRow, rounded down."""
    listed, row = state.instruments[instrument], state.prices.marks[instrument]
    delta_e9 = _E9 if listed.is_perpetual else row.delta_e9
    state.book.set_weights(
        instrument,
        delta_e9=_bounded(delta_e9 * listed.lot_e9 // _E9),
        vega_e9=_bounded(row.vega_e9 * listed.lot_e9 // _E9),
    )


def _bounded(weight: int) -> int:
    return max(-MAX_MMP_LIMIT, min(MAX_MMP_LIMIT, weight))


def _thaw(state: State, turn: Turn, group: MmpGroup, *, is_due: bool) -> None:
    if group.thaw_ns:
        state.thaws.remove((group.thaw_ns, group.subaccount, group.number))
    group.is_frozen, group.thaw_ns = False, 0
    state.book.reset_guard(state.guards[group.subaccount, group.number])
    turn.events.append(
        MmpReset(
            subaccount=group.subaccount,
            account_seq=state.accounts[group.subaccount].next_seq(),
            mmp_group=group.number,
            is_due=is_due,
        )
    )


def _check_config(state: State, command: SetMmpConfig) -> ResultCode:
    """First failing code of: account, values, number of groups, orders of another kind, margin of a larger limit."""
    account = state.accounts.get(command.subaccount)
    if account is None or not account.owner:
        return ResultCode.SUBACCOUNT_NOT_FOUND
    if not 0 < command.mmp_group < 1 << 32 or not _is_valid(state, command):
        return ResultCode.PARAMETER_INVALID
    groups = state.account_groups[account.index]
    group = groups.get(command.mmp_group)
    if group is None:
        return ResultCode.CAPACITY if len(groups) >= MAX_MMP_GROUPS_PER_SUBACCOUNT else ResultCode.OK
    if (group.underlying, group.lot_e9) != (command.underlying, command.lot_e9) and _has_orders(state, group):
        return ResultCode.ORDERS_OPEN
    if command.quantity_lots > group.quantity_lots and state.quote_count(group):
        more_e18 = group_reserve_e18(state, group, command.quantity_lots) - group_reserve_e18(state, group)
        if worst_margin_e18(state, account) < more_e18:
            return ResultCode.INSUFFICIENT_MARGIN
    if not command.quantity_lots and state.quote_count(group):
        return ResultCode.ORDERS_OPEN  # without a limit nothing bounds what its quotes may fill
    return ResultCode.OK


def _is_valid(state: State, command: SetMmpConfig) -> bool:
    fits = any(
        (row.underlying, row.lot_e9) == (command.underlying, command.lot_e9) for row in state.instruments.values()
    )
    return fits and all(0 <= getattr(command, name) <= MAX_MMP_LIMIT for name in _NUMBERS)


def _has_orders(state: State, group: MmpGroup) -> bool:
    return any(order.place.mmp_group == group.number for order in state.live_orders(group.subaccount))
