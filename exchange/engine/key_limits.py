"""Session keys within their limits, and their end by their owner's word (api.md 4.6).

The chain's queue registers keys; what stands here only takes away from what it granted.
"""

from typing import Final

from exchange.domain.events import CommandRefused, SessionKeySet
from exchange.domain.limits import (
    MAX_KEY_LIMIT_ENTRIES,
    MAX_LABEL_CHARACTERS,
    MAX_MONEY_E6,
    MAX_SESSION_KEYS_PER_OWNER,
)
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import KeyLimits, RevokeKey, SessionKeyLimited, SetKeyLimits
from exchange.engine.matching import cancel_orders
from exchange.engine.records import KeyRow
from exchange.engine.sessions import close_sessions_of
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["end_key", "key_event", "limit_key", "revoke_key"]

_SECOND_NS: Final = 1_000_000_000


def limit_key(state: State, turn: Turn, command: SetKeyLimits) -> None:
    """Set a key's limits; it may still be on its way through the chain's queue."""
    code = _check_limit_command(state, command)
    if code:
        turn.events.append(CommandRefused(code=code))
        return
    state.key_limits.setdefault(command.owner, {})[command.key] = command.limits
    turn.events.append(SessionKeyLimited(owner=command.owner, key=command.key, limits=command.limits))


def revoke_key(state: State, turn: Turn, command: RevokeKey) -> None:
    """End a registered key now; the chain learns of it from its own request."""
    row = state.keys.get(command.owner, {}).get(command.key)
    if row is None or row.is_revoked:
        turn.events.append(
            CommandRefused(code=ResultCode.SIGNER_UNKNOWN if row is None else ResultCode.SESSION_KEY_EXPIRED)
        )
        return
    row.is_revoked = True
    row.valid_to_s = min(row.valid_to_s, state.timestamp_ns // _SECOND_NS)
    end_key(state, turn, command.owner, command.key)
    turn.events.append(key_event(command.owner, row, request_index=0))


def end_key(state: State, turn: Turn, owner: bytes, key: bytes) -> None:
    """Cancel what a revoked key signed, then end its sessions."""
    orders = [
        order
        for index in state.owner_accounts.get(owner, ())
        for order in state.live_orders(index)
        if order.place.signer == key
    ]
    cancel_orders(state, turn, orders, CloseReason.SESSION_KEY_REVOKED)
    turn.flush_closes(state)
    close_sessions_of(state, turn, owner, key)


def key_event(owner: bytes, row: KeyRow, *, request_index: int) -> SessionKeySet:
    """What the world learns of a key's row; `request_index` 0: no request of the chain's queue did it."""
    return SessionKeySet(
        owner=owner,
        key=row.key,
        valid_to_s=row.valid_to_s,
        scopes=row.scopes,
        accounts=row.accounts,
        request_index=request_index,
    )


def _check_limit_command(state: State, command: SetKeyLimits) -> ResultCode:
    """First failing code of: wallet, numbers within bounds, life of the key, room."""
    if not command.owner or command.owner not in state.owner_accounts:
        return ResultCode.ACCOUNT_NOT_FOUND
    if not _is_valid(command.limits):
        return ResultCode.PARAMETER_INVALID
    rows = state.keys.get(command.owner, {})
    row = rows.get(command.key)
    if row is not None and row.is_revoked:
        return ResultCode.SESSION_KEY_EXPIRED
    known = rows.keys() | state.key_limits.get(command.owner, {}).keys()
    if command.key not in known and len(known) >= MAX_SESSION_KEYS_PER_OWNER:
        return ResultCode.TOO_MANY_SESSION_KEYS
    return ResultCode.OK


def _is_valid(limits: KeyLimits) -> bool:
    lists = (limits.instruments, limits.underlyings, limits.ip_whitelist)
    return (
        0 <= limits.max_notional_e6 <= MAX_MONEY_E6
        and all(len(entries) <= MAX_KEY_LIMIT_ENTRIES for entries in lists)
        and len(limits.label) <= MAX_LABEL_CHARACTERS
    )
