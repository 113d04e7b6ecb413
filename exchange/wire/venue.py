"""What a deployment tells its clients about itself, and the two id mappings that depend on it."""

from functools import lru_cache
from typing import Final

import msgspec

from exchange.domain.instrument import Instrument, InstrumentKind
from settlement.protocol.eip712 import DERIVE_SEPOLIA_CHAIN_ID, asset_address, domain_separator, option_sub_id
from settlement.protocol.signature import checksum_address

__all__ = ["COLLATERAL", "SCHEMA_VERSION", "SigningDomain", "VenueInfo", "address_text", "asset_kind"]

SCHEMA_VERSION: Final = "1"
COLLATERAL: Final = "USDC"


class SigningDomain(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted EIP-712 separator; its index in `VenueInfo.domains` is journaled with each order."""

    separator: bytes
    trade_only: bool = False
    name: str = ""


class VenueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Constants of one deployment. `domain_separator` is the contract's own value, read at start."""

    chain_id: int
    domain_separator: bytes
    settlement_contract: bytes
    subaccount_base: int
    """Wire subaccount id = base + account index."""
    domains: tuple[SigningDomain, ...]
    env: str = "demo"
    server_version: str = "0.1.0"

    @classmethod
    def for_chain(
        cls,
        *,
        chain_id: int,
        settlement_contract: bytes,
        subaccount_base: int,
        accept_derive_sepolia_orders: bool = False,
        separator: bytes | None = None,
        env: str = "demo",
    ) -> "VenueInfo":
        """Build the accepted set: ours for everything, Derive's test network for orders alone when asked."""
        own = separator if separator is not None else domain_separator(chain_id)
        domains = [SigningDomain(separator=own, name="own")]
        if accept_derive_sepolia_orders:
            sepolia = domain_separator(DERIVE_SEPOLIA_CHAIN_ID)
            domains.append(SigningDomain(separator=sepolia, trade_only=True, name="derive-sepolia"))
        return cls(
            chain_id=chain_id,
            domain_separator=own,
            settlement_contract=settlement_contract,
            subaccount_base=subaccount_base,
            domains=tuple(domains),
            env=env,
        )

    def subaccount_id(self, account: int) -> int:
        """Wire id of account index `account`."""
        return self.subaccount_base + account

    def account(self, subaccount_id: int) -> int:
        """Account index of a wire id; negative or absurd for ids of other deployments."""
        return subaccount_id - self.subaccount_base

    def asset(self, instrument: Instrument) -> bytes:
        """Published asset address of `instrument` (20 bytes)."""
        return self.asset_of(instrument.underlying, asset_kind(instrument))

    def asset_of(self, currency: str, kind: str) -> bytes:
        """Published asset address of a currency; `kind` is perp, option or erc20."""
        return asset_address(
            chain_id=self.chain_id, settlement_contract=self.settlement_contract, currency=currency, kind=kind
        )

    @staticmethod
    def asset_sub_id(instrument: Instrument) -> int:
        """Sub id inside the asset: 0 for perpetuals, the packed uint96 for options."""
        if instrument.is_perpetual:
            return 0
        return option_sub_id(
            is_call=instrument.kind is InstrumentKind.CALL,
            strike_e8=instrument.strike_e9 // 10,
            expiry_s=instrument.expiry_s,
        )


def asset_kind(instrument: Instrument) -> str:
    """`perp` or `option`, the instrument_type of the wire."""
    return "perp" if instrument.is_perpetual else "option"


@lru_cache(maxsize=65_536)
def address_text(address: bytes) -> str:
    """EIP-55 text of an address; cached, because a checksum costs a hash."""
    return checksum_address(address)
