"""Accounts with positions and open orders in many instruments, for K5 and K7: one perpetual and options of BTC.

Every account holds its positions against its neighbor. Commands run packed through the compiled engine.
"""

from dataclasses import dataclass

from bench.bench_engine import PERPETUAL, START_NS, opening, owner
from bench.workloads import SplitMix
from exchange.domain.commands import (
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Clock,
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
from exchange.domain.ids import order_number
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import pack_command
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.states import new_state
from matching_core import OrderBook

__all__ = ["FIRST_ACCOUNT", "FLAT_TICKS", "Shape", "World"]

FIRST_ACCOUNT = 2
NOW_NS = START_NS + 10_000_000
PER_CALL = 256
INDEX_E9 = 60_000 * 10**9
OPTION_MARK_E9 = 1_500 * 10**9
FLAT_TICKS = {True: 600_000, False: 1_500}
"""Prices at which positions are made, of the perpetual and of an option: their marks."""
CONFIG = EngineConfig(open_orders_max=1_000_000, positions_max=1_000)


@dataclass(frozen=True)
class Shape:
    """How many accounts there are, and into how many expiries their options fall."""

    accounts: int
    options: int
    expiries: int

    def expiry_s(self, number: int) -> int:
        """End of option `number`, from 1."""
        return START_NS // 10**9 + (1 + (number - 1) * self.expiries // self.options) * 30 * 86_400

    def option(self, number: int) -> Instrument:
        """Calls and puts in turns, strikes two hundred apart."""
        return Instrument(
            instrument_id=number,
            name=f"BTC-{number}",
            kind=InstrumentKind.CALL if number % 2 else InstrumentKind.PUT,
            underlying="BTC",
            tick_e9=10**9,
            lot_e9=10**7,
            minimum_lots=1,
            maximum_lots=10**6,
            maximum_price_ticks=10**6,
            maker_fee_ppm=100,
            taker_fee_ppm=300,
            strike_e9=(60_000 + 200 * (number - self.options // 2)) * 10**9,
            expiry_s=self.expiry_s(number),
        )

    @property
    def instruments(self) -> tuple[int, ...]:
        """All of them, the perpetual first."""
        return (PERPETUAL, *range(1, self.options + 1))

    def prices(self, number: int) -> SetPrices:
        """Index, marks and forwards of price round `number`, other ones every time."""
        shift = 40 * number % 6_007 - 3_000 if number > 1 else 0
        index_e9 = INDEX_E9 + shift * 10**9
        marks = [MarkRow(PERPETUAL, index_e9)]
        for option in range(1, self.options + 1):
            delta = shift * (1 if option % 2 else -1) // 4
            marks.append(MarkRow(option, OPTION_MARK_E9 + delta * 10**9, delta_e9=5 * 10**8))
        ends = sorted({self.expiry_s(option) for option in range(1, self.options + 1)})
        forwards = tuple(ExpiryRow("BTC", end, index_e9 + 10**10) for end in ends)
        return SetPrices(
            round=number, underlyings=(UnderlyingRow("BTC", index_e9),), marks=tuple(marks), expiries=forwards
        )


class World:
    """A compiled state and what is done to it; two worlds of one shape and seed get the same commands."""

    def __init__(self, shape: Shape, cash_e6) -> None:
        self.shape = shape
        self.state = new_state(OrderBook, CONFIG)
        self.random = SplitMix(17)
        self._nonce = START_NS
        first = [next(opening()), *(ListInstrument(instrument=shape.option(at + 1)) for at in range(shape.options))]
        first += [shape.prices(1), Clock()]
        for index in range(1, shape.accounts + 1):
            account = index + FIRST_ACCOUNT - 1
            first.append(
                ChainRequest(
                    index=index,
                    kind=ChainRequestKind.DEPOSIT,
                    account=account,
                    amount_e6=cash_e6(self.random),
                    owner=owner(account),
                )
            )
        for at, command in enumerate(first):
            apply(self.state, command, START_NS + at)

    def order(self, account, instrument, side, price_ticks, quantity_lots) -> Place:
        """A limit order."""
        self._nonce += 1
        return Place(
            subaccount=account,
            instrument=instrument,
            side=side,
            time_in_force=TimeInForce.GTC,
            flags=OrderFlag.NONE,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            nonce=self._nonce,
            expiry_s=START_NS // 10**9 + 3_600,
            signer=owner(account),
            max_fee_e18=10**21,
            digest=bytes(32),
            signature=bytes(65),
        )

    def positions(self, account, instruments) -> list[Place]:
        """An account and its neighbor take the two sides of every instrument."""
        found = []
        for at, instrument in enumerate(instruments):
            lots = 1 + self.random.below(10 if instrument != PERPETUAL else 100)
            price_ticks = FLAT_TICKS[instrument == PERPETUAL]
            side = Side((at + account // 2) % 2)
            found.append(self.order(account, instrument, side, price_ticks, lots))
            found.append(self.order(account + 1, instrument, Side(1 - side), price_ticks, lots))
        return found

    def far(self, account, instrument, side) -> Place:
        """An order that meets nobody, a third off the mark of an option and a sixtieth off the perpetual's."""
        away = 1 + self.random.below(400)
        reach = (10_000 + away) if instrument == PERPETUAL else (500 + away)
        price_ticks = FLAT_TICKS[instrument == PERPETUAL] + (reach if side else -reach)
        return self.order(account, instrument, Side(side), price_ticks, 1 + self.random.below(5))

    def cancels_of(self, placed: list[Place]) -> list[Cancel]:
        """Cancels of orders that are about to be placed one behind the other."""
        first = self.state.sequence + 1
        return [
            Cancel(subaccount=order.subaccount, order=order_number(sequence=first + at))
            for at, order in enumerate(placed)
        ]


def crossings(commands) -> list[tuple[bytes, bytes]]:
    """Records and attachments, 256 commands a crossing."""
    packed = [pack_command(command) for command in commands]
    return [
        tuple(b"".join(parts) for parts in zip(*packed[at : at + PER_CALL], strict=True))
        for at in range(0, len(packed), PER_CALL)
    ]
