"""`python -m tests.property.margin_accounts --accounts 1000000`: what accounts are told of their margin decides.

Each account has Standard or Portfolio Margin, holds a random portfolio (perpetual, calls, puts, one of them in its last
half hour), rests orders and quotes on both sides, and has its cash set so that one more order leaves it near the limit:
half of all within 1 % of the requirement. Then the preview of the order (`order_quote`) must have the engine's refusal,
the margin that is left and the liquidation price; `private/simulate` through JSON and the client's `margin_of` the
engine's equity and requirements, exactly; `get_margin` of an order that fills what the account has behind it; and at
the liquidation price of its perpetual the engine begins a liquidation, one tick before it does not.

The log has a line for every thousand accounts; the same command goes on behind them, until this file or what it judges
changes.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from exchange.client.margin import MarginResult, margin_of
from exchange.domain.commands import (
    CancelMany,
    Clock,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SessionOpen,
    SetPrices,
    Side,
)
from exchange.domain.events import Event
from exchange.domain.ids import CLEARING_ACCOUNT
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.money import floor_div
from exchange.domain.portfolio import MarginKind, SetMarginKind
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import (
    AccountView,
    GetAccount,
    PreviewOrder,
    PreviewView,
    SimulateAccount,
    SimulationView,
)
from exchange.engine.margin import Change, margin_after_e18, worst_margin_e18
from exchange.engine.queries import answer
from exchange.engine.records import Account
from exchange.engine.states import state_class
from exchange.engine.valuation import open_orders_requirement_e6, value_account
from exchange.wire.decimals import format_e6
from exchange.wire.preview_shapes import margins, simulation
from matching_core import OrderBook
from tests.unit.exchange.engine.portfolios import scenarios_of
from tests.unit.exchange.engine.quoting import GROUP, QuoteWorld, placed
from tests.unit.exchange.engine.world import CALL, E6, PERP, PUT, START_S, instruments, owner, refusal
from tests.unit.exchange.engine.world import trades as trades_of

__all__ = ["Different", "run", "run_logged"]

E9: Final = 10**9
E12: Final = 10**12
PER_WORLD: Final = 100
PER_LINE: Final = 1_000
JUDGED: Final = ("exchange/client", "exchange/engine", "exchange/risk", "exchange/wire")
SOURCES: Final = (".py", ".pyx", ".pxd")
MAKER: Final = 2
NEAR: Final = 4
RICH: Final = 10**15
TICKS: Final = {PERP: 600_000, CALL: 1_500, PUT: 800, NEAR: 900}
LOTS: Final = {PERP: 2_000, CALL: 300, PUT: 300, NEAR: 300}


class Different(AssertionError):
    """An account was told something else than what decided."""


class Accounts(QuoteWorld):
    """A market with an option in its last half hour, a maker without limits, and accounts 3, 4, ... with money."""

    state_class = state_class(OrderBook)

    def __init__(self, seed: int, portfolio_share: float = 0.5) -> None:
        """Everything is a function of `seed`; `portfolio_share` of the accounts have Portfolio Margin."""
        super().__init__(OrderBook)
        self.random = Random(seed)
        self.portfolio_share = portfolio_share
        self.counts: Counter[str] = Counter()
        self.checks = False
        self.open(accounts=PER_WORLD + 1, deposit=RICH * E6 // 10**4)
        changes = {"instrument_id": NEAR, "name": "NEAR", "expiry_s": START_S + 1_500, "strike_e9": 60_000 * E9}
        self.run(ListInstrument(instrument=msgspec.structs.replace(instruments()[1], **changes)))
        self.state.config = msgspec.structs.replace(self.state.config, short_move_ppm=900_000, long_move_ppm=900_000)
        self._move()

    def _move(self) -> None:
        """Other prices for the accounts to come."""
        pick = self.random
        self.prices(pick.randrange(57_000, 63_001), call=pick.randrange(800, 2_500), put=pick.randrange(300, 1_500))
        self.round += 1
        self.run(SetPrices(round=self.round, marks=(MarkRow(NEAR, pick.randrange(100, 2_000) * E9),)))
        index = self.state.prices.index_e9["BTC"] / E9
        self.run(scenarios_of(self, self.round, index, pick.uniform(0.2, 1.5)))

    def ticks(self, instrument: int) -> int:
        """The mark on the grid."""
        mark_e9 = self.state.prices.marks[instrument].mark_e9
        return max(60, mark_e9 // self.state.instruments[instrument].tick_e9)

    def draw(self, index: int) -> None:
        """One account from its positions to the last check; its orders are gone behind it."""
        pick = self.random
        if pick.random() < 0.1:
            self._move()
        if pick.random() < self.portfolio_share:
            self.run(SetMarginKind(subaccount=index, kind=MarginKind.PORTFOLIO))
        for instrument in pick.sample(sorted(TICKS), pick.randrange(5)):
            self._hold(index, instrument)
        self._rest(index)
        if pick.random() < 0.3:
            self._quote(index)
        order = self._probe(index)
        self._set_cash(index, order)
        self._compare(index, order)
        self.run(CancelMany(subaccount=index))
        self.run(CancelMany(subaccount=MAKER))

    def _hold(self, index: int, instrument: int) -> None:
        side, lots = Side(self.random.randrange(2)), self.random.randrange(1, LOTS[instrument])
        self.place(MAKER, Side(1 - side), self.ticks(instrument), lots, instrument)
        if not trades_of(self.place(index, side, self.ticks(instrument), lots, instrument)):
            raise Different("the account could not be given its position")

    def _rest(self, index: int) -> None:
        """Orders of both sides away from each other, some of them only reducing."""
        for _ in range(self.random.randrange(5)):
            instrument, side = self.random.choice(sorted(TICKS)), Side(self.random.randrange(2))
            away = self.ticks(instrument) * self.random.randrange(1, 30) // 100 + 1
            price = self.ticks(instrument) + (away if side is Side.SELL else -away)
            flags = self.random.choice((OrderFlag.NONE, OrderFlag.NONE, OrderFlag.REDUCE_ONLY))
            self.place(index, side, max(1, price), self.random.randrange(1, LOTS[instrument]), instrument, flags=flags)
            self.counts["resting"] += 1

    def _quote(self, index: int) -> None:
        """A group of quotes on the options."""
        self.run(SessionOpen(owner=owner(index), signer=owner(index)))
        session = self.state.session_count
        self.config(subaccount=index, quantity_lots=self.random.randrange(1, 200))
        lines = [
            (number, self.ticks(number) * 7 // 10, self.random.randrange(1, 90), self.ticks(number) * 13 // 10, 5)
            for number in self.random.sample((CALL, PUT), self.random.randrange(1, 3))
        ]
        self.counts["quotes"] += len(placed(self.quote(*lines, subaccount=index, session=session, mmp_group=GROUP)))

    def _probe(self, index: int) -> Place:
        """An order that rests, or takes what the maker offers."""
        pick, instrument = self.random, self.random.choice(sorted(TICKS))
        side, lots = Side(pick.randrange(2)), pick.randrange(1, LOTS[instrument])
        if pick.random() < 0.5:
            self.place(MAKER, Side(1 - side), self.ticks(instrument), lots, instrument)
        return self.order(index, side, self.ticks(instrument), lots, instrument)

    def _set_cash(self, index: int, order: Place) -> None:
        """Leave the account near nothing with the order in the book; the clearing account has the difference."""
        account, clearing = self.state.accounts[index], self.state.accounts[CLEARING_ACCOUNT]
        lots, price = order.quantity_lots, order.price_ticks
        change = Change(order.instrument, order.side, resting_lots=lots, price_ticks=price)
        left_e6 = floor_div(margin_after_e18(self.state, account, change, paid_e6=0), E12)
        needed = account.ledger_cash_e6 - left_e6
        is_near = self.random.random() < 0.5
        width = max(E6, abs(needed)) // (100 if is_near else 2)
        cash = needed + self.random.randrange(-width, width + 1)
        clearing.ledger_cash_e6 += account.ledger_cash_e6 - cash
        account.ledger_cash_e6 = cash
        self.counts["near"] += is_near
        self.counts["portfolio near"] += is_near and index in self.state.scenarios.accounts

    def _preview(self, order: Place) -> PreviewView:
        view = answer(self.state, PreviewOrder(place=order))
        if not isinstance(view, PreviewView):
            raise Different(f"no preview of {order}")
        return view

    def _compare(self, index: int, order: Place) -> None:
        account = self.state.accounts[index]
        before = self._compare_client(account)
        shown = self._preview(order)
        simulated = self._simulated(order) if sum(lots for _, lots in shown.fills) == order.quantity_lots else None
        events = self.run(order)
        if refusal(events) is not shown.code:
            raise Different(f"{order}: {shown.code.name} was shown, {refusal(events).name} decided")
        if shown.code is ResultCode.OK:
            self._compare_change(account, order, shown, before, simulated, events)
        self._compare_liquidation(index, order, shown)
        self.counts[shown.code.name] += 1
        if index in self.state.scenarios.accounts:
            self.counts[f"portfolio {shown.code.name}"] += 1
        self.counts["accounts"] += 1

    def _compare_change(
        self,
        account: Account,
        order: Place,
        shown: PreviewView,
        before: SimulationView,
        simulated: SimulationView | None,
        events: list[Event],
    ) -> None:
        """What the order has changed; a refused one changes nothing."""
        left_e6 = floor_div(worst_margin_e18(self.state, account), E12)
        if abs(left_e6 - shown.margin_after_e6) > len(trades_of(events)) + 1:
            raise Different(f"{order}: {shown.margin_after_e6} was shown, {left_e6} is left")
        self._compare_client(account)
        if simulated is not None:
            self._compare_margins(account, before, simulated, events)

    def _simulated(self, order: Place) -> SimulationView:
        """As `get_margin` asks for an order that fills at its limit."""
        lots = order.quantity_lots if order.side is Side.BUY else -order.quantity_lots
        changes = ((order.instrument, lots, order.price_ticks),)
        view = answer(self.state, SimulateAccount(subaccount=order.subaccount, changes=changes))
        if not isinstance(view, SimulationView):
            raise Different(f"no simulation of {order}")
        return view

    def _compare_margins(
        self, account: Account, before: SimulationView, simulated: SimulationView, events: list[Event]
    ) -> None:
        """Behind the fills the account has what the change was said to leave, but for the fee; and it was valid."""
        fee_e6 = sum(trade.taker.fee_e6 for trade in trades_of(events))
        value = value_account(self.state, account)
        found = (simulated.equity_e6 - fee_e6, simulated.initial_requirement_e6, simulated.maintenance_requirement_e6)
        if found != (value.equity_e6, value.requirement.initial_e6, value.requirement.maintenance_e6):
            raise Different(f"account {account.index}: {found} was simulated, it has {value}")
        said = margins(before, simulated, account.index)
        left_e6 = value.equity_e6 + fee_e6 - value.requirement.maintenance_e6
        if not said["is_valid_trade"] or said["post_maintenance_margin"] != format_e6(left_e6):
            raise Different(f"account {account.index}: {said} was said of what was done")
        self.counts["margins"] += 1

    def _compare_liquidation(self, index: int, order: Place, shown: PreviewView) -> None:
        """The perpetual's mark goes to the tick that is shown, or to the one before it: there nothing may begin."""
        at = self._liquidation_ticks(index)
        if order.instrument == PERP and shown.code is ResultCode.OK and shown.liquidation_ticks != at:
            raise Different(f"{order}: liquidation at {shown.liquidation_ticks} was shown, {at} stands")
        if at:
            mark, wanted = self.state.prices.marks[PERP], self.random.random() < 0.5
            is_long = self.state.accounts[index].lots(PERP) > 0
            there = at if wanted else at + 1 if is_long else at - 1
            # What is below at every price of the grid gets its end: there is no tick before it.
            is_tick = 0 < there <= self.state.instruments[PERP].maximum_price_ticks
            if is_tick and self._is_liquidated(index, there) is not wanted:
                raise Different(f"account {index}: liquidation at {at} was shown, at {there} it is {not wanted}")
            self._mark(mark)
            self.counts["liquidated" if wanted else "spared"] += 1
        # Nothing is left to want of it when the engine looks at all accounts the next time.
        self.state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 -= RICH
        self.state.accounts[index].ledger_cash_e6 += RICH

    def _liquidation_ticks(self, index: int) -> int:
        if not self.state.accounts[index].lots(PERP):
            return 0
        view = answer(self.state, GetAccount(subaccount=index))
        if not isinstance(view, AccountView):
            raise Different("no account")
        return next(row.liquidation_ticks for row in view.positions if row.instrument == PERP)

    def _is_liquidated(self, index: int, ticks: int) -> bool:
        """What the engine does with its next look at all accounts."""
        self._mark(MarkRow(PERP, ticks * self.state.instruments[PERP].tick_e9))
        return any(isinstance(event, LiquidationStarted) and event.subaccount == index for event in self.run(Clock()))

    def _mark(self, row: MarkRow) -> None:
        self.round += 1
        self.run(SetPrices(round=self.round, marks=(row,)))

    def _compare_client(self, account: Account) -> SimulationView:
        """The way of a client: the answer as JSON, then its own arithmetic."""
        view = answer(self.state, SimulateAccount(subaccount=account.index))
        if not isinstance(view, SimulationView):
            raise Different("no simulation")
        value = value_account(self.state, account)
        wanted = MarginResult(value.equity_e6, value.requirement.initial_e6, value.requirement.maintenance_e6)
        said = msgspec.json.decode(msgspec.json.encode(simulation(view, account.index)["inputs"]))
        found = margin_of(said)
        if found != wanted:
            raise Different(f"account {account.index}: the client finds {found}, the engine {wanted}")
        if view.open_orders_requirement_e6 != open_orders_requirement_e6(self.state, account):
            raise Different(f"account {account.index}: another requirement of open orders")
        return view


