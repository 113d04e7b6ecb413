"""`python -m tests.property.liquidation_run --steps 1000000 --seed 1 --log FILE`: crashes, checked after every step.

Each seed is a market of --steps-of steps over the engine's both states, with adaptive steps if it is even: their events
are compared after each step, and from the accounts themselves it is added up anew that cash is the collateral and
positions are zero. Every batch goes through settlement; its ledger must be the engine's accounts. Finished seeds stand
in the log as lines of JSON; the same command goes on after the last of them, unless the engine changed since. Exit 1
with the first contradiction, or when a kind was drawn too rarely to prove anything.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from exchange.app.verify import ledger_of
from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.self_check import check_disputes
from exchange.domain.auctions import AuctionStarted
from exchange.domain.commands import OrderFlag, SetPrices
from exchange.domain.events import (
    BatchClosed,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderClosed,
    OrderRefused,
    PricesSet,
    Trade,
)
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStage,
    LiquidationStarted,
)
from exchange.domain.packing import CommandEvents, pack_events, unpack_events
from exchange.domain.result_codes import CloseReason
from exchange.domain.rounds import ExpirySettled, FundingPaid, InstrumentSettled
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig, LiquidationRules
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state import State
from exchange.engine.states import COMPILED, state_class
from exchange.engine.valuation import value_account
from exchange.risk.adaptive import AdaptiveRules
from exchange.risk.auction import AuctionParameters
from matching_core import OrderBook
from settlement.protocol.batch import build_batch
from settlement.protocol.forced import FORCED_KINDS, check_forced_leaves
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import RequestKind
from tests.property.crash_stream import CrashStream

__all__ = ["ADAPTIVE", "CONFIG", "LEAST", "Broken", "Market", "main", "run_seed"]

CONFIG = EngineConfig(
    closed_orders_max=300,
    batch_accounts_max=9,
    batch_legs_max=14,
    settlement_window_ns=2_000_000_000,
    auction_length_ns=2_000_000_000,
    short_move_ppm=150_000,
    long_move_ppm=300_000,
    liquidation=LiquidationRules(
        threshold_e6=20_000_000_000,
        patience_s=4,
        auction=AuctionParameters(
            one=1_000_000, start=950_000, knee=700_000, buffer=150_000, fast_s=2, slow_s=6, insolvent_s=3
        ),
    ),
)
ADAPTIVE = replace(CONFIG, liquidation=replace(CONFIG.liquidation, adaptive=AdaptiveRules()))
"""Of every second seed."""
LEAST = {"liquidations": 1_000, "auctions": 100, "deleveraging rounds": 10, "expiries": 100}
"""What a million steps must have shown."""
COMPARED_EVERY = 1_000
ROOT = Path(__file__).parents[2]
SOURCES = (
    "exchange/engine",
    "exchange/domain",
    "exchange/risk",
    "exchange/bridge",
    "settlement/protocol",
    "tests/property",
)


class Broken(AssertionError):
    """Something that must hold did not."""


def expect(holds: object, what: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)


class Market:
    """One seed: both states, settlement behind them, and what is known of prices without asking the engine."""

    def __init__(self, seed: int) -> None:
        """An empty market; without compiled rows the twin runs alone."""
        self.config = CONFIG if seed % 2 else ADAPTIVE
        self.state = State(OrderBook, self.config)
        self.rows = state_class(OrderBook)(OrderBook, self.config) if COMPILED else None
        self.stream = CrashStream(seed)
        self.opening = list(self.stream.opening())[::-1]
        self.counts: Counter[str] = Counter()
        self.assembler, self.ledger = BatchAssembler(), LedgerState()
        self.index_ns = 0
        self.mark_ns: dict[int, int] = {}
        self.held: dict[int, dict[int, int]] = {}
        self.begun: dict[int, None] = {}
        self.steps = 0

    def step(self) -> None:
        """Apply one command and check everything; raises Broken."""
        command, now_ns = self.opening.pop() if self.opening else self.stream.next(self.state)
        events = apply(self.state, command, now_ns)
        if self.rows is not None:
            found = apply(self.rows, command, now_ns)
            expect(found == events, f"{command}\ntwin {events}\nrows {found}")
        if isinstance(command, SetPrices):
            self._note_prices(command, events, now_ns)
        self._count(events)
        self._check_liquidations(events, now_ns)
        self._check_sums()
        self._settle(events, now_ns)
        self.steps += 1
        if self.steps % COMPARED_EVERY == 0:
            self.compare()

    def compare(self) -> None:
        """Everything from scratch; a snapshot of either state is the other's, and comes back as it went."""
        check_invariants(self.state)
        sections = dump(self.state)
        if self.rows is not None:
            check_invariants(self.rows)
            expect(dump(self.rows) == sections, "the states differ")
            self.rows = load(sections, OrderBook, self.config, state_class(OrderBook))
        expect(dump(load(sections, OrderBook, self.config)) == sections, "a snapshot came back otherwise")

    def _note_prices(self, command: SetPrices, events: list[Event], now_ns: int) -> None:
        if any(isinstance(event, CommandRefused) for event in events):
            self.counts["impossible or old rounds"] += 1
            return
        self.index_ns = now_ns
        self.mark_ns |= dict.fromkeys((row.instrument for row in command.marks), now_ns)

    def _count(self, events: list[Event]) -> None:
        names = {
            Trade: "trades",
            LiquidationEnded: "liquidations ended",
            FundPaid: "payments of the fund",
            Deleveraged: "positions deleveraged",
            ExpirySettled: "expiries",
            FundingPaid: "funding payments",
            AuctionStarted: "call auctions",
            BatchClosed: "batches",
            PricesSet: "price rounds",
            AuctionTaken: "shares sold to bidders",
            OrderRefused: "orders and bids refused",
        }
        self.counts.update(names[type(event)] for event in events if type(event) in names)
        bankrupt = {event.bankrupt.subaccount: None for event in events if isinstance(event, Deleveraged)}
        self.counts["deleveraging rounds"] += len(bankrupt)
        for event in events:
            if isinstance(event, LiquidationStarted):
                self.counts["liquidations"] += event.subaccount not in self.begun
                self.begun[event.subaccount] = None
                self.counts["auctions"] += event.stage is LiquidationStage.AUCTION
                self.counts["insolvencies"] += event.stage is LiquidationStage.INSOLVENT
            elif isinstance(event, LiquidationEnded):
                del self.begun[event.subaccount]
            elif isinstance(event, OrderAccepted):
                self.counts["liquidation orders"] += bool(event.flags & OrderFlag.LIQUIDATION)
            elif isinstance(event, OrderClosed):
                self.counts["orders canceled for margin"] += event.reason is CloseReason.INSUFFICIENT_MARGIN

    def _check_liquidations(self, events: list[Event], now_ns: int) -> None:
        """Nobody is touched on a stale price; positions only shrink; whoever is let go has what it must."""
        gone = {event.instrument for event in events if isinstance(event, InstrumentSettled)}
        for event in events:
            if isinstance(event, LiquidationStarted | LiquidationEnded | FundPaid):
                self._check_fresh(event.subaccount, now_ns, gone)
            if isinstance(event, LiquidationEnded):
                expect(event.equity_e6 >= event.maintenance_requirement_e6, f"let go too early: {event}")
            elif isinstance(event, FundPaid):
                expect(event.fund_cash_e6 >= 0, f"the fund owes money: {event}")
            elif isinstance(event, Deleveraged):
                self._check_fresh(event.bankrupt.subaccount, now_ns, gone)
                _check_shrinks(event.bankrupt, event.bankrupt_lots)
                _check_shrinks(event.counterparty, -event.bankrupt_lots)
                counterparty = self.state.accounts[event.counterparty.subaccount]
                equity_e6 = value_account(self.state, counterparty).equity_e6
                expect(equity_e6 >= 0, f"bankrupt for another's sake: {event}")
            elif isinstance(event, Trade) and event.taker.order & 0xFF >= 128:
                self._check_fresh(event.taker.subaccount, now_ns, gone)
                expect(event.taker.fee_e6 >= 0, f"the fund paid for a fill: {event}")
        frozen = {index for index, account in self.state.accounts.items() if account.is_in_liquidation}
        expect(frozen == self.state.liquidations.keys(), "flags and liquidations differ")
        expect(not any(self.state.live_orders(index) for index in frozen), "orders of an account in liquidation")

    def _check_fresh(self, account: int, now_ns: int, gone: set[int]) -> None:
        for number in self.held.get(account, {}).keys() - gone:
            life_ns = CONFIG.option_mark_life_ns if self.state.instruments[number].is_option else CONFIG.index_life_ns
            is_fresh = now_ns - self.index_ns <= CONFIG.index_life_ns and now_ns - self.mark_ns[number] <= life_ns
            expect(is_fresh, f"account {account} was touched on a stale price of {number}")

    def _check_sums(self) -> None:
        """Added up from the accounts, not from the engine's running sums."""
        state, lots = self.state, defaultdict[int, int](int)
        self.held = {}
        for index, account in state.accounts.items():
            rows = self.held[index] = {number: row.lots for number, row in account.positions.items()}
            for number, held in rows.items():
                lots[number] += held
        cash_e6 = sum(account.ledger_cash_e6 for account in state.accounts.values())
        expect(cash_e6 == state.collateral_e6, f"cash {cash_e6}, collateral {state.collateral_e6}")
        expect(not any(lots.values()), f"positions sum to {dict(lots)}")
        batch_e6 = sum(state.batch.cash_e6.values()) + state.batch.fee_e6
        expect(batch_e6 == 0, f"the open batch is {batch_e6} away from zero")

    def _settle(self, events: list[Event], now_ns: int) -> None:
        """Every batch is netted, explained by its leaves and applied; at a boundary the ledger is the engine."""
        item = CommandEvents(self.state.sequence, now_ns, events)
        expect(unpack_events(pack_events([item])) == [item], f"events came back otherwise: {events}")
        for batch in self.assembler.take(item):
            deposits = {row.account for row in batch.input.requests if row.kind is RequestKind.DEPOSIT}
            check_forced_leaves(self.ledger.accounts, batch.input.order_fills, batch.input.opening, deposits)
            self.counts["leaves nobody signed"] += sum(row.kind in FORCED_KINDS for row in batch.input.order_fills)
            check_disputes(self.ledger, batch)
            build_batch(self.ledger, batch.input)
            self.ledger.check(batch.input.opening.ending)
        if events and isinstance(events[-1], BatchClosed) and not self.state.batch.has_content:
            expected = ledger_of(self.state, match_to_s=events[-1].match_to_s)
            expect(self.ledger.accounts == expected.accounts, "the ledger is not the engine")
            self.counts["ledgers compared"] += 1


