"""`offbook chaos`: break the exchange on purpose and compare what it promised with what it kept."""

import argparse
from typing import Any

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    chaos = verbs.add_parser("chaos", help="kill the exchange under load and check every promise")
    kinds = chaos.add_subparsers(dest="kind", required=True, metavar="kill9")
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


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{number}: give 1 to 10000 kills")
    return number


def _kill9(parsed: argparse.Namespace) -> int:
    from exchange.app.chaos import kill9  # noqa: PLC0415 - the client and its clocks load only when needed

    return kill9(kills=parsed.n, seed=parsed.seed, port=parsed.port, keep=parsed.keep)
