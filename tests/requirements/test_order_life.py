"""P11 to P28: what becomes of an order, and that everybody is told the truth about it."""

import asyncio
import time

import pytest

from exchange.client.markets import decimal_e9
from exchange.client.signing import login_params
from tests.requirements.desk import PERP, crash, patiently, raw_socket, refusal, story

NUMBERS = ("limit_price", "average_price", "amount", "filled_amount", "remaining_amount", "order_fee", "max_fee")


def test_p11_the_reply_comes_before_the_fill_on_its_connection(exchange):
    """And the fill names the order by both ids and has a place in the account's own sequence."""

    async def steps(desk):
        await desk.two.sell(PERP, desk.lots(), desk.price())
        async with raw_socket(exchange) as raw:
            await raw.ask("public/login", login_params(desk.one.who, time.time_ns()))
            await raw.ask("subscribe", {"channels": [f"{desk.one.who.subaccount_id}.trades"]})
            terms = {"client_order_id": "p11", "time_in_force": "ioc"}
            params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(), terms)
            number = await raw.send("private/order", params)
            while not any(frame.get("method") == "subscription" for frame in raw.frames):
                await raw.receive()
        replied = [at for at, frame in enumerate(raw.frames) if frame.get("id") == number]
        told = [at for at, frame in enumerate(raw.frames) if frame.get("method") == "subscription"]
        assert replied
        assert replied[0] < told[0]
        fill = raw.frames[told[0]]["params"]["data"][0]
        assert fill["client_order_id"] == "p11"
        assert fill["order_id"] == raw.frames[replied[0]]["result"]["order"]["order_id"]
        assert fill["account_seq"] > 0

    story(exchange, steps)


def test_p12_a_cancel_that_came_too_late_says_what_became_of_the_order(exchange):
    """Status, cumulative amount and average price: nobody sends the order again because a cancel failed."""

    async def steps(desk):
        resting, _ = await desk.fill()
        error = await refusal(desk.two.cancel(resting["order_id"], PERP))
        assert error.code == 11004
        assert error.detail == {
            "order_id": resting["order_id"],
            "order_status": "filled",
            "filled_amount": desk.lots(),
            "average_price": desk.price(),
        }

    story(exchange, steps)


