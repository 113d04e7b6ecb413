"""A halted market on the wire: who is refused, and where it shows."""

import asyncio
import json

from exchange.domain.commands import MarkRow, SetPrices, UnderlyingRow
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9
from tests.unit.exchange.gateway.test_http import get

NAMED = {"instrument_name": "BTC-PERP"}


def set_index(live: Live, row: UnderlyingRow) -> None:
    """A round with one index and, if it is good, the perpetual's mark."""
    number = live.exchange.instruments["BTC-PERP"].instrument_id
    marks = () if row.is_halted else (MarkRow(number, row.index_e9),)
    round_number = live.exchange.port.state.prices.round + 1
    live.exchange.port.submit(SetPrices(round=round_number, underlyings=(row,), marks=marks))


def test_a_halted_market_only_reduces_and_says_so() -> None:
    """Refusals have 20004; ticker, instrument, readiness and metrics tell; three good prices open it."""

    async def story() -> None:
        async with (
            serve() as live,
            live.client(live.exchange.traders[0]) as one,
            live.client(live.exchange.traders[1]) as two,
        ):
            await one.place("BTC-PERP", "sell", "0.1", "84000")
            await two.place("BTC-PERP", "buy", "0.1", "84000")
            set_index(live, UnderlyingRow("BTC", 0, 0, is_halted=True))
            error = await one.refused("private/order", one.order("BTC-PERP", "sell", "0.1", "84000"))
            assert (error["code"], error["message"].startswith("Reduce-only")) == (20004, True)
            await two.place("BTC-PERP", "sell", "0.1", "90000")
            for method in ("public/get_ticker", "public/get_instrument"):
                assert (await one.call(method, NAMED))["price_state"] == "halted"
                assert (await one.call(method, {"instrument_name": "ETH-PERP"}))["price_state"] == "open"
            assert (await one.call("public/get_ticker", NAMED))["I"] == "84000", "the last price stands"
            assert json.loads((await get(live, "/ready"))[1])["markets"] == {"BTC": "halted"}
            assert "offbook_markets_restricted 1\n" in (await get(live, "/metrics"))[1]
            for _ in range(3):
                set_index(live, UnderlyingRow("BTC", 84_000 * E9, 640_000))
            assert (await one.call("public/get_ticker", NAMED))["price_state"] == "open"
            assert live.gateway.core.market.prices.confidence_ppm["BTC"] == 640_000
            await one.place("BTC-PERP", "sell", "0.1", "84000")

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_gateway_that_starts_in_a_halt_knows_it() -> None:
    """Halts and ages come with the first answer."""

    async def story() -> None:
        async with serve() as live:
            set_index(live, UnderlyingRow("BTC", 0, 0, is_halted=True))
            async with serve(live.exchange) as late:
                assert late.gateway.core.market.prices == live.gateway.core.market.prices
                assert late.gateway.core.market.prices.halted == ("BTC",)

    asyncio.run(asyncio.wait_for(story(), 60))
