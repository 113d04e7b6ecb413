"""What methods of keys, one-time codes and timers answer, as types (see `results`)."""

from typing import TypedDict

__all__ = ["DeadMan", "NewFactor", "SessionKey", "SessionKeys"]


class SessionKey(TypedDict):
    """A delegated signer; times in seconds."""

    public_session_key: str
    expiry_sec: int
    protocol_scopes: list[str]
    offchain_scopes: list[str]
    subaccount_ids: list[int]
    ip_whitelist: list[str]
    label: str
    registered_sec: int
    instruments: list[str]
    max_notional: str | None


class DeadMan(TypedDict):
    """A timer as it was armed; `cancel_at` in milliseconds, null when it was disarmed."""

    subaccount_id: int
    timeout_ms: int
    cancel_at: int | None


class NewFactor(TypedDict):
    """A secret for one-time codes, shown this once."""

    secret: str
    uri: str


class SessionKeys(TypedDict):
    """Of a wallet."""

    public_session_keys: list[SessionKey]
