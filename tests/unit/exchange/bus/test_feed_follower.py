"""A follower sees every item once and in order, whatever its carrier loses, repeats or forgets."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.bus import feed_blobs
from exchange.bus.feed_blobs import FeedWriter, decode_blob
from exchange.bus.feed_desk import FeedDesk, FeedOrigin
from exchange.bus.feed_follower import FeedFollower
from exchange.bus.unix_socket import LinkClosed

EVENTS = "BTC.events"
FRAMES = "BTC.frames"


class Sink:
    """The state is the list of all items; a snapshot is that list."""

    def __init__(self):
        self.items = {}
        self.restarts = 0
        self.missing = []
        self.whole_count = 0
        self.poison = None

    def restart(self):
        self.items = {}
        self.restarts += 1

    def load(self, feed, body):
        self.items[feed] = body.split()

    def whole(self):
        self.whole_count += 1

    def apply(self, feed, items):
        for item in items:
            if item == self.poison:
                raise RuntimeError("cannot take it")
            self.items.setdefault(feed, []).append(item)

    def missed(self, feed):
        self.missing.append(feed)


class Store:
    """What a carrier kept; by default nothing."""

    def __init__(self):
        self.blobs = []
        self.kept = None

    async def since(self, feed, epoch, seq):
        return [blob for blob in map(decode_blob, self.blobs) if blob.epoch == epoch]

    async def snapshot(self, feed):
        return self.kept


class World:
    """One exchange that counts up, its desk, a store and a follower."""

    def __init__(self):
        self.state = {}
        self.is_linked = True
        self.now_s = 0.0
        self.writer = FeedWriter(7, lambda: None)
        self.store, self.sink = Store(), Sink()
        self.desk = FeedDesk(self.writer, snapshot=self.snapshot, want=lambda gateway, channels: True)
        self.follower = FeedFollower(self.store, self.sink)
        self.follower.origin = FeedOrigin(self._fetch)
        self.writer.ring(EVENTS)

    def snapshot(self, feed):
        return b" ".join(self.state.get(feed, ())) if feed.endswith("events") else b""

    def write(self, feed, count=1):
        """Write `count` items in one tick; the bytes of its blob."""
        items = self.state.setdefault(feed, [])
        for _ in range(count):
            items.append(b"%d" % (len(items) + 1))
            self.writer.add(feed, items[-1])
        self.writer.cut()
        return self.writer.ring(feed).since(self.writer.ring(feed).next_seq - 1, 1)[0]

    async def compare(self):
        self.now_s += 1.0
        self.follower.compare(await self.follower.origin.compare("gateway1", []), self.now_s)
        await self.settled()

    async def settled(self):
        while self.follower._mending:
            await asyncio.wait(self.follower._mending.values())

    async def _fetch(self, topic, body):
        await asyncio.sleep(0)
        if not self.is_linked:
            raise LinkClosed("gone")
        return self.desk.answer(body)


def run(story):
    """Run one story of a world with a limit."""
    world = World()
    asyncio.run(asyncio.wait_for(story(world), 10))
    return world


def test_nothing_is_followed_before_the_first_comparison():
    """Without an epoch a blob says nothing."""

    async def story(world):
        world.follower.hear(EVENTS, world.write(EVENTS))
        assert world.sink.items == {}
        assert not world.follower.is_whole
        assert world.sink.whole_count == 0

    run(story)


def test_blob_of_an_older_epoch_is_dropped():
    """A writer that was replaced has nothing to say."""

    async def story(world):
        old = world.write(EVENTS)
        world.writer.begin_again()
        world.state.clear()
        world.writer.ring(EVENTS)
        await world.compare()
        world.follower.hear(EVENTS, old)
        assert world.sink.items[EVENTS] == []

    run(story)


def test_gap_stays_open_while_nobody_can_be_asked():
    """Later blobs are held; the next comparison over a new link mends it."""

    async def story(world):
        await world.compare()
        world.write(EVENTS)
        world.is_linked = False
        world.follower.hear(EVENTS, world.write(EVENTS))
        await world.settled()
        assert world.sink.items[EVENTS] == []
        world.is_linked = True
        await world.compare()
        await world.compare()
        assert world.sink.items[EVENTS] == [b"1", b"2"]

    run(story)


def test_frames_that_nobody_has_any_more_are_missed_aloud(monkeypatch):
    """A stream of single events may not go on as if nothing had happened."""
    monkeypatch.setattr(feed_blobs, "RING_BLOBS", 1)

    async def story(world):
        world.writer.ring(FRAMES)
        await world.compare()
        for _ in range(3):
            world.write(FRAMES)
        await world.compare()
        await world.compare()
        assert world.sink.missing == [FRAMES]
        world.follower.hear(FRAMES, world.write(FRAMES))
        assert world.sink.items[FRAMES] == [b"4"]

    run(story)


def test_sink_that_fails_gets_the_state_behind_its_failure():
    """From the exchange, not from a kept snapshot that leads to the same item again."""

    async def story(world):
        await world.compare()
        world.sink.poison = b"2"
        for _ in range(3):
            world.follower.hear(EVENTS, world.write(EVENTS))
        await world.compare()
        await world.compare()
        assert world.sink.items[EVENTS] == [b"1", b"2", b"3"]

    run(story)


def test_follower_starts_from_the_exchange_when_nothing_is_kept():
    """State first, then what is published."""

    async def story(world):
        world.write(EVENTS, 3)
        await world.compare()
        world.follower.hear(EVENTS, world.write(EVENTS, 2))
        assert world.sink.items[EVENTS] == [b"1", b"2", b"3", b"4", b"5"]
        assert world.follower.is_whole

    run(story)


def test_follower_starts_from_what_is_kept():
    """A kept snapshot and the blobs behind it spare the exchange the question."""

    async def story(world):
        world.write(EVENTS, 2)
        world.store.kept = await world.follower.origin.snapshot(EVENTS)
        world.store.blobs = [world.write(EVENTS), world.write(EVENTS)]
        before = world.desk.snapshot_count
        await world.compare()
        assert world.sink.items[EVENTS] == [b"1", b"2", b"3", b"4"]
        assert world.desk.snapshot_count == before

    run(story)


def test_frames_begin_where_the_follower_began():
    """What came before is nobody's; a feed that appears later is followed from its first item."""

    async def story(world):
        world.write(FRAMES, 2)
        await world.compare()
        world.follower.hear(FRAMES, world.write(FRAMES))
        assert world.sink.items[FRAMES] == [b"3"]
        world.follower.hear("ETH.frames", world.write("ETH.frames"))
        assert world.sink.items["ETH.frames"] == [b"1"]

    run(story)


