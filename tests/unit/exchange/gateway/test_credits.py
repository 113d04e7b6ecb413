"""Token buckets: charged before work, refilled with time, bounded in number."""

import json

import pytest

from exchange.gateway.credits import Credits
from exchange.gateway.settings import Budget, GatewaySettings
from exchange.wire.errors import WireError, data_text
from exchange.wire.methods import Bucket

SECOND_NS = 10**9


def small() -> Credits:
    """Two per second, three at once."""
    return Credits(GatewaySettings(matching=Budget(2, 3), reads=Budget(1, 1)))


def test_an_empty_bucket_refuses_and_says_when() -> None:
    """-32000 with reason and wait, and nothing is taken."""
    budgets = small()
    for _ in range(3):
        budgets.charge(Bucket.MATCHING, b"a", 1, 0)
    with pytest.raises(WireError) as caught:
        budgets.charge(Bucket.MATCHING, b"a", 1, 0)
    detail = json.loads(data_text(caught.value.data) or "")
    assert (caught.value.code, detail["reason"], detail["retry_after_ms"]) == (-32000, "rate_limit", 501)


@pytest.mark.parametrize(
    ("wait_ns", "remaining"), [(500_000_000, 0), (SECOND_NS, 1), (100 * SECOND_NS, 2), (-SECOND_NS, None)]
)
def test_refill(wait_ns: int, remaining: int | None) -> None:
    """Tokens come back with time, never above the burst, and not when a clock steps back."""
    budgets = small()
    for _ in range(3):
        budgets.charge(Bucket.MATCHING, b"a", 1, 0)
    if remaining is None:
        with pytest.raises(WireError):
            budgets.charge(Bucket.MATCHING, b"a", 1, wait_ns)
    else:
        assert budgets.charge(Bucket.MATCHING, b"a", 1, wait_ns)[0] == remaining


def test_buckets_are_apart() -> None:
    """Wallets and kinds do not share; free calls cost nothing."""
    budgets = small()
    budgets.charge(Bucket.READS, b"a", 1, 0)
    assert budgets.charge(Bucket.READS, b"b", 1, 0)[0] == 0
    assert budgets.charge(Bucket.MATCHING, b"a", 1, 0)[0] == 2
    assert budgets.charge(Bucket.FREE, b"a", 100, 0) == (0, 0)
    state = budgets.state(Bucket.MATCHING, b"a", 0)
    assert (state["remainingPoints"], state["consumedPoints"], state["isFirstInDuration"]) == (2, 1, False)


@pytest.mark.parametrize("change", [{"clean_bytes": 1 << 30}, {"dirty_bytes": 0}, {"resume_at": 256}])
def test_contradicting_limits_are_refused(change: dict[str, int]) -> None:
    """Relations between limits are checked at construction."""
    with pytest.raises(ValueError, match="must hold"):
        GatewaySettings(**change)
