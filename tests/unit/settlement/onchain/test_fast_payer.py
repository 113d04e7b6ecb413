"""Fast payments against the contract on a chain of their own: refused by the terms, paid once, repaid once."""

import time
from dataclasses import replace

import pytest

from exchange.bridge.fast_payments import BOOK_FILE, FastPayments
from settlement.onchain.claims import SettlementUser, relay
from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.deploy import fund_demo_dollars
from settlement.onchain.errands import NoErrands
from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.fast_book import FastBook, FastState
from settlement.onchain.fast_payer import FastTerms
from settlement.onchain.funded_accounts import (
    DEPLOYER_INDEX,
    OPERATOR_INDEX,
    PAYER_INDEX,
    account_address,
    account_key,
)
from settlement.onchain.outbox import BatchState, Outbox
from settlement.onchain.poster import Poster, PosterSettings
from settlement.onchain.request_status import RequestState, StatusReader
from settlement.onchain.requests import RequestReader
from settlement.onchain.wallet import Wallet
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from tests.unit.settlement.onchain.conftest import SEED, deploy, serve_anvil, wait_until
from tests.unit.settlement.onchain.queueing import DOLLARS, minted, request_batch, signed_withdraw

PAYER = account_address(account_key(SEED, PAYER_INDEX))
TERMS = FastTerms(budget_e6=100 * DOLLARS, largest_e6=60 * DOLLARS, least_fee_e6=DOLLARS // 2, fee_bps=100)
BUDGET = 100
FEE_PAID = keccak256(b"FastPaid(uint64,address,address,uint64,uint64)")


class LosesReplies:
    """A chain whose every second transaction is taken while its reply is lost."""

    def __init__(self, chain):
        self._chain = chain
        self.sent = 0

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def send_raw(self, raw):
        """Hand over; raise on every odd one."""
        tx_hash = self._chain.send_raw(raw)
        self.sent += 1
        if self.sent % 2:
            raise RpcUnavailable("the reply was lost")
        return tx_hash


class Holding(NoErrands):
    """Finality waits until it is released: nothing here depends on how fast the machine is."""

    is_released = False

    def holds(self, seq):
        """Every batch until then."""
        return not self.is_released


class Venue:
    """A deployment with a funded account and payer, the operator's poster, and payments that can be restarted."""

    def __init__(self, chain, folder, terms=TERMS, money=BUDGET, confirmations=1):
        self.chain, self.folder, self.terms, self.confirmations = chain, folder, terms, confirmations
        self.deployment = deploy(chain)
        self.contract = SettlementReader(chain, self.deployment.settlement)
        self.token = SettlementReader(chain, self.deployment.token)
        self.outbox, self.ledger = Outbox(folder / "outbox.sqlite"), LedgerState()
        self.holding = Holding()
        key = account_key(SEED, OPERATOR_INDEX)
        settings = PosterSettings(final_confirmations=confirmations)
        self.poster = Poster(chain, self.deployment, self.outbox, key, settings, errands=self.holding)
        self.account = minted(chain, self.deployment, 0, 100).account
        fund_demo_dollars(chain, account_key(SEED, DEPLOYER_INDEX), self.deployment, PAYER, money * DOLLARS)
        self.taken = 0
        self.seen_by_payer = chain
        self.payments = self.restarted()

    def restarted(self):
        """Payments as after a crash: from their files alone."""
        return FastPayments(
            self.seen_by_payer,
            self.deployment,
            self.folder,
            self.outbox,
            key=account_key(SEED, PAYER_INDEX),
            terms=self.terms,
            confirmations=self.confirmations,
            clock=time.time,
        )

    def withdraw(self, dollars, max_fee_e18=10**18, approved=None):
        """A relayed withdrawal in a posted batch that is not final; its number."""
        signed = signed_withdraw(self.chain, self.deployment, self.account, dollars * DOLLARS, max_fee_e18)
        request = relay(self.chain, self.deployment, account_key(SEED, 3), *signed).index
        records = RequestReader(self.chain, self.deployment).poll(self.taken).confirmed
        self.taken = request
        amount_e6 = dollars * DOLLARS if approved is None else approved * DOLLARS
        built = request_batch(self.ledger, records, [amount_e6], self.chain)
        self.outbox.add(built, 0)
        wait_until(lambda: self.mined() and self.outbox.batch(built.seq).state is BatchState.FINAL)
        return request

    def mined(self):
        """A step of the operator's poster; where depth counts, a block before it."""
        if self.confirmations > 1:
            self.chain._request("anvil_mine", ["0x1"])
        return self.poster.step()

    def finalize(self):
        """Until the contract has made every batch final."""
        self.holding.is_released = True
        last = self.outbox.last_seq()
        wait_until(lambda: self.poster.step().finalized_seq == last)

    def state(self, request):
        """The book's word for a request; None for one that it does not know."""
        row = FastBook(self.folder / BOOK_FILE).row(request)
        return None if row is None else row.state

    def held(self, address):
        """Dollars of an address, in 1e-6."""
        return self.token.view("balanceOf(address)", ["uint256"], address)

    def payments_made(self):
        """How many payments the contract has logged."""
        head = self.chain.block("latest").number
        return len(self.chain.logs(self.deployment.settlement, [FEE_PAID], 0, head))


def settled_at(venue, request, state, *, restarts=False, steps=40):
    """Step until the book says `state`."""
    for _ in range(steps):
        venue.payments.step()
        if venue.state(request) is state:
            return
        if restarts:
            venue.payments = venue.restarted()
    pytest.fail(f"request {request} is {venue.state(request)}, not {state}")


@pytest.mark.parametrize(
    ("terms", "money", "max_fee_e18"),
    [
        pytest.param(TERMS, BUDGET, 0, id="the owner signed no fee"),
        pytest.param(TERMS, BUDGET, 5 * 10**17 - 1, id="the signed fee is a unit short, rounded down"),
        pytest.param(replace(TERMS, largest_e6=49 * DOLLARS), BUDGET, 10**18, id="larger than one payment may be"),
        pytest.param(replace(TERMS, budget_e6=49 * DOLLARS), BUDGET, 10**18, id="above the budget"),
        pytest.param(TERMS, 49, 10**18, id="the payer has no money"),
        pytest.param(replace(TERMS, least_fee_e6=50 * DOLLARS), BUDGET, 99 * 10**18, id="nothing would be left"),
    ],
)
def test_what_the_terms_do_not_allow_is_not_paid(served, tmp_path, terms, money, max_fee_e18):
    """No plan, no transaction, not even an approval of the token."""
    venue = Venue(served.chain, tmp_path, terms, money)
    request = venue.withdraw(50, max_fee_e18)
    for _ in range(3):
        assert venue.payments.step().state == "idle"
    assert venue.state(request) is None
    assert served.chain.nonce(PAYER) == 0


def test_a_refused_withdrawal_is_not_paid(served, tmp_path):
    """Nothing was approved, so nothing is owed."""
    venue = Venue(served.chain, tmp_path)
    request = venue.withdraw(50, approved=0)
    venue.payments.step()
    assert venue.state(request) is None


def test_a_withdrawal_approved_in_part_is_not_paid(served, tmp_path):
    """The contract takes no part for the whole, so the call would only cost gas."""
    venue = Venue(served.chain, tmp_path)
    request = venue.withdraw(50, approved=49)
    assert venue.payments.step().state == "idle"
    assert venue.state(request) is None


def test_a_batch_that_the_settler_does_not_know_is_not_paid(served, tmp_path):
    """A voided batch is the payer's risk: another settler's batch is none of ours."""
    venue = Venue(served.chain, tmp_path)
    (tmp_path / "other").mkdir()
    venue.payments = FastPayments(
        served.chain,
        venue.deployment,
        tmp_path / "other",
        Outbox(tmp_path / "other" / "outbox.sqlite"),
        key=account_key(SEED, PAYER_INDEX),
        terms=TERMS,
        confirmations=1,
        clock=time.time,
    )
    venue.withdraw(50)
    assert venue.payments.step().state == "idle"
    assert served.chain.nonce(PAYER) == 0


def test_the_guardian_s_pause_is_kept(served, tmp_path):
    """Nothing is begun while it lasts; once it ended the withdrawal is paid."""
    venue = Venue(served.chain, tmp_path)
    guardian = Wallet(served.chain, account_key(SEED, DEPLOYER_INDEX))
    guardian.send(venue.deployment.settlement, encode_call("pauseFast(uint40)", 100_000))
    request = venue.withdraw(50)
    assert venue.payments.step().state == "idle"
    assert venue.state(request) is None
    guardian.send(venue.deployment.settlement, encode_call("resumeFast()"))
    settled_at(venue, request, FastState.PAID)


@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "a restart after every step"])
@pytest.mark.parametrize("loses", [False, True], ids=["replies arrive", "replies are lost"])
def test_a_withdrawal_is_paid_once_and_repaid_once(served, tmp_path, restarts, loses):
    """The recipient has his money before finality, the payer the whole amount after it; each exactly once."""
    venue = Venue(served.chain, tmp_path)
    if loses:
        venue.seen_by_payer = LosesReplies(served.chain)
        venue.payments = venue.restarted()
    owner = account_address(account_key(SEED, 0))
    before = venue.held(owner)
    request = venue.withdraw(50)
    settled_at(venue, request, FastState.PAID, restarts=restarts)
    assert venue.held(owner) - before == 49_500_000
    status = StatusReader(served.chain, venue.deployment, 1).status(request)
    assert (status.state, status.payer) == (RequestState.PAID_AHEAD, PAYER)
    venue.finalize()
    settled_at(venue, request, FastState.REPAID, restarts=restarts)
    assert venue.held(PAYER) == BUDGET * DOLLARS + 500_000
    assert venue.held(owner) - before == 49_500_000
    assert venue.payments_made() == 1
    assert StatusReader(served.chain, venue.deployment, 1).status(request).state is RequestState.CLAIMED


