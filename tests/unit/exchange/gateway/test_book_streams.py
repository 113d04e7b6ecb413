"""Sequenced book channels: a copy that follows the frames is the book, whatever the reader and the market do."""

import asyncio
import json
import random
import socket
from collections.abc import Coroutine
from itertools import count, pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect

from exchange.client import BookMirror
from exchange.client.client import OffbookClient
from exchange.client.signing import Credentials
from exchange.domain.commands import Side
from exchange.domain.events import BookLevel
from exchange.domain.views import Output
from exchange.gateway.book_topics import RING_CHANGES, ChangeRing
from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import GatewaySettings
from tests.fakes.live_gateway import Client, Live, serve, until
from tests.fakes.small_exchange import SmallExchange

NAME = "BTC-PERP"
RAW = f"book.{NAME}.raw"
CHANNELS = [RAW, f"book.{NAME}.20ms", f"book.{NAME}.100ms"]
MIDDLE_TICKS = 840_000


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 60))


async def loaded(gateway: Gateway) -> None:
    """Wait until a gateway knows the market."""
    gateway.start()
    await until(lambda: gateway.core.market.is_loaded)


def params_of(frame: bytes) -> dict[str, Any]:
    """A notification behind its websocket header."""
    params: dict[str, Any] = json.loads(frame[frame.index(b'{"params"') :])["params"]
    return params


class Reader:
    """A subscriber that keeps a mirror; it may lag or be cut, and then comes back with what it has."""

    identity = None

    def __init__(self, gateway: Gateway, channel: str) -> None:
        self.gateway, self.channel = gateway, channel
        self.channels: dict[str, Any] = {}
        self.mirror = BookMirror()
        self.kinds: list[str] = []
        self.lags = False
        self.unread = 0

    def notify(self, frame: bytes, *, is_private: bool) -> bool:
        assert not is_private
        if self.lags:
            return False
        params = params_of(frame)
        data = params["data"]
        assert params["channel"] == self.channel
        assert (params["seq"], params["prev_seq"]) == (data["seq"], data.get("prev_seq", params["prev_seq"]))
        self.mirror.apply(data)  # raises when anything is missing or the checksum differs
        best = self.mirror.bids(1) + self.mirror.asks(1)
        assert len(best) < 2 or float(best[0][0]) < float(best[1][0]), "crossed"
        self.kinds.append(data["type"])
        return True

    def queued_bytes(self) -> int:
        return self.unread

    def join(self, resume_from: int | None = None) -> None:
        self.gateway.fanout.add(self.channel, self, resume_from)

    def cut(self) -> None:
        self.gateway.fanout.drop(self)


class RandomBook:
    """Commands that change levels at random, never crossed at their end: the oracle is a dictionary."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.random = random.Random(seed)
        self.gateway = gateway
        self.instrument = gateway.core.market.named(NAME)
        self.levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.sequences = count(gateway.core.port.state.sequence + 1)

    def step(self) -> None:
        """Commit one to three commands, each with one to four changes of levels."""
        outputs = []
        for _ in range(self.random.randint(1, 3)):
            sequence = next(self.sequences)
            events = tuple(self._level() for _ in range(self.random.randint(1, 4)))
            outputs.append(Output(sequence=sequence, timestamp_ns=sequence * 1_000_000, events=events, orders={}))
        self.gateway.committed(outputs)

    def commit(self, *levels: tuple[Side, int, int]) -> None:
        """Commit one command with these levels."""
        sequence, number = next(self.sequences), self.instrument.instrument_id
        for side, price, lots in levels:
            self.levels[side][price] = lots
        events = tuple(BookLevel(instrument=number, side=a, price_ticks=b, quantity_lots=c) for a, b, c in levels)
        self.gateway.committed([Output(sequence=sequence, timestamp_ns=sequence, events=events, orders={})])

    def _level(self) -> BookLevel:
        side = self.random.choice((Side.BUY, Side.SELL))
        away = self.random.randint(1, 60)
        price = MIDDLE_TICKS - away if side is Side.BUY else MIDDLE_TICKS + away
        lots = self.random.choice((0, 0, 1, 7, 100_000))
        self.levels[side][price] = lots
        return BookLevel(instrument=self.instrument.instrument_id, side=side, price_ticks=price, quantity_lots=lots)

    def texts(self, side: Side) -> list[tuple[str, str]]:
        """Levels of a side as a client sees them."""
        rows = [row for row in self.levels[side].items() if row[1]]
        rows.sort(reverse=side is Side.BUY)
        one = self.instrument
        return [(one.price_text(price), one.quantity_text(lots)) for price, lots in rows]


def assert_equal(reader: Reader, book: RandomBook) -> None:
    """The copy is the book."""
    assert [tuple(row) for row in reader.mirror.bids()] == book.texts(Side.BUY)
    assert [tuple(row) for row in reader.mirror.asks()] == book.texts(Side.SELL)


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (f"book.{NAME}.10ms", "13000"),
        (f"book.{NAME}", "13000"),
        (f"book.{NAME}.l3", "13000"),
        ("book.NONE-PERP.raw", "12001"),
    ],
)
def test_channels_that_do_not_exist(channel, reason):
    """The status names the reason, the request stands."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            reply = await client.call("subscribe", {"channels": [channel, RAW]})
            assert reply["status"][channel].startswith(reason)
            assert reply["current_subscriptions"] == [RAW]

    run(story())


