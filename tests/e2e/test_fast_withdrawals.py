"""Fast withdrawals through a whole exchange: the operator pays from a purse of its own, the batch pays it back."""

import json
from collections.abc import Iterator

import pytest

from exchange.app.config import Settings
from exchange.app.keys import payer_key
from settlement.onchain.contract import SettlementReader
from settlement.protocol.signature import address_of
from tests.e2e.owner import Owner
from tests.e2e.running import Running, running, until
from tests.e2e.test_demo_funds import asked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOLLARS = 10**6
FEE_USD, AMOUNT_USD, BUDGET_USD = 1, 50, 500
FINALITY_S = 60
"""Long enough that what is paid ahead is ahead, whatever else the machine does."""
WITHIN_S = 90


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo that pays ahead."""
    root = tmp_path_factory.mktemp("fast")
    config = root / "fast.toml"
    config.write_text(
        f"fast_budget_usdc = {BUDGET_USD}\nfast_least_fee_usdc = {FEE_USD}\nfinality_window_s = {FINALITY_S}\n"
    )
    with running(root, "--config", str(config), rate=0.0) as started:
        yield started


class Purse:
    """The operator's money for payments ahead, and what the contract holds of the operator's."""

    def __init__(self, owner: Owner) -> None:
        self._token = SettlementReader(owner.chain, owner.deployment.token)
        self._contract = SettlementReader(owner.chain, owner.deployment.settlement)
        self._payer = address_of(payer_key(Settings()))

    def tokens_e6(self) -> int:
        """What is in it."""
        return int(self._token.view("balanceOf(address)", ["uint256"], self._payer))

    def bond_e6(self) -> int:
        """The operator's bond."""
        return int(self._contract.view("bond()", ["uint64"]))


def payment(venue: Running, request: str) -> dict[str, str]:
    """What `offbook bridge status` says of a request."""
    told = venue.command("bridge", "status", request, "--json")
    assert told.returncode == 0, told.stderr
    rows: list[dict[str, str]] = json.loads(told.stdout)
    return rows[0]


def withdrawn(owner: Owner, amount_e6: int, max_fee_usd: int) -> str:
    """Ask for a withdrawal and wait until it is approved; the number of its request."""
    before = len(approved(owner))
    asked(owner, "private/withdraw", owner.withdrawal(amount_e6, max_fee_usd))
    until(lambda: len(approved(owner)) > before, "the withdrawal was not approved", timeout_s=WITHIN_S)
    return max(approved(owner), key=int)


def approved(owner: Owner) -> list[str]:
    """Requests of the account's withdrawals."""
    result = asked(owner, "private/get_withdrawal_history", {"subaccount_id": owner.subaccount_id})
    return [row["operation_id"] for row in result["withdrawals"]]


def test_without_a_fee_the_owner_waits_for_finality(venue: Running) -> None:
    """Nothing leaves the purse; the owner claims what is final."""
    owner = Owner(venue, 6)
    purse = Purse(owner)
    tokens_e6, purse_e6 = owner.tokens_e6(), purse.tokens_e6()
    request = withdrawn(owner, AMOUNT_USD * DOLLARS, 0)
    until(lambda: owner.finalized_requests() >= int(request), "its batch is not final", timeout_s=FINALITY_S + WITHIN_S)
    assert (owner.tokens_e6(), purse.tokens_e6()) == (tokens_e6, purse_e6)
    owner.user.claim([int(request)])
    assert owner.tokens_e6() - tokens_e6 == AMOUNT_USD * DOLLARS


def test_with_a_fee_it_is_paid_at_once_and_the_batch_pays_the_operator(venue: Running) -> None:
    """The owner has amount less fee before finality; then the purse is whole, with the fee, and so is the bond."""
    owner = Owner(venue, 7)
    purse = Purse(owner)
    tokens_e6, purse_e6, bond_e6 = owner.tokens_e6(), purse.tokens_e6(), purse.bond_e6()
    request = withdrawn(owner, AMOUNT_USD * DOLLARS, FEE_USD)
    paid_e6 = (AMOUNT_USD - FEE_USD) * DOLLARS
    until(lambda: owner.tokens_e6() - tokens_e6 == paid_e6, "it was not paid ahead", timeout_s=WITHIN_S)
    assert owner.finalized_requests() < int(request)
    assert purse_e6 - purse.tokens_e6() == paid_e6
    whole_e6 = purse_e6 + FEE_USD * DOLLARS
    until(lambda: purse.tokens_e6() == whole_e6, "the operator was not repaid", timeout_s=FINALITY_S + WITHIN_S)
    until(lambda: payment(venue, request)["payment"] == "repaid", "the book does not say so", timeout_s=WITHIN_S)
    assert owner.tokens_e6() - tokens_e6 == paid_e6
    assert purse.bond_e6() == bond_e6
