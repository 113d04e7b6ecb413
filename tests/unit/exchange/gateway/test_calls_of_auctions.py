"""Call auctions on the wire: who is refused, what the ticker says, whose role a fill has."""

import asyncio

from exchange.domain.auctions import Phase, SetPhase
from tests.fakes.live_gateway import Live, serve


def set_phase(live: Live, phase: Phase, seconds: int = 0) -> None:
    """What an operator does to the first perpetual."""
    number = live.gateway.core.market.named("BTC-PERP").instrument_id
    deadline_ns = live.gateway.core.clock_ns() + seconds * 10**9 if seconds else 0
    live.exchange.port.submit(SetPhase(instrument=number, phase=phase, deadline_ns=deadline_ns))


def test_a_call_is_in_the_ticker_and_its_fills_are_makers() -> None:
    """IOC gets 20017, the ticker the deadline; after the uncross both parties' rows say maker and the ticker null."""

    async def story() -> None:
        async with (
            serve() as live,
            live.client(live.exchange.traders[0]) as one,
            live.client(live.exchange.traders[1]) as two,
        ):
            set_phase(live, Phase.AUCTION, 60)
            ioc = one.order("BTC-PERP", "buy", "0.1", "84000", time_in_force="ioc")
            assert (await one.refused("private/order", ioc))["code"] == 20017
            await one.place("BTC-PERP", "buy", "0.1", "84000")
            await two.place("BTC-PERP", "sell", "0.1", "84000")
            ticker = await one.call("public/get_ticker", {"instrument_name": "BTC-PERP"})
            assert ticker["auction_end"] > ticker["t"]
            error = await one.refused("public/get_order_book", {"instrument_name": "BTC-PERP"})
            assert (error["code"], "call auction" in error["data"]) == (11021, True), "a crossed book is never shown"
            set_phase(live, Phase.CONTINUOUS)
            ticker = await one.call("public/get_ticker", {"instrument_name": "BTC-PERP"})
            assert ticker["auction_end"] is None
            assert (await one.call("public/get_order_book", {"instrument_name": "BTC-PERP"}))["bids"] == []
            for client, trader in zip((one, two), live.exchange.traders, strict=False):
                query = {"subaccount_id": trader.subaccount_id}
                rows = (await client.call("private/get_trade_history", query))["trades"]
                assert [row["liquidity_role"] for row in rows] == ["maker"]

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_gateway_that_starts_in_a_call_knows_it() -> None:
    """The deadline comes with the first snapshot of the book."""

    async def story() -> None:
        async with serve() as live:
            set_phase(live, Phase.AUCTION, 60)
            async with serve(live.exchange) as late:
                assert late.gateway.core.market.auctions == live.gateway.core.market.auctions != {}

    asyncio.run(asyncio.wait_for(story(), 30))
