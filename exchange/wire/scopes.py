"""Scope codes of session keys and their names (api.md 4.6)."""

from collections.abc import Iterable
from typing import Any, Final

from exchange.domain.safeguards import KeyRight
from exchange.wire.errors import WireError

__all__ = ["SCOPES", "right_names", "rights_of", "scope_code", "scope_mask", "scope_names"]

SCOPES: Final = (
    "admin", "withdraw", "trade:all", "trade:orderbook:all", "trade:orderbook:spot", "trade:orderbook:perp",
    "trade:orderbook:option", "trade:rfq:all", "trade:rfq:spot", "trade:rfq:perp", "trade:rfq:option", "transfer:all",
    "transfer:existing_subaccount", "transfer:new_subaccount", "transfer:different_owner_subaccount",
    "set_session_key", "liquidate",
)  # fmt: skip
_RIGHTS: Final = {
    "account_info": KeyRight.ACCOUNT_INFO,
    "cancel": KeyRight.CANCEL,
    "delete_session_key": KeyRight.DELETE_SESSION_KEY,
}
_CODES: Final = {name: code for code, name in enumerate(SCOPES)} | {"create_session_key": 15}


def scope_code(scope: Any) -> int:
    """Return the code of a name or number; -32602 for unknown ones, vault scopes included."""
    if isinstance(scope, str) and not scope.isdigit():
        code = _CODES.get(scope.lower())
    else:
        code = int(scope) if isinstance(scope, int | str) else None
    if code is None or not 0 <= code < len(SCOPES):
        raise WireError.bad_param("protocol_scopes", "unknown scope")
    return code


def rights_of(names: Iterable[str]) -> KeyRight:
    """Return off-chain scopes as rights; -32602 for unknown ones."""
    rights = KeyRight.NONE
    for name in names:
        right = _RIGHTS.get(name.lower())
        if right is None:
            raise WireError.bad_param("offchain_scopes", f"must be of {', '.join(_RIGHTS)}")
        rights |= right
    return rights


def right_names(rights: KeyRight) -> list[str]:
    """Return the off-chain scopes of a key, in declared order."""
    return [name for name, right in _RIGHTS.items() if rights & right]


def scope_mask(codes: Iterable[int]) -> int:
    """Return codes as bits."""
    mask = 0
    for code in codes:
        mask |= 1 << code
    return mask


def scope_names(mask: int) -> list[str]:
    """Return the names of the bits in `mask`, by code."""
    return [name for code, name in enumerate(SCOPES) if mask >> code & 1]
