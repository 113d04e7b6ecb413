"""What an OP rollup charges for the data of a transaction: the Fjord formula, in wei and without rounding up.

The size that the batcher will publish is estimated from the length of a FastLZ compression, level 1. Neither anvil nor
the embedded chain charges it; the chain-fault scenarios count it beside the gas.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["L1Prices", "compressed_size_e6", "fastlz_length", "l1_fee_wei"]

_HASH_BITS: Final = 13
_WINDOW: Final = (1 << _HASH_BITS) - 1
_TAIL: Final = 13
_LONGEST_MATCH: Final = 262
_LITERAL_RUN: Final = 32
_INTERCEPT_E6: Final = -42_585_600
_SLOPE_E6: Final = 836_500
_LEAST_SIZE_E6: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class L1Prices:
    """Prices of the layer below, in wei per gas, and the rollup's scalars (parts per million)."""

    base_fee_wei: int = 10 * 10**9
    blob_base_fee_wei: int = 1
    base_fee_scalar_e6: int = 5_227
    blob_base_fee_scalar_e6: int = 1_014_213


def l1_fee_wei(raw: bytes, prices: L1Prices) -> int:
    """Fee of one signed transaction; the division by 1e12 rounds down, as the rollup's node does."""
    scaled = 16 * prices.base_fee_scalar_e6 * prices.base_fee_wei
    scaled += prices.blob_base_fee_scalar_e6 * prices.blob_base_fee_wei
    return compressed_size_e6(raw) * scaled // 10**12


def compressed_size_e6(raw: bytes) -> int:
    """Millionths of a byte that the layer below is taken to need for `raw`, compressed with what stands beside it."""
    return max(_LEAST_SIZE_E6, _INTERCEPT_E6 + _SLOPE_E6 * fastlz_length(raw))


def fastlz_length(data: bytes) -> int:
    """Bytes that level 1 of FastLZ makes of `data`."""
    table = [0] * (1 << _HASH_BITS)
    end = max(0, len(data) - _TAIL)
    length = literal_from = 0
    at = 2
    while (found := _next_match(data, table, at, end)) is not None:
        at, before = found
        length += _literals(at - literal_from)
        matched = _common(data, before + 3, at + 3, end + 9)
        length += _match(matched)
        at += matched
        for place in (at, at + 1):
            table[_hash(_three(data, place))] = place
        at = literal_from = at + 2
    return length + _literals(len(data) - literal_from)


def _next_match(data: bytes, table: list[int], at: int, end: int) -> tuple[int, int] | None:
    """First place from `at` on whose three bytes stand before it, and where; None when there is none before `end`."""
    while at < end:
        three = _three(data, at)
        slot = _hash(three)
        before, table[slot] = table[slot], at
        if at - before <= _WINDOW and three == _three(data, before):
            # The rollup's own routine gives up a match at the very last place.
            return (at, before) if at + 1 < end else None
        at += 1
    return None


def _three(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


def _hash(three: int) -> int:
    return (2_654_435_769 * three >> 19) & _WINDOW


def _common(data: bytes, left: int, right: int, end: int) -> int:
    """How many bytes are equal, and one for the pair that is not; never beyond `end`."""
    for length in range(end - right):
        if data[left + length] != data[right + length]:
            return length + 1
    return max(0, end - right)


def _literals(count: int) -> int:
    whole, rest = divmod(count, _LITERAL_RUN)
    return whole * (_LITERAL_RUN + 1) + (rest + 1 if rest else 0)


def _match(length: int) -> int:
    whole, rest = divmod(length - 1, _LONGEST_MATCH)
    return 3 * whole + (3 if rest >= 6 else 2)
