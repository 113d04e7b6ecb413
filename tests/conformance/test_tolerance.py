"""The tolerance table of api.md 3: one row, one test, on POST, GET and the socket where it applies."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Coroutine
from http.client import HTTPConnection
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.fakes.live_gateway import Live, login_params, order_params, serve
from tests.fakes.published_api import REST_PATHS, check_rest_reply


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


async def http(
    live: Live, path: str, body: Any = None, *, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, Any]:
    """Send one request; returns status and decoded body."""
    data = None if method == "GET" else (body if isinstance(body, bytes) else json.dumps(body or {}).encode())
    query = "?" + urllib.parse.urlencode(body) if method == "GET" and body else ""
    request = urllib.request.Request(live.http + path + query, data=data, headers=headers or {}, method=method)

    def send() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    status, raw = await asyncio.to_thread(send)
    reply = json.loads(raw) if raw else None
    if status == 200 and path.removeprefix("/v3") in REST_PATHS and path.startswith("/v3/"):
        check_rest_reply(path.removeprefix("/v3"), reply)
    return status, reply


def auth_headers(live: Live, family: str = "X-Derive") -> dict[str, str]:
    """Headers of the first trader."""
    params = login_params(live.exchange.traders[0])
    return {
        f"{family}Wallet": params["wallet"],
        f"{family}Timestamp": params["timestamp"],
        f"{family}Signature": params["signature"],
    }


@pytest.mark.parametrize("path", ["/v3/public/get_time", "/public/get_time"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_t1_t2_paths_and_verbs(path: str, method: str) -> None:
    """T1, T2: both paths, both verbs; the id is a string and the envelope complete."""

    async def story() -> None:
        async with serve() as live:
            status, body = await http(live, path, method=method)
            assert status == 200
            assert isinstance(body["result"], int)
            assert isinstance(body["id"], str)
            assert "error" not in body

    run(story())


@pytest.mark.parametrize("path", ["/v3/ws", "/ws"])
@pytest.mark.parametrize("method", ["public/get_time", "/public/get_time", "/v3/public/get_time"])
def test_t1_socket_paths(path: str, method: str) -> None:
    """T1: the socket stands at two paths and strips prefixes of methods."""

    async def story() -> None:
        async with serve() as live, live.client(path=path) as client:
            assert isinstance(await client.call(method), int)

    run(story())


def test_t2_private_by_get() -> None:
    """T2: private methods work over GET with a query, whatever the content type."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            query = {"subaccount_id": trader.subaccount_id}
            _, body = await http(live, "/v3/private/get_open_orders", query, headers=auth_headers(live), method="GET")
            assert body["result"]["orders"] == []
            headers = auth_headers(live) | {"Content-Type": "text/plain"}
            _, body = await http(live, "/v3/private/get_open_orders", query, headers=headers)
            assert body["result"]["subaccount_id"] == trader.subaccount_id

    run(story())


@pytest.mark.parametrize(
    "params",
    [
        {"instrument_type": "perp", "expired": "false", "page": "1", "page_size": "1000"},
        {"instrument_type": "perp", "expired": False, "page": 1, "page_size": 1000},
        {"instrument_type": "perp", "expired": 0, "page": None, "unknown": {"a": [1]}},
    ],
)
def test_t3_t6_scalars_and_unknown_members(params: dict[str, Any]) -> None:
    """T3, T6: scalars are coerced, null is absent, unknown members are ignored."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            result = await client.call("public/get_all_instruments", params)
            assert result["pagination"] == {"count": 2, "num_pages": 1}
            _, body = await http(live, "/v3/public/get_all_instruments", params)
            assert len(body["result"]["instruments"]) == 2

    run(story())


@pytest.mark.parametrize("raw_id", ["7", "7.5", '"x"', "null", None])
def test_t4_ids(raw_id: str | None) -> None:
    """T4: any scalar id is echoed; without one the reply has null."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            head = "" if raw_id is None else f'"id":{raw_id},'
            await client.raw.send(f'{{{head}"method":"public/get_time"}}')
            reply = await client.raw.recv()
            assert str(reply).startswith(f'{{"id":{raw_id or "null"},')

    run(story())


