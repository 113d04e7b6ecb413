"""The reader against a real server: pages of a Stream, snapshots, and empty answers for whatever fails."""

import asyncio

import msgspec
import pytest

from exchange.bus import redis_reader
from exchange.bus.feed_blobs import Blob
from exchange.bus.feed_desk import Snapshot
from exchange.bus.redis_keys import feed_key, snapshot_key
from exchange.bus.redis_reader import RedisReader
from tests.fakes.live_gateway import until
from tests.fakes.redis_server import redis_server

pytestmark = pytest.mark.needs_redis
NAME = "0123abcd"
FEED = "BTC.events"
KEY = feed_key(NAME, FEED)
encode = msgspec.msgpack.encode


@pytest.fixture
def redis(tmp_path):
    """A server of the test's own."""
    with redis_server(tmp_path) as server:
        yield server


def run(redis, story):
    """Run one story with a reader that is connected; `story(reader, heard)`."""

    async def main():
        heard = []
        reader = RedisReader(redis.url, NAME, lambda feed, data: heard.append((feed, data)))
        task = asyncio.create_task(reader.run())
        try:
            await asyncio.wait_for(until(lambda: reader.is_connected), 10)
            await asyncio.wait_for(story(reader, heard), 20)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def keep(redis, *blobs):
    """Put blobs into the Stream."""
    with redis.client() as client:
        for blob in blobs:
            client.xadd(KEY, {"b": encode(blob)})


def numbers(count, epoch=7):
    """`count` blobs of one item each."""
    return [Blob(epoch, number, 1, [b"%d" % number]) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("field", "body"), [("b", b""), ("b", b"\xc1"), ("b", encode([7, 1])), ("other", encode(Blob(7, 1, 1, [b"a"])))]
)
def test_broken_entries_are_no_answer(redis, field, body):
    """Whoever else writes there cannot stop a gateway."""
    with redis.client() as client:
        client.xadd(KEY, {field: body})
        client.set(snapshot_key(NAME, FEED), b"\xc1" + body)

    async def story(reader, heard):
        assert await reader.since(FEED, 7, 1) == []
        assert await reader.snapshot(FEED) is None
        assert reader.failure_count == 2

    run(redis, story)


def test_dead_server_is_no_answer(redis):
    """At once while it is known to be dead, and the connection comes back by itself."""

    async def story(reader, heard):
        redis.kill()
        assert await reader.since(FEED, 7, 1) == []
        await until(lambda: not reader.is_connected)
        assert await reader.snapshot(FEED) is None
        await asyncio.to_thread(redis.start)
        await until(lambda: reader.is_connected)

    run(redis, story)


def test_paused_server_is_left_and_found_again(redis):
    """Silence is noticed although the connection stands."""

    async def story(reader, heard):
        redis.pause()
        await until(lambda: not reader.is_connected)
        redis.resume()
        await until(lambda: reader.is_connected)

    run(redis, story)


@pytest.mark.parametrize("seq", [1, 3, 4, 10])
def test_stream_is_read_backwards_as_far_as_needed(redis, monkeypatch, seq):
    """Page by page until the wanted item is there; older epochs end it."""
    monkeypatch.setattr(redis_reader, "_PAGE", 3)
    keep(redis, *numbers(5, epoch=6), *numbers(10))

    async def story(reader, heard):
        found = sorted(blob.first_seq for blob in await reader.since(FEED, 7, seq))
        assert found[-1] == 10
        assert found == list(range(found[0], 11))
        assert seq - 3 < found[0] <= seq

    run(redis, story)


def test_nothing_kept_is_no_answer(redis):
    """And no failure."""

    async def story(reader, heard):
        assert await reader.since(FEED, 7, 1) == []
        assert await reader.snapshot(FEED) is None
        assert reader.failure_count == 0

    run(redis, story)


def test_snapshot_is_read_as_it_was_kept(redis):
    """With epoch and number."""
    with redis.client() as client:
        client.set(snapshot_key(NAME, FEED), encode(Snapshot(7, 4, b"state")))

    async def story(reader, heard):
        assert await reader.snapshot(FEED) == Snapshot(7, 4, b"state")

    run(redis, story)


def test_only_the_own_exchange_is_heard(redis):
    """Several exchanges share a server."""

    async def story(reader, heard):
        with redis.client() as client:
            client.publish(feed_key("ffffffff", FEED), b"foreign")
            client.publish(KEY, b"own")
        await until(lambda: heard)
        assert heard == [(FEED, b"own")]

    run(redis, story)


def test_reader_that_is_handed_nonsense_goes_on(redis):
    """A callback that refuses a blob costs one connection."""

    async def main():
        heard = []

        def take(feed, data):
            heard.append(data)
            if data == b"nonsense":
                raise ValueError(data)

        reader = RedisReader(redis.url, NAME, take)
        task = asyncio.create_task(reader.run())
        with redis.client() as client:
            for data in (b"nonsense", b"fine"):
                await asyncio.wait_for(until(lambda: reader.is_connected), 10)
                client.publish(KEY, data)
                await asyncio.wait_for(until(lambda data=data: data in heard), 10)
                await asyncio.wait_for(until(lambda data=data: data == b"fine" or reader.failure_count == 1), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert heard == [b"nonsense", b"fine"]

    asyncio.run(main())
