"""Who may place an order: session, signer, scope, life of the key. Rows 8 and 10 of the ladder (api.md 5)."""

from typing import Final

from exchange.domain.commands import Place
from exchange.domain.ids import is_perpetual_id
from exchange.domain.limits import MAX_SIGNATURE_LIFE_S, MIN_SIGNATURE_LIFE_S
from exchange.domain.money import ceil_div
from exchange.domain.result_codes import ResultCode
from exchange.engine.flags import BLOCK
from exchange.engine.records import Account, KeyRow
from exchange.engine.state import State

__all__ = ["check_authority", "check_expiry", "check_limits", "find_key"]

_SECOND_NS: Final = 1_000_000_000
_E12: Final = 10**12
_ADMIN, _TRADE_ALL = 0, 2
_BOOK_SCOPES: Final = (3, 5, 6)
"""Codes (api.md 4.6) that cover a part of all trading: everything on the book, perpetuals there, options there."""
_RFQ_SCOPES: Final = (7, 9, 10)


def check_authority(state: State, place: Place) -> ResultCode:
    """First failing code of: subaccount, signer, key's life, scope, order's life, key's limits, lock, session.

    A leg of a block (flag BLOCK) needs the scopes of requests for quotes instead of those of the book.
    """
    account = state.accounts.get(place.subaccount)
    if account is None or not account.owner:
        return ResultCode.SUBACCOUNT_NOT_FOUND
    if place.signer != account.owner:
        code = _check_key(state, account, place)
        if code:
            return code
    if account.is_locked:
        return ResultCode.SCOPE_MISSING
    if place.session:
        session = state.sessions.get(place.session)
        if session is None or session.owner != account.owner:
            return ResultCode.SESSION_MISSING
    return ResultCode.OK


def check_expiry(state: State, place: Place) -> ResultCode:
    """Life of the signature within its window from journal time; a date of the order's own within that life."""
    now_s = state.timestamp_ns // _SECOND_NS
    if not now_s + MIN_SIGNATURE_LIFE_S <= place.expiry_s <= now_s + MAX_SIGNATURE_LIFE_S:
        return ResultCode.BAD_SIGNATURE_EXPIRY
    if place.expires_at_s and not now_s < place.expires_at_s <= place.expiry_s:
        return ResultCode.BAD_SIGNATURE_EXPIRY
    return ResultCode.OK


def find_key(state: State, owner: bytes, key: bytes) -> KeyRow | None:
    """The key's row, revoked or not."""
    return state.keys.get(owner, {}).get(key)


def check_limits(state: State, owner: bytes, signer: bytes, instrument: int, quantity_lots: int) -> ResultCode:
    """First failing code of: instrument named by the key's limits, worth of the order. OK for keys without limits."""
    limits = state.key_limits.get(owner, {}).get(signer)
    listed = state.instruments.get(instrument)
    if limits is None or not limits.binds_orders or listed is None:
        return ResultCode.OK
    is_bounded = bool(limits.instruments or limits.underlyings)
    if is_bounded and instrument not in limits.instruments and listed.underlying not in limits.underlyings:
        return ResultCode.SCOPE_MISSING
    if not limits.max_notional_e6:
        return ResultCode.OK
    index_e9 = state.prices.index_e9.get(listed.underlying, 0)
    notional_e6 = ceil_div(quantity_lots * listed.lot_e9 * index_e9, _E12)
    is_within = index_e9 > 0 and notional_e6 <= limits.max_notional_e6
    return ResultCode.OK if is_within else ResultCode.KEY_NOTIONAL_EXCEEDED


def _check_key(state: State, account: Account, place: Place) -> ResultCode:
    row = find_key(state, account.owner, place.signer)
    if row is None:
        return ResultCode.SIGNER_UNKNOWN
    if row.is_revoked or row.valid_to_s <= state.timestamp_ns // _SECOND_NS:
        return ResultCode.SESSION_KEY_EXPIRED
    everything, perpetuals, options = _RFQ_SCOPES if int(place.flags) & BLOCK else _BOOK_SCOPES
    scope = perpetuals if is_perpetual_id(place.instrument) else options
    if not row.scopes & (1 << _ADMIN | 1 << _TRADE_ALL | 1 << everything | 1 << scope) or (
        row.accounts and account.index not in row.accounts
    ):
        return ResultCode.SCOPE_MISSING
    if place.expiry_s > row.valid_to_s:
        return ResultCode.ACTION_OUTLIVES_KEY
    return check_limits(state, account.owner, place.signer, place.instrument, place.quantity_lots)
