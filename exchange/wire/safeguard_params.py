"""Parameters of what an owner sets up against his own keys, lines and bots."""

from decimal import Decimal
from typing import Any, ClassVar

from exchange.wire.params import SubaccountParams, Text, WalletParams

__all__ = [
    "CancelAllAfterParams",
    "DisconnectParams",
    "EditKeyParams",
    "KeyLimitParams",
    "SessionKeyParams",
    "TotpParams",
]


class TotpParams(WalletParams):
    """private/enable_totp, confirm_totp, disable_totp: a one-time code."""

    totp: Text | None = None


class KeyLimitParams(WalletParams):
    """What limits a key. Absent: as it is."""

    label: Text | None = None
    ip_whitelist: list[str] | None = None
    offchain_scopes: list[str] | None = None
    instruments: list[str] | None = None
    """Instruments and currencies."""
    max_notional: Decimal | None = None
    """USDC per order; 0: no bound."""
    totp: Text | None = None


class EditKeyParams(KeyLimitParams):
    """private/edit_session_key."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("public_session_key",)
    public_session_key: Text | None = None
    disable: bool | None = None


class SessionKeyParams(KeyLimitParams):
    """private/set_session_key."""

    REQUIRED: ClassVar[tuple[str, ...]] = (
        "public_session_key",
        "expiry_sec",
        "nonce",
        "signer",
        "signature",
        "signature_expiry_sec",
    )
    public_session_key: Text | None = None
    expiry_sec: int | None = None
    protocol_scopes: list[Any] | None = None
    scopes: list[Any] | None = None
    subaccount_ids: list[int] | None = None
    nonce: str | int | None = None
    signer: Text | None = None
    signature: str | None = None
    signature_expiry_sec: int | None = None


class DisconnectParams(WalletParams):
    """private/set_cancel_on_disconnect."""

    enabled: bool | None = None
    scope: str | None = None
    spare_reduce_only: bool | None = None


class CancelAllAfterParams(SubaccountParams):
    """private/cancel_all_after."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id", "timeout_ms")
    timeout_ms: int | None = None
    spare_reduce_only: bool | None = None
