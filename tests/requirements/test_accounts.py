"""P41 to P60: grids, ids, histories, limits, environments, modes."""

import asyncio
import json
import time
from decimal import Decimal

import pytest

from exchange.client.margin import margin_of
from exchange.client.markets import decimal_e9
from exchange.domain.instrument import OffGrid
from exchange.wire.decimals import format_e6
from tests.requirements.desk import PERP, crash, patiently, raw_socket, refusal, story


@pytest.mark.parametrize(
    ("member", "value", "nearest"),
    [("limit_price", "60000.123", ["60000.1", "60000.2"]), ("amount", "0.00150", ["0.001", "0.002"])],
)
def test_p41_a_value_off_the_grid_is_told_its_neighbors(exchange, member, value, nearest):
    """One tick and one lot per instrument; the refusal says which values would do."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        error = await refusal(desk.one.request("private/order", params | {member: value}))
        assert error.detail["nearest"] == nearest

    story(exchange, steps)


def test_p41_the_client_refuses_an_off_grid_value_before_it_is_sent(exchange):
    """The same rule, without the way to the exchange; a Decimal on the grid passes as it is."""

    async def steps(desk):
        with pytest.raises(OffGrid):
            await desk.one.buy(PERP, desk.lots(), "60000.123")
        placed = await desk.one.buy(PERP, Decimal(desk.lots()), Decimal(desk.price(-20_000)))
        assert placed["order"]["limit_price"] == desk.price(-20_000)

    story(exchange, steps)


def test_p42_ids_and_nonces_are_texts(exchange):
    """A reader whose numbers are doubles loses nothing: no integer of a reply is above 2 to the 53rd."""

    def integers(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [found for item in value for found in integers(item)]
        return [value] if isinstance(value, int) and not isinstance(value, bool) else []

    async def steps(desk):
        resting, taken = await desk.fill()
        trades = await desk.one.request("private/get_trade_history", desk.one.own())
        for reply in (resting, taken, trades):
            assert max(integers(reply)) < 2**53
        assert all(isinstance(resting[name], str) for name in ("order_id", "nonce", "client_order_id"))
        assert isinstance(trades["trades"][0]["trade_id"], str)

    story(exchange, steps)


def test_p44_the_whole_history_comes_by_cursor(exchange):
    """No cap and no last page: a small page says that there is more, and the end is the newest fill."""

    async def steps(desk):
        for _ in range(3):
            await desk.fill()
        last = await desk.one.request("private/get_trade_history", desk.one.own(page_size=1))
        rows, asked, page = [], desk.one.own(kind="trades", limit=2), {"has_more": True}
        while page["has_more"]:
            page = await desk.one.request("private/export", asked)
            assert len(page["trades"]) <= 2
            rows += page["trades"]
            asked["from_cursor"] = page["next_cursor"]
        assert rows[-1]["trade_id"] == last["trades"][0]["trade_id"]
        assert page["begins_sequence"] == 1
        assert len(rows) >= 3

    story(exchange, steps)


def test_p44_what_was_traded_before_a_crash_is_still_there(exchange):
    """Historian and exchange are killed; the export holds the fills of before and after, each once."""

    async def steps(desk):
        await desk.fill()
        before = [row["trade_id"] async for row in desk.one.export("trades")]
        crash(exchange, "historian")
        crash(exchange)
        await desk.one.ready()
        await desk.two.ready()
        found = await patiently(desk.one, "private/export", desk.one.own(kind="trades", limit=1_000))
        assert [row["trade_id"] for row in found["trades"]] == before
        _, taken = await desk.fill()
        after = [row["trade_id"] async for row in desk.one.export("trades", found["next_cursor"])]
        assert after == [row["trade_id"] for row in taken["trades"]]

    story(exchange, steps)


def test_p45_fills_of_one_millisecond_are_each_read_once(exchange):
    """The SDK's iterator goes by place, not by time: a sweep of many orders in one command comes whole."""

    async def steps(desk):
        export = desk.one.export("trades")
        before = [row["trade_id"] async for row in export]
        for _ in range(30):
            await desk.two.sell(PERP, desk.lots(), desk.price())
        await desk.one.buy(PERP, desk.lots(30), desk.price(), time_in_force="ioc")
        swept = [row async for row in export]
        assert len(swept) == 30 == len({row["trade_id"] for row in swept})
        assert len({row["timestamp"] for row in swept}) == 1
        assert not set(before) & {row["trade_id"] for row in swept}

    story(exchange, steps)


