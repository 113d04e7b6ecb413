"""What the fast stream of engine commands draws now and then: every other command, and orders that something refuses.

Nothing here looks at a state. A request of the chain comes right behind a batch cut, so that its batch has no fill and
its index is the next; sessions are counted as the engine counts them.
"""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from exchange.domain.commands import (
    Amend,
    BatchCut,
    CancelMany,
    CancelScope,
    ChainRequest,
    ChainRequestKind,
    Clock,
    Command,
    EpochStart,
    ListInstrument,
    OrderFlag,
    Place,
    PriceSource,
    SessionClose,
    SessionOpen,
    SetSelfTradePrevention,
    Side,
    Trigger,
    TriggerKind,
)
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.limits import MAX_MMP_GROUPS_PER_SUBACCOUNT
from exchange.domain.rounds import DelistInstrument, FundingRow, OracleRound, SettlementRow
from tests.differential.engine_safeguards import safeguard
from tests.differential.quote_commands import limits
from tests.unit.exchange.engine.world import PERP, PUT, SECOND_NS, START_S, instruments, owner

if TYPE_CHECKING:
    from tests.differential.engine_commands import FastStream

__all__ = ["QUIET", "SHORT_OPTIONS", "UNPRICED", "WIDE", "Rarities", "key", "odd_order", "owner_of", "short_option"]

E9 = 10**9
UNPRICED, WIDE, QUIET = PERP + 1, PERP + 2, PERP + 3
SHORT_OPTIONS = {4: 40, 5: 150, 6: 900}
"""Instrument by seconds after the start at which it ends."""
CROWDED = 9
"""An account with as many keys and protection groups as it may have."""
JOINED = 60
"""Accounts from here on belong to the owners of those 58 below."""


def key(account: int) -> bytes:
    """Address of an account's session key."""
    return (1 << 64 | account).to_bytes(20, "big")


def owner_of(account: int) -> bytes:
    """Owner of an account: accounts from `JOINED` on are second accounts."""
    return owner(account if account < JOINED else account - JOINED + 2)


def short_option(number: int) -> Instrument:
    """A put that ends while the stream goes on."""
    return replace(
        instruments()[2], instrument_id=number, name=f"BTC-{number}", expiry_s=START_S + SHORT_OPTIONS[number]
    )


def wide_perpetual() -> Instrument:
    """A perpetual whose products leave 128 bits, so that the handlers of the twin take its orders."""
    return Instrument(
        instrument_id=WIDE,
        name="WIDE-PERP",
        kind=InstrumentKind.PERPETUAL,
        underlying="WIDE",
        tick_e9=E9,
        lot_e9=E9,
        minimum_lots=1,
        maximum_lots=1 << 40,
        maximum_price_ticks=1 << 30,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
    )


