"""A small exchange for tests: four instruments, prices, funded owners with session keys, all from fixed numbers."""

import time
from dataclasses import dataclass, field

from exchange.domain.commands import (
    ChainRequest,
    ChainRequestKind,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    SetPrices,
    UnderlyingRow,
)
from exchange.domain.instrument import Instrument, InstrumentKind, instrument_name
from exchange.engine.config import EngineConfig
from exchange.engine.state import State
from exchange.wire.venue import VenueInfo
from settlement.protocol.signature import address_of, checksum_address
from tests.fakes.direct_port import DirectPort

__all__ = ["CHAIN_ID", "E9", "SmallExchange", "Trader", "option_expiry_s"]

CHAIN_ID = 424242
E9 = 10**9
CONTRACT = b"\x66" * 20
BASE = 1_000_000
DAY_S = 86_400


@dataclass(frozen=True)
class Trader:
    """An owner with one subaccount and one registered session key."""

    owner_key: bytes
    session_key: bytes
    account: int
    subaccount_id: int

    @property
    def owner(self) -> str:
        """Owner's checksummed address."""
        return checksum_address(address_of(self.owner_key))

    @property
    def signer(self) -> str:
        """Session key's checksummed address."""
        return checksum_address(address_of(self.session_key))


def option_expiry_s(now_s: int) -> int:
    """08:00 UTC at least 29 days ahead."""
    return (now_s // DAY_S + 30) * DAY_S + 8 * 3_600


@dataclass
class SmallExchange:
    """State, port, venue and traders."""

    accept_sepolia: bool = True
    trader_count: int = 3
    deposit_e6: int = 5_000_000 * 10**6
    port: DirectPort = field(init=False)
    venue: VenueInfo = field(init=False)
    traders: list[Trader] = field(init=False, default_factory=list)
    instruments: dict[str, Instrument] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Build everything through commands."""
        # Its one round of prices lives as long as a test may take on a slow machine.
        patient = EngineConfig(index_life_ns=DAY_S * E9, option_mark_life_ns=DAY_S * E9, halt_after_ns=DAY_S * E9)
        self.port = DirectPort(State(config=patient), time.time_ns)
        self.venue = VenueInfo.for_chain(
            chain_id=CHAIN_ID,
            settlement_contract=CONTRACT,
            subaccount_base=BASE,
            accept_derive_sepolia_orders=self.accept_sepolia,
            env="test",
        )
        self._list()
        self._price()
        for number in range(self.trader_count):
            self._fund(number)

    def _list(self) -> None:
        expiry_s = option_expiry_s(time.time_ns() // E9)
        specs = (
            (1 << 31, InstrumentKind.PERPETUAL, "BTC", 0, E9 // 10),
            (1 << 31 | 1, InstrumentKind.PERPETUAL, "ETH", 0, E9 // 100),
            (1, InstrumentKind.CALL, "BTC", 90_000 * E9, E9),
            (2, InstrumentKind.PUT, "BTC", 80_000 * E9, E9),
        )
        for instrument_id, kind, underlying, strike_e9, tick_e9 in specs:
            expiry = expiry_s if strike_e9 else 0
            name = instrument_name(underlying=underlying, kind=kind, strike_e9=strike_e9, expiry_s=expiry)
            self.instruments[name] = Instrument(
                instrument_id=instrument_id,
                name=name,
                kind=kind,
                underlying=underlying,
                tick_e9=tick_e9,
                lot_e9=E9 // 100,
                minimum_lots=1,
                maximum_lots=100_000,
                maximum_price_ticks=10_000_000,
                maker_fee_ppm=100,
                taker_fee_ppm=300,
                strike_e9=strike_e9,
                expiry_s=expiry,
                listed_s=time.time_ns() // E9,
            )
            self.port.run(ListInstrument(instrument=self.instruments[name]))

    def _price(self) -> None:
        expiries = {row.expiry_s for row in self.instruments.values() if row.is_option}
        marks = {"BTC": 84_000 * E9, "ETH": 3_000 * E9}
        self.port.run(
            SetPrices(
                round=1,
                underlyings=(UnderlyingRow("BTC", 84_000 * E9), UnderlyingRow("ETH", 3_000 * E9)),
                expiries=tuple(ExpiryRow("BTC", expiry_s, 84_500 * E9) for expiry_s in sorted(expiries)),
                marks=tuple(
                    MarkRow(
                        row.instrument_id,
                        marks[row.underlying] if row.is_perpetual else 2_500 * E9,
                        volatility_e9=0 if row.is_perpetual else E9 // 2,
                        delta_e9=E9 // 2,
                    )
                    for row in self.instruments.values()
                ),
            )
        )

    def _fund(self, number: int) -> None:
        owner_key, session_key = bytes([number + 1]) * 32, bytes([number + 101]) * 32
        owner = address_of(owner_key)
        index = self.port.state.request_index
        account = 2 + number
        self.port.run(
            ChainRequest(
                index=index + 1,
                kind=ChainRequestKind.DEPOSIT,
                account=account,
                amount_e6=self.deposit_e6,
                owner=owner,
            )
        )
        self.port.run(
            ChainRequest(
                index=index + 2,
                kind=ChainRequestKind.SET_KEY,
                account=0,
                owner=owner,
                key=address_of(session_key),
                valid_to_s=time.time_ns() // E9 + 200 * DAY_S,
                scopes=1,
            )
        )
        self.traders.append(Trader(owner_key, session_key, account, self.venue.subaccount_id(account)))
