"""A fast seeded stream of engine commands that does not look at the state: mostly orders, cancels and amendments."""

from collections import deque
from collections.abc import Iterator
from random import Random

from msgspec.structs import replace

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    Amend,
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
    Replace,
    SessionOpen,
    SetPrices,
    Side,
    SignedAmend,
    TimeInForce,
    UnderlyingRow,
)
from exchange.domain.ids import order_number
from tests.differential.engine_rarities import QUIET, SHORT_OPTIONS, WIDE, Rarities, key, odd_order, owner_of
from tests.differential.limit_commands import LimitCommands
from tests.differential.portfolio_commands import PortfolioCommands
from tests.differential.quote_commands import GROUPS, MAKERS, group_order, limits, mass_quote, reset
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, SECOND_NS, START_S, instruments, owner

__all__ = ["FastStream"]

E9 = 10**9
FLAGS = (
    [OrderFlag.NONE] * 12
    + [OrderFlag.POST_ONLY, OrderFlag.POST_ONLY | OrderFlag.SLIDE, OrderFlag.REDUCE_ONLY, OrderFlag.MARKET]
    + [OrderFlag.STP_CANCEL_MAKER, OrderFlag.STP_CANCEL_BOTH, OrderFlag.STP_DECREMENT_BOTH, OrderFlag.STP_ACCOUNT]
)
FORCES = [TimeInForce.GTC] * 12 + [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]
MARKS = {CALL: 1_500, PUT: 800, 99: 1, WIDE: 1 << 20, **dict.fromkeys(SHORT_OPTIONS, 800)}


