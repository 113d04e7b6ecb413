"""What blocks posting on the real contracts: what passes by itself, and what wants a person."""

from random import Random

import pytest
from eth_account import Account

from exchange.app.chaos_faults import Plan
from exchange.app.chaos_market import OPERATOR_KEY, START_S, chaos_base, draw_story, rpc_over
from exchange.app.chaos_node import ChaosNode
from settlement.onchain.contract import encode_call
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, account_address, account_key
from settlement.onchain.outbox import Outbox
from settlement.onchain.poster import Poster
from settlement.onchain.wallet import Wallet

GUARDIAN_KEY = account_key(1, DEPLOYER_INDEX)
TRANSFER_GAS, FEE_WEI = 21_000, 10**10
DAY_S = 86_400


class Venue:
    """Contracts, a node that mines at once, and a poster with batches to post."""

    def __init__(self):
        self.base, self.now_s = chaos_base(), START_S
        self.node = ChaosNode(self.base.chain.copy(lambda: self.now_s))
        self.node.automine = True
        self.rpc, _ = rpc_over(self.node, Plan((), ()), Random(0), lambda _: None)
        self.outbox = Outbox(":memory:")
        for batch in draw_story(self.base, Random(1)).batches:
            self.outbox.add(batch, 0)
        self.poster_of(OPERATOR_KEY)

    def poster_of(self, key):
        """Post with this key from now on."""
        self.poster = Poster(self.rpc, self.base.deployment, self.outbox, key, clock=lambda: self.now_s)

    def guard(self, call, *arguments):
        """The guardian calls the contract."""
        Wallet(self.rpc, GUARDIAN_KEY).send(self.base.deployment.settlement, encode_call(call, *arguments))

    def pay_away(self, key, to):
        """All ether of an account goes to another."""
        owner = account_address(key)
        held_wei = self.node._forks.balance(owner, self.node.tip)
        fields = {
            "type": 2,
            "chainId": self.base.deployment.chain_id,
            "nonce": self.rpc.nonce(owner),
            "to": to,
            "value": held_wei - TRANSFER_GAS * FEE_WEI,
            "gas": TRANSFER_GAS,
            "maxFeePerGas": FEE_WEI,
            "maxPriorityFeePerGas": FEE_WEI,
        }
        self.rpc.send_raw(bytes(Account.sign_transaction(fields, key).raw_transaction))

    def post(self):
        """Step until nothing moves; the last status."""
        status = self.poster.step()
        while status.moved:
            status = self.poster.step()
        return status


@pytest.fixture
def venue():
    """A fresh one."""
    return Venue()


def test_a_key_without_ether_wants_a_person_and_goes_on_when_it_has_some(venue):
    """The signed bytes stay; nothing is signed twice."""
    venue.pay_away(OPERATOR_KEY, account_address(GUARDIAN_KEY))
    status = venue.post()
    assert (status.state, status.needs_person, status.head_seq) == ("blocked", True, 0)
    assert "insufficient funds" in status.detail
    venue.pay_away(GUARDIAN_KEY, account_address(OPERATOR_KEY))
    assert venue.post().head_seq == venue.outbox.last_seq()


def test_a_key_that_is_not_the_operators_wants_a_person(venue):
    """The contract refuses each batch of it, today and tomorrow."""
    venue.poster_of(GUARDIAN_KEY)
    status = venue.post()
    assert (status.state, status.needs_person, status.head_seq) == ("blocked", True, 0)


def test_a_pause_passes(venue):
    """Blocked, for a day; then the batches go out."""
    venue.guard("pausePosting(uint40)", DAY_S)
    status = venue.post()
    assert (status.state, status.needs_person, status.head_seq) == ("blocked", False, 0)
    venue.now_s += DAY_S
    venue.node.mine()
    assert venue.post().head_seq == venue.outbox.last_seq()
