"""The error table of api.md 9.1: every code that a request can reach, with its stable text and its data."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from exchange.domain.commands import ChainRequest, ChainRequestKind
from exchange.wire.errors import MESSAGES
from settlement.protocol.eip712 import domain_separator
from settlement.protocol.signature import address_of
from tests.fakes.live_gateway import Client, Live, login_params, serve


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


@dataclass(frozen=True)
class Row:
    """A code, what reaches it, and members its data must hold."""

    code: int
    change: Callable[[Client], dict[str, Any]]
    data: tuple[str, ...] = ()
    method: str = "private/order"


def order(**change: Any) -> Callable[[Client], dict[str, Any]]:
    """A signed order of 0.5 at 80000 with changes that are signed, unless they are about signing."""

    def build(client: Client) -> dict[str, Any]:
        fields = {"direction": "buy", "amount": "0.5", "price": "80000", "instrument": "BTC-PERP"} | change
        names = {name: fields.pop(name) for name in ("instrument", "direction", "amount", "price")}
        return client.order(names["instrument"], names["direction"], names["amount"], names["price"], **fields)

    return build


def after(build: Callable[[Client], dict[str, Any]], **members: Any) -> Callable[[Client], dict[str, Any]]:
    """Members put into the request after signing; None removes one."""
    return lambda client: {name: value for name, value in (build(client) | members).items() if value is not None}


def params(**members: Any) -> Callable[[Client], dict[str, Any]]:
    """Plain parameters with the trader's subaccount."""
    return lambda client: {"subaccount_id": client.trader.subaccount_id if client.trader else 0} | members


