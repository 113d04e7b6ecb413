"""Wire order ids: a UUID version 8 that encodes the engine's order number (api.md 1)."""

from typing import Final

__all__ = ["OrderIds"]

_SUFFIX_BITS: Final = 58
_UUID_TEXT_LENGTH: Final = 36


class OrderIds:
    """Encodes and decodes ids of one deployment; ids of another one do not decode."""

    __slots__ = ("_tails",)

    def __init__(self, separator: bytes) -> None:
        """`separator` is our 32-byte domain separator; its first 58 bits end every id."""
        suffix = int.from_bytes(separator[:8], "big") >> (64 - _SUFFIX_BITS)
        lows = (f"{0b10 << 62 | nibble << _SUFFIX_BITS | suffix:016x}" for nibble in range(16))
        self._tails = tuple(f"{low[:4]}-{low[4:]}" for low in lows)

    def text(self, number: int) -> str:
        """UUID text of an order or trade number (0 .. 2^64 - 1)."""
        tail = self._tails[number & 0xF]
        return f"{number >> 32:08x}-{number >> 16 & 0xFFFF:04x}-8{number >> 4 & 0xFFF:03x}-{tail}"

    def number(self, text: str) -> int | None:
        """Number behind an id of this deployment, else None."""
        digits = text.replace("-", "")
        if len(text) != _UUID_TEXT_LENGTH or len(digits) != 32:
            return None
        try:
            high, low = int(digits[:16], 16), int(digits[16:], 16)
        except ValueError:
            return None
        number = high >> 16 << 16 | (high & 0xFFF) << 4 | (low >> _SUFFIX_BITS & 0xF)
        return number if self.text(number) == text.lower() else None
