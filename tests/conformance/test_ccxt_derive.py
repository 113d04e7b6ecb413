"""The unmodified ccxt class `derive`, constructor arguments only (api.md 12.1), against an exchange of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from settlement.protocol.signature import address_of, checksum_address
from tests.e2e.running import Running

ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")

PERP = "BTC/USDC:USDC"
OPTION = "an at-the-money call"
FEE = {"max_fee": 100}


def connect(exchange: Running, account: int) -> Any:
    """Construct the client as api.md 12.1 shows it."""
    row = exchange.accounts[account]
    rest = f"{exchange.http}/v3"
    return ccxt.derive(
        {
            "walletAddress": checksum_address(address_of(bytes.fromhex(row["session_key"][2:]))),
            "privateKey": row["session_key"],
            "options": {
                "deriveWalletAddress": row["owner"],
                "subaccount_id": row["subaccount_id"],
                "sandboxMode": True,
            },
            "urls": {"api": {"public": f"{rest}/public", "private": f"{rest}/private", "ws": exchange.socket}},
        }
    )


@asynccontextmanager
async def clients(exchange: Running, *accounts: int) -> AsyncIterator[list[Any]]:
    """Clients with loaded markets; their orders are canceled and their sockets closed at the end."""
    made = [connect(exchange, account) for account in accounts]
    try:
        for client in made:
            await client.load_markets()
        yield made
        for client in made:
            await client.cancel_all_orders()
    finally:
        for client in made:
            await client.close()


def story(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run one coroutine with a limit."""

    async def limited() -> None:
        async with asyncio.timeout(60):
            await steps()

    asyncio.run(limited())


async def instrument(client: Any, which: str) -> tuple[str, float, float]:
    """Symbol, a price near the mark on the instrument's grid, and the grid's step of ten ticks."""
    symbol = which
    if which == OPTION:
        index = (await client.fetch_ticker(PERP))["markPrice"]
        calls = [row for row in client.markets.values() if row.get("optionType") == "call" and row["base"] == "BTC"]
        nearest = min(calls, key=lambda row: (abs(row["strike"] - index), row["expiry"]))
        symbol = nearest["symbol"]
    mark = (await client.fetch_ticker(symbol))["markPrice"]
    tick = Decimal(str(client.market(symbol)["precision"]["price"]))
    return symbol, float(round(Decimal(str(mark)) / tick) * tick), float(10 * tick)


def test_markets(exchange: Running) -> None:
    """Two perpetuals, calls and puts on at least 3 expiries x 11 strikes of each underlying, currencies, the time."""

    async def steps() -> None:
        async with clients(exchange, 0) as (client,):
            assert {PERP, "ETH/USDC:USDC"} == {row["symbol"] for row in client.markets.values() if row["swap"]}
            for base in ("BTC", "ETH"):
                options = [row for row in client.markets.values() if row["option"] and row["base"] == base]
                cells = {(row["expiry"], row["strike"], row["optionType"]) for row in options}
                assert len(cells) == len(options) >= 3 * 11 * 2
                assert len({expiry for expiry, _, _ in cells}) >= 3
            perp = client.market(PERP)
            assert (perp["precision"], perp["limits"]["amount"]["min"]) == ({"amount": 0.001, "price": 0.1}, 0.001)
            assert {"USDC", "BTC", "ETH"} <= set(await client.fetch_currencies())
            assert abs(await client.fetch_time() - client.milliseconds()) < 5_000

    story(steps)


def test_market_data(exchange: Running) -> None:
    """Ticker, option, greeks and open interest parse to numbers that belong together."""

    async def steps() -> None:
        async with clients(exchange, 0) as (client,):
            perp = await client.fetch_ticker(PERP)
            assert perp["symbol"] == PERP
            assert 10_000 < perp["markPrice"] < 1_000_000
            symbol, _, _ = await instrument(client, OPTION)
            option = await client.fetch_option(symbol)
            greeks = await client.fetch_greeks(symbol)
            assert 0 < option["markPrice"] < perp["markPrice"]
            assert 0.2 < greeks["delta"] < 0.8
            assert greeks["gamma"] > 0 > greeks["theta"]
            assert 0.1 < greeks["markImpliedVolatility"] < 2
            assert (await client.fetch_open_interest(symbol))["symbol"] == symbol

    story(steps)


