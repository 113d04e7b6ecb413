"""A market-data gateway shows what the exchange shows, refuses what is private, and knows nobody's name.

There is no Redis here: everything comes from the exchange itself, once a second.
"""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from exchange.bus.feed_blobs import decode_blob
from exchange.domain.commands import BatchCut, Side
from exchange.domain.events import BookLevel, Trade
from exchange.domain.views import Output
from exchange.gateway.public_feed import LEASE_S, PublicFeed
from exchange.gateway.public_items import CommitItem, CutItem, decode_item, encode_item
from exchange.gateway.settings import GatewaySettings
from exchange.wire.methods import METHODS
from exchange.wire.objects import BatchRow
from tests.fakes.live_feed import Twins, get, listening, serve_twins
from tests.fakes.live_gateway import Live, serve, until

NO_REDIS = "unix:///nonexistent/redis.sock"
CLOCKS = frozenset({"timestamp", "t", "us_in", "us_out"})
READS = [
    ("public/get_info", {}),
    ("public/get_all_currencies", {}),
    ("public/get_currency", {"currency": "BTC"}),
    ("public/get_all_instruments", {"instrument_type": "option", "currency": "BTC"}),
    ("public/get_instruments", {"instrument_type": "perp", "currency": "BTC", "expired": "false"}),
    ("public/get_all_live_instruments", {}),
    ("public/get_instrument", {"instrument_name": "BTC-PERP"}),
    ("public/get_ticker", {"instrument_name": "BTC-PERP"}),
    ("public/get_tickers", {"instrument_type": "perp", "currency": "ETH"}),
    ("public/get_trade_history", {"instrument_name": "BTC-PERP"}),
    (
        "public/get_tradingview_chart_data",
        {"instrument_name": "BTC-PERP", "period": 60, "start_timestamp": 0, "end_timestamp": 4_000_000_000},
    ),
    ("public/get_funding_rate_history", {"instrument_name": "BTC-PERP"}),
    ("public/get_option_settlement_prices", {"currency": "BTC"}),
    ("public/get_order_book", {"instrument_name": "BTC-PERP"}),
    ("public/get_limits", {}),
    ("public/get_batches", {}),
]


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 40))


async def trade(live: Live, *, fills: int = 1) -> None:
    """Fills of 0.1 at 84000 between two traders, a resting bid and a closed batch."""
    traders = live.exchange.traders
    async with live.client(traders[0]) as maker, live.client(traders[1]) as taker:
        for _ in range(fills):
            await maker.place("BTC-PERP", "sell", "0.1", "84000", label="private-label")
            await taker.place("BTC-PERP", "buy", "0.1", "84000")
        await maker.place("BTC-PERP", "buy", "0.5", "80000")
    live.exchange.port.submit(BatchCut())


def without_clocks(value: Any) -> Any:
    """A reply without the members that say when it was made."""
    if isinstance(value, dict):
        return {name: without_clocks(part) for name, part in value.items() if name not in CLOCKS and name != "id"}
    return [without_clocks(part) for part in value] if isinstance(value, list) else value


async def in_step(twins: Twins) -> None:
    """Wait until the gateway has the book and the batch of the exchange."""
    ours, theirs = twins.live.gateway.core, twins.market_data.gateway.core
    number = ours.market.named("BTC-PERP").instrument_id
    await until(
        lambda: (
            theirs.market.book(number).seq == ours.market.book(number).seq
            and theirs.history.batches == ours.history.batches
            and len(theirs.history.trades.get(number, ())) == len(ours.history.trades.get(number, ()))
        )
    )


def test_private_calls_over_rest_name_the_exchange(tmp_path):
    """Every one of them, typed, before any login or parameter is looked at."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS) as twins:
            for path in [path for path in METHODS if path.startswith("private/")]:
                error = (await get(twins.port, path))["error"]
                assert (path, error["code"]) == (path, 20019)
                assert json.loads(error["data"])["exchange"] == twins.live.http

    run(story())


def test_login_and_private_channels_are_refused_on_the_socket(tmp_path):
    """The reply says where they are."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS) as twins:
            here = Live(twins.live.exchange, twins.market_data.gateway, twins.live.server, twins.port)
            async with here.client() as client:
                error = await client.refused("public/login", {"wallet": "0x", "timestamp": "1", "signature": "0x"})
                assert error["code"] == 20019
                assert json.loads(error["data"])["websocket"] == twins.live.http.replace("http", "ws") + "/v3/ws"
                error = await client.refused("private/get_open_orders", {"subaccount_id": 1})
                assert error["code"] == 20019
                channel = f"{twins.live.exchange.traders[0].subaccount_id}.orders"
                chain = "option_chain.BTC.all.100"
                reply = await client.call("subscribe", {"channels": [channel, chain, "trades.NONE-PERP", "nonsense"]})
                assert reply["status"][channel] == f"20019 private channels are at {twins.live.http}"
                assert reply["status"][chain] == f"20019 option chains are streamed at {twins.live.http}"
                assert reply["status"]["trades.NONE-PERP"].startswith("12001")
                assert reply["status"]["nonsense"].startswith("13000")
                assert reply["current_subscriptions"] == []

    run(story())


