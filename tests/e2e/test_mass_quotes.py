"""Mass quotes end to end: signed by the client, traded, settled in a batch, and shown to whoever challenges it."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.app.config import Settings
from exchange.app.keys import deployer_key, operator_key
from exchange.client import OffbookClient
from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.deploy import fund_bonds
from settlement.onchain.funded_accounts import account_address, account_key
from settlement.onchain.wallet import Wallet
from settlement.protocol.signature import address_of
from tests.e2e.owner import Owner
from tests.e2e.running import Running, running, until
from tests.e2e.test_disputes import CHALLENGE, header_of

MAKER, TAKER, STRANGER = 4, 5, 8
POSTED_WITHIN_S = 120
ANSWERED_WITHIN_S = 120
PERP = "BTC-PERP"


class Chain:
    """The running exchange's contract, as a challenger reads it."""

    def __init__(self, owner: Owner) -> None:
        self.chain, self.deployment = owner.chain, owner.deployment
        self.contract = SettlementReader(owner.chain, owner.deployment.settlement)

    def credit_e6(self, address: bytes) -> int:
        """What the contract owes to an address."""
        return int(self.contract.view("credit(address)", ["uint256"], address))


async def quote_and_trade(exchange: Running) -> dict[str, Any]:
    """Quote both sides of the perpetual in one signed call and let a taker hit both; the maker's fills."""
    path = exchange.data / "demo_accounts.json"
    async with (
        OffbookClient.from_demo(path, url=exchange.socket, index=MAKER) as maker,
        OffbookClient.from_demo(path, url=exchange.socket, index=TAKER) as taker,
    ):
        mark = Decimal((await maker.ticker(PERP))["M"])
        market = maker.market(PERP)
        bid, ask = (market.instrument.price_text(market.ticks_within(int(mark * part), up=True))
                    for part in (995_000_000, 1_005_000_000))  # fmt: skip
        config = maker.own(currency="BTC", mmp_amount_limit="10", mmp_interval=10_000)
        await maker.request("private/set_mmp_config", config)
        fills = await maker.fills()
        result = await maker.mass_quote([(PERP, bid, "0.5", ask, "0.5")])
        assert [row["status"] for row in result["quotes"]] == ["placed", "placed"]
        await taker.buy(PERP, "0.3", ask)
        await taker.sell(PERP, "0.1", bid)
        rows = [await fills.next(timeout_s=10) for _ in range(2)]
        assert [row["order_id"] for row in rows] == [row["order_id"] for row in reversed(result["quotes"])]
        return {"rows": rows, "subaccount_id": maker.who.subaccount_id}


def batch_of_fills(exchange: Running, fills: int, after: int) -> dict[str, Any] | None:
    """First batch behind `after` with that many fills that the contract has."""
    rows = exchange.public("get_batches")["batches"]
    found = [row for row in rows if row["seq"] > after and row["fills"] >= fills and row["tx_hash"]]
    return found[0] if found else None


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Running]:
    """One without bots, whose batches can be challenged for two minutes."""
    config = tmp_path / "offbook.toml"
    config.write_text("finality_window_s = 120\n")
    with running(tmp_path, "--config", str(config), rate=0) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_quotes_are_settled_and_a_challenge_of_their_account_is_answered(exchange: Running) -> None:
    """The operator shows the signed lines of both sides and earns the challenger's bond; his own stays whole."""
    settings, owner = Settings(), Owner(exchange, MAKER)
    chain = Chain(owner)
    last = max((row["seq"] for row in exchange.public("get_batches")["batches"]), default=0)
    before = asyncio.run(quote_and_trade(exchange))
    batch = until(lambda: batch_of_fills(exchange, 2, last), "the fills were not posted", timeout_s=POSTED_WITHIN_S)
    verified = exchange.command("batch", "verify", str(batch["seq"]))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    bond_e6 = chain.contract.view("bond()", ["uint64"])
    operator = address_of(operator_key(settings))
    stranger = Wallet(chain.chain, account_key(settings.seed, STRANGER))
    assert stranger.address == account_address(account_key(settings.seed, STRANGER))
    earned_e6 = chain.credit_e6(operator)
    fund_bonds(chain.chain, deployer_key(settings), chain.deployment, stranger.address, 1)
    stranger.send(chain.deployment.token, encode_call("approve(address,uint256)", chain.deployment.settlement, 1 << 60))
    account = before["subaccount_id"] - chain.deployment.subaccount_base
    header = header_of(chain, batch["seq"])
    stranger.send(chain.deployment.settlement, encode_call(CHALLENGE, batch["seq"], header, account, 0, 0))
    price_e6 = chain.contract.view("challengeBond()", ["uint64"])
    until(
        lambda: chain.credit_e6(operator) == earned_e6 + price_e6,
        "the challenge was not answered",
        timeout_s=ANSWERED_WITHIN_S,
    )
    assert chain.contract.view("bond()", ["uint64"]) == bond_e6
    assert chain.contract.head() >= batch["seq"], "nothing was reverted"
