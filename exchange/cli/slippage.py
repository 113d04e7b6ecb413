"""`offbook slippage test`: market orders never trade beyond what they allow."""

import argparse
import sys
from typing import Any

from exchange.app.failures import Failure

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    slippage = verbs.add_parser("slippage", help="what market orders are filled at: test")
    kinds = slippage.add_subparsers(dest="kind", required=True, metavar="test")
    test = kinds.add_parser(
        "test",
        help="random market orders against random books of an engine in this process; exit 1 when a fill or an "
        "average price passes an order's limit",
    )
    test.add_argument("--n", type=int, default=10_000, help="orders (default 10000)")
    test.add_argument("--seed", type=int, default=1, help="of books and orders (default 1)")
    test.set_defaults(run=_test)


def _test(parsed: argparse.Namespace) -> int:
    from exchange.app.slippage_test import SlippageReport, slippage_test  # noqa: PLC0415 - loads the engine

    if parsed.n < 1:
        raise Failure("--n must be at least 1")
    report = SlippageReport()
    for report in slippage_test(parsed.n, parsed.seed):
        if report.orders % 1_000 == 0 and sys.stderr.isatty():
            sys.stderr.write(f"\r{report.orders} of {parsed.n} orders")
    sys.stderr.write("\r" if sys.stderr.isatty() else "")
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 0 if report.is_good else 1