@pytest.mark.parametrize("which", [PERP, OPTION])
def test_orders_from_placement_to_position(exchange: Running, which: str) -> None:
    """Limit and market orders fill between two accounts after an edit; lists, histories and positions agree."""

    async def steps() -> None:
        async with clients(exchange, 1, 2) as (maker, taker):
            symbol, price, step = await instrument(maker, which)
            before = {client: await held(client, symbol) for client in (maker, taker)}
            placed = await maker.create_order(symbol, "limit", "sell", 0.5, price + step, FEE | {"clientOrderId": "a"})
            assert (placed["status"], placed["clientOrderId"], placed["remaining"]) == ("open", "a", 0.5)
            assert (placed["price"], placed["side"], placed["type"]) == (price + step, "sell", "limit")
            edited = await maker.edit_order(placed["id"], symbol, "limit", "sell", 0.7, price, dict(FEE))
            assert (edited["price"], edited["amount"], edited["status"]) == (price, 0.7, "open")
            assert edited["id"] != placed["id"]
            bought = await taker.create_order(symbol, "limit", "buy", 0.2, price + step, dict(FEE))
            assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 0.2, price)
            market = await taker.create_order(symbol, "market", "buy", 0.1, price + step, dict(FEE))
            assert (market["type"], market["status"], market["filled"]) == ("market", "closed", 0.1)
            await fills_are_recorded(maker, taker, symbol, edited["id"], bought["id"], price)
            assert await held(taker, symbol) - before[taker] == pytest.approx(0.3)
            assert await held(maker, symbol) - before[maker] == pytest.approx(-0.3)
            await cancellations(maker, symbol, edited["id"], placed["id"])

    story(steps)


async def held(client: Any, symbol: str) -> float:
    """Signed position of a symbol."""
    for row in await client.fetch_positions([symbol]):
        return float(row["contracts"]) * (1 if row["side"] == "long" else -1)
    return 0.0


async def fills_are_recorded(maker: Any, taker: Any, symbol: str, resting: str, taken: str, price: float) -> None:
    """Own trades with side, role and fee, the order's trades, and public trades."""
    order = await maker.fetch_order(resting, symbol)
    assert (order["filled"], order["remaining"], order["status"]) == (pytest.approx(0.3), pytest.approx(0.4), "open")
    assert [row["id"] for row in await maker.fetch_open_orders(symbol)] == [resting]
    mine = (await taker.fetch_my_trades(symbol))[-2:]
    assert {(row["side"], row["takerOrMaker"], row["price"]) for row in mine} == {("buy", "taker", price)}
    assert sorted(row["amount"] for row in mine) == [0.1, 0.2]
    assert all(row["fee"]["cost"] > 0 for row in mine)
    theirs = (await maker.fetch_my_trades(symbol))[-2:]
    assert {(row["side"], row["takerOrMaker"]) for row in theirs} == {("sell", "maker")}
    assert [row["amount"] for row in await taker.fetch_order_trades(taken, symbol)] == [0.2]
    assert {row["price"] for row in (await taker.fetch_trades(symbol))[-2:]} == {price}
    assert taken in {row["id"] for row in await taker.fetch_closed_orders(symbol)}


