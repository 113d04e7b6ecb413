"""Auctions over a real socket: what is offered, which bids are refused before the engine, what a bidder gets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from decimal import Decimal
from typing import Any

import pytest

from exchange.client import OffbookClient, OffbookError
from exchange.client.auctions import Liquidator, bid, covering_lines
from exchange.client.signing import Credentials
from exchange.domain.commands import BatchCut, Clock, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.liquidations import LiquidationStage
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9

PERP = "BTC-PERP"
LOW = 77_500


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 40))


def fall(live: Live, price: int) -> None:
    """Index and mark of BTC, and the Clock that looks at the accounts."""
    port, number = live.exchange.port, live.gateway.core.market.named(PERP).instrument_id
    index, marks = (UnderlyingRow("BTC", price * E9),), (MarkRow(number, price * E9),)
    port.submit(SetPrices(round=port.state.prices.round + 1, underlyings=index, marks=marks))
    port.submit(Clock())


async def auctioned(live: Live, price: int = LOW) -> None:
    """The first trader is long 740 BTC with 5M, bought at 84,000; at 77,500 his portfolio is offered."""
    traders = live.exchange.traders
    async with live.client(traders[0]) as long, live.client(traders[1]) as short:
        for _ in range(2):
            await short.place(PERP, "sell", "370", "84000")
            await long.place(PERP, "buy", "370", "84000")
            fall(live, 84_000)
    live.exchange.port.submit(BatchCut())
    fall(live, price)


def credentials(live: Live, number: int) -> Credentials:
    """Of one of the traders."""
    trader = live.exchange.traders[number]
    return Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id)


@contextlib.asynccontextmanager
async def bidder(live: Live, number: int = 2) -> AsyncIterator[OffbookClient]:
    """The client of a trader."""
    client = OffbookClient(f"ws://127.0.0.1:{live.port}/v3/ws", credentials(live, number))
    await client.open()
    try:
        yield client
    finally:
        await client.close()


def test_nothing_is_offered_while_everybody_has_margin() -> None:
    """By method and by channel, which says so once."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert await client.call("public/get_auctions") == []
            await client.call("subscribe", {"channels": ["auctions.watch"]})
            assert await client.note("auctions.watch") == []
            answer = await client.call("subscribe", {"channels": ["auctions.all"]})
            assert answer["status"] == {"auctions.all": "13000 unknown channel"}

    run(story())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"percent_of_acc": "0"}, -32602),
        ({"percent_of_acc": "100.01"}, -32602),
        ({"percent_of_acc": "0.001"}, -32602),
        ({"percent_of_acc": None}, -32602),
        ({"price_limit": None}, -32602),
        ({"price_limit": "1e30"}, -32602),
        ({"liquidate_subaccount_id": None}, -32602),
        ({"liquidate_subaccount_id": 0}, -32602),
        ({"last_seen_trade_id": -1}, -32602),
        ({"cash_transfer": "1"}, -32602),
        ({"merge_account": True}, -32602),
        ({"lines": []}, -32602),
        ({"lines": [["BTC-PERP", "1", "1", None, None]] * 65}, 20006),
        ({"signature": None}, -32602),
        ({"liquidate_subaccount_id": 7}, 20050),
        ({"last_seen_trade_id": 1}, 20051),
        ({"price_limit": "1"}, 20054),
        ({"subaccount_id": 10**6}, 14001),
    ],
)
def test_a_bid_that_is_not_in_order_is_refused(changed: dict[str, Any], code: int) -> None:
    """With the code of the first fault; nothing is sold."""

    async def story() -> None:
        async with serve() as live:
            await auctioned(live)
            async with bidder(live) as client:
                (auction,) = await client.request("public/get_auctions")
                params = {
                    "liquidate_subaccount_id": auction["subaccount_id"],
                    "percent_of_acc": "5",
                    "price_limit": "1000000",
                    **await client.signed_lines(covering_lines(client.markets, auction["legs"], 10_000)),
                    **changed,
                }
                with pytest.raises(OffbookError) as error:
                    await client.request("private/liquidate", params)
                assert error.value.code == code
                assert (await client.request("public/get_auctions"))[0]["legs"] == auction["legs"]

    run(story())


