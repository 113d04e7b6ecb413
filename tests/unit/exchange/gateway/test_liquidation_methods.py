"""Liquidations on the wire: the public feed and history name nobody, an owner reads all of his own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.bus.feed_blobs import decode_blob
from exchange.domain.commands import BatchCut, Clock, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import Trade
from exchange.domain.liquidations import Deleveraged
from exchange.gateway.public_feed import PublicFeed
from exchange.gateway.public_items import CommitItem, decode_item
from tests.fakes.live_feed import get, serve_twins
from tests.fakes.live_gateway import Live, serve, until
from tests.fakes.small_exchange import E9

NO_REDIS = "unix:///nonexistent/redis.sock"
CURRENCY = {"currency": "BTC"}


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 40))


def fall(live: Live, price: int) -> None:
    """Index and mark of BTC, and the Clock that looks at the accounts."""
    port, number = live.exchange.port, live.gateway.core.market.named("BTC-PERP").instrument_id
    index, marks = (UnderlyingRow("BTC", price * E9),), (MarkRow(number, price * E9),)
    port.submit(SetPrices(round=port.state.prices.round + 1, underlyings=index, marks=marks))
    port.submit(Clock())


async def crash(live: Live, *, is_bankrupt: bool = False) -> None:
    """The first trader is long 740 BTC with 5M; at 80,300 a part of it goes to a bid, at 77,000 the rest to others."""
    traders = live.exchange.traders
    async with live.client(traders[0]) as long, live.client(traders[1]) as short, live.client(traders[2]) as bidder:
        for _ in range(2):
            await short.place("BTC-PERP", "sell", "370", "84000")
            await long.place("BTC-PERP", "buy", "370", "84000")
            fall(live, 84_000)
        live.exchange.port.submit(BatchCut())
        await bidder.place("BTC-PERP", "buy", "10", "80300")
        fall(live, 80_300)
        if is_bankrupt:
            fall(live, 77_000)
            live.exchange.port.state.liquidations[traders[0].account].next_ns = 0
            live.exchange.port.submit(Clock())


def test_an_owner_reads_only_his_own() -> None:
    """Another's account is refused, and without a login nothing is told."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[1]) as other, live.client() as nobody:
            query = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            assert (await other.refused("private/get_liquidation_history", query))["code"] in (14001, 14031)
            assert (await nobody.refused("private/get_liquidation_history", query))["code"] == 14021

    run(story())


def test_an_unknown_currency_has_no_channel() -> None:
    """The status says why, as for every channel of a currency."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            answer = await client.call("subscribe", {"channels": ["liquidations.DOGE"]})
            assert answer["status"] == {"liquidations.DOGE": "12002 currency not found"}

    run(story())


def test_a_fill_of_a_liquidation_is_streamed_without_a_name() -> None:
    """Kind, direction of the liquidated side, size, price and mark: these members and no other."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await client.call("subscribe", {"channels": ["liquidations.BTC", "liquidations.ETH"]})
            await crash(live)
            ((item, *_), *_) = [await client.note("liquidations.BTC")]
            assert item.pop("timestamp") > 0
            assert item == {
                "kind": "liquidation",
                "instrument_name": "BTC-PERP",
                "direction": "sell",
                "amount": "10",
                "price": "80300",
                "mark_price": "80300",
                "notional": "803000",
            }

    run(story())


def test_the_public_history_has_fills_and_deleveragings_newest_first() -> None:
    """What users traded is not in it; the range and the instrument filter it; there are no auctions to show."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert (await client.call("public/get_liquidation_history", CURRENCY))["liquidations"] == []
            await crash(live, is_bankrupt=True)
            answer = await client.call("public/get_liquidation_history", CURRENCY)
            rows = answer["liquidations"]
            assert [row["kind"] for row in rows] == ["adl"] * (len(rows) - 1) + ["liquidation"]
            assert sum(float(row["amount"]) for row in rows) == 740
            assert answer["auctions"] == []
            assert answer["pagination"]["count"] == len(rows)
            assert (await client.call("public/get_liquidation_history", {"currency": "ETH"}))["liquidations"] == []
            later = CURRENCY | {"start_timestamp": rows[0]["timestamp"] + 1}
            assert (await client.call("public/get_liquidation_history", later))["liquidations"] == []

    run(story())


def test_an_owner_reads_how_it_went() -> None:
    """Started, the fill with its fee, and each side of a deleveraging with what was left; newest first."""

    async def story() -> None:
        traders = None
        async with serve() as live:
            traders = live.exchange.traders
            await crash(live, is_bankrupt=True)
            answers = []
            for trader in traders[:2]:
                async with live.client(trader) as client:
                    query = {"subaccount_id": trader.subaccount_id}
                    answers.append(await client.call("private/get_liquidation_history", query))
            own, other = (answer["liquidations"][::-1] for answer in answers)
            told = [row.get("event", row["kind"]) for row in own]
            assert told[:2] == ["started", "fill"]
            assert {"adl", "fund_paid"} <= set(told)
            fill = own[1]
            assert (fill["amount"], fill["position"]) == ("-10", "730")
            assert float(fill["fee"]) > 0
            assert [row["account_seq"] for row in own] == sorted(row["account_seq"] for row in own)
            assert {(row["kind"], row["role"]) for row in other} == {("adl", "counterparty")}
            assert [row for row in own if row["kind"] == "adl"][-1]["position"] == "0"

    run(story())


def test_what_is_published_to_other_gateways_names_nobody() -> None:
    """Trades and deleveragings have blank parties; that a taker was liquidated stays."""

    async def story() -> None:
        async with serve() as live:
            feed = PublicFeed(live.gateway, 1, lambda: None, lambda: 0.0)
            await crash(live, is_bankrupt=True)
            feed.writer.cut()
            blobs = [data for ring in feed.writer.rings.values() for data in ring.since(1, 1 << 20)]
            items = [decode_item(item) for data in blobs for item in decode_blob(data).items]
            events = [event for item in items if isinstance(item, CommitItem) for event in item.events]
            trades = [event for event in events if isinstance(event, Trade)]
            shared = [event for event in events if isinstance(event, Deleveraged)]
            assert [row.taker.order for row in trades] == [0, 0, 128]
            parties = [side for row in shared for side in (row.bankrupt, row.counterparty)]
            parties += [side for row in trades for side in (row.maker, row.taker)]
            assert shared
            assert {(side.subaccount, side.account_seq, side.position_lots, side.cash_e6) for side in parties} == {
                (0, 0, 0, 0)
            }

    run(story())


@pytest.mark.parametrize("is_before", [True, False])
def test_another_gateway_has_the_same_history(tmp_path: Any, is_before: bool) -> None:
    """Whether it loaded the state or followed it."""

    async def story() -> None:
        async def fallen(live: Live) -> None:
            await crash(live, is_bankrupt=True)

        async with serve_twins(tmp_path, NO_REDIS, **({"before": fallen} if is_before else {})) as twins:
            if not is_before:
                await fallen(twins.live)
            ours, theirs = twins.live.gateway.core.history, twins.market_data.gateway.core.history
            await asyncio.wait_for(until(lambda: theirs.liquidations.rows == ours.liquidations.rows != {}), 20)
            path = "public/get_liquidation_history"
            answers = [await get(port, path, **CURRENCY) for port in (twins.live_port, twins.port)]
            assert answers[0]["result"] == answers[1]["result"]
            assert answers[0]["result"]["liquidations"]

    run(story())