NOW_S = time.time_ns() // 10**9
FOREIGN_ID = "00000000-0000-8010-8116-0b9de104199c"
TABLE = [
    Row(-32601, params(), ("method", "hint"), "private/nothing"),
    Row(-32601, params(), ("hint",), "private/order_batch"),
    *(
        Row(-32602, after(order(), **{name: None}), ("field", "reason"))
        for name in ("instrument_name", "direction", "limit_price", "amount", "max_fee", "nonce", "signer", "signature",
                     "signature_expiry_sec", "subaccount_id")
    ),
    Row(-32602, after(order(), limit_price="abc"), ("field",)),
    Row(-32602, after(order(), limit_price="NaN"), ("field",)),
    Row(-32602, after(order(), amount={"a": 1}), ("field",)),
    Row(-32602, after(order(), amount="1e40"), ("field",)),
    Row(-32602, after(order(), max_fee="0.0000000000001"), ("field",)),
    Row(-32602, after(order(), max_fee="-1"), ("field",)),
    Row(-32602, after(order(), nonce="12"), ("field",)),
    Row(-32602, after(order(), nonce="-1795357455576914615"), ("field",)),
    Row(-32602, after(order(), nonce="1" * 400), ("field",)),
    Row(-32602, after(order(), signer="0x12"), ("field",)),
    Row(-32602, after(order(), direction="up"), ("field",)),
    Row(-32602, after(order(), order_type="stop"), ("field",)),
    Row(-32602, after(order(), time_in_force="day"), ("field",)),
    Row(-32602, after(order(), label="x" * 65), ("field",)),
    Row(-32602, after(order(), client_order_id="x" * 37), ("field",)),
    Row(-32602, after(order(), trigger_type="never", trigger_price="1"), ("field",)),
    Row(-32602, after(order(), trigger_price="1"), ("field",)),
    Row(-32602, after(order(), algo_type="twap"), ("field",)),
    Row(-32602, after(order(), expires_at=(NOW_S + 10**6) * 1_000), ("field",)),
    Row(-32602, after(order(), self_trade_prevention="maybe"), ("field",)),
    Row(-32602, after(order(), subaccount_id="seven"), ("field",)),
    Row(-32602, params(limit_price=[1]), ("field",), "private/edit"),
    Row(-32602, params(interval=5), ("field",), "public/set_heartbeat"),
    Row(-32602, params(instrument_type="future"), ("field",), "public/get_all_instruments"),
    Row(11006, params(order_id="x", instrument_name="BTC-PERP"), ("order_id",), "private/cancel"),
    Row(11006, params(order_id=FOREIGN_ID, instrument_name="BTC-PERP"), (), "private/cancel"),
    Row(11006, params(order_id=FOREIGN_ID), (), "private/get_order"),
    Row(11006, params(client_order_id="none"), (), "private/cancel_by_client_order_id"),
    Row(11010, after(order(), order_type="market", time_in_force="post_only")),
    Row(11011, order(signature_expiry_sec=NOW_S + 5), ("low", "high", "got", "server_time")),
    Row(11011, order(signature_expiry_sec=NOW_S + 121 * 86_400), ("low", "high")),
    Row(11011, after(order(), signature_expiry_sec=0), ("low",)),
    Row(11011, after(order(), signature_expiry_sec=10**30), ("low",)),
    Row(11012, order(amount="0.123"), ("got", "nearest")),
    Row(11012, after(order(), amount="0"), ("got", "minimum", "maximum")),
    Row(11012, after(order(), amount="-1"), ("got", "minimum")),
    Row(11012, order(amount="100000"), ("got", "maximum")),
    Row(11012, after(order(), amount="0.1234567890123456"), ("got", "nearest")),
    Row(11013, order(price="80000.05"), ("got", "nearest")),
    Row(11013, after(order(), limit_price="0"), ("got", "minimum")),
    Row(11013, order(price="9999999"), ("got", "maximum")),
    Row(11017, order(nonce=1), ()),
    Row(11018, order(nonce=1795357455576914615), ("window_low", "window_high", "got")),
    Row(11021, order(instrument="BTC-PERP"), ()),
    Row(11023, order(max_fee="1"), ("required", "got")),
    Row(11006, after(order(), trigger_type="stoploss", trigger_price="1", oco_order_id=FOREIGN_ID), ()),
    Row(11013, after(order(), trigger_type="stoploss", trigger_price="0"), ("field", "got")),
    Row(11051, order(trigger_type="stoploss", trigger_price="1"), ("mark_price", "index_price")),
    Row(11053, order(trigger_type="trailing", trailing_offset="1", trigger_price_type="last"), ()),
    Row(11055, order(trigger_type="stoploss", trigger_price="90000", order_type="market"), ()),
    Row(12001, after(order(), instrument_name="NO-PERP"), ("instrument_name",)),
    Row(12001, params(instrument_name="NO-PERP"), ("instrument_name",), "public/get_ticker"),
    Row(12002, params(currency="XYZ"), ("currency",), "public/get_currency"),
    Row(14001, after(order(), subaccount_id=7)),
    Row(14001, lambda _: {"subaccount_id": 1_000_003}, (), "private/get_positions"),
    Row(14001, lambda _: {"subaccount_id": -5}, (), "private/get_positions"),
    Row(14001, lambda _: {"subaccount_id": 10**30}, (), "private/get_positions"),
    Row(14014, order(signing_key=b"\x55" * 32), ("expected", "recovered", "digest", "domain_separator", "typed_data")),
    Row(14014, order(signed_price="80001"), ("expected", "recovered")),
    Row(14014, after(order(), signature="0x12"), ("expected", "reason")),
    Row(14014, after(order(), signature="zz" * 65), ("expected", "reason")),
    Row(14014, after(order(), signature="00" * 65), ("expected", "recovered")),
    Row(14014, after(order(), signature="ff" * 65), ("expected", "reason")),
    Row(14014, order(separator=domain_separator(1)), ("hint",)),
    Row(14020, params(wallet="0x" + "11" * 20), (), "private/get_all_portfolios"),
    Row(14023, after(order(), signer="0x" + "22" * 20), ("signer", "reason")),
]  # fmt: skip
SPECIAL = {11017, 11021}


