"""Words of the Solidity ABI that signed actions need: fixed-width integers, addresses, arrays of words.

Only `abi.encode` of the few types of a signed action lives here; calls to contracts are encoded elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ADDRESS_BYTES",
    "WORD_BYTES",
    "EncodingError",
    "address_word",
    "bool_word",
    "bytes32_word",
    "int_word",
    "uint_word",
    "word_array",
]

WORD_BYTES = 32
ADDRESS_BYTES = 20
_ADDRESS_PAD = bytes(WORD_BYTES - ADDRESS_BYTES)
_TRUE = bytes(31) + b"\x01"
_FALSE = bytes(32)


class EncodingError(ValueError):
    """A value does not fit its ABI type; the caller's fault."""


def uint_word(value: int) -> bytes:
    """Encode `value` (0 .. 2^256 - 1) as one word; EncodingError outside the range."""
    try:
        return value.to_bytes(WORD_BYTES, "big")
    except OverflowError as error:
        raise EncodingError(f"{value} is not a uint256") from error


def int_word(value: int) -> bytes:
    """Encode `value` (-2^255 .. 2^255 - 1) in two's complement; EncodingError outside the range."""
    try:
        return value.to_bytes(WORD_BYTES, "big", signed=True)
    except OverflowError as error:
        raise EncodingError(f"{value} is not an int256") from error


def address_word(address: bytes) -> bytes:
    """Left-pad a 20-byte address; EncodingError for another length."""
    if len(address) != ADDRESS_BYTES:
        raise EncodingError(f"an address has 20 bytes, got {len(address)}")
    return _ADDRESS_PAD + address


def bytes32_word(value: bytes) -> bytes:
    """Return `value` itself; EncodingError unless it has 32 bytes."""
    if len(value) != WORD_BYTES:
        raise EncodingError(f"a bytes32 has 32 bytes, got {len(value)}")
    return value


def bool_word(value: bool) -> bytes:
    """Encode a boolean as 0 or 1."""
    return _TRUE if value else _FALSE


def word_array(words: Sequence[bytes]) -> bytes:
    """Encode the tail of a dynamic array whose elements are already encoded and static."""
    return uint_word(len(words)) + b"".join(words)
