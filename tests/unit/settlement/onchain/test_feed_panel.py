"""Signatures of k of n feeds: who does not count, who is waited for, and that nobody is waited for too long."""

from collections.abc import Callable

import pytest

from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import RoundUnsigned
from settlement.onchain.feed_panel import ANSWER_S, RETRY_S, Feed, FeedPanel, FeedTrouble, HttpFeed, RoundRequest
from settlement.protocol.keccak import keccak256
from settlement.protocol.oracle_rounds import round_digest
from settlement.protocol.signature import address_of, sign_digest

CHAIN_ID, CONTRACT = 31337, b"\x05" * 20
KEYS = [keccak256(bytes([number])) for number in range(4)]
KNOWN = {address_of(key) for key in KEYS[:3]}
REQUEST = RoundRequest(1, 1_800_000_000, bytes(8))


class Reader(SettlementReader):
    """A contract that knows three feeds."""

    def __init__(self) -> None:
        """No chain behind it."""
        self.address = CONTRACT

    def view(self, signature: str, returns: object, *arguments: object, tag: str | int = "latest") -> bool:
        """Whether somebody is a feed."""
        assert signature == "feedSigner(address)"
        return arguments[0] in KNOWN


class KeyFeed:
    """Signs what it is told to, with `key`."""

    def __init__(self, name: str, key: bytes | None, *, contract: bytes = CONTRACT) -> None:
        """Without a key it only refuses."""
        self.name, self.key, self.contract, self.asked = name, key, contract, 0

    def sign(self, request: RoundRequest) -> bytes:
        """At once."""
        self.asked += 1
        if self.key is None:
            raise FeedTrouble("refused: index")
        digest = round_digest(
            chain_id=CHAIN_ID,
            contract=self.contract,
            round_number=request.round_number,
            time_s=request.time_s,
            vector=request.vector,
        )
        return sign_digest(self.key, digest)


class Bench:
    """A panel of two of some feeds, a clock, and calls that return when the test says so."""

    def __init__(self, *feeds: Feed, is_slow: bool = False) -> None:
        """`is_slow`: calls wait in `calls`."""
        self.now_s = 100.0
        self.calls: list[Callable[[], None]] = []
        self.panel = FeedPanel(
            Reader(),
            chain_id=CHAIN_ID,
            threshold=2,
            feeds=feeds,
            clock_s=lambda: self.now_s,
            start=self.calls.append if is_slow else lambda call: call(),
        )

    def trouble(self) -> str:
        """Why the round is not signed."""
        with pytest.raises(RoundUnsigned) as raised:
            self.panel.signatures(REQUEST)
        return str(raised.value)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (KeyFeed("b", None), "b: refused: index"),
        (KeyFeed("b", KEYS[3]), "the contract knows no feed"),
        (KeyFeed("b", KEYS[1], contract=bytes(20)), "the contract knows no feed"),
        (KeyFeed("b", KEYS[0]), "has 1 of 2"),
    ],
    ids=["refusal", "stranger", "another deployment", "the same key twice"],
)
def test_what_does_not_count_leaves_too_few(second: KeyFeed, reason: str) -> None:
    """One line that says who is missing and why."""
    assert reason in Bench(KeyFeed("a", KEYS[0]), second).trouble()


@pytest.mark.parametrize("garbage", [b"", bytes(65), b"\x01" * 64, b"\xff" * 65, bytes(4_096)])
def test_what_is_no_signature_is_no_crash(garbage: bytes) -> None:
    """Whatever a feed sends back."""
    feed = KeyFeed("b", KEYS[1])
    feed.sign = lambda _: garbage  # type: ignore[method-assign]
    assert "b: " in Bench(KeyFeed("a", KEYS[0]), feed).trouble()


def test_an_unreachable_server_is_trouble() -> None:
    """Port 1 has no listener."""
    with pytest.raises(FeedTrouble, match="no answer"):
        HttpFeed("http://127.0.0.1:1/").sign(REQUEST)


def test_signers_ascend_whatever_their_order() -> None:
    """As the contract wants them; no more than needed."""
    feeds = [KeyFeed(str(number), key) for number, key in enumerate(sorted(KEYS[:3], key=address_of, reverse=True))]
    signatures = Bench(*feeds).panel.signatures(REQUEST)
    assert signatures is not None
    digest = round_digest(chain_id=CHAIN_ID, contract=CONTRACT, round_number=1, time_s=REQUEST.time_s, vector=bytes(8))
    lowest = sorted(KEYS[:3], key=address_of)[:2]
    assert signatures == b"".join(sign_digest(key, digest) for key in lowest)


def test_a_feed_that_hangs_is_waited_for_once_and_not_asked_twice() -> None:
    """None while it may still answer, then its name; its late answer counts all the same."""
    bench = Bench(KeyFeed("a", KEYS[0]), KeyFeed("b", KEYS[1]), is_slow=True)
    assert bench.panel.signatures(REQUEST) is None
    bench.calls.pop(0)()
    assert bench.panel.signatures(REQUEST) is None
    bench.now_s += ANSWER_S
    assert "has 1 of 2 signatures, waits for b: no answer" in bench.trouble()
    bench.now_s += 10 * RETRY_S
    assert "b: no answer" in bench.trouble()
    assert len(bench.calls) == 1
    bench.calls.pop()()
    assert bench.panel.signatures(REQUEST) is not None


def test_a_hanging_feed_costs_nothing_while_enough_sign() -> None:
    """No wait at all."""
    bench = Bench(KeyFeed("a", KEYS[0]), KeyFeed("b", KEYS[1]), KeyFeed("c", KEYS[2]), is_slow=True)
    assert bench.panel.signatures(REQUEST) is None
    bench.calls.pop(0)()
    bench.calls.pop(0)()
    assert bench.panel.signatures(REQUEST) is not None


def test_a_refusal_is_asked_again_once_a_second() -> None:
    """Not with every step."""
    refusing = KeyFeed("b", None)
    bench = Bench(KeyFeed("a", KEYS[0]), refusing)
    for _ in range(5):
        bench.trouble()
    assert refusing.asked == 1
    refusing.key = KEYS[1]
    bench.now_s += RETRY_S
    assert bench.panel.signatures(REQUEST) is not None


def test_an_answer_about_another_round_does_not_count() -> None:
    """The feed was slow, and the settler is at the next round."""
    bench = Bench(KeyFeed("a", KEYS[0]), KeyFeed("b", KEYS[1]), is_slow=True)
    bench.panel.signatures(RoundRequest(2, 1_800_000_000, bytes(8)))
    late, bench.calls[:] = list(bench.calls), []
    for call in late:
        call()
    assert bench.panel.signatures(REQUEST) is None
    for call in bench.calls:
        call()
    assert bench.panel.signatures(REQUEST) is not None


def test_what_the_contract_refused_is_gathered_anew() -> None:
    """A feed may have been taken off the list."""
    feeds = KeyFeed("a", KEYS[0]), KeyFeed("b", KEYS[1])
    bench = Bench(*feeds)
    assert bench.panel.signatures(REQUEST) == bench.panel.signatures(REQUEST)
    bench.panel.forget()
    bench.panel.signatures(REQUEST)
    assert [feed.asked for feed in feeds] == [2, 2]
