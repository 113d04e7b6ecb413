"""`private/mass_quote` over a real socket: what fails the call, what fails one side, and what rests."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Coroutine
from itertools import count
from typing import Any

import pytest

from exchange.client import OffbookClient, OffbookError
from exchange.client.signing import Credentials, signed_quotes
from exchange.client.signing import QuoteTerms as ClientTerms
from exchange.domain.commands import CancelMany
from exchange.domain.quotes import MassQuote, QuoteLine, pack_lines
from exchange.gateway.quote_checks import QuoteTerms
from exchange.gateway.settings import Budget, GatewaySettings
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import (
    DERIVE_SEPOLIA_CHAIN_ID,
    MASS_QUOTE_MODULE,
    Action,
    digest,
    domain_separator,
    encode_mass_quote,
)
from settlement.protocol.signature import address_of, recover_address, sign_digest
from tests.fakes.live_gateway import Client, Live, login_params, serve, until
from tests.unit.exchange.gateway.test_intake import HeldPool, settle

PERP = "BTC-PERP"
METHOD = "private/mass_quote"
TWO_SIDES = [[PERP, "80000", "0.5", "90000", "0.4"]]
_nonces = count()


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story against a live server."""
    asyncio.run(asyncio.wait_for(story, 30))


def e18(text: str) -> int:
    """A decimal text of at most nine fraction digits in 1e-18."""
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**18 + int(fraction.ljust(18, "0"))


