"""The verbs of a vanished operator: `offbook escape` takes the money out, `offbook drill exit` shows that it can."""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.app.exit_drill import DrillPlan, run_drill
from exchange.app.failures import Failure
from settlement.escape.leaving import EscapeFailed, Leaving, Wait, amount_of
from settlement.onchain.errors import ChainError
from settlement.onchain.funded_accounts import account_key
from settlement.onchain.rpc import RpcChain
from settlement.watch.watcher import WatcherWrong

__all__ = ["add_verbs"]

_POLL_S = 60.0
_DEV_KEY_INDEX = 9
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
    try:
        leaving = Leaving(
            RpcChain(parsed.rpc),
            _address(parsed.contract),
            _key(parsed),
            account=parsed.account,
            say=_say,
            order=sorted if parsed.order is None else _shuffled(parsed.order),
        )
        if parsed.status:
            _say_state(leaving)
            return 0
        return _leave(leaving, parsed)
    except (ChainError, EscapeFailed, WatcherWrong) as error:
        raise Failure(f"escape: {error}") from error


def _leave(leaving: Leaving, parsed: argparse.Namespace) -> int:
    said = ""
    while (wait := leaving.step()) is not None:
        line = _line_of(wait)
        if not parsed.wait:
            raise Failure(f"escape: {line}; run it again then, or with --wait")
        if line != said:
            _say(f"waiting: {line}")
            said = line
        time.sleep(min(parsed.poll, max(1.0, wait.until_s - time.time())))
    state = leaving.state()
    total, assets, paid = map(amount_of, (state.total_claims_e6, state.assets_e6, state.paid_e6))
    _say(f"done: claims {total}, assets {assets}, paid {paid}")
    return 0


def _line_of(wait: Wait) -> str:
    if not wait.until_s:
        return wait.reason
    return f"{wait.reason}; the next step is accepted from {_time(wait.until_s)} on"


def _say_state(leaving: Leaving) -> None:
    state = leaving.state()
    if not state.frozen_at_s:
        _say(f"not frozen; anyone may begin to freeze from {_time(state.stalled_from_s)} on unless the operator moves")
        if state.freeze_from_s:
            _say(
                f"first call at {_time(state.notice_at_s)}; the second one counts from {_time(state.freeze_from_s)} on"
            )
        return
    _say(
        f"frozen since {_time(state.frozen_at_s)}; {'the head is final' if state.is_open else 'a window is still open'}"
    )
    if state.claims_end_s:
        _say(f"marks of round {state.round_number}; claims share the assets until {_time(state.claims_end_s)}")
    total, assets, paid = map(amount_of, (state.total_claims_e6, state.assets_e6, state.paid_e6))
    _say(f"claims {total}, assets {assets}{'' if state.is_closed else ' as of now'}, paid {paid}")


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC (unix {seconds})"


def _shuffled(seed: int) -> Callable[[Sequence[int]], Iterable[int]]:
    return lambda indices: random.Random(seed).sample(indices, len(indices))  # noqa: S311 - no secret


def _address(text: str) -> bytes:
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise Failure(f"escape: {text} is no address: 0x and 40 hex digits")
    return address


def _key(parsed: argparse.Namespace) -> bytes:
    if parsed.key_file is None:
        return account_key(parsed.seed, _DEV_KEY_INDEX)
    try:
        key = bytes.fromhex(parsed.key_file.read_text().strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise Failure(f"escape: {parsed.key_file} holds no private key in hex: {error}") from error
    if len(key) != 32:
        raise Failure(f"escape: {parsed.key_file} holds {len(key)} bytes, a private key has 32")
    return key


def _drill(parsed: argparse.Namespace) -> int:
    return run_drill(DrillPlan(accounts=parsed.accounts, is_bankrupt=parsed.bankrupt, seed=parsed.seed), _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
