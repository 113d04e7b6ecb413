"""Session keys as a tree of scopes, rights and limits, on the wire (api.md 4.6)."""

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import ChainRequest, ChainRequestKind
from exchange.domain.limits import MAX_SESSION_KEYS_PER_OWNER
from exchange.domain.safeguards import KeyLimits, KeyRight
from exchange.gateway.core import RelayRequest
from exchange.gateway.key_methods import widens
from exchange.gateway.key_rules import NEEDS
from exchange.gateway.settings import GatewaySettings
from exchange.wire.methods import METHODS
from settlement.protocol.signature import address_of, checksum_address
from tests.fakes.live_gateway import Client, login_params, order_params, serve, until
from tests.fakes.small_exchange import E9, SmallExchange, Trader
from tests.unit.exchange.gateway.test_account_methods import key_params

KEY = b"\x41" * 32
ADDRESS = address_of(KEY)
DAY_S = 86_400


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def register(exchange: SmallExchange, scopes: int, key: bytes = ADDRESS, life_s: int = DAY_S, **fields: Any) -> None:
    """Let the chain's queue bring a key of the first trader."""
    exchange.port.run(
        ChainRequest(
            index=exchange.port.state.request_index + 1,
            kind=ChainRequestKind.SET_KEY,
            account=0,
            owner=address_of(exchange.traders[0].owner_key),
            key=key,
            valid_to_s=time.time_ns() // E9 + life_s,
            scopes=scopes,
            **fields,
        )
    )


def with_key(exchange: SmallExchange, key: bytes = KEY) -> Trader:
    """The first trader, with another session key."""
    one = exchange.traders[0]
    return Trader(one.owner_key, key, one.account, one.subaccount_id)


def as_owner(exchange: SmallExchange) -> Trader:
    """The first trader, logged in with the owner's own key."""
    return with_key(exchange, exchange.traders[0].owner_key)


async def limit(owner: Client, **limits: Any) -> dict[str, Any]:
    """Limit KEY."""
    key = {"public_session_key": checksum_address(ADDRESS)}
    result: dict[str, Any] = await owner.call("private/edit_session_key", key | limits)
    return result


def test_every_private_method_names_what_it_needs() -> None:
    """A method that is forgotten here is the owner's alone; none is."""
    assert set(NEEDS) == {path for path in METHODS if path.startswith("private/")}


READ, CANCEL, TRADE, SETTING = "read", "cancel", "trade", "setting"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    READ: ("private/session_keys", {}),
    CANCEL: ("private/cancel_all", {}),
    SETTING: ("private/set_self_trade_prevention", {"mode": "cancel_maker"}),
}
TREE: list[tuple[str, int, list[str] | None, set[str]]] = [
    ("admin", 1 << 0, [], {READ, CANCEL, TRADE, SETTING}),
    ("trade:all", 1 << 2, None, {READ, CANCEL, TRADE, SETTING}),
    ("trade without account_info", 1 << 2, [], {CANCEL, TRADE, SETTING}),
    ("trade:orderbook:option alone", 1 << 6, None, {READ, CANCEL, SETTING}),
    ("trade:rfq:all", 1 << 7, None, {READ, CANCEL, SETTING}),
    ("no scope, nothing said", 0, None, {READ, CANCEL}),
    ("cancel only", 0, ["cancel"], {CANCEL}),
    ("account reads only", 0, ["account_info"], {READ}),
    ("nothing", 0, [], set()),
    ("withdraw gives nothing here", 1 << 1, [], set()),
]


