"""P29 to P40: what a connection is told, in which order, and what it survives."""

import asyncio

from exchange.client.markets import decimal_e9
from tests.requirements.desk import PERP, raw_socket, refusal, story


def test_p29_the_client_reconnects_logs_in_and_subscribes_again(exchange):
    """Its socket is cut twenty times; after each cut the same stream goes on by itself."""

    async def steps(desk):
        updates = await desk.one.order_updates()
        for _ in range(20):
            before = desk.one.reconnections
            await desk.one._connection._socket.close()
            while desk.one.reconnections == before:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.005)
            await desk.one.ready()
            placed = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
            assert (await updates.next(5))["order_id"] == placed["order_id"]
            await desk.one.cancel(placed["order_id"], PERP)
            assert (await updates.next(5))["order_status"] == "cancelled"

    story(exchange, steps)


async def cut(client):
    """End the client's socket and wait for the next one."""
    before = client.reconnections
    await client._connection._socket.close()
    while client.reconnections == before:  # noqa: ASYNC110 - nothing to wait on
        await asyncio.sleep(0.005)
    await client.ready()


def test_p30_fills_of_a_lost_socket_are_replayed(exchange):
    """A maker whose socket is gone is filled: the fill comes when it is back; a place that never was is refused."""

    async def steps(desk):
        fills = await desk.two.fills()
        resting = (await desk.two.sell(PERP, desk.lots(), desk.price()))["order"]
        away = asyncio.create_task(cut(desk.two))
        await desk.one.buy(PERP, desk.lots(), desk.price(), time_in_force="ioc")
        await away
        fill = await fills.next(5)
        assert (fill["order_id"], fill["trade_amount"]) == (resting["order_id"], desk.lots())
        name = f"{desk.two.who.subaccount_id}.account"
        asked = {"channels": [name], "resume_from": {name: 10**9}}
        assert (await desk.two.request("subscribe", asked))["status"][name].startswith("20002 SNAPSHOT_REQUIRED")

    story(exchange, steps)


def test_p31_nothing_is_told_twice_over_cut_sockets(exchange):
    """Every event of the account once and in order, by its number, though the socket is cut between them."""

    async def steps(desk):
        events = await desk.one.account_events()
        seen = []
        for _ in range(5):
            order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
            await cut(desk.one)
            await desk.one.cancel(order["order_id"], PERP)
            seen += [await events.next(5), await events.next(5)]
        numbers = [item["account_seq"] for item in seen]
        assert numbers == list(range(numbers[0], numbers[0] + 10))
        assert [item["event"] for item in seen] == ["accepted", "cancelled"] * 5

    story(exchange, steps)


def test_p33_a_gap_of_the_book_cannot_stay_unseen(exchange):
    """A copy that follows numbered changes over cut sockets has the seq and the checksum that the exchange gives."""

    async def steps(desk):
        feed = desk.one.book(PERP)
        copy = await anext(feed)
        for step in range(6):
            await desk.two.buy(PERP, desk.lots(), desk.price(-10_000 - 1_000 * step))
            if step % 2:
                await cut(desk.one)
        shown = await desk.one.request("public/get_order_book", {"instrument_name": PERP})
        async with asyncio.timeout(10):
            while copy.seq != shown["seq"]:
                copy = await anext(feed)
        assert copy.checksum() == shown["checksum"]
        assert feed.resubscriptions == 0
        await feed.aclose()

    story(exchange, steps)


def test_p34_each_channel_has_a_sequence_of_its_own(exchange):
    """Of every channel each frame follows the one before on that channel, whatever came between them."""

    async def steps(desk):
        names = [f"book.{PERP}.raw", f"book.{PERP}.20ms", f"book.{PERP}.100ms", f"trades.{PERP}"]
        async with raw_socket(exchange) as raw:
            await raw.ask("subscribe", {"channels": names})
            for _ in range(5):
                await desk.fill()
            last = {}
            while any(last.get(name, (0, 0))[1] < 2 for name in names):
                params = (await raw.receive())["params"]
                seq, count = last.get(params["channel"], (params["prev_seq"], 0))
                assert params["prev_seq"] == seq
                last[params["channel"]] = params["seq"], count + 1

    story(exchange, steps)


def test_p32_no_published_book_is_crossed(exchange):
    """Both sides move while the book streams: in every frame the best bid is below the best ask."""

    async def steps(desk):
        book = await desk.one.subscribe(f"orderbook.{PERP}.1.10")
        for step in range(10):
            away = (step % 5 - 2) * 4_000
            await asyncio.gather(
                desk.one.buy(PERP, desk.lots(), desk.price(away - 1_000)),
                desk.two.sell(PERP, desk.lots(), desk.price(away + 1_000)),
            )
            await asyncio.sleep(0.12)
            frame = await book.next(5)
            shown = await desk.one.request("public/get_order_book", {"instrument_name": PERP})
            for sides in (frame, shown):
                bids = [decimal_e9(price) for price, _ in sides["bids"]]
                asks = [decimal_e9(price) for price, _ in sides["asks"]]
                assert bids == sorted(bids, reverse=True)
                assert asks == sorted(asks)
                assert not bids or not asks or bids[0] < asks[0]

    story(exchange, steps)


def test_p36_a_channel_beyond_the_limit_is_refused_with_the_limit(exchange):
    """The others stay; the refusal names the number."""

    async def steps(desk):
        names = [f"orderbook.{PERP}.{group}.{depth}" for group in range(1, 13) for depth in range(1, 101)]
        async with raw_socket(exchange) as raw:
            answer = await raw.ask("subscribe", {"channels": names})
            status = answer["result"]["status"]
            refused = [text for text in status.values() if text != "ok"]
            assert refused
            limit = len(answer["result"]["current_subscriptions"])
            assert all(str(limit) in text for text in refused)
            assert (await raw.ask("public/get_time", {}))["result"]

    story(exchange, steps)


def test_p40_one_call_tells_all_instruments_and_a_close_may_be_repeated(exchange):
    """No call per market at the start, and no loop at the end."""

    async def steps(desk):
        found = await desk.one.request("public/get_all_instruments", {"instrument_type": "option", "page_size": 1_000})
        assert found["pagination"]["num_pages"] == 1
        assert {row["instrument_name"] for row in found["instruments"]} <= set(desk.one.markets)
        spare = type(desk.one)(exchange.socket, desk.one.who)
        await spare.open()
        await spare.close()
        await spare.close()

    story(exchange, steps)


def test_p51_an_empty_budget_refuses_and_disconnects_nobody(exchange):
    """Calls beyond it get a typed error that says when; the socket lives, and cancels have a budget of their own."""

    async def steps(desk):
        order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        asked = [desk.one.request("public/get_info") for _ in range(1_500)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert refused
        assert {error.code for error in refused} == {-32000}
        assert all("retry_after" in str(error.data) or "reset" in str(error.data) for error in refused)
        assert (await desk.one.cancel(order["order_id"], PERP))["order_status"] == "cancelled"
        await asyncio.sleep(0.2)
        assert (await refusal(desk.one.cancel(order["order_id"], PERP))).code == 11003

    story(exchange, steps)
