"""secp256k1 signatures: signing, recovery, cached verification, EIP-191 and EIP-55.

Only the canonical form is accepted: 65 bytes r | s | v, s in the lower half of the order, v 27 or 28 (0 and 1 are
normalized first), because the contract's verifier accepts nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from coincurve import PrivateKey, PublicKey
from coincurve.context import GLOBAL_CONTEXT
from coincurve.ecdsa import ffi, lib  # type: ignore[attr-defined]

from settlement.protocol.keccak import keccak256

# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("settlement.protocol._signatures") is not None
if COMPILED:
    from settlement.protocol import _signatures

__all__ = [
    "COMPILED",
    "CURVE_ORDER",
    "SIGNATURE_BYTES",
    "BadAddress",
    "BadSignature",
    "VerifierKey",
    "address_of",
    "checksum_address",
    "learn_key",
    "normalize_signature",
    "parse_address",
    "parse_signature",
    "personal_digest",
    "recover_address",
    "sign_digest",
    "verify_digest",
    "verify_many",
    "with_recovery_id",
]

SIGNATURE_BYTES = 65
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER_BYTES = (CURVE_ORDER // 2).to_bytes(32, "big")
_DIGEST_BYTES = 32
_ADDRESS_BYTES = 20
_V_OFFSET = 27
_CONTEXT = int(ffi.cast("uintptr_t", GLOBAL_CONTEXT.ctx))
_PARSE = int(ffi.cast("uintptr_t", ffi.addressof(lib, "secp256k1_ecdsa_signature_parse_compact")))
_VERIFY = int(ffi.cast("uintptr_t", ffi.addressof(lib, "secp256k1_ecdsa_verify")))


class BadSignature(ValueError):
    """A signature is malformed, not canonical or recovers to no key; the signer's fault."""


class BadAddress(ValueError):
    """A text is not a 20-byte hex address; the sender's fault."""


class VerifierKey:
    """A parsed public key: verifying against it costs a fifth less than recovering the signer each time.

    The check covers r and s, not v: with the right key exactly one v recovers the signer, see `with_recovery_id`.
    """

    __slots__ = ("_context", "_public_key", "address", "parsed")

    address: bytes
    parsed: bytes
    """The library's own form of the key (64 bytes), good in this process only."""

    def __init__(self, public_key: PublicKey) -> None:
        self.address = _address_of_key(public_key)
        self._public_key = public_key.public_key
        self._context = public_key.context.ctx
        self.parsed = bytes(ffi.buffer(self._public_key))

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Tell whether `signature` (65 bytes) over `digest` (32 bytes) is canonical and by this key."""
        if not _is_canonical(signature) or len(digest) != _DIGEST_BYTES:
            return False
        parsed = ffi.new("secp256k1_ecdsa_signature *")
        if not lib.secp256k1_ecdsa_signature_parse_compact(self._context, parsed, signature[:64]):
            return False
        return bool(lib.secp256k1_ecdsa_verify(self._context, parsed, digest, self._public_key))


def address_of(private_key: bytes) -> bytes:
    """Return the 20-byte address of a private key (32 bytes)."""
    return _address_of_key(PrivateKey(private_key).public_key)


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Sign 32 bytes deterministically (RFC 6979); returns r | s | v with low s and v 27 or 28."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes((signature[64] + _V_OFFSET,))


def recover_address(digest: bytes, signature: bytes) -> bytes:
    """Return the address that signed `digest`; BadSignature when the signature is not canonical or recovers none."""
    return learn_key(digest, signature).address


def learn_key(digest: bytes, signature: bytes) -> VerifierKey:
    """Recover the signer's key once for later `verify_digest` calls; raises BadSignature like recover_address."""
    if len(digest) != _DIGEST_BYTES:
        raise BadSignature(f"a digest has 32 bytes, got {len(digest)}")
    canonical = normalize_signature(signature)
    raw = canonical[:64] + bytes((canonical[64] - _V_OFFSET,))
    try:
        public_key = PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise BadSignature("the signature recovers to no key") from error
    return VerifierKey(public_key)


