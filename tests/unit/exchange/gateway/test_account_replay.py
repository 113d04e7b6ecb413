"""Private streams that resume from disk: what can't be had first, then the same frames as those who stayed."""

import asyncio
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest

from exchange.client import StreamBroken
from exchange.gateway.account_replay import ReplayReads
from exchange.gateway.account_streams import AccountTopic
from exchange.gateway.archive import HistoryUnavailable
from exchange.gateway.settings import GatewaySettings
from exchange.historian.account_events import EventPage
from exchange.wire.channels import parse_channel
from tests.fakes.kept_events import KeptEvents
from tests.fakes.live_gateway import serve, until
from tests.fakes.small_exchange import SmallExchange
from tests.unit.exchange.gateway.test_account_streams import (
    FILL_BEHIND,
    caught_up,
    channels,
    got,
    newest,
    opened,
    pair,
    run,
    trade,
)

SMALL = GatewaySettings(account_events_kept=20)
BROKEN = 9
"""A place that no page can be read behind."""
IMPATIENT = GatewaySettings(account_events_kept=20, replay_stall_s=0.3)


class Refusing:
    """A history that cannot be read."""

    async def events(self, *_question):
        """See Archive."""
        raise HistoryUnavailable("history.sqlite: file is not a database")


@contextmanager
def history(folder, world, **options):
    """A history on disk of what `world` does from now on."""
    kept = KeptEvents(folder, world, **options)
    try:
        yield kept
    finally:
        kept.close()


@asynccontextmanager
async def traded(folder, count, settings=SMALL, **options):
    """(live gateway, its history, maker, taker, the maker's place before `count` trades of 5 events each)."""
    world = SmallExchange()
    with history(folder, world, **options) as kept:
        world.port.listen(kept.take)
        async with serve(world, settings, archive=kept) as live, pair(live) as (maker, taker):
            start = newest(live, world.traders[0])
            await trade(live, maker, taker, count)
            yield live, kept, maker, taker, start


async def subscribed(client, names, places):
    """Subscribe behind `places`; every status."""
    return (await client.call("subscribe", {"channels": names, "resume_from": places}))["status"]


def test_what_the_disk_has_not_either_needs_a_snapshot(tmp_path):
    """20002 with the oldest that is on disk; a place of the future and one below zero too."""

    async def story():
        async with traded(tmp_path, 30, event_bytes=25_000) as (live, kept, maker, _taker, start):
            one = live.exchange.traders[0]
            account, end = channels(one)[0], newest(live, one)
            forgotten = (await kept.events(one.account, start, 1)).forgotten_seq
            in_memory, _ = live.gateway.core.account_log.span(one.account)
            assert start < forgotten < in_memory
            refusal = "20002 SNAPSHOT_REQUIRED: the oldest available is"
            assert await subscribed(maker, [account], {account: start}) == {
                account: f"{refusal} {forgotten + 1}, the newest {end}"
            }
            for place in (-1, end + 1):
                assert (await subscribed(maker, [account], {account: place}))[account].startswith(refusal)
            assert await subscribed(maker, [account], {account: forgotten}) == {account: "ok"}

    run(story())


def test_a_history_that_cannot_be_read_is_asked_again_by_who_needs_it(tmp_path):
    """20040 for the old place alone: other channels of the request stand."""

    async def story():
        async with traded(tmp_path, 10) as (live, _kept, maker, _taker, start):
            live.gateway.core.archive = Refusing()
            account, orders, _trades = channels(live.exchange.traders[0])
            status = await subscribed(maker, [account, orders], {account: start})
            assert status == {
                account: "20040 HISTORY_UNAVAILABLE: history.sqlite: file is not a database; ask again",
                orders: "ok",
            }

    run(story())


def test_a_historian_that_has_not_come_so_far_is_not_taken_for_one_that_forgot(tmp_path):
    """20040, because the place may be there a moment later: then it is."""

    async def story():
        world = SmallExchange()
        with history(tmp_path, world) as kept:
            world.port.listen(kept.take)
            kept.is_away = True
            kept.desk._committed = lambda: kept.committed
            async with serve(world, SMALL, archive=kept) as live, pair(live) as (maker, taker):
                start, account = newest(live, world.traders[0]), channels(world.traders[0])[0]
                await trade(live, maker, taker, 10)
                status = await subscribed(maker, [account], {account: start})
                assert status == {account: "20040 HISTORY_UNAVAILABLE: the history lags; ask again"}
                kept.is_away = False
                await trade(live, maker, taker, 1)
                assert await subscribed(maker, [account], {account: start}) == {account: "ok"}

    run(story())


