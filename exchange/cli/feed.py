"""`offbook feed sign`: one signer of oracle rounds in a process of its own.

What it needs (an HTTP server) is imported when it runs, as elsewhere.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from exchange.app.config import load_settings
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("feed", help="signers of oracle rounds: sign")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="sign")
    sign = kinds.add_parser(
        "sign",
        help="sign the rounds that agree with our own prices, until Ctrl-C; `up --feeds N` runs N of them",
    )
    add_data_option(sign)
    sign.add_argument("--number", type=int, required=True, help="which of them: 1 to --feeds")
    sign.add_argument("--feeds", type=int, help="how many there are, as given to `up`")
    sign.add_argument("--listen", type=int, default=0, metavar="PORT", help="(default: where `up` has it)")
    sign.add_argument("--port", type=int, help="port of the exchange (default 8700)")
    sign.add_argument("--seed", type=int, help="seed of the signer's key, as given to `up` (default 1)")
    sign.add_argument("--config", type=Path, help="TOML file with settings, as given to `up`")
    sign.set_defaults(run=_sign)


def _sign(parsed: argparse.Namespace) -> int:
    from exchange.app.feed_process import serve  # noqa: PLC0415 - see above

    given = {name: getattr(parsed, name) for name in ("data", "port", "seed", "feeds")}
    settings = load_settings(given, parsed.config)
    sys.stdout.write(f"signs as feed {parsed.number}; Ctrl-C stops it\n")
    sys.stdout.flush()
    serve(settings, parsed.number, parsed.listen)
    return 0
