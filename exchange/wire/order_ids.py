"""Wire order ids: a UUID version 8 that encodes the engine's order number (api.md 1)."""

from typing import Final

__all__ = ["OrderIds"]

_SUFFIX_BITS: Final = 58
_UUID_TEXT_LENGTH: Final = 36


class OrderIds:
    """Encodes and decodes ids of one deployment; ids of another one do not decode."""

    __slots__ = ("_suffix",)

    def __init__(self, separator: bytes) -> None:
        """`separator` is our 32-byte domain separator; its first 58 bits end every id."""
        self._suffix = int.from_bytes(separator[:8], "big") >> (64 - _SUFFIX_BITS)

    def text(self, number: int) -> str:
        """UUID text of an order or trade number (0 .. 2^64 - 1)."""
        high = (number >> 16) << 16 | 0x8000 | (number >> 4 & 0xFFF)
        low = 0b10 << 62 | (number & 0xF) << _SUFFIX_BITS | self._suffix
        digits = f"{high:016x}{low:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

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
