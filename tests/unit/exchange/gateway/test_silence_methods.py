"""Dead-man timers and rules for disconnects on the wire (api.md 10.6)."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import Clock
from exchange.domain.limits import MAX_DEAD_MAN_MS
from tests.fakes.live_gateway import serve, until


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timeout_ms": 999}, -32602),
        ({"timeout_ms": MAX_DEAD_MAN_MS + 1}, -32602),
        ({"timeout_ms": None}, -32602),
        ({"subaccount_id": 5}, 14001),
    ],
)
def test_refused_timers(change: dict[str, Any], code: int) -> None:
    """Out of range, missing, or somebody else's: nothing is armed."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            async with live.client(trader) as client:
                params = {"subaccount_id": trader.subaccount_id, "timeout_ms": 1_000} | change
                assert (await client.refused("private/cancel_all_after", params))["code"] == code
                assert not live.exchange.port.state.dead_men

    run(story())


def test_a_client_that_falls_silent_loses_its_orders() -> None:
    """The reply names the deadline; what the timer cancels says so in its order rows and on the account stream."""

    async def story() -> None:
        async with serve() as live:
            trader, port = live.exchange.traders[0], live.exchange.port
            channel = f"{trader.subaccount_id}.orders"
            async with live.client(trader) as client:
                await client.call("subscribe", {"channels": [channel]})
                placed = await client.place("BTC-PERP", "buy", "0.1", "70000")
                params = {"subaccount_id": trader.subaccount_id, "timeout_ms": 1_000}
                armed = await client.call("private/cancel_all_after", params)
                assert abs(armed["cancel_at"] - time.time() * 1_000) < 1_500
                assert port.state.next_deadline_ns() <= armed["cancel_at"] * 1_000_000 + 999_999
                await until(lambda: time.time() * 1_000 > armed["cancel_at"] + 1)
                port.submit(Clock())
                rows = await client.note(channel, lambda rows: rows[0]["order_status"] == "cancelled")
                assert rows[0]["order_id"] == placed["order"]["order_id"]
                assert (rows[0]["cancel_reason"], rows[0]["reason_code"]) == ("user_request", "dead_man_timer")
                assert (await client.call("private/cancel_all_after", params | {"timeout_ms": 0}))["cancel_at"] is None

    run(story())


def test_a_wallets_rule_takes_orders_of_all_its_sessions() -> None:
    """Set for good by one socket, shown by get_account, fired by the loss of another, lifted by name."""

    async def story() -> None:
        async with serve() as live:
            trader, state = live.exchange.traders[0], live.exchange.port.state
            async with live.client(trader) as client:
                await client.place("BTC-PERP", "buy", "0.1", "70000")
                await client.place("BTC-PERP", "buy", "0.1", "70001", cancel_on_disconnect=False)
                assert await client.call("private/set_cancel_on_disconnect", {"spare_reduce_only": True}) == "ok"
                assert (await client.call("private/get_account"))["cancel_on_disconnect"] is True
                async with live.client(trader) as other:
                    await other.call("private/logout")
                assert len(state.open_orders) == 2
                async with live.client(trader):
                    pass
                await until(lambda: len(state.open_orders) == 1)
                await client.call("private/set_cancel_on_disconnect", {"enabled": False})
                assert (await client.call("private/get_account"))["cancel_on_disconnect"] is False
            await until(lambda: not state.sessions)
            assert [order.price_ticks for order in state.open_orders.values()] == [700_010]

    run(story())


@pytest.mark.parametrize("params", [{"scope": "wallet"}, {"scope": "connection", "spare_reduce_only": True}])
def test_refused_rules(params: dict[str, Any]) -> None:
    """Unknown scopes, and sparing stops of one connection only."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            assert (await client.refused("private/set_cancel_on_disconnect", params))["code"] == -32602

    run(story())
