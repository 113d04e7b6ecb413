"""`offbook chaos`: break the exchange on purpose and compare what it promised with what it kept."""

import argparse
from typing import Any

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    chaos = verbs.add_parser("chaos", help="kill the exchange under load and check every promise")
    kinds = chaos.add_subparsers(dest="kind", required=True, metavar="kill9")
    kill9 = kinds.add_parser("kill9", help="SIGKILL exchange and settler at random points while clients trade")
    kill9.add_argument("--n", type=int, default=20, help="how many kills (default 20)")
    kill9.add_argument("--seed", type=int, default=7, help="seed of clients and moments (default 7)")
    kill9.set_defaults(run=_kill9)


def _kill9(parsed: argparse.Namespace) -> int:
    from exchange.app.chaos import kill9  # noqa: PLC0415 - the client and its clocks load only when needed

    return kill9(kills=parsed.n, seed=parsed.seed)
