"""The one way in: `apply`, or many at once. Pure; the same commands give the same events and state."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auctions import SetPhase
from exchange.domain.blocks import ExecuteBlock
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
from exchange.domain.event_pieces import join_events, pack_command_events
from exchange.domain.events import Event
from exchange.domain.market_limits import SetMarketLimits
from exchange.domain.packing import RECORD_BYTES, BadRecord, attachment_bytes, unpack_commands
from exchange.domain.portfolio import SetMarginKind, SetScenarios
from exchange.domain.quotes import MassQuote, ResetMmp, SetMmpConfig
from exchange.domain.rounds import DelistInstrument, OracleRound
from exchange.domain.safeguards import CancelAllAfter, RevokeKey, SetDisconnectRule, SetKeyLimits
from exchange.domain.views import Output
from exchange.engine import batches, timers
from exchange.engine.accounts import apply_request
from exchange.engine.amendments import amend, amend_signed
from exchange.engine.auction_bids import bid
from exchange.engine.auctions import set_phase
from exchange.engine.blocks import execute_block
from exchange.engine.cancels import cancel, cancel_many, replace
from exchange.engine.dead_men import arm
from exchange.engine.expiry import pay_expired
from exchange.engine.fund import pay_due
from exchange.engine.invariants import check_turn
from exchange.engine.key_limits import limit_key, revoke_key
from exchange.engine.liquidation import drop_risk, look_before_fills, take_steps
from exchange.engine.listing import delist_instrument, list_instrument
from exchange.engine.margin_kinds import set_margin_kind
from exchange.engine.market_limits import set_market_limits
from exchange.engine.mass_quotes import mass_quote
from exchange.engine.orders import place_order
from exchange.engine.prices import set_prices
from exchange.engine.protection import reset_mmp, set_mmp_config
from exchange.engine.queries import output_of
from exchange.engine.rounds import take_round
from exchange.engine.scenarios import set_scenarios
from exchange.engine.self_trades import set_self_trade_prevention
from exchange.engine.sessions import close_session, open_session, set_disconnect_rule, start_epoch
from exchange.engine.state import InvariantViolated, State
from exchange.engine.trigger_orders import run_triggers
from exchange.engine.turn import Turn

__all__ = ["apply", "apply_batch", "apply_outputs"]


def _clock(state: State, turn: Turn, _: Clock) -> None:
    # An instrument with a payoff has no mark any more: whoever still waits for it is looked at when it is paid.
    was_unpaid = bool(state.unpaid)
    look_before_fills(state, turn)
    timers.fire_timers(state, turn)
    if was_unpaid:
        pay_expired(state, turn)
        look_before_fills(state, turn)
    if state.liquidations and not state.unpaid and not state.is_check_due:
        take_steps(state, turn)


def _batch_cut(state: State, turn: Turn, command: BatchCut) -> None:
    batches.cut(state, turn, allows_empty=command.allows_empty)


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
    SetPhase: set_phase,
    OracleRound: take_round,
    DelistInstrument: delist_instrument,
    SetKeyLimits: limit_key,
    RevokeKey: revoke_key,
    SetDisconnectRule: set_disconnect_rule,
    CancelAllAfter: arm,
    SetScenarios: set_scenarios,
    SetMarginKind: set_margin_kind,
    BidInAuction: bid,
    SetMarketLimits: set_market_limits,
    ExecuteBlock: execute_block,
}


_FILLING: Final = frozenset({Place, Replace, SignedAmend, MassQuote, SetPhase, ExecuteBlock})
"""What may fill orders that rest, and blocks. A Clock looks by itself; a bid buys of an account that was looked at."""


def apply(state: State, command: Command, timestamp_ns: int, packed: tuple[bytes, bytes] | None = None) -> list[Event]:
    """Apply the next command at journal time `timestamp_ns` (nanoseconds, never falling) and return its events.

    `packed` is `pack_command(command)` where the caller has it at hand. Business refusals are events. Raises
    InvariantViolated when money or positions do not add up; the state is then not to be used any more.
    """
    events = state.hot(command, timestamp_ns, packed)
    return _apply_cold(state, command, timestamp_ns) if events is None else events


def apply_batch(state: State, records: bytes, attachments: bytes, timestamp_ns: int) -> bytes:
    """Apply packed commands at one journal time and return `pack_events` of what they gave.

    One crossing for every run of hot commands; their events are never made. Raises BadRecord at bytes that are no
    command (those before it were applied), InvariantViolated as `apply`.
    """
    if len(records) % RECORD_BYTES:
        raise BadRecord("records are not a multiple of 64 bytes")
    count, index, offset = len(records) // RECORD_BYTES, 0, 0
    pieces: list[bytes] = []
    while index < count:
        found = state.run_packed(records, attachments, timestamp_ns, index, offset)
        index, offset, piece, events = found or (index, offset, b"", None)
        pieces.append(piece)
        if events is None and index < count:
            record = records[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]
            index, start, offset = index + 1, offset, offset + attachment_bytes(record)
            if offset > len(attachments):
                raise BadRecord("attachments are shorter than their records say")
            (command,) = unpack_commands(record, attachments[start:offset])
            events = _apply_cold(state, command, timestamp_ns)
        if events is not None:
            pieces.append(pack_command_events(state.sequence, timestamp_ns, events))
    return join_events(count, pieces)


def apply_outputs(
    state: State, commands: Sequence[Command], packed: Sequence[tuple[bytes, bytes]], timestamp_ns: int
) -> tuple[list[Output], list[bytes]]:
    """Apply commands at one journal time and return the Output of each, and the pieces of `pack_events` of them all.

    `packed` is `pack_command` of each. One crossing for every run of hot commands.
    """
    index = 0
    outputs: list[Output] = []
    pieces: list[bytes] = []
    while index < len(commands):
        found = state.run_outputs(commands, packed, timestamp_ns, index, outputs)
        index, piece, events = found or (index, b"", None)
        pieces.append(piece)
        if events is None and index < len(commands):
            events = _apply_cold(state, commands[index], timestamp_ns)
            index += 1
        if events is not None:
            pieces.append(pack_command_events(state.sequence, timestamp_ns, events))
            outputs.append(output_of(state, events))
    return outputs, pieces


def _apply_cold(state: State, command: Command, timestamp_ns: int) -> list[Event]:
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
    batch_before = state.batch.number
    if state.is_check_due and type(command) in _FILLING:
        look_before_fills(state, turn)
    _HANDLERS[type(command)](state, turn, command)
    if (waiting and fired) or turn.moved or turn.tied_fills or turn.tied_ends:
        if state.is_check_due and waiting and may_place:
            may_place = drop_risk(state, turn)
        run_triggers(state, turn, may_place=may_place)
    # A round is published behind the batch that it closes: that one counts for nothing.
    pay_due(state, turn, state.batch.number if type(command) is OracleRound else batch_before)
    events = turn.finish(state)
    check_turn(state, turn)
    state.forget_old_orders()
    return events
