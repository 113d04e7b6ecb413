"""A small market for engine tests: a perpetual, a call and a put on BTC, funded accounts, one command per call."""

from typing import Any

from exchange.domain.commands import (
    BatchCut,
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Clock,
    Command,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.events import Event, OrderRefused, Trade
from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.result_codes import ResultCode
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.invariants import check_invariants
from exchange.engine.state import State
from matching_core import OrderBook, ReferenceOrderBook

__all__ = ["CALL", "E6", "PERP", "PUT", "START_S", "World", "instruments", "owner"]

E6 = 1_000_000
START_S = 1_790_000_000
SECOND_NS = 1_000_000_000
EXPIRY_S = START_S + 30 * 86_400
PERP, CALL, PUT = PERPETUAL_BIT | 1, 2, 3
BUY, SELL = Side.BUY, Side.SELL


def owner(account: int) -> bytes:
    """Address of an account's owner."""
    return account.to_bytes(20, "big")


def instruments() -> list[Instrument]:
    """BTC-PERP (tick 0.1, lot 0.001) and a 70,000 call and 50,000 put (tick 1, lot 0.01)."""
    perpetual = Instrument(
        instrument_id=PERP,
        name="BTC-PERP",
        kind=InstrumentKind.PERPETUAL,
        underlying="BTC",
        tick_e9=100_000_000,
        lot_e9=1_000_000,
        minimum_lots=1,
        maximum_lots=1_000_000,
        maximum_price_ticks=10_000_000,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
    )
    options = [
        Instrument(
            instrument_id=number,
            name=f"BTC-{number}",
            kind=kind,
            underlying="BTC",
            tick_e9=1_000_000_000,
            lot_e9=10_000_000,
            minimum_lots=1,
            maximum_lots=1_000_000,
            maximum_price_ticks=1_000_000,
            maker_fee_ppm=100,
            taker_fee_ppm=300,
            strike_e9=strike * 10**9,
            expiry_s=EXPIRY_S,
        )
        for number, kind, strike in ((CALL, InstrumentKind.CALL, 70_000), (PUT, InstrumentKind.PUT, 50_000))
    ]
    return [perpetual, *options]


class World:
    """A state with helpers; `run` applies a command one millisecond after the last."""

    state_class: type[State] = State
    """The twin; `conftest` runs the tests of this folder over the compiled state too."""

    def __init__(self, book_factory: Any = ReferenceOrderBook, config: EngineConfig | None = None) -> None:
        """Start at START_S with nothing listed."""
        factory = book_factory if self.state_class is State else OrderBook
        self.state = self.state_class(factory, config or EngineConfig())
        self.now_ns = START_S * SECOND_NS
        self.round = 0
        self.requests = 0
        self.checks = True

    def run(self, command: Command, *, after_ns: int = 1_000_000) -> list[Event]:
        """Apply one command and check all invariants."""
        self.now_ns += after_ns
        events = apply(self.state, command, self.now_ns)
        if self.checks:
            check_invariants(self.state)
        return events

    def open(self, *, accounts: int = 3, deposit: int = 100_000 * E6) -> "World":
        """List, price at 60,000 and fund accounts 2, 3, ..."""
        for instrument in instruments():
            self.run(ListInstrument(instrument=instrument))
        self.prices()
        for account in range(2, 2 + accounts):
            self.deposit(account, deposit)
        self.run(BatchCut())
        return self

    def prices(self, index: int = 60_000, perp: int | None = None, call: int = 1_500, put: int = 800) -> list[Event]:
        """A round of whole-dollar prices."""
        self.round += 1
        e9 = 10**9
        return self.run(
            SetPrices(
                round=self.round,
                underlyings=(UnderlyingRow("BTC", index * e9),),
                expiries=(ExpiryRow("BTC", EXPIRY_S, index * e9),),
                marks=(
                    MarkRow(PERP, (perp or index) * e9),
                    MarkRow(CALL, call * e9),
                    MarkRow(PUT, put * e9),
                ),
            )
        )

    def deposit(self, account: int, amount_e6: int) -> list[Event]:
        """A deposit from the queue."""
        return self.request(ChainRequestKind.DEPOSIT, account, amount_e6=amount_e6, owner=owner(account))

    def request(self, kind: ChainRequestKind, account: int, **fields: Any) -> list[Event]:
        """The next entry of the queue."""
        events = self.run(ChainRequest(index=self.requests + 1, kind=kind, account=account, **fields))
        self.requests = self.state.request_index
        return events

    def order(
        self, account: int, side: Side, price_ticks: int, lots: int, instrument: int = PERP, **fields: Any
    ) -> Place:
        """A signed GTC order of the owner with a fresh nonce."""
        values: dict[str, Any] = {
            "time_in_force": TimeInForce.GTC,
            "flags": OrderFlag.NONE,
            "nonce": self.now_ns + 1,
            "expiry_s": self.now_ns // SECOND_NS + 3_600,
            "signer": owner(account),
            "max_fee_e18": 1_000 * 10**18,
        }
        values.update(fields)
        return Place(
            subaccount=account,
            instrument=instrument,
            side=side,
            price_ticks=price_ticks,
            quantity_lots=lots,
            **values,
        )

    def place(
        self, account: int, side: Side, price_ticks: int, lots: int, instrument: int = PERP, **fields: Any
    ) -> list[Event]:
        """Place such an order."""
        return self.run(self.order(account, side, price_ticks, lots, instrument, **fields))

    def run_cut(self) -> list[Event]:
        """Close the open batch."""
        return self.run(BatchCut())

    def cancel(self, account: int, order: int) -> list[Event]:
        """Cancel by number."""
        return self.run(Cancel(subaccount=account, order=order))

    def clock(self, seconds: int = 0) -> list[Event]:
        """Let time pass."""
        return self.run(Clock(), after_ns=seconds * SECOND_NS)

    def later(self, seconds: int) -> list[Event]:
        """Let time pass, and have good prices at its end, as they were: enough of them to end a halt."""
        events = self.clock(seconds)
        for _ in range(self.state.config.halt_good_rows):
            self.repeat_prices()
        return events

    def repeat_prices(self) -> list[Event]:
        """A round of the prices that are known."""
        prices = self.state.prices
        self.round = prices.round + 1
        rows = tuple(UnderlyingRow(name, price) for name, price in sorted(prices.index_e9.items()))
        return self.run(SetPrices(round=self.round, underlyings=rows, marks=tuple(prices.marks.values())))


def refusal(events: list[Event]) -> ResultCode:
    """Code of the one refusal in `events`; OK without one."""
    codes = [event.code for event in events if isinstance(event, OrderRefused)]
    return codes[0] if codes else ResultCode.OK


def trades(events: list[Event]) -> list[Trade]:
    """The trades in `events`."""
    return [event for event in events if isinstance(event, Trade)]
