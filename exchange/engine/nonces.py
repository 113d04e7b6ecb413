"""Used nonces, kept while the same order could come again, in buckets of ten minutes dropped whole (api.md 4.5).

A nonce is read as time: its decimal digits padded with zeros on the right to 19 give nanoseconds. It is good within ten
minutes of journal time, once per (owner, signer).
"""

from typing import Any, Final

from exchange.domain.limits import NONCE_WINDOW_NS

__all__ = ["NonceStore", "nonce_time_ns"]

_DIGITS: Final = 19
_NINETEEN_DIGITS: Final = 10**18
_BUCKET_NS: Final = NONCE_WINDOW_NS

NonceKey = tuple[bytes, bytes, int]


def nonce_time_ns(nonce: int) -> int:
    """The time a nonce claims, in nanoseconds; values of more than 19 digits read as themselves, far in the future."""
    if nonce >= _NINETEEN_DIGITS:
        return nonce
    return nonce * int(10 ** (_DIGITS - len(str(nonce))))


class NonceStore:
    """Used (owner, signer, nonce) -> number of the order that used it (0: a refused one)."""

    def __init__(self) -> None:
        self.buckets: dict[int, dict[NonceKey, int]] = {}

    def is_in_window(self, nonce: int, now_ns: int) -> bool:
        """Whether the nonce's time lies within the window around journal time."""
        return abs(nonce_time_ns(nonce) - now_ns) <= NONCE_WINDOW_NS

    def find(self, owner: bytes, signer: bytes, nonce: int) -> int | None:
        """Number of the order that used the nonce (0: refused), None when unused."""
        bucket = self.buckets.get(nonce_time_ns(nonce) // _BUCKET_NS)
        return None if bucket is None else bucket.get((owner, signer, nonce))

    def spend(self, owner: bytes, signer: bytes, nonce: int, order: int) -> None:
        """Mark a nonce as used; a second call may name its order."""
        bucket = self.buckets.setdefault(nonce_time_ns(nonce) // _BUCKET_NS, {})
        bucket[owner, signer, nonce] = order

    def drop_stale(self, now_ns: int) -> None:
        """Forget buckets of which every nonce is behind the window for good."""
        for bucket in [b for b in self.buckets if (b + 1) * _BUCKET_NS <= now_ns - NONCE_WINDOW_NS]:
            del self.buckets[bucket]

    def rows(self) -> list[tuple[int, list[tuple[bytes, bytes, int, int]]]]:
        """All of it: (bucket, (owner, signer, nonce, order) ...), sorted."""
        buckets = sorted(self.buckets.items())
        return [(bucket, sorted((*key, by) for key, by in used.items())) for bucket, used in buckets]

    def restore(self, rows: list[Any]) -> None:
        """Inverse of `rows`."""
        for bucket, used in rows:
            self.buckets[bucket] = {(owner, signer, nonce): by for owner, signer, nonce, by in used}