@pytest.mark.parametrize(("scopes", "rights", "allowed"), [row[1:] for row in TREE], ids=[row[0] for row in TREE])
def test_the_tree_of_scopes(scopes: int, rights: list[str] | None, allowed: set[str]) -> None:
    """What a key may read, cancel, trade and set; the rest is 14031, which names what is missing."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, scopes)
            trader = with_key(live.exchange)
            if rights is not None:
                async with live.client(as_owner(live.exchange)) as owner:
                    assert (await limit(owner, offchain_scopes=rights))["offchain_scopes"] == rights
            async with live.client(trader) as client:
                for name, (method, params) in CALLS.items():
                    frame = await client.ask(method, {"subaccount_id": trader.subaccount_id} | params)
                    assert ("error" not in frame) == (name in allowed), (name, frame)
                    assert name in allowed or frame["error"]["code"] == 14031
                placed = await client.ask("private/order", client.order("BTC-PERP", "buy", "0.1", "70000"))
                assert ("error" not in placed) == (TRADE in allowed)
                channel = f"{trader.subaccount_id}.orders"
                status = (await client.call("subscribe", {"channels": [channel]}))["status"][channel]
                assert status.startswith("ok" if READ in allowed else "14022")

    run(story())


def test_limits_of_orders() -> None:
    """Instrument by name or currency at the door, worth by the engine; both name the reason."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2)
            trader = with_key(live.exchange)
            async with live.client(as_owner(live.exchange)) as owner, live.client(trader) as client:
                row = await limit(owner, instruments=["ETH", "BTC-PERP"], max_notional="8400.5")
                assert (row["instruments"], row["max_notional"]) == (["BTC-PERP", "ETH"], "8400.5")
                option = next(name for name in live.exchange.instruments if name.endswith("-C"))
                refused = await client.refused("private/order", client.order(option, "buy", "0.1", "100"))
                assert (refused["code"], option in refused["data"]) == (14031, True)
                refused = await client.refused("private/order", client.order("BTC-PERP", "buy", "0.11", "70000"))
                assert refused["code"] == 20031
                await client.place("BTC-PERP", "buy", "0.1", "70000")
                await client.place("ETH-PERP", "buy", "0.1", "2000")
                rows = (await owner.call("private/session_keys"))["public_session_keys"]
                assert row in rows

    run(story())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"offchain_scopes": ["trade"]}, "offchain_scopes"),
        ({"ip_whitelist": ["10.0.0.0/33"]}, "ip_whitelist"),
        ({"ip_whitelist": ["10.0.0.1"] * 65}, "ip_whitelist"),
        ({"label": "l" * 65}, "label"),
        ({"instruments": ["BTC"] * 65}, "instruments"),
        ({"max_notional": "0.0000001"}, "max_notional"),
        ({"max_notional": "-1"}, "max_notional"),
    ],
)
def test_refused_limits(change: dict[str, Any], field: str) -> None:
    """Names the field; nothing changes."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2)
            async with live.client(as_owner(live.exchange)) as owner:
                params = {"public_session_key": checksum_address(ADDRESS)} | change
                refused = await owner.refused("private/edit_session_key", params)
                assert (refused["code"], field in refused["data"]) == (-32602, True)
                assert not live.exchange.port.state.key_limits
                refused = await owner.refused(
                    "private/edit_session_key", params | {field: None, "instruments": ["DOGE-PERP"]}
                )
                assert refused["code"] == 12001

    run(story())


def test_who_may_limit_and_revoke() -> None:
    """The owner limits; the owner, the key itself and a key with that right revoke."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2)
            key = {"public_session_key": checksum_address(ADDRESS)}
            other = live.exchange.traders[0]
            async with (
                live.client(as_owner(live.exchange)) as owner,
                live.client(other) as deputy,
                live.client(with_key(live.exchange)) as client,
            ):
                for change in ({"label": "mine"}, {"disable": True}):
                    assert (await deputy.refused("private/edit_session_key", key | change))["code"] == 14031
                assert (await client.refused("private/edit_session_key", key | {"label": "mine"}))["code"] == 14031
                unknown = {"public_session_key": checksum_address(b"\x09" * 20)}
                assert (await owner.refused("private/edit_session_key", unknown))["code"] == 14026
                deputys = {"public_session_key": other.signer, "offchain_scopes": ["delete_session_key"]}
                await owner.call("private/edit_session_key", deputys)
                row = await deputy.call("private/edit_session_key", key | {"disable": True})
                assert row["expiry_sec"] <= time.time()
                assert (await client.refused("private/session_keys", {}))["code"] == 14030
                assert (await owner.refused("private/edit_session_key", key | {"disable": True}))["code"] == 14030
                await deputy.call("private/edit_session_key", {"public_session_key": other.signer, "disable": True})
                assert (await deputy.refused("private/session_keys", {}))["code"] == 14030

    run(story())


