"""Histories of what moved an account's cash, and the public reads of rates and universes."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind
from exchange.domain.rounds import FundingPaid, PositionExpired
from exchange.domain.views import Output
from settlement.protocol.signature import address_of
from tests.fakes.live_gateway import Live, serve

PERP = 1 << 31


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 30))


def record(live: Live, event: FundingPaid | PositionExpired, sequence: int, at_ms: int) -> None:
    """Let the gateway see an event of a command."""
    live.gateway.core.history.record(
        Output(sequence=sequence, timestamp_ns=at_ms * 10**6, events=(event,), orders={}), event
    )


def funding(account: int, amount_e6: int, instrument: int = PERP) -> FundingPaid:
    """Funding of an account."""
    return FundingPaid(
        subaccount=account, account_seq=9, instrument=instrument, amount_e6=amount_e6, position_lots=5,
        index_e12=7, ledger_cash_e6=0, cash_e6=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [
        "get_deposit_history", "get_withdrawal_history", "get_erc20_transfer_history", "get_interest_history",
        "get_funding_history", "get_option_settlement_history",
    ],
)  # fmt: skip
def test_histories_of_others_are_refused(method: str) -> None:
    """14001 for a subaccount, 14020 for a wallet."""

    async def story() -> None:
        async with serve() as live:
            one, two = live.exchange.traders[:2]
            async with live.client(one) as client:
                for params, code in (
                    ({"subaccount_id": two.subaccount_id}, 14001),
                    ({"wallet": "0x" + "11" * 20}, 14020),
                ):
                    assert (await client.refused(f"private/{method}", params))["code"] == code

    run(story())


def test_funding_in_range_newest_first_by_page() -> None:
    """Payments of the wallet's subaccounts; another account's are not among them."""

    async def story() -> None:
        async with serve() as live:
            trader, other = live.exchange.traders[:2]
            for step, amount_e6 in enumerate((-1_500_000, 250_000, -3)):
                record(live, funding(trader.account, amount_e6), 100 + step, 1_000 + step)
            record(live, funding(other.account, 77), 103, 1_003)
            async with live.client(trader) as client:
                whole = await client.call("private/get_funding_history", {"subaccount_id": trader.subaccount_id})
                assert [row["funding"] for row in whole["events"]] == ["-0.000003", "0.25", "-1.5"]
                assert whole["pagination"] == {"count": 3, "num_pages": 1}
                row = whole["events"][0]
                assert (row["instrument_name"], row["timestamp"]) == ("BTC-PERP", 1_002)
                assert (row["batch_status"], row["batch_uuid"], row["tx_hash"]) == ("Batching", "", None)
                params = {"start_timestamp": 1_000, "end_timestamp": 1_001, "page_size": 1, "page": 2}
                part = await client.call("private/get_funding_history", params)
                assert [row["funding"] for row in part["events"]] == ["-1.5"]
                named = await client.call("private/get_funding_history", {"instrument_name": "ETH-PERP"})
                assert named["events"] == []

    run(story())


def test_settled_options_with_their_price() -> None:
    """Size, price of the expiry and what it paid."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            option = next(row for row in live.gateway.core.market.by_id.values() if row.is_option)
            core = live.gateway.core
            core.history.oracle.settled[option.underlying, option.expiry_s] = 90_000 * 10**9
            event = PositionExpired(
                subaccount=trader.account, account_seq=9, instrument=option.instrument_id, position_lots=-20,
                amount_e6=-4_000_000, realized_pnl_e6=-1_000_000, ledger_cash_e6=0, cash_e6=0,
            )  # fmt: skip
            record(live, event, 100, 1_000)
            record(live, funding(trader.account, 5), 101, 1_001)
            async with live.client(trader) as client:
                (row,) = (await client.call("private/get_option_settlement_history"))["settlements"]
            assert row == {
                "instrument_name": option.name,
                "amount": option.quantity_text(-20),
                "expiry": option.expiry_s,
                "settlement_price": "90000",
                "settlement_value": "-4",
                "option_settlement_pnl": "-1",
                "option_settlement_pnl_excl_fees": "-1",
                "subaccount_id": trader.subaccount_id,
            }

    run(story())


def test_a_deposit_learns_its_batch() -> None:
    """Its number is the batch's only name; before the cut it has none."""

    async def story() -> None:
        async with serve() as live:
            trader = live.exchange.traders[0]
            live.exchange.port.submit(
                ChainRequest(
                    index=live.exchange.port.state.request_index + 1,
                    kind=ChainRequestKind.DEPOSIT,
                    account=9,
                    amount_e6=7_000_000,
                    owner=address_of(trader.owner_key),
                )
            )
            async with live.client(trader) as client:
                (row,) = (await client.call("private/get_deposit_history"))["deposits"]
                assert (row["amount"], row["batch_uuid"], row["batch_status"]) == ("7", "", "Batching")
                assert (row["new_subaccount"], row["is_fallback"], row["asset"]) == (True, False, "USDC")
                assert row["subaccount_id"] == live.exchange.venue.subaccount_id(9)
                live.exchange.port.submit(BatchCut())
                (row,) = (await client.call("private/get_deposit_history"))["deposits"]
                assert row["batch_uuid"] == "1"

    run(story())


def test_what_does_not_exist_is_empty() -> None:
    """Nothing is lent and nothing moves between subaccounts; the one universe names its managers."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            assert await client.call("private/get_interest_history") == {"events": []}
            assert await client.call("private/get_erc20_transfer_history") == {"transfers": []}
            assert await client.call("public/get_interest_rate_history", {"currency": "BTC"}) == {
                "interest_rate_history": []
            }
            (universe,) = await client.call("public/get_risk_universes")
            assert [row["margin_type"] for row in universe["managers"]] == ["SM", "PM2"]
            assert "BTC-PERP" in universe["managers"][0]["instruments"]
            assert universe["security_module"]["subaccount_id"] == live.exchange.venue.subaccount_id(0)

    run(story())