def _check_shrinks(side: DeleveragedSide, lots: int) -> None:
    before = side.position_lots - lots
    expect(before * lots < 0 and before * side.position_lots >= 0, f"a position grew: {side}")


def run_seed(seed: int, steps: int) -> dict[str, Any]:
    """Run one market; the row of the log, with the contradiction in words ("" when there is none)."""
    market, words = Market(seed), ""
    try:
        while market.steps < steps:
            market.step()
        market.compare()
    except (AssertionError, ArithmeticError, ValueError) as error:
        words = f"seed {seed}, step {market.steps}: {type(error).__name__}: {error}"
    return {"seed": seed, "steps": market.steps, "counts": dict(market.counts), "contradiction": words}


def rare_kinds(counts: Counter[str], steps: int) -> list[str]:
    """Kinds that stand for less than a million steps in proportion must show."""
    return [name for name, least in LEAST.items() if counts[name] * 1_000_000 < least * steps]


def fingerprint() -> str:
    """Digest of the sources that a finished seed depends on."""
    digest = hashlib.blake2b(digest_size=8)
    for folder in SOURCES:
        for path in sorted((ROOT / folder).glob("*.p*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class Log:
    """Finished seeds, a line of JSON each, of runs with the same engine and seed length."""

    def __init__(self, path: Path, *, steps_of: int) -> None:
        self._path = path
        self._key = {"engine": fingerprint(), "steps_of": steps_of}
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        known = [row for row in rows if self._key.items() <= row.items() and not row["contradiction"]]
        self.rows = {row["seed"]: row for row in known}

    def add(self, row: dict[str, Any]) -> None:
        """Append a finished seed; it is on disk when this returns."""
        self.rows[row["seed"]] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**self._key, **row}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def report(rows: list[dict[str, Any]]) -> int:
    """Print the counts of all kinds; 1 when one is too rare to prove anything."""
    counts, steps = Counter[str](), sum(row["steps"] for row in rows)
    for row in rows:
        counts.update(row["counts"])
    for name, count in sorted(counts.items()):
        sys.stdout.write(f"{name:>28} {count:>12,}\n")
    sys.stdout.write(f"{len(rows)} seeds, {steps:,} steps, each checked; 0 contradictions\n")
    rare = rare_kinds(counts, steps)
    if rare:
        sys.stdout.write(f"too rare: {', '.join(rare)}\n")
    return bool(rare)


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds that the log lacks, then report over all of them."""
    # A shell starts its background jobs deaf to the interrupt; this run promises to stop and go on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.property.liquidation_run", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--steps-of", type=int, default=50_000, metavar="STEPS")
    parser.add_argument("--seed", type=int, default=1, help="of the first market")
    parser.add_argument("--log", type=Path, default=Path("build/liquidations.jsonl"))
    options = parser.parse_args(arguments)
    seeds = list(range(options.seed, options.seed + -(-options.steps // options.steps_of)))
    log = Log(options.log, steps_of=options.steps_of)
    sys.stdout.write(
        f"{len(seeds)} seeds of {options.steps_of:,}; {sum(seed in log.rows for seed in seeds)} are done\n"
    )
    try:
        for seed in (seed for seed in seeds if seed not in log.rows):
            row = run_seed(seed, options.steps_of)
            log.add(row)
            if row["contradiction"]:
                sys.stdout.write(f"{row['contradiction']}\n")
                return 1
            sys.stdout.write(f"seed {seed}: {row['counts'].get('liquidations', 0)} liquidations\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.write("stopped; the same command goes on from here\n")
        return 130
    return report([log.rows[seed] for seed in seeds])


if __name__ == "__main__":
    sys.exit(main())
