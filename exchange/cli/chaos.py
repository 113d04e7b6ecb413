"""`offbook chaos`: break the exchange on purpose and compare what it promised with what it kept."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    chaos = verbs.add_parser("chaos", help="kill the exchange under load and check every promise")
    kinds = chaos.add_subparsers(dest="kind", required=True, metavar="kill9|chain")
    kill9 = kinds.add_parser(
        "kill9",
        help="SIGKILL exchange and settler at random points while clients trade",
        description="Starts an exchange of its own in a temporary directory, lets 4 clients trade, kills its processes "
        "at random points, and compares every acknowledged command with a fresh replay of the journal and every fill "
        "with the batches on chain. Exit code 0 when nothing was lost, nothing happened twice and nothing differs.",
    )
    kill9.add_argument("--n", type=_count, default=20, help="how many kills (default 20)")
    kill9.add_argument("--seed", type=int, default=7, help="seed of clients and moments (default 7)")
    kill9.add_argument(
        "--port", type=int, default=0, help="port of the exchange under test; its chain takes the next (default: free)"
    )
    kill9.add_argument("--keep", action="store_true", help="keep the data directory also when everything is right")
    kill9.set_defaults(run=_kill9)
    chain = kinds.add_parser(
        "chain",
        help="a node that fails, lies and reorganizes, and deaths of the settler, in virtual time",
        description="Runs seeded scenarios of the production outbox, poster and RPC adapter against the contracts on "
        "an embedded EVM behind a node that misbehaves. Exit code 0 when in each of them every fill was settled "
        "exactly once and ledger, calldata and contract agree. A failure names its faults and the command that "
        "repeats it.",
    )
    chain.add_argument("--n", type=_scenarios, default=200, help="how many scenarios (default 200)")
    chain.add_argument("--seed", type=int, default=1, help="seed of faults, deaths and fills (default 1)")
    chain.add_argument("--first", type=_scenarios, default=1, metavar="K", help="number of the first one (default 1)")
    chain.add_argument("--jobs", type=_jobs, default=1, help="processes (default 1)")
    chain.add_argument("--log", type=Path, metavar="FILE", help="one line per scenario; the same command goes on there")
    chain.set_defaults(run=_chain)


def _count(text: str) -> int:
    return _between(text, 10_000, "kills")


def _scenarios(text: str) -> int:
    return _between(text, 1_000_000, "scenarios")


def _jobs(text: str) -> int:
    return _between(text, 64, "processes")


def _between(text: str, most: int, what: str) -> int:
    number = int(text)
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{number}: give 1 to {most} {what}")
    return number


def _chain(parsed: argparse.Namespace) -> int:
    from exchange.app.chaos_chain import ChainChaos, chaos_chain  # noqa: PLC0415 - the EVM loads only when needed

    return chaos_chain(
        ChainChaos(count=parsed.n, seed=parsed.seed, first=parsed.first, jobs=parsed.jobs, log=parsed.log)
    )


def _kill9(parsed: argparse.Namespace) -> int:
    from exchange.app.chaos import kill9  # noqa: PLC0415 - the client and its clocks load only when needed

    return kill9(kills=parsed.n, seed=parsed.seed, port=parsed.port, keep=parsed.keep)