def packed(live: Live, lines: list[list[Any]]) -> bytes:
    """Lines as they are signed, written down again from the interface's description."""
    rows = b""
    for name, *sides in lines:
        one = live.exchange.instruments[name]
        rows += one.instrument_id.to_bytes(4, "big")
        for price, amount in (sides[:2], sides[2:]):
            is_pulled = not amount or e18(amount) == 0
            rows += (0 if is_pulled else e18(price) // (one.tick_e9 * 10**9)).to_bytes(8, "big", signed=True)
            rows += (0 if is_pulled else e18(amount) // (one.lot_e9 * 10**9)).to_bytes(8, "big")
    return rows


def call_params(live: Live, client: Client, lines: list[list[Any]], **change: Any) -> dict[str, Any]:
    """A signed call; `signed_lines`, `separator` and `signing_key` are about the signature, the rest is sent."""
    trader, venue = client.trader, live.exchange.venue
    assert trader is not None
    signed_lines = change.pop("signed_lines", lines)
    nonce = int(change.pop("nonce", time.time_ns() // 1_000 * 1_000 + next(_nonces) % 1_000))
    expiry_s = change.pop("signature_expiry_sec", time.time_ns() // 10**9 + 600)
    max_fee = change.pop("max_fee", "100")
    action = Action(
        subaccount_id=trader.subaccount_id,
        nonce=nonce,
        module=MASS_QUOTE_MODULE,
        data=encode_mass_quote(
            settlement_contract=venue.settlement_contract,
            packed_lines=packed(live, signed_lines),
            line_count=len(signed_lines),
            max_fee_e18=e18(max_fee),
            subaccount_id=trader.subaccount_id,
        ),
        expiry_s=expiry_s,
        owner=address_of(trader.owner_key),
        signer=address_of(trader.session_key),
    )
    hashed = digest(change.pop("separator", venue.domain_separator), action)
    signature = sign_digest(change.pop("signing_key", trader.session_key), hashed)
    return {
        "subaccount_id": trader.subaccount_id,
        "mmp_group": 1,
        "lines": lines,
        "max_fee": max_fee,
        "nonce": str(nonce),
        "signer": trader.signer,
        "signature_expiry_sec": expiry_s,
        "signature": "0x" + signature.hex(),
        **change,
    }


async def set_group(client: Client, **change: Any) -> None:
    """Give the trader's group 1 of BTC perpetuals its limits."""
    assert client.trader is not None
    base = {"subaccount_id": client.trader.subaccount_id, "currency": "BTC", "mmp_amount_limit": "50"}
    await client.call("private/set_mmp_config", base | {"mmp_interval": 10_000} | change)


async def quote(live: Live, client: Client, lines: list[list[Any]], **change: Any) -> list[dict[str, Any]]:
    """Send a signed call and return what became of its sides."""
    result = await client.call(METHOD, call_params(live, client, lines, **change))
    assert result["trades"] == []
    rows: list[dict[str, Any]] = result["quotes"]
    return rows


async def unsigned(client: Client, lines: list[list[Any]], **change: Any) -> list[dict[str, Any]]:
    """Send a call without a signature."""
    assert client.trader is not None
    params = {"subaccount_id": client.trader.subaccount_id, "mmp_group": 1, "lines": lines}
    rows: list[dict[str, Any]] = (await client.call(METHOD, params | change))["quotes"]
    return rows


def told(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """Line, direction and status of each side."""
    return [(row["line"], row["direction"], row["status"]) for row in rows]


def test_the_published_vector() -> None:
    """Gateway and SDK sign what the interface's description says, line for line."""
    key = bytes.fromhex("2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd")
    lines = (QuoteLine(2, 125_050, 20, 0, 0), QuoteLine(0x80000001, 840_000, 50, 840_010, 50))
    owner, nonce, expiry_s = bytes.fromhex("000000000000000000000000000000000000dead"), 1795357455576914615, 1800000000
    venue = VenueInfo.for_chain(
        chain_id=424242, settlement_contract=b"\x66" * 20, subaccount_base=0, accept_derive_sepolia_orders=True
    )
    terms = QuoteTerms(
        lines=lines, max_fee_e18=10 * 10**18, subaccount_id=7, nonce=nonce, expiry_s=expiry_s, owner=owner,
        signer=address_of(key),
    )  # fmt: skip
    expected = bytes.fromhex("23dd88a799535e84fe1006576389d4203f099c0e39de30167ce9b57b63c0b154")
    assert len(pack_lines(lines)) == 72
    assert terms.digest(venue.domain_separator, venue) == expected
    who = Credentials(owner=owner, session_key=key, subaccount_id=7, signer=address_of(key))
    own = ClientTerms(lines=lines, max_fee_e9=10 * 10**9, nonce=nonce, expiry_s=expiry_s)
    sent = signed_quotes(who, venue.domain_separator, b"\x66" * 20, own)
    assert recover_address(expected, bytes.fromhex(str(sent["signature"])[2:])) == address_of(key)


def lines_of(count_of_lines: int) -> list[list[str]]:
    """Many lines of one name."""
    return [[PERP, "80000", "0.5", "0", "0"]] * count_of_lines


NOW_S = time.time_ns() // 10**9
WHOLE_CALLS = [
    pytest.param([], {}, -32602, {"field": "lines"}, id="no line"),
    pytest.param(lines_of(65), {}, 20006, {"maximum": 64, "got": 65}, id="65 lines"),
    pytest.param(lines_of(2), {}, -32602, {"field": "lines"}, id="an instrument twice"),
    pytest.param(TWO_SIDES, {"cancel": "some"}, -32602, {"field": "cancel"}, id="cancel something"),
    pytest.param(TWO_SIDES, {"cancel": "all"}, -32602, {"field": "cancel"}, id="cancel and quote"),
    pytest.param(TWO_SIDES, {"mmp_group": 0}, -32602, {"field": "mmp_group"}, id="group 0"),
    pytest.param(TWO_SIDES, {"nonce": 12}, -32602, {"field": "nonce"}, id="a short nonce"),
    pytest.param(TWO_SIDES, {"nonce": 10**18}, 11018, {"got": str(10**18)}, id="an old nonce"),
    pytest.param(TWO_SIDES, {"signature_expiry_sec": NOW_S}, 11011, {"got": NOW_S}, id="expired"),
    pytest.param(TWO_SIDES, {"max_fee": "1"}, 11023, {"got": "1"}, id="a small fee cap"),
    pytest.param([["NO-PERP", "1", "1", "1", "1"]], {"signed_lines": TWO_SIDES}, 12001, {"line": 0}, id="no such name"),
    pytest.param(
        [[PERP, "80000.05", "0.5", "90000", "0.4"]], {}, 11013, {"line": 0, "direction": "buy", "got": "80000.05"},
        id="off the tick",
    ),
    pytest.param(
        [[PERP, "80000", "0.5", "90000", "0.123"]], {}, 11012, {"line": 0, "direction": "sell", "got": "0.123"},
        id="off the step",
    ),
    pytest.param(TWO_SIDES, {"signer": "0x" + "11" * 20}, 14023, {}, id="a foreign signer"),
    pytest.param(TWO_SIDES, {"signing_key": b"\x09" * 32}, 14014, {}, id="another key"),
    pytest.param(
        TWO_SIDES, {"signed_lines": [[PERP, "80000", "0.5", "90000", "0.5"]]}, 14014, {}, id="other lines were signed"
    ),
    pytest.param(
        TWO_SIDES, {"separator": domain_separator(DERIVE_SEPOLIA_CHAIN_ID)}, 14014, {}, id="a domain for orders alone"
    ),
    pytest.param(TWO_SIDES, {"cancel_on_disconnect": False}, 20009, {}, id="quotes that outlive their session"),
    pytest.param(TWO_SIDES, {"mmp_group": 2}, 20009, {}, id="a group without limits"),
    pytest.param(TWO_SIDES, {"subaccount_id": 7}, 14001, {}, id="another's subaccount"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "change", "code", "members"), WHOLE_CALLS)
def test_calls_that_are_refused(lines: list[Any], change: dict[str, Any], code: int, members: dict[str, Any]) -> None:
    """One typed error, and nothing rests."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            await set_group(client)
            signed = change.get("signed_lines", [row for row in lines if row[0] == PERP] or TWO_SIDES)
            params = call_params(live, client, lines, **{"signed_lines": signed} | change)
            error = await client.refused(METHOD, params)
            assert error["code"] == code, error
            data = json.loads(error["data"]) if error["data"] else {}
            assert members.items() <= data.items()
            sub = live.exchange.traders[0].subaccount_id
            assert (await client.call("private/get_open_orders", {"subaccount_id": sub}))["orders"] == []

    run(story())


def test_rest_has_no_session_for_quotes() -> None:
    """The method is the socket's, whoever asks."""

    def ask(live: Live) -> Any:
        login = login_params(live.exchange.traders[0])
        names = {"wallet": "X-DeriveWallet", "timestamp": "X-DeriveTimestamp", "signature": "X-DeriveSignature"}
        headers = {header: login[name] for name, header in names.items()}
        request = urllib.request.Request(f"{live.http}/v3/{METHOD}?subaccount_id=1", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.load(reply)["error"]

    async def story() -> None:
        async with serve() as live:
            error = await asyncio.to_thread(ask, live)
            assert (error["code"], json.loads(error["data"])["hint"]) == (-32601, "socket only")

    run(story())


def test_a_nonce_serves_one_call() -> None:
    """The second one names who used it."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            await set_group(client)
            params = call_params(live, client, TWO_SIDES)
            await client.call(METHOD, params)
            error = await client.refused(METHOD, params)
            assert (error["code"], json.loads(error["data"])["got"]) == (11017, params["nonce"])

    run(story())


def test_sides_are_placed_replaced_kept_shrunk_and_pulled() -> None:
    """Each says what became of it; a smaller amount at the same price keeps number and place in line."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            await set_group(client)
            first = await quote(live, client, TWO_SIDES)
            assert told(first) == [(0, "buy", "placed"), (0, "sell", "placed")]
            moved = await quote(live, client, [[PERP, "80001", "0.5", "90000", "0.4"]])
            assert told(moved) == [(0, "buy", "replaced"), (0, "sell", "unchanged")]
            assert moved[0]["order_id"] != first[0]["order_id"]
            assert moved[1]["order_id"] == first[1]["order_id"]
            smaller = await unsigned(client, [[PERP, "80001", "0.2", "90000", "0.4"]])
            assert told(smaller) == [(0, "buy", "replaced"), (0, "sell", "unchanged")]
            assert smaller[0]["order_id"] == moved[0]["order_id"]
            shown = await client.call("public/get_order_book", {"instrument_name": PERP})
            assert (shown["bids"], shown["asks"]) == ([["80001", "0.2"]], [["90000", "0.4"]])
            pulled = await unsigned(client, [[PERP, None, 0, "90000", "0.4"]])
            assert told(pulled) == [(0, "buy", "pulled"), (0, "sell", "unchanged")]
            assert pulled[0]["order_id"] == moved[0]["order_id"]
            assert told(await unsigned(client, [[PERP, "0", "0", "0", "0"]])) == [(0, "sell", "pulled")]
            assert (await client.call("public/get_order_book", {"instrument_name": PERP}))["asks"] == []

    run(story())


def test_what_is_wrong_with_one_side_refuses_that_side() -> None:
    """One that would take, one that needs a signature, one of another group; `detailed` off: only those are told."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client, live.client(two) as other:
                await set_group(client)
                await other.place(PERP, "sell", "1", "85000")
                rows = await quote(live, client, [[PERP, "85000", "0.5", "90000", "0.4"]])
                assert told(rows) == [(0, "buy", "rejected"), (0, "sell", "placed")]
                error = rows[0]["error"]
                assert (error["code"], json.loads(error["data"])["best_ask"]) == (11008, "85000")
                assert rows[0]["order_id"] is None
                rows = await unsigned(client, [[PERP, "80000", "0.5", "90000", "0.4"]])
                assert told(rows) == [(0, "buy", "rejected"), (0, "sell", "unchanged")]
                assert rows[0]["error"]["code"] == 14023
                ether = ["ETH-PERP", "2000", "1", "4000", "1"]
                rows = await quote(live, client, [[PERP, "80000", "0.5", "90000", "0.4"], ether], detailed=False)
                assert [(row["line"], row["direction"], row["error"]["code"]) for row in rows] == [
                    (1, "buy", 20009),
                    (1, "sell", 20009),
                ]

    run(story())


def test_a_frozen_group_quotes_nothing() -> None:
    """One fill allowed, and it came: 11015 for the whole call until a reset."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client, live.client(two) as other:
                await set_group(client, mmp_count_limit=1)
                await client.call(
                    "subscribe", {"channels": [f"{one.subaccount_id}.trades", f"{one.subaccount_id}.orders"]}
                )
                rows = await quote(live, client, TWO_SIDES)
                await other.place(PERP, "buy", "0.1", "90000")
                (fill,) = await client.note(f"{one.subaccount_id}.trades")
                assert (fill["order_id"], fill["trade_amount"]) == (rows[1]["order_id"], "0.1")
                ended = await client.note(
                    f"{one.subaccount_id}.orders", lambda data: any(row["order_status"] == "cancelled" for row in data)
                )
                assert {row["order_id"] for row in ended} >= {rows[0]["order_id"]}
                error = await client.refused(METHOD, call_params(live, client, TWO_SIDES))
                assert error["code"] == 11015
                await client.call("private/reset_mmp", {"subaccount_id": one.subaccount_id})
                assert told(await quote(live, client, TWO_SIDES)) == [(0, "buy", "placed"), (0, "sell", "placed")]

    run(story())


def test_pulling_a_group_overtakes_calls_that_wait_for_their_check() -> None:
    """They answer 11003 and never reach the engine; what rests is pulled, without a signature."""

    async def story() -> None:
        settings = GatewaySettings(inline_verifications=0)
        async with serve(settings=settings) as live, live.client(live.exchange.traders[0]) as client:
            sub = live.exchange.traders[0].subaccount_id
            await set_group(client)
            resting = await quote(live, client, TWO_SIDES)
            held = HeldPool(live)
            waiting = await client.send(METHOD, call_params(live, client, [[PERP, "80002", "0.5", "90000", "0.4"]]))
            other = await client.send(METHOD, call_params(live, client, TWO_SIDES, mmp_group=2))
            await settle(client)
            result = await client.call(METHOD, {"subaccount_id": sub, "cancel": "all"})
            assert {row["order_id"] for row in result["quotes"]} == {row["order_id"] for row in resting}
            assert {row["status"] for row in result["quotes"]} == {"pulled"}
            error = (await client.reply(waiting))["error"]
            assert (error["code"], json.loads(error["data"])["reason"]) == (11003, "cancelled_before_admission")
            held.release()
            assert (await client.reply(other))["error"]["code"] == 20009, "another group's call went its way"
            kinds = [type(row).__name__ for row in live.exchange.port.log if isinstance(row, MassQuote | CancelMany)]
            assert kinds == ["MassQuote", "CancelMany", "MassQuote"]
            assert (await client.call("private/get_open_orders", {"subaccount_id": sub}))["orders"] == []

    run(story())


@pytest.mark.parametrize(
    ("method", "members", "is_hit"),
    [
        ("private/cancel_all", {}, True),
        ("private/cancel_all", {"currency": "ETH"}, False),
        ("private/cancel_all_trigger_orders", {}, False),
        ("private/cancel_by_instrument", {"instrument_name": PERP}, True),
        ("private/cancel_by_instrument", {"instrument_name": "ETH-PERP"}, False),
        ("private/cancel_by_label", {"label": "x"}, False),
        ("private/cancel_by_nonce", {"nonce": "1"}, False),
    ],
)
def test_cancels_remove_the_calls_that_they_match(method: str, members: dict[str, Any], is_hit: bool) -> None:
    """A cancel passes a waiting call and takes it along when its filter fits."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(inline_verifications=0)) as live:
            trader = live.exchange.traders[0]
            async with live.client(trader) as client:
                await set_group(client)
                held = HeldPool(live)
                params = call_params(live, client, TWO_SIDES)
                waiting = await client.send(METHOD, params)
                await settle(client)
                given = members | ({"nonce": params["nonce"]} if "nonce" in members else {})
                await client.ask(method, {"subaccount_id": trader.subaccount_id} | given)
                held.release()
                reply = await client.reply(waiting)
                hit = is_hit or "nonce" in members
                assert ("error" in reply) is hit

    run(story())


def test_budget_counts_lines_and_never_stops_a_pull() -> None:
    """Three lines of room: the fourth is refused with its price, pulling the group is free."""

    async def story() -> None:
        async with serve(settings=GatewaySettings(quotes=Budget(1, 3))) as live:
            trader = live.exchange.traders[0]
            async with live.client(trader) as client:
                await set_group(client)
                lines = [*TWO_SIDES, ["ETH-PERP", "2000", "1", "4000", "1"]]
                reply = await client.ask(METHOD, call_params(live, client, lines))
                assert (reply["meta"]["cost"], reply["meta"]["remaining"]) == (2, 1)
                error = await client.refused(METHOD, call_params(live, client, lines))
                data = json.loads(error["data"])
                assert (error["code"], data["reason"], data["bucket"], data["cost"]) == (
                    -32000, "rate_limit", "quotes", 2,
                )  # fmt: skip
                reply = await client.ask(METHOD, {"subaccount_id": trader.subaccount_id, "cancel": "all"})
                assert reply["meta"]["cost"] == 0
                assert len(reply["result"]["quotes"]) == 2
                limits = await client.call("public/get_limits")
                assert limits["budgets"]["quotes"] == {"per_second": 1, "burst": 3}
                assert limits["max_quote_lines"] == 64

    run(story())


def test_quotes_end_with_their_session() -> None:
    """The socket is gone, and so are they."""

    async def story() -> None:
        async with serve() as live:
            async with live.client(live.exchange.traders[0]) as client:
                await set_group(client)
                await quote(live, client, TWO_SIDES)
                assert len(live.exchange.port.state.open_orders) == 2
            await until(lambda: not live.exchange.port.state.open_orders)

    run(story())


def test_the_client_quotes_and_pulls() -> None:
    """`mass_quote` and `pull_quotes`; an amount of None leaves that side alone, a float is refused."""
    shown = (PERP, "80000", "0.5", "90000", "0.4")

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            who = Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id)
            client = OffbookClient(f"ws://127.0.0.1:{live.port}/v3/ws", who)
            await client.open()
            config = client.own(currency="BTC", mmp_amount_limit="50", mmp_interval=10_000)
            with pytest.raises(OffbookError, match="20009"):
                await client.mass_quote([shown])
            await client.request("private/set_mmp_config", config)
            with pytest.raises(TypeError):
                await client.mass_quote([(PERP, 80_000.0, "0.5", None, None)])
            with pytest.raises(ValueError, match="needs a price"):
                await client.mass_quote([(PERP, None, "0.5", None, None)])
            result = await client.mass_quote([shown])
            assert told(result["quotes"]) == [(0, "buy", "placed"), (0, "sell", "placed")]
            assert await client.mass_quote([shown], detailed=False) == {"quotes": [], "trades": []}
            result = await client.mass_quote([(PERP, None, None, "90001", "0.4")])
            assert told(result["quotes"]) == [(0, "buy", "pulled"), (0, "sell", "replaced")]
            result = await client.pull_quotes()
            assert [row["status"] for row in result["quotes"]] == ["pulled"]
            assert await client.open_orders() == []
            await client.close()

    run(story())
