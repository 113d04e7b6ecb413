"""When the last post is so old that another one is due."""

from collections.abc import Callable

import pytest

from settlement.onchain.chain import BlockRef
from settlement.onchain.contract import selector
from settlement.onchain.errors import RpcRefused, RpcUnavailable
from settlement.onchain.keep_alive import KeepAlive
from tests.simulation.fake_chain import FakeChain

POSTED_S = 1_000_000
HOUR_S = 3_600
ESCAPE_S = 72 * HOUR_S
PAUSE_S = 48 * HOUR_S
LAG_S = 24 * HOUR_S


class QuietChain(FakeChain):
    """A contract that says when it was posted to; counts how often it is asked."""

    def __init__(self, escape_s: int = ESCAPE_S) -> None:
        """Posted to once."""
        super().__init__()
        self.escape_s, self.last_post_s, self.head_s = escape_s, POSTED_S, POSTED_S
        self.failure: Exception | None = None
        self.asked = 0

    def block(self, which: int | str | bytes) -> BlockRef | None:
        """A head of this time."""
        return BlockRef(number=1, block_hash=bytes(32), timestamp_s=self.head_s)

    def call(self, to: bytes, data: bytes, *, sender: bytes = bytes(20), tag: str | int = "latest") -> bytes:
        """escapeDelay() and lastPost()."""
        if self.failure is not None:
            raise self.failure
        self.asked += 1
        known = {selector("escapeDelay()"): self.escape_s, selector("lastPost()"): self.last_post_s}
        return known[data].to_bytes(32, "big")


def keep_alive_of(chain: QuietChain, clock: Callable[[], float]) -> KeepAlive:
    """The rule over this chain."""
    return KeepAlive(chain, chain.deployment, clock)


@pytest.mark.parametrize(
    ("escape_s", "age_s", "is_due"),
    [
        (ESCAPE_S, 0, False),
        (ESCAPE_S, 18 * HOUR_S - 1, False),
        (ESCAPE_S, 18 * HOUR_S, True),
        (ESCAPE_S, 10 * ESCAPE_S, True),
        (60, 14, False),
        (60, 15, True),
    ],
)
def test_a_post_is_due_after_a_quarter_of_the_escape_delay(escape_s: int, age_s: int, *, is_due: bool) -> None:
    """Of hours as of seconds."""
    chain = QuietChain(escape_s)
    assert keep_alive_of(chain, lambda: POSTED_S + age_s).is_due() is is_due


def test_what_follows_from_the_quarter() -> None:
    """A pause that begins when a post is due ends before a notice; the lag rule never rests for want of a post."""
    chain = QuietChain()
    assert keep_alive_of(chain, lambda: POSTED_S + ESCAPE_S - PAUSE_S).is_due()
    assert keep_alive_of(chain, lambda: POSTED_S + LAG_S).is_due()


@pytest.mark.parametrize(("clock_s", "head_s"), [(POSTED_S, POSTED_S + ESCAPE_S), (POSTED_S + ESCAPE_S, POSTED_S)])
def test_the_later_clock_counts(clock_s: int, head_s: int) -> None:
    """A freeze is judged by its block, which may be before or behind our own time."""
    chain = QuietChain()
    chain.head_s = head_s
    assert keep_alive_of(chain, lambda: clock_s).is_due()


def test_a_post_is_seen_when_the_known_one_is_old() -> None:
    """While posts go on the contract is asked twice per quarter of the delay, not at every step."""
    chain, now_s = QuietChain(), [float(POSTED_S)]
    rule = keep_alive_of(chain, lambda: now_s[0])
    for step in range(100):
        now_s[0] = POSTED_S + step * ESCAPE_S / 400
        chain.last_post_s = int(now_s[0])
        assert not rule.is_due()
    assert chain.asked == 2
    now_s[0] = POSTED_S + ESCAPE_S / 4
    assert not rule.is_due()
    assert chain.asked == 4


@pytest.mark.parametrize("failure", [RpcUnavailable("away"), RpcRefused("too many calls")])
def test_a_chain_that_does_not_answer_is_asked_again(failure: Exception) -> None:
    """Nothing is cut for a post that could not be sent, and nothing is remembered of it."""
    chain = QuietChain()
    rule = keep_alive_of(chain, lambda: POSTED_S + ESCAPE_S)
    chain.failure = failure
    assert not rule.is_due()
    chain.failure = None
    assert rule.is_due()
