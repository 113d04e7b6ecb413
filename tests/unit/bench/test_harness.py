"""What benchmarks share."""

from types import SimpleNamespace

import pytest

from bench.harness import interleaved, record_goal, result_hash


@pytest.mark.parametrize(("one", "other"), [([b"a", b"b"], [b"ab"]), ([b"a"], [b"a", b""]), ([b"a"], [b"b"])])
def test_the_hash_sees_borders(one, other):
    """Other parts, other hash."""
    assert result_hash(one) != result_hash(other)


def test_equal_parts_have_equal_hashes():
    """Hex of 32 bytes."""
    assert result_hash([b"a", b"b"]) == result_hash(iter([b"a", b"b"]))
    assert len(result_hash([])) == 64


def test_both_sides_run_in_turns():
    """After the warm-up the order changes every round."""
    calls = []
    interleaved(lambda: calls.append("r"), lambda: calls.append("s"), rounds=3)
    assert "".join(calls) == "rs" + "rs" + "sr" + "rs"


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(9, True, False), (10, True, True), (11, False, False), (10, False, True)]
)
def test_a_goal_is_met_at_its_target(value, at_least, met):
    """All keys of the convention are stored, and more."""
    benchmark = SimpleNamespace(extra_info={})
    record_goal(benchmark, "B1", value=value, unit="x", target=10, result_hash="ab", at_least=at_least, reference=3)
    assert benchmark.extra_info == {
        "goal": "B1",
        "value": value,
        "unit": "x",
        "target": 10,
        "met": met,
        "result_hash": "ab",
        "reference": 3,
    }
