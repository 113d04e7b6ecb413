"""Simulated clients: they know only what they were answered, repeat themselves, err, and ask again after a crash."""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random

import msgspec

from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    ChainRequest,
    ChainRequestKind,
    Command,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    PriceSource,
    Replace,
    SessionClose,
    SessionOpen,
    SetPrices,
    Side,
    SignedAmend,
    TimeInForce,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.events import OrderAccepted, OrderAmended, OrderClosed, SessionOpened
from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.rounds import FundingRow, OracleRound, SettlementRow
from exchange.domain.views import GetAccount, GetOpenOrders, GetOrder, GetSummary, OrderView, Output, Query
from tests.simulation.history import InvariantBroken, Operation, Outcome

__all__ = ["E9", "START_S", "Client", "PriceFeed", "instruments", "key_of", "owner_of"]

E9 = 10**9
START_S = 1_800_000_000
PERP, CALL, PUT, SHORT_CALL = PERPETUAL_BIT | 1, 2, 3, 4
MARKS = {CALL: 1_500, PUT: 800, SHORT_CALL: 300}
UNKNOWN_INSTRUMENT = 99
_FLAGS = (
    *[OrderFlag.NONE] * 8,
    OrderFlag.POST_ONLY,
    OrderFlag.POST_ONLY | OrderFlag.SLIDE,
    OrderFlag.REDUCE_ONLY,
    OrderFlag.REDUCE_ONLY,
    OrderFlag.MARKET,
    OrderFlag.CANCEL_ON_DISCONNECT,
    OrderFlag.STP_CANCEL_MAKER,
    OrderFlag.STP_CANCEL_BOTH,
    OrderFlag.STP_DECREMENT_BOTH,
)
_FORCES = (*[TimeInForce.GTC] * 6, TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD)


def owner_of(account: int) -> bytes:
    """Address of an account's owner."""
    return account.to_bytes(20, "big")


def key_of(account: int) -> bytes:
    """Address of the account's session key."""
    return (1 << 64 | account).to_bytes(20, "big")


def instruments() -> list[Instrument]:
    """A perpetual, a call, a put, and a call that ends during the run."""
    common = {"underlying": "BTC", "minimum_lots": 1, "maximum_lots": 1_000_000, "maker_fee_ppm": 100,
              "taker_fee_ppm": 300}  # fmt: skip
    perpetual = Instrument(
        instrument_id=PERP, name="BTC-PERP", kind=InstrumentKind.PERPETUAL, tick_e9=E9 // 10, lot_e9=E9 // 1_000,
        maximum_price_ticks=10_000_000, **common,
    )  # fmt: skip
    rows = ((CALL, InstrumentKind.CALL, 70_000, 30 * 86_400), (PUT, InstrumentKind.PUT, 50_000, 30 * 86_400),
            (SHORT_CALL, InstrumentKind.CALL, 61_000, 12))  # fmt: skip
    options = [
        Instrument(
            instrument_id=number, name=f"BTC-{number}", kind=kind, tick_e9=E9, lot_e9=E9 // 100,
            maximum_price_ticks=1_000_000, strike_e9=strike * E9, expiry_s=START_S + life_s, **common,
        )
        for number, kind, strike, life_s in rows
    ]  # fmt: skip
    return [perpetual, *options]


