"""Session authentication (EIP-191): login on a socket, three headers on REST (api.md 4.1, rule T11)."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from exchange.domain.views import WalletView
from exchange.gateway.calls import Identity
from exchange.gateway.directory import Directory, WalletCallback
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.venue import address_text
from settlement.protocol.signature import (
    BadAddress,
    BadSignature,
    parse_address,
    parse_signature,
    personal_digest,
    recover_address,
)

__all__ = ["Authenticator", "header_credentials", "parse_wallet"]

_MISSING: Final = 14021
_WALLETS_KEPT: Final = 65_536
_HEADER_FAMILIES: Final = ("x-derive", "x-lyra")
IdentityCallback = Callable[[Identity, WalletView], None]
Guard = Callable[[WalletCallback], WalletCallback]


class Authenticator:
    """Proves who speaks."""

    def __init__(self, directory: Directory, clock_ns: Callable[[], int], skew_ms: int) -> None:
        """Accept timestamps within `skew_ms` of the clock."""
        self._directory = directory
        self._clock_ns = clock_ns
        self._skew_ms = skew_ms

    def prove(self, wallet: str, timestamp: str, signature: str, done: IdentityCallback, guard: Guard) -> None:
        """Check freshness and signature now, the wallet's keys as soon as they are known.

        Refusals that are known at once are raised; later ones reach `guard`, which wraps the callback.
        """
        owner = parse_wallet(wallet, "wallet")
        self._check_fresh(timestamp)
        try:
            signer = recover_address(personal_digest(timestamp.encode()), parse_signature(signature))
        except BadSignature as error:
            raise WireError(RpcCode.SIGNATURE_INVALID, {"reason": str(error)}) from error

        def known(view: WalletView | None) -> None:
            if view is None or not view.subaccounts:
                raise WireError(14000, {"wallet": address_text(owner)})
            identity = Identity(owner=owner, signer=signer)
            try:
                self._directory.key_of(identity)
            except WireError as error:
                if error.code == RpcCode.KEY_NOT_FOUND:
                    raise WireError(
                        RpcCode.KEY_NOT_FOUND, {"recovered": address_text(signer), "wallet": address_text(owner)}
                    ) from error
                raise
            done(identity, view)

        self._directory.fetch(owner, guard(known))

    def _check_fresh(self, timestamp: str) -> None:
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
            raise WireError.bad_param("timestamp", "must be milliseconds as a decimal integer")
        server_ms = self._clock_ns() // 1_000_000
        skew_ms = int(timestamp) - server_ms
        if abs(skew_ms) > self._skew_ms:
            data: dict[str, object] = {"reason": "timestamp is not fresh", "server_time": server_ms, "skew_ms": skew_ms}
            raise WireError(_MISSING, data)


def header_credentials(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Wallet, timestamp and signature of a REST request; WireError 14021 when one is missing."""
    for family in _HEADER_FAMILIES:
        wallet = headers.get(f"{family}wallet")
        if wallet is not None:
            timestamp, signature = headers.get(f"{family}timestamp"), headers.get(f"{family}signature")
            if timestamp is None or signature is None:
                break
            return wallet, timestamp.strip(), signature
    raise WireError(_MISSING, {"reason": "send X-DeriveWallet, X-DeriveTimestamp and X-DeriveSignature"})


@lru_cache(maxsize=_WALLETS_KEPT)
def parse_wallet(text: str, field: str) -> bytes:
    """Address in any case; -32602 that names the field."""
    try:
        return parse_address(text)
    except BadAddress as error:
        raise WireError.bad_param(field, str(error)) from error