def test_revocation_acts_on_the_next_message() -> None:
    """Behind the reply every call of the key is 14030, its orders are gone and its channels have ended."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2)
            trader = with_key(live.exchange)
            channel = f"{trader.subaccount_id}.account"
            async with live.client(as_owner(live.exchange)) as owner, live.client(trader) as client:
                await client.call("subscribe", {"channels": [channel]})
                placed = await client.place("BTC-PERP", "buy", "0.1", "70000")
                named = {"subaccount_id": trader.subaccount_id, "order_id": placed["order"]["order_id"]}
                key = {"public_session_key": checksum_address(ADDRESS), "disable": True}
                await owner.call("private/edit_session_key", key)
                order = client.order("BTC-PERP", "buy", "0.1", "70000")
                for method, params in (
                    ("private/order", order),
                    ("private/cancel_all", named),
                    ("private/get_order", named),
                ):
                    assert (await client.refused(method, params))["code"] == 14030
                left = await client.call("unsubscribe", {"channels": []})
                assert left["remaining_subscriptions"] == []
                assert [frame["params"] for frame in client.frames if frame.get("method") == "auth_ended"] == [
                    {"reason": "revoked"}
                ]
                refused = await client.refused("public/login", login_params(trader))
                assert refused["code"] == 14030
                order_row = await owner.call("private/get_order", named)
                assert order_row["cancel_reason"] == "session_key_deregistered"

    run(story())


def test_a_key_that_runs_out_says_so_a_minute_before() -> None:
    """`auth_expiring` for readers of an account stream; at the end channels go and calls are 14030 (P6)."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2, life_s=2)
            trader = with_key(live.exchange)
            channel = f"{trader.subaccount_id}.account"
            async with live.client(trader) as client, live.client(trader) as plain:
                await plain.call("subscribe", {"channels": [f"{trader.subaccount_id}.orders"]})
                await client.call("subscribe", {"channels": [channel]})
                connection = next(iter(live.gateway.sockets))
                live.gateway.dispatcher.key_watch.logged_in(connection)
                await until(lambda: not connection.channels)
                assert (await client.refused("private/session_keys", {}))["code"] == 14030
                methods = [frame.get("method") for frame in client.frames]
                assert [name for name in methods if name in ("auth_expiring", "auth_ended")] == [
                    "auth_expiring",
                    "auth_ended",
                ]
                assert (await plain.call("unsubscribe"))["remaining_subscriptions"] == []
                assert not [frame for frame in plain.frames if "auth" in str(frame.get("method"))]

    run(story())


def test_addresses_of_a_key() -> None:
    """Outside its networks a key logs in nowhere, calls nothing and signs for nobody else's login: 14029."""

    async def story() -> None:
        async with serve() as live:
            register(live.exchange, 1 << 2)
            trader = with_key(live.exchange)
            async with live.client(as_owner(live.exchange)) as owner, live.client(trader) as client:
                row = await limit(owner, ip_whitelist=["10.1.2.3/8", "127.0.0.0/8"])
                assert row["ip_whitelist"] == ["10.0.0.0/8", "127.0.0.0/8"]
                await client.call("private/get_positions", {"subaccount_id": trader.subaccount_id})
                await limit(owner, ip_whitelist=["10.0.0.0/8"])
                refused = await client.refused("private/session_keys", {})
                assert (refused["code"], json.loads(refused["data"])) == (14029, {"address": "127.0.0.1"})
                async with live.client() as late:
                    assert (await late.refused("public/login", login_params(trader)))["code"] == 14029
                foreign = order_params(live.exchange, trader, "BTC-PERP", "buy", "0.1", "70000")
                assert (await owner.refused("private/order", foreign))["code"] == 14029

    run(story())


