"""The path of an order through a real server, a real socket client and the real engine."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.fakes.live_gateway import serve


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def test_signed_orders_of_two_sockets_fill_and_stream() -> None:
    """A login, two signed orders, a fill, and every stream tells of it."""

    async def story() -> None:
        async with serve() as live:
            maker, taker = live.exchange.traders[:2]
            async with live.client(maker) as one, live.client(taker) as two:
                sub = taker.subaccount_id
                channels = ["orderbook.BTC-PERP.1.10", "trades.BTC-PERP", f"{sub}.orders", f"{sub}.trades",
                            f"{sub}.balances", "ticker_slim.BTC-PERP.100"]  # fmt: skip
                status = await two.call("subscribe", {"channels": channels})
                assert status["status"] == dict.fromkeys(channels, "ok")
                placed = await one.place("BTC-PERP", "sell", "1", "84000")
                assert placed["order"]["order_status"] == "open"
                book = await two.note(channels[0], lambda data: data["asks"])
                assert book["asks"] == [["84000", "1"]]
                filled = await two.place("BTC-PERP", "buy", "0.4", "84000")
                assert filled["order"]["filled_amount"] == "0.4"
                assert filled["trades"][0]["trade_price"] == "84000"
                assert (await two.note(f"{sub}.orders"))[0]["order_status"] == "filled"
                assert (await two.note(f"{sub}.trades"))[0]["trade_amount"] == "0.4"
                assert (await two.note("trades.BTC-PERP"))[0]["direction"] == "buy"
                names = {row["name"]: row["new_balance"] for row in await two.note(f"{sub}.balances")}
                assert names["BTC-PERP"] == "0.4"
                ticker = await two.note("ticker_slim.BTC-PERP.100")
                assert ticker["instrument_ticker"]["M"] == "84000"
                order_id = placed["order"]["order_id"]
                params = {"order_id": order_id, "instrument_name": "BTC-PERP", "subaccount_id": maker.subaccount_id}
                canceled = await one.call("private/cancel", params)
                assert (canceled["order_status"], canceled["remaining_amount"]) == ("cancelled", "0.6")

    run(story())
