"""Server frames by hand: a text frame is a header of 2, 4 or 10 bytes and the payload, never masked (RFC 6455)."""

__all__ = ["text_frame"]

_FIN_TEXT = b"\x81"


def text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return _FIN_TEXT + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
