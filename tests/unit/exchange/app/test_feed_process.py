"""What a signer answers over HTTP, and where it looks when the market is seeded."""

import json

import pytest

from exchange.app.config import Settings
from exchange.app.deploy_process import check_feeds
from exchange.app.failures import Failure
from exchange.app.feed_process import FeedDesk, serve
from exchange.app.price_sources import PublishedIndex, index_feed
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.round_judge import RoundJudge
from exchange.feeds.round_signer import RoundSigner
from settlement.onchain.deployment import Deployment
from settlement.protocol.oracle import OracleVector
from settlement.protocol.oracle_rounds import round_digest
from settlement.protocol.signature import recover_address
from tests.unit.exchange.engine.world import instruments
from tests.unit.exchange.feeds.test_round_judge import BOUND_PPM, E9, NOW_S, vector

CHAIN_ID, CONTRACT, KEY = 31337, b"\x07" * 20, bytes(31) + b"\x2a"
GOOD = {"round": 1, "time_s": NOW_S, "vector": vector().hex()}


@pytest.fixture
def desk() -> FeedDesk:
    """A signer that sees 60,000."""
    judge = RoundJudge(lambda now_s: instruments() if now_s else demo_catalogue(0), BOUND_PPM)
    judge.note(NOW_S, {"BTC": 60_000 * E9})
    signer = RoundSigner(judge, KEY, chain_id=CHAIN_ID, contract=CONTRACT, clock_s=lambda: NOW_S)
    return FeedDesk(signer, lambda: {"BTC": 60_000 * E9})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/sign", b"", 404),
        ("POST", "/", b"", 404),
        ("POST", "/sign", b"", 400),
        ("POST", "/sign", b"[]", 400),
        ("POST", "/sign", json.dumps(GOOD | {"vector": "xy"}).encode(), 400),
        ("POST", "/sign", json.dumps(GOOD | {"key": "0x"}).encode(), 400),
        ("POST", "/sign", json.dumps(GOOD | {"round": "1"}).encode(), 400),
        ("POST", "/sign", json.dumps(GOOD | {"round": -1}).encode(), 409),
        ("POST", "/sign", json.dumps(GOOD | {"time_s": 1 << 70}).encode(), 409),
        ("POST", "/sign", json.dumps(GOOD | {"time_s": -1}).encode(), 409),
        ("POST", "/sign", json.dumps(GOOD | {"time_s": 0}).encode(), 400),
        ("POST", "/sign", json.dumps(GOOD | {"time_s": NOW_S + 60}).encode(), 409),
        ("POST", "/sign", json.dumps(GOOD | {"vector": vector(index=70_000).hex()}).encode(), 409),
        ("POST", "/sign", json.dumps(GOOD | {"vector": "00" * 43_016}).encode(), 409),
    ],
)
def test_what_is_not_signed_is_refused_in_words(
    desk: FeedDesk, method: str, path: str, body: bytes, status: int
) -> None:
    """Whatever comes in; the refusal is counted, and nothing is signed."""
    found, content = desk.answer(method, path, body)
    assert found == status
    assert content["refused"]
    assert desk.answer("GET", "/", b"")[1]["signed"] == 0


def test_a_good_round_is_signed_for_one_deployment(desk: FeedDesk) -> None:
    """The signature recovers over chain and contract; the status names the signer and its last refusal."""
    status, content = desk.answer("POST", "/sign", json.dumps(GOOD).encode())
    assert status == 200
    digest = round_digest(chain_id=CHAIN_ID, contract=CONTRACT, round_number=1, time_s=NOW_S, vector=vector())
    address = recover_address(digest, bytes.fromhex(content["signature"]))
    _, said = desk.answer("GET", "/", b"")
    assert (said["address"], said["signed"], said["last_refusal"]) == (f"0x{address.hex()}", 1, "")


def test_the_digest_names_every_part() -> None:
    """Another chain, contract, number, time or byte is another round."""
    data = OracleVector(round_number=1).encode()
    first = {"chain_id": 1, "contract": CONTRACT, "round_number": 1, "time_s": 5, "vector": data}
    others = ({"chain_id": 2}, {"contract": bytes(20)}, {"round_number": 2}, {"time_s": 6}, {"vector": vector()})
    assert len({round_digest(**(first | other)) for other in ({}, *others)}) == len(others) + 1  # type: ignore[arg-type]


def test_a_seeded_signer_sees_what_the_exchange_publishes() -> None:
    """No price while it is away or publishes none, the published one with the venues' noise afterwards."""
    said: dict[str, str | None] = {"BTC": None, "ETH": "nonsense"}
    feed, live = index_feed("seeded", 1, lambda: NOW_S * E9, truth=PublishedIndex(said.get))
    feed.advance(1)
    assert all(row.is_halted for row in feed.rows(NOW_S * E9))
    said |= {"BTC": "61000.5", "ETH": "2700"}
    feed.advance(1)
    feed.rows(NOW_S * E9)
    assert live == []
    assert {name: round(price / E9, -2) for name, price in feed.prices_e9.items()} == {"BTC": 61_000, "ETH": 2_700}


@pytest.mark.parametrize(("number", "named"), [(0, "there are 3"), (4, "there are 3"), (1, "no deployment")])
def test_a_signer_of_nothing_does_not_start(tmp_path: object, number: int, named: str) -> None:
    """One line with the fix."""
    with pytest.raises(Failure, match=named):
        serve(Settings(data=tmp_path, feeds=3), number)  # type: ignore[arg-type]


def test_a_start_with_other_signers_is_refused() -> None:
    """Who signs is the contract's, for ever; the line says how to go on."""
    deployment = Deployment(
        chain_id=1,
        settlement=CONTRACT,
        token=CONTRACT,
        operator=CONTRACT,
        subaccount_base=1,
        finality_window_s=1,
        domain_separator=bytes(32),
        deploy_block=1,
        genesis_hash=bytes(32),
        feed_threshold=2,
    )
    check_feeds(Settings(feeds=3), deployment)
    for settings in (Settings(), Settings(feeds=5), Settings(feeds=3, feed_threshold=3)):
        with pytest.raises(Failure, match="need 2 signatures"):
            check_feeds(settings, deployment)