class PriceFeed:
    """Lists the instruments once, then walks the index; sometimes a stale or a bad round."""

    def __init__(self, random: Random, invoke: Callable[[Operation], bool]) -> None:
        self._random = random
        self._invoke = invoke
        self._listed = 0
        self.index = 60_000
        self.round = 0
        self.oracle_round = 0

    def act(self) -> None:
        """One more listing, then rounds of prices."""
        rows = instruments()
        if self._listed < len(rows):
            listing = ListInstrument(instrument=rows[self._listed])
            self._invoke(Operation("feed", (listing,), self._on_listed))
        elif self._random.random() < 0.1:
            self._invoke(Operation("feed", (self._round(),), lambda _: None))
        else:
            self._invoke(Operation("feed", (self._prices(),), lambda _: None))

    def _round(self) -> OracleRound:
        """Publish funding and set another rate; at times a round that was before."""
        self.oracle_round += self._random.choice((0, 1, 1, 1, 1))
        rate_e9 = self._random.choice((-120_000_000, -77, 0, 100_000, 120_000_000))
        funding = (FundingRow(PERP, rate_e9),)
        if self._random.random() < 0.3:
            # The short call lives less than the half hour that is averaged: governance settles it, once it is over.
            expiry_s = instruments()[-1].expiry_s
            row = SettlementRow("BTC", expiry_s, self.index * E9 + self._random.randrange(E9))
            return OracleRound(round=self.oracle_round, funding=funding, settlements=(row,))
        return OracleRound(round=self.oracle_round, funding=funding)

    def _on_listed(self, outputs: Sequence[Output] | None) -> None:
        if outputs is not None:
            self._listed += 1

    def _prices(self) -> SetPrices:
        pick = self._random
        self.round += pick.choice((0, 1, 1, 1, 1, 1)) if self.round else 1
        self.index = max(55_000, min(65_000, self.index + pick.randrange(-150, 151)))
        index_e9 = (0 if self.round > 1 and pick.random() < 0.03 else self.index) * E9
        expiries = sorted({row.expiry_s for row in instruments() if row.is_option})
        return SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", index_e9),),
            expiries=tuple(ExpiryRow("BTC", expiry_s, self.index * E9) for expiry_s in expiries),
            marks=(MarkRow(PERP, self.index * E9), *(MarkRow(number, mark * E9) for number, mark in MARKS.items())),
        )