def test_reads_before_the_first_state_are_busy(tmp_path):
    """Instead of answers that would be wrong: no instrument, an empty book."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS) as twins:
            twins.market_data.restart()
            for path in ("public/get_all_live_instruments", "public/get_order_book"):
                error = (await get(twins.port, path, instrument_name="BTC-PERP"))["error"]
                assert (error["code"], json.loads(error["data"])["retry_after_ms"]) == (-32000, 200)
            twins.market_data.whole()
            assert "result" in await get(twins.port, "public/get_all_live_instruments")

    run(story())


def test_items_name_nobody() -> None:
    """What is published has neither parties nor labels, whatever the commit had."""

    async def story() -> None:
        async with serve() as live:
            feed = PublicFeed(live.gateway, 1, lambda: None, lambda: 0.0)
            await trade(live)
            feed.writer.cut()
            blobs = [data for ring in feed.writer.rings.values() for data in ring.since(1, 1 << 20)]
            items = [decode_item(item) for data in blobs for item in decode_blob(data).items]
            trades = [event for item in items if isinstance(item, CommitItem) for event in item.events]
            sides = [side for event in trades if isinstance(event, Trade) for side in (event.maker, event.taker)]
            assert [side.fee_e6 > 0 for side in sides] == [True, True]
            assert {(side.subaccount, side.order, side.position_lots, side.cash_e6) for side in sides} == {(0, 0, 0, 0)}
            snapshot = feed.snapshot("BTC.events")
            owners = [bytes.fromhex(row.owner.removeprefix("0x")) for row in live.exchange.traders]
            for secret in (b"private-label", *owners):
                assert secret not in snapshot
                assert not any(secret in data for data in blobs)

    run(story())


def test_commit_that_cannot_be_published_begins_another_epoch() -> None:
    """Its items would be a loss without a gap; the exchange itself does not notice."""

    async def story() -> None:
        async with serve() as live:
            await until(lambda: live.gateway.core.market.is_loaded)
            feed = PublicFeed(live.gateway, 1, lambda: None, lambda: 0.0)
            feed.want("gateway1", [])
            before = feed.writer.epoch
            level = BookLevel(instrument=77, side=Side.BUY, price_ticks=1, quantity_lots=1)
            feed._committed((Output(sequence=1, timestamp_ns=1, events=(level,), orders={}),))
            feed.writer.cut()
            assert feed.writer.epoch == before + 1
            assert feed.writer.rings == {}
            feed.want("gateway1", [])
            assert {"BTC.events", "ETH.events", "venue.events"} == feed.writer.rings.keys()

    run(story())


def test_another_epoch_closes_every_socket(tmp_path):
    """As the exchange closed its own: the numbers of all channels begin anew."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS) as twins, listening(twins.port, "ticker_slim.BTC-PERP.100") as one:
            twins.market_data.restart()
            await asyncio.wait_for(until(lambda: one.close_code), 5)
            assert one.close_code == 1012

    run(story())


def test_lost_frames_close_the_sockets_that_needed_each(tmp_path):
    """Who listens to whole states gets the next one instead."""

    async def story() -> None:
        async with (
            serve_twins(tmp_path, NO_REDIS) as twins,
            listening(twins.port, "ticker_slim.BTC-PERP.100", "trades.BTC-PERP") as trades,
            listening(twins.port, "ticker_slim.BTC-PERP.100", "orderbook.BTC-PERP.1.20") as states,
        ):
            twins.market_data.missed("BTC.events")
            twins.market_data.missed("BTC.frames")
            await asyncio.wait_for(until(lambda: trades.close_code), 5)
            assert trades.close_code == 1012
            assert states.close_code is None

    run(story())


def test_gateway_that_joins_a_quiet_channel_gets_its_state() -> None:
    """At the next sample, not when the book changes or the quiet second is over."""

    async def story() -> None:
        settings = GatewaySettings(stream_interval_s=0.01, quiet_interval_s=3_600)
        async with serve(settings=settings) as live:
            await until(lambda: live.gateway.core.market.is_loaded)
            feed = PublicFeed(live.gateway, 1, lambda: None, lambda: 0.0)
            channel = "orderbook.BTC-PERP.1.20"
            for number in (1, 2):
                for _ in range(3):
                    feed.want(f"gateway{number}", [channel])
                await until(lambda number=number: live.gateway.fanout.sent_count == number)
            ring = feed.writer.ring("BTC.frames")
            await until(lambda: ring.next_seq == 3)

    run(story())


