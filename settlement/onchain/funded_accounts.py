"""The embedded chain's funded accounts: keys of a seed, for whoever signs for them. Needs no EVM."""

from typing import Final

from settlement.protocol.keccak import keccak256
from settlement.protocol.signature import address_of

__all__ = [
    "DEPLOYER_INDEX",
    "FUNDED_ACCOUNTS",
    "OPERATOR_INDEX",
    "PAYER_INDEX",
    "WATCHER_INDEX",
    "account_address",
    "account_key",
]

FUNDED_ACCOUNTS: Final = 14
DEPLOYER_INDEX: Final = 10
OPERATOR_INDEX: Final = 11
WATCHER_INDEX: Final = 12
PAYER_INDEX: Final = 13


def account_key(seed: int, index: int) -> bytes:
    """Private key of funded account `index`: keccak(seed u64 | index u32).

    0-9 are users, 10 deploys, 11 operates, 12 watches, 13 pays withdrawals ahead.
    """
    return keccak256(seed.to_bytes(8, "big") + index.to_bytes(4, "big"))


def account_address(private_key: bytes) -> bytes:
    """20-byte address of a private key."""
    return address_of(private_key)
