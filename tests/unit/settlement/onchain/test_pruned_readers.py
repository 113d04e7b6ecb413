"""Readers of requests and batches on a chain that has pruned: they go on, or say what is gone; never a silent gap."""

from dataclasses import replace

import pytest

from settlement.onchain.deploy import check_deployment
from settlement.onchain.errors import DeploymentMismatch, HistoryPruned, RpcUnavailable
from settlement.onchain.posted import kept_batches, posted_event, read_batch_calldata
from settlement.onchain.requests import RequestReader
from tests.unit.settlement.onchain.pruned_exchange import PrunedExchange


@pytest.fixture
def exchange(tmp_path):
    """A fresh deployment."""
    opened = PrunedExchange(tmp_path)
    yield opened
    opened.close()


def indices(poll):
    """Confirmed requests of a poll."""
    return [record.index for record in poll.confirmed]


@pytest.mark.parametrize("later", [0, 1])
def test_requests_that_nobody_took_are_missed_aloud(exchange, later):
    """With or without a newer request in sight, a restarted reader names what went with its blocks."""
    exchange.deposit(0)
    exchange.mine_until_pruned(exchange.deposit(1).block_number)
    for user in range(later):
        exchange.deposit(user)
    reader = RequestReader(exchange.chain, exchange.deployment)
    with pytest.raises(RpcUnavailable, match="requests 1 to 2 are in blocks that the chain no longer keeps"):
        reader.poll(0)
    with pytest.raises(RpcUnavailable, match="requests 2 to 2 are"):
        reader.poll(1)
    assert indices(reader.poll(2)) == [3] * later


def test_a_restarted_reader_continues_behind_the_horizon(exchange):
    """The deployment's block is gone, the requests before it were taken: the next ones come in order."""
    exchange.mine_until_pruned(exchange.deposit(0).block_number)
    reader = RequestReader(exchange.chain, exchange.deployment)
    assert indices(reader.poll(1)) == []
    exchange.deposit(1)
    exchange.deposit(2)
    assert indices(reader.poll(1)) == [2, 3]
    assert indices(RequestReader(exchange.chain, exchange.deployment).poll(2)) == [3]


def test_a_running_reader_that_fell_behind_continues(exchange):
    """What it had read already counts, although the engine has not taken it."""
    reader = RequestReader(exchange.chain, exchange.deployment)
    exchange.mine_until_pruned(exchange.deposit(0).block_number - 4)
    assert indices(reader.poll(0)) == [1]
    exchange.mine_until_pruned(exchange.local.head_number)
    exchange.deposit(1)
    assert indices(reader.poll(0)) == [1, 2]


def test_a_pruned_batch_is_told_from_one_that_was_never_posted(exchange):
    """The contract's head decides; the poster must not take one for the other."""
    blocks = [exchange.post(seq) for seq in (1, 2, 3)]
    exchange.mine_until_pruned(blocks[0])
    exchange.post(4)
    kept = kept_batches(exchange.chain, exchange.deployment)
    assert kept.last_seq == 4
    assert kept.blocks == exchange.local.head_number + 1 - exchange.local.horizon
    for seq in range(1, kept.first_seq):
        with pytest.raises(HistoryPruned, match=f"batch {seq} was posted in a block that the chain no longer keeps"):
            read_batch_calldata(exchange.chain, exchange.deployment, seq)
    assert posted_event(exchange.chain, exchange.deployment, 5) is None
    assert read_batch_calldata(exchange.chain, exchange.deployment, 4).block_number == exchange.local.head_number


def test_a_chain_without_its_deployment_block_is_still_checked(exchange):
    """Genesis, code and views are compared when the block's hash can't be; no code there is refused."""
    exchange.mine_until_pruned(exchange.deployment.deploy_block)
    check_deployment(exchange.chain, exchange.deployment)
    with pytest.raises(DeploymentMismatch, match="other blocks"):
        check_deployment(exchange.chain, replace(exchange.deployment, settlement=b"\x01" * 20))
    with pytest.raises(DeploymentMismatch, match="another genesis"):
        check_deployment(exchange.chain, replace(exchange.deployment, genesis_hash=bytes(32)))
