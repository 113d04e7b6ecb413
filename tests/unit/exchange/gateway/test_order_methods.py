"""Replace, edit, cancels by filter, and help with signatures."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from exchange.gateway.settings import GatewaySettings
from tests.fakes.live_gateway import serve


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def test_replace_by_id_and_by_nonce() -> None:
    """The old order is canceled, the new one names it; by order id and by nonce."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            first = (await client.place("BTC-PERP", "buy", "0.5", "80000"))["order"]
            params = client.order("BTC-PERP", "buy", "0.6", "80001", order_id_to_cancel=first["order_id"])
            result = await client.call("private/replace", params)
            assert result["cancelled_order"]["order_status"] == "cancelled"
            assert result["order"]["replaced_order_id"] == first["order_id"]
            assert result["create_order_error"] is None
            nonce = result["order"]["nonce"]
            params = client.order("BTC-PERP", "buy", "0.7", "80002", nonce_to_cancel=nonce, expected_filled_amount="0")
            again = await client.call("private/replace", params)
            assert (again["order"]["amount"], again["order"]["limit_price"]) == ("0.7", "80002")
            gone = client.order("BTC-PERP", "buy", "0.7", "80002", nonce_to_cancel="1795357455576914615")
            assert (await client.refused("private/replace", gone))["code"] == 11006
            none = client.order("BTC-PERP", "buy", "0.7", "80002")
            assert (await client.refused("private/replace", none))["code"] == -32602

    run(story())


def test_edit_lowers_the_amount_without_a_signature() -> None:
    """The id stays; more, or another price, needs a new signature."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            order = (await client.place("BTC-PERP", "buy", "0.5", "80000", client_order_id="mine"))["order"]
            base = {"subaccount_id": order["subaccount_id"], "client_order_id": "mine"}
            result = await client.call("private/edit", base | {"amount": "0.3"})
            assert (result["order"]["order_id"], result["order"]["amount"]) == (order["order_id"], "0.3")
            assert (await client.refused("private/edit", base | {"amount": "0.4"}))["code"] == -32602
            priced = base | {"amount": "0.2", "limit_price": "80001"}
            assert (await client.refused("private/edit", priced))["code"] == -32602
            guarded = base | {"amount": "0.2", "expected_filled_amount": "0.1"}
            assert (await client.refused("private/edit", guarded))["code"] == 11028
            assert (await client.refused("private/edit", base | {"client_order_id": "no", "amount": "1"}))[
                "code"
            ] == 11006

    run(story())


def test_cancels_by_filter_count() -> None:
    """Label, instrument, nonce and client id; cancel_all says ok."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            for price, extra in (("70000", {"label": "a"}), ("70001", {"label": "a"}), ("70002", {})):
                await client.place("BTC-PERP", "buy", "0.1", price, **extra)
            one = (await client.place("ETH-PERP", "buy", "0.1", "2000"))["order"]
            await client.place("BTC-PERP", "buy", "0.1", "70003", client_order_id="x")
            assert await client.call("private/cancel_by_label", base | {"label": "a"}) == {"cancelled_orders": 2}
            nonce = base | {"nonce": one["nonce"], "instrument_name": "ETH-PERP"}
            assert await client.call("private/cancel_by_nonce", nonce) == {"cancelled_orders": 1}
            assert await client.call("private/cancel_by_nonce", nonce) == {"cancelled_orders": 0}
            found = await client.call("private/cancel_by_client_order_id", base | {"client_order_id": "x"})
            assert found["cancel_reason"] == "user_request"
            left = base | {"instrument_name": "BTC-PERP"}
            assert await client.call("private/cancel_by_instrument", left) == {"cancelled_orders": 1}
            assert await client.call("private/cancel_all", base) == "ok"

    run(story())


