"""P30, P31, P35 over the end of the process: private streams go on from disk where the old process stopped."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from exchange.client.errors import ConnectionLost, OffbookError
from exchange.client.signing import login_params
from tests.requirements.desk import PERP, crash, patiently, raw_socket, story

KINDS = ("account", "orders", "trades")
BEHIND_THE_FILL = 3
"""Account events of the buyer behind its fill: its order is filled, another is accepted and cancelled."""


@asynccontextmanager
async def logged_in(desk):
    """A raw connection of account one."""
    async with raw_socket(desk.exchange) as raw:
        assert "result" in await raw.ask("public/login", login_params(desk.one.who, time.time_ns()))
        yield raw


def told(raw, name):
    """(seq, text) of every frame of a channel, in order."""
    both = zip(raw.frames, raw.texts, strict=True)
    return [(frame["params"]["seq"], text) for frame, text in both if frame.get("params", {}).get("channel") == name]


async def subscribe(raw, names, places=None):
    """Subscribe; where each stream stands."""
    reply = await raw.ask("subscribe", {"channels": names} | ({"resume_from": places} if places else {}))
    assert set(reply["result"]["status"].values()) == {"ok"}, reply
    return reply["result"]["account_seq"]


async def caught_up(raw, names, account_seq):
    """Receive until every stream shows what the account's events up to `account_seq` make."""
    for name, behind in zip(names, (0, 0, BEHIND_THE_FILL), strict=True):
        while not any(seq >= account_seq - behind for seq, _ in told(raw, name)):
            await raw.receive()


async def trade(desk, count):
    """Each time: a fill for account one, and an order that is cancelled: 5 events."""
    for _ in range(count):
        await desk.fill()
        order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        await desk.one.cancel(order["order_id"], PERP)


@pytest.mark.parametrize("killed", [("exchange",), ("historian", "exchange")])
def test_p30_streams_of_a_killed_exchange_resume_byte_for_byte(exchange, killed):
    """Who had seen N events gets exactly the rest, as it was sent to who stayed, and then what happens now."""

    async def steps(desk):
        names = [f"{desk.one.who.subaccount_id}.{kind}" for kind in KINDS]
        async with logged_in(desk) as stayed:
            start = (await subscribe(stayed, names))[names[0]]
            await trade(desk, 2)
            await caught_up(stayed, names, start + 10)
            had = {name: told(stayed, name)[-1][0] for name in names}
            await trade(desk, 6)
            await caught_up(stayed, names, start + 40)
            sent = {name: [row for row in told(stayed, name) if row[0] > had[name]] for name in names}
        for name in killed:
            crash(desk.exchange, name)
        await desk.one.ready()
        await desk.two.ready()
        await patiently(desk.one, "private/get_open_orders", desk.one.own())
        async with logged_in(desk) as back:
            assert set((await subscribe(back, names, had)).values()) == {start + 40}
            await caught_up(back, names, start + 40)
            assert {name: told(back, name) for name in names} == sent
            assert [len(sent[name]) for name in names] == [30, 18, 6]
            await patiently_trade(desk)
            await caught_up(back, names, start + 45)
            seqs = [seq for seq, _ in told(back, names[0])]
            assert seqs == list(range(had[names[0]] + 1, seqs[-1] + 1))
            for name in names:
                frames = [frame["params"] for frame in back.frames if frame.get("params", {}).get("channel") == name]
                assert [row["prev_seq"] for row in frames] == [had[name], *(row["seq"] for row in frames[:-1])]

    story(exchange, steps)


async def patiently_trade(desk):
    """One more trade, as soon as the new process has good prices and both sockets are its own."""
    for _ in range(100):
        try:
            return await trade(desk, 1)
        except (ConnectionLost, OffbookError):
            await asyncio.sleep(0.1)
    raise AssertionError("the new process takes no orders")


def test_p31_a_client_s_streams_have_no_gap_over_a_kill_in_the_middle_of_orders(exchange):
    """Orders run when the process is killed: each event of the account once and in order, known to somebody or not."""

    async def steps(desk):
        events, fills = await desk.one.account_events(), await desk.one.fills()
        ends = asyncio.Event()

        async def press():
            while not ends.is_set():
                try:
                    await trade(desk, 1)
                except (ConnectionLost, OffbookError):
                    await asyncio.sleep(0.02)

        pressing = [asyncio.create_task(press()) for _ in range(4)]
        before = [await events.next(10) for _ in range(60)]
        await asyncio.to_thread(crash, desk.exchange)
        old = desk.one.reconnections
        while desk.one.reconnections == old:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        ends.set()
        await asyncio.gather(*pressing)
        await patiently_trade(desk)
        async with logged_in(desk) as raw:
            name = f"{desk.one.who.subaccount_id}.account"
            end = (await subscribe(raw, [name]))[name]
        items = before + [await events.next(10) for _ in range(end - before[-1]["account_seq"])]
        first = items[0]["account_seq"]
        assert [item["account_seq"] for item in items] == list(range(first, end + 1))
        traded = [item["trade"]["fill_id"] for item in items if item["kind"] == "fill"]
        assert [(await fills.next(10))["fill_id"] for _ in traded] == traded

    story(exchange, steps)
