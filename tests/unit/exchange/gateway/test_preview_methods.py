"""`private/order_quote`: what is refused before it is asked, and that the order then does what was said."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fakes.live_gateway import Client, serve

PERP = "BTC-PERP"


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def asked(client: Client, **terms: Any) -> dict[str, Any]:
    """A buy of the client's account, without a signature."""
    assert client.trader is not None
    order = {"instrument_name": PERP, "direction": "buy", "amount": "1", "limit_price": "70000"}
    return order | {"subaccount_id": client.trader.subaccount_id} | terms


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"amount": None}, -32602),
        ({"limit_price": None}, -32602),
        ({"direction": "up"}, -32602),
        ({"limit_price": "70000.01"}, 11013),
        ({"amount": "0.0001"}, 11012),
        ({"instrument_name": "DOGE-PERP"}, 12001),
        ({"subaccount_id": 1}, 14001),
        ({"order_type": "market", "time_in_force": "post_only"}, 11010),
    ],
)
def test_terms_that_make_no_order_are_refused(terms: dict[str, Any], code: int) -> None:
    """With the code that the order would get."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            given = {name: value for name, value in asked(client, **terms).items() if value is not None}
            assert (await client.refused("private/order_quote", given))["code"] == code

    run(story())


def test_an_order_that_would_be_refused_says_why() -> None:
    """Valid terms that the account cannot afford: an answer, not an error."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            quote = await client.call("private/order_quote", asked(client, amount="900"))
            assert not quote["is_valid"]
            assert quote["invalid_reason"] == "Insufficient funds"
            assert quote["post_initial_margin"] == quote["pre_initial_margin"]
            assert (quote["fills"], quote["slippage_bps"]) == ([], None)

    run(story())


def test_the_order_does_what_its_quote_said() -> None:
    """Fills, average, fee, status and the margin that is left afterwards."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                await maker.place(PERP, "sell", "0.4", "70000")
                await maker.place(PERP, "sell", "0.4", "70010")
                quote = await taker.call("private/order_quote", asked(taker, limit_price="70010", time_in_force="ioc"))
                before = await taker.call("private/get_subaccount", {"subaccount_id": two.subaccount_id})
                placed = await taker.place(PERP, "buy", "1", "70010", time_in_force="ioc")
                after = await taker.call("private/get_subaccount", {"subaccount_id": two.subaccount_id})
        assert quote["fills"] == [["70000", "0.4"], ["70010", "0.4"]]
        assert quote["estimated_fill_price"] == placed["order"]["average_price"] == "70005"
        assert quote["estimated_fill_amount"] == placed["order"]["filled_amount"]
        assert quote["estimated_fee"] == placed["order"]["order_fee"]
        assert quote["estimated_order_status"] == placed["order"]["order_status"] == "cancelled"
        assert quote["pre_initial_margin"] == before["initial_margin"]
        assert quote["post_initial_margin"] == after["initial_margin"]
        assert float(placed["order"]["max_fee"]) >= float(quote["suggested_max_fee"]) / 2 > 0

    run(story())
