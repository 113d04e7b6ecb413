"""Trigger orders and signed edits on the wire: members, refusals, rows, cancels, streams."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import MarkRow, SetPrices, UnderlyingRow
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9

STOP = {"trigger_type": "stoploss", "trigger_price": "83000"}


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def move_prices(live: Live, dollars: int) -> None:
    """A round with BTC at `dollars`."""
    state = live.exchange.port.state
    row = MarkRow(live.exchange.instruments["BTC-PERP"].instrument_id, dollars * E9)
    index = UnderlyingRow("BTC", dollars * E9)
    live.exchange.port.submit(SetPrices(round=state.prices.round + 1, underlyings=(index,), marks=(row,)))


@pytest.mark.parametrize(
    ("extra", "code", "field"),
    [
        ({"trigger_price": "1"}, -32602, "trigger_type"),
        ({"trigger_type": "never", "trigger_price": "1"}, -32602, "trigger_type"),
        ({"trigger_type": "stoploss"}, -32602, "trigger_price"),
        ({**STOP, "trigger_price_type": "best"}, -32602, "trigger_price_type"),
        ({**STOP, "trigger_price": "0"}, 11013, "trigger_price"),
        ({**STOP, "trigger_price": "0.0000000001"}, 11013, "trigger_price"),
        ({"trigger_type": "trailing"}, -32602, "trailing_offset"),
        ({"trigger_type": "trailing", "trailing_offset": "1", "trailing_percent": "1"}, -32602, "trailing_percent"),
        ({"trigger_type": "trailing", "trailing_percent": "100"}, -32602, "trailing_percent"),
        ({"trigger_type": "trailing", "trailing_percent": "0.00001"}, -32602, "trailing_percent"),
        ({**STOP, "parent_order_id": "x"}, 11006, None),
        ({**STOP, "trigger_price": "84000"}, 11051, None),
        ({"trigger_type": "trailing", "trailing_offset": "1", "trigger_price_type": "last"}, 11053, None),
        ({**STOP, "order_type": "market"}, 11055, None),
    ],
)
def test_refusals_name_the_member_or_the_rule(extra: dict[str, Any], code: int, field: str | None) -> None:
    """Shape is the gateway's, before the signature; sides and sources are the engine's."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            error = await client.refused("private/order", client.order("BTC-PERP", "sell", "0.1", "83500", **extra))
            assert error["code"] == code, error
            if field is not None:
                assert json.loads(error["data"])["field"] == field
            if code == 11051:
                assert json.loads(error["data"])["mark_price"] == "84000"

    run(story())


def test_a_trigger_order_is_listed_apart_and_fires() -> None:
    """Untriggered in its own list, open after the price came, on the stream both times; the id stays."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            sub = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            channel = f"{sub['subaccount_id']}.orders"
            await client.call("subscribe", {"channels": [channel]})
            order = (await client.place("BTC-PERP", "sell", "0.1", "83500", **STOP))["order"]
            shown = {
                name: order[name] for name in ("order_status", "trigger_type", "trigger_price", "trigger_price_type")
            }
            assert shown == {
                "order_status": "untriggered",
                "trigger_type": "stoploss",
                "trigger_price": "83000",
                "trigger_price_type": "mark",
            }
            assert (await client.call("private/get_open_orders", sub))["orders"] == []
            (row,) = (await client.call("private/get_trigger_orders", sub))["orders"]
            assert row["order_id"] == order["order_id"]
            move_prices(live, 82_900)
            (item,) = await client.note(channel, lambda data: data[0]["order_status"] == "open")
            assert (item["order_id"], item["trigger_price"]) == (order["order_id"], "83000")
            assert (await client.call("private/get_trigger_orders", sub))["orders"] == []

    run(story())


def test_a_refused_trigger_says_why() -> None:
    """Rejected, trigger_failed, and the code with its text."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            order = (await client.place("BTC-PERP", "sell", "0.1", "80000", reduce_only=True, **STOP))["order"]
            move_prices(live, 82_900)
            query = {"subaccount_id": order["subaccount_id"], "order_id": order["order_id"]}
            row = await client.call("private/get_order", query)
            assert (row["order_status"], row["cancel_reason"]) == ("rejected", "trigger_failed")
            assert row["trigger_reject_message"] == "11025 Reduce only reject"

    run(story())


