"""`display_amount` on the wire: checked, echoed to the owner, and all that the public sees."""

import asyncio
from typing import Any

import pytest

from tests.fakes.live_gateway import serve


@pytest.mark.parametrize(
    ("display", "members", "code"),
    [
        ("0.0000001", {}, 11012),
        ("0", {}, 11012),
        ("0.3", {}, 11012),
        ("0.001", {}, 11012),
        ("0.05", {"time_in_force": "ioc"}, 20016),
        ("0.05", {"time_in_force": "fok"}, 20016),
        ("0.05", {"order_type": "market"}, 20016),
    ],
)
def test_a_display_amount_must_fit_an_order_that_can_rest(display: str, members: dict[str, Any], code: int) -> None:
    """Off the step, zero, above the amount, one of more than 100 slices; or of what never rests."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            order = client.order("BTC-PERP", "buy", "0.2", "70000", display_amount=display, **members)
            assert (await client.refused("private/order", order))["code"] == code

    asyncio.run(asyncio.wait_for(story(), 30))


def test_the_owner_sees_the_slice_and_the_public_only_that() -> None:
    """The order echoes 0.05 of 0.2, a plain one null; the ticker shows 0.05; an edit may not name another."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            order = (await client.place("BTC-PERP", "buy", "0.2", "70000", display_amount="0.05"))["order"]
            plain = (await client.place("BTC-PERP", "buy", "0.2", "69000"))["order"]
            assert (order["amount"], order["display_amount"], plain["display_amount"]) == ("0.2", "0.05", None)
            rows = (await client.call("private/get_open_orders", base))["orders"]
            assert {row["display_amount"] for row in rows} == {"0.05", None}
            ticker = await client.call("public/get_ticker", {"instrument_name": "BTC-PERP"})
            assert ticker["B"] == "0.05"
            edit = base | {"order_id": order["order_id"], "amount": "0.1", "display_amount": "0.1"}
            assert (await client.refused("private/edit", edit))["code"] == -32602
            edited = (await client.call("private/edit", edit | {"display_amount": None}))["order"]
            assert (edited["amount"], edited["display_amount"]) == ("0.1", "0.05")

    asyncio.run(asyncio.wait_for(story(), 30))