@pytest.mark.parametrize("row", [row for row in TABLE if row.code not in SPECIAL], ids=lambda row: f"{row.code}")
def test_refusals(row: Row) -> None:
    """The code, its stable text, its data as a JSON text, and a socket that lives on."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            error = await client.refused(row.method, row.change(client))
            assert (error["code"], error["message"]) == (row.code, MESSAGES[row.code])
            if row.data:
                assert set(row.data) <= set(json.loads(error["data"]))
            assert await client.call("public/get_time")

    run(story())


async def _rest_on_book(live: Live, price: str = "84000") -> None:
    async with live.client(live.exchange.traders[1]) as maker:
        await maker.place("BTC-PERP", "sell", "1", price)


def test_refusals_of_the_engine() -> None:
    """Codes that only a sequenced command reaches, each with its data."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            await _rest_on_book(live)
            crossing = client.order("BTC-PERP", "buy", "0.5", "84000", time_in_force="post_only")
            error = await client.refused("private/order", crossing)
            assert (error["code"], json.loads(error["data"])["best_ask"]) == (11008, "84000")
            assert (await _code(client, "2", "84000", time_in_force="fok"))["code"] == 11014
            ioc = (await client.place("BTC-PERP", "buy", "0.5", "80000", time_in_force="ioc"))["order"]
            assert (ioc["order_status"], ioc["reason_code"]) == ("cancelled", "no_liquidity")
            empty = client.order("ETH-PERP", "buy", "0.5", "3000", order_type="market")
            assert (await client.refused("private/order", empty))["code"] == 11009
            assert (await _code(client, "0.5", "80000", reduce_only=True))["code"] == 11025
            assert (await _code(client, "1000", "80000"))["code"] == 11000
            assert (await _code(client, "0.5", "80000", reject_timestamp=1))["code"] == 11022
            first = client.order("BTC-PERP", "buy", "0.5", "80000", client_order_id="one")
            placed = await client.call("private/order", first)
            again = await client.call("private/order", first)
            assert again["order"]["order_id"] == placed["order"]["order_id"]
            del first["client_order_id"]
            error = await client.refused("private/order", first)
            detail = json.loads(error["data"])
            assert (error["code"], detail["order_id"]) == (11017, placed["order"]["order_id"])
            other = client.order("BTC-PERP", "buy", "0.6", "80000", client_order_id="one")
            assert (await client.refused("private/order", other))["code"] == 20001
            own = client.order("BTC-PERP", "sell", "0.1", "80000")
            error = await client.refused("private/order", own)
            assert (error["code"], error["message"]) == (11007, "Self-crossing disallowed")

    run(story())


async def _code(client: Client, amount: str, price: str, **extra: Any) -> dict[str, Any]:
    return await client.refused("private/order", client.order("BTC-PERP", "buy", amount, price, **extra))


def test_terminal_orders_say_how_they_ended() -> None:
    """11003 and 11004 carry id, status and fills; 11028 when a replace saw other fills."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            await _rest_on_book(live)
            sub = client.trader.subaccount_id if client.trader else 0
            filled = (await client.place("BTC-PERP", "buy", "0.5", "84000"))["order"]["order_id"]
            error = await client.refused("private/cancel", {"order_id": filled, "subaccount_id": sub})
            assert (error["code"], json.loads(error["data"])["filled_amount"]) == (11004, "0.5")
            gone = (await client.place("BTC-PERP", "buy", "0.5", "80000"))["order"]["order_id"]
            await client.call("private/cancel", {"order_id": gone, "subaccount_id": sub})
            error = await client.refused("private/cancel", {"order_id": gone, "subaccount_id": sub})
            assert (error["code"], json.loads(error["data"])["order_status"]) == (11003, "cancelled")
            kept = (await client.place("BTC-PERP", "buy", "0.5", "80000"))["order"]["order_id"]
            params = client.order(
                "BTC-PERP", "buy", "0.5", "80001", order_id_to_cancel=kept, expected_filled_amount="0.1"
            )
            assert (await client.refused("private/replace", params))["code"] == 11028
            assert (await client.call("private/get_order", {"order_id": kept, "subaccount_id": sub}))[
                "order_status"
            ] == "open"

    run(story())


def test_validation_order() -> None:
    """Wrong step and wrong signature answer 11012; the wrong signature alone 14014."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            both = client.order("BTC-PERP", "buy", "0.123", "80000", signing_key=b"\x55" * 32)
            assert (await client.refused("private/order", both))["code"] == 11012
            alone = client.order("BTC-PERP", "buy", "0.12", "80000", signing_key=b"\x55" * 32)
            assert (await client.refused("private/order", alone))["code"] == 14014

    run(story())