def test_snapshot_then_changes_behind_the_reply():
    """In band, numbered without a gap, with the level's absolute amount; "0" removes it."""

    async def story() -> None:
        async with serve() as live, live.client() as reader, live.client(live.exchange.traders[0]) as maker:
            order = await maker.place(NAME, "buy", "0.5", "80000")
            await reader.call("subscribe", {"channels": [RAW]})
            assert "result" in reader.frames[-1], "the reply comes before the snapshot"
            first = await reader.note(RAW)
            assert (first["type"], first["prev_seq"]) == ("snapshot", None)
            assert (first["bids"], first["asks"]) == ([["80000", "0.5"]], [])
            await maker.place(NAME, "sell", "0.1", "85000")
            second = await reader.note(RAW)
            assert (second["bids"], second["asks"]) == ([], [["85000", "0.1"]])
            await maker.call(
                "private/cancel",
                {
                    "subaccount_id": live.exchange.traders[0].subaccount_id,
                    "order_id": order["order"]["order_id"],
                    "instrument_name": NAME,
                },
            )
            third = await reader.note(RAW)
            assert (third["bids"], third["asks"]) == ([["80000", "0"]], [])
            seqs = [first["seq"], second["seq"], third["seq"]]
            assert seqs == list(range(first["seq"], first["seq"] + 3))
            assert [second["prev_seq"], third["prev_seq"]] == seqs[:2]
            book = await reader.call("public/get_order_book", {"instrument_name": NAME})
            assert book["seq"] == third["seq"]
            mirror = BookMirror()
            for frame in (first, second, third):
                mirror.apply(frame)
            assert book["checksum"] == mirror.checksum()

    run(story())


def test_one_command_is_one_raw_frame():
    """A sweep through three levels arrives whole: nobody sees a half-matched book."""

    async def story() -> None:
        async with serve() as live, live.client() as reader:
            traders = live.exchange.traders
            async with live.client(traders[0]) as maker, live.client(traders[1]) as taker:
                for price in ("84000", "84001", "84002"):
                    await maker.place(NAME, "sell", "0.1", price)
                await reader.call("subscribe", {"channels": CHANNELS})
                await taker.place(NAME, "buy", "0.5", "84002")
                for channel in CHANNELS:
                    await reader.note(channel, lambda data: data["type"] == "snapshot")
                change = await reader.note(RAW)
                assert change["asks"] == [["84000", "0"], ["84001", "0"], ["84002", "0"]]
                assert change["bids"] == [["84002", "0.2"]]

    run(story())


