"""`offbook fees explain ORDER`: the arithmetic of every fee that an order paid."""

import argparse
import sys
from typing import Any

from exchange.app.config import load_settings
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    fees = verbs.add_parser("fees", help="what an order paid and why: explain ORDER")
    kinds = fees.add_subparsers(dest="kind", required=True, metavar="explain")
    explain = kinds.add_parser(
        "explain",
        help="every fill of an order with index, rate and caps, computed again from the journal; "
        "exit 1 when a fee differs",
    )
    explain.add_argument("order", help="its order_id, as replies and streams show it")
    add_data_option(explain)
    explain.set_defaults(run=_explain)


def _explain(parsed: argparse.Namespace) -> int:
    from exchange.app.fee_reports import explain_order, report_lines  # noqa: PLC0415 - loads the engine

    order = explain_order(load_settings({"data": parsed.data}), parsed.order)
    sys.stdout.write("\n".join(report_lines(order)) + "\n")
    return 0 if all(fill.is_equal for fill in order.fills) else 1