def test_p46_candles_have_no_holes(exchange):
    """One bar per bucket from the first to the last, also where nothing traded."""

    async def steps(desk):
        await desk.fill()
        now_s = int(time.time())
        asked = {"instrument_name": PERP, "period": 60, "start_timestamp": now_s - 600, "end_timestamp": now_s}
        bars = await desk.one.request("public/get_tradingview_chart_data", asked)
        times = [bar["timestamp_bucket"] for bar in bars]
        assert times == list(range(times[0], times[-1] + 60, 60))
        assert sum(Decimal(bar["volume_contracts"]) for bar in bars) > 0

    story(exchange, steps)


def test_p47_a_whole_chain_comes_in_one_call(exchange):
    """Every option of a currency with price, volatility and Greeks; what is unknown is null with a reason, never 0."""

    async def steps(desk):
        chain = await desk.one.request("public/get_option_chain", {"currency": "BTC"})
        options = {name for name in desk.one.markets if name.startswith("BTC-") and name != PERP}
        assert {row["instrument_name"] for row in chain["rows"]} == options
        for row in chain["rows"]:
            assert Decimal(row["mark_iv"]) > 0
            assert all(isinstance(row[name], str) for name in ("mark_price", "delta", "gamma", "vega", "theta"))
            unknown = {name for name in row if row[name] is None}
            assert unknown == set(row["null_reasons"])
            assert {"bid_price", "ask_price"} <= unknown

    story(exchange, steps)


def test_p48_margin_is_computed_again_from_what_the_exchange_says_it_used(exchange):
    """Every input is in the answer; the client's own function gives the result, and says what a change would do."""

    async def steps(desk):
        await desk.fill(5)
        shown = await desk.one.simulate({PERP: f"-{desk.lots(8)}"})
        result = margin_of(shown["inputs"])
        assert format_e6(result.equity_e6) == shown["subaccount_value"]
        assert format_e6(result.equity_e6 - result.initial_requirement_e6) == shown["initial_margin"]
        [market] = shown["inputs"]["portfolio"]["markets"]
        assert market["perpetuals"][0]["amount_e9"] == -3 * decimal_e9(desk.lots())
        market["perpetuals"][0]["amount_e9"] *= 2
        doubled = margin_of(shown["inputs"])
        assert doubled.maintenance_requirement_e6 in range(
            2 * result.maintenance_requirement_e6 - 1, 2 * result.maintenance_requirement_e6 + 1
        )

    story(exchange, steps)


def test_p49_an_order_can_be_previewed(exchange):
    """Fills, average, slippage, fee and the margin afterwards: the order that is then placed does just that."""

    async def steps(desk):
        await desk.two.sell(PERP, desk.lots(2), desk.price(1_000))
        quote = await desk.one.order_quote(PERP, "buy", desk.lots(3), desk.price(2_000))
        order = (await desk.one.buy(PERP, desk.lots(3), desk.price(2_000)))["order"]
        left = (await desk.one.subaccount())["initial_margin"]
        assert quote["is_valid"]
        assert quote["fills"] == [[desk.price(1_000), desk.lots(2)]]
        assert Decimal(quote["slippage_bps"]) > 0
        assert quote["estimated_order_status"] == order["order_status"]
        # Index and mark may have moved in between.
        assert abs(Decimal(quote["estimated_fee"]) / Decimal(order["order_fee"]) - 1) < Decimal("0.01")
        assert quote["estimated_fill_price"] == order["average_price"]
        assert abs(Decimal(quote["post_initial_margin"]) - Decimal(left)) < 1
        assert quote["post_liquidation_price"] == (await desk.one.positions())[0]["liquidation_price"]

    story(exchange, steps)


def test_p49_a_preview_says_why_an_order_would_be_refused(exchange):
    """The reason in words, the account as it is, and nothing placed."""

    async def steps(desk):
        quote = await desk.one.order_quote(PERP, "sell", desk.lots(), desk.price(), reduce_only=True)
        assert (quote["is_valid"], quote["invalid_reason"]) == (False, "Reduce only reject")
        assert quote["pre_initial_margin"] == quote["post_initial_margin"]
        assert await desk.one.open_orders() == []

    story(exchange, steps)


