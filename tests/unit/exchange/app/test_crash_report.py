"""What `offbook sim crash` prints: refusals with the choice, the table, where adaptive is worse."""

import pytest
from msgspec.structs import replace

from exchange.app import crash_report
from exchange.app.crash_market import MakerPlan
from exchange.app.crash_path import load_path
from exchange.app.crash_report import CrashRun, compare_lines, path_lines, table_lines
from exchange.app.crash_tally import CrashCosts
from exchange.cli.main import main
from tests.unit.exchange.app.test_crash_market import PATH

COSTS = CrashCosts(fund_e6=3_000_000, haircut_e6=2_000_000, owed_e6=1_000_000, liquidated=4, book_lots=10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "2022-11-08"], "2020-03-12, 2025-10-10"),
        (["--path", "2025-10-10", "--engine", "clever"], "choose from fixed, adaptive"),
        (["--path", "2025-10-10", "--accounts", "9"], "10 to 5000"),
        (["--path", "2025-10-10", "--depth", "0"], "1 to 1000"),
        (["--path", "2025-10-10", "--refill", "3601"], "1 to 3600"),
    ],
)
def test_a_wrong_choice_is_one_line_with_the_right_ones(arguments, words, capsys):
    """Exit code 1, nothing on stdout."""
    assert main(["sim", "crash", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


def test_the_verb_prints_both_engines_and_tells_progress_apart(monkeypatch, capsys):
    """Results on stdout, minutes on stderr; `--sources` names every point first."""
    monkeypatch.setattr("exchange.app.crash_path.load_path", lambda _: PATH)
    assert main(["sim", "crash", "--path", "any", "--accounts", "20", "--sources"]) == 0
    captured = capsys.readouterr()
    assert "a page" in captured.out
    assert "bad debt, USDC" in captured.out
    assert "adaptive is worse in" in captured.out
    assert "fixed: 5 of 5 minutes" in captured.err
    assert "minutes\n" not in captured.out


def test_bad_debt_is_whoever_paid_it():
    """Fund, winners, and what nobody paid."""
    lines = table_lines([CrashRun("fixed", COSTS, "ab" * 32)])
    assert lines[1].split()[-1] == "6"
    assert lines[-1].split()[-1] == "abababababababab"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["adaptive is worse in none of these"]),
        ({"liquidated": 3, "equity_after_e6": 5}, ["adaptive is worse in none of these"]),
        ({"liquidated": 5}, ["adaptive is worse in:", "  accounts liquidated: 5 against 4"]),
        ({"fee_e6": 10**9}, ["adaptive is worse in none of these"]),
        ({"mark_gap_bps": 7}, ["adaptive is worse in:", "  mark away from index, most, bps: 7 against 0"]),
    ],
)
def test_where_adaptive_is_worse(changes, expected):
    """More cost is worse, less that users keep is worse, fees are neither."""
    runs = [CrashRun("fixed", COSTS, ""), CrashRun("adaptive", replace(COSTS, **changes), "")]
    assert compare_lines(runs) == expected


def test_users_who_keep_less_are_named():
    """The one figure of which more is better."""
    better = replace(COSTS, equity_after_e6=8_000_000)
    runs = [CrashRun("fixed", better, ""), CrashRun("adaptive", COSTS, "")]
    assert compare_lines(runs)[1] == "  liquidated accounts keep, USDC: 0 against 8"


def test_one_engine_is_compared_with_nothing():
    """No verdict without both."""
    assert compare_lines([CrashRun("adaptive", COSTS, "")]) == []


def test_the_fixed_engine_is_section_10_as_it_stands():
    """Constant step and margins, nothing weaker than the venue's own default."""
    assert crash_report.ENGINES["fixed"] == crash_report.LiquidationRules()
    assert crash_report.ENGINES["fixed"].adaptive is None


def test_sources_of_a_path_say_what_is_published():
    """Each point on a line of its own, and the market's assumptions at the end."""
    lines = path_lines(load_path("2025-10-10"), MakerPlan(refill_s=7))
    assert sum("published" in line for line in lines) >= 5
    assert "assumed" in lines[-1]
    assert "within 7 s" in lines[-1]