def test_brackets_and_trails_show_their_ties() -> None:
    """Parent, partner and distance are echoed; a trailing child has no price until its parent fills."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            entry = (await client.place("BTC-PERP", "buy", "0.1", "80000"))["order"]
            tied = {"parent_order_id": entry["order_id"], "reduce_only": True}
            child = (await client.place("BTC-PERP", "sell", "0.1", "70000", **STOP, **tied))["order"]
            assert (child["parent_order_id"], child["trigger_price"]) == (entry["order_id"], "83000")
            moving = {"trigger_type": "trailing", "trailing_offset": "500", **tied}
            row = (await client.place("BTC-PERP", "sell", "0.1", "70000", **moving))["order"]
            assert (row["trailing_offset"], row["trigger_price"]) == ("500", None)
            trail = {"trigger_type": "trailing", "trailing_percent": "1.5", "oco_order_id": entry["order_id"]}
            other = (await client.place("BTC-PERP", "sell", "0.1", "70000", **trail))["order"]
            assert (other["trailing_percent"], other["trigger_price"]) == ("1.5", "82740")
            assert other["oco_order_id"] == entry["order_id"]
            twice = {**STOP, **tied, "oco_order_id": entry["order_id"]}
            refused = client.order("BTC-PERP", "sell", "0.1", "70000", **twice)
            assert (await client.refused("private/order", refused))["code"] == 20011

    run(story())


def test_cancels_of_trigger_orders() -> None:
    """By id, all of them, all but them; replace takes none."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            sub = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            order = (await client.place("BTC-PERP", "sell", "0.1", "83500", **STOP))["order"]
            new = client.order("BTC-PERP", "sell", "0.1", "83500", order_id_to_cancel=order["order_id"])
            assert (await client.refused("private/replace", new))["code"] == 11054
            gone = await client.call("private/cancel_trigger_order", sub | {"order_id": order["order_id"]})
            assert gone["order_status"] == "cancelled"
            await client.place("BTC-PERP", "sell", "0.1", "83500", **STOP)
            await client.place("BTC-PERP", "buy", "0.1", "70000")
            assert await client.call("private/cancel_all_trigger_orders", sub) == "ok"
            assert len((await client.call("private/get_open_orders", sub))["orders"]) == 1
            await client.place("BTC-PERP", "sell", "0.1", "83500", **STOP)
            assert await client.call("private/cancel_all", sub | {"cancel_trigger_orders": False}) == "ok"
            assert len((await client.call("private/get_trigger_orders", sub))["orders"]) == 1
            assert await client.call("private/cancel_all", sub) == "ok"
            assert (await client.call("private/get_trigger_orders", sub))["orders"] == []

    run(story())


def test_a_signed_edit_keeps_the_id() -> None:
    """Another price under a new signature: id kept, version up, trades in the reply; a refusal changes nothing."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client, live.client(two) as other:
                await other.place("BTC-PERP", "sell", "0.2", "83000")
                order = (await client.place("BTC-PERP", "buy", "0.5", "80000", client_order_id="mine"))["order"]
                forged = client.order(
                    "BTC-PERP", "buy", "0.6", "83000", order_id=order["order_id"], signing_key=b"\x09" * 32
                )
                assert (await client.refused("private/edit", forged))["code"] == 14014
                guarded = client.order(
                    "BTC-PERP", "buy", "0.6", "83000", order_id=order["order_id"], expected_filled_amount="0.1"
                )
                assert (await client.refused("private/edit", guarded))["code"] == 11028
                partial = {
                    name: guarded[name] for name in guarded if name not in ("limit_price", "expected_filled_amount")
                }
                error = await client.refused("private/edit", partial)
                assert (error["code"], json.loads(error["data"])["field"]) == (-32602, "limit_price")
                params = client.order("BTC-PERP", "buy", "0.6", "83000", client_order_id="mine")
                result = await client.call("private/edit", params)
                edited = result["order"]
                assert (edited["order_id"], edited["version"], edited["amount"]) == (order["order_id"], 2, "0.6")
                assert edited["client_order_id"] == "mine"
                assert [trade["trade_amount"] for trade in result["trades"]] == ["0.2"]

    run(story())


def test_an_edit_moves_a_trigger_without_a_signature() -> None:
    """The price that fires is not signed; a wrong side is refused."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            order = (await client.place("BTC-PERP", "sell", "0.1", "83500", **STOP))["order"]
            base = {"subaccount_id": order["subaccount_id"], "order_id": order["order_id"]}
            assert (await client.refused("private/edit", base | {"trigger_price": "85000"}))["code"] == 11051
            moved = (await client.call("private/edit", base | {"trigger_price": "82000"}))["order"]
            assert (moved["trigger_price"], moved["amount"]) == ("82000", "0.1")

    run(story())


def test_a_waiting_cancel_removes_unverified_trigger_orders_only() -> None:
    """cancel_all_trigger_orders leaves plain orders that wait for their signature alone."""

    async def story() -> None:
        from exchange.gateway.settings import GatewaySettings  # noqa: PLC0415
        from tests.unit.exchange.gateway.test_intake import HeldPool, settle  # noqa: PLC0415

        settings = GatewaySettings(inline_verifications=0)
        async with serve(settings=settings) as live, live.client(live.exchange.traders[0]) as client:
            held = HeldPool(live)
            sub = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            plain = await client.send("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
            waits = await client.send("private/order", client.order("BTC-PERP", "sell", "0.1", "83500", **STOP))
            await settle(client)
            assert await client.call("private/cancel_all_trigger_orders", sub) == "ok"
            assert (await client.reply(waits))["error"]["code"] == 11003
            held.release()
            assert "result" in await client.reply(plain)

    run(story())