def test_p50_each_reply_tells_the_budget(exchange):
    """Cost, what is left and when it is whole again; every bucket stands in `public/get_limits`."""

    async def steps(desk):
        async with raw_socket(exchange) as raw:
            first = (await raw.ask("public/get_time", {}))["meta"]
            second = (await raw.ask("public/get_time", {}))["meta"]
            limits = (await raw.ask("public/get_limits", {}))["result"]
        assert first["cost"] == limits["methods"]["public/get_time"]["cost"] == 1
        assert second["remaining"] <= first["remaining"] < limits["budgets"]["public"]["burst"]
        assert second["reset_ms"] > 0

    story(exchange, steps)


def test_p52_every_connection_knows_where_it_is(exchange):
    """Environment and chain id in the upgrade's headers and in `get_info`; signatures are bound to that domain."""

    async def steps(desk):
        info = await desk.one.request("public/get_info")
        async with raw_socket(exchange) as raw:
            assert raw.headers["x-offbook-env"] == info["env"] == "demo"
            assert raw.headers["x-offbook-chain-id"] == str(info["chain_id"])
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        desk.one._separator = bytes(32)
        elsewhere = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        assert (await refusal(desk.one.request("private/order", elsewhere))).code == 14014
        assert (await desk.one.request("private/order", params))["order"]["order_status"] == "open"

    story(exchange, steps)


def test_p54_one_command_makes_owner_and_session_key_and_names_both(exchange):
    """The account file of the demo has both, and so has every order and every refused signature."""

    async def steps(desk):
        rows = json.loads((exchange.data / "demo_accounts.json").read_text())
        assert all({"owner", "session_key", "subaccount_id"} <= set(row) for row in rows)
        placed = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        assert placed["signer"]
        assert placed["subaccount_id"] == desk.one.who.subaccount_id

    story(exchange, steps)


def test_p59_orders_can_be_cancelled_while_the_market_is_in_a_call_auction(exchange):
    """The operator's auction stops continuous trading; a cancel and a withdrawal of the order pass."""

    async def steps(desk):
        order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        begun = await asyncio.to_thread(exchange.command, "auction", "begin", PERP, names_port=False)
        assert begun.returncode == 0, begun.stderr
        try:
            taking = desk.one.buy(PERP, desk.lots(), desk.price(), time_in_force="ioc")
            assert (await refusal(taking)).code == 20017
            assert (await desk.one.cancel(order["order_id"], PERP))["order_status"] == "cancelled"
        finally:
            ended = await asyncio.to_thread(exchange.command, "auction", "end", PERP, names_port=False)
        assert ended.returncode == 0, ended.stderr

    story(exchange, steps)


def test_p60_all_orders_go_with_one_call(exchange):
    """Of an account, of an instrument, by a label: each at once, and nothing else."""

    async def steps(desk):
        for label in ("kept", "gone", "gone"):
            await desk.one.buy(PERP, desk.lots(), desk.price(-20_000), label=label)
        await desk.one.request("private/cancel_by_label", desk.one.own(label="gone", instrument_name=PERP))
        assert [order["label"] for order in await desk.one.open_orders()] == ["kept"]
        await desk.one.cancel_all(PERP)
        assert await desk.one.open_orders() == []
        await desk.one.buy(PERP, desk.lots(), desk.price(-20_000))
        await desk.one.cancel_all()
        assert await desk.one.open_orders() == []

    story(exchange, steps)


def test_p60_orders_of_a_client_that_falls_silent_go_by_themselves(exchange):
    """A dead-man timer on journal time: armed again it waits, left alone it cancels and says why."""

    async def steps(desk):
        placed = await desk.one.buy(PERP, desk.lots(), desk.price(-20_000))
        for timeout_ms in (60_000, 1_000):
            armed = await desk.one.cancel_all_after(timeout_ms)
        assert armed["cancel_at"] - time.time() * 1_000 < 2_000
        while await desk.one.open_orders():  # noqa: ASYNC110 - what an asker can know
            await asyncio.sleep(0.1)
        named = desk.one.own(order_id=placed["order"]["order_id"])
        ended = await desk.one.request("private/get_order", named)
        assert (ended["order_status"], ended["reason_code"]) == ("cancelled", "dead_man_timer")

    story(exchange, steps)
