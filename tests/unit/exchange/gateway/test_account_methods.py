"""Owner-signed actions and account reads."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind, Clock, MarkRow, SetPrices, UnderlyingRow
from exchange.gateway.core import RelayRequest, RelayUnavailable
from settlement.protocol.eip712 import (
    DERIVE_SEPOLIA_CHAIN_ID,
    SET_SESSION_KEY_MODULE,
    WITHDRAW_MODULE,
    Action,
    digest,
    domain_separator,
    encode_set_session_key,
    encode_withdraw,
)
from settlement.protocol.signature import address_of, sign_digest
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9, SmallExchange, Trader


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def signed(
    exchange: SmallExchange, trader: Trader, module: bytes, data: bytes, subaccount_id: int, **change: Any
) -> dict[str, Any]:
    """Members of an owner-signed action."""
    key = change.get("key", trader.owner_key)
    action = Action(
        subaccount_id=subaccount_id,
        nonce=change.get("nonce", time.time_ns()),
        module=module,
        data=data,
        expiry_s=time.time_ns() // E9 + 600,
        owner=address_of(trader.owner_key),
        signer=address_of(key),
    )
    separator = change.get("separator", exchange.venue.domain_separator)
    return {
        "nonce": str(action.nonce),
        "signer": "0x" + action.signer.hex(),
        "signature": sign_digest(change.get("signing_key", key), digest(separator, action)).hex(),
        "signature_expiry_sec": action.expiry_s,
    }


def withdrawal(exchange: SmallExchange, amount: str = "250", **change: Any) -> dict[str, Any]:
    """A withdrawal of the first trader to itself."""
    trader = exchange.traders[0]
    data = encode_withdraw(
        asset=exchange.venue.asset_of("USDC", "erc20"),
        max_fee_usd_e18=0,
        recipient=address_of(trader.owner_key),
        amount_native=250_000_000,
    )
    members = signed(exchange, trader, WITHDRAW_MODULE, data, trader.subaccount_id, **change)
    return {
        "subaccount_id": trader.subaccount_id,
        "asset_name": "USDC",
        "amount_in_underlying": amount,
        "max_fee_usd": "0",
        **members,
    }


@pytest.mark.parametrize(
    ("code", "build"),
    [
        (14031, lambda world: withdrawal(world, key=world.traders[0].session_key)),
        (14014, lambda world: withdrawal(world, signing_key=b"\x31" * 32)),
        (14014, lambda world: withdrawal(world, separator=domain_separator(DERIVE_SEPOLIA_CHAIN_ID))),
        (14014, lambda world: withdrawal(world, amount="251")),
        (11018, lambda world: withdrawal(world, nonce=1_795_357_455_576)),
        (11018, lambda world: withdrawal(world, nonce=1_595_357_455_576_914_615)),
        (-32602, lambda world: withdrawal(world, amount="0.0000001")),
        (-32602, lambda world: withdrawal(world, amount="0")),
        (12000, lambda world: withdrawal(world) | {"asset_name": "ETH"}),
        (14001, lambda world: withdrawal(world) | {"subaccount_id": 5}),
        (-32602, lambda world: withdrawal(world) | {"signature_expiry_sec": 1 << 64}),
        (-32602, lambda world: withdrawal(world) | {"signature_expiry_sec": -1}),
    ],
)
def test_refused_withdrawals(code: int, build: Callable[[SmallExchange], dict[str, Any]]) -> None:
    """Only the owner's signature under our own domain withdraws, with a fresh 19-digit nonce."""

    async def story() -> None:
        relayed: list[RelayRequest] = []

        async def relay(request: RelayRequest) -> str:
            relayed.append(request)
            return "0xaa"

        async with serve(relay=relay) as live, live.client(live.exchange.traders[0]) as client:
            assert (await client.refused("private/withdraw", build(live.exchange)))["code"] == code
            assert not relayed

    run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"expiry_sec": 1 << 64},
        {"expiry_sec": 1 << 300},
        {"subaccount_ids": [-1]},
        {"subaccount_ids": [1 << 64]},
        {"subaccount_ids": [1] * 65},
    ],
    ids=["expiry of 65 bits", "expiry of 301 bits", "negative id", "id of 65 bits", "too many ids"],
)
def test_refused_keys(change: dict[str, Any]) -> None:
    """Numbers that the contract could not hold are refused by the field's name, before anything is encoded."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            error = await client.refused("private/set_session_key", key_params(live) | change)
            assert (error["code"], next(iter(change)) in str(error)) == (-32602, True)

    run(story())


def test_withdrawals_and_keys_are_relayed() -> None:
    """A good action reaches the relay with its digest; the reply carries its operation."""

    async def story() -> None:
        relayed: list[RelayRequest] = []

        async def relay(request: RelayRequest) -> str:
            relayed.append(request)
            return "0xaa"

        async with serve(relay=relay) as live, live.client(live.exchange.traders[0]) as client:
            result = await client.call("private/withdraw", withdrawal(live.exchange))
            assert result["tx_hash"] == "0xaa"
            assert result["operation_id"].replace("-", "") == relayed[0].digest.hex()[:32]
            key = await client.call("private/set_session_key", key_params(live))
            assert (key["protocol_scopes"], relayed[1].kind) == (["trade:all", "set_session_key"], "set_session_key")

    run(story())


def key_params(live: Live) -> dict[str, Any]:
    """Register another key, scopes by name and by number."""
    trader, expiry_s = live.exchange.traders[0], time.time_ns() // E9 + 86_400
    data = encode_set_session_key(key=b"\x77" * 20, expiry_s=expiry_s, scopes=[2, 15], subaccount_ids=[])
    members = signed(live.exchange, trader, SET_SESSION_KEY_MODULE, data, 0)
    return {
        "wallet": trader.owner,
        "public_session_key": "0x" + "77" * 20,
        "expiry_sec": expiry_s,
        "protocol_scopes": ["trade:all", "create_session_key"],
        **members,
    }


def test_a_chain_that_is_down_is_a_typed_error() -> None:
    """20010 with the reason, with and without a relay; trading goes on."""

    async def story() -> None:
        async def relay(_: RelayRequest) -> str:
            raise RelayUnavailable("connection refused")

        async with serve(relay=relay) as live, live.client(live.exchange.traders[0]) as client:
            error = await client.refused("private/withdraw", withdrawal(live.exchange))
            assert (error["code"], json.loads(error["data"])["reason"]) == (20010, "connection refused")
            assert await client.place("BTC-PERP", "buy", "0.1", "70000")
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            assert (await client.refused("private/withdraw", withdrawal(live.exchange)))["code"] == 20010

    run(story())


def test_deposits_appear_in_history_and_balance() -> None:
    """A deposit by the chain's queue is streamed and listed; a new subaccount joins its wallet."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            async with live.client(trader) as client:
                channel = f"{trader.subaccount_id}.balances"
                await client.call("subscribe", {"channels": [channel]})
                await client.call("private/get_subaccounts")
                index = live.exchange.port.state.request_index
                for step, account in enumerate((trader.account, 5)):
                    live.exchange.port.submit(
                        ChainRequest(
                            index=index + 1 + step,
                            kind=ChainRequestKind.DEPOSIT,
                            account=account,
                            amount_e6=7_000_000,
                            owner=address_of(trader.owner_key),
                        )
                    )
                update = (await client.note(channel))[0]
                assert (update["update_type"], update["new_balance"]) == ("asset_deposit", "5000007")
                assert update["previous_balance"] == "5000000"
                rows = (await client.call("private/get_deposit_history", {"subaccount_id": trader.subaccount_id}))[
                    "deposits"
                ]
                assert [row["amount"] for row in rows] == ["7"]
                ids = (await client.call("private/get_subaccounts"))["subaccount_ids"]
                assert ids == [trader.subaccount_id, live.exchange.venue.subaccount_id(5)]

    run(story())