def test_p13_a_client_order_id_is_idempotent_even_across_acrash(exchange):
    """The same order sent again is the same order; another one under its id is a conflict that names the first."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {"client_order_id": "p13"})
        first = (await desk.one.request("private/order", params))["order"]
        again = (await desk.one.request("private/order", params))["order"]
        assert again == first
        other = await desk.one.signed_params(PERP, "buy", desk.lots(2), desk.price(-20_000), {"client_order_id": "p13"})
        assert (await refusal(desk.one.request("private/order", other))).code == 20001
        crash(exchange)
        await desk.one.ready()
        assert (await patiently(desk.one, "private/order", params))["order"] == first
        error = await refusal(desk.one.request("private/order", other))
        assert (error.code, error.detail["order_id"]) == (20001, first["order_id"])
        assert [order["order_id"] for order in await desk.one.open_orders()] == [first["order_id"]]

    story(exchange, steps)


def test_p14_an_order_is_found_by_its_client_id_as_soon_as_it_exists(exchange):
    """Asked on another connection directly after the reply, a hundred times: never a lagging index."""

    async def steps(desk):
        async with raw_socket(exchange) as raw:
            await raw.ask("public/login", login_params(desk.one.who, time.time_ns()))
            for at in range(100):
                name = f"p14-{at}"
                await desk.one.buy(PERP, desk.lots(), desk.price(-20_000), client_order_id=name)
                found = await raw.ask("private/get_order", desk.one.own(client_order_id=name))
                assert found["result"]["order_status"] == "open"
                await desk.one.cancel(found["result"]["order_id"], PERP)
                found = await raw.ask("private/get_order", desk.one.own(client_order_id=name))
                assert found["result"]["order_status"] == "cancelled"

    story(exchange, steps)


def test_p15_an_edit_keeps_the_order_id_and_counts_versions(exchange):
    """One id for the whole life of an order, so that its fills never lose it."""

    async def steps(desk):
        placed = (await desk.one.buy(PERP, desk.lots(2), desk.price(-20_000)))["order"]
        edited = (await desk.one.edit(placed["order_id"], PERP, "buy", desk.lots(3), desk.price(-30_000)))["order"]
        assert edited["order_id"] == placed["order_id"]
        assert edited["version"] == placed["version"] + 1
        assert (edited["amount"], edited["limit_price"]) == (desk.lots(3), desk.price(-30_000))
        assert [order["version"] for order in await desk.one.open_orders()] == [edited["version"]]

    story(exchange, steps)


def test_p16_an_order_that_closed_is_still_found(exchange):
    """By its id and in the history, with the state it ended in."""

    async def steps(desk):
        resting, _ = await desk.fill()
        found = await desk.two.request("private/get_order", desk.two.own(order_id=resting["order_id"]))
        assert found["order_status"] == "filled"
        history = await desk.two.request("private/get_order_history", desk.two.own(page_size=10))
        assert resting["order_id"] in [order["order_id"] for order in history["orders"]]

    story(exchange, steps)


@pytest.mark.parametrize(
    ("terms", "status", "reason"),
    [
        ({"time_in_force": "gtc"}, "open", ""),
        ({"time_in_force": "ioc"}, "cancelled", "no_liquidity"),
        ({"time_in_force": "post_only"}, "open", ""),
    ],
    ids=["rests", "finds nothing", "rests post-only"],
)
def test_p17_a_status_is_what_happened_and_never_another(exchange, terms, status, reason):
    """An order that meets nothing is open or cancelled; why stands beside it (P18)."""

    async def steps(desk):
        order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000), **terms))["order"]
        assert (order["order_status"], order["reason_code"]) == (status, reason)

    story(exchange, steps)


def test_p17_a_refused_order_never_existed(exchange):
    """A refusal is an error with its own code; no order is shown as cancelled for it."""

    async def steps(desk):
        await desk.two.sell(PERP, desk.lots(), desk.price())
        crossing = {"time_in_force": "post_only", "client_order_id": "p17"}
        error = await refusal(desk.one.buy(PERP, desk.lots(), desk.price(), **crossing))
        assert (error.code, error.detail["best_ask"]) == (11008, desk.price())
        unknown = await refusal(desk.one.request("private/get_order", desk.one.own(client_order_id="p17")))
        assert unknown.code == 11006

    story(exchange, steps)


def test_p18_an_order_that_ended_says_why(exchange):
    """The user's cancel, the time in force: a code and a text that are not empty."""

    async def steps(desk):
        order = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        cancelled = await desk.one.cancel(order["order_id"], PERP)
        assert (cancelled["reason_code"], cancelled["cancel_reason"]) == ("user_request", "user_request")
        empty = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000), time_in_force="ioc"))["order"]
        assert empty["reason_code"]
        assert empty["cancel_reason"]

    story(exchange, steps)


def test_p18_terminal_events_on_the_stream_say_why_too(exchange):
    """By id: what ended has a code, each its own; what is open or filled has none."""

    async def steps(desk):
        updates = await desk.one.order_updates()
        user = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        await desk.one.cancel(user["order_id"], PERP)
        alone = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000), time_in_force="ioc"))["order"]
        await desk.two.sell(PERP, desk.lots(), desk.price())
        partly = (await desk.one.buy(PERP, desk.lots(2), desk.price(), time_in_force="ioc"))["order"]
        await desk.two.sell(PERP, desk.lots(), desk.price())
        filled = (await desk.one.buy(PERP, desk.lots(), desk.price()))["order"]
        rows = [await updates.next(10)]
        while rows[-1]["order_id"] != filled["order_id"]:
            rows.append(await updates.next(10))
        assert all(bool(row["reason_code"]) == (row["order_status"] in ("cancelled", "expired")) for row in rows)
        ends = {row["order_id"]: (row["order_status"], row["reason_code"], row["cancel_reason"]) for row in rows}
        assert ends[user["order_id"]] == ("cancelled", "user_request", "user_request")
        assert ends[alone["order_id"]][:2] == ("cancelled", "no_liquidity")
        assert ends[partly["order_id"]][:2] == ("cancelled", "ioc_remainder")
        assert ends[filled["order_id"]] == ("filled", "", "")

    story(exchange, steps)


def test_p20_a_resting_reduce_only_order_never_turns_the_position(exchange):
    """It rests with three lots over a position of one; at the match it closes that one and nothing more."""

    async def steps(desk):
        await desk.fill()
        closing = await desk.one.sell(PERP, desk.lots(3), desk.price(10_000), reduce_only=True)
        await desk.two.buy(PERP, desk.lots(3), desk.price(10_000))
        assert await desk.position(desk.one) == 0
        ended = await desk.one.request("private/get_order", desk.one.own(order_id=closing["order"]["order_id"]))
        assert ended["filled_amount"] == desk.lots()
        assert ended["order_status"] == "cancelled"
        assert ended["reason_code"]

    story(exchange, steps)


