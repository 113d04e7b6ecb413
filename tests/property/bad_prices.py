"""`python -m tests.property.bad_prices --seeds 1000`: venues that lie, freeze and fall silent, against a known truth.

A truth walks; five venues say it, or zero, NaN, an outlier of half the price, an old price, or nothing; at times the
whole pricer is silent for up to two minutes, and at times the exchange is restarted from its snapshot. The index feed
turns that into commands for the engine, where accounts near their limits hold a perpetual, stops wait and funding runs.
Whatever happens is checked against the truth: nobody is liquidated, no stop fires, nothing that adds risk is accepted
and no funding accrues unless the market's index is fresh, unhalted and near the truth.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from exchange.domain.commands import Clock, MarkRow, OrderFlag, SetPrices, Side, Trigger, TriggerKind
from exchange.domain.events import Event, OrderAccepted, OrderTriggered, PricesSet
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.engine.config import EngineConfig
from exchange.engine.market_state import is_index_open, is_restricted
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.sources import TopOfBook, price_e9
from matching_core import OrderBook
from tests.unit.exchange.engine.world import BUY, E6, PERP, SECOND_NS, SELL, World

__all__ = ["LEAST", "BadPrices", "Broken", "run_seed"]

E9: Final = 10**9
NOBODY: Final = 10**6
SECONDS: Final = 400
NEAR_PPM: Final = 60_000
"""A price may be ten seconds old and its venues ten more; an outlier that got through would be four times as far."""
FAULTS: Final = (0, -1, float("nan"), float("inf"), None, "price")
LEAST: Final = {
    "halts": 20,
    "silences": 10,
    "outliers": 50,
    "liquidations": 5,
    "stops": 5,
    "restricted": 50,
    "restarts": 5,
}
"""What ten seeds must have shown."""
FUNDING: Final = OracleRound(round=1, funding=(FundingRow(PERP, 10_000_000),))


class Broken(AssertionError):
    """Something happened on a price that was none."""


class Venue:
    """Says the truth until it is given a fault for some seconds."""

    def __init__(self, number: int) -> None:
        self.name = f"venue {number}"
        self.weight = 1
        self.truth = 0
        self.fault: object = 0
        self.until_ns = 0
        self.frozen: TopOfBook | None = None

    def advance(self, elapsed_s: float) -> None:
        """The market moves it."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """It knows nothing of what was published."""

    def tops(self, now_ns: int) -> dict[str, TopOfBook]:
        """A book without a spread at the truth, or what its fault makes of it."""
        if now_ns >= self.until_ns:
            self.frozen = None
            return {"BTC": self._top(self.truth * E9, now_ns)}
        if self.frozen is not None:
            return {"BTC": self.frozen}
        return {"BTC": self._top(price_e9(self.fault), now_ns)}

    @staticmethod
    def _top(price: int | None, now_ns: int) -> TopOfBook:
        return TopOfBook(bid_e9=price, ask_e9=price, book_ns=now_ns)

    def fail(self, fault: object, until_ns: int, now_ns: int, *, freezes: bool) -> None:
        """Say something else until a time."""
        self.frozen = self._top(self.truth * E9, now_ns) if freezes else None
        self.fault, self.until_ns = fault, until_ns


class BadPrices:
    """One seed's market; `run` raises Broken."""

    def __init__(self, seed: int) -> None:
        """Everything is a function of `seed`."""
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.truth = 60_000
        self.venues = [Venue(number) for number in range(5)]
        self.feed = IndexFeed(self.venues, ["BTC"])
        wide = EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000)
        self.world = World(OrderBook, config=wide).open(accounts=0)
        self.world.checks = False
        for account in range(2, 10):
            self.world.deposit(account, 10**6 * E6 if account < 4 else 3_600 * E6)
        self.world.run_cut()
        for account in range(4, 10):
            self._open(account)
        self.world.run(FUNDING)
        self.silent_until_ns = 0

    def _open(self, account: int) -> None:
        side = Side(account % 2)
        self.world.place(2, Side(1 - side), 600_000, 1_000)
        self.world.place(account, side, 600_000, 1_000)

    def run(self) -> Counter[str]:
        """Second after second."""
        for second in range(SECONDS):
            self.world.now_ns += SECOND_NS
            self.truth = max(1_000, self.truth + round(self.truth * self.random.uniform(-0.004, 0.004)))
            for venue in self.venues:
                venue.truth = self.truth
            self._spoil()
            if self.world.now_ns >= self.silent_until_ns:
                self._check(self._prices())
            self._check(self.world.run(Clock()))
            self._trade()
            if second % 40 == 39:
                self._restart()
        return self.counts

    def _spoil(self) -> None:
        """New faults: one venue an outlier at most, any number without a price or frozen, or all silent."""
        pick, now_ns = self.random, self.world.now_ns
        if pick.random() < 0.2 and all(now_ns >= venue.until_ns for venue in self.venues):
            pick.choice(self.venues).fail(
                self.truth * pick.choice((0.5, 1.5)), now_ns + pick.choice((5, 40)) * SECOND_NS, now_ns, freezes=False
            )
            self.counts["outliers"] += 1
        if pick.random() < 0.03:
            for venue in pick.sample(self.venues, pick.randrange(1, 6)):
                until_ns = now_ns + pick.choice((1, 3, 15, 70)) * SECOND_NS
                if now_ns >= venue.until_ns:
                    venue.fail(pick.choice(FAULTS), until_ns, now_ns, freezes=pick.random() < 0.3)
        if pick.random() < 0.01:
            self.silent_until_ns = now_ns + pick.choice((5, 30, 120)) * SECOND_NS
            self.counts["silences"] += 1

    def _prices(self) -> list[Event]:
        """What the pricer would submit, and a round of funding."""
        self.feed.advance(1.0)
        rows = self.feed.rows(self.world.now_ns)
        marks = tuple(MarkRow(PERP, row.index_e9) for row in rows if not row.is_halted)
        self.world.round += 1
        events = self.world.run(SetPrices(round=self.world.round, underlyings=rows, marks=marks))
        if not any(isinstance(event, PricesSet) for event in events):
            raise Broken(f"the engine refused {rows}")
        self.counts["halts"] += any(row.is_halted for row in rows)
        return events

    def _trade(self) -> None:
        """The maker quotes around the truth, somebody opens a little, somebody sets a stop; funding is published."""
        world, pick = self.world, self.random
        ticks = self.truth * 10
        for side in (BUY, SELL):
            price = ticks + (20 if side is SELL else -20)
            self._check(world.place(3, side, price, 50, expiry_s=world.now_ns // SECOND_NS + 15))
        account = pick.randrange(4, 10)
        self._check(world.place(account, Side(pick.randrange(2)), ticks, 1, flags=OrderFlag.POST_ONLY))
        if pick.random() < 0.1:
            stop = Trigger(kind=TriggerKind.STOP, price_e9=self.truth * E9 * 997 // 1_000)
            world.place(2, SELL, ticks // 2, 1, trigger=stop)
        before, opened = self._accrued(), is_index_open(world.state, "BTC")
        world.run(OracleRound(round=world.state.oracle_round + 1))
        if not opened and self._accrued() != before:
            raise Broken("funding accrued without an index")

    def _accrued(self) -> int:
        return int(self.world.state.funding[PERP].accrued_e12)

    def _check(self, events: list[Event]) -> None:
        """Nothing of what needs a price without one that holds."""
        state = self.world.state
        restricted = is_restricted(state, PERP)
        distance_e9 = abs(state.prices.index_e9["BTC"] - self.truth * E9)
        is_near = distance_e9 * NOBODY <= NEAR_PPM * self.truth * E9
        self.counts["restricted"] += restricted
        for event in events:
            kind = {LiquidationStarted: "liquidations", OrderTriggered: "stops"}.get(type(event))
            if kind is not None:
                self.counts[kind] += 1
            needs_price = kind is not None or isinstance(event, OrderAccepted)
            if needs_price and (restricted or not is_near) and not self._reduces(event):
                raise Broken(f"{event} at an index of {state.prices.index_e9} while the truth is {self.truth}")

    def _reduces(self, event: Event) -> bool:
        """Whether an accepted order closes part of a position."""
        if not isinstance(event, OrderAccepted):
            return False
        lots = self.world.state.accounts[event.subaccount].lots(event.instrument)
        return bool(lots) and (lots > 0) == (event.side is SELL)

    def _restart(self) -> None:
        """Go on from the snapshot: the same marks, funding, margins; whatever time passes before the next price."""
        state = self.world.state
        again = load(dump(state), OrderBook, state.config, type(state))
        if state_hash(again) != state_hash(state) or self._values(again) != self._values(state):
            raise Broken("a restart changed the state")
        self.world.state = again
        self.counts["restarts"] += 1
        if self.random.random() < 0.3:
            self.world.now_ns += 90 * SECOND_NS
            self._check(self.world.run(Clock()))

    @staticmethod
    def _values(state: Any) -> list[Any]:
        return [value_account(state, state.accounts[account]) for account in range(2, 10)]


def run_seed(seed: int) -> Counter[str]:
    """One seed from beginning to end."""
    return BadPrices(seed).run()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    for seed in range(given.first, given.first + given.seeds):
        try:
            counts += run_seed(seed)
        except AssertionError as broken:
            sys.exit(f"seed {seed}: {broken}")
    sys.stdout.write(f"{given.seeds} seeds: {dict(counts)}\n")


if __name__ == "__main__":
    _main()
