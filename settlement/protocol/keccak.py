"""Keccak-256 as Ethereum uses it (the original padding, not SHA3-256's).

The compiled module is used when it is built; the reference comes from safe-pysha3. Both are always importable
by name, so that the differential tests can compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import sha3

__all__ = ["COMPILED", "HASH_BYTES", "keccak256", "reference_keccak256"]

HASH_BYTES = 32


def reference_keccak256(data: bytes) -> bytes:
    """Hash with safe-pysha3; returns 32 bytes."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


keccak256: Callable[[bytes], bytes]
# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("settlement.protocol._keccak") is not None
if COMPILED:
    from settlement.protocol import _keccak

    keccak256 = _keccak.keccak256
else:
    keccak256 = reference_keccak256
