"""Verb `replay`: recorded order flow through a fresh exchange."""

import argparse
import re
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from exchange.app.failures import Failure
from exchange.app.lobster import RowKind
from exchange.app.replaying import ReplayReport, replay_lobster

__all__ = ["add_verbs"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KINDS = {
    RowKind.NEW: "new",
    RowKind.PARTIAL_CANCEL: "partial cancels",
    RowKind.DELETE: "deletes",
    RowKind.EXECUTION: "visible executions",
    RowKind.HIDDEN_EXECUTION: "hidden ones (not replayed)",
}


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    verb = verbs.add_parser(
        "replay",
        help="drive recorded order flow through sequencer, journal, engine and book",
        description="Drive the order events of a file through the production sequencer, journal, engine and book, "
        "starting with an empty book, and compare who was filled. Then read the journal back from disk: exit code 1 "
        "when it gives another state hash or another path of best prices.",
    )
    verb.add_argument("file", type=Path, metavar="FILE", help="message file, plain or .gz")
    verb.add_argument("--format", choices=["lobster"], required=True, help="what the file holds")
    verb.add_argument("--data", type=Path, help="empty directory to keep the journal in (default: a temporary one)")
    verb.add_argument("--date", help="trading day, YYYY-MM-DD (default: the date in the file's name)")
    verb.add_argument("--underlying", default="AAPL", help="name of the underlying (default %(default)s)")
    verb.set_defaults(run=_replay)


def _replay(parsed: argparse.Namespace) -> int:
    day = _day(parsed.date, parsed.file)
    if parsed.data is not None:
        return _run(parsed.file, parsed.data, day, parsed.underlying, kept=True)
    with tempfile.TemporaryDirectory(prefix="offbook-replay-") as folder:
        return _run(parsed.file, Path(folder), day, parsed.underlying, kept=False)


def _run(file: Path, data: Path, day: date, underlying: str, *, kept: bool) -> int:
    report = replay_lobster(file, data, day=day, underlying=underlying, on_progress=_progress)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    _print(report)
    if kept:
        sys.stdout.write(f"journal     {report.data / 'exchange' / 'journal'}\n")
    return 0 if report.same else 1


def _day(given: str | None, file: Path) -> date:
    found = _DATE.search(given if given is not None else file.name)
    try:
        if found is not None:
            return date.fromisoformat(found.group())
    except ValueError as error:
        raise Failure(f"{found.group() if found else given}: {error}") from error
    raise Failure(f"{given or file.name}: no date in it; give --date YYYY-MM-DD")


def _progress(rows: int, time_ns: int) -> None:
    line = f"{rows:,} rows, {_clock(time_ns)}"
    sys.stderr.write(f"\r{line}" if sys.stderr.isatty() else f"{line}\n")
    sys.stderr.flush()


def _print(report: ReplayReport) -> None:
    agreement, rows = report.agreement, report.agreement.rows
    kinds = ", ".join(f"{rows[kind]:,} {name}" for kind, name in _KINDS.items())
    share = 100 * agreement.agreed / agreement.executions if agreement.executions else 100.0
    lines = [
        f"rows        {rows.total():,}: {kinds}",
        (
            f"commands    {report.commands:,} in {report.groups:,} groups, {report.seconds:.1f} s: "
            f"{report.commands / report.seconds:,.0f} commands/s"
        ),
        (
            f"trades      {agreement.trades:,}: of {agreement.runs:,} immediate orders ({agreement.unfilled_runs} not "
            f"filled whole), {agreement.crossing_trades} of new orders that met an order here"
        ),
        *(f"refused     {count:,} {code.name}" for code, count in sorted(agreement.refused.items())),
        (
            f"makers      {agreement.agreed:,} of {agreement.executions:,} visible executions fill the file's order "
            f"({share:.2f} %)"
        ),
        *(f"  {count:>6,}    {one.name}: {one.value}" for one, count in agreement.differences.most_common()),
        f"resting     {report.resting_orders:,} orders at the end",
        *(_sample(report, index) for index in range(len(report.path.samples))),
        f"path hash   {report.path.digest.hex()} ({report.path.changes:,} changes of best bid or ask)",
        f"state hash  {report.state_hash.hex()}",
        (
            f"replayed    {report.journal_state_hash.hex()} "
            f"from the journal on disk in {report.journal_seconds:.1f} s: "
            f"{'the same state and path' if report.same else 'NOT THE SAME'}"
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _sample(report: ReplayReport, index: int) -> str:
    point = report.path.samples[index]
    return f"best        {_clock(point.time_ns)}  {_price(point.bid_ticks)} x {_price(point.ask_ticks)}"


def _price(ticks: int) -> str:
    return f"{ticks // 100}.{ticks % 100:02d}" if ticks else "-"


def _clock(time_ns: int) -> str:
    seconds = time_ns // 1_000_000_000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