def test_trades_learn_their_batch() -> None:
    """batch_status is null while the batch is open and follows the board afterwards."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                await maker.place("BTC-PERP", "sell", "0.1", "84000", label="quote")
                await taker.place("BTC-PERP", "buy", "0.1", "84000")
                query = {"subaccount_id": one.subaccount_id}
                row = (await maker.call("private/get_trade_history", query))["trades"][0]
                assert (row["batch_status"], row["label"], row["liquidity_role"]) == (None, "quote", "maker")
                live.exchange.port.submit(BatchCut())
                row = (await maker.call("private/get_trade_history", query))["trades"][0]
                row = (await maker.call("private/get_trade_history", query))["trades"][0]
                assert row["batch_status"] == "Batching"

    run(story())


def test_margins_have_the_signs_of_the_wire() -> None:
    """What is left is positive, requirements of positions and open orders are negative."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as maker, live.client(two) as taker:
                await maker.place("BTC-PERP", "sell", "1", "84000")
                await taker.place("BTC-PERP", "buy", "0.5", "84000")
                row = await maker.call("private/get_subaccount", {"subaccount_id": one.subaccount_id})
                assert float(row["initial_margin"]) > 0
                assert float(row["positions_initial_margin"]) < 0
                assert float(row["open_orders_margin"]) < 0
                assert row["positions"][0]["amount"] == "-0.5"
                assert row["positions"][0]["adl_rank"] in range(1, 6)
                assert float(row["positions"][0]["initial_margin"]) < 0
                assert len(row["open_orders"]) == 1
                account = await maker.call("private/get_account")
                assert account["fallback_subaccount_id"] == one.subaccount_id
                keys = (await maker.call("private/session_keys"))["public_session_keys"]
                assert keys[0]["public_session_key"] == one.signer

    run(story())


