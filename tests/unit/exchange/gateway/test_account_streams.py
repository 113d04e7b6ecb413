"""Private streams: every event of a subaccount once, in its own order, over cut sockets and restarts."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from exchange.client import OffbookClient, StreamBroken
from exchange.client.signing import Credentials
from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind
from exchange.domain.events import CashMoved
from exchange.domain.views import Output
from exchange.gateway.account_log import AccountLog
from exchange.gateway.settings import GatewaySettings
from tests.fakes.live_gateway import Client, Live, login_params, serve, until
from tests.fakes.small_exchange import SmallExchange, Trader

PERP = "BTC-PERP"
FILL_BEHIND = 3
"""Events of the maker behind its fill: the order is filled, another one is accepted and canceled."""
_names = count()


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 40))


def channels(trader: Trader) -> list[str]:
    """The three streams that resume."""
    return [f"{trader.subaccount_id}.{kind}" for kind in ("account", "orders", "trades")]


def got(client: Client, channel: str) -> list[dict[str, Any]]:
    """Params of what came on a channel, in order."""
    frames = [frame["params"] for frame in client.frames if frame.get("method") == "subscription"]
    return [params for params in frames if params["channel"] == channel]


async def caught_up(client: Client, channel: str, account_seq: int) -> None:
    """Receive until an item or row with this number came."""
    while not any(params["seq"] >= account_seq for params in got(client, channel)):
        await client._receive()


async def trade(live: Live, maker: Client, taker: Client, count: int) -> None:
    """Fills of 0.1, each of an order of its own, and an order that is canceled."""
    for _ in range(count):
        await maker.place(PERP, "sell", "0.1", "84000", client_order_id=f"mine-{next(_names)}", label="m")
        await taker.place(PERP, "buy", "0.1", "84000")
        order = (await maker.place(PERP, "buy", "0.2", "80000"))["order"]
        cancel = {"subaccount_id": order["subaccount_id"], "order_id": order["order_id"], "instrument_name": PERP}
        await maker.call("private/cancel", cancel)


def newest(live: Live, trader: Trader) -> int:
    """Newest `account_seq` of a trader."""
    return int(live.exchange.port.state.accounts[trader.account].account_seq)


@asynccontextmanager
async def pair(live: Live) -> AsyncIterator[tuple[Client, Client]]:
    """Maker and taker, logged in, for placing orders."""
    one, two = live.exchange.traders[:2]
    async with live.client(one) as maker, live.client(two) as taker:
        yield maker, taker


def moved(seq: int, account: int = 2) -> Output:
    """A deposit with this number."""
    event = CashMoved(subaccount=account, account_seq=seq, request_index=1, amount_e6=1, cash_e6=1, ledger_cash_e6=1)
    return Output(sequence=seq, timestamp_ns=seq, events=(event,), orders={})


def test_log_forgets_the_oldest_of_all_accounts():
    """What is left of a subaccount is its newest events; its numbering is never lost."""
    log = AccountLog(4)
    assert log.span(2) is None
    log.begin(2, 7)
    log.begin(2, 99)
    assert log.span(2) == (7, 7)
    for seq in (8, 9, 10):
        log.record(moved(seq), moved(seq).events[0])
    log.record(moved(1, 3), moved(1, 3).events[0])
    assert (log.span(2), log.span(3), log.touched) == ((7, 10), (0, 1), {2, 3})
    assert [row.account_seq for row in log.since(2, 8)] == [9, 10]
    for seq in (2, 3, 4, 5):
        log.record(moved(seq, 3), moved(seq, 3).events[0])
    assert (log.span(2), log.span(3)) == ((10, 10), (1, 5))
    assert list(log.since(2, 10)) == []
    assert [row.account_seq for row in log.since(3, 1)] == [2, 3, 4, 5]
    assert list(log.since(4, 0)) == []


def test_log_takes_events_that_an_answer_knew_of_already():
    """An answer is delivered before the outputs of its commit."""
    log = AccountLog(4)
    log.begin(2, 9)
    log.record(moved(9), moved(9).events[0])
    assert log.span(2) == (8, 9)


@pytest.mark.parametrize("resume_from", [-1, 10**6])
def test_resume_points_that_never_were_need_a_snapshot(resume_from):
    """20002 in the status, with what is available; other channels of the request stand."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            names = channels(live.exchange.traders[0])
            asked = {"channels": names, "resume_from": {names[0]: resume_from}}
            reply = await client.call("subscribe", asked)
            last = newest(live, live.exchange.traders[0])
            text = f"20002 SNAPSHOT_REQUIRED: the oldest available is {last + 1}, the newest {last}"
            assert reply["status"] == {names[0]: text, names[1]: "ok", names[2]: "ok"}
            assert reply["current_subscriptions"] == names[1:]
            assert reply["account_seq"] == {names[1]: last, names[2]: last}

    run(story())


