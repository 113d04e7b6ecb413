"""Entry point: builds the parser from the verb groups and turns expected failures into one line and an exit code.

Exit codes: 0 done, 1 a check failed or the exchange could not run (one line says why), 2 wrong usage; `settle` adds 3
nothing to do, 75 retry later, 78 needs a person.
"""

import argparse
import sys
from collections.abc import Sequence

from exchange import __version__
from exchange.app.config import ConfigError
from exchange.app.failures import Failure
from exchange.cli import (
    auctions,
    batches,
    bridge,
    chaos,
    documents,
    escape,
    feed,
    fees,
    journal,
    limits,
    liquidations,
    replay,
    run,
    settle,
    sim,
    slippage,
    volatility,
    watch,
)

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the process's exit code."""
    parser = argparse.ArgumentParser(
        prog="offbook", description="An exchange for perpetuals and options with netted on-chain settlement."
    )
    parser.add_argument("--version", action="version", version=f"offbook {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    groups = (
        run,
        batches,
        settle,
        bridge,
        feed,
        fees,
        slippage,
        auctions,
        limits,
        volatility,
        liquidations,
        watch,
        escape,
        journal,
        replay,
        chaos,
        documents,
        sim,
    )
    for group in groups:
        group.add_verbs(verbs)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except (Failure, ConfigError) as error:
        sys.stderr.write(f"offbook: {error}\n")
        return 1
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
