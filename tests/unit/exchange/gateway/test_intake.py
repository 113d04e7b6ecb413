"""Order within a connection: only cancels overtake an unverified order, and they remove what they match."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from exchange.domain.commands import CancelMany, Place
from exchange.gateway.settings import GatewaySettings
from tests.fakes.live_gateway import Client, Live, serve, until

POOL_ONLY = GatewaySettings(inline_verifications=0)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


class HeldPool:
    """Keeps work until it is told to go on."""

    def __init__(self, live: Live) -> None:
        self.work: list[Any] = []
        self.pool = live.gateway.intake._pool
        self.submit_now = self.pool.submit
        self.pool.submit = lambda work, done: self.work.append((work, done))  # type: ignore[method-assign, assignment]

    def release(self) -> None:
        """Verify everything held, and whatever comes, at once."""
        held, self.work = self.work, []
        self.pool.submit = self.submit_now  # type: ignore[method-assign]
        for work, done in held:
            done(self.pool._check_all(work))


def kinds(live: Live) -> list[str]:
    """Names of the commands that clients caused."""
    return [type(row).__name__ for row in live.exchange.port.log if isinstance(row, Place | CancelMany)]


async def settle(client: Client) -> None:
    """Wait until everything sent before was taken in."""
    await client.raw.ping()
    await asyncio.sleep(0.02)


def test_commands_keep_the_order_of_a_connection() -> None:
    """200 orders in one burst, inline and in the pool, enter the engine as they were sent."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            orders = [client.order("BTC-PERP", "buy", "0.01", str(70_000 + step)) for step in range(200)]
            numbers = [await client.send("private/order", order) for order in orders]
            for number in numbers:
                assert "result" in await client.reply(number)
            placed = [row.price_ticks for row in live.exchange.port.log if isinstance(row, Place)]
            assert placed == [(70_000 + step) * 10 for step in range(200)]

    run(story())


def test_reads_and_orders_wait_behind_an_unverified_order() -> None:
    """A read sent after an order shows the order, however slow the pool is."""

    async def story() -> None:
        async with serve(settings=POOL_ONLY) as live, live.client(live.exchange.traders[0]) as client:
            held = HeldPool(live)
            sub = live.exchange.traders[0].subaccount_id
            first = await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
            read = await client.send("private/get_open_orders", {"subaccount_id": sub})
            second = await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70001"))
            await settle(client)
            assert kinds(live) == []
            held.release()
            assert len((await client.reply(read))["result"]["orders"]) == 1
            assert "result" in await client.reply(first)
            assert "result" in await client.reply(second)

    run(story())


def test_a_cancel_overtakes_and_removes_waiting_orders() -> None:
    """cancel_all passes unverified orders of its subaccount; they answer 11003 and never reach the engine."""

    async def story() -> None:
        async with serve(settings=POOL_ONLY) as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client, live.client(one) as other, live.client(two) as stranger:
                held = HeldPool(live)
                first = await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
                kept = await stranger.send("private/order", stranger.order("BTC-PERP", "buy", "0.1", "70000"))
                await settle(client)
                await settle(stranger)
                assert await other.call("private/cancel_all", {"subaccount_id": one.subaccount_id}) == "ok"
                error = (await client.reply(first))["error"]
                assert (error["code"], json.loads(error["data"])["reason"]) == (11003, "cancelled_before_admission")
                held.release()
                assert "result" in await stranger.reply(kept)
                assert await client.call("public/get_time")
                assert [row.subaccount for row in live.exchange.port.log if isinstance(row, Place)] == [two.account]

    run(story())


def test_filtered_cancels_remove_only_what_they_match() -> None:
    """Label, instrument, nonce and client order id each pick their own among waiting orders."""

    async def story() -> None:
        async with serve(settings=POOL_ONLY) as live, live.client(live.exchange.traders[0]) as client:
            held = HeldPool(live)
            sub = live.exchange.traders[0].subaccount_id
            orders = [
                client.order("BTC-PERP", "buy", "0.1", "70000", label="a"),
                client.order("ETH-PERP", "buy", "0.1", "2000"),
                client.order("BTC-PERP", "buy", "0.1", "70002"),
                client.order("BTC-PERP", "buy", "0.1", "70003", client_order_id="mine"),
                client.order("BTC-PERP", "buy", "0.1", "70004"),
            ]
            numbers = [await client.send("private/order", order) for order in orders]
            await settle(client)
            base = {"subaccount_id": sub}
            assert await client.call("private/cancel_by_label", base | {"label": "a"}) == {"cancelled_orders": 1}
            by_name = base | {"instrument_name": "ETH-PERP"}
            assert await client.call("private/cancel_by_instrument", by_name) == {"cancelled_orders": 1}
            by_nonce = base | {"nonce": orders[2]["nonce"]}
            assert await client.call("private/cancel_by_nonce", by_nonce) == {"cancelled_orders": 1}
            await client.refused("private/cancel_by_client_order_id", base | {"client_order_id": "mine"})
            held.release()
            replies = [await client.reply(number) for number in numbers]
            assert ["error" in row for row in replies] == [True, True, True, True, False]

    run(story())


