"""What feeds sign: the hash of one round for one deployment, as `IMarkets.roundDigest` makes it."""

from __future__ import annotations

from typing import Final

from settlement.protocol.abi import address_word, bytes32_word, uint_word
from settlement.protocol.keccak import keccak256

__all__ = ["round_digest"]

_ROUND_TAG: Final = keccak256(b"offbook.oracle.round")


def round_digest(*, chain_id: int, contract: bytes, round_number: int, time_s: int, vector: bytes) -> bytes:
    """Return the 32 bytes that a feed signs for the bytes of a vector; `time_s` in Unix seconds.

    Chain and contract are part of it: a signature is good in one deployment. Raises EncodingError.
    """
    words = uint_word(chain_id), address_word(contract), uint_word(round_number), uint_word(time_s)
    return keccak256(_ROUND_TAG + b"".join(words) + bytes32_word(keccak256(vector)))
