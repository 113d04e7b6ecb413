"""The verbs of volatility: `offbook vol index CURRENCY`, `offbook vol check [CURRENCY]`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from exchange.app.config import load_settings
from exchange.app.layout import DataDirectory
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("vol", help="volatility of a running exchange: index CURRENCY, check CURRENCY")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="index|check")
    index = kinds.add_parser("index", help="volatility expected over 30 days, from the marks of two expiries")
    index.set_defaults(run=_index)
    check = kinds.add_parser("check", help="calendar and butterfly arbitrage in what is published; exit 1 if any")
    check.set_defaults(run=_check)
    for parser in (index, check):
        parser.add_argument("currency", help="underlying, such as BTC")
        parser.add_argument("--explain", action="store_true", help="every step with its numbers")
        add_data_option(parser)


def _index(parsed: argparse.Namespace) -> int:
    # scipy takes a second to import; other verbs do not use it.
    from exchange.app.volatility_reports import index_lines, read_chains  # noqa: PLC0415

    lines = index_lines(read_chains(_socket(parsed), parsed.currency.upper()), explain=parsed.explain)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _check(parsed: argparse.Namespace) -> int:
    # As above.
    from exchange.app.volatility_reports import check_lines, read_chains  # noqa: PLC0415

    lines, sound = check_lines(read_chains(_socket(parsed), parsed.currency.upper()), explain=parsed.explain)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if sound else 1


def _socket(parsed: argparse.Namespace) -> Path:
    return DataDirectory(load_settings({"data": parsed.data}).data.resolve()).socket
