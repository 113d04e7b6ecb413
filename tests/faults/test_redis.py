"""A gateway behind Redis sends what the exchange sends, and a Redis that dies, hangs, forgets or is full hurts nobody.

The exchange answers orders during every fault, and subscribers of the gateway miss nothing and see nothing twice.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from exchange.bus.redis_keys import feed_key, redis_trouble, snapshot_key
from tests.fakes.live_feed import Listener, Twins, get, listening, serve_twins
from tests.fakes.live_gateway import until
from tests.fakes.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.needs_redis, pytest.mark.timeout(120)]

TRADES = "trades.BTC-PERP"
BOOK = "orderbook.BTC-PERP.1.20"
CHANNELS = (TRADES, BOOK, "ticker_slim.BTC-PERP.100", "trades.perp.BTC", "batches")
BOOKS = ("book.BTC-PERP.raw", "book.BTC-PERP.20ms", "book.BTC-PERP.100ms")
LIMIT_S = 5.0
"""R5: how long after the return of Redis a subscriber has everything."""


@pytest.fixture
def redis(tmp_path):
    """A server of the test's own."""
    with redis_server(tmp_path) as server:
        yield server


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 100))


async def within(limit_s: float, condition: Callable[[], object]) -> None:
    """Wait for a state; the limit is the promise under test."""
    await asyncio.wait_for(until(condition), limit_s)


async def trade(twins: Twins, fills: int) -> None:
    """Fills of 0.1 at 84000, each acknowledged before the next."""
    traders = twins.live.exchange.traders
    async with twins.live.client(traders[0]) as maker, twins.live.client(traders[1]) as taker:
        for _ in range(fills):
            await maker.place("BTC-PERP", "sell", "0.1", "84000")
            await taker.place("BTC-PERP", "buy", "0.1", "84000")


async def wanted(twins: Twins) -> None:
    """Wait until the exchange streams for the gateway."""
    await within(LIMIT_S, lambda: twins.figure("feed_channels") == len(CHANNELS))


def same(ours: Listener, theirs: Listener, channel: str) -> None:
    """From where both listened, both have the same bytes in the same order, without a gap."""
    mine, other = ours.frames[channel], theirs.frames[channel]
    first, last = max(min(mine), min(other)), min(max(mine), max(other))
    assert first <= last
    expected = [mine[seq] for seq in range(first, last + 1)]
    assert [other[seq] for seq in other if first <= seq <= last] == expected


def same_books(ours: Listener, theirs: Listener) -> None:
    """Behind both snapshots the same bytes in the same order, and copies that are equal."""
    for channel in BOOKS:
        assert theirs.trouble == ours.trouble == ""
        mine, other = ours.frames[channel], theirs.frames[channel]
        first, last = max(min(mine), min(other)), min(max(mine), max(other))
        assert [mine[seq] for seq in mine if first < seq <= last] == [
            other[seq] for seq in other if first < seq <= last
        ]
        assert sum(first < seq <= last for seq in mine) >= 2
        assert theirs.books[channel].checksum() == ours.books[channel].checksum()


async def move_books(twins: Twins, ours: Listener, theirs: Listener) -> None:
    """Rest three orders, each when every channel of both has shown the one before, however fast orders are."""
    async with twins.live.client(twins.live.exchange.traders[0]) as maker:
        for price in ("80000", "80001", "80002"):
            before = ours.books[BOOKS[0]].seq
            await maker.place("BTC-PERP", "buy", "0.1", price)
            await within(LIMIT_S, lambda seq=before: ours.books[BOOKS[0]].seq > seq)
            await in_step(ours, theirs)


async def in_step(ours: Listener, theirs: Listener) -> None:
    """Wait until the copies of both are at the same place and have seen something."""
    await within(
        LIMIT_S,
        lambda: all(
            channel in ours.books and channel in theirs.books and ours.books[channel].seq == theirs.books[channel].seq
            for channel in BOOKS
        ),
    )
    await within(LIMIT_S, lambda: len({theirs.books[channel].seq for channel in BOOKS}) == 1)


async def through(tmp_path: Any, redis: RedisServer, *steps: Callable[[], None]) -> None:
    """Trade before, between and after `steps`; every trade arrives, once, as the exchange sent it."""
    async with (
        serve_twins(tmp_path, redis.url) as twins,
        listening(twins.live_port, *CHANNELS, *BOOKS) as ours,
        listening(twins.port, *CHANNELS, *BOOKS) as theirs,
    ):
        await wanted(twins)
        await in_step(ours, theirs)
        await trade(twins, 2)
        await within(LIMIT_S, lambda: len(theirs.seqs(TRADES)) == 2)
        count = 2
        for step in steps:
            await asyncio.to_thread(step)
            await asyncio.wait_for(trade(twins, 5), LIMIT_S)
            count += 5
        await within(LIMIT_S, lambda: len(theirs.seqs(TRADES)) == count)
        await within(LIMIT_S, lambda: twins.figure("redis_up") == twins.figure("follower_redis_up") == 1)
        await trade(twins, 1)
        await within(LIMIT_S, lambda: len(theirs.seqs(TRADES)) == count + 1)
        assert theirs.seqs(TRADES) == list(range(1, count + 2))
        await within(LIMIT_S, lambda: max(theirs.seqs(BOOK)) >= max(ours.seqs(BOOK)))
        for channel in (TRADES, BOOK, "trades.perp.BTC"):
            same(ours, theirs, channel)
        await in_step(ours, theirs)
        await move_books(twins, ours, theirs)
        same_books(ours, theirs)
        assert theirs.close_code is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:1/0", ("127.0.0.1:1", "redis-server", "--redis")),
        ("redis://user:secret@127.0.0.1:1/0", ("127.0.0.1:1",)),
        ("unix:///nonexistent/redis.sock", ("/nonexistent/redis.sock", "redis-server")),
        ("http://127.0.0.1", ("no Redis URL", "redis://HOST:PORT/0")),
    ],
)
def test_redis_that_cannot_be_used_is_named(url, words):
    """One line with place and fix, and never the password."""
    trouble = redis_trouble(url)
    assert all(word in trouble for word in words)
    assert "\n" not in trouble
    assert "secret" not in trouble


