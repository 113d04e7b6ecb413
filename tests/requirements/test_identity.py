"""P1 to P10: nonces, signatures, login, clocks."""

import asyncio
import time

import pytest

from exchange.client.signing import login_params
from tests.requirements.desk import PERP, raw_socket, refusal, story

AT_ONCE = 3_000


def test_p01_orders_signed_at_once_never_share_a_nonce(exchange):
    """Three thousand orders of one client, all in flight together: none is refused, each has a nonce of its own."""

    async def steps(desk):
        orders = (desk.one.buy(PERP, desk.lots(), desk.price(-20_000), time_in_force="ioc") for _ in range(AT_ONCE))
        results = await asyncio.gather(*orders)
        assert len({result["order"]["nonce"] for result in results}) == AT_ONCE
        assert len({result["order"]["order_id"] for result in results}) == AT_ONCE

    story(exchange, steps)


def test_p02_orders_may_arrive_in_any_order(exchange):
    """Signed first and sent last is as good as the other way round: no counter is shared."""

    async def steps(desk):
        signed = [await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {}) for _ in range(20)]
        for params in reversed(signed):
            result = await desk.one.request("private/order", params)
            assert result["order"]["order_status"] == "open"

    story(exchange, steps)


@pytest.mark.parametrize("away_s", [-3_600, 3_600])
def test_p03_a_nonce_outside_the_window_is_told_the_window(exchange, away_s):
    """Low end, high end and what came, so that a client can mend itself; a batch around it is not lost."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        odd = params | {"nonce": str(time.time_ns() + away_s * 10**9)}
        error = await refusal(desk.one.request("private/order", odd))
        assert error.code == 11018
        assert error.detail["got"] == odd["nonce"]
        assert int(error.detail["window_low"]) < int(params["nonce"]) < int(error.detail["window_high"])
        assert (await desk.one.request("private/order", params))["order"]["order_status"] == "open"

    story(exchange, steps)


def test_p04_a_wrong_signature_names_both_signers_and_what_was_signed(exchange):
    """Expected and recovered address, the server's digest, and the typed data it was made of."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        error = await refusal(desk.one.request("private/order", params | {"amount": desk.lots(2)}))
        assert error.code == 14014
        assert error.detail["expected"] == params["signer"]
        assert error.detail["recovered"] != params["signer"]
        assert str(error.detail["digest"]).startswith("0x")
        assert '"primaryType":"Action"' in str(error.detail["typed_data"])

    story(exchange, steps)


def test_p05_a_signature_can_be_checked_without_an_order(exchange):
    """`public/check_signature` says whom it recovers, over which digest and domain, and places nothing."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {"label": "not signed"})
        right = await desk.one.request("public/check_signature", params)
        wrong = await desk.one.request("public/check_signature", params | {"max_fee": "1"})
        assert (right["matches"], right["recovered"]) == (True, params["signer"])
        assert (wrong["matches"], wrong["expected"]) == (False, params["signer"])
        assert right["digest"] != wrong["digest"]
        assert await desk.one.open_orders() == []

    story(exchange, steps)


def test_p08_an_order_needs_instrument_side_and_amount_only(exchange):
    """Account, fee cap, nonce, expiry and worst price are the client's to fill in."""

    async def steps(desk):
        await desk.two.sell(PERP, desk.lots(), desk.price())
        result = await desk.one.buy(PERP, desk.lots())
        assert result["order"]["order_status"] == "filled"
        assert float(result["order"]["max_fee"]) > 0

    story(exchange, steps)


def test_p09_an_expired_signature_is_told_the_clock_and_the_window(exchange):
    """Expiry is a time, never a height of blocks."""

    async def steps(desk):
        params = await desk.one.signed_params(PERP, "buy", desk.lots(), desk.price(-20_000), {})
        error = await refusal(
            desk.one.request("private/order", params | {"signature_expiry_sec": int(time.time()) - 5})
        )
        assert error.code == 11011
        assert error.detail["low"] < error.detail["high"]
        assert abs(error.detail["server_time"] - time.time() * 1_000) < 60_000

    story(exchange, steps)


@pytest.mark.parametrize("skew_s", [-90, 90])
def test_p10_a_login_with_a_wrong_clock_is_told_by_how_much(exchange, skew_s):
    """The error carries the skew in milliseconds; within a minute the login passes."""

    async def steps(desk):
        async with raw_socket(exchange) as raw:
            params = login_params(desk.one.who, time.time_ns() + skew_s * 10**9)
            refused = await raw.ask("public/login", params)
            assert refused["error"]["code"] == 14021
            assert "skew_ms" in refused["error"]["data"]
            near = login_params(desk.one.who, time.time_ns() + skew_s // 3 * 10**9)
            assert desk.one.who.subaccount_id in (await raw.ask("public/login", near))["result"]

    story(exchange, steps)
