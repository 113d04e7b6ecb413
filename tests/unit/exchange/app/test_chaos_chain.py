"""Chain-fault scenarios: the node misbehaves as drawn, what breaks is found, and a run goes on where it stopped."""

import re
from random import Random

import pytest
import requests

from exchange.app.chaos_chain import ChainChaos, chaos_chain
from exchange.app.chaos_faults import Fault, FaultKind, Kill, KillSite, Plan, draw_plan
from exchange.app.chaos_market import OPERATOR_KEY, START_S, chaos_base, rpc_over
from exchange.app.chaos_node import MAX_TRANSACTION_BYTES, ChaosNode
from exchange.app.chaos_scenario import Broken, Scenario, run_scenario
from exchange.app.failures import Failure
from settlement.onchain.errors import AlreadyKnown, NonceTooLow, ReplacementUnderpriced, RpcRefused, RpcUnavailable
from settlement.onchain.forking_chain import ForkingChain
from settlement.onchain.funded_accounts import account_address
from settlement.onchain.local_chain import LocalChain, SharedSecondVM
from settlement.onchain.wallet import sign_transaction
from tests.simulation.chain_canaries import CHAIN_CANARIES

CALM = Plan((), ())
FOUND_ONCE = (
    (1, 1),  # a reply of another shape ended the settler
    (1, 12),  # a receipt that the node lacked halted it
    (1, 26),  # a node that was behind let it finalize a batch twice
    (1, 135),  # and publish a round twice
    (1, 2429),  # a transaction of another program that a reorganization drops left a hole below ours for ever
    (1, 3832),  # a receipt of a block that is gone made a batch final in it, and `finalize` named the wrong time
    (1, 4039),
    (1, 18529),  # two batches with one round: a node that was behind let it publish the round for each
)
LOST = Plan((Fault(FaultKind.REPLY_LOST, 0, 32, 100),), ())
REORGS = Plan(tuple(Fault(FaultKind.REORG, tick, 1, 5) for tick in range(6, 32, 4)), ())
WHERE_IT_SHOWS = {"unsynced-outbox": CALM, "second-nonce": LOST, "blind-to-reorganizations": REORGS}


def transfer(nonce, fee_wei=10**10, priority_wei=10**6, data=b""):
    """A signed call of the operator's key to itself."""
    to = account_address(OPERATOR_KEY)
    return sign_transaction(
        OPERATOR_KEY, chain_id=31337, nonce=nonce, to=to, data=data, gas=60_000, max_fee_wei=fee_wei,
        priority_fee_wei=priority_wei,
    )[0]  # fmt: skip


@pytest.fixture
def node():
    """A node over a chain with the contracts, and the production adapter to it."""
    chaos = ChaosNode(chaos_base().chain.copy(lambda: START_S))
    chaos.rpc, chaos.provider = rpc_over(chaos, CALM, Random(1), lambda _: None)
    return chaos


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (transfer(0, 11 * 10**9 - 1, 2 * 10**6), ReplacementUnderpriced),
        (transfer(0, 2 * 10**10, 11 * 10**5 - 1), ReplacementUnderpriced),
        (transfer(0), AlreadyKnown),
        (transfer(0, data=bytes(MAX_TRANSACTION_BYTES)), RpcRefused),
    ],
)
def test_the_pool_has_the_rules_of_real_nodes(node, second, error):
    """Less than 10 % more on either fee, the same bytes again, more than 128 kB."""
    node.rpc.send_raw(transfer(0))
    with pytest.raises(error):
        node.rpc.send_raw(second)


def test_a_replacement_with_ten_percent_more_is_taken(node):
    """Both fees raised as geth asks; the used nonce is too low afterwards."""
    node.rpc.send_raw(transfer(0))
    node.rpc.send_raw(transfer(0, 11 * 10**9, 11 * 10**5))
    node.mine()
    with pytest.raises(NonceTooLow):
        node.rpc.send_raw(transfer(0))


def test_a_gap_waits(node):
    """A later nonce is kept and mined with the first one."""
    node.rpc.send_raw(transfer(1))
    node.mine()
    assert node.rpc.nonce(account_address(OPERATOR_KEY)) == 0
    node.rpc.send_raw(transfer(0))
    node.mine()
    assert node.rpc.nonce(account_address(OPERATOR_KEY)) == 2


@pytest.mark.parametrize("keeps", [False, True])
def test_a_reorganization_changes_every_hash(node, keeps):
    """The same transactions or none, never the same blocks."""
    node.rpc.send_raw(transfer(0))
    node.mine()
    before = node.rpc.block(node.tip)
    node.reorganize(1, lambda dropped: dropped if keeps else [])
    after = node.rpc.block("latest")
    assert (after.number, node.rpc.nonce(account_address(OPERATOR_KEY))) == (before.number, int(keeps))
    assert after.block_hash != before.block_hash


