"""What an owner sets up against his own keys, lines and bots: limits of session keys, cancels when he falls silent.

Chain requests register keys; what stands here only takes away from what they grant, and acts at once.
"""

from enum import IntEnum, IntFlag

import msgspec

from exchange.domain.result_codes import ResultCode

__all__ = [
    "CancelAllAfter",
    "DeadManSet",
    "DisconnectRuleSet",
    "KeyLimits",
    "KeyRight",
    "RevokeKey",
    "SafeguardEvent",
    "SessionKeyLimited",
    "SessionKeyRefused",
    "SetDisconnectRule",
    "SetKeyLimits",
]


class KeyRight(IntFlag):
    """What a key may do that no signed action asks for (the off-chain scopes of api.md 4.6)."""

    NONE = 0
    ACCOUNT_INFO = 1
    """Reads and private channels."""
    CANCEL = 2
    """Cancels. A key that may trade may cancel too."""
    DELETE_SESSION_KEY = 4
    """Revoke keys of its owner; every key may revoke itself."""


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a key may do within its scopes. Without limits a key has ACCOUNT_INFO and CANCEL and no bound."""

    rights: KeyRight = KeyRight.ACCOUNT_INFO | KeyRight.CANCEL
    instruments: tuple[int, ...] = ()
    """What it may trade, beside `underlyings`; both empty: everything its scopes name."""
    underlyings: tuple[str, ...] = ()
    max_notional_e6: int = 0
    """Most that one order may be worth: amount times index price, 1e-6 USDC, rounded up; 0: no bound."""
    ip_whitelist: tuple[str, ...] = ()
    """Networks in their canonical text; empty: any."""
    label: str = ""

    @property
    def binds_orders(self) -> bool:
        """Whether an order's check depends on them."""
        return bool(self.instruments or self.underlyings or self.max_notional_e6)


class SetKeyLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Limit a key, registered or still to come. Replaces what was set before."""

    owner: bytes
    key: bytes
    limits: KeyLimits


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """End a key at once and for ever; its orders and sessions go too."""

    owner: bytes
    key: bytes


class SetDisconnectRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whether all orders of a wallet are canceled when any session of it ends without a logout."""

    owner: bytes
    is_enabled: bool
    spares_reduce_only: bool = False
    """Reduce-only orders that wait for a trigger stay."""


class CancelAllAfter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Dead-man timer: cancel a subaccount's orders unless it is armed again within `timeout_ms`; 0 disarms."""

    subaccount: int
    timeout_ms: int
    spares_reduce_only: bool = False


class _Tag(IntEnum):
    SESSION_KEY_REFUSED = 70
    SESSION_KEY_LIMITED = 71
    DISCONNECT_RULE_SET = 72
    DEAD_MAN_SET = 73


class SessionKeyRefused(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SESSION_KEY_REFUSED.value
):
    """The chain's queue asked for a key that cannot be registered; the request is consumed."""

    owner: bytes
    key: bytes
    code: ResultCode
    request_index: int


class SessionKeyLimited(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SESSION_KEY_LIMITED.value
):
    """A key has new limits."""

    owner: bytes
    key: bytes
    limits: KeyLimits


class DisconnectRuleSet(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.DISCONNECT_RULE_SET.value
):
    """A wallet's rule took effect."""

    owner: bytes
    is_enabled: bool
    spares_reduce_only: bool


class DeadManSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.DEAD_MAN_SET.value):
    """A dead-man timer was armed, fired or disarmed."""

    subaccount: int
    deadline_ns: int
    """0: it is not armed any more."""
    has_fired: bool = False


SafeguardEvent = SessionKeyRefused | SessionKeyLimited | DisconnectRuleSet | DeadManSet