def test_a_socket_that_ends_while_the_disk_is_asked_joins_no_channel(tmp_path):
    """Nobody would ever take its channels away."""

    async def story():
        async with traded(tmp_path, 10) as (live, kept, _maker, _taker, start):
            one, asked, let_go = live.exchange.traders[0], asyncio.Event(), asyncio.Event()
            events = kept.events

            async def slow(*question):
                asked.set()
                await let_go.wait()
                return await events(*question)

            kept.events = slow
            sockets = len(live.gateway.sockets)
            async with live.client(one) as client:
                name = channels(one)[0]
                await client.send("subscribe", {"channels": [name], "resume_from": {name: start}})
                await asyncio.wait_for(asked.wait(), 5)
            await until(lambda: len(live.gateway.sockets) == sockets)
            let_go.set()
            await until(lambda: not live.gateway.fanout._places._tasks)
            assert live.gateway.fanout.channel_count == 0

    run(story())


def test_a_reader_that_takes_nothing_is_closed_with_its_place(tmp_path):
    """1013 and the last number it has; nothing was read for it meanwhile."""

    async def story():
        async with traded(tmp_path, 10, IMPATIENT) as (live, kept, _maker, _taker, start):
            one = live.exchange.traders[0]
            account = channels(one)[0]
            async with live.client(one) as back:
                list(live.gateway.sockets)[-1].queued_bytes = lambda: 1 << 20
                assert await subscribed(back, [account], {account: start}) == {account: "ok"}
                await asyncio.wait_for(back.raw.wait_closed(), 5)
                assert (back.raw.close_code, back.raw.close_reason) == (1013, f"SLOW_CONSUMER {account} {start}")
            assert kept.most_reads == 0
            assert not live.gateway.fanout.accounts._reads._blocked_s

    run(story())


def test_a_reader_whose_place_is_dropped_meanwhile_is_closed_with_it(tmp_path):
    """What it was promised is gone: it must know, and where it stood."""

    async def story():
        async with traded(tmp_path, 10) as (live, kept, _maker, _taker, start):
            one, size = live.exchange.traders[0], 1 << 20
            account = channels(one)[0]
            async with live.client(one) as back:
                list(live.gateway.sockets)[-1].queued_bytes = lambda: size
                await subscribed(back, [account], {account: start})
                with kept.store._database as database:
                    database.execute("DELETE FROM account_events WHERE id <= 5")
                size = 0
                await asyncio.wait_for(back.raw.wait_closed(), 5)
                assert (back.raw.close_code, back.raw.close_reason) == (1013, f"SLOW_CONSUMER {account} {start}")

    run(story())


async def had_after(live, maker, taker, count):
    """Where a reader of all three streams stands behind `count` trades, when its socket ends."""
    one = live.exchange.traders[0]
    names = channels(one)
    async with live.client(one) as left:
        await left.call("subscribe", {"channels": names})
        await trade(live, maker, taker, count)
        await all_caught_up(live, left)
        return {name: got(left, name)[-1]["seq"] for name in names}


async def all_caught_up(live, client):
    """Receive everything of the first trader's three streams; the last event was a cancel behind a fill."""
    one = live.exchange.traders[0]
    for name, behind in zip(channels(one), (0, 0, FILL_BEHIND), strict=True):
        await caught_up(client, name, newest(live, one) - behind)


def test_what_comes_from_disk_is_what_was_sent(tmp_path):
    """On all three streams, `prev_seq` too, nothing twice, through disk and memory into what happens now."""

    async def story():
        async with traded(tmp_path, 0) as (live, _kept, maker, taker, _start):
            one = live.exchange.traders[0]
            names = channels(one)
            async with live.client(one) as stayed:
                await stayed.call("subscribe", {"channels": names})
                had = await had_after(live, maker, taker, 2)
                await trade(live, maker, taker, 60)
                async with live.client(one) as back:
                    assert set((await subscribed(back, names, had)).values()) == {"ok"}
                    await trade(live, maker, taker, 2)
                    for client in (stayed, back):
                        await all_caught_up(live, client)
                    for name in names:
                        missed = [params for params in got(stayed, name) if params["seq"] > had[name]]
                        assert len(missed) > 60
                        assert got(back, name) == missed

    run(story())


def test_a_restart_makes_neither_a_gap_nor_a_repetition(tmp_path):
    """A gateway with empty memory: what the first one sent and what happened in between come from disk."""

    async def story():
        world = SmallExchange()
        one = world.traders[0]
        names = channels(one)
        with history(tmp_path, world) as kept:
            world.port.listen(kept.take)
            async with serve(world, archive=kept) as live, pair(live) as (maker, taker):
                await maker.call("subscribe", {"channels": names})
                had = await had_after(live, maker, taker, 2)
                await trade(live, maker, taker, 3)
                await all_caught_up(live, maker)
                sent = {name: [params for params in got(maker, name) if params["seq"] > had[name]] for name in names}
            async with serve(world, archive=kept) as live, pair(live) as (maker, taker):
                assert set((await subscribed(maker, names, had)).values()) == {"ok"}
                await trade(live, maker, taker, 2)
                await all_caught_up(live, maker)
                for name in names:
                    mine = got(maker, name)
                    assert mine[: len(sent[name])] == sent[name]
                    assert len(mine) > len(sent[name])
                    seqs = [params["seq"] for params in mine]
                    assert [params["prev_seq"] for params in mine] == [had[name], *seqs[:-1]]

    run(story())


