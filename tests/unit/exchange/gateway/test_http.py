"""Health, metrics, page, and what REST adds to the dispatcher."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.gateway.settings import GatewaySettings, Readiness
from exchange.wire.objects import BatchRow
from tests.conformance.test_tolerance import auth_headers, http
from tests.fakes.live_gateway import Live, order_params, serve


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


async def get(live: Live, path: str) -> tuple[int, str]:
    """GET a page; returns status and text."""

    def send() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(live.http + path, timeout=5) as reply:
                return int(reply.status), reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(send)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (Readiness(ready=False, reason="replaying"), 503),
        (Readiness(chain="down", degraded=True, reason="chain RPC does not answer"), 200),
        (Readiness(chain="ok"), 200),
    ],
)
def test_ready_tells_the_exchange_from_the_chain(state: Readiness, status: int) -> None:
    """Only an exchange that is not ready is 503; a chain that is down is named and trading goes on."""

    async def story() -> None:
        async with serve(readiness=lambda: state) as live:
            assert (await get(live, "/live"))[0] == 200
            got, body = await get(live, "/ready")
            assert got == status
            assert state.reason in body
            async with live.client() as client:
                assert (await client.call("public/get_info"))["degraded"] is state.degraded

    run(story())


def test_metrics_count_requests_and_sockets() -> None:
    """The text format with the project's prefix, and what the composition root adds."""

    async def story() -> None:
        async with serve(extra_metrics=lambda: {"batch_age_seconds": 1.5}) as live:
            async with live.client(live.exchange.traders[0]) as client:
                await client.place("BTC-PERP", "buy", "0.1", "70000")
                await client.refused("private/order", client.order("BTC-PERP", "buy", "0.123", "70000"))
                _, body = await get(live, "/metrics")
            assert "offbook_ws_clients 1\n" in body
            assert 'offbook_orders_total{result="accepted",reason="0"} 1\n' in body
            assert 'offbook_orders_total{result="rejected",reason="11012"} 1\n' in body
            assert "offbook_batch_age_seconds 1.5\n" in body
            assert "offbook_book_crossed_total 0\n" in body

    run(story())


def test_rest_headers_carry_budget_and_sequence() -> None:
    """What a socket has in meta, REST has in headers; the order is durable when the reply comes."""

    async def story() -> None:
        async with serve() as live:
            order = order_params(live.exchange, live.exchange.traders[0], "BTC-PERP", "buy", "0.1", "70000")
            _, body = await http(live, "/v3/private/order", order, headers=auth_headers(live))
            assert body["result"]["order"]["order_status"] == "open"
            marked = order_params(
                live.exchange, live.exchange.traders[0], "BTC-PERP", "buy", "0.1", "70000", cancel_on_disconnect=True
            )
            _, body = await http(live, "/v3/private/order", marked, headers=auth_headers(live))
            assert body["error"]["code"] == -32602

    run(story())


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 14021),
        ({"X-DeriveWallet": "0x" + "11" * 20}, 14021),
        ({"X-DeriveWallet": "zz", "X-DeriveTimestamp": "1", "X-DeriveSignature": "0x"}, -32602),
    ],
)
def test_rest_without_credentials(headers: dict[str, str], code: int) -> None:
    """Missing or malformed headers get an envelope with their code."""

    async def story() -> None:
        async with serve() as live:
            status, body = await http(live, "/v3/private/get_subaccounts", headers=headers)
            assert (status, body["error"]["code"]) == (200, code)

    run(story())


def test_socket_only_methods_on_rest() -> None:
    """subscribe and login need a socket."""

    async def story() -> None:
        async with serve() as live:
            for path in ("/v3/public/subscribe", "/v3/public/login"):
                body = {"wallet": "x", "timestamp": "1", "signature": "x", "channels": []}
                _, reply = await http(live, path, body)
                assert reply["error"]["code"] == -32601

    run(story())


def test_an_unanswered_rest_call_says_that_the_outcome_is_unknown() -> None:
    """9000 when no commit comes in time."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(confirmation_timeout_s=0.2)) as live:
            headers = auth_headers(live)
            await http(live, "/v3/private/get_subaccounts", headers=headers)
            live.exchange.port.held = True
            query = {"subaccount_id": live.exchange.traders[0].subaccount_id}
            _, body = await http(live, "/v3/private/get_open_orders", query, headers=headers)
            assert body["error"]["code"] == 9000

    run(story())


def test_batches_are_listed_and_streamed() -> None:
    """What the settlement process reports is in get_batches, get_batch and on the channel."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert (await client.call("subscribe", {"channels": ["batches"]}))["status"] == {"batches": "ok"}
            row = BatchRow(seq=1, first_sequence=1, last_sequence=9, fills=3, status="Settled", tx_hash="0xab")
            live.gateway.update_batch(row)
            assert (await client.note("batches"))["tx_hash"] == "0xab"
            assert [row["seq"] for row in (await client.call("public/get_batches"))["batches"]] == [1]
            assert (await client.call("public/get_batch", {"seq": 1}))["status"] == "Settled"
            assert (await client.refused("public/get_batch", {"seq": 7}))["code"] == -32602

    run(story())