@pytest.mark.parametrize("shape", range(40))
def test_an_answer_of_another_shape_is_no_answer(node, monkeypatch, shape):
    """Whatever a proxy puts in the place of a reply, each method says that the node is not available."""
    monkeypatch.setattr(node.provider, "make_request", lambda *_: node.provider._garbage())
    node.provider._rng.seed(shape)
    for ask in (
        node.rpc.chain_id,
        lambda: node.rpc.block("latest"),
        node.rpc.fees,
        lambda: node.rpc.send_raw(transfer(0)),
        lambda: node.rpc.receipt(bytes(32)),
        lambda: node.rpc.transaction(bytes(32)),
        lambda: node.rpc.call(bytes(20), b""),
        lambda: node.rpc.logs(bytes(20), [], 0, 1),
    ):
        with pytest.raises(RpcUnavailable):
            ask()


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT, FaultKind.BUSY, FaultKind.SERVER_ERROR])
def test_no_answer_is_what_web3_raises(node, kind):
    """The provider raises what the HTTP provider does; the adapter makes one error of it."""
    rpc, provider = rpc_over(node, Plan((Fault(kind, 0, 1, 100),), ()), Random(1), lambda _: None)
    provider.tick = 0
    with pytest.raises(requests.RequestException):
        provider.make_request("eth_chainId", [])
    with pytest.raises(RpcUnavailable):
        rpc.chain_id()


def test_a_stale_node_hides_blocks_and_their_receipts(node):
    """Head, receipts, logs and calls are those of an older block, together."""
    node.rpc.send_raw(transfer(0))
    node.mine()
    rpc, provider = rpc_over(node, Plan((Fault(FaultKind.STALE_HEAD, 0, 1, 100),), ()), Random(1), lambda _: None)
    provider.tick = 0
    tx_hash = bytes(node.accepted[0].hash)
    assert node.rpc.receipt(tx_hash) is not None
    assert (rpc.block("latest").number, rpc.receipt(tx_hash), rpc.transaction(tx_hash)) == (node.tip - 1, None, None)
    with pytest.raises(RpcRefused, match="header not found"):
        rpc.call(bytes(20), b"", tag=node.tip)


@pytest.mark.parametrize("name", CHAIN_CANARIES)
def test_a_deliberate_defect_is_found(name):
    """The same scenario breaks with the defect and is whole without it."""
    Scenario(1, 1, plan=WHERE_IT_SHOWS[name]).run()
    scenario = Scenario(1, 1, plan=WHERE_IT_SHOWS[name])
    with CHAIN_CANARIES[name](), pytest.raises(Broken):
        scenario.run()


def test_another_program_on_the_key_halts_once_and_posting_goes_on():
    """The first sight is for a person; after the restart and finality the batch leaves under another nonce."""
    plan = Plan(tuple(Fault(FaultKind.FOREIGN_SPEND, tick, 1, 1) for tick in range(32)), ())
    scenario = Scenario(1, 3, plan=plan)
    scenario.run()
    assert scenario.counts["halts"] > 0


@pytest.mark.parametrize("site", KillSite)
def test_a_death_is_survived(site):
    """Around the third occasion of each kind."""
    scenario = Scenario(2, 1, plan=Plan((), (Kill(site, 3),)))
    scenario.run()
    assert scenario.counts["deaths"] == 1


def test_a_scenario_has_the_blocks_that_py_evm_would_mine(monkeypatch):
    """Contracts deployed and a scenario run with py-evm's own operations and blocks: the same hash at the end."""

    def run():
        scenario = Scenario(1, 12, base=chaos_base.__wrapped__())
        scenario.run()
        header = scenario.node._forks.header_by_number(scenario.node.tip)
        return scenario.node.tip, bytes(header.hash), scenario.counts

    quick = run()
    monkeypatch.setattr(ForkingChain, "rules", SharedSecondVM)
    monkeypatch.setattr(ForkingChain, "_append", LocalChain._append)
    assert run() == quick


def test_a_scenario_repeats():
    """Two runs of the same numbers do the same, block for block."""
    assert run_scenario(5, 4) == run_scenario(5, 4)


@pytest.mark.parametrize(("seed", "number"), FOUND_ONCE)
def test_what_broke_once_holds(seed, number):
    """Scenarios that found a defect, kept."""
    assert run_scenario(seed, number).broken == ""


def test_every_kind_of_fault_is_drawn():
    """A kind that never comes would be tested by nobody."""
    drawn = {fault.kind for seed in range(100) for fault in draw_plan(Random(seed)).faults}
    assert drawn == set(FaultKind)


def test_a_run_goes_on_where_its_log_ends(tmp_path, capsys):
    """What stands in the log is not run again, and counts in the summary."""
    log = tmp_path / "log"
    assert chaos_chain(ChainChaos(count=2, seed=3, log=log)) == 0
    log.write_bytes(log.read_bytes() + b'{"seed":3,"num')
    assert chaos_chain(ChainChaos(count=3, seed=3, log=log)) == 0
    out, err = capsys.readouterr()
    assert "2 of 3 scenarios stand in" in err
    assert re.search(r"seed 3, 3 scenarios, .*: each fill settled exactly once\n$", out)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    """Nothing is appended to somebody's notes."""
    notes = tmp_path / "notes"
    notes.write_text("buy milk\n")
    with pytest.raises(Failure, match="no log of chaos chain"):
        chaos_chain(ChainChaos(count=1, seed=1, log=notes))


def test_a_failure_names_its_faults_and_its_command(capsys):
    """What a person needs to see it again."""
    with CHAIN_CANARIES["unsynced-outbox"]():
        assert chaos_chain(ChainChaos(count=1, seed=1)) == 1
    out, err = capsys.readouterr()
    assert "1 broken (1)" in out
    assert "faults: wrong-json(100)@10+5 " in err
    assert "offbook chaos chain --seed 1 --first 1 --n 1" in err