@pytest.mark.parametrize("tail", ["", ',"params":null', ',"params":{}', ',"params":[]', ',"jsonrpc":"1.0"'])
def test_t5_missing_parts(tail: str) -> None:
    """T5: jsonrpc and params may be missing or empty."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await client.raw.send(f'{{"id":1,"method":"public/get_time"{tail}}}')
            assert "result" in json.loads(await client.raw.recv())

    run(story())


def test_t5_batches_are_refused() -> None:
    """T5: a JSON-RPC array is -32600 and the socket lives."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await client.raw.send('[{"id":1,"method":"public/get_time"}]')
            assert json.loads(await client.raw.recv())["error"]["code"] == -32600
            assert await client.call("public/get_time")

    run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": int},
        {"nonce": str},
        {"max_fee": float, "amount": float, "limit_price": float},
        {"subaccount_id": str, "signature_expiry_sec": str, "reduce_only": lambda _: "false"},
        {"signature": lambda text: text.removeprefix("0x").upper()},
        {"signature": lambda text: text[:-2] + {"1b": "00", "1c": "01"}[text[-2:]]},
        {"signer": str.lower, "direction": str.upper},
        {"referral_code": lambda _: "x", "client": lambda _: "y", "is_atomic_signing": lambda _: False},
        {"reject_timestamp": lambda _: (1 << 63) - 1, "mmp": lambda _: False, "label": lambda _: 7},
        {"amount": lambda _: "0.50", "limit_price": lambda _: "80000.0"},
    ],
)
def test_t6_to_t9_orders(change: dict[str, Any]) -> None:
    """T6 to T9: nonces, decimals and signatures in all their spellings make the same order."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            params = order_params(live.exchange, trader, "BTC-PERP", "buy", "0.5", "80000")
            sent = params | {name: convert(params.get(name)) for name, convert in change.items()}
            if "direction" in change:
                sent["direction"] = "BUY"
            async with live.client(trader) as client:
                order = (await client.call("private/order", sent))["order"]
                assert (order["amount"], order["limit_price"], order["order_status"]) == ("0.5", "80000", "open")
                assert order["nonce"] == str(params["nonce"])

    run(story())


@pytest.mark.parametrize("kind", [str, int])
def test_t10_timestamps(kind: Any) -> None:
    """T10: a login's timestamp is a string or an integer."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            params = login_params(live.exchange.traders[0])
            result = await client.call("public/login", params | {"timestamp": kind(params["timestamp"])})
            assert result == [live.exchange.traders[0].subaccount_id]

    run(story())


@pytest.mark.parametrize("family", ["X-Derive", "X-Lyra", "x-derive", "X-LYRA"])
def test_t11_header_families(family: str) -> None:
    """T11: both header spellings in any case."""

    async def story() -> None:
        async with serve() as live:
            _, body = await http(live, "/v3/private/get_subaccounts", headers=auth_headers(live, family))
            assert body["result"]["subaccount_ids"] == [live.exchange.traders[0].subaccount_id]

    run(story())


def test_t12_pings_and_binary_frames() -> None:
    """T12: bare ping gets bare pong, the method an empty reply, binary JSON is text."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await client.raw.send("ping")
            assert await client.raw.recv() == "pong"
            assert await client.call("ping") == {}
            await client.raw.send(b'{"id":9,"method":"public/get_time"}')
            assert json.loads(await client.raw.recv())["id"] == 9

    run(story())


def test_t13_second_login() -> None:
    """T13: another login replaces the identity and ends its private channels."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client:
                channel = f"{one.subaccount_id}.orders"
                await client.call("subscribe", {"channels": [channel, "trades.BTC-PERP"]})
                assert await client.call("public/login", login_params(one)) == [one.subaccount_id]
                assert await client.call("public/login", login_params(two)) == [two.subaccount_id]
                left = await client.call("subscribe", {"channels": []})
                assert left["current_subscriptions"] == ["trades.BTC-PERP"]
                error = await client.refused("private/get_open_orders", {"subaccount_id": one.subaccount_id})
                assert error["code"] == 14001

    run(story())


def test_t14_t15_channel_spellings() -> None:
    """T14, T15: any group and depth; other ticker intervals round up; the string is echoed as asked."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            names = ["orderbook.BTC-PERP.10.5", "orderbook.BTC-PERP.3.100", "ticker_slim.BTC-PERP.250"]
            result = await client.call("subscribe", {"channels": names})
            assert result["status"] == dict.fromkeys(names, "ok")
            for name in names:
                assert await client.note(name)

    run(story())


def test_bad_channels_are_status_texts() -> None:
    """A bad or private channel never becomes a request error."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            names = [
                "nonsense",
                "orderbook.NO-PERP.1.10",
                f"{live.exchange.traders[0].subaccount_id}.orders",
                "trades.BTC-PERP",
            ]
            status = (await client.call("subscribe", {"channels": names}))["status"]
            assert [text.split()[0] for text in status.values()] == ["13000", "12001", "14022", "ok"]

    run(story())