def test_streams_of_others_are_refused():
    """Without a login, and for a subaccount of somebody else; nothing is learned about it."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client() as stranger, live.client(two) as other:
                for client in (stranger, other):
                    reply = await client.call("subscribe", {"channels": channels(one), "resume_from": {}})
                    assert {text[:5] for text in reply["status"].values()} == {"14022"}
                    assert "account_seq" not in reply
            assert live.gateway.core.account_log.span(one.account) is None

    run(story())


def test_account_shows_everything_once_and_in_order():
    """Orders, fills, a deposit and protection groups under contiguous numbers; fills and orders carry the same ones."""

    async def story() -> None:
        async with serve() as live, pair(live) as (maker, taker):
            one = live.exchange.traders[0]
            account, orders, trades = channels(one)
            reply = await maker.call("subscribe", {"channels": [account, orders, trades]})
            start = newest(live, one)
            assert reply["account_seq"] == dict.fromkeys(channels(one), start)
            await trade(live, maker, taker, 1)
            config = {"subaccount_id": one.subaccount_id, "currency": "BTC", "mmp_amount_limit": "1"}
            await maker.call("private/set_mmp_config", config)
            live.exchange.port.submit(BatchCut())
            state = live.exchange.port.state
            live.exchange.port.submit(
                ChainRequest(
                    index=state.request_index + 1,
                    kind=ChainRequestKind.DEPOSIT,
                    account=one.account,
                    amount_e6=5_000_000,
                    owner=bytes.fromhex(one.owner[2:]),
                )
            )
            end = newest(live, one)
            await caught_up(maker, account, end)
            items = [params["data"] for params in got(maker, account)]
            assert [item["account_seq"] for item in items] == list(range(start + 1, end + 1))
            assert all(params["seq"] == params["data"]["account_seq"] == params["prev_seq"] + 1
                       for params in got(maker, account))  # fmt: skip
            told = [item["kind"] + (":" + item["event"] if "event" in item else "") for item in items]
            assert told == [
                "order:accepted", "fill", "order:filled", "order:accepted", "order:cancelled", "mmp_config", "deposit",
            ]  # fmt: skip
            assert (items[1]["client_order_id"], items[1]["trade"]["label"]) == (items[0]["client_order_id"], "m")
            assert items[1]["order_id"] == items[0]["order_id"] == items[0]["order"]["order_id"]
            assert (items[6]["amount"], items[5]["mmp_amount_limit"]) == ("5", "1")
            fill = got(maker, trades)[0]
            assert fill["seq"] == fill["data"][0]["account_seq"] == items[1]["account_seq"]
            rows = [row for params in got(maker, orders) for row in params["data"]]
            assert [row["account_seq"] for row in rows] == [items[at]["account_seq"] for at in (0, 2, 3, 4)]
            assert [row["order_status"] for row in rows] == ["open", "filled", "open", "cancelled"]

    run(story())


def test_resumed_streams_are_those_of_who_stayed():
    """Byte for byte but for what `prev_seq` refers to, nothing twice, and then live."""

    async def story() -> None:
        async with serve() as live, pair(live) as (maker, taker):
            one = live.exchange.traders[0]
            names = channels(one)
            async with live.client(one) as stayed:
                await stayed.call("subscribe", {"channels": names})
                async with live.client(one) as left:
                    await left.call("subscribe", {"channels": names})
                    await trade(live, maker, taker, 3)
                    for name in names[:2]:
                        await caught_up(left, name, newest(live, one))
                    await caught_up(left, names[2], newest(live, one) - FILL_BEHIND)
                    had = {name: got(left, name)[-1]["seq"] for name in names}
                await trade(live, maker, taker, 40)
                async with live.client(one) as back:
                    reply = await back.call("subscribe", {"channels": names, "resume_from": had})
                    assert set(reply["status"].values()) == {"ok"}
                    await trade(live, maker, taker, 2)
                    for client in (stayed, back):
                        for name in names[:2]:
                            await caught_up(client, name, newest(live, one))
                        await caught_up(client, names[2], newest(live, one) - FILL_BEHIND)
                    for name in names:
                        mine, theirs = got(back, name), got(stayed, name)
                        missed = [params for params in theirs if params["seq"] > had[name]]
                        assert len(mine) > 40
                        assert mine == missed, "from the first on: its prev_seq is what was resumed from"

    run(story())


def test_replay_is_sent_in_parts_and_live_events_wait_behind_it():
    """A reader that takes its time gets everything, in order."""

    async def story() -> None:
        async with serve() as live, pair(live) as (maker, taker):
            one = live.exchange.traders[0]
            account = channels(one)[0]
            start = newest(live, one)
            await maker.call("subscribe", {"channels": [account]})
            await trade(live, maker, taker, 60)
            async with live.client(one) as back:
                connection = list(live.gateway.sockets)[-1]
                size = 1 << 20
                connection.queued_bytes = lambda: size
                await back.call("subscribe", {"channels": [account], "resume_from": {account: start}})
                topic = connection.channels[account]
                assert list(topic.resuming.values()) == [start]
                await trade(live, maker, taker, 1)
                assert got(back, account) == []
                size = 0
                await caught_up(back, account, newest(live, one))
                seqs = [params["seq"] for params in got(back, account)]
                assert seqs == list(range(start + 1, newest(live, one) + 1))
                assert (len(topic.resuming), len(topic.live)) == (0, 2)

    run(story())


def test_reader_that_the_log_outruns_is_closed_with_its_place():
    """1013 and the last number it has: never a silent gap."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(account_events_kept=30)) as live, pair(live) as (maker, taker):
            one = live.exchange.traders[0]
            account = channels(one)[0]
            await maker.call("subscribe", {"channels": [account]})
            await trade(live, maker, taker, 1)
            start = newest(live, one)
            async with live.client(one) as back:
                connection = list(live.gateway.sockets)[-1]
                connection.queued_bytes = lambda: 1 << 20
                await trade(live, maker, taker, 1)
                await back.call("subscribe", {"channels": [account], "resume_from": {account: start}})
                await trade(live, maker, taker, 10)
                await asyncio.wait_for(back.raw.wait_closed(), 5)
                assert (back.raw.close_code, back.raw.close_reason) == (1013, f"SLOW_CONSUMER {account} {start}")
            async with live.client(one) as late:
                reply = await late.call("subscribe", {"channels": [account], "resume_from": {account: start}})
                oldest = live.gateway.core.account_log.span(one.account)[0] + 1
                assert f"20002 SNAPSHOT_REQUIRED: the oldest available is {oldest}," in reply["status"][account]

    run(story())


