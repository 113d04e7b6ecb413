"""`offbook settle`: run, now, status, simulate.

What they need (web3, the outbox) loads with the verb: it takes longer to import than most verbs to run.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from exchange.app.config import Settings, load_settings
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]

_CODES = "exit codes: 0 done, 3 nothing to do, 75 retry later, 78 needs a person; 1 and 2 as everywhere"
_TURN_S = 120.0
_ANSWER_S = 15.0
_TRACE = (
    "FILE is CSV with a header line, or a JSON list of objects. Columns: time_s (whole seconds, ascending), fee_wei "
    "(of one unit of gas), and perhaps cells (account-instrument pairs that were traded since the row before; default "
    "--cells). Without FILE a seeded synthetic trace is made, and the output says so. What waits when it ends is not "
    "posted."
)


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("settle", help="posting of batches: run, now, status, simulate", epilog=_CODES)
    kinds = group.add_subparsers(dest="kind", required=True, metavar="run|now|status|simulate")
    _add_run(kinds)
    now = kinds.add_parser(
        "now", help="ask the running job for a batch at once, whatever its age and fee", epilog=_CODES
    )
    now.add_argument("--timeout", type=float, default=_ANSWER_S, metavar="S", help=f"(default {_ANSWER_S:g})")
    add_data_option(now)
    now.set_defaults(run=_now)
    status = kinds.add_parser(
        "status",
        help="what is posted, waiting and final, its age and fees, and why nothing is posted now",
        epilog=f"{_CODES}. Here: 0 a job is at work, 3 nothing waits, 75 no job says anything or the chain does not "
        f"help, 78 posting is over.",
    )
    status.add_argument("--json", action="store_true", help="machine-readable output")
    add_data_option(status)
    status.set_defaults(run=_status)
    _add_simulate(kinds)


def _add_run(kinds: Any) -> None:
    job = kinds.add_parser(
        "run",
        help="settle beside an exchange that was started with --no-settler",
        epilog=f"{_CODES}. Without --once it ends by a signal (0), or with 78 and the reason where it would stand "
        f"still for ever: the contract is frozen and all that was posted is final, the operator was slashed, the key "
        f"is used elsewhere. With --once also where the contract refuses the batch, the key has no ether for gas or a "
        f"challenge cannot be answered. Another job at work here, a node that does not answer, fees above the cap, a "
        f"guardian's pause: 75.",
    )
    job.add_argument("--once", action="store_true", help="one turn for a timer: close and post what there is now")
    job.add_argument("--timeout", type=float, default=_TURN_S, metavar="S", help=f"of --once (default {_TURN_S:g})")
    job.add_argument("--seed", type=int, help="seed of the operator's key, as given to `up` (default 1)")
    job.add_argument("--feeds", type=int, help="signers of oracle rounds, as given to `up`")
    job.add_argument("--config", type=Path, help="TOML file with settings, as given to `up`")
    job.add_argument("--rpc", dest="rpc_url", help="chain to settle on (default: the embedded one)")
    job.add_argument("--port", type=int, help="port of the exchange, for the embedded chain's place")
    add_data_option(job)
    job.set_defaults(run=_run)


def _add_simulate(kinds: Any) -> None:
    simulate = kinds.add_parser("simulate", help="replay the posting policy on fees", description=_TRACE)
    simulate.add_argument("--trace", type=Path, metavar="FILE", help="fees to replay (default: a synthetic day)")
    simulate.add_argument(
        "--interval", type=_positive, default=60, metavar="S", help="batch_interval_s of the policy (default 60)"
    )
    simulate.add_argument(
        "--deadline", type=_positive, metavar="S", help="batch_deadline_s of the policy (default: that of --every)"
    )
    simulate.add_argument("--every", type=_positive, default=10, metavar="N", help="compare with every N minutes (10)")
    simulate.add_argument("--cells", type=_positive, default=40, help="new active cells per row, about (default 40)")
    simulate.add_argument("--universe", type=_positive, default=1_000, help="cells that can be active (default 1000)")
    simulate.add_argument("--seed", type=int, default=1, help="of the synthetic trace (default 1)")
    simulate.set_defaults(run=_simulate)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"offbook: {line}\n")


def _run(parsed: argparse.Namespace) -> int:
    from exchange.app.settling import run_job  # noqa: PLC0415 - see above

    given = {name: getattr(parsed, name) for name in ("data", "rpc_url", "port", "seed", "feeds")}
    settings = load_settings(given, parsed.config)
    return run_job(settings, _say, _complain, is_once=parsed.once, timeout_s=parsed.timeout)


def _now(parsed: argparse.Namespace) -> int:
    from exchange.app.settling import settle_now  # noqa: PLC0415 - see above

    return settle_now(_settings(parsed), _say, _complain, timeout_s=parsed.timeout)


def _status(parsed: argparse.Namespace) -> int:
    from exchange.app.settling import settle_status, status_code, status_lines  # noqa: PLC0415 - see above

    status = settle_status(_settings(parsed))
    for line in [json.dumps(status)] if parsed.json else status_lines(status):
        _say(line)
    return status_code(status)


def _simulate(parsed: argparse.Namespace) -> int:
    from exchange.app.settling import simulate_policy  # noqa: PLC0415 - see above

    lines = simulate_policy(
        parsed.trace,
        interval_s=parsed.interval,
        deadline_s=parsed.deadline or 60 * parsed.every,
        every_minutes=parsed.every,
        cells=parsed.cells,
        universe=parsed.universe,
        seed=parsed.seed,
    )
    for line in lines:
        _say(line)
    return 0


def _settings(parsed: argparse.Namespace) -> Settings:
    return load_settings({"data": parsed.data})
