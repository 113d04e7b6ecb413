"""The long comparison itself: it finds a defect, goes on from its log, and refuses a stream that lacks a kind."""

import json
from collections import Counter
from operator import floordiv

import pytest

import matching_core
from exchange.engine import triggers
from exchange.engine.triggers import Ladder, Trail
from matching_core.fills import COMMAND, FLAG_IOC, STP_CANCEL_BOTH, STP_SHIFT, CoreCommand
from tests.differential import long_run
from tests.differential.long_run import EXPECTED, Log, kinds_of, main, rare_kinds, run_seed
from tests.fuzz.defective_books import DEFECTS

ARGUMENTS = ["--seeds-of", "1000", "--seed", "3", "--jobs", "1"]


@pytest.mark.parametrize("canary", sorted(DEFECTS))
def test_a_defect_is_a_difference(monkeypatch, canary):
    """Each deliberate defect shows within a few thousand commands."""
    monkeypatch.setattr(matching_core, "OrderBook", DEFECTS[canary])
    assert run_seed(1, 5_000)["difference"].startswith("seed 1, after ")


def fires_late(ladder, price_e9):
    """A ladder that fires fixed triggers beyond their price, not at it."""
    fired = []
    while ladder.rising and ladder.rising[0][0] < price_e9:
        fired.append(ladder.rising.pop(0)[1])
    return fired


def merges_nobody(_trail, one, _other):
    """A new extreme that loses a group it passes."""
    return one


TRIGGER_DEFECTS = {
    "fires late": (Ladder, "observe", fires_late),
    "loses a group": (Trail, "_merge", merges_nobody),
    "rounds towards the price": (triggers, "ceil_div", floordiv),
    "forgets extremes": (Ladder, "extreme_e9", lambda _ladder, _order: 0),
}


@pytest.mark.parametrize("defect", TRIGGER_DEFECTS)
def test_a_defect_of_the_trigger_book_is_a_difference(monkeypatch, defect):
    """What fires late, never, elsewhere, or is lost by a reload shows within a few thousand commands."""
    monkeypatch.setattr(*TRIGGER_DEFECTS[defect])
    assert "trigger" in run_seed(1, 5_000)["difference"]


def test_a_difference_ends_the_run(monkeypatch, tmp_path, capsys):
    """The run says where and fails; the seed is compared again next time."""
    monkeypatch.setattr(matching_core, "OrderBook", DEFECTS["stale-cancel"])
    log = tmp_path / "log"
    assert main([*ARGUMENTS, "--commands", "2000", "--log", str(log)]) == 1
    assert "seed 3, after " in capsys.readouterr().out
    assert 3 not in Log(log, seeds_of=1000).rows


def test_a_finished_seed_is_not_compared_again(monkeypatch, tmp_path, capsys):
    """The second run compares the seed that the log lacks and reports over both."""
    monkeypatch.setattr(long_run, "LEAST_PERCENT", 0)  # So few commands lack a kind by chance.
    log = tmp_path / "log"
    assert main([*ARGUMENTS, "--commands", "1000", "--log", str(log)]) == 0
    assert main([*ARGUMENTS, "--commands", "2000", "--log", str(log)]) == 0
    text = capsys.readouterr().out
    assert f"2 seeds of 1,000; 1 stand in {log}" in text
    assert "2 seeds, 2,000 commands" in text
    assert [json.loads(line)["seed"] for line in log.read_text().splitlines()] == [3, 4]


def test_lines_of_other_books_do_not_count(tmp_path):
    """A log written before a change of the books is kept and ignored."""
    path = tmp_path / "log"
    path.write_text(json.dumps({"core": "other", "seeds_of": 1000, "seed": 3, "difference": ""}) + "\n")
    log = Log(path, seeds_of=1000)
    assert (log.rows, log.ignored_count) == ({}, 1)


def test_a_seed_gives_the_same_row_each_time():
    """Everything but the time it took."""
    first, second = run_seed(7, 1_000), run_seed(7, 1_000)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_a_rare_kind_is_named():
    """Half a percent is enough, less is not."""
    drawn = Counter(dict.fromkeys(EXPECTED, 5))
    assert rare_kinds(drawn, 1_000) == []
    drawn["AMEND"] = 4
    assert rare_kinds(drawn, 1_000) == ["AMEND"]


def test_a_new_order_counts_for_its_flags_and_mode():
    """Kind, flags, and the self-trade mode where there is an owner to trade with."""
    flags = FLAG_IOC | STP_CANCEL_BOTH << STP_SHIFT
    assert kinds_of(COMMAND.pack(CoreCommand.NEW, 0, flags, 7, 1, 1, 9, 0)) == ["NEW", "FLAG_IOC", "STP_CANCEL_BOTH"]
    assert kinds_of(COMMAND.pack(CoreCommand.NEW, 0, flags, 7, 1, 1, 0, 0)) == ["NEW", "FLAG_IOC"]
    assert kinds_of(COMMAND.pack(200, 0, flags, 7, 1, 1, 9, 0)) == ["(unknown kind)"]