@pytest.mark.parametrize("is_kept", [True, False])
def test_gap_is_filled_from_the_carrier_or_the_exchange(is_kept):
    """In order, with what came meanwhile behind it."""

    async def story(world):
        await world.compare()
        lost = [world.write(EVENTS), world.write(EVENTS)]
        world.store.blobs = lost if is_kept else []
        world.follower.hear(EVENTS, world.write(EVENTS))
        world.follower.hear(EVENTS, world.write(EVENTS))
        await world.settled()
        assert world.sink.items[EVENTS] == [b"1", b"2", b"3", b"4"]
        assert world.follower.gap_count == 1

    run(story)


def test_loss_of_the_last_blob_is_found_by_comparison():
    """Nothing more needs to be published."""

    async def story(world):
        await world.compare()
        world.write(EVENTS)
        await world.compare()
        await world.compare()
        assert world.sink.items[EVENTS] == [b"1"]

    run(story)


def test_what_is_on_its_way_is_not_late():
    """Comparisons in quick succession, because subscriptions change, ask nobody for anything."""

    async def story(world):
        await world.compare()
        blob = world.write(EVENTS)
        for _ in range(4):
            world.now_s -= 0.9
            await world.compare()
        world.follower.hear(EVENTS, blob)
        assert world.follower.gap_count == 0
        assert world.sink.items[EVENTS] == [b"1"]

    run(story)


def test_another_epoch_begins_from_nothing():
    """What was known is forgotten before the new state is loaded."""

    async def story(world):
        world.write(EVENTS)
        await world.compare()
        world.writer.begin_again()
        world.writer.ring(EVENTS)
        world.state = {EVENTS: [b"other"]}
        await world.compare()
        assert world.sink.items[EVENTS] == [b"other"]
        assert world.sink.restarts == world.sink.whole_count == 2

    run(story)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([EVENTS, FRAMES, "ETH.frames"]), st.integers(1, 3), st.sampled_from("shtlc")),
        max_size=40,
    )
)
def test_every_item_arrives_once_and_in_order(steps):
    """Sent, held back for later, sent twice, lost, compared: in the end both sides have the same."""

    async def story(world):
        await world.compare()
        late = []
        for feed, count, fate in steps:
            data = world.write(feed, count)
            if fate == "h":
                late.append((feed, data))
            elif fate == "c":
                await world.compare()
            elif fate != "l":
                for _ in range(2 if fate == "t" else 1):
                    world.follower.hear(feed, data)
                await asyncio.sleep(0)
        for feed, data in reversed(late):
            world.follower.hear(feed, data)
        for _ in range(3):
            await world.compare()
        assert {feed: items for feed, items in world.sink.items.items() if items} == world.state
        assert world.sink.missing == []

    run(story)