def test_a_bad_signature_in_a_batch_spoils_only_itself() -> None:
    """In the pool one wrong signature is refused and its neighbours are placed."""

    async def story() -> None:
        async with serve(settings=POOL_ONLY) as live, live.client(live.exchange.traders[0]) as client:
            good = [client.order("BTC-PERP", "buy", "0.1", str(70_000 + step)) for step in range(3)]
            bad = client.order("BTC-PERP", "buy", "0.1", "70005", signing_key=b"\x09" * 32)
            numbers = [await client.send("private/order", order) for order in (good[0], bad, good[1], good[2])]
            codes = [(await client.reply(number)).get("error", {}).get("code", 0) for number in numbers]
            assert codes == [0, 14014, 0, 0]

    run(story())


def test_a_full_verify_queue_is_busy() -> None:
    """Beyond the pool's bound orders are refused before admission."""

    async def story() -> None:
        settings = GatewaySettings(inline_verifications=0, verify_queue=2)
        async with serve(settings=settings) as live, live.client(live.exchange.traders[0]) as client:
            held = HeldPool(live)
            orders = [client.order("BTC-PERP", "buy", "0.1", str(70_000 + step)) for step in range(4)]
            numbers = [await client.send("private/order", order) for order in orders]
            await settle(client)
            held.release()
            codes = [(await client.reply(number)).get("error", {}).get("code", 0) for number in numbers]
            assert codes == [0, 0, -32000, -32000]

    run(story())


def test_orders_of_a_lost_socket_are_dropped() -> None:
    """What waits for verification when its socket ends never reaches the engine, and the session is closed."""

    async def story() -> None:
        async with serve(settings=POOL_ONLY) as live:
            async with live.client(live.exchange.traders[0]) as client:
                held = HeldPool(live)
                await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
                await settle(client)
            await until(lambda: not live.exchange.port.state.sessions)
            held.release()
            await asyncio.sleep(0.02)
            assert kinds(live) == []

    run(story())


def test_pipelined_frames_wait_for_the_login() -> None:
    """An order sent right behind the login in one burst is placed."""

    async def story() -> None:
        from tests.fakes.live_gateway import login_params  # noqa: PLC0415

        async with serve() as live, live.client() as client:
            client.trader = live.exchange.traders[0]
            login = await client.send("public/login", login_params(client.trader))
            order = await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
            assert "result" in await client.reply(order)
            assert "result" in await client.reply(login)

    run(story())


def test_the_reply_precedes_the_first_fill() -> None:
    """On one socket the order's reply arrives before its own stream items."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                channels = [f"{two.subaccount_id}.orders", f"{two.subaccount_id}.trades", "trades.BTC-PERP"]
                await taker.call("subscribe", {"channels": channels})
                for step in range(20):
                    await maker.place("BTC-PERP", "sell", "0.1", str(84_000 + step))
                taker.frames.clear()
                number = await taker.send("private/order", taker.order("BTC-PERP", "buy", "1", "84020"))
                await taker.note("trades.BTC-PERP")
                await taker.reply(number)
                assert taker.frames[0]["id"] == number

    run(story())


def test_cancel_on_disconnect_per_order_and_per_session() -> None:
    """Orders marked, or placed after the session was marked, go with the socket; others stay; REST refuses the mark."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            async with live.client(trader) as client:
                await client.place("BTC-PERP", "buy", "0.1", "70000")
                await client.place("BTC-PERP", "buy", "0.1", "70001", cancel_on_disconnect=True)
                connection = {"enabled": True, "scope": "connection"}
                assert await client.call("private/set_cancel_on_disconnect", connection) == "ok"
                await client.place("BTC-PERP", "buy", "0.1", "70002")
                await client.place("BTC-PERP", "buy", "0.1", "70003", cancel_on_disconnect=False)
            await until(lambda: not live.exchange.port.state.sessions)
            async with live.client(trader) as client:
                rows = await client.call("private/get_open_orders", {"subaccount_id": trader.subaccount_id})
                assert [row["limit_price"] for row in rows["orders"]] == ["70000", "70003"]

    run(story())