def test_redis_that_answers_is_no_trouble(redis):
    """Nothing is said."""
    assert redis_trouble(redis.url) == ""


def test_subscribers_of_both_get_the_same_bytes(tmp_path, redis):
    """Frames, `seq` included, and reads with the same versions; Redis carried them, the exchange was not asked."""

    async def story() -> None:
        async with (
            serve_twins(tmp_path, redis.url) as twins,
            listening(twins.live_port, *CHANNELS, *BOOKS) as ours,
            listening(twins.port, *CHANNELS, *BOOKS) as theirs,
        ):
            await wanted(twins)
            await in_step(ours, theirs)
            await within(LIMIT_S, lambda: twins.figure("redis_up") == twins.figure("follower_redis_up") == 1)
            await trade(twins, 20)
            await within(LIMIT_S, lambda: len(theirs.seqs(TRADES)) == 20)
            await within(LIMIT_S, lambda: len(theirs.seqs(BOOK)) > 3)
            for channel in CHANNELS[:-1]:
                same(ours, theirs, channel)
            params = {"instrument_name": "BTC-PERP"}
            books = [await get(port, "public/get_order_book", **params) for port in (twins.live_port, twins.port)]
            assert books[0]["result"]["seq"] == books[1]["result"]["seq"] == theirs.books[BOOKS[0]].seq
            assert books[0]["result"]["checksum"] == books[1]["result"]["checksum"]
            await in_step(ours, theirs)
            await move_books(twins, ours, theirs)
            same_books(ours, theirs)
            assert twins.figure("follower_feed_blobs_heard_total") > 20
            assert twins.figure("follower_feed_gaps_total") == 0

    run(story())


def test_second_gateway_starts_from_what_redis_keeps(tmp_path, redis):
    """Snapshot and Stream are there, they live for minutes, and their names begin with the underlying."""

    async def story() -> None:
        async with serve_twins(tmp_path, redis.url) as twins:
            await within(LIMIT_S, lambda: twins.figure("redis_up") == 1)
            await trade(twins, 1)
            name = twins.feeds.name
            with redis.client() as client:
                key = feed_key(name, "BTC.events")
                await within(LIMIT_S, lambda: client.xlen(key) > 0)
                assert key.startswith("{BTC}:md:")
                await within(LIMIT_S, lambda: client.exists(snapshot_key(name, "BTC.events")))
                assert all(0 < client.ttl(row) <= 600 for row in client.keys("*"))

    run(story())


def test_killed_redis(tmp_path, redis):
    """Dead while trades go on, then started empty."""
    run(through(tmp_path, redis, redis.kill, redis.start))


def test_paused_redis(tmp_path, redis):
    """Connections stay and nothing answers; what was written meanwhile may arrive twice."""
    run(through(tmp_path, redis, redis.pause, lambda: time.sleep(2.5), redis.resume))


def test_flushed_redis(tmp_path, redis):
    """Streams and snapshots gone under everybody's feet."""
    run(through(tmp_path, redis, redis.flush, redis.flush))


def test_full_redis(tmp_path, redis):
    """No Stream entry is taken any more; pub/sub and the exchange are enough."""
    run(through(tmp_path, redis, redis.fill, redis.flush))


def test_redis_that_flaps(tmp_path, redis):
    """Ten deaths and returns in a row (R5)."""
    steps = [step for _ in range(5) for step in (redis.kill, redis.start, redis.pause, redis.resume)]
    run(through(tmp_path, redis, *steps))


def test_lost_blobs_are_fetched_from_the_stream(tmp_path, redis):
    """A gateway whose subscription broke finds in the Stream what it did not hear."""

    async def story() -> None:
        async with serve_twins(tmp_path, redis.url) as twins, listening(twins.port, *CHANNELS) as theirs:
            await wanted(twins)
            await within(LIMIT_S, lambda: twins.figure("follower_redis_up") == 1)
            with redis.client() as client:
                for row in client.client_list(_type="pubsub"):
                    client.client_kill_filter(_id=row["id"])
            await trade(twins, 10)
            await within(LIMIT_S, lambda: len(theirs.seqs(TRADES)) == 10)
            assert theirs.seqs(TRADES) == list(range(1, 11))
            assert twins.figure("follower_redis_failures_total") >= 1

    run(story())
