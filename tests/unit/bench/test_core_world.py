"""What the core's benchmarks share: missing tools, percentiles, programs that must report what the core reports."""

import subprocess
from array import array
from hashlib import sha256

import pytest

from bench import core_world
from bench.core_world import available, percentile_ns
from bench.native_build import Missing, core_replay, program
from bench.record_file import HEADER, MAGIC, VERSION, survey
from bench.reports import listed_book, match
from bench.workloads import WORKLOADS, body
from matching_core import OrderBook


def refuse():
    """A tool that is not there."""
    raise Missing("g++ is not installed")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_missing_tool_fails_a_strict_run(monkeypatch, quiet):
    """STRICT=1 leaves nothing out."""
    monkeypatch.setenv("STRICT", "1")
    with pytest.raises(pytest.fail.Exception, match=r"g\+\+ is not installed"):
        available(refuse, quiet=quiet)


def test_a_missing_tool_skips_its_rows(monkeypatch):
    """With the reason; quietly where other rows go on."""
    monkeypatch.delenv("STRICT", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"g\+\+ is not installed"):
        available(refuse)
    assert available(refuse, quiet=True) is False
    assert available(lambda: None) is True


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.5, 20.0), (0.99, 45.0), (1.0, 45.0)])
def test_percentiles_leave_out_the_counters_own_cost(monkeypatch, share, expected):
    """Two cycles per ns, ten of them the counter's; never below zero."""
    monkeypatch.setattr(core_world, "_cycles_per_ns", lambda: 2.0)
    assert percentile_ns(array("I", [5, 30, 50, 100]), 10, share) == expected


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_map_book_reports_what_the_core_reports(tmp_path, name):
    """Byte for byte, on small workloads of another seed."""
    try:
        map_book = program("map_book.cpp")
    except Missing as reason:
        pytest.skip(str(reason))
    records = body(name, seed=3, shrink=1_000)
    found = survey(records)
    path = tmp_path / "records"
    path.write_bytes(HEADER.pack(MAGIC, VERSION, found.count) + records)
    text = subprocess.run([map_book, path, "report"], check=True, capture_output=True).stdout
    assert sha256(text).hexdigest() == match(records, found, OrderBook).digest


@pytest.mark.parametrize("rounds", [0, 2])
def test_the_floor_prints_three_figures(tmp_path, rounds):
    """Floor and plain copy in ns per command, and least cycles where rounds are asked for."""
    path = tmp_path / "commands"
    path.write_bytes(bytes(32 * 1_000))
    printed = subprocess.run([program("floor.c"), path, str(rounds)], check=True, capture_output=True, text=True).stdout
    assert [float(figure) > 0 for figure in printed.split()] == [True, True, rounds > 0]


@pytest.mark.parametrize("drive", ["replay_ns", "batch_cycles", "latencies"])
def test_the_c_entry_leaves_the_same_book(drive):
    """Every way of timing applies every command once."""
    records = body("W3a", shrink=100)
    found = survey(records)
    report = match(records, found, OrderBook)
    book = listed_book(OrderBook, found)
    getattr(core_replay(), drive)(book, report.commands)
    assert book.state_hash() == report.state_hash


def test_bytes_are_those_of_the_records_in_use():
    """Nothing rests, nothing counts but the roots of the two ladders."""
    book = OrderBook()
    book.list_instrument(0, price_min_ticks=1, price_max_ticks=63)
    empty = core_replay().resting_bytes(book)
    assert (empty["hot"], empty["cold"], empty["levels"]) == (0, 0, 0)
    assert empty["trie"] > 0
