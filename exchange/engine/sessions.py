"""Logins on sockets, numbered by the engine, so that cancel-on-disconnect replays like the rest (api.md 10.6)."""

from typing import Final

from exchange.domain.commands import EpochStart, SessionClose, SessionOpen
from exchange.domain.events import CommandRefused, SessionClosed, SessionOpened
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import DisconnectRuleSet, SetDisconnectRule
from exchange.engine.authority import find_key
from exchange.engine.dead_men import is_protective
from exchange.engine.flags import CANCEL_ON_DISCONNECT, KEEP_ON_DISCONNECT, LIQUIDATION
from exchange.engine.matching import cancel_orders
from exchange.engine.records import DisconnectRule, Order, Session
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["close_session", "close_sessions_of", "open_session", "set_disconnect_rule", "start_epoch"]

_SECOND_NS: Final = 1_000_000_000


def open_session(state: State, turn: Turn, command: SessionOpen) -> None:
    """A login of the owner or of one of its valid keys gets the next number."""
    if command.signer != command.owner:
        row = find_key(state, command.owner, command.signer)
        if row is None:
            turn.events.append(CommandRefused(code=ResultCode.SIGNER_UNKNOWN))
            return
        if row.is_revoked or row.valid_to_s <= state.timestamp_ns // _SECOND_NS:
            turn.events.append(CommandRefused(code=ResultCode.SESSION_KEY_EXPIRED, detail=row.valid_to_s))
            return
    state.session_count += 1
    session = Session(number=state.session_count, owner=command.owner, signer=command.signer)
    state.sessions[session.number] = session
    turn.events.append(SessionOpened(session=session.number, owner=session.owner, signer=session.signer))


def close_session(state: State, turn: Turn, command: SessionClose) -> None:
    """End a session; unless it logged out, its flagged orders go with it."""
    session = state.sessions.get(command.session)
    if session is None:
        turn.events.append(CommandRefused(code=ResultCode.SESSION_MISSING, detail=command.session))
        return
    _end(state, turn, session, cancels=not command.logged_out)


def start_epoch(state: State, turn: Turn, command: EpochStart) -> None:
    """A new writer: no socket of the previous one lives, all sessions end, by ascending number."""
    state.epoch = command.epoch
    for number in sorted(state.sessions):
        _end(state, turn, state.sessions[number], cancels=True)


def close_sessions_of(state: State, turn: Turn, owner: bytes, signer: bytes) -> None:
    """End the sessions a revoked key opened."""
    for number in sorted(state.sessions):
        session = state.sessions[number]
        if session.owner == owner and session.signer == signer:
            _end(state, turn, session, cancels=True)


def set_disconnect_rule(state: State, turn: Turn, command: SetDisconnectRule) -> None:
    """Set or lift a wallet's rule, which outlives its sessions and every restart."""
    if not command.owner or command.owner not in state.owner_accounts:
        turn.events.append(CommandRefused(code=ResultCode.ACCOUNT_NOT_FOUND))
        return
    if command.is_enabled:
        state.disconnect_rules[command.owner] = DisconnectRule(spares_reduce_only=command.spares_reduce_only)
    else:
        state.disconnect_rules.pop(command.owner, None)
    turn.events.append(
        DisconnectRuleSet(
            owner=command.owner,
            is_enabled=command.is_enabled,
            spares_reduce_only=command.is_enabled and command.spares_reduce_only,
        )
    )


def _ends_with(order: Order, session: Session, rule: DisconnectRule | None) -> bool:
    """Whether an order of the session's wallet goes with it: its own word first, then the wallet's rule."""
    flags = int(order.place.flags)
    if order.place.session == session.number and flags & CANCEL_ON_DISCONNECT:
        return True
    if rule is None or flags & (KEEP_ON_DISCONNECT | LIQUIDATION):
        return False
    return not (rule.spares_reduce_only and is_protective(order))


def _end(state: State, turn: Turn, session: Session, *, cancels: bool) -> None:
    del state.sessions[session.number]
    if cancels:
        rule = state.disconnect_rules.get(session.owner)
        orders = [
            order
            for index in state.owner_accounts.get(session.owner, ())
            for order in state.live_orders(index)
            if _ends_with(order, session, rule)
        ]
        cancel_orders(state, turn, orders, CloseReason.CANCEL_ON_DISCONNECT)
        turn.flush_closes(state)
    turn.events.append(SessionClosed(session=session.number))
