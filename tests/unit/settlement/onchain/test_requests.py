"""Deposit, key, trade batch, withdrawal and claim on a real EVM, read back through the queue reader."""

import time
from dataclasses import replace

import pytest

from settlement.onchain.claims import SettlementUser, relay
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deploy import check_deployment, load_deployment, save_deployment
from settlement.onchain.errors import CallReverted, DeploymentMismatch
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.outbox import Outbox
from settlement.onchain.posted import read_batch_calldata
from settlement.onchain.poster import Poster
from settlement.onchain.requests import RequestReader
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import RequestKind
from tests.unit.settlement.onchain.conftest import SEED, deploy, wait_until
from tests.unit.settlement.onchain.queueing import DOLLARS, minted, request_batch, signed_withdraw


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain_id": 5}, "chain id is 31337"),
        ({"genesis_hash": bytes(32)}, "another genesis"),
        ({"deploy_block_hash": bytes(32)}, "other blocks"),
        ({"settlement": b"\x01" * 19 + b"\xff"}, "no contract at"),
        ({"finality_window_s": 99}, "finality window"),
        ({"operator": bytes(20)}, "operator"),
    ],
)
def test_a_foreign_chain_is_refused(served, tmp_path, change, message):
    """One line that names the difference and the fix."""
    deployment = deploy(served.chain)
    save_deployment(replace(deployment, **change), tmp_path / "deployment.json")
    with pytest.raises(DeploymentMismatch, match=message) as caught:
        check_deployment(served.chain, load_deployment(tmp_path / "deployment.json"))
    assert "offbook reset" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_swapped_code_is_refused(served):
    """Another contract's code at the address is found by its hash."""
    deployment = deploy(served.chain)
    with pytest.raises(DeploymentMismatch, match="not that of this release"):
        check_deployment(served.chain, replace(deployment, settlement=deployment.token))


class OneByteOff:
    """A chain whose contracts differ from the deployed ones in the last byte of their code."""

    def __init__(self, chain):
        self._chain = chain

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def code(self, address):
        """The code with its last byte changed: neither length nor an immutable is."""
        found = self._chain.code(address)
        return found[:-1] + bytes([found[-1] ^ 1])


def test_a_single_other_byte_of_code_is_refused(served):
    """By the hash, since nothing else tells it."""
    deployment = deploy(served.chain)
    with pytest.raises(DeploymentMismatch, match="not that of this release"):
        check_deployment(OneByteOff(served.chain), deployment)


def test_another_token_is_refused(served):
    """Neither other code where the token should be, nor the release's code at another address than the vault names."""
    deployment = deploy(served.chain)
    with pytest.raises(DeploymentMismatch, match=r"DemoUSDC.*not that of this release"):
        check_deployment(served.chain, replace(deployment, token=deployment.settlement))
    with pytest.raises(DeploymentMismatch, match="token of the contract differs"):
        check_deployment(served.chain, replace(deployment, token=deploy(served.chain).token))


def test_a_refused_call_names_the_revert(served):
    """A stranger's withdrawal reverts before it is sent."""
    deployment = deploy(served.chain)
    request = minted(served.chain, deployment, 0, 50)
    stranger = SettlementUser(served.chain, deployment, account_key(SEED, 1))
    with pytest.raises(CallReverted):
        stranger.request_withdraw(request.account, DOLLARS)


def test_the_queue_is_read_in_order_with_confirmations(served):
    """Seen becomes confirmed with depth; the cursor skips what the engine has."""
    chain = served.chain
    deployment = deploy(chain)
    reader = RequestReader(chain, deployment, confirmations=4)
    first = minted(chain, deployment, 0, 100)
    early = reader.poll(0)
    assert (early.confirmed, [r.confirmations for r in early.seen]) == ((), [1])
    user = SettlementUser(chain, deployment, account_key(SEED, 0))
    key, end_s = b"\xab" * 20, int(time.time()) + 3600
    user.set_session_key(key, end_s, 0b101, [first.account])
    user.request_withdraw(first.account, 30 * DOLLARS)
    user.set_session_key(key, 0, 0)
    found = reader.poll(0)
    assert [(r.index, r.kind, r.amount_e6) for r in found.confirmed] == [(1, RequestKind.DEPOSIT, 100 * DOLLARS)]
    assert [r.kind for r in found.seen] == [RequestKind.SET_KEY, RequestKind.WITHDRAW, RequestKind.SET_KEY]
    registered, _, revoked = found.seen
    assert (registered.key, registered.valid_to_s, registered.scopes) == (key, end_s, 0b101)
    assert (registered.owner, registered.accounts) == (user.address, (first.account,))
    assert (revoked.key, revoked.valid_to_s, revoked.revoked) == (key, 0, True)
    assert [r.index for r in RequestReader(chain, deployment).poll(2).confirmed] == [3, 4]


def test_deposit_to_claim(node, tmp_path):
    """The whole life of money: deposit, batch, relayed withdrawal, batch, finalize, claim."""
    deployment = deploy(node)
    reader, contract = RequestReader(node, deployment), SettlementReader(node, deployment.settlement)
    outbox, state = Outbox(tmp_path / "outbox.sqlite"), LedgerState()
    poster = Poster(node, deployment, outbox, account_key(SEED, OPERATOR_INDEX))
    account = minted(node, deployment, 0, 100).account
    outbox.add(request_batch(state, reader.poll(0).confirmed, [], node), 0)
    relay(node, deployment, account_key(SEED, 3), *signed_withdraw(node, deployment, account, 40 * DOLLARS))
    outbox.add(request_batch(state, reader.poll(1).confirmed, [40 * DOLLARS], node), 0)

    def both_final():
        poster.step()
        return contract.finalized() == 2

    wait_until(both_final)
    assert contract.root() == state.root
    posted = read_batch_calldata(node, deployment, 2)
    assert (posted.header.request_up_to, posted.data) == (2, outbox.batch(2).data)
    assert posted.gas_used == outbox.batch(2).gas_used
    user = SettlementUser(node, deployment, account_key(SEED, 0))
    user.claim([2])
    token = SettlementReader(node, deployment.token)
    assert token.view("balanceOf(address)", ["uint256"], user.address) == 40 * DOLLARS
    with pytest.raises(CallReverted):
        user.claim([2])
