"""`offbook bridge status`: where deposits, withdrawals and other requests of the contract's queue stand.

The chain's libraries load with the verb: they take longer to import than most verbs to run.
"""

import argparse
import json
import sys
from typing import Any

from exchange.app.config import load_settings
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]

_SHOWN = 20


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    bridge = verbs.add_parser("bridge", help="deposits and withdrawals: status [REQUEST | TRANSACTION]")
    kinds = bridge.add_subparsers(dest="kind", required=True, metavar="status")
    status = kinds.add_parser(
        "status", help="how far requests are: seen, confirmed, taken, posted, paid ahead, final, claimed"
    )
    status.add_argument("name", nargs="?", help="a request's number or a transaction's hash; without: the newest")
    status.add_argument("--subaccount", type=int, help="only this subaccount's (its id as the API shows it)")
    status.add_argument("--limit", type=int, default=_SHOWN, help=f"how many of the newest (default {_SHOWN})")
    status.add_argument("--rpc", dest="rpc_url", help="chain to read (default: the embedded one)")
    status.add_argument("--port", type=int, help="port of the exchange, for the embedded chain's place")
    status.add_argument("--json", action="store_true", help="machine-readable output")
    add_data_option(status)
    status.set_defaults(run=_status)


def _paid(row: dict[str, Any]) -> str:
    """Who paid a withdrawal ahead, and how the operator's own payment of it stands."""
    told = [f"by {row['paid_by']}"] if row["paid_by"] else []
    told += [f"operator: {row['payment']}"] if row["payment"] else []
    return f" ({', '.join(told)})" if told else ""


def _status(parsed: argparse.Namespace) -> int:
    """Exit code 0 when something is shown; a name that is not in the queue is one line and 1."""
    from exchange.app.bridge_status import bridge_rows, requests_named  # noqa: PLC0415 - see above

    settings = load_settings({"data": parsed.data, "rpc_url": parsed.rpc_url, "port": parsed.port})
    if parsed.name is not None:
        rows = requests_named(settings, parsed.name)
    else:
        rows = bridge_rows(settings, subaccount_id=parsed.subaccount, limit=max(1, parsed.limit))
    if parsed.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    sys.stdout.write(
        f"{'request':>7} {'kind':<10} {'subaccount':>10} {'amount':>14} {'approved':>14} {'batch':>6}  state\n"
    )
    for row in rows:
        depth = f" ({row['confirmations']})" if row["confirmations"] else ""
        sys.stdout.write(
            f"{row['request']:>7} {row['kind']:<10} {row['subaccount_id']:>10} {row['amount'] or '-':>14} "
            f"{row['approved'] or '-':>14} {row['batch'] or '-':>6}  {row['state']}{depth}{_paid(row)}\n"
        )
    return 0
