"""What each usual call costs, held to a committed snapshot: a drift is a decision, never an accident."""

import json

import pytest

from tests.unit.settlement.contracts.gas_walk import SNAPSHOT, walked

PERCENT = 2


def drifted(found: dict[str, int], wanted: dict[str, int]) -> list[str]:
    """One line per call that is new, gone, or more than 2 % away in either direction."""
    lines = [f"{name}: only in one of walk and snapshot" for name in sorted(found.keys() ^ wanted.keys())]
    return lines + [
        f"{name}: {found[name]} gas, the snapshot says {wanted[name]}"
        for name in sorted(found.keys() & wanted.keys())
        if 100 * abs(found[name] - wanted[name]) > PERCENT * wanted[name]
    ]


@pytest.mark.parametrize(
    ("found", "count"),
    [
        ({"a": 10_200, "b": 50}, 0),
        ({"a": 9_800, "b": 50}, 0),
        ({"a": 10_201, "b": 50}, 1),
        ({"a": 9_799, "b": 50}, 1),
        ({"a": 10_000}, 1),
        ({"a": 10_000, "b": 50, "c": 1}, 1),
    ],
)
def test_a_drift_of_more_than_two_percent_is_seen(found, count):
    """In both directions, and a call that only one of them knows."""
    assert len(drifted(found, {"a": 10_000, "b": 50})) == count


def test_gas_is_that_of_the_snapshot():
    """`python -m tests.unit.settlement.contracts.gas_walk` writes it anew after a change that is meant."""
    assert drifted(walked(), json.loads(SNAPSHOT.read_text())) == []
