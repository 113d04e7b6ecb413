"""Seeded commands of a market that crashes again and again: few rich makers, many poor accounts with too much on.

Perpetual and options, prices that jump, go missing or are impossible, funding, expiries of a minute's life, deposits,
withdrawals, call auctions. Like the sequencer it sends a Clock as soon as the engine asks for one, mostly.
"""

from collections.abc import Iterator
from random import Random

from msgspec.structs import replace

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import (
    BatchCut,
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
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.liquidations import LiquidationStage
from exchange.domain.quotes import MassQuote, QuoteLine
from exchange.domain.rounds import DelistInstrument, FundingRow, OracleRound, SettlementRow
from exchange.engine.state import State
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, SECOND_NS, START_S, instruments, owner

__all__ = ["GAMBLERS", "MAKERS", "CrashStream"]

E6, E9 = 10**6, 10**9
MAKERS = range(2, 6)
GAMBLERS = range(6, 16)
LOWEST, HIGHEST = 20_000, 150_000
LIVE_OPTIONS = 4
_FLAGS = (OrderFlag.NONE,) * 5 + (OrderFlag.REDUCE_ONLY, OrderFlag.MARKET, OrderFlag.LIQUIDATION)


class CrashStream:
    """`opening()` and then `next(state)` give (command, time); everything follows from the seed and the states."""

    def __init__(self, seed: int) -> None:
        """Time, prices and numbers begin anew."""
        self.random = Random(seed)
        self.now_ns = START_S * SECOND_NS
        self.index = 60_000
        self.round = 0
        self.oracle_round = 0
        self.options: dict[int, Instrument] = {row.instrument_id: row for row in instruments() if row.is_option}
        self.listed = PUT

    def opening(self) -> Iterator[tuple[Command, int]]:
        """Listings, prices, a fund, rich makers and poor gamblers."""
        for instrument in instruments():
            yield self._timed(ListInstrument(instrument=instrument))
        yield self._timed(self._round(self._marks()))
        amounts = {FUND_ACCOUNT: 20_000, **dict.fromkeys(MAKERS, 50_000_000)}
        amounts |= {account: self.random.choice((1_000, 4_000, 20_000)) for account in GAMBLERS}
        for index, (account, amount) in enumerate(amounts.items(), 1):
            yield self._timed(self._request(index, ChainRequestKind.DEPOSIT, account, amount * E6))

    def next(self, state: State) -> tuple[Command, int]:
        """One more command."""
        pick = self.random
        if state.work_pending() and pick.random() < 0.9:
            return self._timed(Clock(), pause_ns=0)
        table = (
            (20, self._quote),
            (26, self._gamble),
            (14, self._prices),
            (16, self._clock),
            (2, self._oracle),
            (4, self._cash),
            (2, self._list),
            (1, lambda _: self._phase()),
            (30, self._bid),
            (2, lambda _: BatchCut(allows_empty=self.now_ns % 4 == 0)),
        )
        ((_, make),) = pick.choices(table, [weight for weight, _ in table])
        return self._timed(make(state))

    def _timed(self, command: Command, *, pause_ns: int | None = None) -> tuple[Command, int]:
        self.now_ns += self.random.randrange(20_000_000) if pause_ns is None else pause_ns
        return command, self.now_ns

    def _mark(self, instrument: int) -> int:
        """Whole dollars: the index, or what an option would pay now and something for its time."""
        if instrument == PERP:
            return self.index
        option = self.options[instrument]
        strike = option.strike_e9 // E9
        away = self.index - strike if option.kind is InstrumentKind.CALL else strike - self.index
        return max(0, away) + (600 if option.expiry_s == EXPIRY_S else 60)

    def _quote(self, _: State) -> Place:
        """A maker's order on either side of the mark, far or near."""
        pick = self.random
        instrument = pick.choice((PERP, PERP, PERP, *self.options))
        mark = self._mark(instrument) * (10 if instrument == PERP else 1)
        side = pick.choice((Side.BUY, Side.SELL))
        away = max(1, mark * pick.choice((1, 3, 10, 30)) // 2_000)
        price = mark - away if side is Side.BUY else mark + away
        lots = pick.choice((100, 500, 2_000)) if instrument == PERP else pick.choice((5, 20, 80))
        return self._order(pick.choice(MAKERS), instrument, side, price=price, lots=lots, force=TimeInForce.GTC)

    def _gamble(self, state: State) -> Place:
        """A poor account's order through the market, as large as it dares; at times one that is to rest."""
        pick = self.random
        account = pick.choice(GAMBLERS)
        instrument = pick.choice((PERP, PERP, PERP, *self.options))
        scale = 10 if instrument == PERP else 1
        mark = self._mark(instrument) * scale
        side = pick.choice((Side.BUY, Side.SELL) if instrument == PERP else (Side.SELL, Side.SELL, Side.BUY))
        rests = pick.random() < 0.2
        give = max(1, mark * (-5 if rests else pick.choice((20, 40))) // 2_000)
        # Ten to twenty-five times what it has; an option asks for about as much margin per coin as six of those times.
        cash = max(500, state.accounts[account].cash_e6 // E6)
        lots = cash * pick.choice((2, 10, 18, 24)) * 100 * scale // self.index // (1 if instrument == PERP else 6)
        flags = pick.choice(_FLAGS) if pick.random() < 0.3 else OrderFlag.NONE
        return self._order(
            account,
            instrument,
            side,
            price=mark + give if side is Side.BUY else mark - give,
            lots=max(1, min(20_000, lots)),
            force=TimeInForce.GTC if rests else TimeInForce.IOC,
            flags=flags,
        )

    def _bid(self, state: State) -> Command:
        """A maker's or gambler's bid for an account in liquidation: mostly good, at times one to be refused."""
        pick = self.random
        offered = [row for _, row in sorted(state.liquidations.items()) if row.stage is not LiquidationStage.BOOK]
        if not offered:
            return self._quote(state)
        row = pick.choice(offered)
        account = pick.choice((*MAKERS, *MAKERS, *GAMBLERS))
        lines = tuple(self._line(state, number, lots) for number, lots in self._held(state, row.subaccount))
        nonce = self.now_ns + pick.randrange(1_000)
        call = MassQuote(
            subaccount=account,
            mmp_group=0,
            lines=lines[: None if pick.random() < 0.9 else -1] or lines,
            nonce=nonce,
            expiry_s=self.now_ns // SECOND_NS + 40,
            signer=owner(account),
            max_fee_e18=1_000 * 10**18,
            digest=(account << 128 | nonce).to_bytes(32, "big"),
        )
        return BidInAuction(
            auction=row.auction if pick.random() < 0.95 else row.auction + 1,
            share_ppm=pick.choice((50_000, 300_000, 1_000_000)),
            price_limit_e6=pick.choice((10**12, 10**12, 10**12, 0)),
            last_seen_seq=pick.choice((0, 0, state.accounts[row.subaccount].account_seq, 1)),
            call=call,
        )

    def _held(self, state: State, account: int) -> list[tuple[int, int]]:
        return [(number, row.lots) for number, row in sorted(state.accounts[account].positions.items())]

    def _line(self, state: State, number: int, lots: int) -> QuoteLine:
        """Whatever the price is, now and then too few lots."""
        size = abs(lots) if self.random.random() < 0.95 else 1
        highest = state.instruments[number].maximum_price_ticks
        return QuoteLine(number, highest, size, 0, 0) if lots > 0 else QuoteLine(number, 0, 0, 1, size)

    def _order(
        self,
        account: int,
        instrument: int,
        side: Side,
        *,
        price: int,
        lots: int,
        force: TimeInForce,
        flags: OrderFlag = OrderFlag.NONE,
    ) -> Place:
        nonce = self.now_ns + self.random.randrange(1_000)
        return Place(
            subaccount=account,
            instrument=instrument,
            side=side,
            time_in_force=force,
            flags=flags,
            price_ticks=max(1, price),
            quantity_lots=lots,
            nonce=nonce,
            expiry_s=self.now_ns // SECOND_NS + self.random.choice((15, 40, 120)),
            signer=owner(account),
            max_fee_e18=1_000 * 10**18,
            digest=(account << 128 | nonce).to_bytes(32, "big"),
        )

    def _prices(self, _: State) -> SetPrices:
        """Mostly a small move; now and then a crash, a round without marks, an old round, or an impossible price."""
        pick = self.random
        roll = pick.random()
        if roll < 0.04:
            return SetPrices(round=pick.choice((0, self.round + 1)), underlyings=(UnderlyingRow("BTC", 0),))
        reach = pick.choices((40, 300, 1_300), (74, 22, 4))[0]
        self.index += self.index * pick.randrange(-reach, reach + 1) // 10_000
        if not LOWEST <= self.index <= HIGHEST:
            self.index = 60_000
        return self._round(() if roll < 0.10 else self._marks())

    def _round(self, marks: tuple[MarkRow, ...]) -> SetPrices:
        self.round += 1
        ends = sorted({row.expiry_s for row in self.options.values()})
        return SetPrices(
            round=self.round,
            underlyings=(UnderlyingRow("BTC", self.index * E9, self.random.choices((10**6, 500_000), (9, 1))[0]),),
            expiries=tuple(ExpiryRow("BTC", end_s, self.index * E9) for end_s in ends) if marks else (),
            marks=marks,
        )

    def _marks(self) -> tuple[MarkRow, ...]:
        return tuple(MarkRow(number, self._mark(number) * E9) for number in (PERP, *self.options))

    def _clock(self, _: State) -> Clock:
        """Time passes; rarely so much of it that every price is stale."""
        seconds = self.random.choices((0, 1, 3, 11, 70), (20, 66, 8, 5, 1))[0]
        self.now_ns += seconds * SECOND_NS
        return Clock()

    def _oracle(self, state: State) -> OracleRound:
        """Publish funding, set a rate, settle what has expired; governance's price where samples are missing."""
        self.oracle_round += 1
        rate = FundingRow(PERP, self.random.choice((-120_000_000, -1_000_003, 0, 100_000, 120_000_000)))
        open_chains = [chain for chain in state.chains if chain not in state.expiries]
        over = [chain for chain in open_chains if chain[1] * SECOND_NS <= self.now_ns]
        rows = tuple(SettlementRow(*chain, self.index * E9) for chain in over if self.random.random() < 0.2)
        return OracleRound(round=self.oracle_round, funding=(rate,), settlements=rows)

    def _cash(self, state: State) -> ChainRequest:
        """Gamblers bring more, take some out, cancel all they have; the fund gets a gift."""
        pick, kinds = self.random, ChainRequestKind
        index = state.request_index + 1
        roll = pick.random()
        if roll < 0.05:
            return self._request(index, kinds.DEPOSIT, FUND_ACCOUNT, pick.choice((100, 2_000)) * E6)
        account = pick.choice(GAMBLERS)
        if roll < 0.65:
            # Whoever ran out brings most.
            poorest = min(GAMBLERS, key=lambda one: (state.accounts[one].cash_e6, one))
            amount = pick.choice((500, 2_000, 6_000)) * E6
            return self._request(index, kinds.DEPOSIT, pick.choice((account, poorest)), amount)
        if roll < 0.9:
            return self._request(index, kinds.WITHDRAW, account, pick.choice((100, 3_000, 10**6)) * E6)
        return self._request(index, kinds.CANCEL_ALL, account, 0)

    def _request(self, index: int, kind: ChainRequestKind, account: int, amount_e6: int) -> ChainRequest:
        return ChainRequest(index=index, kind=kind, account=account, amount_e6=amount_e6, owner=owner(account))

    def _list(self, state: State) -> Command:
        """A strike near the index that ends within a minute or two; first what is over and paid goes."""
        over = [
            n for n, row in self.options.items() if row.expiry_s * SECOND_NS <= self.now_ns and not state.holders(n)
        ]
        if over:
            del self.options[over[0]]
            return DelistInstrument(instrument=over[0])
        if len(self.options) >= 2 + LIVE_OPTIONS:
            return Clock()
        pick = self.random
        self.listed += 1
        option = replace(
            instruments()[1],
            instrument_id=self.listed,
            name=f"BTC-{self.listed}",
            kind=pick.choice((InstrumentKind.CALL, InstrumentKind.PUT)),
            strike_e9=(self.index + self.index * pick.randrange(-4, 5) // 100) * E9,
            expiry_s=self.now_ns // SECOND_NS + pick.choice((40, 90)),
        )
        self.options[self.listed] = option
        return ListInstrument(instrument=option)

    def _phase(self) -> SetPhase:
        """A call of some seconds, or its end."""
        phase = self.random.choice((Phase.AUCTION, Phase.CONTINUOUS, Phase.CONTINUOUS))
        deadline_ns = self.now_ns + 2 * SECOND_NS if phase is Phase.AUCTION else 0
        return SetPhase(instrument=self.random.choice((PERP, CALL)), phase=phase, deadline_ns=deadline_ns)