def test_numbers_go_on_over_a_restart():
    """A new process has no events, but knows where each account stands: who missed nothing goes on, others are told."""

    async def story() -> None:
        world = SmallExchange()
        one = world.traders[0]
        account = channels(one)[0]
        async with serve(world) as live, pair(live) as (maker, taker):
            await trade(live, maker, taker, 2)
            last = newest(live, one)
        async with serve(world) as live, pair(live) as (maker, taker):
            async with live.client(one) as late:
                reply = await late.call("subscribe", {"channels": [account], "resume_from": {account: last - 1}})
                assert reply["status"][account].startswith("20002")
            async with live.client(one) as back:
                last = newest(live, one)
                reply = await back.call("subscribe", {"channels": [account], "resume_from": {account: last}})
                assert reply["status"][account] == "ok"
                await trade(live, maker, taker, 1)
                await caught_up(back, account, last + 1)
                assert got(back, account)[0]["prev_seq"] == last

    run(story())


def test_another_login_ends_private_streams():
    """They belong to the wallet that asked for them."""

    async def story() -> None:
        async with serve() as live, pair(live) as (maker, taker):
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client:
                await client.call("subscribe", {"channels": channels(one)})
                await client.call("public/login", login_params(two))
                await trade(live, maker, taker, 1)
                assert await client.call("public/get_time")
                assert [name for name in channels(one) if got(client, name)] == []
            await until(lambda: not live.gateway.fanout.accounts._of_account)

    run(story())