def test_a_bid_with_another_line_than_was_signed_is_refused() -> None:
    """The signature covers every price and size."""

    async def story() -> None:
        async with serve() as live:
            await auctioned(live)
            async with bidder(live) as client:
                (auction,) = await client.request("public/get_auctions")
                params = await client.signed_lines(covering_lines(client.markets, auction["legs"], 10_000))
                params |= {"liquidate_subaccount_id": auction["subaccount_id"], "percent_of_acc": "5"}
                params |= {"price_limit": "1000000", "lines": [[PERP, "90000", "740", None, None]]}
                with pytest.raises(OffbookError) as error:
                    await client.request("private/liquidate", params)
                assert error.value.code == 14014

    run(story())


def test_an_auction_names_nobody_and_says_all_that_a_bid_needs() -> None:
    """Number, type, worth, price of the whole and of each leg; the channel has the same."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await auctioned(live)
            (auction,) = await client.call("public/get_auctions")
            assert auction["auction_type"] == "solvent"
            assert auction["subaccount_id"] not in {trader.subaccount_id for trader in live.exchange.traders}
            assert [(leg["instrument_name"], leg["amount"]) for leg in auction["legs"]] == [(PERP, "740")]
            assert 0 < Decimal(auction["bid_price"]) <= Decimal(auction["subaccount_value"]) * Decimal("0.95")
            assert Decimal(auction["legs"][0]["price"]) < LOW
            await client.call("subscribe", {"channels": ["auctions.watch"]})
            (item,) = await client.note("auctions.watch")
            assert item | {"timestamp": 0} == auction | {"timestamp": 0}

    run(story())


def test_a_bidder_takes_a_share() -> None:
    """5 % of the portfolio for 5 % of what it costs; both accounts read how it went."""

    async def story() -> None:
        async with serve() as live:
            await auctioned(live)
            async with bidder(live) as client, bidder(live, 0) as sold:
                (auction,) = await client.request("public/get_auctions")
                result = await bid(client, auction, percent="5")
                (trade,) = result["trades"]
                assert (trade["instrument_name"], trade["direction"], trade["trade_amount"]) == (PERP, "buy", "37")
                assert (trade["trade_price"], trade["trade_fee"]) == (auction["legs"][0]["price"], "0")
                assert result["percent_of_acc"] == "5"
                # The price of a leg is rounded to a tick.
                assert abs(Decimal(result["price"]) - Decimal(auction["bid_price"]) / 20) < 37
                (position,) = await client.positions()
                assert position["amount"] == "37"
                rows = await sold.request("private/get_liquidation_history", sold.own())
                (told,) = [row for row in rows["liquidations"] if row.get("event") == "auction_bid"]
                assert (told["stage"], told["percent_of_acc"], told["price"]) == ("auction", "5", result["price"])
                (left,) = await client.request("public/get_auctions")
                assert left["legs"][0]["amount"] == "703"

    run(story())


def test_the_liquidator_bids_when_the_legs_are_good_enough() -> None:
    """Not for a thousandth of the marks when it wants two; then for a part that its margin carries."""

    async def story() -> None:
        async with serve() as live:
            await auctioned(live)
            url = f"ws://127.0.0.1:{live.port}/v3/ws"
            dear = Liquidator(url, credentials(live, 2), margin_ppm=900_000, percent="5")
            eager = Liquidator(url, credentials(live, 2), margin_ppm=1, percent="5")
            await dear.client.open()
            await dear.look()
            assert (dear.counts.orders, dear.counts.fills) == (0, 0)
            await dear.client.close()
            await eager.client.open()
            await eager.look()
            assert (eager.counts.orders, eager.counts.fills) == (1, 1)
            await eager.client.close()
            (row,) = live.exchange.port.state.liquidations.values()
            assert row.stage is LiquidationStage.AUCTION

    run(story())