def test_bad_signature_names_both_signers() -> None:
    """P4: expected and recovered signer, and typed data a wallet can show."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            wrong = client.order("BTC-PERP", "buy", "0.12", "80000", signing_key=b"\x55" * 32)
            detail = json.loads((await client.refused("private/order", wrong))["data"])
            assert detail["expected"] == client.trader.signer if client.trader else ""
            assert bytes.fromhex(detail["recovered"][2:]) == address_of(b"\x55" * 32)
            typed = json.loads(detail["typed_data"])
            assert (typed["primaryType"], typed["domain"]["chainId"]) == ("Action", 424242)

    run(story())


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (14000, lambda good: good | {"wallet": "0x" + "11" * 20}),
        (14026, lambda good: good | {"signature": login_params_of(b"\x77" * 32, good["timestamp"])}),
        (14021, lambda good: good | {"timestamp": str(int(good["timestamp"]) - 61_000)}),
        (14014, lambda good: good | {"signature": "0x00"}),
        (-32602, lambda good: good | {"wallet": "0x12"}),
        (-32602, lambda good: good | {"timestamp": "soon"}),
        (-32602, lambda good: {"wallet": good["wallet"]}),
    ],
)
def test_logins(code: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """A login that fails says why, and the next one may succeed on the same socket."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            good = login_params(live.exchange.traders[0])
            error = await client.refused("public/login", change(good))
            assert error["code"] == code
            if code == 14021:
                assert {"server_time", "skew_ms"} <= set(json.loads(error["data"]))
            assert await client.call("public/login", login_params(live.exchange.traders[0]))

    run(story())


def login_params_of(key: bytes, timestamp: str) -> str:
    """Signature of another key over the same timestamp."""
    from settlement.protocol.signature import personal_digest, sign_digest  # noqa: PLC0415

    return sign_digest(key, personal_digest(timestamp.encode())).hex()


def test_private_calls_before_login() -> None:
    """14021 on the socket; orders, cancels and reads alike."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            for method in ("private/get_open_orders", "private/cancel_all"):
                assert (await client.refused(method, {"subaccount_id": 1}))["code"] == 14021

    run(story())


def test_key_scopes_and_life() -> None:
    """14031 for a key without the scope, 14038 for an order that outlives its key, 14030 once it is revoked."""

    async def story() -> None:
        async with serve() as live:
            key = b"\x44" * 32
            trader = replace(live.exchange.traders[0], session_key=key)
            await _set_key(live, key, valid_to_s=NOW_S + 10_000)
            async with live.client(trader) as client:
                assert (await _code(client, "0.5", "80000"))["code"] == 14031
                option = next(name for name, row in live.exchange.instruments.items() if row.is_option)
                assert (await client.place(option, "buy", "1", "100"))["order"]["order_status"] == "open"
                late = client.order(option, "buy", "1", "100", signature_expiry_sec=NOW_S + 20_000)
                assert (await client.refused("private/order", late))["code"] == 14038
                await _set_key(live, key, valid_to_s=NOW_S - 10)
                assert (await _code(client, "0.5", "80000"))["code"] == 14030
            live.exchange.traders[0] = trader
            async with live.client() as client:
                assert (await client.refused("public/login", login_params(trader)))["code"] == 14030

    run(story())


async def _set_key(live: Live, key: bytes, *, valid_to_s: int) -> None:
    """Register or revoke a key that may trade options only."""
    trader, port = live.exchange.traders[0], live.exchange.port
    wait: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    command = ChainRequest(
        index=port.state.request_index + 1,
        kind=ChainRequestKind.SET_KEY,
        account=0,
        owner=address_of(trader.owner_key),
        key=address_of(key),
        valid_to_s=valid_to_s,
        scopes=1 << 6,
    )
    port.submit(command, lambda _: wait.set_result(None))
    await wait
    await asyncio.sleep(0)


def test_busy_and_rate_limits_come_before_admission() -> None:
    """-32000 with its reason; cancels still pass a full inbox, and nothing is closed."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            sub = client.trader.subaccount_id if client.trader else 0
            live.exchange.port.is_full = True
            error = await _code(client, "0.5", "80000")
            assert (error["code"], json.loads(error["data"])["reason"]) == (-32000, "busy")
            assert await client.call("private/cancel_all", {"subaccount_id": sub}) == "ok"
            live.exchange.port.is_full = False
            numbers = [await client.send("private/get_subaccounts") for _ in range(1_300)]
            replies = [await client.reply(number) for number in numbers]
            refused = [json.loads(reply["error"]["data"]) for reply in replies if "error" in reply]
            assert refused
            assert {row["reason"] for row in refused} == {"rate_limit"}
            assert await client.call("private/cancel_all", {"subaccount_id": sub}) == "ok"

    run(story())


def test_texts_are_stable_for_all_engine_codes() -> None:
    """Every code that a client can meet has a text of its own."""
    from exchange.domain.result_codes import ResultCode  # noqa: PLC0415

    public = {int(code) for code in ResultCode if 0 < code < 30_000}
    assert public <= set(MESSAGES)
    assert len(set(MESSAGES.values())) == len(MESSAGES)
    assert msgspec.json.encode(MESSAGES)
