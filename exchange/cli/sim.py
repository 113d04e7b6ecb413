"""The verb of simulations: `offbook sim crash`."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["add_verbs"]

_ACCOUNTS_MAX = 5_000


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("sim", help="simulate: crash")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="crash")
    crash = kinds.add_parser("crash", help="walk a recorded crash with the production engine, fixed beside adaptive")
    crash.add_argument("--path", required=True, metavar="NAME", help="2025-10-10 or 2020-03-12")
    crash.add_argument("--engine", default="fixed,adaptive", metavar="NAMES", help="fixed, adaptive or both (default)")
    crash.add_argument("--accounts", type=int, default=200, metavar="N", help="accounts with positions (default 200)")
    crash.add_argument("--seed", type=int, default=1, metavar="S", help="draws accounts and noise (default 1)")
    crash.add_argument("--depth", type=int, default=5, metavar="P", help="makers' depth within 1 %% (default 5)")
    crash.add_argument("--refill", type=int, default=60, metavar="S", help="seconds until it is back (default 60)")
    crash.add_argument("--sources", action="store_true", help="first print every point of the path and its source")
    crash.set_defaults(run=_crash)


def _crash(parsed: argparse.Namespace) -> int:
    # The engine and its compiled parts: other verbs do not need them.
    from exchange.app.crash_market import MakerPlan  # noqa: PLC0415
    from exchange.app.crash_path import load_path  # noqa: PLC0415
    from exchange.app.crash_report import compare_lines, path_lines, run_engine, table_lines  # noqa: PLC0415

    engines = _engines(parsed.engine)
    _check("--accounts", parsed.accounts, 10, _ACCOUNTS_MAX)
    _check("--depth", parsed.depth, 1, 1_000)
    _check("--refill", parsed.refill, 1, 3_600)
    makers = MakerPlan(depth_ppm=parsed.depth * 10_000, refill_s=parsed.refill)
    path = load_path(parsed.path)
    if parsed.sources:
        _write(path_lines(path, makers))
    title = f"{path.title}; {parsed.accounts} accounts, seed {parsed.seed}, depth {parsed.depth} % in {parsed.refill} s"
    runs = [
        run_engine(name, path, accounts=parsed.accounts, seed=parsed.seed, makers=makers, progress=_progress(name))
        for name in engines
    ]
    _write([title, *table_lines(runs), *compare_lines(runs)])
    return 0


def _engines(text: str) -> list[str]:
    from exchange.app.crash_report import ENGINES  # noqa: PLC0415 - as above
    from exchange.app.failures import Failure  # noqa: PLC0415 - as above

    names = list(dict.fromkeys(text.split(",")))
    if not set(names) <= ENGINES.keys():
        raise Failure(f"--engine {text}: choose from {', '.join(ENGINES)}, joined by a comma")
    return names


def _check(option: str, value: int, least: int, most: int) -> None:
    from exchange.app.failures import Failure  # noqa: PLC0415 - as above

    if not least <= value <= most:
        raise Failure(f"{option} {value}: choose from {least} to {most}")


def _progress(name: str) -> Callable[[int, int], None]:
    def say(done_s: int, all_s: int) -> None:
        if done_s % 600 == 0 or done_s == all_s:
            sys.stderr.write(f"{name}: {done_s // 60} of {all_s // 60} minutes\n")
            sys.stderr.flush()

    return say


def _write(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