def test_channels_that_nobody_renews_are_left() -> None:
    """A gateway that died costs the exchange nothing after its lease."""

    async def story() -> None:
        async with serve() as live:
            now_s = 0.0
            await until(lambda: live.gateway.core.market.is_loaded)
            feed = PublicFeed(live.gateway, 1, lambda: None, lambda: now_s)
            assert feed.want("gateway1", ["trades.BTC-PERP", "nonsense", "orderbook.BTC-PERP.1.20"])
            assert feed.want("gateway2", ["trades.BTC-PERP"])
            assert (feed.channel_count, live.gateway.fanout.channel_count) == (2, 2)
            assert feed.want("gateway1", [])
            assert feed.channel_count == 1
            now_s = LEASE_S
            feed.expire()
            assert (feed.channel_count, live.gateway.fanout.channel_count) == (0, 0)

    run(story())


def test_reads_are_those_of_the_exchange(tmp_path):
    """State that was loaded and state that was followed give the same replies, versions and histories included."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS, before=trade) as twins:
            for _ in range(2):
                await in_step(twins)
                for path, params in READS:
                    ours, theirs = await get(twins.live_port, path, **params), await get(twins.port, path, **params)
                    assert "result" in ours, ours
                    assert without_clocks(theirs) == without_clocks(ours), path
                await trade(twins.live, fills=2)
                twins.update_batch(BatchRow(seq=1, first_sequence=1, last_sequence=9, fills=1, status="Proving"))

    run(story())


def test_frames_are_those_of_the_exchange_also_without_redis(tmp_path):
    """Late by up to a second each, complete and byte for byte."""

    async def story() -> None:
        channels = ("trades.BTC-PERP", "orderbook.BTC-PERP.1.20", "batches")
        async with (
            serve_twins(tmp_path, NO_REDIS) as twins,
            listening(twins.port, *channels) as theirs,
            listening(twins.live_port, *channels) as ours,
        ):
            await asyncio.wait_for(until(lambda: twins.figure("feed_channels") == len(channels)), 10)
            await trade(twins.live, fills=3)
            await asyncio.wait_for(until(lambda: len(theirs.seqs("trades.BTC-PERP")) == 3), 10)
            for channel in channels:
                await asyncio.wait_for(until(lambda channel=channel: theirs.seqs(channel)), 10)
                shared = theirs.frames[channel].keys() & ours.frames[channel].keys()
                assert shared
                assert all(theirs.frames[channel][seq] == ours.frames[channel][seq] for seq in shared)

    run(story())


def test_books_of_a_gateway_begin_again_with_a_state_that_was_loaded(tmp_path):
    """What it missed may be gone from everywhere: subscribers get a snapshot, never a silent gap."""

    async def story() -> None:
        channels = ("book.BTC-PERP.raw", "book.BTC-PERP.20ms", "book.BTC-PERP.100ms")
        async with (
            serve_twins(tmp_path, NO_REDIS, before=trade) as twins,
            listening(twins.live_port, *channels) as ours,
            listening(twins.port, *channels) as theirs,
        ):
            await asyncio.wait_for(until(lambda: len(theirs.books) == len(ours.books) == 3), 10)
            seq = theirs.books[channels[0]].seq
            await twins.bus.stop()
            await trade(twins.live)
            live = twins.live.gateway
            final = live.core.market.book(live.core.market.named("BTC-PERP").instrument_id).seq
            twins.market_data.load("BTC.events", twins.feeds._feed.snapshot("BTC.events"))
            twins.market_data.load("BTC.events", twins.feeds._feed.snapshot("BTC.events"))
            twins.market_data.apply("BTC.events", [encode_item(CutItem(20)), encode_item(CutItem(100))])
            await asyncio.wait_for(
                until(lambda: all(one.books[name].seq == final for name in channels for one in (ours, theirs))), 10
            )
            assert final > seq
            raw = [json.loads(data)["params"]["data"]["type"] for data in theirs.frames[channels[0]].values()]
            assert raw == ["snapshot", "snapshot"]
            assert theirs.trouble == ours.trouble == ""
            for name in channels:
                assert theirs.books[name].checksum() == ours.books[name].checksum()

    run(story())


def test_gateway_of_a_dead_exchange_is_not_ready(tmp_path):
    """What it shows may be old, and `/ready` says so."""

    async def story() -> None:
        async with serve_twins(tmp_path, NO_REDIS) as twins:
            await twins.bus.stop()
            await asyncio.wait_for(until(twins.session.trouble), 10)
            assert not twins.market_data.gateway.readiness().ready
            assert "exchange does not answer" in twins.market_data.gateway.readiness().reason

    run(story())