def test_the_budget_is_of_all_that_is_out(served, tmp_path):
    """The second waits until the first is repaid, though the payer has the money."""
    venue = Venue(served.chain, tmp_path, replace(TERMS, budget_e6=60 * DOLLARS), 200)
    first, second = venue.withdraw(50), venue.withdraw(40)
    settled_at(venue, first, FastState.PAID)
    venue.payments.step()
    assert venue.state(second) is None
    assert venue.payments_made() == 1


def test_somebody_else_may_be_faster(served, tmp_path):
    """Whoever pays is owed it; the plan of the slower one ends without a payment of his."""
    venue = Venue(served.chain, tmp_path)
    request = venue.withdraw(50)
    fund_demo_dollars(
        served.chain, account_key(SEED, DEPLOYER_INDEX), venue.deployment, account_address(account_key(SEED, 4)), 10**9
    )
    user = SettlementUser(served.chain, venue.deployment, account_key(SEED, 4))
    batch_hash = venue.contract.batch_hash(venue.contract.head())
    venue.payments.step()  # the approval of the token goes first, the plan stands
    assert venue.state(request) is FastState.PLANNED
    user.fast_pay(request, batch_hash, 500_000, 49_500_000)
    settled_at(venue, request, FastState.DROPPED)
    assert venue.held(PAYER) == BUDGET * DOLLARS


@pytest.mark.needs_node
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_reorganization_pays_once(tmp_path, depth):
    """The payment's block leaves the chain before it is final: the payment, its approval, or the batch as well."""
    with serve_anvil() as chain:
        venue = Venue(chain, tmp_path, confirmations=6)
        request = venue.withdraw(50)
        for _ in range(20):
            venue.payments.step()
            if venue.payments_made():
                break
        assert venue.state(request) is FastState.PLANNED
        chain._request("anvil_reorg", [depth, []])
        for _ in range(40):
            venue.mined()
            venue.payments.step()
            venue.payments = venue.restarted()
            if venue.state(request) is FastState.PAID:
                break
        assert venue.state(request) is FastState.PAID
        assert venue.payments_made() == 1
        assert venue.held(PAYER) == BUDGET * DOLLARS - 49_500_000
