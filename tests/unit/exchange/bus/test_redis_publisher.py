"""The publisher against a real server: what arrives, what is counted, what is sent again."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from exchange.bus import feed_blobs, redis_publisher
from exchange.bus.feed_blobs import Blob, FeedWriter, decode_blob
from exchange.bus.redis_keys import feed_key, feed_of, snapshot_key
from exchange.bus.redis_publisher import RedisPublisher
from tests.fakes.live_gateway import until
from tests.fakes.redis_server import redis_server

pytestmark = pytest.mark.needs_redis
NAME = "0123abcd"
FEED = "BTC.events"
KEY = "{BTC}:md:0123abcd:events"


@pytest.fixture
def redis(tmp_path):
    """A server of the test's own."""
    with redis_server(tmp_path) as server:
        yield server


class Writing:
    """A writer with a publisher; every item is a tick."""

    def __init__(self, url):
        news = asyncio.Event()
        self.writer = FeedWriter(7, news.set)
        self.publisher = RedisPublisher(url, NAME, self.writer, news)

    def write(self, *items, feed=FEED):
        for item in items:
            self.writer.add(feed, item)
            self.writer.cut()


def run(redis, story):
    """Run one story while a publisher of `redis` runs."""

    async def main():
        writing = Writing(redis.url)
        task = asyncio.create_task(writing.publisher.run())
        try:
            await asyncio.wait_for(story(writing), 20)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def entries(redis, key=KEY):
    """Blobs of a Stream, oldest first."""
    with redis.client() as client:
        return [decode_blob(fields[b"b"]) for _, fields in client.xrange(key)]


def test_names_lead_back_to_their_feeds():
    """The underlying stands first and in braces: it decides the shard."""
    assert feed_key(NAME, FEED) == KEY
    assert feed_of(KEY) == FEED
    assert feed_of(feed_key(NAME, "venue.frames")) == "venue.frames"


def test_full_server_refuses_entries_and_passes_publications_on(redis):
    """Refusals are counted; a subscriber hears every blob."""
    redis.fill()

    async def story(writing):
        with redis.client() as client:
            heard = client.pubsub(ignore_subscribe_messages=True)
            heard.subscribe(KEY)
            heard.get_message(timeout=5)
            writing.write(b"a", b"b")
            writing.publisher.keep_snapshot(FEED, b"state")
            await until(lambda: writing.publisher.sent_count == 2 and writing.publisher.refused_count >= 3)
            messages = [heard.get_message(timeout=5) for _ in range(2)]
            assert [decode_blob(message["data"]).items for message in messages] == [[b"a"], [b"b"]]
            assert not client.exists(KEY)
            with pytest.raises(ResponseError):
                client.set("any", b"thing")
            heard.close()

    run(redis, story)


def test_what_fell_off_the_ring_meanwhile_is_counted(redis, monkeypatch):
    """A server that comes back gets the newest blobs; the rest is a gap that readers see."""
    monkeypatch.setattr(feed_blobs, "RING_BLOBS", 3)
    redis.kill()

    async def story(writing):
        writing.write(*(b"%d" % number for number in range(1, 11)))
        await asyncio.to_thread(redis.start)
        await until(lambda: writing.publisher.sent_count == 3)
        assert writing.publisher.dropped_count == 7
        assert [blob.first_seq for blob in entries(redis)] == [8, 9, 10]
        assert writing.publisher.failure_count >= 1

    run(redis, story)


def test_blobs_are_kept_in_order_with_an_end_to_their_life(redis, monkeypatch):
    """Several writes of a few blobs each, all feeds among them."""
    monkeypatch.setattr(redis_publisher, "_PIPELINE_BLOBS", 4)

    async def story(writing):
        writing.write(*(b"%d" % number for number in range(1, 11)))
        writing.write(b"x", feed="ETH.events")
        await until(lambda: writing.publisher.sent_count == 11)
        assert entries(redis) == [Blob(7, number, 1, [b"%d" % number]) for number in range(1, 11)]
        assert entries(redis, feed_key(NAME, "ETH.events")) == [Blob(7, 1, 1, [b"x"])]
        with redis.client() as client:
            assert 0 < client.ttl(KEY) <= 600

    run(redis, story)


def test_snapshot_replaces_the_one_before(redis):
    """One per feed."""

    async def story(writing):
        for body in (b"old", b"new"):
            writing.publisher.keep_snapshot(FEED, body)
            with redis.client() as client:
                await until(lambda client=client, body=body: client.get(snapshot_key(NAME, FEED)) == body)

    run(redis, story)


def test_beginning_again_sends_from_the_first_blob(redis):
    """Cursors of the epoch before mean nothing."""

    async def story(writing):
        writing.write(b"a", b"b")
        await until(lambda: writing.publisher.sent_count == 2)
        writing.writer.begin_again()
        writing.write(b"c")
        await until(lambda: writing.publisher.sent_count == 3)
        assert entries(redis)[-1] == Blob(8, 1, 1, [b"c"])

    run(redis, story)


def test_flushed_server_gets_what_is_new(redis):
    """What it forgot is not sent again: readers have the exchange for that."""

    async def story(writing):
        writing.write(b"a")
        await until(lambda: writing.publisher.sent_count == 1)
        redis.flush()
        writing.write(b"b")
        await until(lambda: writing.publisher.sent_count == 2)
        assert [blob.first_seq for blob in entries(redis)] == [2]

    run(redis, story)
