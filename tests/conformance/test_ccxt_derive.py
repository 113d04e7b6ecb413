"""The unmodified ccxt class `derive` against a live server: constructor arguments only (api.md 12.1)."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import Trader

ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 60))


def connect(live: Live, trader: Trader) -> Any:
    """Construct the client as the README shows it."""
    rest = f"{live.http}/v3"
    return ccxt.derive({
        "walletAddress": trader.signer,
        "privateKey": "0x" + trader.session_key.hex(),
        "options": {
            "deriveWalletAddress": trader.owner,
            "subaccount_id": trader.subaccount_id,
            "sandboxMode": True,
        },
        "rateLimit": 1,
        "urls": {
            "api": {
                "public": f"{rest}/public",
                "private": f"{rest}/private",
                "ws": f"ws://127.0.0.1:{live.port}/v3/ws",
            }
        },
    })


FEE = {"max_fee": 100}
PERP = "BTC/USDC:USDC"


def test_markets_and_market_data() -> None:
    """Markets load with options, and ticker, greeks, trades and candles parse."""

    async def story() -> None:
        async with serve() as live:
            client = connect(live, live.exchange.traders[0])
            try:
                markets = await client.load_markets()
                assert {PERP, "ETH/USDC:USDC"} <= set(markets)
                assert sum(row["option"] for row in markets.values()) == 2
                assert "USDC" in client.currencies
                assert abs(await client.fetch_time() - client.milliseconds()) < 5_000
                ticker = await client.fetch_ticker(PERP)
                assert ticker["markPrice"] == 84_000
                call = next(row["symbol"] for row in markets.values() if row.get("optionType") == "call")
                assert (await client.fetch_greeks(call))["delta"] == 0.5
                assert (await client.fetch_option(call))["markPrice"] == 2_500
                assert (await client.fetch_open_interest(PERP))["openInterestAmount"] == 0
                assert await client.fetch_trades(PERP, limit=10) == []
                assert await client.fetch_ohlcv(PERP, "1m", limit=5) == []
            finally:
                await client.close()

    run(story())


@pytest.mark.parametrize("kind", ["perp", "option"])
def test_orders_from_placement_to_history(kind: str) -> None:
    """Orders are placed, edited, filled and canceled, and every list shows them."""

    async def story() -> None:
        async with serve() as live:
            maker, taker = (connect(live, trader) for trader in live.exchange.traders[:2])
            try:
                markets = await maker.load_markets()
                await taker.load_markets()
                calls = [row["symbol"] for row in markets.values() if row.get("optionType") == "call"]
                symbol, price = (PERP, 84_000) if kind == "perp" else (calls[0], 2_500)
                first = await maker.create_order(symbol, "limit", "sell", 0.5, price, FEE | {"clientOrderId": "first"})
                assert (first["status"], first["clientOrderId"], first["remaining"]) == ("open", "first", 0.5)
                edited = await maker.edit_order(first["id"], symbol, "limit", "sell", 0.7, price + 1, dict(FEE))
                assert edited["info"]["replaced_order_id"] == first["id"]
                assert (edited["price"], edited["amount"]) == (price + 1, 0.7)
                bought = await taker.create_order(symbol, "limit", "buy", 0.2, price + 10, dict(FEE))
                assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 0.2, price + 1)
                market = await taker.create_order(symbol, "market", "buy", 0.1, price + 10, dict(FEE))
                assert (market["type"], market["filled"]) == ("market", 0.1)
                assert (await maker.fetch_order(edited["id"], symbol))["filled"] == pytest.approx(0.3)
                assert [row["id"] for row in await maker.fetch_open_orders(symbol)] == [edited["id"]]
                assert (await maker.cancel_order(edited["id"], symbol))["status"] == "canceled"
                with pytest.raises(ccxt.InvalidOrder):
                    await maker.cancel_order(edited["id"], symbol)
                assert await maker.fetch_open_orders(symbol) == []
                assert {row["status"] for row in await maker.fetch_canceled_orders(symbol)} == {"canceled"}
                assert len(await taker.fetch_closed_orders(symbol)) == 2
                mine = await taker.fetch_my_trades(symbol)
                assert [row["takerOrMaker"] for row in mine] == ["taker", "taker"]
                assert len(await taker.fetch_order_trades(bought["id"], symbol)) == 1
                assert len(await taker.fetch_trades(symbol)) == 2
                position = (await taker.fetch_positions())[0]
                assert (position["side"], position["contracts"]) == ("long", pytest.approx(0.3))
                assert position["entryPrice"] == price + 1
                short = (await maker.fetch_positions([symbol]))[0]
                assert (short["side"], short["contracts"]) == ("short", pytest.approx(0.3))
                await maker.cancel_all_orders()
                await maker.cancel_all_orders(symbol)
                balance = await maker.fetch_balance()
                assert balance["USDC"]["total"] > 4_900_000
                assert balance["USDC"]["used"] > 0
                one = await maker.fetch_balance({"subaccount_id": live.exchange.traders[0].subaccount_id})
                assert one["USDC"]["total"] == balance["USDC"]["total"]
            finally:
                await maker.close()
                await taker.close()

    run(story())


def test_cancel_by_label_and_debug_and_histories() -> None:
    """Cancel by client order id, the test order, accounts and transfers."""

    async def story() -> None:
        async with serve() as live:
            client = connect(live, live.exchange.traders[0])
            try:
                await client.load_markets()
                params = FEE | {"postOnly": True, "clientOrderId": "mine"}
                await client.create_order(PERP, "limit", "buy", 0.5, 80_000, params)
                await client.cancel_order("", PERP, {"clientOrderId": "mine"})
                assert await client.fetch_open_orders(PERP) == []
                await client.create_order(PERP, "limit", "buy", 0.5, 80_000, FEE | {"test": True})
                assert await client.fetch_open_orders(PERP) == []
                assert await client.fetch_open_orders(PERP, params={"trigger": True}) == []
                accounts = await client.fetch_accounts()
                assert accounts[0]["id"] == str(live.exchange.traders[0].subaccount_id)
                assert await client.fetch_deposits() == []
                assert await client.fetch_withdrawals() == []
                with pytest.raises(ccxt.InvalidOrder, match="11023"):
                    await client.create_order(PERP, "limit", "buy", 0.5, 80_000, {"max_fee": 1})
                with pytest.raises(ccxt.InvalidOrder, match="11012"):
                    await client.create_order(PERP, "limit", "buy", 0.123, 80_000, dict(FEE))
                with pytest.raises(ccxt.OrderNotFound):
                    await client.fetch_order("00000000-0000-8010-8116-0b9de104199c", PERP)
            finally:
                await client.close()

    run(story())


def test_streams() -> None:
    """Book, ticker, own orders, own trades, balance and positions arrive on the socket."""

    async def story() -> None:
        async with serve() as live:
            maker, taker = (connect(live, trader) for trader in live.exchange.traders[:2])
            try:
                await maker.load_markets()
                await taker.load_markets()
                await maker.create_order(PERP, "limit", "sell", 1, 84_000, dict(FEE))
                book = await taker.watch_order_book(PERP)
                assert book["asks"] == [[84_000, 1]]
                assert (await taker.watch_ticker(PERP))["ask"] == 84_000
                watches = [
                    asyncio.ensure_future(taker.watch_orders()),
                    asyncio.ensure_future(taker.watch_my_trades()),
                    asyncio.ensure_future(taker.watch_balance()),
                    asyncio.ensure_future(taker.watch_positions()),
                ]
                while len(taker.client(taker.urls["api"]["ws"]).subscriptions) < 6:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                await taker.create_order(PERP, "limit", "buy", 0.25, 84_000, dict(FEE))
                orders, trades, balance, positions = await asyncio.wait_for(asyncio.gather(*watches), 10)
                assert (orders[0]["status"], trades[0]["amount"]) == ("closed", 0.25)
                assert balance["USDC"]["total"] < 5_000_000
                assert positions[0]["contracts"] == 0.25
                await taker.un_watch_order_book(PERP)
            finally:
                await maker.close()
                await taker.close()

    run(story())
