"""Limits of market-maker protection over the wire, and orders that ask for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fakes.live_gateway import serve


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story against a live server."""
    asyncio.run(asyncio.wait_for(story, 30))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"currency": None}, -32602),
        ({"currency": "XYZ"}, 12002),
        ({"instrument_type": "spot"}, -32602),
        ({"mmp_amount_limit": "-1"}, -32602),
        ({"mmp_interval": -1}, -32602),
        ({"mmp_group": 0}, -32602),
    ],
)
def test_limits_that_make_no_sense_are_refused(change: dict[str, object], code: int) -> None:
    """Before the engine hears of them."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id, "currency": "BTC"}
            given = {name: value for name, value in (base | change).items() if value is not None}
            assert (await client.refused("private/set_mmp_config", given))["code"] == code

    run(story())


def test_a_group_that_was_never_set_is_refused() -> None:
    """For a reset, and for an order that asks for its protection."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            assert (await client.refused("private/reset_mmp", base))["code"] == 20009
            order = client.order("BTC-PERP", "buy", "0.1", "70000", mmp=True)
            assert (await client.refused("private/order", order))["code"] == 20009
            order = client.order("BTC-PERP", "buy", "0.1", "70000", mmp_group=1)
            assert (await client.refused("private/order", order))["code"] == -32602

    run(story())


def test_a_group_freezes_is_shown_frozen_and_is_reset() -> None:
    """One fill allowed: the second order of the group ends with the first one's fill."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            trader, other = live.exchange.traders[:2]
            base = {"subaccount_id": trader.subaccount_id}
            limits = {"currency": "BTC", "mmp_interval": 1_000, "mmp_frozen_time": 0, "mmp_count_limit": 1}
            echo = await client.call("private/set_mmp_config", base | limits | {"mmp_amount_limit": "0.5"})
            assert (echo["mmp_amount_limit"], echo["mmp_group"], echo["mmp_count_limit"]) == ("0.5", 1, 1)
            for price in ("70000", "69990"):
                shown = (await client.place("BTC-PERP", "buy", "0.1", price, mmp=True))["order"]
                assert (shown["order_status"], shown["mmp"]) == ("open", True)
            async with live.client(other) as taker:
                await taker.place("BTC-PERP", "sell", "0.1", "70000")
            assert (await client.call("private/get_open_orders", base))["orders"] == []
            (row,) = await client.call("private/get_mmp_config", base)
            assert (row["is_frozen"], row["mmp_unfreeze_time"]) == (True, 0)
            order = client.order("BTC-PERP", "buy", "0.1", "70000", mmp=True)
            assert (await client.refused("private/order", order))["code"] == 11015
            assert await client.call("private/reset_mmp", base) == "ok"
            (row,) = await client.call("private/get_mmp_config", base | {"currency": "BTC"})
            assert row["is_frozen"] is False

    run(story())