ODD_ORDERS: list[Callable[[Random, Place, int], dict[str, Any]]] = [
    lambda pick, _, now: {"nonce": now + pick.choice((-1, 1)) * 700 * SECOND_NS},
    lambda pick, *_: {"nonce": pick.choice((0, 7, 17_900_000_00))},
    lambda *_: {"signer": b"\x07" * 20},
    lambda _, place, __: {"signer": key(place.subaccount)},
    lambda pick, _, now: {"expiry_s": now // SECOND_NS + pick.choice((0, 9, 10, 20_000_000))},
    lambda pick, _, now: {"expires_at_s": now // SECOND_NS + pick.choice((-1, 0, 10_000))},
    lambda pick, _, now: {"reject_after_ms": now // 1_000_000 + pick.choice((-1, 0, 1))},
    lambda *_: {"label": "etiqueta número uno"},
    lambda pick, *_: {"client_order_id": f"é{pick.randrange(1_000)}"},
    lambda *_: {"client_order_id": "x" * 64, "label": "y" * 300},
    lambda pick, *_: {"quantity_lots": pick.choice((0, 1_000_000, 1_000_001, 2**40))},
    lambda pick, *_: {"price_ticks": pick.choice((0, -1, 10_000_000, 10_000_001, 2**50))},
    lambda *_: {"flags": OrderFlag.SLIDE},
    lambda *_: {"flags": OrderFlag.POST_ONLY | OrderFlag.MARKET},
    lambda pick, *_: {"flags": pick.choice((OrderFlag.MMP, OrderFlag.CANCEL_ON_DISCONNECT, OrderFlag.LIQUIDATION))},
    lambda *_: {"flags": OrderFlag.KEEP_ON_DISCONNECT},
    lambda pick, *_: {"session": pick.choice((1, 2, 5, 10**6))},
    lambda pick, *_: {"domain": pick.randrange(256), "digest": b"\x01" * 32, "signature": b"\x02" * 65},
    lambda *_: {"digest": b"\x01" * 9, "signature": b"\x00" * 3},
    lambda pick, *_: {"instrument": pick.choice((UNPRICED, WIDE, *SHORT_OPTIONS)), "price_ticks": 800},
    lambda pick, *_: {"flags": OrderFlag.REDUCE_ONLY, "quantity_lots": pick.choice((1, 1_000))},
    lambda pick, *_: {"max_fee_e18": pick.choice((2**64 - 1, 2**64, 2**128 - 1))},
]


def odd_order(pick: Random, place: Place, now_ns: int, sent: list[Place]) -> Place:
    """An order with something rare about it, or one that was sent before, whole or in part."""
    at = pick.randrange(len(ODD_ORDERS) + 4)
    if at < len(ODD_ORDERS) or not sent:
        return replace(place, **ODD_ORDERS[at % len(ODD_ORDERS)](pick, place, now_ns))
    before = pick.choice(sent)
    if at % 2:
        return before
    is_named = before.client_order_id != "" and pick.random() < 0.7
    return replace(before, price_ticks=before.price_ticks + 1, nonce=place.nonce if is_named else before.nonce)


class Rarities:
    """Draws the commands that are no orders, cancels or amendments, each with those that must stand before it."""

    def __init__(self, stream: "FastStream") -> None:
        """`stream` gives randomness, time, prices and orders."""
        self.stream = stream
        self.pick = stream.random
        self.sessions = 0
        self.epoch = 0
        self.rounds = 0
        self.keys = 0
        self.table: list[tuple[int, Callable[[], list[Command]]]] = [
            (24, lambda: [stream.prices()]),
            (16, lambda: [Clock()]),
            (6, self.oracle_round),
            (2, self.delisting),
            (3, self.later),
            (6, lambda: [BatchCut()]),
            (8, self.cancel_many),
            (10, self.session),
            (12, self.request),
            (3, self.set_key),
            (2, self.another_key),
            (1, self.another_group),
            (5, self.self_trades),
            (3, self.safeguard),
            (22, self.trigger),
            (6, self.bracket),
            (4, self.amend_trigger),
            (1, self.listing),
        ]

    def listings(self) -> list[Command]:
        """Instruments beside those of the small market."""
        unpriced = replace(instruments()[0], instrument_id=UNPRICED, name="NEW-PERP", underlying="NEW")
        quiet = replace(instruments()[0], instrument_id=QUIET, name="QUIET-PERP")
        return [
            ListInstrument(instrument=one)
            for one in (unpriced, quiet, wide_perpetual(), *(short_option(number) for number in SHORT_OPTIONS))
        ]

    def next(self) -> list[Command]:
        """Commands to be applied one behind the other."""
        weights = [weight for weight, _ in self.table]
        ((_, make),) = self.pick.choices(self.table, weights)
        return make()

    def account(self) -> int:
        """Some account, at times a second account of its owner or one that is not there."""
        if self.pick.random() < 0.1:
            return JOINED + self.pick.randrange(12)
        return self.pick.randrange(2, 3 + self.stream.accounts)

    def oracle_round(self) -> list[Command]:
        """Publish funding and set other rates; now and then a round or a row that is refused."""
        pick = self.pick
        self.rounds += 1
        if pick.random() < 0.1:
            bad = pick.choice((FundingRow(PUT, 0), FundingRow(PERP, 10**9), FundingRow(12_345, 0)))
            return [OracleRound(round=pick.choice((0, self.rounds)), funding=(bad,))]
        numbers = sorted(pick.sample((PERP, WIDE, QUIET), pick.randrange(4)))
        rates = (-120_000_000, -1_000_003, 0, 100_000, 120_000_000)
        rows = tuple(FundingRow(number, pick.choice(rates)) for number in numbers)
        if pick.random() < 0.3:
            # Refused unless the expiry is over and the engine has too few samples of its own.
            end_s = START_S + pick.choice((*SHORT_OPTIONS.values(), 10**8))
            settled = (SettlementRow("BTC", end_s, self.stream.index * E9 + pick.randrange(E9)),)
            return [OracleRound(round=self.rounds, funding=rows, settlements=settled)]
        return [OracleRound(round=self.rounds, funding=rows)]

    def delisting(self) -> list[Command]:
        """Mostly of what has expired."""
        return [DelistInstrument(instrument=self.pick.choice((PERP, PUT, 12_345, *SHORT_OPTIONS)))]

    def later(self) -> list[Command]:
        """Seconds pass at once; mostly prices follow, which may have gone stale meanwhile."""
        before_ns = self.stream.now_ns
        self.stream.now_ns += self.pick.choice((1, 6, 20)) * SECOND_NS
        clocks: list[Command] = [Clock() for _ in range(self.pick.randrange(1, 4))]
        clocks += [DelistInstrument(instrument=number) for number in self._ended_since(before_ns)]
        return [*clocks, self.stream.prices()] if self.pick.random() < 0.9 else clocks

    def _ended_since(self, before_ns: int) -> list[int]:
        """Options whose end was jumped over: without samples they wait to be settled, and are held."""
        first_s, last_s = (time_ns // SECOND_NS - START_S for time_ns in (before_ns, self.stream.now_ns))
        return [number for number, end_s in SHORT_OPTIONS.items() if first_s < end_s <= last_s]

    def cancel_many(self) -> list[Command]:
        """All orders of an account, or those of a filter."""
        pick = self.pick
        given = pick.choice(
            ({}, {"label": "label"}, {"instrument": PERP}, {"instrument": PUT}, {"underlying": "BTC"}, {"label": "no"})
        )
        return [CancelMany(subaccount=self.account(), scope=pick.choice([*CancelScope]), **given)]

    def session(self) -> list[Command]:
        """A login by owner or key, its end, now and then a new writer."""
        pick = self.pick
        roll = pick.random()
        if roll < 0.02:
            self.epoch += 1
            return [EpochStart(epoch=self.epoch)]
        if roll < 0.5:
            number = max(1, self.sessions - pick.randrange(6))
            return [SessionClose(session=number, logged_out=pick.random() < 0.3)]
        if roll < 0.7:
            return [SessionOpen(owner=owner_of(self.account()), signer=pick.choice((b"\x09" * 20, b"")))]
        account = pick.randrange(2, self.stream.accounts)
        self.sessions += 1
        login = SessionOpen(owner=owner(account), signer=owner(account))
        flag = OrderFlag.CANCEL_ON_DISCONNECT
        changes = {"session": self.sessions, "flags": flag, "signer": owner(account), "subaccount": account}
        order = replace(self.stream.place(), price_ticks=1, side=Side.BUY, instrument=PERP, **changes)
        end = SessionClose(session=self.sessions, logged_out=pick.random() < 0.3)
        return [login, order, end] if pick.random() < 0.5 else [login, order]

    def request(self) -> list[Command]:
        """A deposit, withdrawal or cancel of the chain's queue; rarely a close-all or lock, or one out of order."""
        pick, kinds = self.pick, ChainRequestKind
        (kind,) = pick.choices(
            (kinds.DEPOSIT, kinds.WITHDRAW, kinds.CANCEL_ALL, kinds.CLOSE_ALL, kinds.LOCK), (60, 25, 12, 2, 1)
        )
        account = self.account() if kind is not kinds.LOCK else 1 + self.stream.accounts
        amount = pick.choice((0, 1, 10**8, 10**9, 10**10))
        if pick.random() < 0.1:
            index, amount = pick.choice(((0, amount), (self.stream.requests + 1, -1)))
            return [ChainRequest(index=index, kind=kind, account=account, amount_e6=amount, owner=owner_of(account))]
        return self.closing(account) if kind is kinds.CLOSE_ALL else self.queued(kind, account, amount_e6=amount)

    def closing(self, account: int) -> list[Command]:
        """The queue closes an account behind a round of prices; where it must wait, another request has its place."""
        prices = self.stream.prices()
        cut, request = self.queued(ChainRequestKind.CLOSE_ALL, account)
        return [prices, cut, request, replace(request, kind=ChainRequestKind.CANCEL_ALL)]

    def queued(self, kind: ChainRequestKind, account: int, **fields: object) -> list[Command]:
        """The next entry of the queue, in a batch of its own."""
        return [BatchCut(), self.stream.request(kind, account, owner=owner_of(account), **fields)]

    def set_key(self) -> list[Command]:
        """Register an account's key anew, for a while or for good, for some uses or accounts; or revoke it."""
        pick, account = self.pick, self.account()
        now_s = self.stream.now_ns // SECOND_NS
        fields = {
            "key": key(account),
            "valid_to_s": now_s + pick.choice((0, 30, 10**7, 10**7, 10**7, 2**33)),
            "scopes": pick.choice((1, 1 << 2, 1 << 2, 1 << 3, 1 << 5, 1 << 6, 1 << 8)),
            "accounts": pick.choice(((), (), (account,), (account, 99), (99,))),
        }
        return self.queued(ChainRequestKind.SET_KEY, account, **fields)

    def another_key(self) -> list[Command]:
        """One more key of one owner, until he has as many as he may, and then too many."""
        self.keys += 1
        fields = {"key": (2 << 64 | self.keys).to_bytes(20, "big"), "valid_to_s": 2**33, "scopes": 1 << 2}
        return self.queued(ChainRequestKind.SET_KEY, CROWDED, **fields)

    def another_group(self) -> list[Command]:
        """One of more protection groups than an account may have."""
        group = 10 + self.pick.randrange(MAX_MMP_GROUPS_PER_SUBACCOUNT + 1)
        return [replace(limits(self.pick, CROWDED, 1), mmp_group=group)]

    def safeguard(self) -> list[Command]:
        """A limit, rule or timer of an account."""
        account = self.account()
        return safeguard(self.pick, account, owner_of(account), key(account))

    def self_trades(self) -> list[Command]:
        """A mode and scope, mostly for an account whose orders were canceled before."""
        pick, account = self.pick, self.account()
        modes = (OrderFlag.NONE, OrderFlag.STP_CANCEL_MAKER, OrderFlag.STP_CANCEL_BOTH, OrderFlag.STP_DECREMENT_BOTH)
        mode = pick.choice((*modes, OrderFlag.MARKET if pick.random() < 0.1 else OrderFlag.NONE))
        change = SetSelfTradePrevention(subaccount=account, mode=mode, by_owner=pick.random() < 0.5)
        return [change] if pick.random() < 0.2 else [CancelMany(subaccount=account), change]

    def terms(self, place: Place) -> Trigger:
        """A trigger of any kind and source near the market."""
        pick = self.pick
        source, kind = pick.choice([*PriceSource]), pick.choice([*TriggerKind])
        around = self.stream.index if place.instrument == PERP or source is PriceSource.INDEX else 1_000
        if kind is TriggerKind.TRAILING:
            offset = pick.choice(({"offset_e9": around * 10**6}, {"offset_ppm": pick.choice((0, 500, 2_000))}))
            return Trigger(kind=kind, source=source, **offset)
        price = around * E9 + pick.randrange(-300, 301) * around * E9 // 60_000
        return Trigger(kind=kind, source=source, price_e9=price if pick.random() < 0.97 else 0)

    def trigger(self) -> list[Command]:
        """An order that waits for a price."""
        place = self.stream.place()
        if self.pick.random() < 0.05:
            place = replace(place, instrument=QUIET)
        return [self.stream.remember(replace(place, trigger=self.terms(place)))]

    def bracket(self) -> list[Command]:
        """Two orders on the other side of an order sent before, tied to it or to each other."""
        number, parent = self.stream.some()
        roll = self.pick.random()
        if roll < 0.3:
            return [replace(self.child(parent), trigger=replace(self.terms(parent), partner=number))]
        if roll < 0.5:
            lost = {"parent": number, "partner": number} if roll < 0.4 else {"parent": number}
            child = replace(self.child(parent), flags=OrderFlag.NONE)
            return [replace(child, trigger=replace(self.terms(parent), **lost))]
        return [replace(self.child(parent), trigger=replace(self.terms(parent), parent=number)) for _ in range(2)]

    def child(self, parent: Place) -> Place:
        """A reduce-only order against `parent`."""
        return replace(
            self.stream.place(),
            subaccount=parent.subaccount,
            signer=owner_of(parent.subaccount),
            instrument=parent.instrument,
            side=Side(1 - parent.side),
            flags=OrderFlag.REDUCE_ONLY,
            price_ticks=max(1, parent.price_ticks),
            session=0,
            client_order_id="",
        )

    def amend_trigger(self) -> list[Command]:
        """Another trigger price for an order that may have one."""
        number, place = self.stream.some()
        price = (self.stream.index + self.pick.randrange(-200, 201)) * E9
        return [Amend(subaccount=place.subaccount, order=number, quantity_lots=place.quantity_lots, trigger_e9=price)]

    def listing(self) -> list[Command]:
        """An instrument that is there already."""
        return [ListInstrument(instrument=self.pick.choice(instruments()))]
