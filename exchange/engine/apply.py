"""The one way in: `apply(state, command, timestamp_ns)`. Pure; the same commands give the same events and state."""

from collections.abc import Callable
from typing import Any, Final

from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    ChainRequest,
    Clock,
    Command,
    EpochStart,
    ListInstrument,
    Place,
    Replace,
    SessionClose,
    SessionOpen,
    SetPrices,
    SetSelfTradePrevention,
    SignedAmend,
)
from exchange.domain.events import Event
from exchange.domain.quotes import MassQuote, ResetMmp, SetMmpConfig
from exchange.engine import batches, timers
from exchange.engine.accounts import apply_request
from exchange.engine.amendments import amend, amend_signed
from exchange.engine.cancels import cancel, cancel_many, replace
from exchange.engine.invariants import check_turn
from exchange.engine.listing import list_instrument
from exchange.engine.mass_quotes import mass_quote
from exchange.engine.orders import place_order
from exchange.engine.prices import set_prices
from exchange.engine.protection import reset_mmp, set_mmp_config
from exchange.engine.self_trades import set_self_trade_prevention
from exchange.engine.sessions import close_session, open_session, start_epoch
from exchange.engine.state import InvariantViolated, State
from exchange.engine.trigger_orders import run_triggers
from exchange.engine.turn import Turn

__all__ = ["apply"]


def _clock(state: State, turn: Turn, _: Clock) -> None:
    timers.fire_timers(state, turn)


def _batch_cut(state: State, turn: Turn, _: BatchCut) -> None:
    batches.cut(state, turn)


_HANDLERS: Final[dict[type, Callable[[State, Turn, Any], None]]] = {
    Place: place_order,
    Replace: replace,
    Cancel: cancel,
    CancelMany: cancel_many,
    Amend: amend,
    SignedAmend: amend_signed,
    SetSelfTradePrevention: set_self_trade_prevention,
    MassQuote: mass_quote,
    SetMmpConfig: set_mmp_config,
    ResetMmp: reset_mmp,
    Clock: _clock,
    EpochStart: start_epoch,
    SessionOpen: open_session,
    SessionClose: close_session,
    ChainRequest: apply_request,
    BatchCut: _batch_cut,
    SetPrices: set_prices,
    ListInstrument: list_instrument,
}


def apply(state: State, command: Command, timestamp_ns: int, packed: tuple[bytes, bytes] | None = None) -> list[Event]:
    """Apply the next command at journal time `timestamp_ns` (nanoseconds, never falling) and return its events.

    `packed` is `pack_command(command)` where the caller has it at hand. Business refusals are events. Raises
    InvariantViolated when money or positions do not add up; the state is then not to be used any more.
    """
    events = state.hot(command, timestamp_ns, packed)
    if events is None:
        events = _handle(state, command, timestamp_ns)
        state.mirror(command)
    return events


def _handle(state: State, command: Command, timestamp_ns: int) -> list[Event]:
    if timestamp_ns < state.timestamp_ns:
        raise InvariantViolated(f"time runs backwards: {timestamp_ns} after {state.timestamp_ns}")
    state.begin()
    state.sequence += 1
    state.timestamp_ns = timestamp_ns
    turn = Turn()
    # What fired is waiting too; a plain dict is asked first, because this line stands on every command's way.
    waiting, fired = state.waiting_orders, state.triggers.fired
    may_place = not waiting or not fired or type(command) is Clock
    _HANDLERS[type(command)](state, turn, command)
    if (waiting and fired) or turn.moved or turn.tied_fills or turn.tied_ends:
        run_triggers(state, turn, may_place=may_place)
    events = turn.finish(state)
    check_turn(state, turn)
    state.forget_old_orders()
    return events