class Client:
    """One trader with one account, at most a few operations in flight."""

    def __init__(
        self, account: int, random: Random, invoke: Callable[[Operation], bool], clock_ns: Callable[[], int],
        mid: Callable[[], int],
    ) -> None:  # fmt: skip
        self.account = account
        self.history: list[Operation] = []
        self._random = random
        self._invoke = invoke
        self._clock_ns = clock_ns
        self._mid = mid
        self._open: dict[int, Place] = {}
        self._sent: list[Place] = []
        self._times_sent: Counter[bytes] = Counter()
        self._again: list[Place] = []
        self._sessions: list[int] = []
        self._in_flight = 0
        self._serial = 0

    def act(self) -> None:
        """Invoke one operation, if not too many wait."""
        if self._in_flight >= 6:
            return
        roll = self._random.random()
        table: tuple[tuple[float, Callable[[], tuple[Command, ...] | Query]], ...] = (
            (0.46, self._place),
            (0.54, self._trigger_order),
            (0.68, self._cancel),
            (0.72, self._amend),
            (0.74, self._amend_signed),
            (0.80, self._replace),
            (0.82, self._cancel_many),
            (0.86, self._session),
            (0.90, self._together),
            (0.97, self._question),
            (1.00, self._nonsense),
        )
        made = next(make for bound, make in table if roll < bound)()
        if isinstance(made, tuple):
            self._start(Operation(f"client {self.account}", made, self._learn))
        else:
            self._start(Operation(f"client {self.account}", (), self._learn_answer, query=made))

    def on_restart(self) -> None:
        """Sessions are gone; what had no answer is looked up and often sent again, word for word."""
        self._sessions.clear()
        self._in_flight = 0
        for operation in self.history:
            if operation.outcome in (Outcome.FOUND, Outcome.ABSENT):
                for command in operation.commands:
                    if isinstance(command, Place) and command.client_order_id:
                        self._look_up(command, was_found=operation.outcome is Outcome.FOUND)
        self.history.clear()

    def _look_up(self, place: Place, *, was_found: bool) -> None:
        was_sent_once = self._times_sent[place.digest] == 1

        def compare(answer: object) -> None:
            is_known = isinstance(answer, OrderView) and answer.nonce == place.nonce
            if is_known and was_sent_once and not was_found:
                raise InvariantBroken("unanswered-is-discoverable", f"{place.client_order_id} came from nowhere")

        query = GetOrder(subaccount=self.account, client_order_id=place.client_order_id)
        self._invoke(Operation(f"client {self.account}", (), compare, query=query))
        if self._random.random() < 0.5:
            self._again.append(place)

    def _start(self, operation: Operation) -> None:
        if self._invoke(operation):
            self.history = [*self.history[-30:], operation]
            self._in_flight += 1

    def _learn_answer(self, answer: object) -> None:
        self._in_flight = max(0, self._in_flight - 1)

    def _learn(self, outputs: Sequence[Output] | None) -> None:
        self._in_flight = max(0, self._in_flight - 1)
        for event in (event for output in outputs or () for event in output.events):
            if isinstance(event, OrderAccepted) and event.subaccount == self.account:
                self._open[event.order] = next(
                    (place for place in reversed(self._sent) if place.digest == event.digest), self._sent[-1]
                )
            elif isinstance(event, SessionOpened):
                self._sessions.append(event.session)
            elif isinstance(event, OrderClosed):
                self._open.pop(event.order, None)
            elif isinstance(event, OrderAmended) and event.order in self._open:
                place = msgspec.structs.replace(self._open[event.order], quantity_lots=event.quantity_lots)
                self._open[event.order] = place
        while len(self._open) > 60:
            self._open.pop(next(iter(self._open)))

    def _place(self) -> tuple[Command, ...]:
        if self._again:
            return (self._remember(self._again.pop()),)
        if self._sent and self._random.random() < 0.04:
            return (self._remember(self._random.choice(self._sent)),)
        return (self._new_order(),)

    def _new_order(self) -> Place:
        pick = self._random
        instrument = pick.choice((PERP, PERP, PERP, CALL, PUT, SHORT_CALL))
        if pick.random() < 0.01:
            instrument = UNKNOWN_INSTRUMENT
        mark = self._mid() * 10 if instrument == PERP else MARKS.get(instrument, 100)
        now_s = self._clock_ns() // E9
        self._serial += 1
        return self._remember(
            Place(
                subaccount=self.account,
                instrument=instrument,
                side=pick.choice((Side.BUY, Side.SELL)),
                time_in_force=pick.choice(_FORCES),
                flags=pick.choice(_FLAGS),
                price_ticks=max(0, mark + pick.randrange(-8, 9) * max(1, mark // 2_000)),
                quantity_lots=pick.choice((1, 5, 20, 80)) if pick.random() < 0.97 else pick.choice((0, 2_000_000)),
                nonce=self._clock_ns() + pick.randrange(1_000_000),
                expiry_s=now_s + (pick.choice((11, 30, 600)) if pick.random() < 0.97 else 5),
                expires_at_s=pick.choice((0, 0, 0, now_s + 2)),
                signer=owner_of(self.account) if pick.random() < 0.6 else key_of(self.account),
                max_fee_e18=10**21 if pick.random() < 0.97 else 0,
                session=pick.choice((0, *self._sessions[-3:])),
                digest=blake2b(f"{self.account}/{self._serial}".encode(), digest_size=32).digest(),
                signature=bytes([self.account]) * 65,
                client_order_id=pick.choice(("", f"c{self._serial}", f"c{self._serial}", f"c{self._serial // 7}")),
                label=pick.choice(("", "a", "b")),
            )
        )

    def _trigger_order(self) -> tuple[Command, ...]:
        """A new order that waits for a price, at times tied to an open one."""
        pick, place = self._random, self._new_order()
        mark_e9 = (self._mid() if place.instrument == PERP else MARKS.get(place.instrument, 100)) * E9
        kind, source = pick.choice([*TriggerKind]), pick.choice([*PriceSource])
        if source is PriceSource.INDEX:
            mark_e9 = self._mid() * E9
        terms = {"price_e9": mark_e9 + pick.randrange(-6, 7) * (mark_e9 // 4_000)}
        if kind is TriggerKind.TRAILING:
            terms = {"offset_e9": mark_e9 // 1_000} if pick.random() < 0.5 else {"offset_ppm": 1_000}
        chosen = self._some_order()
        if chosen is None or pick.random() < 0.5:
            return (self._waiting(place, Trigger(kind=kind, source=source, **terms)),)
        number, tied_to = chosen
        place = msgspec.structs.replace(place, instrument=tied_to.instrument)
        if pick.random() < 0.5:
            return (self._waiting(place, Trigger(kind=kind, source=source, partner=number, **terms)),)
        child = msgspec.structs.replace(
            place, side=Side(1 - tied_to.side), flags=OrderFlag.REDUCE_ONLY, price_ticks=tied_to.price_ticks
        )
        return (self._waiting(child, Trigger(kind=kind, source=source, parent=number, **terms)),)

    def _waiting(self, place: Place, trigger: Trigger) -> Place:
        self._times_sent[place.digest] -= 1
        self._sent.pop()
        return self._remember(msgspec.structs.replace(place, trigger=trigger))

    def _amend_signed(self) -> tuple[Command, ...]:
        """Another price and size for an order, under a new signature."""
        order, now = self._some_order() or (77, None)
        terms = self._new_order()
        self._sent.pop()
        self._times_sent[terms.digest] -= 1
        if now is not None:
            terms = msgspec.structs.replace(
                terms, instrument=now.instrument, side=now.side, price_ticks=max(1, now.price_ticks - 1)
            )
        terms = msgspec.structs.replace(terms, client_order_id="")
        return (SignedAmend(target_order=order, order=terms, expected_filled_lots=self._random.choice((-1, -1, 0))),)

    def _remember(self, place: Place) -> Place:
        self._sent = [*self._sent[-40:], place]
        self._times_sent[place.digest] += 1
        return place

    def _some_order(self) -> tuple[int, Place] | None:
        if not self._open or self._random.random() < 0.03:
            return None
        return self._random.choice(list(self._open.items()))

    def _cancel(self) -> tuple[Command, ...]:
        chosen = self._some_order()
        if chosen is None:
            return (Cancel(subaccount=self.account, order=self._random.randrange(1, 1 << 30)),)
        order, place = chosen
        self._open.pop(order)
        how = self._random.randrange(3)
        if how == 1:
            return (Cancel(subaccount=self.account, nonce=place.nonce),)
        if how == 2 and place.client_order_id:
            return (Cancel(subaccount=self.account, client_order_id=place.client_order_id),)
        return (Cancel(subaccount=self.account, order=order),)

    def _amend(self) -> tuple[Command, ...]:
        order, place = self._some_order() or (77, None)
        lots = self._random.randrange(0, place.quantity_lots + 2) if place else 1
        return (Amend(subaccount=self.account, order=order, quantity_lots=lots),)

    def _replace(self) -> tuple[Command, ...]:
        order, _ = self._some_order() or (77, None)
        expected = self._random.choice((-1, -1, 0, 3))
        return (Replace(target_order=order, order=self._new_order(), expected_filled_lots=expected),)

    def _cancel_many(self) -> tuple[Command, ...]:
        label = self._random.choice(("", "a"))
        return (CancelMany(subaccount=self.account, instrument=self._random.choice((0, PERP)), label=label),)

    def _session(self) -> tuple[Command, ...]:
        if self._sessions and self._random.random() < 0.5:
            session = self._sessions.pop(self._random.randrange(len(self._sessions)))
            return (SessionClose(session=session, logged_out=self._random.random() < 0.3),)
        signer = self._random.choice((owner_of(self.account), key_of(self.account)))
        return (SessionOpen(owner=owner_of(self.account), signer=signer),)

    def _together(self) -> tuple[Command, ...]:
        return tuple(self._new_order() for _ in range(self._random.randrange(2, 5)))

    def _question(self) -> Query:
        queries: tuple[Query, ...] = (
            GetSummary(),
            GetAccount(subaccount=self.account),
            GetOpenOrders(subaccount=self.account),
        )
        return self._random.choice(queries)

    def _nonsense(self) -> tuple[Command, ...]:
        pick = self._random
        order = self._new_order()
        commands: tuple[Command, ...] = (
            msgspec.structs.replace(order, subaccount=500),
            msgspec.structs.replace(order, signer=owner_of(501)),
            msgspec.structs.replace(order, nonce=17),
            msgspec.structs.replace(order, session=10**6),
            ChainRequest(index=pick.randrange(1, 4), kind=ChainRequestKind.DEPOSIT, account=2, amount_e6=10**12),
            SessionClose(session=10**6),
            BatchCut(),
        )
        return (pick.choice(commands),)
