"""tests.simulation: two runs of a seed are the same run, invariants hold, and every canary is caught."""

import pytest

from tests.simulation.__main__ import main, simulate


@pytest.mark.parametrize(
    ("canary", "invariants"),
    [
        ("early-ack", {"released-is-durable"}),
        ("lost-fill", {"each-fill-in-one-batch"}),
        ("unbalanced", {"zero-sum-cash"}),
    ],
)
def test_a_canary_is_caught_by_its_invariant(canary, invariants, capsys):
    """Exit 1, the word, the name, and last the command that repeats it."""
    assert main(["--seed", "1", "--steps", "8000", "--canary", canary]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed 1"
    assert lines[-1] == f"repeat: python -m tests.simulation --seed 1 --steps 8000 --canary {canary}"
    assert any(line.startswith(f"caught by invariant {name}") for line in lines for name in invariants)


@pytest.mark.parametrize("seed", [11, 12])
def test_a_seed_is_one_run(seed):
    """Same steps, same bytes, same end."""
    first, second = simulate(seed, 2_500), simulate(seed, 2_500)
    assert first.caught == "", first.detail
    assert first == second


def test_a_longer_life_with_crashes_keeps_every_promise():
    """Enough of everything for the invariants to mean something."""
    result = simulate(3, 12_000)
    assert result.caught == "", result.detail
    wanted = {"fills": 300, "batches": 8, "crashes": 5, "restarts": 5, "snapshots": 2, "unanswered": 5, "absent": 1}
    assert {name: least for name, least in wanted.items() if result.counts[name] < least} == {}
