"""Delisted instruments on the wire: nobody finds them, and what names them still can be shown."""

import asyncio
import time

import msgspec

from exchange.domain.commands import ExpiryRow, ListInstrument, MarkRow, SetPrices
from exchange.domain.instrument import Instrument, instrument_name
from exchange.domain.rounds import DelistInstrument, InstrumentDelisted, OracleRound, SettlementRow
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9, SmallExchange

LIFE_S = 600
NUMBER = 77


def list_near(exchange: SmallExchange) -> Instrument:
    """A call like the market's own that ends in ten minutes, priced."""
    like = next(row for row in exchange.instruments.values() if row.instrument_id == 1)
    expiry_s = time.time_ns() // E9 + LIFE_S
    name = instrument_name(underlying="BTC", kind=like.kind, strike_e9=like.strike_e9, expiry_s=expiry_s) + "-NEAR"
    near = msgspec.structs.replace(like, instrument_id=NUMBER, name=name, expiry_s=expiry_s)
    exchange.instruments[name] = near
    exchange.port.submit(ListInstrument(instrument=near))
    rows = (ExpiryRow("BTC", expiry_s, 84_500 * E9),)
    mark = MarkRow(NUMBER, 2_500 * E9, volatility_e9=E9 // 2, delta_e9=E9 // 2)
    exchange.port.submit(SetPrices(round=2, expiries=rows, marks=(mark,)))
    return near


def delist(live: Live, near: Instrument) -> None:
    """Ten minutes later: governance's price, everybody is paid, and the keeper takes it off the list."""
    port = live.exchange.port
    port._clock_ns = lambda: time.time_ns() + (LIFE_S + 1) * E9
    port.submit(OracleRound(round=1, settlements=(SettlementRow("BTC", near.expiry_s, 84_000 * E9),)))
    port.submit(DelistInstrument(instrument=NUMBER))
    assert NUMBER in port.state.delisted
    assert InstrumentDelisted in live.gateway.core.market.EVENTS


def test_a_delisted_instrument_is_found_by_nobody_and_its_orders_by_their_owner() -> None:
    """12001 by its name, in no list; an order on it keeps its name, also in a gateway that starts later."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            near = list_near(live.exchange)
            placed = await client.place(near.name, "buy", "0.1", "1000")
            query = {"subaccount_id": live.exchange.traders[0].subaccount_id, "order_id": placed["order"]["order_id"]}
            await client.call("private/cancel", query | {"instrument_name": near.name})
            assert near.name in await client.call("public/get_all_live_instruments", {})
            delist(live, near)
            async with serve(live.exchange) as late, late.client(live.exchange.traders[0]) as other:
                for one in (client, other):
                    assert near.name not in await one.call("public/get_all_live_instruments", {})
                    for expired in (False, True):
                        wanted = {"instrument_type": "option", "currency": "BTC", "expired": expired}
                        rows = (await one.call("public/get_all_instruments", wanted))["instruments"]
                        assert near.name not in [row["instrument_name"] for row in rows]
                    refusal = await one.refused("public/get_instrument", {"instrument_name": near.name})
                    assert refusal["code"] == 12001
                    assert (await one.call("private/get_order", query))["instrument_name"] == near.name

    asyncio.run(asyncio.wait_for(story(), 30))