async def cancellations(maker: Any, symbol: str, resting: str, replaced: str) -> None:
    """Cancel one, cancel again, edit what is gone, cancel all of one symbol and of all."""
    assert (await maker.cancel_order(resting, symbol))["status"] == "canceled"
    with pytest.raises(ccxt.InvalidOrder, match="11003"):
        await maker.cancel_order(resting, symbol)
    canceled = {row["id"]: row["status"] for row in await maker.fetch_canceled_orders(symbol)}
    assert canceled[resting] == canceled[replaced] == "canceled"
    _, price, step = await instrument(maker, symbol)
    for level in (2, 3):
        await maker.create_order(symbol, "limit", "sell", 0.1, price + level * step, FEE | {"postOnly": True})
    other = await maker.create_order("ETH/USDC:USDC", "limit", "buy", 0.1, 1_000, dict(FEE))
    assert len(await maker.fetch_open_orders(symbol)) == 2
    await maker.cancel_all_orders(symbol)
    assert await maker.fetch_open_orders(symbol) == []
    assert [row["id"] for row in await maker.fetch_open_orders()] == [other["id"]]
    await maker.cancel_all_orders()
    assert await maker.fetch_open_orders() == []


def test_balance_follows_a_trade(exchange: Running) -> None:
    """A fill of a perpetual costs its fee, to the last digit; margin of the position is used."""

    async def steps() -> None:
        async with clients(exchange, 3, 4) as (seller, buyer):
            symbol, price, _ = await instrument(buyer, PERP)
            before, cash = (await buyer.fetch_balance())["USDC"], await cash_of(buyer)
            await seller.create_order(symbol, "limit", "sell", 0.5, price, dict(FEE))
            await buyer.create_order(symbol, "limit", "buy", 0.5, price, FEE | {"timeInForce": "IOC"})
            after = (await buyer.fetch_balance())["USDC"]
            [trade] = await buyer.fetch_my_trades(symbol)
            assert trade["fee"]["cost"] == pytest.approx(0.5 * price * 0.0003, rel=0.01)
            assert cash - await cash_of(buyer) == Decimal(trade["info"]["trade_fee"])
            assert before["total"] - after["total"] == pytest.approx(trade["fee"]["cost"], abs=0.005 * price)
            assert after["used"] > before["used"]
            [position] = await buyer.fetch_positions([symbol])
            assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.5, price)
            one = await buyer.fetch_balance({"subaccount_id": buyer.options["subaccount_id"]})
            assert one["USDC"]["total"] == after["total"]
            assert [row["id"] for row in await buyer.fetch_accounts()] == [str(buyer.options["subaccount_id"])]

    story(steps)


async def cash_of(client: Any) -> Decimal:
    """USDC of the subaccount as the exchange wrote it."""
    reply = await client.privatePostGetCollaterals({"subaccount_id": client.options["subaccount_id"]})
    return Decimal(reply["result"]["collaterals"][0]["amount"])