def test_cancel_all_of_one_currency() -> None:
    """The others stay; an unknown currency is refused."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            await client.place("BTC-PERP", "buy", "0.1", "70000")
            await client.place("ETH-PERP", "buy", "0.1", "2000")
            assert (await client.refused("private/cancel_all", base | {"currency": "XYZ"}))["code"] == 12002
            assert await client.call("private/cancel_all", base | {"currency": "ETH"}) == "ok"
            rows = (await client.call("private/get_open_orders", base))["orders"]
            assert [row["instrument_name"] for row in rows] == ["BTC-PERP"]

    run(story())


def test_self_trade_prevention_per_account_and_per_order() -> None:
    """The account's mode holds for orders that name none; bad names and open orders are refused."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            path = "private/set_self_trade_prevention"
            assert (await client.refused(path, base))["code"] == -32602
            assert (await client.refused(path, base | {"mode": "maybe"}))["code"] == -32602
            assert (await client.refused(path, base | {"mode": "cancel_both", "scope": "world"}))["code"] == -32602
            echo = base | {"mode": "cancel_both", "scope": "owner"}
            assert await client.call(path, echo) == echo
            await client.place("BTC-PERP", "buy", "0.1", "70000")
            assert (await client.refused(path, base | {"mode": "cancel_maker"}))["code"] == 20012
            plain = client.order("BTC-PERP", "sell", "0.1", "70000", self_trade_prevention="cancel_taker")
            assert (await client.refused("private/order", plain))["code"] == 11007
            ended = (await client.place("BTC-PERP", "sell", "0.1", "70000"))["order"]
            assert (ended["order_status"], ended["reason_code"]) == ("cancelled", "self_trade_prevention")
            assert (await client.call("private/get_open_orders", base))["orders"] == []

    run(story())


def test_a_subaccount_chooses_its_margin_type() -> None:
    """Another word is refused; what was set is shown, and stands in what simulate returns for clients. The default."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            path = "private/set_margin_type"
            assert (await client.refused(path, base))["code"] == -32602
            assert (await client.refused(path, base | {"margin_type": "XM"}))["code"] == -32602
            assert (await client.call("private/get_subaccount", base))["margin_type"] == "SM"
            echo = base | {"margin_type": "PM2"}
            assert await client.call(path, base | {"margin_type": "pm"}) == echo
            assert (await client.call("private/get_subaccount", base))["margin_type"] == "PM2"
            inputs = (await client.call("private/simulate", base))["inputs"]
            assert inputs["margin_type"] == "PM2"
            assert await client.call(path, base | {"margin_type": "SM"}) == base | {"margin_type": "SM"}

    run(story())


def test_portfolio_margin_is_refused_where_it_is_not_offered() -> None:
    """Where the setting is off; Standard Margin may be named."""

    async def story() -> None:
        settings = GatewaySettings(offers_portfolio_margin=False)
        async with serve(settings=settings) as live, live.client(live.exchange.traders[0]) as client:
            base = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            error = await client.refused("private/set_margin_type", base | {"margin_type": "PM2"})
            assert (error["code"], "not offered" in str(error["data"])) == (-32602, True)
            assert (await client.call("private/set_margin_type", base | {"margin_type": "SM"}))["margin_type"] == "SM"

    run(story())


def test_order_debug_and_check_signature() -> None:
    """Both show digest, recovered and expected signer; neither trades."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            trader = live.exchange.traders[0]
            good = client.order("BTC-PERP", "buy", "0.1", "70000")
            shown = await client.call("private/order_debug", good)
            assert shown["recovered_signer"] == shown["expected_signer"] == trader.signer
            checked = await client.call("public/check_signature", good | {"wallet": trader.owner})
            assert (checked["matches"], checked["matched_domain"]) == (True, "own")
            assert checked["digest"] == shown["typed_data_hash"]
            bad = client.order("BTC-PERP", "buy", "0.1", "70000", signing_key=b"\x21" * 32)
            assert (await client.call("public/check_signature", bad))["matches"] is False
            rows = await client.call("private/get_open_orders", {"subaccount_id": trader.subaccount_id})
            assert rows["orders"] == []

    run(story())


def test_candles_and_public_trades() -> None:
    """Trades make a taker and a maker row without order ids, and one candle."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                await maker.place("BTC-PERP", "sell", "1", "84000")
                await taker.place("BTC-PERP", "buy", "0.4", "84000")
                rows = (await taker.call("public/get_trade_history", {"instrument_name": "BTC-PERP"}))["trades"]
                assert [row["liquidity_role"] for row in rows] == ["taker", "maker"]
                assert all("order_id" not in row for row in rows)
                assert {row["subaccount_id"] for row in rows} == {0}
                now_s = rows[0]["timestamp"] // 1_000
                params = {
                    "instrument_name": "BTC-PERP",
                    "period": "60",
                    "start_timestamp": now_s - 600,
                    "end_timestamp": now_s + 120,
                }
                bars = await taker.call("public/get_tradingview_chart_data", params)
                assert (bars[0]["close_price"], bars[0]["volume_contracts"]) == ("84000", "0.4")
                assert bars[-1]["volume_contracts"] == "0"
                stats = (await taker.call("public/get_ticker", {"instrument_name": "BTC-PERP"}))["stats"]
                assert (stats["c"], stats["n"]) == ("0.4", 1)
                book = await taker.call("public/get_order_book", {"instrument_name": "BTC-PERP"})
                assert book["asks"] == [["84000", "0.6"]]

    run(story())
