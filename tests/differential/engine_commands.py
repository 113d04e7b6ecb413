"""A fast seeded stream of engine commands that does not look at the state: mostly orders, cancels and amendments."""

from collections import deque
from collections.abc import Iterator
from random import Random

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    ChainRequest,
    ChainRequestKind,
    Clock,
    Command,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    OrderFlag,
    Place,
    Replace,
    SessionOpen,
    SetPrices,
    Side,
    SignedAmend,
    TimeInForce,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.ids import order_number
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, SECOND_NS, START_S, instruments, owner

__all__ = ["FastStream"]

E9 = 10**9
FLAGS = (
    [OrderFlag.NONE] * 12
    + [OrderFlag.POST_ONLY, OrderFlag.POST_ONLY | OrderFlag.SLIDE, OrderFlag.REDUCE_ONLY, OrderFlag.MARKET]
    + [OrderFlag.STP_CANCEL_MAKER, OrderFlag.STP_CANCEL_BOTH, OrderFlag.STP_DECREMENT_BOTH, OrderFlag.STP_ACCOUNT]
)
FORCES = [TimeInForce.GTC] * 12 + [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]


class FastStream:
    """`opening()` and then `next()` give (command, time); the caller applies every command, in order."""

    def __init__(self, seed: int, *, accounts: int = 40) -> None:
        """Everything is a function of `seed`."""
        self.random = Random(seed)
        self.slices = Random(~seed)
        self.accounts = accounts
        self.now_ns = START_S * SECOND_NS
        self.sequence = 0
        self.requests = 0
        self.round = 0
        self.index = 60_000
        self.recent: deque[tuple[int, Place]] = deque(maxlen=2_000)

    def opening(self) -> Iterator[tuple[Command, int]]:
        """Listings, prices, deposits and a session key for every other account."""
        for instrument in instruments():
            yield self._timed(ListInstrument(instrument=instrument))
        yield self._timed(self._prices())
        for account in range(2, 2 + self.accounts):
            amount = 10**10 if account % 5 else 10**8
            yield self._timed(self._request(ChainRequestKind.DEPOSIT, account, amount_e6=amount))
            if account % 2:
                fields = {"key": key(account), "valid_to_s": START_S + 10**7, "scopes": 1 << 2}
                yield self._timed(self._request(ChainRequestKind.SET_KEY, account, **fields))

    def next(self) -> tuple[Command, int]:
        """One more command."""
        if self.slices.random() < 0.004:
            return self._timed(self._phase())
        roll = self.random.random()
        if roll < 0.55:
            return self._timed(self._place())
        if roll < 0.90:
            return self._timed(self._cancel())
        if roll < 0.95:
            return self._timed(self._amend())
        if roll < 0.98:
            return self._timed(self._change())
        return self._timed(self._rare(self.random.random()))

    def _timed(self, command: Command) -> tuple[Command, int]:
        self.sequence += 1
        self.now_ns += self.random.randrange(200_000)
        return command, self.now_ns

    def _place(self, trigger: Trigger | None = None) -> Place:
        pick = self.random
        account = pick.randrange(2, 3 + self.accounts)
        instrument = pick.choices((PERP, CALL, PUT, 99), (70, 15, 14, 1))[0]
        mark = {PERP: self.index * 10, CALL: 1_500, PUT: 800, 99: 1}[instrument]
        step = max(1, mark // 4_000)
        place = Place(
            subaccount=account,
            instrument=instrument,
            side=Side(pick.randrange(2)),
            time_in_force=pick.choice(FORCES),
            flags=pick.choice(FLAGS),
            price_ticks=max(0, mark + pick.randrange(-12, 13) * step),
            quantity_lots=pick.choice((1, 3, 10, 40, 400)) if pick.random() < 0.99 else 0,
            nonce=self.now_ns + pick.randrange(1_000),
            expiry_s=self.now_ns // SECOND_NS + pick.choice((15, 60, 600)),
            signer=key(account) if account % 2 and pick.random() < 0.5 else owner(account),
            max_fee_e18=pick.choice((0, 10**15, 10**21, 2**127)),
            expires_at_s=pick.choice((0, 0, self.now_ns // SECOND_NS + 12)),
            client_order_id=pick.choice(("", "", f"c{pick.randrange(10**6)}")),
            label=pick.choice(("", "label")),
            trigger=trigger,
            display_lots=self.slices.choice((0, 0, 0, 0, 1, 3, 10)),
        )
        self.recent.append((order_number(sequence=self.sequence + 1), place))
        return place

    def _some(self) -> tuple[int, Place]:
        if not self.recent:
            self._place()
        at = self.random.randrange(len(self.recent))
        return self.recent[at if self.random.random() < 0.3 else -1 - at // 20]

    def _cancel(self) -> Cancel:
        number, place = self._some()
        how = self.random.randrange(6)
        if how == 0:
            return Cancel(subaccount=place.subaccount, nonce=place.nonce)
        if how == 1 and place.client_order_id:
            return Cancel(subaccount=place.subaccount, client_order_id=place.client_order_id)
        return Cancel(subaccount=place.subaccount, order=number, instrument=place.instrument if how == 2 else 0)

    def _amend(self) -> Amend:
        number, place = self._some()
        return Amend(
            subaccount=place.subaccount, order=number, quantity_lots=self.random.randrange(place.quantity_lots + 2)
        )

    def _change(self) -> Command:
        number, place = self._some()
        fresh = self._place()
        if self.random.random() < 0.5:
            return Replace(target_order=number, order=fresh)
        return SignedAmend(target_order=number, order=fresh if self.random.random() < 0.2 else _same(place, fresh))

    def _rare(self, roll: float) -> Command:
        pick = self.random
        account = pick.randrange(2, 2 + self.accounts)
        if roll < 0.3:
            return self._prices()
        if roll < 0.5:
            return Clock()
        if roll < 0.6:
            return BatchCut()
        if roll < 0.65:
            return CancelMany(subaccount=account)
        if roll < 0.7:
            return SessionOpen(owner=owner(account), signer=owner(account))
        if roll < 0.8:
            kind = pick.choice((ChainRequestKind.DEPOSIT, ChainRequestKind.WITHDRAW))
            return ChainRequest(index=0, kind=kind, account=account, amount_e6=10**8, owner=owner(account))
        kind = pick.choice((TriggerKind.STOP, TriggerKind.TAKE_PROFIT))
        return self._place(Trigger(kind=kind, price_e9=(self.index + pick.randrange(-300, 301)) * E9))

    def _phase(self) -> SetPhase:
        """A call of some seconds, another deadline for it, or its end."""
        instrument, phase = self.slices.choice((PERP, CALL, PUT)), self.slices.choice((*Phase, Phase.CONTINUOUS))
        seconds = 0 if phase is Phase.CONTINUOUS else self.slices.choice((1, 30, 90_000))
        return SetPhase(
            instrument=instrument, phase=phase, deadline_ns=self.now_ns + seconds * SECOND_NS if seconds else 0
        )

    def _request(self, kind: ChainRequestKind, account: int, **fields: object) -> ChainRequest:
        self.requests += 1
        return ChainRequest(index=self.requests, kind=kind, account=account, owner=owner(account), **fields)

    def _prices(self) -> SetPrices:
        self.round += 1
        self.index = max(50_000, min(70_000, self.index + self.random.randrange(-100, 101)))
        return SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", self.index * E9),),
            expiries=(ExpiryRow("BTC", EXPIRY_S, self.index * E9),),
            marks=(MarkRow(PERP, self.index * E9), MarkRow(CALL, 1_500 * E9), MarkRow(PUT, 800 * E9)),
        )


def key(account: int) -> bytes:
    """Address of an account's session key."""
    return (1 << 64 | account).to_bytes(20, "big")


def _same(place: Place, fresh: Place) -> Place:
    """Another price and size for `place`, signed anew."""
    return Place(
        subaccount=place.subaccount,
        instrument=place.instrument,
        side=place.side,
        time_in_force=place.time_in_force,
        flags=place.flags,
        price_ticks=fresh.price_ticks if fresh.instrument == place.instrument else place.price_ticks,
        quantity_lots=fresh.quantity_lots,
        nonce=fresh.nonce,
        expiry_s=fresh.expiry_s,
        signer=owner(place.subaccount),
        max_fee_e18=place.max_fee_e18,
    )