def test_p21_reduce_only_orders_do_not_stand_in_each_others_way(exchange):
    """Two that close the same lot are both taken; when one has closed it, the other is cancelled with a reason."""

    async def steps(desk):
        await desk.fill()
        near = await desk.one.sell(PERP, desk.lots(), desk.price(10_000), reduce_only=True)
        far = await desk.one.sell(PERP, desk.lots(), desk.price(20_000), reduce_only=True)
        assert [near["order"]["order_status"], far["order"]["order_status"]] == ["open", "open"]
        await desk.two.buy(PERP, desk.lots(2), desk.price(20_000))
        assert await desk.position(desk.one) == 0
        ended = await desk.one.request("private/get_order", desk.one.own(order_id=far["order"]["order_id"]))
        assert (ended["order_status"], ended["filled_amount"]) == ("cancelled", "0")
        assert ended["reason_code"]

    story(exchange, steps)


def test_p22_attached_exits_go_with_the_position(exchange):
    """Stop and take-profit of a bracket are armed by the fill and gone once the position is."""

    async def steps(desk):
        await desk.two.sell(PERP, desk.lots(), desk.price())
        tied = {"stop_price": desk.price(-50_000), "take_profit_price": desk.price(50_000)}
        await desk.one.bracket(PERP, "buy", desk.lots(), desk.price(), **tied)
        assert len(await desk.one.trigger_orders()) == 2
        await desk.flatten()
        await _until_none(desk.one.trigger_orders)

    story(exchange, steps)


def test_p25_fills_add_up_to_the_order(exchange):
    """Amounts, what is left, fees and the average are sums of the fills, exactly."""

    async def steps(desk):
        order = (await desk.two.sell(PERP, desk.lots(6), desk.price()))["order"]
        for count in (1, 2, 3):
            await desk.one.buy(PERP, desk.lots(count), desk.price(), time_in_force="ioc")
        ended = await desk.two.request("private/get_order", desk.two.own(order_id=order["order_id"]))
        history = await desk.two.request("private/get_trade_history", desk.two.own(page_size=100))
        fills = [fill for fill in history["trades"] if fill["order_id"] == order["order_id"]]
        fills.sort(key=lambda fill: fill["account_seq"])
        assert [fill["cumulative_amount"] for fill in fills] == [desk.lots(1), desk.lots(3), desk.lots(6)]
        assert [fill["leaves_amount"] for fill in fills] == [desk.lots(5), desk.lots(3), "0"]
        assert len({fill["fill_id"] for fill in fills}) == len(fills)
        assert sum(decimal_e9(fill["trade_amount"]) for fill in fills) == decimal_e9(ended["filled_amount"])
        assert sum(decimal_e9(fill["trade_fee"]) for fill in fills) == decimal_e9(ended["order_fee"])
        assert ended["average_price"] == desk.price()

    story(exchange, steps)


def test_p26_no_number_of_an_order_is_ever_missing(exchange):
    """Open, filled and cancelled alike; a trigger's members are echoed as they were sent."""

    async def steps(desk):
        resting, taken = await desk.fill()
        stop = await desk.one.stop(
            PERP, "sell", desk.lots(), desk.price(-50_000), trigger_price_type="mark", reduce_only=True
        )
        for order in (resting, taken["order"], stop["order"]):
            assert all(isinstance(order[name], str) and order[name] for name in NUMBERS), order
        assert stop["order"]["trigger_price"] == desk.price(-50_000)
        assert (stop["order"]["trigger_type"], stop["order"]["trigger_price_type"]) == ("stoploss", "mark")
        await desk.one.cancel_trigger_orders()

    story(exchange, steps)


def test_p28_what_was_answered_survives_acrash(exchange):
    """The process dies directly after the reply: the order is there, and so is the fill of the one before it."""

    async def steps(desk):
        _, taken = await desk.fill()
        resting = (await desk.one.buy(PERP, desk.lots(), desk.price(-20_000)))["order"]
        crash(exchange)
        await desk.one.ready()
        found = await patiently(desk.one, "private/get_order", desk.one.own(order_id=resting["order_id"]))
        assert found == resting
        filled = await desk.one.request("private/get_order", desk.one.own(order_id=taken["order"]["order_id"]))
        assert filled == taken["order"]
        await desk.two.ready()

    story(exchange, steps)


async def _until_none(look):
    """Wait until `look` gives an empty list."""
    for _ in range(100):
        if not await look():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still there: {await look()}")
