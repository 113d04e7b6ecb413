"""A deployment with feeds: k of n sign each round, CLOSE_ALL works, who is away or refuses is waited for by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.domain.rounds import OracleRound
from exchange.feeds.round_judge import RoundJudge, RoundRefused
from exchange.feeds.round_signer import RoundSigner
from settlement.onchain.contract import selector
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.feed_panel import FeedTrouble, RoundRequest
from settlement.protocol.keccak import keccak256
from settlement.protocol.signature import address_of
from tests.e2e.test_disputes import watcher_of
from tests.fakes.running_settler import RunningSettler
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import PERP, instruments

KEYS = sorted((keccak256(b"feed" + bytes([number])) for number in range(3)), key=address_of)
THRESHOLD = 2
BOUND_PPM = 20_000
INDEX = 60_000
POST_ORACLE = selector("postOracle(uint64,bytes,uint40,bytes)")


class LocalFeed:
    """A signer in this process with its own prices; it can be away."""

    def __init__(self, number: int) -> None:
        """Up, with no deployment yet."""
        self.name = f"feed {number}"
        self.is_up = True
        self.asked = 0
        self.judge = RoundJudge(lambda _: instruments(), BOUND_PPM)
        self.signer: RoundSigner | None = None

    def sign(self, request: RoundRequest) -> bytes:
        """What the process answers over HTTP."""
        self.asked += 1
        if not self.is_up or self.signer is None:
            raise FeedTrouble("no answer: refused")
        try:
            return self.signer.sign(request.round_number, request.time_s, request.vector)
        except RoundRefused as refused:
            raise FeedTrouble(f"refused: {refused}") from refused


@pytest.fixture
def feeds() -> list[LocalFeed]:
    """Three of them."""
    return [LocalFeed(number) for number in range(3)]


@pytest.fixture
def market(tmp_path: Path, feeds: list[LocalFeed]) -> Iterator[SettledMarket]:
    """Two funded accounts with a position, a first oracle round; nothing is posted yet."""
    settings = DeploymentSettings(
        finality_window_s=60, feed_signers=tuple(map(address_of, KEYS)), feed_threshold=THRESHOLD
    )
    market = SettledMarket(tmp_path, settings, feeds=feeds)
    place = {"chain_id": market.deployment.chain_id, "contract": market.deployment.settlement}
    for feed, key in zip(feeds, KEYS, strict=True):
        feed.signer = RoundSigner(feed.judge, key, **place, clock_s=lambda: market.chain.now_s)
    see(market, feeds, INDEX)
    for account in (2, 3):
        market.fund(account)
    market.take_requests()
    market.run(OracleRound(round=1, funding=()))
    market.trade(2, 3, 600_000, 50, PERP)
    yield market
    market.close()


def see(market: SettledMarket, feeds: list[LocalFeed], index: int) -> None:
    """Let every feed see an index price in whole dollars."""
    for feed in feeds:
        feed.judge.note(market.chain.now_s, {"BTC": index * 10**9})


def step(market: SettledMarket, feeds: list[LocalFeed], settler: RunningSettler, times: int = 3) -> str:
    """Let time pass, prices stay and the settler work; what it says last."""
    for _ in range(times):
        market.chain.pass_time(5)
        market.catch_up()
        market.repeat_prices()
        see(market, feeds, INDEX)
        status = settler.step().status
    return f"{status.state}: {status.detail}"


def test_an_account_is_closed_by_the_queue_at_signed_marks(
    market: SettledMarket, feeds: list[LocalFeed], tmp_path: Path
) -> None:
    """The request, the engine's closing, a batch that the contract takes, and a watcher that agrees; one feed away."""
    feeds[1].is_up = False
    found: list[str] = []
    watcher = watcher_of(market, found)
    settler = RunningSettler(market, tmp_path, batch_interval_s=5.0)
    step(market, feeds, settler)
    assert market.state.accounts[2].lots(PERP) == 50
    market.user(2).request_close(2)
    step(market, feeds, settler, 6)
    assert market.state.accounts[2].lots(PERP) == 0
    step(market, feeds, settler, 6)
    head = market.contract.head()
    assert head == market.batcher.next_batch - 1
    assert head >= 3
    assert market.contract.root() == market.ledger.tree.root
    assert PERP not in market.ledger.accounts[2].positions
    assert market.contract.request_counts()[1] == 3
    assert (watcher.step(), found) == (head, [])
    rounds = market.contract.view("oracleHead()", ["uint64"])
    assert [feed.signer.signed for feed in feeds if feed.signer] == [rounds, 0, rounds]


def test_too_few_signatures_are_waited_for_by_name(
    market: SettledMarket, feeds: list[LocalFeed], tmp_path: Path
) -> None:
    """No round, no batch, nobody needed; what is posted becomes final; it goes on once they are back."""
    settler = RunningSettler(market, tmp_path, batch_interval_s=5.0)
    step(market, feeds, settler)
    head = market.contract.head()
    assert head >= 1
    feeds[0].is_up = feeds[2].is_up = False
    market.later(90)
    market.trade(3, 2, 600_000, 10, PERP)
    said = step(market, feeds, settler, 4)
    assert said.startswith("blocked: round")
    assert "has 1 of 2 signatures, waits for feed 0: no answer: refused; feed 2: no answer: refused" in said
    status = settler.step().status
    assert (market.contract.head(), status.finalized_seq, status.needs_person) == (head, head, False)
    feeds[2].is_up = True
    assert step(market, feeds, settler, 4) == "idle: "
    assert market.contract.head() == market.batcher.next_batch - 1 > head


def test_a_round_beyond_a_feeds_own_prices_is_not_signed(
    market: SettledMarket, feeds: list[LocalFeed], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of three see another market: a refusal with its reason, one line in the log; one is not enough."""
    settler = RunningSettler(market, tmp_path, batch_interval_s=5.0)
    step(market, feeds, settler)
    head = market.contract.head()
    for feed in feeds[:2]:
        feed.judge = RoundJudge(lambda _: instruments(), BOUND_PPM)
        assert feed.signer is not None
        feed.signer._judge = feed.judge
    market.later(90)
    see(market, feeds[:2], 55_000)
    market.trade(3, 2, 600_000, 10, PERP)
    for _ in range(4):
        market.chain.pass_time(5)
        status = settler.step().status
    assert (status.state, market.contract.head()) == ("blocked", head)
    assert "refused: index: underlying" in status.detail
    assert len([line for line in caplog.messages if "is not signed: index" in line]) == 2


def test_signatures_are_durable_before_they_are_sent(
    market: SettledMarket, feeds: list[LocalFeed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settler dies with a signed round that reached nobody; the next one posts it while every feed is away."""
    market.run_cut()
    market.side.store(market.build(), 0)
    with monkeypatch.context() as patched:
        send = market.chain.send_raw
        patched.setattr(market.chain, "send_raw", lambda raw: _lose(raw) if POST_ORACLE in raw else send(raw))
        market.side.step(0)
        assert market.side.step(0).status.state == "chain_down"
    market.side.close()
    asked = [feed.asked for feed in feeds]
    assert asked == [1, 1, 1]
    for feed in feeds:
        feed.is_up = False
    market.side = market.open_side()
    market.work()
    assert market.contract.view("oracleHead()", ["uint64"]) == 1
    assert market.contract.head() >= 1
    assert [feed.asked for feed in feeds] == asked


def _lose(raw: bytes) -> bytes:
    raise RpcUnavailable(f"nobody hears {len(raw)} bytes")