def test_limits_outlive_the_gateway() -> None:
    """A gateway that starts later knows them from the engine, of keys to come too."""

    async def story() -> None:
        exchange = SmallExchange()
        register(exchange, 1 << 2)
        async with serve(exchange) as live, live.client(as_owner(exchange)) as owner:
            await limit(owner, label="desk", offchain_scopes=["cancel"], max_notional="5")
        async with serve(exchange) as live, live.client(with_key(exchange)) as client:
            assert (await client.refused("private/session_keys", {}))["code"] == 14031
            async with live.client(as_owner(exchange)) as owner:
                rows = (await owner.call("private/session_keys"))["public_session_keys"]
                assert [row["label"] for row in rows if row["max_notional"] == "5"] == ["desk"]

    run(story())


def relaying(relayed: list[RelayRequest]) -> Any:
    """A relay that only remembers."""

    async def relay(request: RelayRequest) -> str:
        relayed.append(request)
        return "0xaa"

    return relay


def test_a_new_key_has_its_limits_before_it_exists() -> None:
    """They are journaled before the request is relayed, and shown in the reply."""

    async def story() -> None:
        relayed: list[RelayRequest] = []
        async with serve(relay=relaying(relayed)) as live, live.client(as_owner(live.exchange)) as owner:
            members = {"label": "bot", "offchain_scopes": ["cancel"], "instruments": ["BTC"], "max_notional": "100"}
            row = await owner.call("private/set_session_key", key_params(live) | members)
            assert {name: row[name] for name in members} == members
            kept = live.exchange.port.state.key_limits[address_of(live.exchange.traders[0].owner_key)]
            assert kept[b"\x77" * 20].max_notional_e6 == 100 * 10**6
            assert len(relayed) == 1
            async with live.client(live.exchange.traders[0]) as client:
                wider = key_params(live) | {"max_notional": "101"}
                assert (await client.refused("private/set_session_key", wider))["code"] == 14031
                await client.call("private/set_session_key", key_params(live) | {"max_notional": "99"})

    run(story())


def test_a_key_is_refused_before_it_is_relayed() -> None:
    """One that is registered already (20032), and the 65th of an owner (20030)."""

    async def story() -> None:
        relayed: list[RelayRequest] = []
        settings = GatewaySettings()
        async with serve(relay=relaying(relayed), settings=settings) as live:
            register(live.exchange, 1 << 2, key=b"\x77" * 20)
            async with live.client(as_owner(live.exchange)) as owner:
                assert (await owner.refused("private/set_session_key", key_params(live)))["code"] == 20032
        async with serve(relay=relaying(relayed), settings=settings) as live:
            for number in range(MAX_SESSION_KEYS_PER_OWNER - 1):
                register(live.exchange, 0, key=number.to_bytes(20, "big"))
            async with live.client(as_owner(live.exchange)) as owner:
                refused = await owner.refused("private/set_session_key", key_params(live))
                assert (refused["code"], json.loads(refused["data"])) == (20030, {"maximum": 64})
        assert not relayed

    run(story())


ALL = KeyLimits()
SOME = KeyLimits(instruments=(1, 2), underlyings=("BTC",), max_notional_e6=5, ip_whitelist=("10.0.0.0/8", "::1/128"))
WIDENED: list[tuple[KeyLimits, KeyLimits, bool]] = [
    (ALL, ALL, False),
    (ALL, SOME, False),
    (SOME, ALL, True),
    (SOME, KeyLimits(instruments=(1,), max_notional_e6=5, ip_whitelist=("::1/128",)), False),
    (KeyLimits(max_notional_e6=5), KeyLimits(max_notional_e6=6), True),
    (KeyLimits(max_notional_e6=5), KeyLimits(), True),
    (KeyLimits(instruments=(1,)), KeyLimits(instruments=(2,)), True),
    (KeyLimits(instruments=(1,)), KeyLimits(underlyings=("BTC",)), True),
    (KeyLimits(ip_whitelist=("::1/128",)), KeyLimits(), True),
    (KeyLimits(rights=KeyRight.CANCEL), ALL, True),
    (ALL, KeyLimits(rights=KeyRight.CANCEL), False),
    (ALL, KeyLimits(rights=ALL.rights | KeyRight.DELETE_SESSION_KEY), True),
]


@pytest.mark.parametrize(("before", "after", "expected"), WIDENED)
def test_what_widens_a_key(before: KeyLimits, after: KeyLimits, expected: bool) -> None:
    """More of anything, whatever else became less."""
    assert widens(before, after) is expected
