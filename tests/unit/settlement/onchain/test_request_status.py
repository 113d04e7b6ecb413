"""Where a request stands, read from the contract after each step of its life."""

import pytest

from settlement.onchain.claims import SettlementUser, relay
from settlement.onchain.contract import SettlementReader
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.outbox import Outbox
from settlement.onchain.poster import Poster
from settlement.onchain.request_status import RequestState, StatusReader
from settlement.onchain.requests import RequestReader
from settlement.protocol.ledger import LedgerState
from tests.unit.settlement.onchain.conftest import SEED, deploy, wait_until
from tests.unit.settlement.onchain.queueing import DOLLARS, minted, request_batch, signed_withdraw


def test_nothing_is_said_of_requests_that_are_not_there(served):
    """Numbers outside the queue and transactions that queued nothing."""
    deployment = deploy(served.chain)
    reader = StatusReader(served.chain, deployment, 1)
    minted(served.chain, deployment, 0, 50)
    assert [reader.status(index) for index in (-1, 0, 2)] == [None, None, None]
    assert reader.indices_of(bytes(32)) == []


def test_a_deposit_is_seen_then_confirmed_then_taken(served):
    """Its depth is counted; what the exchange says it took is shown as that."""
    deployment = deploy(served.chain)
    reader = StatusReader(served.chain, deployment, 4)
    request = minted(served.chain, deployment, 0, 50)
    seen = reader.status(request.index)
    assert (seen.state, seen.confirmations, seen.required) == (RequestState.SEEN, 1, 4)
    assert (seen.account, seen.amount_e6, seen.tx_hash) == (request.account, 50 * DOLLARS, request.tx_hash)
    user = SettlementUser(served.chain, deployment, account_key(SEED, 0))
    user.request_withdraw(request.account, 10 * DOLLARS)
    user.cancel_all(request.account)
    minted(served.chain, deployment, 1, 50)
    assert reader.status(request.index).state is RequestState.CONFIRMED
    assert reader.status(request.index, taken_until=1).state is RequestState.TAKEN
    assert reader.indices_of(request.tx_hash) == [request.index]
    assert [row.index for row in reader.newest(2, None)] == [4, 3]
    assert [row.index for row in reader.newest(9, request.account)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("approved", "states"),
    [
        (0, [RequestState.REFUSED, RequestState.REFUSED]),
        (40, [RequestState.APPROVED, RequestState.CLAIMABLE]),
        (25, [RequestState.APPROVED, RequestState.CLAIMABLE]),
    ],
)
def test_a_withdrawal_from_its_batch_to_its_payment(served, tmp_path, approved, states):
    """Approved or refused with the batch, claimable once it is final, claimed with the amount that was paid."""
    chain, deployment = served.chain, deploy(served.chain)
    reader, contract = StatusReader(chain, deployment, 1), SettlementReader(chain, deployment.settlement)
    outbox, state = Outbox(tmp_path / "outbox.sqlite"), LedgerState()
    poster = Poster(chain, deployment, outbox, account_key(SEED, OPERATOR_INDEX))
    account = minted(chain, deployment, 0, 100).account
    relay(chain, deployment, account_key(SEED, 3), *signed_withdraw(chain, deployment, account, 40 * DOLLARS))
    records = RequestReader(chain, deployment).poll(0).confirmed
    outbox.add(request_batch(state, records, [approved * DOLLARS], chain), 0)
    seen = []

    def is_final():
        poster.step()
        status = reader.status(2)
        if status.seq and status.state not in seen:
            seen.append(status.state)
            assert (status.seq, status.approved_e6) == (1, approved * DOLLARS)
        return contract.finalized() == 1

    wait_until(is_final)
    assert reader.status(2).state is states[1]
    assert set(seen) <= set(states)
    assert reader.status(1).state is RequestState.FINAL
    if approved:
        SettlementUser(chain, deployment, account_key(SEED, 0)).claim([2])
        paid = reader.status(2)
        assert (paid.state, paid.approved_e6) == (RequestState.CLAIMED, approved * DOLLARS)
