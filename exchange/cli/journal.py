"""`offbook journal`: verify and repair."""

import argparse
import sys
from pathlib import Path
from typing import Any

from exchange.app.config import load_settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, DirectoryBusy, DirectoryLock
from exchange.cli.run import add_data_option
from exchange.journal.disk import RealDisk
from exchange.journal.repair import JournalReport, repair, verify

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    journal = verbs.add_parser("journal", help="check or repair the journal of a stopped exchange")
    kinds = journal.add_subparsers(dest="kind", required=True, metavar="verify|repair")
    for name, text, function in (
        ("verify", "read every group and checksum; exit 1 when acknowledged data is damaged", _verify),
        ("repair", "keep the longest valid prefix, save the rest beside it and list what is lost", _repair),
    ):
        verb = kinds.add_parser(name, help=text)
        add_data_option(verb)
        verb.set_defaults(run=function)


def _verify(parsed: argparse.Namespace) -> int:
    report = verify(RealDisk(_directory(parsed).exchange))
    _print(report)
    if report.damage is not None:
        sys.stdout.write(f"damaged: {report.damage}\n")
        return 1
    sys.stdout.write("whole\n")
    return 0


def _repair(parsed: argparse.Namespace) -> int:
    directory = _directory(parsed)
    try:
        with DirectoryLock(directory):
            report = repair(RealDisk(directory.exchange))
    except DirectoryBusy as busy:
        raise Failure(str(busy)) from busy
    _print(report)
    for lost in report.lost:
        sys.stdout.write(f"lost: {lost}\n")
    sys.stdout.write(
        "repaired; acknowledged commands beyond the kept sequence are gone\n" if report.lost else "whole\n"
    )
    return 0


def _print(report: JournalReport) -> None:
    sys.stdout.write(
        f"{report.segment_count} segments, {report.group_count} groups, "
        f"sequences {report.first_sequence} to {report.kept_sequence}\n"
    )


def _directory(parsed: argparse.Namespace) -> DataDirectory:
    root: Path = load_settings({"data": parsed.data}).data.resolve()
    directory = DataDirectory(root)
    if not (directory.exchange / "journal").exists():
        raise Failure(f"{directory.exchange}/journal: no journal here; give the exchange's --data")
    return directory
