"""What is lost in a drill: an exchange of this release on a chain, with seeded trades of perpetuals and options.

Engine, batcher, outbox and poster are those of the product; only the clock is the drill's. Amounts are in 1e-6 USDC.
"""

import random
from pathlib import Path
from typing import Any, Final

from exchange.app.drill_chain import DrillChain
from exchange.app.verify import ledger_of
from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.batcher import Batcher
from exchange.bridge.chain_side import ChainSide
from exchange.bridge.settler import command_of
from exchange.domain.commands import (
    BatchCut,
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
from exchange.domain.events import Trade
from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.packing import CommandEvents, pack_events
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.states import new_state
from exchange.gateway.verify import OrderTerms
from exchange.wire.venue import VenueInfo
from matching_core import OrderBook
from settlement.onchain.claims import SettlementUser, mint_and_deposit
from settlement.onchain.deploy import DeploymentSettings, deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.requests import RequestReader
from settlement.onchain.rpc import RpcChain
from settlement.protocol.ledger import LedgerState
from settlement.protocol.oracle import NO_ROUND, OracleVector, decode_vector
from settlement.protocol.positions import equity_e6, settle_positions
from settlement.protocol.signature import address_of, sign_digest

__all__ = ["DEPOSIT_E6", "START_S", "DrillMarket"]

START_S: Final = 1_790_000_000
DEPOSIT_E6: Final = 100_000 * 10**6
_FIRST: Final = 2
_OWNERS: Final = 9
_SECOND_NS: Final = 10**9
_E9: Final = 10**9
_EXPIRY_S: Final = START_S + 60 * 86_400
_PERP, _CALL, _PUT = PERPETUAL_BIT | 1, 2, 3
_PRICE_AGE_S: Final = 5
_PRICES_PER_MINUTE: Final = 12


def _instrument(number: int, kind: InstrumentKind, **fields: Any) -> Instrument:
    is_perpetual = kind is InstrumentKind.PERPETUAL
    return Instrument(
        instrument_id=number,
        name=f"BTC-{'PERP' if is_perpetual else number}",
        kind=kind,
        underlying="BTC",
        tick_e9=10**8 if is_perpetual else 10**9,
        lot_e9=10**6 if is_perpetual else 10**7,
        minimum_lots=1,
        maximum_lots=10**6,
        maximum_price_ticks=10**7,
        maker_fee_ppm=100,
        taker_fee_ppm=300,
        **fields,
    )


_INSTRUMENTS: Final = (
    _instrument(_PERP, InstrumentKind.PERPETUAL),
    _instrument(_CALL, InstrumentKind.CALL, strike_e9=70_000 * _E9, expiry_s=_EXPIRY_S),
    _instrument(_PUT, InstrumentKind.PUT, strike_e9=50_000 * _E9, expiry_s=_EXPIRY_S),
)


class DrillMarket:
    """Accounts 2 .. accounts + 1, owned by the chain's users in turn, on contracts with the windows of a real venue."""

    def __init__(self, chain: DrillChain, folder: Path, seed: int, accounts: int) -> None:
        """Deploy, list, price, fund."""
        self._clock, self._seed = chain, seed
        self._rpc = RpcChain(chain.url)
        self._random = random.Random(seed)  # noqa: S311 - a drill repeats
        self._deployer = account_key(seed, DEPLOYER_INDEX)
        operator = account_key(seed, OPERATOR_INDEX)
        settings = DeploymentSettings(
            finality_window_s=48 * 3_600, answer_window_s=24 * 3_600, minimum_bond_e6=1_000 * 10**6
        )
        self.deployment = deploy_demo(self._rpc, self._deployer, account_address(operator), settings)
        self._venue = VenueInfo.for_chain(
            chain_id=self.deployment.chain_id,
            settlement_contract=self.deployment.settlement,
            subaccount_base=self.deployment.subaccount_base,
            accept_derive_sepolia_orders=False,
        )
        self._state = new_state(OrderBook, EngineConfig())
        self._now_ns, self._round = chain.now_s * _SECOND_NS, 0
        self._history: list[CommandEvents] = []
        self._batcher = Batcher(BatchAssembler(), LedgerState())
        folder.mkdir()
        self._side = ChainSide(
            self._rpc, self.deployment, folder / "outbox.sqlite", operator_key=operator, confirmations=1,
            clock=lambda: self._clock.now_s,
        )  # fmt: skip
        self._requests = RequestReader(self._rpc, self.deployment)
        self._vector = NO_ROUND
        self.fills = self.batches = 0
        self.accounts = range(_FIRST, _FIRST + accounts)
        for row in _INSTRUMENTS:
            self._run(ListInstrument(instrument=row))
        self._price(60_000)
        for account in self.accounts:
            self.deposit(account, DEPOSIT_E6, opens=True)
        self._take_requests()
        self.settle()

    # Users

    def deposit(self, account: int, amount_e6: int, *, opens: bool = False) -> None:
        """Mint and deposit by the account's owner; the money waits in the contract's queue."""
        place = 0 if opens else account
        mint_and_deposit(self._rpc, self.deployment, self._deployer, self._key(account), amount_e6, place)

    def withdraw(self, account: int, amount_e6: int) -> None:
        """Ask for money back, in the batch that is settled next."""
        SettlementUser(self._rpc, self.deployment, self._key(account)).request_withdraw(account, amount_e6)
        self._take_requests()

    def trade_at_random(self, rounds: int) -> None:
        """Prices that wander, trades of everything between everybody, funding; a batch each round."""
        index = 60_000
        for _ in range(rounds):
            index += self._random.randrange(-1_500, 1_501)
            self._price(index)
            for _ in self.accounts:
                buyer, seller = self._random.sample(self.accounts, 2)
                instrument = self._random.choice((_PERP, _CALL, _PUT))
                lots = self._random.randrange(1, 400 if instrument == _PERP else 20)
                self._trade(buyer, seller, instrument, lots)
            self._pass_a_minute()
            self._run(
                OracleRound(round=self._round, funding=(FundingRow(_PERP, self._random.randrange(10**5, 10**6)),))
            )
            self.settle()

    def ruin(self, account: int) -> None:
        """Let an account be long more than twice what it has, and the price fall to a third."""
        others = [row for row in self.accounts if row != account]
        for seller in others:
            self._trade(account, seller, _PERP, 4_000 // len(others))
        self.settle()
        self._price(20_000)
        self._pass_a_minute()
        self._trade(others[0], others[1], _PERP, 1)
        self.settle()

    # What the accounts are worth, by the engine's own books

    def owed_e6(self) -> dict[int, int]:
        """Equity of every account at the marks of the last published round, may be negative."""
        worth: dict[int, int] = {}
        for index, account in ledger_of(self._state, match_to_s=0).accounts.items():
            kept, gained_e6 = settle_positions(account.positions, self._vector)
            worth[index] = equity_e6(account.cash_e6 + gained_e6, kept, self._vector)
        return worth

    def open_positions(self) -> int:
        """Positions of all accounts that are not zero."""
        return sum(bool(row.lots) for account in self._state.accounts.values() for row in account.positions.values())

    # Settlement

    def settle(self) -> None:
        """Close the batch and post until nothing moves."""
        self._run(BatchCut())
        built = self._batcher.take([pack_events([item]) for item in self._history])
        self._history.clear()
        self._side.store(built, 0)
        for batch in built:
            self._vector = _vector_of(batch.vector) if batch.vector else self._vector
        self.batches += len(built)
        while self._side.step(self._state.request_index).status.waiting_batches:
            pass
        self._side.step(self._state.request_index)

    def close(self) -> None:
        """Release the files."""
        self._side.close()

    def _take_requests(self) -> None:
        while confirmed := self._requests.poll(self._state.request_index).confirmed:
            commands: list[Command] = [BatchCut(), *map(command_of, confirmed), BatchCut()]
            for command in commands:
                self._run(command)

    def _key(self, account: int) -> bytes:
        return account_key(self._seed, (account - _FIRST) % _OWNERS)

    def _run(self, command: Command) -> None:
        self._now_ns = self._next_ns()
        events = apply(self._state, command, self._now_ns)
        self.fills += sum(isinstance(event, Trade) for event in events)
        self._history.append(CommandEvents(self._state.sequence, self._now_ns, events))
        self._clock.advance(self._now_ns // _SECOND_NS + 1)

    def _next_ns(self) -> int:
        return max(self._now_ns + 1_000_000, self._clock.now_s * _SECOND_NS)

    def _pass_a_minute(self) -> None:
        """Long enough for new marks on chain, with prices often enough that funding accrues."""
        for _ in range(_PRICES_PER_MINUTE):
            self._clock.advance(self._clock.now_s + _PRICE_AGE_S)
            self._price(self._index)

    def _price(self, index: int) -> None:
        """Marks of a market without rates: intrinsic value and something for the time."""
        self._index, self._round = index, self._round + 1
        self._marks = {_PERP: index, _CALL: max(index - 70_000, 0) + 900, _PUT: max(50_000 - index, 0) + 700}
        marks = tuple(MarkRow(instrument, dollars * _E9) for instrument, dollars in self._marks.items())
        underlyings, expiries = (UnderlyingRow("BTC", index * _E9),), (ExpiryRow("BTC", _EXPIRY_S, index * _E9),)
        self._run(SetPrices(round=self._round, underlyings=underlyings, expiries=expiries, marks=marks))

    def _keep_prices(self) -> None:
        """Repeat the prices before they are stale, when a market only reduces; often enough to end a halt."""
        config, age_ns = self._state.config, self._next_ns() - self._state.prices.timestamp_ns
        if 2 * age_ns > config.index_life_ns:
            for _ in range(config.halt_good_rows if age_ns > config.halt_after_ns else 1):
                self._price(self._index)

    def _trade(self, buyer: int, seller: int, instrument: int, lots: int) -> None:
        """The seller rests and the buyer takes, at the mark; what margin does not allow is refused."""
        self._keep_prices()
        ticks = self._marks[instrument] * _E9 // self._state.instruments[instrument].tick_e9
        self._run(self._order(seller, Side.SELL, ticks, lots, instrument))
        self._run(self._order(buyer, Side.BUY, ticks, lots, instrument))

    def _order(self, account: int, side: Side, ticks: int, lots: int, instrument: int) -> Place:
        key = self._key(account)
        signer = address_of(key)
        fields: dict[str, Any] = {
            "nonce": self._next_ns(),
            "expiry_s": self._next_ns() // _SECOND_NS + 60,
            "signer": signer,
            "max_fee_e18": 1_000 * 10**18,
        }
        terms = OrderTerms(
            instrument=self._state.instruments[instrument],
            price_ticks=ticks,
            quantity_lots=lots,
            subaccount_id=self._venue.subaccount_id(account),
            is_bid=side is Side.BUY,
            owner=signer,
            **fields,
        )
        hashed = terms.digest(self._venue.domain_separator, self._venue)
        return Place(
            subaccount=account,
            instrument=instrument,
            side=side,
            price_ticks=ticks,
            quantity_lots=lots,
            time_in_force=TimeInForce.GTC,
            flags=OrderFlag.NONE,
            digest=hashed,
            signature=sign_digest(key, hashed),
            **fields,
        )


def _vector_of(raw: bytes) -> OracleVector:
    return decode_vector(1, raw)