async def opened(live: Live, trader: Trader) -> OffbookClient:
    """A client of the SDK."""
    who = Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id)
    return await OffbookClient(f"ws://127.0.0.1:{live.port}/v3/ws", who).open()


def test_client_loses_and_repeats_nothing_over_cut_sockets():
    """Its socket is cut five times while it trades: every event once, every fill once."""

    async def story() -> None:
        async with serve() as live, pair(live) as (maker, taker):
            one = live.exchange.traders[0]
            client = await opened(live, one)
            events, fills = await client.account_events(), await client.fills()
            start = newest(live, one)
            for turn in range(5):
                await trade(live, maker, taker, 4)
                mine = [row for row in live.gateway.sockets if channels(one)[0] in row.channels]
                assert len(mine) == 1
                mine[0]._transport.abort()
                await trade(live, maker, taker, 2)
                await until(lambda turn=turn: client.reconnections == turn + 1)
            await client.ready()
            end = newest(live, one)
            items = [await events.next(5) for _ in range(end - start)]
            assert [item["account_seq"] for item in items] == list(range(start + 1, end + 1))
            rows = [await fills.next(5) for _ in range(30)]
            assert len({row["trade_id"] for row in rows}) == 30
            assert (len(fills._items), len(events._items)) == (0, 0)
            await client.close()

    run(story())


def test_client_is_told_when_the_gap_is_too_large():
    """The stream breaks with the exchange's reason instead of going on with a hole."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(account_events_kept=10)) as live, pair(live) as (maker, taker):
            client = await opened(live, live.exchange.traders[0])
            events = await client.account_events()
            start = newest(live, live.exchange.traders[0])
            await trade(live, maker, taker, 1)
            one = live.exchange.traders[0]
            for _ in range(newest(live, one) - start):
                await events.next(5)
            mine = next(row for row in live.gateway.sockets if row.channels)
            mine._transport.abort()
            live.gateway.committed(
                [moved(newest(live, one) + 1, one.account), *(moved(seq, 99) for seq in range(1, 11))]
            )
            await until(lambda: client.reconnections == 1)
            with pytest.raises(StreamBroken, match="20002 SNAPSHOT_REQUIRED"):
                await events.next(5)
            await client.close()

    run(story())


def test_order_rows_of_replies_have_no_number():
    """Only streams number their rows; a reply's order has the member, and it is null."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            order = (await client.place(PERP, "buy", "0.1", "80000"))["order"]
            assert order["account_seq"] is None
            assert json.dumps(order)

    run(story())
