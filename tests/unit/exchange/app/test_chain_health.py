"""What /ready says of the chain, and the gas figure of the metrics."""

import json

import pytest

from exchange.app.exchange_process import ChainHealth


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


def _report(state, detail="", waiting=0):
    return json.dumps({"state": state, "detail": detail, "waiting": waiting, "head": 4, "final": 3}).encode()


@pytest.mark.parametrize(
    ("state", "word"), [("chain_down", "chain down"), ("blocked", "chain blocked"), ("halted", "chain halted")]
)
def test_trouble_degrades_and_names_its_reason(state, word):
    """Trading goes on: ready stays true."""
    health = ChainHealth(Clock())
    health.hear(_report(state, "connection refused", waiting=7))
    ready = health.readiness()
    assert (ready.ready, ready.degraded, ready.chain) == (True, True, "down")
    assert ready.reason.startswith(word)
    assert "7 batches wait" in ready.reason
    assert "connection refused" in ready.reason


def test_silence_is_trouble():
    """A settler that says nothing for long."""
    clock = Clock()
    health = ChainHealth(clock)
    health.hear(_report("idle"))
    clock.now_s += 15.0
    assert not health.readiness().degraded
    clock.now_s += 0.1
    assert health.readiness().degraded
    assert "settler is silent" in health.readiness().reason


def test_recovery_clears_the_reason():
    """The next good report."""
    health = ChainHealth(Clock())
    health.hear(_report("chain_down"))
    health.hear(_report("waiting"))
    ready = health.readiness()
    assert (ready.degraded, ready.reason, ready.chain) == (False, "", "waiting")
    assert (health.head, health.final) == (4, 3)


def test_gas_per_fill_of_the_newest_batches():
    """Batches without gas or fills do not count, old ones are forgotten."""
    health = ChainHealth(Clock())
    assert health.gas_per_fill == 0.0
    health.note_batch({"seq": 1, "gas_used": None, "fills": 5})
    health.note_batch({"seq": 2, "gas_used": 500, "fills": 0})
    assert health.gas_per_fill == 0.0
    for seq in range(3, 40):
        health.note_batch({"seq": seq, "gas_used": 1_000 if seq > 19 else 10**9, "fills": 10})
    assert health.gas_per_fill == 100.0
