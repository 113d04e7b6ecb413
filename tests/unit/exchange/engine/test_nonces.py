"""Reading nonces as time."""

import pytest

from exchange.engine.nonces import NonceStore, nonce_time_ns


@pytest.mark.parametrize(
    ("nonce", "time_ns"),
    [
        (1_790_000_000_123_456_789, 1_790_000_000_123_456_789),
        (1_790_000_000_123_456, 1_790_000_000_123_456_000),
        (1_790_000_000_123, 1_790_000_000_123_000_000),
        (5, 5 * 10**18),
        (0, 0),
        (17_900_000_001_234_567_890, 17_900_000_001_234_567_890),
    ],
)
def test_time_of_a_nonce(nonce: int, time_ns: int) -> None:
    """Digits are padded on the right to 19; 20 digits are far in the future."""
    assert nonce_time_ns(nonce) == time_ns


def test_buckets_are_dropped_whole() -> None:
    """A bucket goes once its youngest possible nonce is behind the window."""
    store, bucket_ns = NonceStore(), 600 * 10**9
    now = 3_000_000 * bucket_ns
    store.spend(b"o", b"s", now, 7)
    assert store.find(b"o", b"s", now) == 7
    assert store.find(b"o", b"other", now) is None
    store.drop_stale(now + 2 * bucket_ns - 1)
    assert store.find(b"o", b"s", now) == 7
    store.drop_stale(now + 2 * bucket_ns)
    assert store.find(b"o", b"s", now) is None
