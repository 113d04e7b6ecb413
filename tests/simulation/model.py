"""An independent, slower reading of the events: cash, positions, orders and batches kept by plain sums.

It shares no code with the engine but the domain's types, and none with the bridge: batch roots come from the accounts
as they stand at each BatchClosed, not from netting.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from exchange.domain.commands import OrderFlag, Side
from exchange.domain.events import (
    AccountOpened,
    BatchClosed,
    CashMoved,
    Event,
    FillSide,
    InstrumentListed,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderEvent,
    OrderRefused,
    OrderRepeated,
    OrderRevised,
    OrderTriggered,
    RequestApplied,
    Trade,
    TriggerFailed,
    TriggerSet,
)
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStarted,
)
from exchange.domain.packing import CommandEvents
from exchange.domain.rounds import FundingPaid, InstrumentSettled, OracleRoundSet, PositionExpired
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.orders import OrderFill, OrderKind, engine_ref, orders_root
from settlement.protocol.state_tree import Account
from tests.simulation.history import InvariantBroken

__all__ = ["ClosedBatch", "LedgerModel"]

_Numbered = FundPaid | DeleveragedSide | LiquidationStarted | LiquidationEnded | AuctionTaken


@dataclass(slots=True)
class _Order:
    subaccount: int
    side: Side
    flags: OrderFlag
    digest: bytes
    price_ticks: int
    quantity_lots: int
    filled_lots: int = 0
    is_open: bool = True
    is_waiting: bool = False
    """Accepted, and its trigger has not fired."""


@dataclass(frozen=True, slots=True)
class ClosedBatch:
    """A batch as the events say it must be."""

    seq: int
    new_root: bytes
    orders_root: bytes
    trades: tuple[int, ...]
    fee_e6: int
    request_up_to: int
    collateral_e6: int


@dataclass(slots=True)
class LedgerModel:
    """Fold events with `take`; InvariantBroken at the first contradiction."""

    sequence: int = 0
    timestamp_ns: int = 0
    trade_count: int = 0
    request_index: int = 0
    collateral_e6: int = 0
    cash_e6: Counter[int] = field(default_factory=Counter)
    lots: Counter[tuple[int, int]] = field(default_factory=Counter)
    owners: dict[int, bytes] = field(default_factory=dict)
    orders: dict[int, _Order] = field(default_factory=dict)
    client_ids: dict[tuple[int, str], int] = field(default_factory=dict)
    batches: list[ClosedBatch] = field(default_factory=list)
    _units: dict[int, int] = field(default_factory=dict)
    _index_e12: dict[int, int] = field(default_factory=dict)
    _value_e12: dict[int, int] = field(default_factory=dict)
    """Payoff per lot of what expired."""
    _paid_e12: dict[tuple[int, int], int] = field(default_factory=dict)
    """Funding index up to which a position was charged, by (account, instrument)."""
    _account_seq: Counter[int] = field(default_factory=Counter)
    _trades: list[int] = field(default_factory=list)
    _fee_e6: int = 0
    _fills: dict[tuple[int, bytes, int], list[int]] = field(default_factory=dict)
    _leaves: list[OrderFill] = field(default_factory=list)
    """Of what no order authorizes."""
    _ledger: LedgerState = field(default_factory=LedgerState)

    def take(self, item: CommandEvents) -> None:
        """Fold one command's events."""
        expect(item.sequence == self.sequence + 1, "sequence-contiguous", f"{item.sequence} after {self.sequence}")
        expect(item.timestamp_ns >= self.timestamp_ns, "time-monotone", f"sequence {item.sequence}")
        self.sequence, self.timestamp_ns = item.sequence, item.timestamp_ns
        for event in item.events:
            self._take_event(event)
        expect(
            sum(self.cash_e6.values()) == self.collateral_e6,
            "zero-sum-cash",
            f"events up to sequence {self.sequence} sum to {sum(self.cash_e6.values())}, "
            f"collateral {self.collateral_e6}",
        )

    def positions(self, account: int) -> dict[int, int]:
        """Open lots by instrument."""
        return {number: lots for (owner, number), lots in sorted(self.lots.items()) if owner == account and lots}

    @property
    def open_orders(self) -> list[int]:
        """Numbers of the orders that rest."""
        return sorted(number for number, order in self.orders.items() if order.is_open and not order.is_waiting)

    @property
    def waiting_orders(self) -> list[int]:
        """Numbers of the orders that wait for a trigger."""
        return sorted(number for number, order in self.orders.items() if order.is_open and order.is_waiting)

    def _take_event(self, event: Event) -> None:
        match event:
            case Trade():
                self._trade(event)
            case OrderAccepted():
                self._accept(event)
            case OrderAmended() | OrderRevised() | OrderClosed():
                self._change(event)
            case TriggerSet() | OrderTriggered() | TriggerFailed():
                self._trigger(event)
            case BatchClosed():
                self._close_batch(event)
            case _:
                self._take_rare(event)

    def _take_rare(self, event: Event) -> None:
        match event:
            case CashMoved():
                self._move(event)
            case FundingPaid():
                self._fund(event)
            case OracleRoundSet():
                self._index_e12 = {row.instrument: row.index_e12 for row in event.funding}
            case InstrumentSettled():
                self._value_e12[event.instrument] = event.value_e12
            case PositionExpired():
                self._expire(event)
            case AccountOpened():
                self.owners[event.subaccount] = event.owner
            case RequestApplied():
                expect(event.index == self.request_index + 1, "requests-in-order", f"request {event.index}")
                self.request_index = event.index
            case InstrumentListed():
                self._units[event.instrument.instrument_id] = event.instrument.unit_e6
            case _:
                self._take_liquidation(event)

    def _take_liquidation(self, event: Event) -> None:
        match event:
            case FundPaid():
                self._pay(event)
            case Deleveraged():
                self._deleverage(event)
            case LiquidationStarted() | LiquidationEnded() | AuctionTaken():
                self._number(event)

    def _number(self, row: OrderEvent | CashMoved | FillSide | FundingPaid | PositionExpired | _Numbered) -> None:
        assert not isinstance(row, OrderRefused | OrderRepeated)  # these have no number
        self._account_seq[row.subaccount] += 1
        expected = self._account_seq[row.subaccount]
        expect(row.account_seq == expected, "account-seq", f"account {row.subaccount}: {row.account_seq}, {expected}")

    def _accept(self, event: OrderAccepted) -> None:
        self._number(event)
        expect(event.order not in self.orders, "order-numbers-unique", f"order {event.order}")
        is_own = bool(event.flags & OrderFlag.LIQUIDATION)
        digest = engine_ref(OrderKind.LIQUIDATION, event.order) if is_own else event.digest
        self.orders[event.order] = _Order(
            event.subaccount, event.side, event.flags, digest, event.price_ticks, event.quantity_lots
        )
        if event.client_order_id:
            name = (event.subaccount, event.client_order_id)
            expect(name not in self.client_ids, "client-id-one-order", f"{name}: {self.client_ids.get(name)}")
            self.client_ids[name] = event.order

    def _trigger(self, event: TriggerSet | OrderTriggered | TriggerFailed) -> None:
        self._number(event)
        order = self.orders[event.order]
        expect(order.is_open, "closed-stays-closed", f"order {event.order}")
        if isinstance(event, TriggerSet):
            expect(not order.filled_lots, "waiting-has-no-fill", f"order {event.order}: {event}")
            order.is_waiting = True
        elif isinstance(event, OrderTriggered):
            expect(order.is_waiting, "fires-once", f"order {event.order}: {event}")
            order.is_waiting, order.price_ticks = False, event.price_ticks

    def _change(self, event: OrderAmended | OrderRevised | OrderClosed) -> None:
        self._number(event)
        order = self.orders[event.order]
        expect(order.is_open, "closed-stays-closed", f"order {event.order}")
        if isinstance(event, OrderRevised):
            order.price_ticks, order.digest = event.price_ticks, event.digest
        if isinstance(event, OrderAmended | OrderRevised):
            order.quantity_lots = event.quantity_lots
            left = event.remaining_lots
        else:
            order.is_open = False
            left = event.unfilled_lots
        expect(left == order.quantity_lots - order.filled_lots, "order-totals", f"order {event.order}: {event}")

    def _move(self, event: CashMoved) -> None:
        self._number(event)
        self.cash_e6[event.subaccount] += event.amount_e6
        self.collateral_e6 += event.amount_e6
        self._check_cash(event.subaccount, event.ledger_cash_e6)

    def _fund(self, event: FundingPaid) -> None:
        """A charge is what the published index says, rounded against the account; the clearing account has the rest."""
        self._number(event)
        cell = (event.subaccount, event.instrument)
        moved_e12 = self._index_e12[event.instrument] - self._paid_e12.get(cell, 0)
        shown = (event.position_lots, event.amount_e6, event.index_e12)
        own = (self.lots[cell], -self.lots[cell] * moved_e12 // 10**6, self._index_e12[event.instrument])
        expect(shown == own and moved_e12 != 0, "funding", f"account {cell[0]}: {shown}, own {own}")
        self._paid_e12[cell] = event.index_e12
        self.cash_e6[event.subaccount] += event.amount_e6
        self.cash_e6[1] -= event.amount_e6
        self._check_cash(event.subaccount, event.ledger_cash_e6)

    def _pay(self, event: FundPaid) -> None:
        """The fund pays an account out of fees."""
        self._number(event)
        self.cash_e6[event.subaccount] += event.amount_e6
        self.cash_e6[0] -= event.amount_e6
        self._fee_e6 -= event.amount_e6
        expect(self.cash_e6[0] >= 0, "fund", f"the fund is left with {self.cash_e6[0]}")
        self._check_cash(0, event.fund_cash_e6)
        self._check_cash(event.subaccount, event.ledger_cash_e6)
        ref = engine_ref(OrderKind.FUND, event.account_seq)
        self._leaves.append(
            OrderFill(account=event.subaccount, instrument=0, ref=ref, position_lots=0, notional_e6=0,
                      fee_e6=-event.amount_e6, kind=OrderKind.FUND)
        )  # fmt: skip

    def _deleverage(self, event: Deleveraged) -> None:
        """A bankrupt position and one on the other side shrink by the same lots, for the same money."""
        expect(event.trade == self.trade_count + 1, "fills-unique", f"trade {event.trade} after {self.trade_count}")
        self.trade_count = event.trade
        self._trades.append(event.trade)
        ref = engine_ref(OrderKind.ADL, event.trade)
        sides = ((event.bankrupt, event.bankrupt_lots, OrderKind.LIQUIDATION),
                 (event.counterparty, -event.bankrupt_lots, OrderKind.ADL))  # fmt: skip
        for side, lots, kind in sides:
            self._number(side)
            cell = (side.subaccount, event.instrument)
            before = self.lots[cell]
            after = self.lots[cell] = before + lots
            expect(after == side.position_lots and after * before >= 0 and abs(after) < abs(before),
                   "deleveraging-shrinks", f"trade {event.trade}: {side}")  # fmt: skip
            self.cash_e6[side.subaccount] -= event.notional_e6 if lots > 0 else -event.notional_e6
            self._check_cash(side.subaccount, side.ledger_cash_e6)
            self._leaves.append(
                OrderFill(account=side.subaccount, instrument=event.instrument, ref=ref, position_lots=lots,
                          notional_e6=event.notional_e6, fee_e6=0, kind=kind)
            )  # fmt: skip

    def _expire(self, event: PositionExpired) -> None:
        """A position becomes its payoff, rounded against the account; the clearing account has the rest."""
        self._number(event)
        lots = self.lots.pop((event.subaccount, event.instrument))
        shown, own = (event.position_lots, event.amount_e6), (lots, lots * self._value_e12[event.instrument] // 10**6)
        expect(shown == own and lots != 0, "expiry", f"account {event.subaccount}: {shown}, own {own}")
        self.cash_e6[event.subaccount] += event.amount_e6
        self.cash_e6[1] -= event.amount_e6
        self._check_cash(event.subaccount, event.ledger_cash_e6)

    def _check_cash(self, account: int, shown_e6: int) -> None:
        own_e6 = self.cash_e6[account]
        expect(shown_e6 == own_e6, "ledger-cash", f"account {account} at {self.sequence}: {shown_e6}, own sum {own_e6}")

    def _trade(self, event: Trade) -> None:
        expect(event.trade == self.trade_count + 1, "fills-unique", f"trade {event.trade} after {self.trade_count}")
        self.trade_count = event.trade
        self._trades.append(event.trade)
        self._fill(event, event.maker, Side(1 - event.taker_side))
        self._fill(event, event.taker, event.taker_side)
        maker = self.orders[event.maker.order]
        expect(maker.price_ticks == event.price_ticks, "price-is-the-makers", f"trade {event.trade}")

    def _fill(self, trade: Trade, side: FillSide, direction: Side) -> None:
        self._number(side)
        order = self.orders[side.order]
        sign = 1 if direction is Side.BUY else -1
        notional_e6 = trade.quantity_lots * trade.price_ticks * self._units[trade.instrument]
        self.cash_e6[side.subaccount] -= sign * notional_e6 + side.fee_e6
        self.cash_e6[0] += side.fee_e6
        self._fee_e6 += side.fee_e6
        order.filled_lots += trade.quantity_lots
        self._check_order(trade, side, order, direction)
        self._check_position(trade, side, order, sign)
        self._check_cash(side.subaccount, side.ledger_cash_e6)
        row = self._fills.setdefault((side.subaccount, order.digest, trade.instrument), [0, 0, 0])
        row[0] += sign * trade.quantity_lots
        row[1] += notional_e6
        row[2] += side.fee_e6

    def _check_order(self, trade: Trade, side: FillSide, order: _Order, direction: Side) -> None:
        is_live = order.is_open and not order.is_waiting
        expect(is_live and order.side is direction, "closed-stays-closed", f"trade {trade.trade}: {side}")
        within = (
            order.price_ticks >= trade.price_ticks if direction is Side.BUY else order.price_ticks <= trade.price_ticks
        )
        expect(within, "limit-price", f"trade {trade.trade} of order {side.order}")
        shown = (side.filled_lots, side.remaining_lots)
        own = (order.filled_lots, order.quantity_lots - order.filled_lots)
        expect(shown == own and own[1] >= 0, "order-totals", f"order {side.order}: {shown}, own sum {own}")

    def _check_position(self, trade: Trade, side: FillSide, order: _Order, sign: int) -> None:
        cell = (side.subaccount, trade.instrument)
        before = self.lots[cell]
        after = self.lots[cell] = before + sign * trade.quantity_lots
        if not before:
            self._paid_e12[cell] = self._index_e12.get(trade.instrument, 0)
        due = self._paid_e12.get(cell, 0) != self._index_e12.get(trade.instrument, 0)
        expect(not due, "funding", f"trade {trade.trade}: account {side.subaccount} was not charged before")
        expect(after == side.position_lots, "positions", f"trade {trade.trade}: {side.position_lots}, own sum {after}")
        if order.flags & OrderFlag.REDUCE_ONLY:
            expect(after * before >= 0 and abs(after) < abs(before), "reduce-only", f"trade {trade.trade}: {side}")

    def _close_batch(self, event: BatchClosed) -> None:
        shown = (event.batch, event.fill_count, event.fee_e6, event.request_up_to)
        own = (len(self.batches) + 1, len(self._trades), self._fee_e6, self.request_index)
        expect(shown == own, "batch-content", f"BatchClosed says {shown}, own sums {own}")
        fills = [
            OrderFill(account=account, instrument=number, ref=digest, position_lots=row[0], notional_e6=row[1],
                      fee_e6=row[2], kind=_kind_of(digest))
            for (account, digest, number), row in self._fills.items()
        ] + self._leaves  # fmt: skip
        root = self._root(event)
        self.batches.append(
            ClosedBatch(event.batch, root, orders_root(fills), tuple(self._trades), self._fee_e6,
                        self.request_index, self.collateral_e6)
        )  # fmt: skip
        self._trades, self._fills, self._leaves, self._fee_e6 = [], {}, [], 0

    def _root(self, event: BatchClosed) -> bytes:
        rows: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        for (account, number), lots in sorted(self.lots.items()):
            if lots:
                rows[account][number] = (lots, self._paid_e12.get((account, number), 0))
        accounts = {
            index: Account(self.owners.get(index, bytes(20)), self.cash_e6[index], rows[index])
            for index in (0, 1, *sorted(self.owners))
        }
        return self._ledger.commit(
            Effect(accounts=accounts, collateral_e6=self.collateral_e6, request_done=self.request_index,
                   last_match_to_s=event.match_to_s)
        )  # fmt: skip


def _kind_of(digest: bytes) -> OrderKind:
    """Orders of the engine's own are named by their kind and number; nobody signed a digest like that."""
    is_own = digest[:24] == bytes((OrderKind.LIQUIDATION,)) + bytes(23)
    return OrderKind.LIQUIDATION if is_own else OrderKind.ORDER


def expect(holds: bool, name: str, detail: str) -> None:
    """Raise InvariantBroken unless it holds."""
    if not holds:
        raise InvariantBroken(name, detail)
