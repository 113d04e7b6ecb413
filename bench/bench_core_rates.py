"""M1 W1 against the floor, M2 commands/s of five workloads, M3 against a std::map book, M9 the published hashes.

The core runs through its C entry: packed 32-byte commands in batches of 256, events into a buffer of the caller,
handles known (ids resolve above the core). `with_ids` beside it takes the file's records through a dense id table. The
report of every workload has the published hash (at full size) before anything is timed; so has the std::map book's, and
each timed run of the core ends in the book of the first. `SIZE=small` takes a twentieth.
"""

import pytest

import matching_core
from bench.core_world import IS_SMALL, available, least_cycles, matched, rates
from bench.harness import record_goal
from bench.native_build import core_replay, program
from bench.reports import match
from bench.workloads import REPORT_SHA256
from matching_core import ReferenceOrderBook

pytestmark = pytest.mark.skipif(not matching_core.COMPILED, reason="matching_core._order_book is not built: make build")

M3_TARGETS = {"W1": 2.5, "W2": 3.5, "W3a": 2.8, "W3b": 3.3, "W3c": 2.0}
TIMED = list(M3_TARGETS)


def once(benchmark, work):
    """Let pytest-benchmark see a round; the figures come from interleaved rounds of their own."""
    benchmark.pedantic(work, rounds=1, iterations=1)


@pytest.mark.goal("M1")
def test_floor(benchmark):
    """W1's ns per command over the ns of copying a command and one unpredictable branch."""
    available(core_replay)
    measured = rates("W1")
    ratio = measured["core"] / measured["floor"]
    record_goal(
        benchmark, "M1", value=round(ratio, 2), unit="x the floor", target=1.8, at_least=False,
        result_hash=matched("W1").report.digest, reference=round(measured["floor"], 2), ratio=round(ratio, 2),
        core_ns=round(measured["core"], 2), copy_ns=round(measured["copy"], 2),
        floor_to_copy=round(measured["floor"] / measured["copy"], 2),
    )  # fmt: skip
    once(benchmark, lambda: rates("W1"))


@pytest.mark.goal("M1-least")
def test_floor_at_its_least(benchmark):
    """The same in cycles, each batch at its least over the rounds: what the core costs, whoever else is there."""
    available(core_replay)
    core, floor = least_cycles("W1")
    record_goal(
        benchmark, "M1-least", value=round(core / floor, 2), unit="x the floor", target=1.8, at_least=False,
        result_hash=matched("W1").report.digest, reference=round(floor, 2), ratio=round(core / floor, 2),
        core_cycles=round(core, 2),
    )  # fmt: skip
    once(benchmark, lambda: matched("W1"))


@pytest.mark.goal("M2-W1", "M2-W2", "M2-W3a", "M2-W3b", "M2-W3c")
@pytest.mark.parametrize("name", TIMED)
def test_commands_per_second(benchmark, name):
    """For information: rates say as much about the machine as about the core."""
    available(core_replay)
    measured = rates(name)
    benchmark.extra_info.update(
        goal=f"M2-{name}",
        value=round(1e3 / measured["core"], 2),
        unit="M commands/s",
        target=None,
        met=False,
        result_hash=matched(name).report.digest,
        reference=round(1e3 / measured["floor"], 2),
        ratio=round(measured["core"] / measured["floor"], 2),
        with_ids=round(1e3 / measured["ids"], 2),
    )
    once(benchmark, lambda: rates(name))


@pytest.mark.goal("M3-W1", "M3-W2", "M3-W3a", "M3-W3b", "M3-W3c")
@pytest.mark.parametrize("name", TIMED)
def test_map_book(benchmark, name):
    """How many times the std::map book's rate."""
    available(core_replay)
    available(lambda: program("map_book.cpp"))
    measured = rates(name)
    ratio = measured["map"] / measured["core"]
    record_goal(
        benchmark, f"M3-{name}", value=round(ratio, 2), unit="x a std::map book", target=M3_TARGETS[name],
        result_hash=matched(name).report.digest, reference=round(1e3 / measured["map"], 2), ratio=round(ratio, 2),
        with_ids=round(measured["map"] / measured["ids"], 2),
    )  # fmt: skip
    once(benchmark, lambda: rates(name))


@pytest.mark.goal("M9")
def test_published_hashes(benchmark):
    """Full size: six reports have the published hashes. Small: both books report the same."""
    workloads = [matched(name) for name in REPORT_SHA256]
    expected = [_expected(workload) for workload in workloads]
    right = sum(found.report.digest == digest for found, digest in zip(workloads, expected, strict=True))
    record_goal(
        benchmark, "M9", value=right, unit="of 6 report hashes", target=len(workloads),
        result_hash=workloads[0].report.digest,
    )  # fmt: skip
    once(benchmark, lambda: matched("W1"))
    assert right == len(workloads)


def _expected(workload):
    if not IS_SMALL:
        return REPORT_SHA256[workload.name]
    return match(workload.records, workload.survey, ReferenceOrderBook).digest