def test_what_a_liquidation_moves_is_streamed() -> None:
    """The fund pays up an account that owes, and a position is closed against its other side: both hear of it."""

    async def story() -> None:
        async with serve() as live:
            owes, gives = live.exchange.traders[:2]
            async with live.client(owes) as client, live.client(gives) as other:
                await client.call("subscribe", {"channels": [f"{owes.subaccount_id}.balances"]})
                await other.call("subscribe", {"channels": [f"{gives.subaccount_id}.balances"]})
                assert await other.place("BTC-PERP", "sell", "0.1", "70000")
                assert await client.place("BTC-PERP", "buy", "0.1", "70000")
                await other.note(f"{gives.subaccount_id}.balances")
                await client.note(f"{owes.subaccount_id}.balances")
                owe(live, owes.account)
                (paid,) = await client.note(f"{owes.subaccount_id}.balances")
                assert (paid["name"], paid["update_type"]) == ("USDC", "liquidation")
                position, cash = await client.note(f"{owes.subaccount_id}.balances")
                assert (position["name"], position["new_balance"], cash["new_balance"]) == ("BTC-PERP", "0", "0")
                rows = await other.note(f"{gives.subaccount_id}.balances")
                assert [(row["name"], row["update_type"]) for row in rows] == [
                    ("BTC-PERP", "liquidator"),
                    ("USDC", "liquidator"),
                ]

    run(story())


def owe(live: Live, account: int) -> None:
    """Let an account's cash be the fund's, but for what it then owes, and have the engine look at it."""
    port = live.exchange.port
    state = port.state
    perpetual = next(iter(state.accounts[account].positions))
    price_e9 = 60_000 * E9
    wanted_e6 = -state.accounts[account].lots(perpetual) * state.instruments[perpetual].lot_e9 * 60_001 // 1_000
    moved_e6 = state.accounts[account].ledger_cash_e6 - wanted_e6
    state.accounts[account].ledger_cash_e6 -= moved_e6
    state.accounts[0].ledger_cash_e6 += moved_e6
    number = state.prices.round + 1
    port.submit(
        SetPrices(round=number, underlyings=(UnderlyingRow("BTC", price_e9),), marks=(MarkRow(perpetual, price_e9),))
    )
    port.submit(Clock())
