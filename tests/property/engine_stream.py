"""Seeded streams of commands for the engine, valid and invalid, that follow what the state holds."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    CancelScope,
    ChainRequest,
    ChainRequestKind,
    Clock,
    Command,
    EpochStart,
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
    SetSelfTradePrevention,
    Side,
    SignedAmend,
    TimeInForce,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.engine.state import State
from tests.differential.engine_safeguards import safeguard
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, SECOND_NS, START_S, instruments, owner

__all__ = ["Stream"]

_FLAGS = (
    [OrderFlag.NONE] * 8
    + [OrderFlag.POST_ONLY, OrderFlag.POST_ONLY | OrderFlag.SLIDE, OrderFlag.REDUCE_ONLY, OrderFlag.REDUCE_ONLY]
    + [OrderFlag.MARKET, OrderFlag.CANCEL_ON_DISCONNECT, OrderFlag.STP_CANCEL_MAKER, OrderFlag.STP_CANCEL_BOTH]
    + [OrderFlag.STP_DECREMENT_BOTH, OrderFlag.STP_DECREMENT_BOTH, OrderFlag.STP_ACCOUNT, OrderFlag.STP_ACCOUNT]
)
_FORCES = [TimeInForce.GTC] * 6 + [TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]
_MARKS = {CALL: 1_500, PUT: 800}


class Stream:
    """`commands(state)` yields (command, time); it looks at the state only to name what exists."""

    def __init__(self, seed: int, *, accounts: int = 8) -> None:
        """Everything is a function of `seed` and of the states shown."""
        self.random = Random(seed)
        self.halts = Random(~seed)
        self.accounts = accounts
        self.now_ns = START_S * SECOND_NS
        self.round = 0
        self.oracle_round = 0
        self.index = 60_000
        self.sent: list[Place] = []

    def opening(self) -> Iterator[tuple[Command, int]]:
        """Listings, a first round, deposits and one session key per account."""
        for instrument in instruments():
            yield ListInstrument(instrument=instrument), self.tick()
        yield self.prices(), self.tick()
        index = 0
        for account in range(2, 2 + self.accounts):
            index += 1
            amount = 30_000_000_000 if account % 4 else 1_000_000_000
            deposit = ChainRequestKind.DEPOSIT
            row = ChainRequest(index=index, kind=deposit, account=account, amount_e6=amount, owner=owner(account))
            yield row, self.tick()
            index += 1
            yield self.key_request(index, account), self.tick()

    def next(self, state: State) -> tuple[Command, int]:
        """One more command."""
        roll = self.random.random()
        table = (
            (0.45, self.place),
            (0.57, self.trigger_order),
            (0.72, self.cancel),
            (0.75, self.amend),
            (0.78, self.amend_signed),
            (0.83, self.replace),
            (0.84, self.cancel_many),
            (0.845, self.self_trades),
            (0.853, self.safeguard),
            (0.88, self.session),
            (0.92, self.request),
            (0.96, lambda _: self.prices()),
            (0.97, lambda _: BatchCut(allows_empty=self.now_ns // 1_000 % 4 == 0)),
            (0.98, lambda _: self.phase()),
            (0.985, lambda _: self.oracle()),
        )
        for bound, make in table:
            if roll < bound:
                return make(state), self.tick()
        jump = self.random.choice((0, 0, SECOND_NS, SECOND_NS, 2 * SECOND_NS, 40 * SECOND_NS))
        return Clock(), self.tick(jump)

    def oracle(self) -> OracleRound:
        """Publish funding and set another rate; at times a round that was before, or a rate beyond its cap."""
        self.oracle_round += self.random.choice((0, 1, 1, 1))
        rate_e9 = self.random.choice((-120_000_000, -77, 0, 100_000, 120_000_000, 120_000_001))
        return OracleRound(round=self.oracle_round, funding=(FundingRow(PERP, rate_e9),))

    def phase(self) -> SetPhase:
        """A call of some seconds, another deadline for it, or its end."""
        instrument, phase = self.random.choice((PERP, CALL, PUT, 99)), self.random.choice((*Phase, Phase.CONTINUOUS))
        seconds = 0 if phase is Phase.CONTINUOUS else self.random.choice((0, 1, 30, 90, 90_000))
        deadline_ns = self.now_ns + seconds * SECOND_NS if seconds else 0
        return SetPhase(instrument=instrument, phase=phase, deadline_ns=deadline_ns)

    def tick(self, jump_ns: int = 0) -> int:
        """Time goes on by microseconds, or stands still."""
        self.now_ns += jump_ns + self.random.choice((0, 1_000, 50_000))
        return self.now_ns

    def place(self, state: State) -> Place:
        """An order near the mark; sometimes a repeat, sometimes malformed."""
        pick = self.random
        if self.sent and pick.random() < 0.05:
            return pick.choice(self.sent)
        account = pick.randrange(2, 3 + self.accounts)
        instrument = pick.choice((PERP, PERP, PERP, CALL, PUT, 99 if pick.random() < 0.1 else CALL))
        mark = self.index * 10 if instrument == PERP else _MARKS.get(instrument, 100)
        signer = owner(account) if pick.random() < 0.6 else _key(account)
        own = [number for number, session in state.sessions.items() if session.owner == owner(account)]
        session = pick.choice([0, *own]) if pick.random() < 0.97 else 7
        place = Place(
            subaccount=account,
            instrument=instrument,
            side=pick.choice((Side.BUY, Side.SELL)),
            time_in_force=pick.choice(_FORCES),
            flags=pick.choice(_FLAGS),
            price_ticks=max(0, mark + pick.randrange(-8, 9) * max(1, mark // 2_000)),
            quantity_lots=pick.choice(
                (0, 1, 5, 10, 50, 100, 500, 2_000_000) if pick.random() < 0.1 else (1, 5, 20, 80)
            ),
            nonce=self.now_ns + pick.randrange(1_000_000),
            expiry_s=self.now_ns // SECOND_NS
            + (pick.choice((30, 60, 600, 3_600)) if pick.random() < 0.97 else pick.choice((5, 99_999_999))),
            signer=signer,
            max_fee_e18=pick.choice((0, 10**21)),
            expires_at_s=pick.choice((0, 0, 0, self.now_ns // SECOND_NS + 20)),
            reject_after_ms=pick.choice((0,) * 20 + (1, 2_000_000_000_000)),
            session=session,
            client_order_id=pick.choice(("", "", f"c{pick.randrange(4_000)}")),
            label=pick.choice(("", "a", "b")),
            display_lots=pick.choice((1, 5, 20)) if pick.random() < 0.15 else 0,
        )
        self.sent = [*self.sent[-50:], place]
        return place

    def trigger_order(self, state: State) -> Place:
        """An order like any other that waits for a price, alone or tied to an order of its account."""
        pick, place = self.random, self.place(state)
        source = pick.choice([*PriceSource])
        mark_e9 = (self.index if place.instrument == PERP else _MARKS.get(place.instrument, 100)) * 10**9
        if source is PriceSource.INDEX:
            mark_e9 = self.index * 10**9
        kind = pick.choice([*TriggerKind])
        step_e9 = mark_e9 // 2_000
        if kind is TriggerKind.TRAILING:
            terms = pick.choice(({"offset_e9": step_e9 * 2}, {"offset_ppm": pick.choice((500, 2_000, 0))}))
        else:
            terms = {"price_e9": max(0, mark_e9 + pick.randrange(-6, 7) * step_e9)}
        trigger = Trigger(kind=kind, source=source, **terms)
        live = state.live_orders(place.subaccount) if place.subaccount in state.accounts else []
        if not live or pick.random() < 0.5:
            return msgspec.structs.replace(place, trigger=trigger)
        target = pick.choice(live)
        if pick.random() < 0.5:
            trigger = msgspec.structs.replace(trigger, partner=target.number)
            return msgspec.structs.replace(place, instrument=target.place.instrument, trigger=trigger)
        return msgspec.structs.replace(
            place,
            instrument=target.place.instrument,
            side=Side(1 - target.place.side),
            flags=OrderFlag.REDUCE_ONLY,
            price_ticks=max(1, target.price_ticks),
            trigger=msgspec.structs.replace(trigger, parent=target.number),
        )

    def cancel(self, state: State) -> Cancel:
        """Mostly an existing order by number; else by nonce, client id, or nothing known."""
        order = self.some_order(state)
        if order is None or self.random.random() < 0.1:
            return Cancel(subaccount=self.random.randrange(12), order=self.random.randrange(1 << 20))
        place = order.place
        how = self.random.randrange(3)
        if how == 1:
            return Cancel(subaccount=place.subaccount, nonce=place.nonce, instrument=place.instrument)
        if how == 2 and place.client_order_id:
            return Cancel(subaccount=place.subaccount, client_order_id=place.client_order_id)
        return Cancel(subaccount=place.subaccount, order=order.number)

    def amend(self, state: State) -> Command:
        """Lower, raise or empty an order."""
        order = self.some_order(state)
        if order is None:
            return Amend(subaccount=2, order=1, quantity_lots=1)
        lots = self.random.randrange(0, order.quantity_lots + 2)
        trigger_e9 = max(0, order.trigger_e9 + self.random.randrange(-9, 10) * 10**9) if order.trigger_e9 else 0
        return Amend(subaccount=order.place.subaccount, order=order.number, quantity_lots=lots, trigger_e9=trigger_e9)

    def amend_signed(self, state: State) -> Command:
        """Another price or size for an order, mostly with its own instrument and side."""
        pick, place = self.random, self.place(state)
        order = self.some_order(state)
        if order is None or pick.random() < 0.05:
            return SignedAmend(target_order=pick.randrange(1 << 20), order=place)
        now = order.place
        is_own = pick.random() < 0.9
        terms = msgspec.structs.replace(
            place,
            subaccount=now.subaccount,
            signer=owner(now.subaccount),
            session=0,
            instrument=now.instrument if is_own else place.instrument,
            side=now.side if is_own else place.side,
            price_ticks=max(0, now.price_ticks + pick.randrange(-3, 4) * max(1, now.price_ticks // 2_000)),
            quantity_lots=max(0, order.quantity_lots + pick.randrange(-5, 6)),
        )
        trigger_e9 = order.trigger_e9 + pick.randrange(-9, 10) * 10**9 if order.trigger_e9 else 0
        return SignedAmend(
            target_order=order.number,
            order=terms,
            expected_filled_lots=pick.choice((-1, -1, -1, 0)),
            trigger_e9=max(0, trigger_e9) if pick.random() < 0.5 else 0,
        )

    def replace(self, state: State) -> Command:
        """A new order for an old one, sometimes with a wrong expectation."""
        place = self.place(state)
        rows = state.account_orders.get(place.subaccount)
        target = self.random.choice(sorted(rows)) if rows else self.random.randrange(1 << 20)
        return Replace(target_order=target, order=place, expected_filled_lots=self.random.choice((-1, -1, 0, 3)))

    def cancel_many(self, _: State) -> Command:
        """By label or by instrument."""
        pick = self.random
        return CancelMany(
            subaccount=pick.randrange(2, 12),
            instrument=pick.choice((CALL, PERP)),
            label=pick.choice(("", "a")),
            scope=pick.choice([*CancelScope]),
        )

    def self_trades(self, _: State) -> Command:
        """A mode and scope for an account; mostly one that has orders and is refused."""
        pick = self.random
        modes = (OrderFlag.NONE, OrderFlag.STP_CANCEL_MAKER, OrderFlag.STP_DECREMENT_BOTH, OrderFlag.MARKET)
        return SetSelfTradePrevention(
            subaccount=pick.randrange(2, 3 + self.accounts), mode=pick.choice(modes), by_owner=pick.random() < 0.5
        )

    def safeguard(self, _: State) -> Command:
        """Limits or the end of a key, a wallet's rule, a dead-man timer."""
        account = self.random.randrange(2, 3 + self.accounts)
        return safeguard(self.random, account, owner(account), _key(account), lifts=0.7)[0]

    def session(self, state: State) -> Command:
        """Logins, ends, a new writer now and then."""
        pick = self.random
        if pick.random() < 0.05:
            return EpochStart(epoch=state.epoch + 1)
        if state.sessions and pick.random() < 0.5:
            return SessionClose(session=pick.choice(list(state.sessions)), logged_out=pick.random() < 0.3)
        account = pick.randrange(2, 3 + self.accounts)
        return SessionOpen(owner=owner(account), signer=pick.choice((owner(account), _key(account))))

    def request(self, state: State) -> Command:
        """Mostly the next entry of the queue, any kind."""
        pick = self.random
        index = state.request_index + pick.choice((1, 1, 1, 1, 0, 2))
        account = pick.randrange(2, 4 + self.accounts)
        common = [ChainRequestKind.DEPOSIT] * 5 + [ChainRequestKind.WITHDRAW] * 4 + [*ChainRequestKind][2:5]
        kind = ChainRequestKind.LOCK if pick.random() < 0.005 else pick.choice(common)
        if kind is ChainRequestKind.SET_KEY:
            return self.key_request(index, account)
        amount = pick.choice(
            (0, 1_000_000, 5_000_000_000, 10**15 if kind is ChainRequestKind.WITHDRAW and pick.random() < 0.1 else 77)
        )
        return ChainRequest(index=index, kind=kind, account=account, amount_e6=amount, owner=owner(account))

    def key_request(self, index: int, account: int) -> ChainRequest:
        """Register the account's key, rarely revoke it."""
        now_s = self.now_ns // SECOND_NS
        valid_to_s = now_s if self.random.random() < 0.05 else now_s + 20_000_000
        scopes = self.random.choice((1, 1 << 2, 1 << 3, 1 << 2 | 1 << 5, 1 << 5, 1 << 6, 1 << 8))
        return ChainRequest(
            index=index,
            kind=ChainRequestKind.SET_KEY,
            account=account,
            owner=owner(account),
            key=_key(account),
            valid_to_s=valid_to_s,
            scopes=scopes,
        )

    def prices(self) -> SetPrices:
        """A round near the last; sometimes a stale or a bad one, or a feed without a price."""
        pick = self.random
        self.round += pick.choice((1, 1, 1, 1, 1, 0)) if self.round else 1
        self.index = max(50_000, min(70_000, self.index + pick.randrange(-300, 301)))
        e9 = 10**9
        if self.round > 1 and self.halts.random() < 0.03:
            return SetPrices(round=self.round, underlyings=(UnderlyingRow("BTC", 0, 0, is_halted=True),))
        return SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", (0 if self.round > 1 and pick.random() < 0.05 else self.index) * e9),),
            expiries=(ExpiryRow("BTC", EXPIRY_S, self.index * e9),),
            marks=(MarkRow(PERP, self.index * e9), MarkRow(CALL, 1_500 * e9), MarkRow(PUT, 800 * e9)),
        )

    def some_order(self, state: State) -> Any:
        """An open order, at times a closed one."""
        tables = (state.closed_orders, state.waiting_orders, state.open_orders)
        table = self.random.choices(tables, (15, 20, 65))[0]
        return table[self.random.choice(sorted(table)[-60:])] if table else None


def _key(account: int) -> bytes:
    return (1 << 64 | account).to_bytes(20, "big")
