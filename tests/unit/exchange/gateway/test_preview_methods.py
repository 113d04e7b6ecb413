"""`order_quote`, `simulate`, `get_margin`: what is refused before it is asked, and that the answers come true."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.client.margin import margin_of
from exchange.domain.views import Unanswered
from exchange.wire.decimals import format_e6
from tests.fakes import direct_port
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
        ({"trigger_type": "stoploss", "trigger_price": "60000"}, -32602),
        ({"mmp_group": 3}, -32602),
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


def test_a_quote_of_a_protected_order_knows_its_group() -> None:
    """Valid with the group that is configured, and not without one, as the order itself."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            limits = {"subaccount_id": live.exchange.traders[0].subaccount_id, "currency": "BTC", "mmp_group": 3}
            await client.call("private/set_mmp_config", limits | {"mmp_amount_limit": "5"})
            for group, is_valid in ((3, True), (4, False)):
                quote = await client.call("private/order_quote", asked(client, mmp=True, mmp_group=group))
                assert quote["is_valid"] is is_valid, quote

    run(story())


def test_a_question_that_fails_is_an_internal_error_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port says that there is no answer; the caller hears -32603 and the next call is served."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            with monkeypatch.context() as patch:
                patch.setattr(direct_port, "answer", lambda *_: Unanswered())
                assert (await client.refused("private/order_quote", asked(client)))["code"] == -32603
            assert (await client.call("private/order_quote", asked(client)))["is_valid"]

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


CHANGE = {"instrument_name": PERP, "amount": "-2.5"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": "0.0001"}, 11012),
        ({"amount": "0"}, 11012),
        ({"entry_price": "0.01"}, 11013),
        ({"instrument_name": "DOGE-PERP"}, 12001),
        ({"amount": "much"}, -32602),
    ],
)
@pytest.mark.parametrize("method", ["private/simulate", "private/get_margin"])
def test_changes_that_no_position_can_have_are_refused(method: str, change: dict[str, str], code: int) -> None:
    """By the instrument's grid, as orders are."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            asked_for = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            rows = {"simulated_position_changes": [CHANGE | change]}
            assert (await client.refused(method, asked_for | rows))["code"] == code
            many = {"simulated_position_changes": [CHANGE] * 65}
            assert (await client.refused(method, asked_for | many))["code"] == -32602

    run(story())


def test_the_inputs_of_a_simulation_give_its_result() -> None:
    """The client's function over the numbers that were sent says what the exchange said; without changes, what is."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                await maker.place(PERP, "sell", "2", "70000")
                await taker.place(PERP, "buy", "1.5", "70000")
                held = await taker.call("private/get_subaccount", {"subaccount_id": two.subaccount_id})
                asked_for = {"subaccount_id": two.subaccount_id}
                now = await taker.call("private/simulate", asked_for)
                rows = {"simulated_position_changes": [CHANGE]}
                then = await taker.call("private/simulate", asked_for | rows)
                both = await taker.call("private/get_margin", asked_for | rows)
        for name in ("subaccount_value", "initial_margin", "maintenance_margin"):
            assert now[name] == held[name]
        for shown in (now, then):
            result = margin_of(shown["inputs"])
            assert format_e6(result.equity_e6) == shown["subaccount_value"]
            assert format_e6(result.initial_requirement_e6) == shown["positions_initial_requirement"]
            assert format_e6(result.maintenance_requirement_e6) == shown["positions_maintenance_requirement"]
        assert then["inputs"]["portfolio"]["markets"][0]["perpetuals"][0]["amount_e9"] == -(10**9)
        assert (both["pre_initial_margin"], both["post_initial_margin"]) == (
            now["initial_margin"],
            then["initial_margin"],
        )
        assert both["is_valid_trade"]

    run(story())
