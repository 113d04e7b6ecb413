"""Money and keys through the contract's queue: each request of an owner happens once, after its confirmation."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from exchange.client import OffbookError
from settlement.onchain.errors import CallReverted
from settlement.protocol.signature import address_of
from tests.e2e.owner import Owner
from tests.e2e.running import Running, until

CONFIRMED_WITHIN_S = 90
FINAL_WITHIN_S = 120
NEW_KEY = bytes(31) + b"\x2a"


def asked(owner: Owner, method: str, params: dict[str, Any]) -> Any:
    """Result of one request with the demo's session key."""

    async def ask() -> Any:
        client = await owner.client().open()
        try:
            return await client.request(method, params)
        finally:
            await client.close()

    return asyncio.run(ask())


def cash(owner: Owner) -> Decimal:
    """USDC of the subaccount."""
    result = asked(owner, "private/get_collaterals", {"subaccount_id": owner.subaccount_id})
    return Decimal(result["collaterals"][0]["amount"])


def history(owner: Owner, kind: str) -> list[dict[str, Any]]:
    """Deposits or withdrawals of the subaccount."""
    result: dict[str, list[dict[str, Any]]] = asked(
        owner, f"private/get_{kind}_history", {"subaccount_id": owner.subaccount_id}
    )
    return result[f"{kind}s"]


def test_deposit_is_credited_once(demo: Running) -> None:
    """Tokens paid into the contract become cash, once, and stay once after more batches."""
    owner = Owner(demo, 8)
    before, rows = cash(owner), len(history(owner, "deposit"))
    request = owner.deposit(1_234_567_890)
    until(lambda: cash(owner) != before, "the deposit was not credited", timeout_s=CONFIRMED_WITHIN_S)
    until(lambda: owner.finalized_requests() >= request.index, "its batch is not final", timeout_s=FINAL_WITHIN_S)
    assert cash(owner) - before == Decimal("1234.56789")
    deposits = history(owner, "deposit")
    assert len(deposits) == rows + 1
    assert [row["amount"] for row in deposits if row["operation_id"] == str(request.index)] == ["1234.56789"]


def test_withdrawal_is_paid_once(demo: Running) -> None:
    """An owner-signed withdrawal is debited when approved and claimable when its batch is final; never twice."""
    owner = Owner(demo, 7)
    before, tokens_e6 = cash(owner), owner.tokens_e6()
    params = owner.withdrawal(5_000_000)
    assert asked(owner, "private/withdraw", params)["tx_hash"].startswith("0x")
    until(lambda: cash(owner) != before, "the withdrawal was not approved", timeout_s=CONFIRMED_WITHIN_S)
    assert before - cash(owner) == 5
    [row] = history(owner, "withdrawal")
    assert row["amount"] == "5"
    index = int(row["operation_id"])
    until(lambda: owner.finalized_requests() >= index, "its batch is not final", timeout_s=FINAL_WITHIN_S)
    owner.user.claim([index])
    assert owner.tokens_e6() - tokens_e6 == 5_000_000
    with pytest.raises(CallReverted):
        owner.user.claim([index])
    with pytest.raises(OffbookError):
        asked(owner, "private/withdraw", params)
    assert (owner.tokens_e6() - tokens_e6, before - cash(owner)) == (5_000_000, 5)


def test_session_key_works_after_its_confirmation(demo: Running) -> None:
    """A key that the owner signs for and the operator relays logs in and trades; before that it is refused."""
    owner = Owner(demo, 8)

    async def trade() -> str:
        client = await owner.client(NEW_KEY).open()
        try:
            order = (await client.buy("BTC-PERP", "0.01", "1000", time_in_force="post_only"))["order"]
            await client.cancel(order["order_id"], "BTC-PERP")
            return str(order["order_status"])
        finally:
            await client.close()

    def attempt() -> str:
        try:
            return asyncio.run(trade())
        except OffbookError as error:
            return str(error.code)

    assert attempt() in ("14023", "14026")
    asked(owner, "private/set_session_key", owner.key_registration(address_of(NEW_KEY)))
    until(lambda: attempt() == "open", "the key was not accepted", timeout_s=CONFIRMED_WITHIN_S)
