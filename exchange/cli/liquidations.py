"""The verb of liquidations: `offbook liquidation report`."""

import argparse
import json
import sys
from typing import Any

from exchange.app.config import load_settings
from exchange.app.layout import DataDirectory
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("liquidation", help="liquidations of the last day: report")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="report")
    report = kinds.add_parser(
        "report", help="each event: accounts, sizes, prices, what fund and winners paid; no names"
    )
    add_data_option(report)
    report.add_argument("--json", action="store_true", help="machine-readable output")
    report.set_defaults(run=_report)


def _report(parsed: argparse.Namespace) -> int:
    # The event log and the journal's parts: other verbs do not need them.
    from exchange.app.liquidation_report import read_events, report_lines, report_numbers  # noqa: PLC0415

    directory = DataDirectory(load_settings({"data": parsed.data}).data.resolve())
    directory.check_format()
    events, instruments = read_events(directory.exchange)
    if parsed.json:
        sys.stdout.write(json.dumps(report_numbers(events, instruments)) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in report_lines(events, instruments)))
    return 0