@pytest.mark.parametrize(
    ("method", "hint"),
    [
        ("private/transfer_erc20", "transfer_spot"),
        ("public/register_session_key", "set_session_key"),
        ("public/register_scoped_session_key", "set_session_key"),
        ("public/get_rate_limits", "get_limits"),
        ("public/GET_TIME", "get_limits"),
    ],
)
def test_t16_unknown_methods(method: str, hint: str) -> None:
    """T16: names match exactly; what is not offered says where to look."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            error = await client.refused(method)
            assert error["code"] == -32601
            assert hint in error["data"]
            status, body = await http(live, f"/v3/{method}")
            assert (status, body["error"]["code"]) == (200, -32601)

    run(story())


def test_t16_aliases() -> None:
    """T16: the odd name and the aliases answer."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            assert (await client.call("public/getRateLimits"))["remaining_matching"]["remainingPoints"] > 0
            assert (
                len(await client.call("public/get_instruments", {"currency": "BTC", "instrument_type": "option"})) == 2
            )
            listing = await client.call("private/get_orders", {"subaccount_id": live.exchange.traders[0].subaccount_id})
            assert listing["orders"] == []

    run(story())


def test_t17_older_shape() -> None:
    """T17: without /v3 three fields have their older form."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            order = order_params(live.exchange, trader, "BTC-PERP", "buy", "0.5", "80000")
            _, body = await http(live, "/private/order", order, headers=auth_headers(live))
            assert body["result"]["order"]["nonce"] == int(order["nonce"])
            query = {"subaccount_id": trader.subaccount_id}
            _, body = await http(live, "/private/get_subaccount", query, headers=auth_headers(live))
            assert (body["result"]["currency"], body["result"]["margin_type"]) == ("USDC", "SM")
            _, body = await http(live, "/v3/private/get_subaccount", query, headers=auth_headers(live))
            assert body["result"]["currency"] == ["USDC"]

    run(story())


@pytest.mark.parametrize(("path", "status"), [("/v3/other/get_time", 404), ("/v3/public/a/b", 404)])
def test_paths_outside_the_scheme(path: str, status: int) -> None:
    """Only what has no envelope has another status than 200."""

    async def story() -> None:
        async with serve() as live:
            request = urllib.request.Request(live.http + path, data=b"{}", method="POST")

            def send() -> int:
                try:
                    with urllib.request.urlopen(request, timeout=5) as reply:
                        return int(reply.status)
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code

            assert await asyncio.to_thread(send) in (status, 405)

    run(story())


@pytest.mark.parametrize("pieces", [[1 << 20, 2], [8 << 20], [1 << 19, 1 << 19, 1]], ids=["longer", "8 MiB", "chunked"])
def test_bodies_above_the_limit(pieces: list[int]) -> None:
    """A body above 1 MiB is 413, and the client that is still sending gets to read it."""

    async def story() -> None:
        async with serve() as live:
            body = [b" " * piece for piece in pieces]

            def send() -> int:
                connection = HTTPConnection(live.http.removeprefix("http://"), timeout=5)
                with contextlib.closing(connection):
                    is_chunked = len(body) > 2
                    connection.request(
                        "POST",
                        "/v3/public/get_time",
                        iter(body) if is_chunked else b"".join(body),
                        encode_chunked=is_chunked,
                        headers={"Transfer-Encoding": "chunked"} if is_chunked else {},
                    )
                    return connection.getresponse().status

            assert await asyncio.to_thread(send) == 413

    run(story())


def test_a_refused_body_is_read_before_its_answer() -> None:
    """Nothing comes while a client still sends: an answer that closes the socket early would be lost with a reset."""

    async def story() -> None:
        async with serve() as live:
            reader, writer = await asyncio.open_connection(*live.http.removeprefix("http://").split(":"))
            writer.write(b"POST /v3/public/get_time HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n")
            writer.write(bytes(1 << 20))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
            writer.write(bytes(1 << 20))
            assert b" 413 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(story())


def test_a_body_announced_far_above_the_limit_is_not_read() -> None:
    """A request that announces 1 GiB has its 413 before it sends a byte of it."""

    async def story() -> None:
        async with serve() as live:
            reader, writer = await asyncio.open_connection(*live.http.removeprefix("http://").split(":"))
            writer.write(b"POST /v3/public/get_time HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n")
            assert b" 413 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(story())


def test_socket_at_another_path() -> None:
    """An upgrade elsewhere is refused with 404."""

    async def story() -> None:
        async with serve() as live:
            with pytest.raises(Exception, match="404"):
                async with connect(f"ws://127.0.0.1:{live.port}/elsewhere"):
                    pass

    run(story())
