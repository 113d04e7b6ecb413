"""Plain frames by hand (RFC 6455): server text frames out, whole masked data frames in; the library does the rest."""

from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library's own fallback
    from websockets.utils import apply_mask

__all__ = ["FrameSplitter", "text_frame"]

_FIN_TEXT = b"\x81"
_DATA: Final = frozenset({0x81, 0x82})
_CONTROL: Final = frozenset({0x88, 0x89, 0x8A})
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_HEADER_BYTES: Final = 2
_LONG_HEADER_BYTES: Final = 4
_SHORT_MAXIMUM: Final = 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return _FIN_TEXT + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class FrameSplitter:
    """Cuts whole data frames out of a client's stream and passes everything else on as it came, frame by frame.

    Data frames are final, masked, without reserved bits and at most `maximum_bytes` long. Whole control frames are
    passed on in their place. At the first frame of any other form the rest of the stream belongs to the library.
    """

    __slots__ = ("_maximum_bytes", "_needed", "_rest")

    def __init__(self, maximum_bytes: int) -> None:
        """Start at a frame's boundary."""
        self._maximum_bytes = min(maximum_bytes, _SHORT_MAXIMUM)
        self._needed = 0
        self._rest = bytearray()

    def split(self, data: bytes) -> tuple[list[tuple[int, bytes]], bool]:
        """(opcode, payload) of each complete frame, opcode 0 with raw bytes for the library; False: all the rest is."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return [], True
            data = bytes(self._rest)
            self._rest.clear()
        pieces: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while at < end:
            size = self._frame_bytes(data, at)
            if not size:
                pieces.append((0, data[at:]))
                return pieces, False
            if at + size > end:
                self._rest += data[at:]
                self._needed = size
                break
            pieces.append(_piece(data, at, size))
            at += size
        return pieces, True

    def _frame_bytes(self, data: bytes, at: int) -> int:
        """Bytes of the frame at `at`, or of its header while that is incomplete; 0 when it is not one of ours."""
        head = data[at]
        if head not in _DATA and head not in _CONTROL:
            return 0
        if len(data) - at < _HEADER_BYTES:
            return _HEADER_BYTES
        length = data[at + 1] - _MASKED
        if 0 <= length < _LENGTH_16:
            return 6 + length
        if length != _LENGTH_16 or head in _CONTROL:
            return 0
        if len(data) - at < _LONG_HEADER_BYTES:
            return _LONG_HEADER_BYTES
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        return 8 + length if _LENGTH_16 <= length <= self._maximum_bytes else 0


def _piece(data: bytes, at: int, size: int) -> tuple[int, bytes]:
    if data[at] in _CONTROL:
        return 0, data[at : at + size]
    start = at + (8 if data[at + 1] == _MASKED + _LENGTH_16 else 6)
    return data[at] & 0x0F, apply_mask(data[start : at + size], data[start - 4 : start])
