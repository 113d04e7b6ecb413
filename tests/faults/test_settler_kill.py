"""SIGKILL of a real settler process and of the embedded chain, at seeded moments: each batch is on chain once."""

import random
import signal
import time

import pytest

from settlement.onchain.contract import BATCH_POSTED, SettlementReader, read_posted
from settlement.onchain.deploy import save_deployment
from tests.fakes.warm_process import WarmProcess
from tests.faults import settler_child
from tests.faults.settler_child import built
from tests.unit.settlement.onchain.conftest import SEED, ServedChain, deploy

BATCHES = 12
KILLS = 6


def spawn(arguments):
    """Start a settler."""
    return WarmProcess(settler_child.run, arguments)


def kill_after(child, lines, delay_s):
    """Let it take some steps, then kill it in the middle of one."""
    for _ in range(lines):
        if not child.stdout.readline():
            break
    time.sleep(delay_s)
    child.send_signal(signal.SIGKILL)
    child.wait(10)


@pytest.mark.parametrize("kill_chain", [False, True])
def test_each_batch_is_posted_once(tmp_path, kill_chain):
    """Kill settler (and chain) six times, then let one run to the end."""
    rng = random.Random(7)
    served = ServedChain(tmp_path / "chain")
    try:
        deployment = deploy(served.chain)
        save_deployment(deployment, tmp_path / "deployment.json")
        base_time_s = served.chain.block("latest").timestamp_s
        arguments = [served.url, tmp_path / "deployment.json", tmp_path / "outbox.sqlite", SEED, BATCHES, base_time_s]
        for _ in range(KILLS):
            kill_after(spawn(arguments), rng.randrange(3), rng.uniform(0, 0.08))
            if kill_chain:
                served.stop(signal.SIGKILL)
                served.start()
        last = spawn(arguments)
        steps = list(last.stdout)
        assert last.wait(10) == 0, steps
        check_chain(served.chain, deployment, base_time_s)
    finally:
        served.stop(signal.SIGKILL)


def check_chain(chain, deployment, base_time_s):
    """The chain holds seq 1..n, each once, with our roots."""
    assert SettlementReader(chain, deployment.settlement).head() == BATCHES
    head = chain.block("latest").number
    events = [read_posted(log) for log in chain.logs(deployment.settlement, [BATCH_POSTED], 0, head)]
    assert [event.seq for event in events] == list(range(1, BATCHES + 1))
    assert [event.new_root for event in events] == [built(s, base_time_s).new_root for s in range(1, BATCHES + 1)]
