"""Curves of the core: the flow behind them, the text, the picture."""

import sys

import pytest

from bench import plots
from bench.native_build import Missing
from bench.plots import draw, spread_flow, step_rate, table
from bench.record_file import NEW, RECORD, survey

CURVES = {"latency": {0.5: 20.0, 0.99: 100.0}, "depth": {100: 30.0, 1_000: 20.0}, "instruments": {1: 20.0, 5: 10.0}}


def test_without_matplotlib_nothing_is_drawn(monkeypatch, tmp_path):
    """One line that names the remedy."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Missing, match="make dev"):
        draw(CURVES, tmp_path / "x.png", "")


def test_the_preload_is_spread_over_all_instruments():
    """As many orders as asked for, the same number in each."""
    rows = list(RECORD.iter_unpack(b"".join(spread_flow(30, 3, 0))))
    assert [row[0] for row in rows] == [NEW] * 30
    assert [row[8] for row in rows] == [0, 1, 2] * 10


def test_steps_follow_the_preload():
    """And stay on the listed instruments."""
    found = survey(b"".join(spread_flow(30, 3, 200)))
    assert found.count == 230
    assert set(found.core_ids) == {0, 1, 2}


def test_a_rate_is_one_of_the_steps_alone():
    """The book after preload and steps is that of the first pass, or no rate is given."""
    assert step_rate(30, 3, steps=200, rounds=1) > 0


def test_the_curves_as_text():
    """A line per point."""
    assert [line.split() for line in table(CURVES).splitlines()] == [
        ["latency", "p50", "20.0", "ns"],
        ["latency", "p99", "100.0", "ns"],
        ["resting", "100", "30.00", "M", "commands/s"],
        ["resting", "1,000", "20.00", "M", "commands/s"],
        ["instruments", "1", "20.00", "M", "commands/s"],
        ["instruments", "5", "10.00", "M", "commands/s"],
    ]


def test_the_picture(tmp_path):
    """A PNG."""
    pytest.importorskip("matplotlib")
    draw(CURVES, tmp_path / "x.png", "machine")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_and_draws(monkeypatch, tmp_path, capsys):
    """The machine, the table, the place of the picture."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plots, "measure", lambda: CURVES)
    assert plots.main(["--out", str(tmp_path / "y" / "x.png")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("machine: ")
    assert table(CURVES) in printed
    assert (tmp_path / "y" / "x.png").exists()