def run(seed: int, accounts: int, portfolio_share: float = 0.5) -> Counter[str]:
    """So many accounts, a hundred to a market; raises Different at the first that was told something else."""
    firsts = range(0, accounts, PER_WORLD)
    return sum((_run_markets(seed, first, accounts, portfolio_share) for first in firsts), Counter())


def run_logged(seed: int, accounts: int, path: Path) -> Iterator[tuple[int, Counter[str]]]:
    """(Accounts so far, counts so far) after each thousand that the log did not have yet; what it has is not drawn."""
    source, counts, done = _digest(), Counter[str](), 0
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        if (row["seed"], row["source"], row["first"]) == (seed, source, done):
            counts, done = counts + Counter(row["counts"]), done + PER_LINE
    path.parent.mkdir(parents=True, exist_ok=True)
    while done < accounts:
        found = sum(
            (_run_markets(seed, first, accounts) for first in range(done, done + PER_LINE, PER_WORLD)), Counter()
        )
        with path.open("a") as file:
            file.write(json.dumps({"seed": seed, "source": source, "first": done, "counts": found}) + "\n")
        counts, done = counts + found, done + PER_LINE
        yield done, counts
    yield done, counts


def _run_markets(seed: int, first: int, accounts: int, portfolio_share: float = 0.5) -> Counter[str]:
    world = Accounts(seed * 10**9 + first, portfolio_share)
    for index in range(max(0, min(PER_WORLD, accounts - first))):
        world.draw(3 + index)
    return world.counts


def _digest() -> str:
    """Of this file and of what it judges: another engine begins a run of its own."""
    root = Path(__file__).parents[2]
    judged = [path for name in JUDGED for path in sorted((root / name).glob("*.p*")) if path.suffix in SOURCES]
    return blake2b(b"\0".join(path.read_bytes() for path in (Path(__file__), *judged)), digest_size=8).hexdigest()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("build/margin-accounts/log.jsonl"))
    given = parser.parse_args()
    counts = Counter[str]()
    try:
        for done, found in run_logged(given.seed, given.accounts, given.log):
            counts = found
            if done % 10_000 == 0:
                sys.stdout.write(f"{done} accounts, {time.process_time():.0f} s of processor time\n")
                sys.stdout.flush()
    except Different as different:
        sys.exit(f"seed {given.seed}: {different}")
    sys.stdout.write(f"equal: {dict(sorted(counts.items()))}\n")


if __name__ == "__main__":
    _main()
