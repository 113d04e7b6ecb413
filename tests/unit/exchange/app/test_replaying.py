"""Small message files through the production sequencer, journal, engine and book."""

import gzip
from datetime import date

import pytest

from exchange.app.failures import Failure
from exchange.app.lobster_agreement import Difference
from exchange.app.replaying import replay_lobster
from exchange.domain.result_codes import ResultCode
from tests.unit.exchange.app.test_lobster import DELETE, HIDDEN, NEW, PARTIAL, VISIBLE, line

DAY = date(2012, 6, 21)


def replayed(folder, *lines):
    """Report of a replay in a fresh directory."""
    file = folder / "messages.csv"
    file.write_text("".join(lines))
    return replay_lobster(file, folder / "data", day=DAY, underlying="AAPL")


def test_an_empty_file_is_refused(tmp_path):
    """One line that names the file."""
    with pytest.raises(Failure, match=r"messages\.csv: no rows"):
        replayed(tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    """One line that names the file."""
    with pytest.raises(Failure, match=r"absent\.csv"):
        replay_lobster(tmp_path / "absent.csv", tmp_path / "data", day=DAY, underlying="AAPL")


def test_a_bad_row_ends_the_replay_with_its_line(tmp_path):
    """What came before stays in the journal, which is closed in order."""
    with pytest.raises(Failure, match="line 2"):
        replayed(tmp_path, line(NEW, 1, 10, 100, 1), "nonsense\n")


def test_a_file_that_is_no_gzip_is_refused(tmp_path):
    """One line that names the file."""
    file = tmp_path / "messages.csv.gz"
    file.write_text("plain")
    with pytest.raises(Failure, match=r"messages\.csv\.gz"):
        replay_lobster(file, tmp_path / "data", day=DAY, underlying="AAPL")


def test_a_directory_with_a_journal_is_refused(tmp_path):
    """A replay starts with an empty book, and leaves the other journal alone."""
    replayed(tmp_path, line(NEW, 1, 10, 100, 1))
    before = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "data").rglob("*"))}
    with pytest.raises(Failure, match="holds a journal already"):
        replayed(tmp_path, line(NEW, 1, 10, 100, 1))
    assert {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "data").rglob("*"))} == before


def test_the_journal_gives_the_same_state_and_path(tmp_path):
    """Orders, a partial cancel, a sweep over two orders, a delete; a compressed file reads the same."""
    lines = (
        line(NEW, 1, 10, 100, 1, at="34200.1"),
        line(NEW, 2, 10, 99, 1, at="34200.2"),
        line(NEW, 3, 10, 103, -1, at="34200.2"),
        line(PARTIAL, 2, 4, 99, 1, at="34201"),
        line(VISIBLE, 1, 10, 100, 1, at="34202"),
        line(HIDDEN, 0, 1, 100, 1, at="34202"),
        line(VISIBLE, 2, 5, 99, 1, at="34202"),
        line(DELETE, 3, 10, 103, -1, at="34900"),
    )
    report = replayed(tmp_path, *lines)
    assert report.same
    assert (report.agreement.agreed, report.agreement.executions, report.agreement.trades) == (2, 2, 2)
    assert report.agreement.refused == {}
    assert report.resting_orders == 1
    assert [(point.time_ns // 10**9, point.bid_ticks, point.ask_ticks) for point in report.path.samples] == [
        (34_200, 0, 0),
        (34_800, 99, 103),
        (34_900, 99, 0),
    ]
    packed = tmp_path / "messages.csv.gz"
    packed.write_bytes(gzip.compress("".join(lines).encode()))
    again = replay_lobster(packed, tmp_path / "again", day=DAY, underlying="AAPL")
    assert (again.state_hash, again.path.digest) == (report.state_hash, report.path.digest)


def test_an_order_from_before_the_file_has_no_maker_here(tmp_path):
    """Its execution finds nothing; cancelling it is refused; what met its size later is a consequence."""
    report = replayed(
        tmp_path,
        line(NEW, 5, 10, 100, 1, at="1"),
        line(DELETE, 4, 10, 100, 1, at="2"),
        line(VISIBLE, 3, 10, 100, 1, at="3"),
        line(VISIBLE, 5, 10, 100, 1, at="4"),
    )
    assert report.agreement.differences == {Difference.BEFORE_FILE: 1, Difference.CONSEQUENCE: 1}
    assert report.agreement.refused == {ResultCode.ORDER_NOT_FOUND: 1}
    assert report.agreement.unfilled_runs == 1


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [(8, 7, Difference.OLDER_THAN_ROW), (7, 8, Difference.YOUNGER_FIRST)],
)
def test_an_execution_out_of_turn_is_classed_by_the_order_numbers(tmp_path, first, second, difference):
    """Rows show `first` ahead of `second`, the file fills `second` first."""
    report = replayed(
        tmp_path,
        line(NEW, first, 10, 100, 1, at="1"),
        line(NEW, second, 10, 100, 1, at="2"),
        line(VISIBLE, second, 10, 100, 1, at="3"),
    )
    assert report.agreement.differences == {difference: 1}
    assert report.agreement.agreed == 0


def test_an_execution_past_a_better_price_is_unexplained(tmp_path):
    """No rule of the file's venue gives that, so no cause is invented."""
    report = replayed(
        tmp_path,
        line(NEW, 1, 10, 101, 1, at="1"),
        line(NEW, 2, 10, 100, 1, at="2"),
        line(VISIBLE, 2, 10, 100, 1, at="3"),
    )
    assert report.agreement.differences == {Difference.UNEXPLAINED: 1}


def test_a_new_order_that_meets_one_here_trades(tmp_path):
    """It rested in the file; here the order it meets was not taken away before."""
    report = replayed(tmp_path, line(NEW, 1, 10, 101, 1, at="1"), line(NEW, 2, 4, 100, -1, at="2"))
    assert (report.agreement.trades, report.agreement.crossing_trades) == (1, 1)