class FastStream:
    """`opening()` and then `next()` give (command, time); the caller applies every command, in order."""

    def __init__(
        self, seed: int, *, accounts: int = 40, draws_portfolios: bool = True, draws_limits: bool = False
    ) -> None:
        """Everything is a function of `seed`.

        Without `draws_portfolios` nobody chooses Portfolio Margin, with `draws_limits` markets get limits.
        """
        self.random = Random(seed)
        self.slices = Random(~seed)
        self.crashes = Random(seed + 10**9)
        self.halts = Random(seed + 2 * 10**9)
        self.portfolios = PortfolioCommands(seed + 3 * 10**9, accounts)
        self.draws_portfolios = draws_portfolios
        self.limits = LimitCommands(seed + 4 * 10**9)
        self.draws_limits = draws_limits
        self.accounts = accounts
        self.now_ns = START_S * SECOND_NS
        self.sequence = 0
        self.requests = 0
        self.round = 0
        self.index = 60_000
        self.recent: deque[tuple[int, Place]] = deque(maxlen=2_000)
        self.upcoming: deque[Command] = deque()
        self.rarities = Rarities(self)
        self.sessions: dict[int, int] = {}

    def opening(self) -> Iterator[tuple[Command, int]]:
        """Listings, prices, deposits and a session key for every other account."""
        for instrument in instruments():
            yield self._timed(ListInstrument(instrument=instrument))
        for command in self.rarities.listings():
            yield self._timed(command)
        yield self._timed(self.prices())
        for account in range(2, 2 + self.accounts):
            amount = 10**10 if account % 5 else 10**8
            yield self._timed(self.request(ChainRequestKind.DEPOSIT, account, amount_e6=amount))
            if account % 2:
                fields = {"key": key(account), "valid_to_s": START_S + 10**7, "scopes": 1 << 2}
                yield self._timed(self.request(ChainRequestKind.SET_KEY, account, **fields))
        for maker in MAKERS:
            yield self._timed(self._login(maker))
            for group in GROUPS:
                yield self._timed(limits(self.random, maker, group))

    def next(self) -> tuple[Command, int]:
        """One more command."""
        if self.upcoming:
            return self._timed(self.upcoming.popleft())
        if self.slices.random() < 0.004:
            return self._timed(self._phase())
        drawn = self.portfolios.next(self.now_ns, self.index) if self.draws_portfolios else None
        if drawn is not None:
            # Its own clock: the draws of all others stay what they were.
            self.sequence += 1
            self.now_ns += self.portfolios.pick.randrange(200_000)
            return drawn, self.now_ns
        bounds = self.limits.next() if self.draws_limits else None
        if bounds is not None:
            self.sequence += 1
            self.now_ns += self.limits.pick.randrange(200_000)
            return bounds, self.now_ns
        roll = self.random.random()
        if roll < 0.08:
            return self._timed(self._quotes(self.random.random()))
        if roll < 0.55:
            return self._timed(self.remember(self.place()))
        if roll < 0.90:
            return self._timed(self._cancel())
        if roll < 0.95:
            return self._timed(self._amend())
        if roll < 0.98:
            return self._timed(self._change())
        self.upcoming.extend(self.rarities.next())
        return self._timed(self.upcoming.popleft())

    def _timed(self, command: Command) -> tuple[Command, int]:
        self.sequence += 1
        self.now_ns += self.random.randrange(200_000)
        return command, self.now_ns

    def place(self) -> Place:
        """An order near the mark; one in twenty is an odd one."""
        pick = self.random
        account = pick.randrange(2, 3 + self.accounts) if pick.random() < 0.96 else self.rarities.account()
        instrument = pick.choices((PERP, CALL, PUT, 99, WIDE, *SHORT_OPTIONS), (600, 130, 130, 10, 10, 40, 40, 40))[0]
        mark = self.index * 10 if instrument == PERP else MARKS[instrument]
        step = max(1, mark // 4_000)
        flags, group = pick.choice(FLAGS), 0
        if account in MAKERS and pick.random() < 0.1:
            flags, group = group_order(pick, flags)
        place = Place(
            subaccount=account,
            instrument=instrument,
            side=Side(pick.randrange(2)),
            time_in_force=pick.choice(FORCES),
            flags=flags,
            mmp_group=group,
            price_ticks=max(0, mark + pick.randrange(-12, 13) * step),
            quantity_lots=pick.choice((1, 3, 10, 40, 400)) if pick.random() < 0.99 else 0,
            nonce=self.now_ns + pick.randrange(1_000),
            expiry_s=self.now_ns // SECOND_NS + pick.choice((15, 60, 600)),
            signer=key(account) if account % 2 and pick.random() < 0.5 else owner_of(account),
            max_fee_e18=pick.choice((0, 10**15, 10**21, 2**127)),
            expires_at_s=pick.choice((0, 0, self.now_ns // SECOND_NS + 12)),
            client_order_id=pick.choice(("", "", f"c{pick.randrange(10**6)}")),
            label=pick.choice(("", "label")),
            display_lots=self.slices.choice((0,) * 14 + (1, 3, 10)),
        )
        if pick.random() < 0.05:
            return odd_order(pick, place, self.now_ns, [row for _, row in list(self.recent)[-20:]])
        return place

    def remember(self, place: Place) -> Place:
        """Let later commands name the order that is sent next."""
        self.recent.append((order_number(sequence=self.sequence + 1), place))
        return place

    def _quotes(self, roll: float) -> Command:
        """Mass quotes of the makers; now and then limits, resets and cancels of a group."""
        pick = self.random
        if roll < 0.02:
            return limits(pick)
        if roll < 0.12:
            return reset(pick)
        if roll < 0.14:
            return CancelMany(subaccount=pick.choice(MAKERS), mmp_group=pick.choice(GROUPS))
        if roll < 0.17:
            return self._login(pick.choice(MAKERS))
        call = mass_quote(pick, self.now_ns, self.index)
        return replace(call, session=self.sessions[call.subaccount]) if call.session else call

    def _login(self, maker: int) -> SessionOpen:
        """A new session for a maker's quotes."""
        self.rarities.sessions += 1
        self.sessions[maker] = self.rarities.sessions
        return SessionOpen(owner=owner(maker), signer=owner(maker))

    def some(self) -> tuple[int, Place]:
        """Number and terms of an order sent before, mostly of late."""
        if not self.recent:
            self.remember(self.place())
        at = self.random.randrange(len(self.recent))
        return self.recent[at if self.random.random() < 0.3 else -1 - at // 20]

    def _cancel(self) -> Cancel:
        number, place = self.some()
        how = self.random.randrange(6)
        if how == 0:
            return Cancel(subaccount=place.subaccount, nonce=place.nonce)
        if self.random.random() < 0.01:
            return Cancel(subaccount=self.rarities.account(), order=number, instrument=CALL)
        if how == 1 and place.client_order_id:
            return Cancel(subaccount=place.subaccount, client_order_id=place.client_order_id)
        return Cancel(subaccount=place.subaccount, order=number, instrument=place.instrument if how == 2 else 0)

    def _amend(self) -> Amend:
        number, place = self.some()
        return Amend(
            subaccount=place.subaccount, order=number, quantity_lots=self.random.randrange(place.quantity_lots + 2)
        )

    def _change(self) -> Command:
        number, place = self.some()
        fresh = self.place()
        expected = self.random.choice((-1, -1, -1, 0, 3))
        if self.random.random() < 0.5:
            return Replace(target_order=number, order=self.remember(fresh), expected_filled_lots=expected)
        terms = fresh if self.random.random() < 0.2 else _same(place, fresh)
        return SignedAmend(target_order=number, order=terms, expected_filled_lots=expected)

    def _phase(self) -> SetPhase:
        """A call of some seconds, another deadline for it, or its end."""
        instrument, phase = self.slices.choice((PERP, CALL, PUT)), self.slices.choice((*Phase, Phase.CONTINUOUS))
        seconds = 0 if phase is Phase.CONTINUOUS else self.slices.choice((1, 30, 90_000))
        return SetPhase(
            instrument=instrument, phase=phase, deadline_ns=self.now_ns + seconds * SECOND_NS if seconds else 0
        )

    def request(self, kind: ChainRequestKind, account: int, **fields: object) -> ChainRequest:
        """The next entry of the chain's queue."""
        self.requests += 1
        return ChainRequest(index=self.requests, kind=kind, account=account, **{"owner": owner(account), **fields})

    def prices(self) -> SetPrices:
        """A round near the last; now and then a crash, a stale or an impossible one, or a feed without a price."""
        self.round += 1
        if self.round > 1 and self.halts.random() < 0.01:
            return SetPrices(round=self.round, underlyings=(UnderlyingRow("BTC", 0, 0, is_halted=True),))
        if self.round > 1 and self.random.random() < 0.05:
            return SetPrices(round=self.random.choice((0, self.round)), underlyings=(UnderlyingRow("BTC", 0),))
        self.index = max(50_000, min(70_000, self.index + self.random.randrange(-100, 101)))
        if self.crashes.random() < 0.06:
            self.index = self.crashes.randrange(50_000, 70_001)
        return SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", self.index * E9), UnderlyingRow("WIDE", (1 << 20) * E9)),
            expiries=(ExpiryRow("BTC", EXPIRY_S, self.index * E9),),
            marks=(
                MarkRow(PERP, self.index * E9),
                MarkRow(QUIET, self.index * E9),
                MarkRow(CALL, 1_500 * E9, delta_e9=E9 // 3, vega_e9=40 * E9),
                MarkRow(PUT, 800 * E9, delta_e9=-E9 // 4, vega_e9=35 * E9),
                *(MarkRow(number, 800 * E9) for number in SHORT_OPTIONS),
                MarkRow(WIDE, (1 << 20) * E9),
            ),
        )


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
        signer=owner_of(place.subaccount),
        max_fee_e18=place.max_fee_e18,
    )
