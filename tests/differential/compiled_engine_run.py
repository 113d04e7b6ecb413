"""The compiled engine against its twin over as many random commands as asked: events of each, dumps on the way.

python -m tests.differential.compiled_engine_run --commands 1000000 --seed 1
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import get_args

from msgspec.structs import replace

from exchange.domain.commands import Command, OrderFlag, Place, TimeInForce
from exchange.domain.events import CommandRefused, Event, OrderClosed, OrderRefused, TriggerFailed
from exchange.domain.quote_events import QuoteRefused
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import SessionKeyRefused
from exchange.engine.apply import apply
from exchange.engine.compiled_state import CompiledState
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.snapshot import dump
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.risk.portfolio_parameters import PortfolioParameters
from matching_core import OrderBook
from tests.differential.engine_commands import FastStream

__all__ = ["Difference", "compare", "kinds_of", "missing"]

CONFIG = EngineConfig(
    closed_orders_max=2_000,
    batch_accounts_max=30,
    open_orders_max=16,
    owner_orders_max=10,
    positions_max=3,
    trigger_orders_max=2,
    short_move_ppm=4_000,
    long_move_ppm=5_000,
    auction_length_ns=20_000_000,
    settlement_window_ns=1_000_000_000,
    portfolio=PortfolioParameters(minimum_equity_e6=500_000_000),
    liquidation=LiquidationRules(auction=replace(LiquidationRules().auction, insolvent_s=1)),
)
ORDERS_MAX = 330
small_book = partial(OrderBook, order_capacity=ORDERS_MAX)
WANTED = {
    *(one.__name__ for one in get_args(Event)),
    *(f"refused {code.name}" for code in ResultCode if code),
    *(f"OrderClosed {reason.name}" for reason in CloseReason),
    *(f"Place {force.name}" for force in TimeInForce),
    *(f"Place {flag.name}" for flag in OrderFlag if flag),
    "hot",
    "cold",
}
NEVER = {
    "refused MAX_FEE_TOO_LOW": "the gateway refuses it",
    "refused ACCOUNT_NOT_FOUND": "the gateway refuses it",
    **dict.fromkeys(
        ("AuctionTaken", *(f"refused {code.name}" for code in ResultCode if code.name.startswith("AUCTION_"))),
        "a bid names what an account holds: tests.property.crash_stream draws them",
    ),
    **dict.fromkeys(("BlockTraded", "BlockRefused", "Place BLOCK"), "tests.differential.block_commands draws blocks"),
}
"""Kinds that the engine has no way to give, or that this stream, which looks at no state, cannot ask for."""


class Difference(AssertionError):
    """The two engines gave different events or states."""


def compare(
    seed: int,
    commands: int,
    *,
    every: int = 50_000,
    progress: Callable[[str], object] | None = None,
    draws_limits: bool = True,
) -> tuple[str, Counter[str]]:
    """Apply one stream to both; returns the common state hash and how many of each kind there were, see `kinds_of`."""
    twin, rows = State(small_book, CONFIG), CompiledState(small_book, CONFIG)
    stream, counts = FastStream(seed, draws_limits=draws_limits), Counter[str]()
    todo = list(stream.opening())
    for number in range(commands):
        command, now_ns = todo[number] if number < len(todo) else stream.next()
        expected = apply(twin, command, now_ns)
        found = rows.hot(command, now_ns, None)
        counts["cold" if found is None else "hot"] += 1
        if isinstance(command, Place) and command.subaccount in twin.scenarios.accounts:
            counts.update(
                f"portfolio {name}" for name in ("cold" if found is None else "hot", *kinds_of(command, expected))
            )
        if isinstance(command, Place) and twin.limits.scaled_ppm:
            counts["grown cold" if found is None else "grown hot"] += 1
        found = apply(rows, command, now_ns) if found is None else found
        if found != expected:
            raise Difference(f"seed {seed}, command {number}: {command}\ntwin {expected}\nrows {found}")
        counts.update(kinds_of(command, expected))
        if number % every == 0:
            if dump(twin) != dump(rows):
                raise Difference(f"seed {seed}: states differ after command {number}")
            if progress is not None:
                progress(f"{number} commands equal\n")
    if state_hash(twin) != state_hash(rows):
        raise Difference(f"seed {seed}: state hashes differ")
    return state_hash(rows).hex(), counts


def kinds_of(command: Command, events: list[Event]) -> Iterator[str]:
    """Names under which a command and its events are counted: kinds, codes of refusals, reasons of ends."""
    yield type(command).__name__
    if isinstance(command, Place):
        yield f"Place {command.time_in_force.name}"
        yield from (f"Place {flag.name}" for flag in command.flags)
    for event in events:
        yield type(event).__name__
        if isinstance(event, OrderRefused | CommandRefused | TriggerFailed | SessionKeyRefused):
            yield f"refused {event.code.name}"
        elif isinstance(event, QuoteRefused):
            yield f"QuoteRefused {event.code.name}"
        elif isinstance(event, OrderClosed):
            yield f"OrderClosed {event.reason.name}"


def missing(counts: Counter[str]) -> list[str]:
    """Kinds that a long stream must have shown and has not."""
    return sorted(name for name in WANTED - set(NEVER) if not counts[name])


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    digest, counts = compare(given.seed, given.commands, progress=sys.stderr.write)
    rows = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    sys.stdout.write(f"{given.commands} commands of seed {given.seed}: equal, state {digest}\n{rows}\n")
    absent = missing(counts)
    if absent:
        sys.exit(f"not drawn: {', '.join(absent)}")


if __name__ == "__main__":
    _main()
