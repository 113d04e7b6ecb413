"""One-time codes (TOTP, RFC 6238) before money or power leaves a wallet: withdrawals, new keys, raised limits.

A gateway's matter: neither journal nor chain knows of it. A code counts once; the step of the last one is kept with the
secret, so that a restart does not open the window again.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import pyotp

from exchange.wire.errors import RpcCode, WireError
from exchange.wire.params import Text, text_of
from exchange.wire.venue import address_text

__all__ = ["Factor", "FactorStore", "MemoryFactors", "SecondFactors"]

_STEP_NS: Final = 30_000_000_000
_STEPS_AROUND: Final = (0, -1, 1)
"""Clocks of telephones are off by some seconds."""
_WRONG_CODES: Final = 5
_LOCK_NS: Final = 300_000_000_000
_DIGITS: Final = 6


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's secret. Shown once, to its owner; never logged."""

    secret: str
    """Base32."""
    is_confirmed: bool = False
    """Its owner has shown a code of it."""
    last_step: int = -1
    """30-second step of the last code that was taken."""

    def __repr__(self) -> str:
        return f"Factor(is_confirmed={self.is_confirmed})"


class FactorStore(Protocol):
    """Where factors outlive the process."""

    def load(self) -> dict[bytes, Factor]:
        """Factors by owner."""
        ...

    def save(self, factors: dict[bytes, Factor]) -> None:
        """Keep all of them before it returns."""
        ...


class MemoryFactors:
    """A store that ends with the process, for gateways without a data directory."""

    def load(self) -> dict[bytes, Factor]:
        """Return nothing."""
        return {}

    def save(self, factors: dict[bytes, Factor]) -> None:
        """Keep nothing."""


class SecondFactors:
    """All wallets' factors."""

    def __init__(self, store: FactorStore, clock_ns: Callable[[], int]) -> None:
        """Load what `store` has."""
        self._store = store
        self._clock_ns = clock_ns
        self._factors = store.load()
        self._wrong: dict[bytes, deque[int]] = {}

    def is_enabled(self, owner: bytes) -> bool:
        """Tell whether codes are asked of the wallet."""
        factor = self._factors.get(owner)
        return factor is not None and factor.is_confirmed

    def begin(self, owner: bytes) -> tuple[str, str]:
        """(secret, otpauth URI) of a new factor that waits for `confirm`. WireError 20008 when codes are on already."""
        if self.is_enabled(owner):
            raise _challenge("already_enabled")
        secret = pyotp.random_base32()
        self._keep(owner, Factor(secret=secret))
        uri = pyotp.TOTP(secret).provisioning_uri(name=address_text(owner), issuer_name="Offbook")
        return secret, uri

    def confirm(self, owner: bytes, code: Text | None) -> None:
        """Turn codes on: the owner shows the first one. WireError 20008."""
        factor = self._factors.get(owner)
        if factor is None or factor.is_confirmed:
            raise _challenge("already_enabled" if factor else "not_begun")
        step = self._step_of(owner, factor, code)
        self._keep(owner, msgspec.structs.replace(factor, is_confirmed=True, last_step=step))

    def disable(self, owner: bytes, code: Text | None) -> None:
        """Turn codes off, with one. WireError 20008."""
        if not self.is_enabled(owner):
            raise _challenge("not_enabled")
        self.check(owner, code)
        factors = {wallet: factor for wallet, factor in self._factors.items() if wallet != owner}
        self._store.save(factors)
        self._factors = factors

    def check(self, owner: bytes, code: Text | None) -> None:
        """Take a code where codes are on. WireError 20008: totp_required, locked, totp_wrong, totp_replayed."""
        factor = self._factors.get(owner)
        if factor is None or not factor.is_confirmed:
            return
        step = self._step_of(owner, factor, code)
        self._keep(owner, msgspec.structs.replace(factor, last_step=step))

    def _step_of(self, owner: bytes, factor: Factor, code: Text | None) -> int:
        """Step that a good code belongs to."""
        if code is None:
            raise _challenge("totp_required")
        now_ns = self._clock_ns()
        wrong = self._wrong.setdefault(owner, deque(maxlen=_WRONG_CODES))
        if len(wrong) == _WRONG_CODES and now_ns - wrong[0] < _LOCK_NS:
            raise _challenge("locked", (wrong[0] + _LOCK_NS - now_ns) // 1_000_000)
        step = _matching_step(factor.secret, text_of(code).strip(), now_ns // _STEP_NS)
        if step is None:
            wrong.append(now_ns)
            raise _challenge("totp_wrong")
        if step <= factor.last_step:
            wrong.append(now_ns)
            raise _challenge("totp_replayed")
        del self._wrong[owner]
        return step

    def _keep(self, owner: bytes, factor: Factor) -> None:
        factors = {**self._factors, owner: factor}
        self._store.save(factors)
        self._factors = factors


def _matching_step(secret: str, code: str, now_step: int) -> int | None:
    """Newest step around now whose code it is; every candidate is compared in full."""
    if not (code.isascii() and code.isdigit()):
        return None
    code = code.zfill(_DIGITS)  # a JSON number has lost its zeros
    totp = pyotp.TOTP(secret)
    steps = [
        now_step + offset
        for offset in _STEPS_AROUND
        if pyotp.utils.strings_equal(totp.generate_otp(now_step + offset), code)
    ]
    return max(steps, default=None)


def _challenge(reason: str, retry_after_ms: int | None = None) -> WireError:
    data: dict[str, object] = {"reason": reason}
    if retry_after_ms is not None:
        data["retry_after_ms"] = retry_after_ms
    return WireError(RpcCode.SECOND_FACTOR, data)