REFUSALS = {
    "size off the grid": (ccxt.InvalidOrder, "11012", 0.0015, 80_000, {}),
    "fee cap too low": (ccxt.InvalidOrder, "11023", 0.5, 80_000, {"max_fee": 0.001}),
    "margin": (ccxt.InsufficientFunds, "11000", 900, 80_000, {}),
    "fill or kill without liquidity": (ccxt.InvalidOrder, "11014", 0.5, 50_000, {"timeInForce": "FOK"}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_arrive_as_their_classes(exchange: Running, case: str) -> None:
    """Each refusal has ccxt's class and our code."""

    async def steps() -> None:
        kind, code, amount, price, params = REFUSALS[case]
        async with clients(exchange, 5) as (client,):
            with pytest.raises(kind, match=code):
                await client.create_order(PERP, "limit", "buy", amount, price, FEE | params)
            assert await client.fetch_open_orders(PERP) == []

    story(steps)


def test_more_refusals_and_labels(exchange: Running) -> None:
    """Post-only that would cross, unknown orders, cancel by client order id, and the order that is only tested."""

    async def steps() -> None:
        async with clients(exchange, 5, 6) as (client, other):
            symbol, price, step = await instrument(client, PERP)
            await other.create_order(symbol, "limit", "sell", 0.1, price, dict(FEE))
            with pytest.raises(ccxt.InvalidOrder, match="11008"):
                await client.create_order(symbol, "limit", "buy", 0.1, price + step, FEE | {"postOnly": True})
            with pytest.raises(ccxt.OrderNotFound):
                await client.fetch_order("00000000-0000-8010-8116-0b9de104199c", symbol)
            await client.create_order(symbol, "limit", "buy", 0.5, price - step, FEE | {"clientOrderId": "mine"})
            await client.cancel_order("", symbol, {"clientOrderId": "mine"})
            await client.create_order(symbol, "limit", "buy", 0.5, price - step, FEE | {"test": True})
            assert await client.fetch_open_orders(symbol) == []

    story(steps)


def test_deposits_and_candles(exchange: Running) -> None:
    """The demo's deposit is in the history; candles of the minute hold the trades."""

    async def steps() -> None:
        async with clients(exchange, 7, 8) as (seller, buyer):
            symbol, price, _ = await instrument(buyer, "ETH/USDC:USDC")
            await seller.create_order(symbol, "limit", "sell", 0.5, price, dict(FEE))
            await buyer.create_order(symbol, "limit", "buy", 0.5, price, dict(FEE))
            [deposit] = await buyer.fetch_deposits()
            assert (deposit["currency"], deposit["amount"]) == ("USDC", 2_000_000)
            assert await buyer.fetch_withdrawals() == []
            candle = (await buyer.fetch_ohlcv(symbol, "1m", limit=5))[-1]
            assert candle[1:5] == [price] * 4

    story(steps)


def test_streams(exchange: Running) -> None:
    """Book, ticker, own orders, own trades, balance and positions arrive on the socket."""

    async def steps() -> None:
        async with clients(exchange, 8, 9) as (maker, taker):
            symbol, price, _ = await instrument(maker, PERP)
            price = float(round(price))  # ccxt subscribes to a book in groups of ten ticks
            await maker.create_order(symbol, "limit", "sell", 1, price, dict(FEE))
            book = await taker.watch_order_book(symbol)
            assert book["asks"] == [[price, 1]]
            assert (await taker.watch_ticker(symbol))["ask"] == price
            start = (await taker.fetch_balance())["USDC"]["total"]
            orders, trades, balance, positions = await watched(taker, symbol, price)
            assert {row["status"] for row in orders} == {"closed"}
            assert [(row["amount"], row["price"], row["side"]) for row in trades] == [(0.25, price, "buy")]
            assert 0 < start - balance["USDC"]["total"] < 0.02 * price
            assert [row["contracts"] for row in positions] == [0.25]
            await book_becomes(taker, symbol, [[price, 0.75]])
            await maker.cancel_all_orders()
            await book_becomes(taker, symbol, [])
            await taker.un_watch_order_book(symbol)

    story(steps)


async def book_becomes(client: Any, symbol: str, asks: list[list[float]]) -> None:
    """Watch the book until its asks are these."""
    async with asyncio.timeout(10):
        while (await client.watch_order_book(symbol))["asks"] != asks:
            pass


async def watched(client: Any, symbol: str, price: float) -> list[Any]:
    """Subscribe the four private streams, buy, and return the first message of each."""
    calls = (client.watch_orders, client.watch_my_trades, client.watch_balance, client.watch_positions)
    watches = [asyncio.ensure_future(call()) for call in calls]
    account = client.options["subaccount_id"]
    names = {f"{account}.orders", f"{account}.trades", f"{account}.balances", f"positions:{account}.balances"}
    known = client.client(client.urls["api"]["ws"]).subscriptions
    while not names <= set(known):  # noqa: ASYNC110 - ccxt has no event for it
        await asyncio.sleep(0.02)
    # Over the same socket: what was asked before this first ticker has been answered.
    other, _, _ = await instrument(client, OPTION)
    await client.watch_ticker(other)
    await client.create_order(symbol, "limit", "buy", 0.25, price, dict(FEE))
    async with asyncio.timeout(10):
        return list(await asyncio.gather(*watches))
