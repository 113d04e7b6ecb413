"""Fixed numbers that load client and server of the gateway's benchmarks share."""

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.wire.venue import VenueInfo

__all__ = ["ACCOUNTS", "PERP", "VENUE", "owner_of", "session_of"]

ACCOUNTS = 8
VENUE = VenueInfo.for_chain(chain_id=424242, settlement_contract=b"\x66" * 20, subaccount_base=1_000_000, env="bench")
PERP = Instrument(
    instrument_id=1 << 31,
    name="BTC-PERP",
    kind=InstrumentKind.PERPETUAL,
    underlying="BTC",
    tick_e9=10**8,
    lot_e9=10**7,
    minimum_lots=1,
    maximum_lots=1_000_000,
    maximum_price_ticks=10_000_000,
    maker_fee_ppm=100,
    taker_fee_ppm=300,
)


def owner_of(number):
    """Owner's private key of an account."""
    return bytes([number + 1]) * 32


def session_of(number):
    """Session key of an account."""
    return bytes([number + 101]) * 32