def verify_digest(public_key_cached: VerifierKey, digest: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `digest` is by the cached key; never raises on a malformed signature."""
    return public_key_cached.verify(digest, signature)


def verify_many(items: Sequence[tuple[VerifierKey, bytes, bytes]]) -> list[bool]:
    """Tell for each (key, digest, signature) what `VerifierKey.verify` tells, beside other threads while it works."""
    if not COMPILED:
        return [key.verify(digest, signature) for key, digest, signature in items]
    good = [len(digest) == _DIGEST_BYTES and _is_canonical(signature) for _, digest, signature in items]
    work = [item for item, is_well_formed in zip(items, good, strict=True) if is_well_formed]
    rows = b"".join([signature[:64] + digest for _, digest, signature in work])
    keys = b"".join([key.parsed for key, _, _ in work])
    verdicts = iter(_signatures.verify_rows(_CONTEXT, _PARSE, _VERIFY, rows, keys))
    return [is_well_formed and bool(next(verdicts)) for is_well_formed in good]


def with_recovery_id(address: bytes, digest: bytes, signature: bytes) -> bytes:
    """Return `signature` with the v that recovers to `address`, as evidence on chain needs it.

    Raises BadSignature when neither v does.
    """
    for v in (_V_OFFSET, _V_OFFSET + 1):
        candidate = signature[:64] + bytes((v,))
        try:
            if recover_address(digest, candidate) == address:
                return candidate
        except BadSignature:
            continue
    raise BadSignature("no recovery id leads to the expected signer")


def normalize_signature(signature: bytes) -> bytes:
    """Return the canonical 65 bytes (v 0 or 1 becomes 27 or 28); BadSignature for length, v or a high s."""
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"a signature has 65 bytes, got {len(signature)}")
    v = signature[64]
    if v in (0, 1):
        v += _V_OFFSET
    if v not in (_V_OFFSET, _V_OFFSET + 1):
        raise BadSignature(f"v is {signature[64]}, not 27 or 28")
    if signature[32:64] > _HALF_ORDER_BYTES:
        raise BadSignature("s is in the upper half of the curve order")
    return signature[:64] + bytes((v,))


def parse_signature(text: str) -> bytes:
    """Read hex of any case with or without 0x into canonical 65 bytes; BadSignature otherwise."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if len(digits) != 2 * SIGNATURE_BYTES:
        raise BadSignature(f"a signature has 130 hex digits, got {len(digits)}")
    try:
        raw = bytes.fromhex(digits)
    except ValueError as error:
        raise BadSignature("the signature is not hex") from error
    return normalize_signature(raw)


def personal_digest(message: bytes) -> bytes:
    """Return the EIP-191 digest of `message` (personal_sign)."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)


def checksum_address(address: bytes) -> str:
    """Return the EIP-55 form of a 20-byte address."""
    if len(address) != _ADDRESS_BYTES:
        raise BadAddress(f"an address has 20 bytes, got {len(address)}")
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    cased = (digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in zip(digits, nibbles, strict=False))
    return "0x" + "".join(cased)


def parse_address(text: str) -> bytes:
    """Read a hex address of any case, with or without 0x; the checksum is not enforced. BadAddress otherwise."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if len(digits) != 2 * _ADDRESS_BYTES:
        raise BadAddress(f"an address has 40 hex digits, got {len(digits)}")
    try:
        address = bytes.fromhex(digits)
    except ValueError as error:
        raise BadAddress("the address is not hex") from error
    if len(address) != _ADDRESS_BYTES:
        raise BadAddress("the address is not hex")
    return address


def _is_canonical(signature: bytes) -> bool:
    return (
        len(signature) == SIGNATURE_BYTES
        and signature[64] in (0, 1, _V_OFFSET, _V_OFFSET + 1)
        and signature[32:64] <= _HALF_ORDER_BYTES
    )


def _address_of_key(public_key: PublicKey) -> bytes:
    return keccak256(public_key.format(compressed=False)[1:])[12:]