def test_what_the_disk_knows_before_the_gateway_is_sent_once(tmp_path):
    """The historian may be ahead of the commit's delivery: that part comes from memory."""

    async def story():
        async with traded(tmp_path, 2, GatewaySettings(account_events_kept=8)) as (live, kept, maker, taker, start):
            one, port = live.exchange.traders[0], live.exchange.port
            account = channels(one)[0]
            async with live.client(one) as back:
                port.held = True
                before = newest(live, one)
                await maker.send("private/order", maker.order("BTC-PERP", "buy", "0.2", "80000"))
                await until(lambda: newest(live, one) > before)
                kept.take(list(port._outputs))
                await subscribed(back, [account], {account: start})
                await caught_up(back, account, before)
                assert got(back, account)[-1]["seq"] == before
                port.held = False
                port._schedule()
                await trade(live, maker, taker, 1)
                await caught_up(back, account, newest(live, one))
                seqs = [params["seq"] for params in got(back, account)]
                assert seqs == list(range(start + 1, newest(live, one) + 1))

    run(story())


class Pages:
    """A history that always has one more event."""

    async def events(self, _account, after_seq, _limit_bytes):
        """See Archive."""
        if after_seq == BROKEN:
            raise KeyError("an instrument that nobody listed")
        return EventPage([after_seq + 1], 0, 0)


class Drained:
    """A reader that took everything."""

    def queued_bytes(self):
        """See Subscriber."""
        return 0


def test_readers_behind_others_get_their_turn():
    """Whoever waits longest is next, so that a long replay does not starve the rest; a fault ends its reader alone."""

    async def story():
        readers = [Drained() for _ in range(7)]
        topic = AccountTopic(parse_channel("1000002.account"), 2, 0)
        topic.resuming = dict.fromkeys(readers, 10)
        topic.resuming[readers[0]] = BROKEN
        cut = []

        def take(_topic, reader, page):
            topic.resuming[reader] = page.rows[0]

        core = SimpleNamespace(archive=Pages(), settings=SMALL)
        reads = ReplayReads(core, take, lambda _topic, reader, seq: cut.append((reader, seq)))
        for _ in range(40):
            for reader in readers[1:] if cut else readers:
                reads.want(topic, reader, topic.resuming[reader])
            reads.start()
            assert len(reads._tasks) <= 2
            await asyncio.sleep(0.001)
        assert cut == [(readers[0], BROKEN)]
        places = [topic.resuming[reader] for reader in readers[1:]]
        assert max(places) - min(places) <= 1
        assert max(places) > 15

    run(story())


@pytest.mark.parametrize("readers", [4])
def test_many_readers_take_turns(tmp_path, readers):
    """At most two reads at a time, whoever came first, and everybody gets everything."""

    async def story():
        async with traded(tmp_path, 30) as (live, kept, _maker, _taker, start):
            one = live.exchange.traders[0]
            names = channels(one)

            async def read():
                async with live.client(one) as back:
                    await subscribed(back, names, dict.fromkeys(names, start))
                    await all_caught_up(live, back)
                    assert len(got(back, names[0])) == newest(live, one) - start

            await asyncio.gather(*(read() for _ in range(readers)))
            assert 1 <= kept.most_reads <= 2

    run(story())


def test_the_client_asks_again_while_the_history_cannot_be_read(tmp_path):
    """A stream is not ended by a refusal that is over a moment later: nothing is missing when it goes on."""

    async def story():
        async with traded(tmp_path, 0) as (live, kept, maker, taker, _start):
            one = live.exchange.traders[0]
            client = await opened(live, one)
            events = await client.account_events()
            start = newest(live, one)
            live.gateway.core.archive = Refusing()
            mine = next(row for row in live.gateway.sockets if channels(one)[0] in row.channels)
            mine._transport.abort()
            await trade(live, maker, taker, 10)
            await until(lambda: client._connection._lookups_failed >= 2)
            live.gateway.core.archive = kept
            items = [await events.next(10) for _ in range(newest(live, one) - start)]
            assert [item["account_seq"] for item in items] == list(range(start + 1, newest(live, one) + 1))
            assert client._connection._lookups_failed == 0
            await client.close()

    run(story())


def test_the_client_gives_up_on_a_history_that_stays_away(tmp_path, monkeypatch):
    """The stream ends with the exchange's reason; the client itself goes on."""
    monkeypatch.setattr("exchange.client.connection._HISTORY_ATTEMPTS", 3)

    async def story():
        async with traded(tmp_path, 0) as (live, _kept, maker, taker, _start):
            one = live.exchange.traders[0]
            client = await opened(live, one)
            events = await client.account_events()
            live.gateway.core.archive = Refusing()
            mine = next(row for row in live.gateway.sockets if channels(one)[0] in row.channels)
            mine._transport.abort()
            await trade(live, maker, taker, 10)
            with pytest.raises(StreamBroken, match="20040 HISTORY_UNAVAILABLE"):
                await events.next(20)
            await client.ready()
            assert await client.request("public/get_time", {})
            await client.close()

    run(story())
