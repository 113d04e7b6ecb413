"""An account whose liquidation is near, and how prices reach it."""

from typing import Any

from exchange.domain.events import Event
from exchange.engine.config import EngineConfig
from tests.unit.exchange.engine.world import BUY, E6, SELL, World

DEPOSIT = 3_000 * E6
FALLEN = 58_100
"""Account 2, long one unit since 60,000 with 3,000 USDC, is some 80 USDC below maintenance."""


def of(events: list[Event], kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def long_one(lots: int = 1_000, *, deposit: int = DEPOSIT, config: EngineConfig | None = None) -> World:
    """Account 2 is long at 60,000 against account 3; accounts 4 and 5 have money."""
    wide = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000)
    world = World(config=config or wide).open(accounts=0)
    for account, amount in ((2, deposit), (3, 10**6 * E6), (4, 10**6 * E6), (5, 10**6 * E6)):
        world.deposit(account, amount)
    world.place(3, SELL, 600_000, lots)
    world.place(2, BUY, 600_000, lots)
    return world


def join(world: World, account: int, amount: int) -> None:
    """Another account with money; requests begin a batch."""
    world.run_cut()
    world.deposit(account, amount)
    world.run_cut()


def fall(world: World, price: int = FALLEN) -> list[Event]:
    """The index and the perpetual's mark fall, and the next Clock looks at the accounts."""
    world.prices(price)
    return world.clock()
