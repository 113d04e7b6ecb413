"""The verbs of a vanished operator: `offbook escape` takes the money out, `offbook drill exit` shows that it can.

What they need (web3, the embedded chain) loads when one of them runs.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_verbs"]

_POLL_S = 60.0
_NEEDS_CHAIN = (
    "Needs the chain alone: RPC URL and contract address. Each step is taken when the contract accepts it; without "
    "--wait the command ends where time must pass, and says until when. Run it again then, here or anywhere."
)


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    escape = verbs.add_parser(
        "escape", help="take everybody's money out of a contract whose operator is gone", description=_NEEDS_CHAIN
    )
    escape.add_argument("--rpc", required=True, metavar="URL", help="JSON-RPC URL of a node with all blocks")
    escape.add_argument("--contract", required=True, metavar="ADDR", help="address of the settlement contract")
    escape.add_argument("--account", type=int, metavar="N", help="take out this account alone (default: everybody)")
    escape.add_argument("--status", action="store_true", help="say how freeze and escape stand, send nothing")
    escape.add_argument("--wait", action="store_true", help="go on when the time comes, until all is paid")
    escape.add_argument("--poll", type=float, default=_POLL_S, metavar="S", help="longest pause of --wait (default 60)")
    escape.add_argument(
        "--key-file", type=Path, metavar="FILE", help="private key in hex that pays the gas, not the claims"
    )
    escape.add_argument(
        "--seed", type=int, default=1, help="without --key-file: a key of the development chain (default 1)"
    )
    escape.add_argument("--order", type=int, metavar="SEED", help="serve accounts in an order drawn from SEED")
    escape.set_defaults(run=_escape)
    drill = verbs.add_parser("drill", help="rehearse a disaster")
    drills = drill.add_subparsers(dest="drill", required=True, metavar="DRILL")
    leave = drills.add_parser("exit", help="trade, delete all that the operator has, take everybody out by the chain")
    leave.add_argument("--accounts", type=int, default=20, help="accounts that trade (4 to 100, default 20)")
    leave.add_argument("--bankrupt", action="store_true", help="one account loses more than it had")
    leave.add_argument("--seed", type=int, default=1, help="what is traded (default 1)")
    leave.set_defaults(run=_drill)


def _escape(parsed: argparse.Namespace) -> int:
    from exchange.app.escaping import EscapePlan, run_escape  # noqa: PLC0415 - see above

    plan = EscapePlan(
        rpc_url=parsed.rpc,
        contract=parsed.contract,
        account=parsed.account,
        is_status=parsed.status,
        is_waiting=parsed.wait,
        poll_s=parsed.poll,
        key_file=parsed.key_file,
        seed=parsed.seed,
        order=parsed.order,
    )
    return run_escape(plan, _say)


def _drill(parsed: argparse.Namespace) -> int:
    from exchange.app.exit_drill import DrillPlan, run_drill  # noqa: PLC0415 - see above

    return run_drill(DrillPlan(accounts=parsed.accounts, is_bankrupt=parsed.bankrupt, seed=parsed.seed), _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