@pytest.mark.parametrize("seed", range(4))
def test_copies_equal_the_book_over_random_changes_and_cuts(seed):
    """Readers lag, are cut and resume while commands of several changes run: no gap, no ghost, no wrong checksum."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        book, chance = RandomBook(gateway, seed), random.Random(seed)
        readers = [Reader(gateway, channel) for channel in CHANNELS for _ in range(4)]
        for reader in readers:
            reader.join()
        for _ in range(1_500):
            book.step()
            if chance.random() < 0.2:
                gateway.fanout.books.cut(chance.choice((20, 100)))
            reader = chance.choice(readers)
            if chance.random() < 0.1:
                reader.lags = not reader.lags
            elif chance.random() < 0.1:
                reader.cut()
                reader.join(chance.choice((reader.mirror.seq, None)))
        for reader in readers:
            reader.lags = False
        book.step()
        for _ in range(2):  # one frame brings the last changes, the other the snapshots of those that lagged
            gateway.fanout.books.cut(20)
            gateway.fanout.books.cut(100)
            gateway.fanout.books._look_after()
        assert not any(topic.resuming for topic in gateway.fanout.books._topics.values())
        for reader in readers:
            assert_equal(reader, book)
        kinds = [kind for reader in readers for kind in reader.kinds]
        assert {"snapshot", "change"} <= set(kinds)
        gateway.stop()

    run(story())


def test_checksum_stands_in_every_hundredth_change():
    """On `raw` exactly there; a coalesced frame has one when it passes a hundredth change."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        book = RandomBook(gateway, 1)
        frames: dict[str, list[dict[str, Any]]] = {}

        class Recorder(Reader):
            def notify(self, frame: bytes, *, is_private: bool) -> bool:
                frames.setdefault(self.channel, []).append(params_of(frame)["data"])
                return super().notify(frame, is_private=is_private)

        for channel in CHANNELS:
            Recorder(gateway, channel).join()
        for number in range(400):
            book.step()
            if number % 7 == 0:
                gateway.fanout.books.cut(20)
        raw = [frame for frame in frames[RAW] if frame["type"] == "change"]
        assert [frame["seq"] for frame in raw if "checksum" in frame] == [
            frame["seq"] for frame in raw if frame["seq"] % 100 == 0
        ]
        assert len([frame for frame in raw if "checksum" in frame]) >= 7
        slow = [frame for frame in frames[CHANNELS[1]] if frame["type"] == "change"]
        assert all(("checksum" in row) == (row["seq"] // 100 > row["prev_seq"] // 100) for row in slow)
        assert all(after["prev_seq"] == before["seq"] for before, after in pairwise(slow))
        gateway.stop()

    run(story())


def test_ring_holds_ten_thousand_changes():
    """Of a channel that shows each change and of one that coalesces them, and not many more."""
    each, fives = ChangeRing(), ChangeRing()
    for seq in range(1, 3 * RING_CHANGES + 1):
        each.append(seq - 1, seq, b"")
        if seq % 5 == 0:
            fives.append(seq - 5, seq, b"")
    for ring in (each, fives):
        assert ring.holds(2 * RING_CHANGES)
        assert not ring.holds(2 * RING_CHANGES - 10)
        assert not ring.holds(3 * RING_CHANGES)
    assert not fives.holds(3 * RING_CHANGES - 3)


def test_resume_within_and_beyond_the_ring():
    """From the ring when it has the place, byte for byte what others got; else a snapshot."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        book = RandomBook(gateway, 3)
        here, away = Reader(gateway, RAW), Reader(gateway, RAW)
        for reader in (here, away):
            reader.join()
        book.step()
        away.cut()
        while here.mirror.seq - away.mirror.seq < 300:
            book.step()
        away.kinds.clear()
        away.join(away.mirror.seq)
        await until(lambda: away.mirror.seq == here.mirror.seq)
        assert set(away.kinds) == {"change"}
        assert len(away.kinds) >= 300
        assert_equal(away, book)
        away.cut()
        left_at = away.mirror.seq
        while here.mirror.seq - left_at <= RING_CHANGES + 10:
            book.step()
        away.kinds.clear()
        away.join(left_at)
        assert away.kinds == ["snapshot"]
        assert_equal(away, book)
        gateway.stop()

    run(story())


def test_replay_waits_for_a_slow_reader():
    """A ring is sent in parts as the reader takes them, so that a resume never looks like a slow consumer."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        book = RandomBook(gateway, 4)
        here, away = Reader(gateway, RAW), Reader(gateway, RAW)
        for reader in (here, away):
            reader.join()
        away.cut()
        for _ in range(600):
            book.step()
        away.kinds.clear()
        away.join(away.mirror.seq)
        taken = len(away.kinds)
        assert 0 < taken < 600, "one part"
        away.unread = 1 << 20
        await asyncio.sleep(0.03)
        assert len(away.kinds) == taken
        book.step()
        away.unread = 0
        await until(lambda: away.mirror.seq == here.mirror.seq)
        assert set(away.kinds) == {"change"}
        assert_equal(away, book)
        gateway.stop()

    run(story())


def test_crossed_book_is_not_shown():
    """A call auction's book comes again when it is matched, in one frame, also to who came meanwhile."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        book = RandomBook(gateway, 5)
        reader, late = Reader(gateway, RAW), Reader(gateway, RAW)
        reader.join()
        book.commit((Side.SELL, MIDDLE_TICKS + 1, 5))
        assert reader.kinds == ["snapshot", "change"]
        book.commit((Side.BUY, MIDDLE_TICKS + 9, 3))
        late.join()
        book.commit((Side.BUY, MIDDLE_TICKS + 8, 3))
        gateway.fanout.books._look_after()
        assert (reader.kinds, late.kinds) == (["snapshot", "change"], [])
        book.commit((Side.BUY, MIDDLE_TICKS + 9, 0), (Side.BUY, MIDDLE_TICKS + 8, 1), (Side.SELL, MIDDLE_TICKS + 1, 0))
        assert (reader.kinds, late.kinds) == (["snapshot", "change", "change"], ["snapshot"])
        for one in (reader, late):
            assert_equal(one, book)
        gateway.stop()

    run(story())


def test_nobody_listens_and_nothing_is_kept():
    """No channel, no timer; after the last subscriber the ring stays for a minute only."""

    async def story() -> None:
        gateway = Gateway(SmallExchange().port, SmallExchange().venue, clock_ns=lambda: 0)
        await loaded(gateway)
        books = gateway.fanout.books
        book = RandomBook(gateway, 6)
        book.step()
        assert books.is_idle
        assert books._timers == {}
        reader = Reader(gateway, CHANNELS[1])
        reader.join()
        assert set(books._timers) == {20, 100}
        reader.cut()
        assert not books.is_idle
        books._topics[CHANNELS[1]].left_at -= 61
        books._look_after()
        assert books.is_idle
        await until(lambda: books._timers == {})
        gateway.stop()

    run(story())


def test_books_of_two_processes_never_share_a_seq():
    """A book begins above every number that an earlier process gave out, so an old one never matches by chance."""

    async def story() -> None:
        world = SmallExchange()
        async with serve(world) as live:
            await until(lambda: live.gateway.core.market.is_loaded)
            async with live.client(world.traders[0]) as maker, live.client() as reader:
                await maker.place(NAME, "buy", "0.5", "80000")
                old = (await reader.call("public/get_order_book", {"instrument_name": NAME}))["seq"]
        async with serve(world) as live, live.client() as reader:
            await until(lambda: live.gateway.core.market.is_loaded)
            assert (await reader.call("public/get_order_book", {"instrument_name": NAME}))["seq"] > old
            await reader.call("subscribe", {"channels": [RAW], "resume_from": {RAW: old}})
            assert (await reader.note(RAW))["type"] == "snapshot"

    run(story())


async def quiet(live: Live, reader: Client) -> dict[str, Any]:
    """The first heartbeat of a channel, five seconds early."""
    live.gateway.fanout.books._topics[RAW].heard_at -= 5
    beat: dict[str, Any] = await reader.note(RAW, lambda data: data["type"] == "heartbeat")
    return beat


def test_heartbeat_of_a_quiet_book():
    """With the last seq, which a copy can compare."""

    async def story() -> None:
        async with serve() as live, live.client() as reader:
            await reader.call("subscribe", {"channels": [RAW]})
            first = await reader.note(RAW)
            beat = await quiet(live, reader)
            assert beat["seq"] == first["seq"]
            mirror = BookMirror()
            assert mirror.apply(first)
            assert not mirror.apply(beat)

    run(story())


async def small_socket(live: Live) -> socket.socket:
    """A connected socket whose kernel buffer holds little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 10)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", live.port))
    return sock


def test_stalled_socket_gets_a_snapshot_when_it_reads_again():
    """Changes are dropped for it alone, and none of them is missing in the end."""

    async def story() -> None:
        settings = GatewaySettings(dirty_bytes=16 << 10, clean_bytes=2 << 10, send_buffer_bytes=4 << 10)
        async with serve(settings=settings) as live:
            sock, url = await small_socket(live), f"ws://127.0.0.1:{live.port}/v3/ws"
            async with connect(url, sock=sock, compression=None, max_queue=1) as raw:
                reader = Client(raw, live.exchange, None)
                await reader.call("subscribe", {"channels": [RAW]})
                book = RandomBook(live.gateway, 8)
                topic = live.gateway.fanout.books._topics[RAW]
                while not topic.waiting:
                    book.step()
                    await asyncio.sleep(0)
                mirror, kinds = BookMirror(), []
                while mirror.seq != topic.shown_seq:
                    frame = await reader.note(RAW)
                    mirror.apply(frame)
                    kinds.append(frame["type"])
                assert (kinds[0], kinds[-1], kinds.count("snapshot")) == ("snapshot", "snapshot", 2)
                assert kinds.count("change") == len(kinds) - 2 > 10
                for side, levels in ((Side.BUY, mirror.bids()), (Side.SELL, mirror.asks())):
                    assert [tuple(row) for row in levels] == book.texts(side)

    run(story())


def test_client_keeps_a_book_over_cut_sockets():
    """The SDK's copy equals the exchange's book after every socket was cut several times."""

    async def story() -> None:
        async with serve() as live:
            book = RandomBook(live.gateway, 9)
            trader = live.exchange.traders[0]
            who = Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id)
            client = OffbookClient(f"ws://127.0.0.1:{live.port}/v3/ws", who)
            await client.open()
            feed = client.book(NAME)
            copy = await anext(feed)
            for _ in range(3):
                for _ in range(20):
                    book.step()
                for connection in list(live.gateway.sockets):
                    connection._transport.abort()
                book.step()
                at = live.gateway.core.market.book(book.instrument.instrument_id)
                while copy.seq != at.seq:
                    copy = await asyncio.wait_for(anext(feed), 10)
                assert [tuple(row) for row in copy.asks()] == book.texts(Side.SELL)
            assert client.reconnections == 3
            assert feed.resubscriptions == 0, "each new socket went on where the old one ended"
            await client.close()

    run(story())
